"""What `pipe test` found: a table of tasks and checks, and for each failure why it matters and how to mend it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipesmith.cli import options, output
from pipesmith.pipelines.names import counted

if TYPE_CHECKING:
    from pipesmith.pipelines.testing.contract import CheckResult

_CELLS = {"pass": "pass", "fail": "FAIL", "warn": "warn", "not applicable": "-"}
_EVERY = 5.0  # seconds between two lines where stderr is no terminal


def split_arguments(given: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Part the command line's words at the `--` before pytest's own."""
    words = sys.argv[1:]
    after = words[words.index("--") + 1 :] if "--" in words else []
    count = len(given) - len(after)
    return list(given[:count]), tuple(after)


def shown(results: Iterable[CheckResult], *, verbose: bool) -> Iterator[CheckResult]:
    """Hand results on, and show on stderr how far the run is."""
    done: Counter[str] = Counter()
    said = time.monotonic()
    with output.status("Testing ...") as change:
        for result in results:
            done[result.outcome] += 1
            if verbose:
                output.note(f"{result.task} {result.name}: {result.outcome} ({result.seconds:.1f} s)")
            text = f"{counted(sum(done.values()), 'check')} done, {done['fail']} failed; the last: {result.name}"
            change(text)
            if not sys.stderr.isatty() and not verbose and time.monotonic() - said > _EVERY:
                output.note(text)
                said = time.monotonic()
            yield result


def print_results(tasks: Sequence[str], results: Sequence[CheckResult], format: options.ReportFormat) -> None:
    """Print the table, and what is to be said of each check that did not pass."""
    tasks = list(dict.fromkeys([*tasks, *(result.task for result in results)]))
    counts = Counter(result.outcome for result in results)
    if format is options.ReportFormat.json:
        summary = {name: counts[name] for name in ("pass", "fail", "warn", "not applicable")}
        output.print_json({"results": [result.report() for result in results], "summary": summary})
        return
    found = {(result.task, result.name): _CELLS[result.outcome] for result in results}
    names = dict.fromkeys(result.name for result in results)
    output.print_table(["check", *tasks], [[name, *(found.get((task, name), "") for task in tasks)] for name in names])
    for result in results:
        if result.outcome == "warn":
            output.print_text(f"\n{_head(result)}")
    for result in results:
        if result.outcome == "fail":
            output.print_text(f"\n{_head(result)}")
            if result.expected or result.got:
                output.print_text(f"    expected  {result.expected}\n    got       {result.got}")
            output.print_text(f"    Why it matters: {result.why}\n    How to mend it: {result.hint}")
    left_out = f", {counts['not applicable']} not applicable" if counts["not applicable"] else ""
    output.note(f"{counts['pass']} passed, {counts['fail']} failed, {counted(counts['warn'], 'warning')}{left_out}.")


def _head(result: CheckResult) -> str:
    place = f"{output.short_place(result.location)}: " if result.location else ""
    word = "FAIL" if result.outcome == "fail" else "warn"
    return f"{word} {result.task}, {result.name}: {place}{result.reason or 'no word'}"
