"""The metadata at the top of a README.md: what is missing is added, and all that its author wrote stays as it is.

Written anew from its values, `language: no` would become false, 1.10 become 1.1, and comments be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def renewed(text: str, values: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> str:
    """Return metadata with other values for some keys.

    Args:
        text: the lines between the two ---; a mapping of YAML, or nothing.
        values: what is set.
        lists: what is added to lists, or makes a list.
    """
    import yaml  # type: ignore[import-untyped]  # it comes with huggingface_hub

    mapping = yaml.compose(text, Loader=yaml.SafeLoader)
    if mapping is not None and mapping.flow_style:  # {license: mit}
        held = yaml.safe_load(text)
        text = "".join(_line(key, value) for key, value in held.items())
        mapping = yaml.compose(text, Loader=yaml.SafeLoader)
    places = {key.value: value for key, value in mapping.value if key.id == "scalar"} if mapping is not None else {}
    edits: list[tuple[int, int, str]] = []
    lines = [_line(key, value) for key, value in (*values.items(), *lists.items()) if key not in places]
    for key in places.keys() & values.keys():
        edits.append(_set(places[key], values[key]))
    for key in places.keys() & lists.keys():
        edits.append(_extended(text, places[key], [_flow(item) for item in lists[key]]))
    for start, end, new in sorted(edits, reverse=True):
        text = f"{text[:start]}{new}{text[end:]}"
    return "\n".join(filter(None, [text.rstrip(), "".join(lines).rstrip()]))


def _set(place: Any, value: str) -> tuple[int, int, str]:
    is_block = place.id == "sequence" and not place.flow_style
    end = place.value[-1].end_mark.index if is_block else place.end_mark.index
    is_absent = end == place.start_mark.index  # `license:` alone
    return place.start_mark.index, end, f"{'  ' if is_block else ' ' if is_absent else ''}{_flow(value)}"


def _extended(text: str, place: Any, items: Sequence[str]) -> tuple[int, int, str]:
    start, end = place.start_mark.index, place.end_mark.index
    if place.id != "sequence":
        held = [text[start:end]] if text[start:end].strip() else []
        return start, end, f"{'' if held else ' '}[{', '.join([*held, *items])}]"
    if place.flow_style:
        return end - 1, end - 1, f"{', ' if place.value else ''}{', '.join(items)}"
    last = place.value[-1].end_mark.index
    end = text.find("\n", last)  # below a comment that stands behind the last item
    end = len(text) if end < 0 else end
    return end, end, "".join(f"\n{' ' * place.start_mark.column}- {item}" for item in items)


def _line(key: str, value: Any) -> str:
    import yaml

    return str(yaml.safe_dump({key: value}, allow_unicode=True, sort_keys=False, width=10_000))


def _flow(value: str) -> str:
    import yaml

    return str(yaml.safe_dump([value], allow_unicode=True, default_flow_style=True, width=10_000)).strip()[1:-1]
