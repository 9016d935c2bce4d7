"""How far a run is, on stderr: a bar on a terminal, a line every few seconds elsewhere, and a summary at the end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from pipesmith.cli import output
from pipesmith.cli.inputs import Feed, InputOptions
from pipesmith.pipelines.engine import Statistics
from pipesmith.pipelines.names import counted

_FIRST, _EVERY = 1.0, 5.0  # seconds until anything is shown, and between lines where stderr is no terminal
_REDRAW = 0.1


class Progress:
    """Counts rows and shows the count; a context manager.

    Args:
        feed: what is read.
        inputs: which of them are taken.
        shown: whether it is shown: not where results appear on the same terminal.
    """

    def __init__(self, feed: Feed, inputs: InputOptions, *, shown: bool = True) -> None:
        self._files = feed.files
        self._total = feed.total
        self._shown = shown
        self._skip, self._limit = inputs.skip, inputs.limit
        self._began = time.monotonic()
        self._next = self._began + _FIRST
        self._bar: Any = None
        self._task: Any = None
        self._before = self._failed_before = 0
        self.done = 0
        self.failed = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, done_before: int = 0, failed_before: int = 0) -> None:
        """Begin to count time: what came before was loading. Rows of an earlier run are done already."""
        self._before = done_before
        self._failed_before = self.failed = failed_before
        self._began = time.monotonic()
        self._next = self._began + _FIRST

    @property
    def seconds(self) -> float:
        """Since the first row was asked for."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.done / max(self.seconds, 1e-9)

    def update(self, done: int, failed: int) -> None:
        """Take the count, and show it if it is time to."""
        self.done, self.failed = done, self._failed_before + failed
        now = time.monotonic()
        if now < self._next or not self._shown:
            return
        if sys.stderr.isatty() and not output.is_quiet():
            self._draw()
            self._next = now + _REDRAW
        else:
            left = self._left()
            ending = f", {_duration(left)} left" if left is not None else ""
            output.note(f"{counted(done, 'row')}, {_rate(self.rate)}{self._failures()}{ending}")
            self._next = now + _EVERY

    def summary(self, about: str) -> str:
        """Return one sentence on the whole run."""
        where = f" -> {about}" if about else ""
        return f"{counted(self.done, 'row')} in {_duration(self.seconds)} ({_rate(self.rate)}){self._failures()}{where}"

    def batches(self, done: Statistics, pipe: Any) -> str:
        """Return one sentence on how rows were batched, and in what the model ran."""
        device = {-1: "cpu", 0: "gpu"}.get(pipe.device, pipe.device)  # of TensorFlow it is a number
        where = f"{str(getattr(pipe.model, 'dtype', '')).removeprefix('torch.')} on {device}"
        if done.batches in (0, done.rows):
            return f"Row by row; {where}."
        unit = "tokens" if done.tokens else "rows"
        found = f"{counted(done.batches, 'batch', plural='batches')} of up to {done.budgets.get(unit, 0):,} {unit}"
        if done.tokens:
            rate = done.tokens / max(self.seconds, 1e-9)
            found += f", {done.padding:.0%} padding, {rate:,.0f} tokens/s"
        return f"{found}; {where}."

    def _failures(self) -> str:
        return f", {self.failed:,} failed" if self.failed else ""

    def _share(self) -> float | None:
        """Return which part of the rows is done, 0 to 1; None if nobody knows."""
        total = (self._files.total or self._files.estimate) if self._files else self._total
        if total is not None:
            total = max(0, total - self._skip)
        if self._limit is not None:
            total = min(total, self._limit) if total is not None else self._limit
        if total:
            return min(1.0, (self._before + self.done) / total)
        return self._files.fraction if self._files else None  # of what was read: rows on their way count as done

    def _left(self) -> float | None:
        share = self._share()
        if not share or share >= 1:
            return None
        before = share * self._before / max(1, self._before + self.done)  # no time was spent on these
        return self.seconds * (1 - share) / max(share - before, 1e-9)

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _new_bar()
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        share, left = self._share(), self._left()
        text = f"{counted(self.done, 'row')}, {_rate(self.rate)}{self._failures()}"
        self._bar.update(
            self._task,
            total=None if share is None else 1.0,
            completed=share or 0,
            description=f"{text}, {_duration(left)} left" if left is not None else text,
        )


def _new_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(), TextColumn("{task.description}", markup=False)
    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=True, refresh_per_second=8)


def _rate(rows: float) -> str:
    if rows < 0.1:
        return f"{rows * 60:.1f} rows/min" if rows >= 0.01 else f"{rows * 3600:.1f} rows/h"
    return f"{rows:,.0f} rows/s" if rows >= 10 else f"{rows:.1f} rows/s"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
