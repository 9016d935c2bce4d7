"""What transformers 4.57 and huggingface_hub 0.36 have and 5 and 2.4 lack, by `gone.txt`, which a script made."""

from __future__ import annotations

import functools
from pathlib import Path

GONE_ITSELF = "*"


def gone(module: str, name: str) -> str | None:
    """Tell whether a module of the two libraries lost a name.

    Args:
        module: its dotted name.
        name: what is imported from it; "*" asks whether the module itself is gone.

    Returns:
        None if not, else the module where both lines have it; "" if there is none.
    """
    line = _lines().get(module)
    if line is None:
        return None
    at = line.find(f" {name}=")
    if at >= 0:
        return line[at + len(name) + 2 :].partition(" ")[0]
    if f" {name} " in line:
        return ""
    return "" if f" {GONE_ITSELF} " in line else None


@functools.cache
def _lines() -> dict[str, str]:
    """Return the table: the names of each module, each between blanks."""
    lines = (Path(__file__).parent / "gone.txt").read_text(encoding="utf-8").split("\n")
    return {module: f" {names} " for module, _, names in (line.partition(" ") for line in lines)}
