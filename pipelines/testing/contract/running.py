"""The checks of one pipeline, each in a fork of its own, and what becomes of them."""

from __future__ import annotations

import os
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import ContractError, PipeError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.testing.contract import checks
from pipesmith.pipelines.testing.contract.comparing import shown
from pipesmith.pipelines.testing.contract.examples import KNOWN_VALUES, LONG, Candidate, candidates, values_of
from pipesmith.pipelines.testing.contract.isolation import Ended, Job, Send, Sent, run_isolated
from pipesmith.pipelines.testing.contract.results import (
    CHECKS,
    Check,
    CheckResult,
    Verdict,
    check,
    fail,
    not_applicable,
    warn,
)
from pipesmith.pipelines.testing.contract.subject import RowFailedError, Subject, source_file
from pipesmith.pipelines.user_code import describe, user_line

_GROUPS = checks.__all__  # importing them has filled CHECKS
_NETWORK = "the network is closed in tests"


@check(
    "loads",
    why="A pipeline that cannot be loaded can do nothing else.",
    hint="Mend the line that is named; `pipe run` shows the same error.",
    needs_run=False,
)
def loads(subject: Subject) -> Verdict | None:
    """Pass: the subject is there. What cannot be loaded never comes here."""
    return None


@check(
    "runs",
    why="Ten rows of its kind, from one word to three sentences, are the least that a pipeline takes.",
    hint="Mend the line that is named. If the pipeline takes another kind of input, name some under "
    "[tool.pipe.tasks.TASK] in pyproject.toml: examples = [...].",
)
def runs(subject: Subject) -> Verdict | None:
    """Pass: `choose_examples` has run ten rows."""
    return None


@check(
    "prints-nothing",
    why="stdout belongs to the program that calls the pipeline: a printed line in between spoils its JSON.",
    hint="Take the print out, or use logging.",
)
def prints_nothing(subject: Subject) -> Verdict | None:
    """Pass: the runner looks at what was printed while ten rows ran."""
    return None


def ordered_checks() -> list[Check]:
    """Return all checks in the order of reports."""
    first = ["loads", "runs", "prints-nothing"]
    return [CHECKS[name] for name in first] + [one for name, one in CHECKS.items() if name not in first]


def require_checks(names: Iterable[str], where: str = "") -> None:
    """Refuse a name that no check has.

    Args:
        names: of checks.
        where: they are written, for the message.

    Raises:
        ContractError: there is no such check.
    """
    known = [one.name for one in ordered_checks()]
    for name in names:
        if name not in known:
            raise ContractError(
                f"{where}: there is no check {name!r}." if where else f"There is no check {name!r}.",
                hint=near_miss(name, known) or f"The checks are {', '.join(known)}.",
            )


def run_checks(
    subject: Subject,
    *,
    examples: list[Any] | None = None,
    off: Mapping[str, str] | None = None,
    only: Callable[[str], bool] | None = None,
    time_limit: float = 60.0,
    together: int | None = None,
) -> Iterator[CheckResult]:
    """Run the checks and yield how each ends, as it ends.

    Args:
        subject: the pipeline; with `pipe` None only the checks of source are run.
        examples: inputs to use; made from the task's type if None.
        off: checks that are switched off, and why.
        only: tells which checks are wanted, by name; all if None.
        time_limit: seconds for each check.
        together: how many run at a time; one a core if None.
    """
    off = off or {}
    wanted = [one for one in ordered_checks() if one.name not in off and (only is None or only(one.name))]
    for name, reason in off.items():
        if name in CHECKS and (only is None or only(name)):
            yield _result(subject, CHECKS[name], not_applicable(f"switched off: {reason}"), 0.0)
    with tempfile.TemporaryDirectory(prefix="pipesmith-examples-") as folder:
        why_not = "it does not load" if subject.pipe is None else ""
        if subject.pipe is not None:
            if any(one.name == "loads" for one in wanted):
                yield _result(subject, CHECKS["loads"], None, 0.0)
            kinds = _kinds(subject, examples)
            verdict, ended = _in_a_fork(subject, kinds, Path(folder), time_limit)
            if verdict.outcome == "pass":
                kind, subject.parameters = verdict.value
                subject.inputs = list(kinds[kind].make(Path(folder)))
            else:
                why_not = "it does not run"
            for one in wanted:
                if one.name == "runs":
                    yield _result(subject, one, None if verdict.outcome == "pass" else verdict, ended.seconds)
                if one.name == "prints-nothing" and not why_not:
                    yield _result(subject, one, _printed(subject, ended.printed), 0.0)
        done = {"loads", "runs"} if why_not != "it does not load" else {"loads"}
        done |= set() if why_not else {"prints-nothing"}
        rest = [one for one in wanted if one.name not in done]
        for one in rest:
            if one.needs_run and why_not:
                yield _result(subject, one, not_applicable(why_not), 0.0)
        jobs = [_job(subject, one, time_limit) for one in _slowest_first(rest) if not (one.needs_run and why_not)]
        verdicts: dict[str, Verdict | None] = {}
        for name, event in run_isolated(jobs, together=together or os.cpu_count() or 1):
            if isinstance(event, Sent):
                verdicts[name] = event.value
            else:
                yield _result(subject, CHECKS[name], _verdict(subject, name, verdicts, event), event.seconds)


def _slowest_first(wanted: list[Check]) -> list[Check]:
    return sorted(wanted, key=lambda one: one.name not in ("pt-equals-tf", "save-and-load"))


def _result(subject: Subject, one: Check, verdict: Verdict | None, seconds: float) -> CheckResult:
    verdict = verdict or Verdict("pass")
    result = CheckResult(subject.task, one.name, verdict.outcome, one.why, one.hint, seconds=seconds)
    at = _in_its_own_folder(subject, verdict.at)
    return replace(result, reason=verdict.reason, location=at, expected=verdict.expected, got=verdict.got)


def _in_its_own_folder(subject: Subject, place: str) -> str:
    """Name a checkpoint's own file, of which transformers runs a copy in its cache."""
    file, _, line = place.rpartition(":")
    own = source_file(subject)
    is_copy = own is not None and "transformers_modules" in Path(file).parts and own.name == Path(file).name
    return f"{own}:{line}" if is_copy else place


def _job(subject: Subject, one: Check, limit: float) -> Job:
    def run(send: Send) -> None:
        prepare()
        send(_judged(subject, one))

    return Job(one.name, run, limit * one.patience)


# Checks that compare results of several calls: where results are drawn at random, `deterministic` alone says so.
_COMPARE = {
    "batched-equals-single",
    "save-and-load",
    "list-equals-generator",
    "keeps-order",
    "no-fixed-dtype",
    "bad-row",
}
_COMPARE |= {"construction-equals-call", "defaults-stay", "falsy-values", "no-leak", "bfloat16"}


def _judged(subject: Subject, one: Check) -> Verdict | None:
    verdict = _found(subject, one)
    if verdict is None or verdict.outcome != "fail" or one.name not in _COMPARE or " runs row by row" in verdict.reason:
        return verdict
    try:
        is_random = subject.is_random()
    except Exception:  # what fails has been said
        return verdict
    return not_applicable("results are drawn at random: deterministic says more") if is_random else verdict


def _found(subject: Subject, one: Check) -> Verdict | None:
    """Run a check; what a user's code raises in it is the user's, wherever the check did not expect it."""
    try:
        return one.function(subject)
    except RowFailedError as failed:
        cause = failed.error.__cause__
        return fail(
            f"row {failed.number} fails: {failed.error.message.partition(chr(10))[0]}",
            at=user_line(cause) if cause is not None else subject.place(),
        )
    except (Exception, SystemExit) as error:
        place = user_line(error)
        if place:
            return fail(describe(error), at=place)
        return warn(f"the check could not be finished: {describe(error)} ({_last_line(error)})")


def _last_line(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _verdict(subject: Subject, name: str, verdicts: Mapping[str, Verdict | None], ended: Ended) -> Verdict | None:
    if name in verdicts:
        return verdicts[name]
    if ended.error:
        return warn(f"the check could not be finished: {ended.error.strip().splitlines()[-1]}")
    return fail(ended.how or "it ends the process", at=subject.place())


def _printed(subject: Subject, printed: str) -> Verdict | None:
    if not printed.strip():
        return None
    first = printed.strip().partition("\n")[0]
    return fail("the pipeline prints", at=subject.place(), expected="nothing on stdout", got=shown(first))


# ---- Examples -----------------------------------------------------------------------------------------------------


def _kinds(subject: Subject, examples: list[Any] | None) -> list[Candidate]:
    if examples:
        return [Candidate("the examples of pyproject.toml", lambda folder: examples)]
    kind = subject.entry.type if subject.entry is not None else "text"
    task = subject.task if subject.entry is None else subject.entry.task
    base = subject.signature.transformers_base if subject.signature is not None else None
    if not subject.is_transformers_own and base is not None:
        from pipesmith.pipelines.targets import entry_of_transformers_class

        entry = entry_of_transformers_class(base)
        task = entry.task if entry is not None else task
    return candidates(kind, task, subject.signature, subject.pipe)


def _in_a_fork(subject: Subject, kinds: list[Candidate], folder: Path, limit: float) -> tuple[Verdict, Ended]:
    """Find the kind of input that the pipeline takes, and parameters that it cannot do without."""

    def run(send: Send) -> None:
        prepare()
        send(_choose(subject, kinds, folder))

    verdict, ended = None, Ended("", "", 0.0)
    for _, event in run_isolated([Job("runs", run, limit)]):
        if isinstance(event, Ended):
            ended = event
        else:
            verdict = event.value
    if verdict is None:
        how = ended.how or (ended.error.strip().splitlines() or ["it ends the process"])[-1]
        verdict = fail(how, at=subject.place())
    return verdict, ended


def examples_of(subject: Subject, pipe: Any, given: Sequence[Any] | None, folder: Path) -> list[Any]:
    """Return inputs that a pipeline takes.

    Args:
        subject: what its source says.
        pipe: a live one.
        given: inputs to use; made from the task's type if None.
        folder: for files.

    Raises:
        ContractError: it takes none of those that are known.
    """
    subject = replace(subject, pipe=pipe)
    kinds = _kinds(subject, list(given) if given else None)
    chosen = _choose(subject, kinds, folder)
    if chosen.outcome != "pass":
        raise ContractError(chosen.reason)
    kind, _ = chosen.value
    return list(kinds[kind].make(folder))


def _choose(subject: Subject, kinds: list[Candidate], folder: Path) -> Verdict:
    first: Verdict | None = None
    parameters = {**needed_parameters(subject), **subject.parameters}
    for number, candidate in enumerate(kinds):
        try:
            inputs = list(candidate.make(folder))
        except ImportError as error:
            first = first or fail(f"{candidate.kind} need a package: {describe(error)}")
            continue
        subject.inputs, subject.parameters = inputs, parameters
        found = subject.results(subject.rows()[:1])[0]
        if found.error is None:
            results = subject.results(subject.rows())
            if candidate.kind == LONG and any(result.error is not None for result in results):
                continue
            for place, result in enumerate(results, 1):
                if result.error is not None:
                    return _failed(candidate, place, result.error)
            return Verdict("pass", value=(number, parameters))
        first = first or _failed(candidate, 1, found.error)
    return first or fail("no input is known for it")


def _failed(candidate: Candidate, place: int, error: PipeError) -> Verdict:
    cause = error.__cause__
    where = user_line(cause) if cause is not None else ""
    reason = error.message.partition("\n")[0].rstrip(".")
    if _NETWORK in reason:
        reason = f"it needs the network ({_NETWORK})"
    return fail(f"row {place} of ten {candidate.kind} fails: {reason}", at=where, expected="a result", got="an error")


def needed_parameters(subject: Subject) -> dict[str, Any]:
    """Return values for parameters that a call cannot do without."""
    known = {one.name for one in subject.own_parameters}
    found = {name: value for name, value in KNOWN_VALUES.items() if name in known and name == "candidate_labels"}
    for one in subject.own_parameters:
        if one.required and one.name not in found:
            values = values_of(one)
            if values:
                found[one.name] = values[0]
    return found


def prepare() -> None:
    """Have one thread, since those of the parent are gone in a fork, and no network."""
    import torch

    torch.set_num_threads(1)
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and host not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"{_NETWORK}: {host}")
        connect(self, address)

    def find_nothing(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "::1", "localhost", None):
            return find(host, *arguments, **options)
        raise OSError(f"{_NETWORK}: {host}")

    find = socket.getaddrinfo
    socket.socket.connect = refuse  # type: ignore[method-assign,assignment]
    socket.getaddrinfo = find_nothing
