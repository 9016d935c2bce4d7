"""Words for people: what somebody probably meant, and counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

IS, HAS, WAS = ("is", "are"), ("has", "have"), ("was", "were")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that `name` is probably a slip of, best first."""
    import difflib

    by_folded: dict[str, str] = {}
    for other in known:
        by_folded.setdefault(other.casefold().replace("_", "-"), other)
    folded = name.casefold().replace("_", "-")
    matches = difflib.get_close_matches(folded, by_folded, n=count, cutoff=0.6)
    best = max((_likeness(folded, match) for match in matches), default=0.0)
    return [by_folded[match] for match in matches if _likeness(folded, match) >= best - 0.1]


def _likeness(name: str, other: str) -> float:
    import difflib

    return difflib.SequenceMatcher(None, name, other).ratio()


def counted(count: int, what: str, verb: tuple[str, str] | None = None, *, plural: str | None = None) -> str:
    """Return "1 row" or "2,000 rows", with a verb ("is", "are") in its number if one is given."""
    text = f"{count:,} {what if count == 1 else plural or what + 's'}"
    return text if verb is None else f"{text} {verb[count != 1]}"


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """Return "Did you mean a, b?", or None if nothing is near."""
    matches = nearest(name, known)
    return f"Did you mean {' or '.join(matches)}?" if matches else None


def in_kebab_case(name: str) -> str:
    """Return the nearest name of small letters and digits joined by -, accents left out; it may be empty."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", words.casefold()))  # without accents
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
