"""Types of parameters: what a text typed on a command line may become."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

KINDS = ("int", "float", "bool", "json", "str")  # in the order to try: text fits everything, so it comes last
_WANTED = {"int": "an integer", "float": "a number", "bool": "true or false", "json": "JSON", "str": "text"}


@dataclass(frozen=True)
class ParameterType:
    """What a text given for a parameter becomes.

    Args:
        kinds: of "int", "float", "bool", "json" and "str", in the order to try.
        is_list: whether a list of these is accepted: the flag may be repeated.
        choices: the closed set of values as text; empty if the set is open.
        nullable: whether None is accepted.
        is_scalar: whether one value alone is accepted; False for `list[str]`, True for `str | list[str]`.
    """

    kinds: tuple[str, ...] = ("str",)
    is_list: bool = False
    choices: tuple[str, ...] = ()
    nullable: bool = False
    is_scalar: bool = True

    def __str__(self) -> str:
        text = f"one of {', '.join(self.choices)}" if self.choices else " or ".join(self.kinds)
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
                return _convert(text, kind, alone=len(self.kinds) == 1)
            except ValueError:
                continue
        raise ValueError(" or ".join(_WANTED[kind] for kind in self.kinds))

    def parse_many(self, texts: list[str]) -> object:
        """Turn the texts of a flag, in the order given, into the parameter's value.

        Raises:
            ValueError: as `parse`, or "one value" if the parameter takes no list.
        """
        if not self.is_list:
            if len(texts) != 1:
                raise ValueError("one value")
            return self.parse(texts[0])
        values = [self.parse(text) for text in texts]
        if len(values) == 1 and (self.is_scalar or values[0] is None or self._is_whole_list(values[0])):
            return values[0]
        return values

    def _is_whole_list(self, value: object) -> bool:
        return self.kinds == ("json",) and isinstance(value, list)


def _convert(text: str, kind: str, *, alone: bool) -> object:
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
        if not alone and text.lstrip()[:1] not in ("{", "["):
            raise ValueError(text)
        return json.loads(text)
    return text


TEXT = ParameterType()
NOTHING = ParameterType(kinds=())


def unite(types: Iterable[ParameterType]) -> ParameterType:
    """Return the type that accepts what any of `types` does; types that say nothing add nothing but None."""
    types = list(types)
    telling = [one for one in types if one.kinds]
    found = {kind for one in telling for kind in one.kinds}
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
    )
