"""How fast a pipeline is here: rows a second of the engine and of transformers at fixed batch sizes, in turn.

Every way runs the same rows in the same process, once a turn, each turn from another start: what else the machine does
then meets all of them. Not here: reading inputs, printing, and the benchmarks that a release quotes
(`tests/benchmarks/engine.py`).
"""

from __future__ import annotations

import copy
import datetime
import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pipesmith.pipelines.engine import EngineOptions, Row, RowResult, run
from pipesmith.pipelines.errors import InputError, PipeError
from pipesmith.pipelines.jobs import to_row
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.names import counted
from pipesmith.pipelines.parameters import check_parameters
from pipesmith.pipelines.records.columns import ColumnMap
from pipesmith.pipelines.records.media.inputs import MediaInputs
from pipesmith.pipelines.records.record import MAX_ROW_BYTES, Record
from pipesmith.pipelines.targets import LoadOptions, Target
from pipesmith.pipelines.user_code import describe

if TYPE_CHECKING:
    from pipesmith.pipelines.signature import Signature

BATCH_SIZES = (1, 8, 32)
# Student's t for a two-sided 95% interval, by degrees of freedom from 1; 1.96 is a little too small beyond.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_T_OF_MANY = 2.12


@dataclass(frozen=True)
class Estimate:
    """A figure that was measured several times.

    Args:
        mean: the geometric mean.
        low, high: its 95% interval, Student's t on logarithms; None if it was measured once.
    """

    mean: float
    low: float | None = None
    high: float | None = None

    def report(self) -> dict[str, float | None]:
        """Return it for programs."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    def interval(self, form: str) -> str:
        """Write the interval, each end in a format; "" if there is none."""
        return f"{self.low:{form}} to {self.high:{form}}" if self.low is not None and self.high is not None else ""


@dataclass(frozen=True)
class Way:
    """One way to run the rows, and how fast it was.

    Args:
        batch_size: that transformers was given; None for the engine, which finds its own.
        seconds: of each run.
        rows: of a run.
        ratio: how many times as fast as this the engine is, compared within each turn; None for the engine itself.
        error: why it cannot be run; then nothing is measured.
    """

    batch_size: int | None
    seconds: tuple[float, ...] = ()
    rows: int = 0
    ratio: Estimate | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """What a reader knows it by."""
        return "pipesmith" if self.batch_size is None else f"transformers, batch_size {self.batch_size}"

    @property
    def rate(self) -> Estimate | None:
        """Rows a second; None if it cannot be run."""
        return _estimate([self.rows / seconds for seconds in self.seconds]) if self.seconds else None

    def report(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "name": self.name,
            "batch_size": self.batch_size,
            "rows_per_second": self.rate.report() if self.rate else None,
            "pipesmith_is_times_as_fast": self.ratio.report() if self.ratio else None,
            "seconds": list(self.seconds),
            "error": self.error,
        }


@dataclass(frozen=True)
class Comparison:
    """What was measured, on which machine.

    Args:
        rows: of a run.
        failed: rows that were left out, because the pipeline fails on them.
        first_error: of the first of these.
        ways: the engine first.
        machine: cores, threads, versions, device, dtype and the date.
    """

    TABLE: ClassVar = ("", "rows/s", "95% interval", "pipesmith is")

    rows: int
    failed: int
    first_error: PipeError | None
    ways: tuple[Way, ...]
    machine: Mapping[str, Any]

    def report(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "rows": self.rows,
            "failed": self.failed,
            "first_error": self.first_error.message if self.first_error else None,
            "ways": [way.report() for way in self.ways],
            "machine": dict(self.machine),
        }

    def table(self) -> list[list[str]]:
        """Return a line for each way, its cells as TABLE heads them."""
        lines = []
        for way in self.ways:
            if way.rate is None:
                lines.append([way.name, "-", "-", f"cannot be run: {way.error}"])
                continue
            times = f"{way.ratio.mean:.2f} times as fast" if way.ratio else ""
            interval = way.ratio.interval(".2f") if way.ratio else ""
            lines.append(
                [
                    way.name,
                    f"{way.rate.mean:.1f}",
                    way.rate.interval(".1f") or "-",
                    times + f" ({interval})" * bool(interval),
                ]
            )
        return lines

    def about(self) -> str:
        """Return sentences on what was run, where, and what was left out."""
        of = self.machine
        text = (
            f"{counted(self.rows, 'row')}, {counted(len(self.ways[0].seconds), 'run')} of each; {of['device']},"
            f" {of['dtype']}, {counted(of['cores'], 'core')}, {counted(of['torch_threads'], 'thread')}, transformers"
            f" {of['transformers']}, {of['date']}."
        )
        if self.first_error is not None:
            left_out = counted(self.failed, "row")
            text += f"\nLeft out because of errors: {left_out}; the first: {self.first_error.message}"
        return text


def measure(
    target: Target,
    options: LoadOptions,
    parameters: Mapping[str, Any],
    signature: Signature | None,
    records: Iterable[Record],
    columns: ColumnMap | None,
    *,
    asked: bool = False,
    repeat: int = 5,
) -> Comparison:
    """Load a task, and measure how fast it runs what is read; see `compare`.

    Args:
        target: what `resolve` found.
        options: how to load it; its `notify` is told what is being done as well.
        parameters: of every row's call; a row's own come before them.
        signature: the task's, if it can be known without running it.
        records: the rows as they are read.
        columns: which column is what; None if there are no rows.
        asked: whether the user typed the inputs; see `MediaInputs`.
        repeat: how many runs of each are counted.

    Raises:
        PipeError: the task cannot be loaded, there are no rows, or the pipeline fails on all of them.
    """
    notify = options.notify
    pipe = load(target, options)
    for text in check_parameters(pipe, parameters, [one.name for one in signature.parameters] if signature else []):
        notify(text)
    prepare = MediaInputs(pipe, kind=target.entry.type, allow_private_urls=False, asked=asked, limit=MAX_ROW_BYTES)
    # Read and prepared beforehand: neither is measured.
    rows = [to_row(record, number, columns, parameters, prepare) for number, record in enumerate(records, 1)]
    if not rows:
        raise InputError("There are no rows to measure with.", hint="Name a file that has some: --input FILE")
    return compare(pipe, rows, repeat=repeat, progress=notify, notify=notify)


def compare(
    pipe: Any,
    rows: Sequence[Row],
    *,
    repeat: int = 5,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    progress: Callable[[str], None] = lambda text: None,
    notify: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Measure how fast a pipeline runs rows: the engine with no options, and transformers at fixed batch sizes.

    Args:
        pipe: a live transformers.Pipeline.
        rows: what is run; rows on which the pipeline fails are left out.
        repeat: how many runs of each are counted; one more warms up.
        batch_sizes: that transformers is given.
        progress: told what is being done.
        notify: told what cannot be batched, and why; see `engine.run`.

    Returns:
        The ways, the engine first. A batch size at which transformers fails says why.

    Raises:
        PipeError: the pipeline fails on every row.
    """
    progress("Warming up ...")
    good, errors = _sorted_out(pipe, rows, notify)
    runs: dict[int | None, Callable[[], object]] = {None: lambda: _engine(pipe, good)}
    failures: dict[int | None, str] = {}
    for size in batch_sizes:
        theirs = _Transformers(pipe, good, size)
        try:
            theirs.warm_up()
        except (Exception, SystemExit) as error:  # of transformers or a user's code: that is what is to be known
            failures[size] = _reason(error)
        else:
            runs[size] = theirs
    seconds: dict[int | None, list[float]] = {size: [] for size in runs}
    told = 0
    way: int | None
    for way, turn in _turns(list(runs), repeat):
        if way in failures:
            continue
        if turn > told:
            progress(f"Turn {turn} of {repeat} ...")
            told = turn
        try:
            seconds[way].append(_timed(runs[way]))
        except PipeError:
            raise
        except (Exception, SystemExit) as error:
            failures[way] = _reason(error)
    ours = seconds[None]
    ways = [Way(None, tuple(ours), len(good))]
    for size in batch_sizes:
        if size in failures:
            ways.append(Way(size, error=failures[size]))
        else:
            taken = seconds[size]
            ratio = _estimate([b / a for a, b in zip(ours, taken)])
            ways.append(Way(size, tuple(taken), len(good), ratio))
    return Comparison(len(good), len(errors), errors[0] if errors else None, tuple(ways), _machine(pipe))


def _sorted_out(pipe: Any, rows: Sequence[Row], notify: Callable[[str], None]) -> tuple[list[Row], list[PipeError]]:
    """Run the rows once, which warms up; return those that have a result, and the errors of the others."""
    good: list[Row] = []
    errors: list[PipeError] = []
    for result in _results(pipe, rows, notify):
        if result.error is None:
            good.append(rows[len(good) + len(errors)])
        else:
            errors.append(result.error)
    if not good:
        raise errors[0]
    return good, errors


def _results(pipe: Any, rows: Sequence[Row], notify: Callable[[str], None] | None = None) -> Iterator[RowResult]:
    fresh = (replace(row, inputs=_copied(row.inputs)) for row in rows)
    return run(pipe, fresh, options=EngineOptions(live=False), notify=notify)


def _engine(pipe: Any, rows: Sequence[Row]) -> None:
    for result in _results(pipe, rows):
        if result.error is not None:
            raise result.error


class _Transformers:
    """transformers' own pipeline on rows, at one batch size."""

    def __init__(self, pipe: Any, rows: Sequence[Row], batch_size: int) -> None:
        self._pipe = pipe
        self._rows = rows
        self._batch_size = batch_size
        self._one_call = all(row.parameters == rows[0].parameters for row in rows)
        self._as_dataset = True

    def warm_up(self) -> None:
        """Run one batch; whatever the pipeline raises tells that it cannot be run so."""
        if not self._one_call and self._batch_size > 1:
            raise _NotComparableError("rows have parameters of their own, and transformers takes one set for a call.")
        rows = self._rows[: self._batch_size]
        try:
            self._run(rows)
        except Exception as error:
            self._as_dataset = False  # a class's own __call__ may take a list only
            try:
                self._run(rows)
            except Exception:
                raise error from None

    def __call__(self) -> None:
        self._run(self._rows)

    def _run(self, rows: Sequence[Row]) -> None:
        if not self._one_call:
            for row in rows:
                self._pipe(_copied(row.inputs), **row.parameters)
            return
        inputs = [_copied(row.inputs) for row in rows]
        given = _dataset(inputs) if self._as_dataset else inputs
        results = self._pipe(given, batch_size=self._batch_size, **rows[0].parameters)
        count = sum(1 for _ in results)
        if count != len(rows):
            raise _NotComparableError(f"it returns {count} results for {len(rows)} rows.")


class _NotComparableError(Exception):
    """What transformers does with the rows cannot be compared; its text is the reason."""


def _dataset(inputs: Sequence[Any]) -> Any:
    from torch.utils.data import Dataset

    class Inputs(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return len(inputs)

        def __getitem__(self, index: int) -> Any:
            return inputs[index]

    return Inputs()


def _copied(inputs: Any) -> Any:
    """Return an input that a stage may take apart: some pop keys from what they are given."""
    return copy.copy(inputs) if isinstance(inputs, dict) else inputs


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, _NotComparableError) else f"{describe(error)}."


def _turns(sizes: Sequence[int | None], repeat: int) -> Iterator[tuple[int | None, int]]:
    """Yield every way once a turn, each turn from another start."""
    for turn in range(repeat):
        first = turn % len(sizes)
        for size in (*sizes[first:], *sizes[:first]):
            yield size, turn + 1


def _timed(run: Callable[[], object]) -> float:
    """Return the wall-clock seconds of a run."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _estimate(values: Sequence[float]) -> Estimate:
    logs = [math.log(value) for value in values]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return Estimate(math.exp(mean))
    t = _T[len(logs) - 2] if len(logs) - 2 < len(_T) else _T_OF_MANY
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def _machine(pipe: Any) -> dict[str, Any]:
    import torch
    import transformers

    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": str(getattr(pipe, "device", "cpu")),
        "dtype": str(getattr(pipe.model, "dtype", "")).removeprefix("torch."),
    }
