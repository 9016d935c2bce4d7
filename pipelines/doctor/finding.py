"""What a rule finds, and the table of rules: a code, a name, why it matters, how to mend it.

A mend is safe if whoever runs PyTorch models sees no change, on transformers 4.57 and on 5; then the finding has an
edit, and `--fix` makes it. Any other mend is proposed in words.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipesmith.pipelines.doctor.walk import GUARD_WORDS

if TYPE_CHECKING:
    from pipesmith.pipelines.doctor.edits import Edit
    from pipesmith.pipelines.doctor.source_file import SourceFile


class Finding(NamedTuple):
    """One thing that is wrong.

    Args:
        code: the rule's code, such as "PS101".
        name: the rule's name.
        why: what breaks, in a sentence.
        mend: what to do about it: a sentence, or a command.
        place: the file's path; None for the environment.
        line: from 1.
        column: in characters, from 1.
        cell: of a notebook, from 1; lines count from the cell's first.
        edit: the safe mend; None if it is only proposed.
    """

    code: str
    name: str
    why: str
    mend: str
    place: str | None = None
    line: int = 1
    column: int = 1
    cell: int | None = None
    edit: Edit | None = None

    @property
    def path(self) -> Path | None:
        """The file; None for the environment."""
        return Path(self.place) if self.place is not None else None

    @property
    def safe(self) -> bool:
        """Whether `--fix` mends it."""
        return self.edit is not None

    def report(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "code": self.code,
            "name": self.name,
            "file": self.place,
            "cell": self.cell,
            "line": self.line if self.place is not None else None,
            "column": self.column if self.place is not None else None,
            "why": self.why,
            "mend": self.mend,
            "safe": self.safe,
        }


class Hit(NamedTuple):
    """Where a rule applies.

    Args:
        node: what stands there.
        words: what the rule's texts name in braces.
        edit: the safe mend, if there is one here.
        mend: instead of the rule's, where another is better.
    """

    node: ast.AST
    words: dict[str, str]
    edit: Edit | None = None
    mend: str | None = None


def hit(node: ast.AST, edit: Edit | None = None, mend: str | None = None, **words: str) -> Hit:
    """Make a `Hit`; the words are keywords."""
    return Hit(node, words, edit, mend)


Check = Callable[["SourceFile"], Iterable[Hit]]


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Args:
        code: "PS" and three digits: 0 files, 1 transformers 4 and 5, 2 publishing, 3 the environment.
        name: a few words with hyphens.
        why: what breaks; a format string.
        mend: what to do; a format string.
        safe: whether some of its mends are safe, for `--fix`.
        check: finds it in a file; None for rules that look at something else than one file's source.
        words: identifiers one of which stands in every file that the check can be about; none if it may be any file.
    """

    code: str
    name: str
    why: str
    mend: str
    safe: bool = False
    check: Check | None = None
    words: frozenset[bytes] = frozenset()


RULES: dict[str, Rule] = {}
_BESIDE_RULES = {b"register_pipeline", b"post_init", b"all_tied_weights_keys"} | GUARD_WORDS  # asked for besides
LOOKED_FOR: dict[bytes, bytes] = {}  # words that mean something only with another text in the same statement


def rule(
    code: str, name: str, why: str, mend: str, *, words: Iterable[str] = (), beside: str = "", safe: bool = False
) -> Callable[[Check], Check]:
    """Enter a function into the table of rules; the arguments are those of `Rule`.

    Statements with one of the words are looked at; with `beside`, those with that text, if the file has such a word.
    """

    def enter(check: Check) -> Check:
        RULES[code] = Rule(code, name, why, mend, safe, check, frozenset(word.encode() for word in words))
        if beside:
            LOOKED_FOR.update(dict.fromkeys(RULES[code].words, beside.encode()))
        return check

    return enter


@functools.cache
def words_of_rules() -> frozenset[bytes]:
    """Return the words of all rules; asked for when all are entered."""
    return frozenset(_BESIDE_RULES).union(*(row.words for row in RULES.values()))


def add_rule(code: str, name: str, why: str, mend: str) -> Rule:
    """Enter a rule that has no function of one file."""
    return RULES.setdefault(code, Rule(code, name, why, mend))


def found(code: str, path: Path | None, line: int = 1, column: int = 1, **words: str) -> Finding:
    """Make the finding of a rule that has no function of one file."""
    row = RULES[code]
    place = str(path) if path is not None else None
    return Finding(code, row.name, row.why.format(**words), row.mend.format(**words), place, line, column)
