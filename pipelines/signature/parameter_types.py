"""Types of parameters: what a text typed on a command line may become."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("int", "float", "bool", "json", "str")  # in the order to try: text fits everything, so it comes last
_WANTED = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "text"}
_SHAPES = {"object": dict, "list": list}


@dataclass(frozen=True)
class ParameterType:
    """What a text given for a parameter becomes.

    Args:
        kinds: of "int", "float", "bool", "json" and "str", in the order to try.
        is_list: whether a list of these is accepted: the flag may be repeated.
        choices: the closed set of values as text; empty if the set is open.
        nullable: whether None is accepted.
        is_scalar: whether one value alone is accepted; False for `list[str]`, True for `str | list[str]`.
        shape: what a JSON value must be: "object", "list", or "" for any.
    """

    kinds: tuple[str, ...] = ("str",)
    is_list: bool = False
    choices: tuple[str, ...] = ()
    nullable: bool = False
    is_scalar: bool = True
    shape: str = ""

    def __str__(self) -> str:
        names = [f"JSON {self.shape}".strip() if kind == "json" else kind for kind in self.kinds]
        text = f"one of {', '.join(self.choices)}" if self.choices else " or ".join(names)
        if not self.is_list:
            return text
        return f"{text}, or a list" if self.is_scalar else f"list of {text}"

    def parse(self, text: str) -> object:
        """Turn the text of one value into that value.

        Raises:
            ValueError: the text fits no kind; its message is what was wanted, such as "an integer".
        """
        if self.choices and text not in self.choices:
            if not (self.nullable and text.lower() in ("none", "null")):
                raise ValueError(f"one of {', '.join(self.choices)}")
            return None
        if self.nullable and "str" not in self.kinds and text.lower() in ("none", "null"):
            return None
        for kind in self.kinds:
            try:
                return self._convert(text, kind)
            except ValueError:
                continue
        shape = f"a JSON {self.shape}" if self.shape else "JSON"
        raise ValueError(" or ".join(_WANTED.get(kind, shape) for kind in self.kinds))

    def parse_many(self, texts: list[str]) -> object:
        """Turn the texts of a flag, in the order given, into the parameter's value.

        Raises:
            ValueError: as `parse`, or "one value" if the parameter takes no list.
        """
        if not self.is_list:
            if len(texts) != 1:
                raise ValueError("one value")
            return self.parse(texts[0])
        whole = self._whole_list(texts[0]) if len(texts) == 1 and self.kinds == ("json",) else None
        if whole is not None:
            return whole
        values = [self.parse(text) for text in texts]
        if len(values) == 1 and (self.is_scalar or values[0] is None):
            return values[0]
        return values

    def _whole_list(self, text: str) -> list[object] | None:
        """Return the JSON list that a text is, if its items have the shape wanted: `--tools '[{}, {}]'`."""
        try:
            value = json.loads(text)
        except ValueError:
            return None
        return value if isinstance(value, list) and all(self._has_shape(one) for one in value) else None

    def _has_shape(self, value: object) -> bool:
        return not self.shape or isinstance(value, _SHAPES[self.shape])

    def _convert(self, text: str, kind: str) -> object:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind == "bool":
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
            raise ValueError(text)
        if kind == "json":
            # beside other kinds, `5` and `true` are theirs: only objects and lists are JSON then
            if len(self.kinds) > 1 and text.lstrip()[:1] not in ("{", "["):
                raise ValueError(text)
            value = json.loads(text)
            if not self._has_shape(value):
                raise ValueError(text)
            return value
        return text


TEXT = ParameterType()
NOTHING = ParameterType(kinds=())
JSON_OBJECT = ParameterType(kinds=("json",), shape="object")
JSON_LIST = ParameterType(kinds=("json",), shape="list")


def unite(types: Iterable[ParameterType]) -> ParameterType:
    """Return the type that accepts what any of `types` does; types that say nothing add nothing but None."""
    types = list(types)
    telling = [one for one in types if one.kinds]
    found = {kind for one in telling for kind in one.kinds}
    shapes = {one.shape for one in telling if "json" in one.kinds}
    if shapes and any(one.is_list and one.kinds != ("json",) for one in telling):
        shapes.add("list")  # `dict | list[int]`: a JSON list is taken too
    choices: tuple[str, ...] = ()
    if any(one.choices for one in telling):
        sets = [one.choices or (("true", "false") if one.kinds == ("bool",) else ()) for one in telling]
        if all(sets):
            choices = tuple(dict.fromkeys(choice for one in sets for choice in one))
    return ParameterType(
        kinds=tuple(kind for kind in KINDS if kind in found),
        is_list=any(one.is_list for one in telling),
        choices=choices,
        nullable=any(one.nullable for one in types),
        is_scalar=any(one.is_scalar for one in telling) or not telling,
        shape=shapes.pop() if len(shapes) == 1 else "",
    )
