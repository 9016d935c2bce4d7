"""What a check says: pass, fail, warn or not applicable, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pipesmith.pipelines.testing.contract.subject import Subject

Outcome = Literal["pass", "fail", "warn", "not applicable"]


@dataclass(frozen=True)
class Verdict:
    """What a check function returns; None stands for a plain pass.

    Args:
        outcome: how it ends.
        reason: a sentence.
        at: file:line in the user's file, "" if no line is to blame.
        expected, got: what was compared, "" if nothing was.
        value: what the runner wants back; not shown.
    """

    outcome: Outcome
    reason: str = ""
    at: str = ""
    expected: str = ""
    got: str = ""
    value: Any = None


def fail(reason: str, *, at: str = "", expected: str = "", got: str = "") -> Verdict:
    """Return a verdict that breaks the contract."""
    return Verdict("fail", reason, at, expected, got)


def warn(reason: str, *, at: str = "", expected: str = "", got: str = "") -> Verdict:
    """Return a verdict that a person should read, and that fails nothing."""
    return Verdict("warn", reason, at, expected, got)


def not_applicable(reason: str) -> Verdict:
    """Return a verdict of a check that says nothing about this pipeline."""
    return Verdict("not applicable", reason)


@dataclass(frozen=True)
class Check:
    """One rule of the contract.

    Args:
        name: in kebab-case; `[tool.pipe.tasks.TASK.contract]` switches it off by this name.
        why: the sentence why the rule matters.
        hint: how a pipeline that breaks it is usually mended.
        function: takes the subject; returns its verdict, None for a pass.
        needs_run: whether it calls the pipeline; the others read its source.
        patience: how many times the time limit it has: another process may have to import its libraries first.
    """

    name: str
    why: str
    hint: str
    function: Callable[[Subject], Verdict | None]
    needs_run: bool = True
    patience: float = 1.0


CHECKS: dict[str, Check] = {}


def check(
    name: str, *, why: str, hint: str, needs_run: bool = True, patience: float = 1.0
) -> Callable[[Callable[[Subject], Verdict | None]], Callable[[Subject], Verdict | None]]:
    """Make a function a check; `checks/__init__.py` sets the order."""

    def register(function: Callable[[Subject], Verdict | None]) -> Callable[[Subject], Verdict | None]:
        CHECKS[name] = Check(name, why, hint, function, needs_run, patience)
        return function

    return register


@dataclass(frozen=True)
class CheckResult:
    """How a check ended for a task.

    Args:
        task: the task, as it was asked for.
        name: of the check.
        outcome: pass, fail, warn or not applicable.
        why, hint: of the check; the hint is more exact where the reason is.
        reason: a sentence; "" for a plain pass.
        location: file:line in the user's file, "" if no line is to blame.
        expected, got: what was compared.
        seconds: how long it took.
    """

    task: str
    name: str
    outcome: Outcome
    why: str = ""
    hint: str = ""
    reason: str = ""
    location: str = ""
    expected: str = ""
    got: str = ""
    seconds: float = 0.0

    def report(self) -> dict[str, Any]:
        """Return it for programs."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}
