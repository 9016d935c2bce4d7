"""Rows through a pipeline in batches: three threads, one a stage, and results in the order of the rows.

The first thread takes rows and preprocesses them, the second packs windows of them into batches and runs these, and the
caller's own thread runs postprocess and hands results out. No stage runs twice at once: tokenizers are not made for it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.engine.budget import Budget
from pipesmith.pipelines.engine.entry import Entry, Stages
from pipesmith.pipelines.engine.failures import row_error
from pipesmith.pipelines.engine.forward import Forward
from pipesmith.pipelines.engine.model_inputs import ROWS, TOKENS, shape_of
from pipesmith.pipelines.engine.options import EngineOptions
from pipesmith.pipelines.engine.packing import Piece, pack
from pipesmith.pipelines.engine.rows import Row, RowResult
from pipesmith.pipelines.engine.statistics import Statistics
from pipesmith.pipelines.errors import PipeError

_FIRST_WINDOW, _GROWTH = 1, 4  # rows: the first result is there soon
_WINDOW_BYTES = 64 * 2**20  # of model inputs: fewer rows a window where a row is large
_PAUSE = 0.05  # seconds without a row, after which a live input's window is run as it is
_START = {TOKENS: 512, ROWS: 4}  # best for texts on 2 cores; found anew while the run goes on
_START_ON_ACCELERATOR = {TOKENS: 8192, ROWS: 16}


@dataclass(eq=False)
class _Work:
    """A row under way."""

    row: Row
    stages: Stages | None = None
    outputs: list[Any] = field(default_factory=list)
    missing: int = 0
    tokens: int | None = None
    error: BaseException | None = None
    is_done: bool = False


def run_in_batches(
    pipe: Any,
    rows: Iterable[Row],
    entry: Entry,
    options: EngineOptions,
    statistics: Statistics,
    notify: Callable[[str], None],
) -> Iterator[RowResult]:
    """Yield one result for each row, in order; see `engine.run`."""
    run = _Run(pipe, rows, entry, options, statistics, notify)
    try:
        yield from run.results()
    finally:
        run.stop()


class _Run:
    def __init__(
        self,
        pipe: Any,
        rows: Iterable[Row],
        entry: Entry,
        options: EngineOptions,
        statistics: Statistics,
        notify: Callable[[str], None],
    ) -> None:
        from transformers.pipelines.base import ChunkPipeline

        self._pipe = pipe
        self._rows = rows
        self._entry = entry
        self._options = options
        self._statistics = statistics
        self._in_chunks = isinstance(pipe, ChunkPipeline)
        self._budgets = _budgets(pipe, options)
        self._forward = Forward(pipe, self._budgets, statistics, notify)
        self._window = options.window
        self._parameter_sets: list[Mapping[str, Any]] = []
        self._pieces = 0
        self._order: deque[_Work | BaseException] = deque()  # rows in their order, until they are handed out
        self._arrived = _Arrivals()
        self._done: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False at the end
        self._stopped = threading.Event()
        self._room = threading.Semaphore(2 * options.window)
        self._threads = [
            threading.Thread(target=self._preprocess_all, name="preprocess", daemon=True),
            threading.Thread(target=self._forward_all, name="forward", daemon=True),
        ]

    def results(self) -> Iterator[RowResult]:
        for thread in self._threads:
            thread.start()
        goes_on = True
        while goes_on:
            goes_on = self._done.get()
            while self._order:
                first = self._order[0]
                if isinstance(first, BaseException):
                    raise first
                if not first.is_done:
                    break
                self._order.popleft()
                self._room.release()
                yield self._finish(first)

    def stop(self) -> None:
        """End the threads: forward after its batch; a reader that waits for a row ends with the process."""
        self._stopped.set()
        self._arrived.close()
        for _ in range(2):
            self._room.release()
        if self._threads[1].ident is not None:
            self._threads[1].join()
            self._threads[0].join(timeout=0.5)

    # The first thread

    def _preprocess_all(self) -> None:
        try:
            for row in self._rows:
                self._room.acquire()
                if self._stopped.is_set():
                    return
                work = _Work(row)
                self._order.append(work)
                self._arrived.add(self._preprocess(work))
        except BaseException as error:  # of the caller's own rows: raised in its thread, after the rows before it
            self._order.append(error)
        finally:
            self._arrived.close()

    def _preprocess(self, work: _Work) -> list[Piece]:
        """Return a row's model inputs; none if it is done already, by failing."""
        row = work.row
        if row.error is not None:
            work.is_done = True
            return []
        try:
            stages = work.stages = self._entry.stages(row)
            given = self._pipe.preprocess(stages.inputs, **stages.preprocess)
            chunks = list(given) if self._in_chunks else [given]
        except (Exception, SystemExit) as error:  # a user's code raises what it likes; the row carries it
            work.error, work.is_done = error, True
            return []
        forward = self._interned(stages.forward)
        work.outputs = [None] * len(chunks)
        work.missing = len(chunks)
        work.is_done = not chunks
        pieces = []
        for place, chunk in enumerate(chunks):
            pieces.append(Piece(self._pieces, work, place, chunk, shape_of(chunk), forward))
            self._pieces += 1
        if pieces:
            work.tokens = max(piece.shape.length for piece in pieces)
            if self._pieces == len(pieces):
                self._limit_window(sum(piece.shape.bytes for piece in pieces))
        return pieces

    def _limit_window(self, row_bytes: int) -> None:
        """Let a window hold fewer rows where a row is large, judged by the first."""
        self._window = max(1, min(self._window, _WINDOW_BYTES // max(1, row_bytes)))
        for _ in range(2 * (self._options.window - self._window)):
            self._room.acquire(blocking=False)

    def _interned(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return equal parameters as one object: rows share a batch only if theirs are."""
        for known in self._parameter_sets:
            if known is parameters or _equal(known, parameters):
                return known
        self._parameter_sets = [parameters, *self._parameter_sets[:50]]
        return parameters

    # The second thread

    def _forward_all(self) -> None:
        size = min(self._window, self._options.batch_size or _FIRST_WINDOW)
        pause = _PAUSE if self._options.live else None
        try:
            while not self._stopped.is_set():
                window = self._arrived.take(size, pause)
                if window is None:
                    break
                if self._stopped.is_set():
                    break
                self._run_window([piece for pieces in window for piece in pieces])
                size = min(self._window, _GROWTH * size)
        except BaseException as error:  # a bug of ours: not to be lost in a thread
            self._order.appendleft(error)
        finally:
            self._done.put(False)

    def _run_window(self, pieces: list[Piece]) -> None:
        self._forward.say_why_alone()
        self._done.put(True)  # rows that failed before may stand first
        left = dict.fromkeys(pieces)
        while left and not self._stopped.is_set():
            for batch in pack(left, self._next_budget, self._most(), same_length=not self._forward.pads):
                for piece in batch.pieces:
                    del left[piece]
                changed = self._forward.run(batch, self._take)
                self._done.put(True)
                if self._stopped.is_set() or (changed and left):
                    break
        for unit, budget in self._budgets.items():
            self._statistics.budgets[unit] = budget.size

    def _next_budget(self, unit: str) -> int:
        return self._budgets[unit].next()

    def _most(self) -> int | None:
        return self._options.batch_size if self._forward.batches else 1

    def _take(self, piece: Piece, output: Any, error: BaseException | None) -> None:
        work: _Work = piece.owner
        if error is not None:
            work.error = work.error or error
        work.outputs[piece.place] = output
        piece.model_inputs = None
        work.missing -= 1
        work.is_done = not work.missing

    # The caller's thread

    def _finish(self, work: _Work) -> RowResult:
        row = work.row
        if row.error is not None:
            return RowResult(row, error=row.error)
        if work.error is not None:
            return RowResult(row, error=self._explained(row, work.error, work.tokens))
        assert work.stages is not None
        try:
            if self._in_chunks:
                for output in work.outputs:
                    if isinstance(output, dict) or hasattr(output, "pop"):
                        output.pop("is_last", None)
                outputs: Any = work.outputs
            else:
                outputs = work.outputs[0]
            return RowResult(row, self._pipe.postprocess(outputs, **work.stages.postprocess))
        except (Exception, SystemExit) as error:
            return RowResult(row, error=self._explained(row, error, work.tokens))

    def _explained(self, row: Row, error: BaseException, tokens: int | None) -> PipeError:
        return row_error(self._pipe, row.inputs, row.parameters, error, tokens=tokens)


class _Arrivals:
    """Preprocessed rows on their way from one thread to the next."""

    def __init__(self) -> None:
        self._rows: deque[list[Piece]] = deque()
        self._changed = threading.Condition()
        self._wanted = 0
        self._closed = False
        self._last = 0.0

    def add(self, pieces: list[Piece]) -> None:
        with self._changed:
            self._rows.append(pieces)
            self._last = time.monotonic()
            if self._wanted and (len(self._rows) >= self._wanted or len(self._rows) == 1):
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, count: int, pause: float | None) -> list[list[Piece]] | None:
        """Return the next rows: so many, fewer at the end or after a pause (seconds); None if there are no more."""
        with self._changed:
            self._wanted = count
            while len(self._rows) < count and not self._closed:
                if pause is None or not self._rows:
                    self._changed.wait()
                    continue
                quiet = time.monotonic() - self._last
                if quiet >= pause:
                    break
                self._changed.wait(pause - quiet)
            self._wanted = 0
            if not self._rows:
                return None
            return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]


def _budgets(pipe: Any, options: EngineOptions) -> dict[str, Budget]:
    start = _START if getattr(pipe.device, "type", "cpu") == "cpu" else _START_ON_ACCELERATOR
    budgets = {unit: Budget(size, smallest=16 if unit == TOKENS else 1) for unit, size in start.items()}
    if options.batch_tokens is not None:
        budgets[TOKENS] = Budget(options.batch_tokens, is_fixed=True)
    if options.batch_size is not None:
        everything = 2**31
        budgets = {TOKENS: budgets[TOKENS], ROWS: Budget(options.batch_size, is_fixed=True)}
        if options.batch_tokens is None:
            budgets[TOKENS] = Budget(everything, is_fixed=True)
    return budgets


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and tensors compare element by element
        return False
