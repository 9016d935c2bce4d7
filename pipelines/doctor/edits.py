"""Safe mends as data: where in a file, and what is to stand there. `mending.py` makes them, with libcst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Span: TypeAlias = tuple[int, int, int, int]  # first line, first column, last line, end column; in characters


class Replace(NamedTuple):
    """Put another expression in the place of one."""

    span: Span
    text: str


@dataclass(frozen=True)
class Unwrap:
    """Leave the last name of `a.b.c` out."""

    span: Span


@dataclass(frozen=True)
class ChangeArguments:
    """Change the keywords of a call.

    Args:
        span: the call.
        changes: keyword -> (new keyword, value's text); None leaves the argument out.
        positional: what to call the positional arguments, by their number from 0.
        added: keyword and value's text of arguments that are put at the end.
    """

    span: Span
    changes: tuple[tuple[str, tuple[str, str] | None], ...] = ()
    positional: tuple[tuple[int, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()

    def texts(self) -> list[str]:
        """Return the texts of the values that it puts in."""
        return [new[1] for _, new in self.changes if new is not None] + [value for _, value in self.added]


@dataclass(frozen=True)
class ChangeImport:
    """Change where `from module import name` takes a name.

    Args:
        span: the statement.
        name: what is imported.
        home: (module, name) to import instead; None leaves the name out.
        fallback: the lines of an `except ImportError:` around the import, which stays as it is.
    """

    span: Span
    name: str
    home: tuple[str, str] | None = None
    fallback: str | None = None


Edit: TypeAlias = Replace | Unwrap | ChangeArguments | ChangeImport
