"""Rows through a pipeline in batches: three threads, one a stage, and results in the order of the rows.

The first thread takes rows and preprocesses them, the second packs windows of them into batches and runs these, and the
caller's own thread runs postprocess and hands results out. No stage runs twice at once: tokenizers are not made for it.
Rows pass from thread to thread by the window and by the batch: a hand-over costs more than a small row does.

On a processor the threads wait for a reason: there the model computes on every core, and a stage beside it delays it by
more than the stage takes. The caller's thread runs all stages, window by window, until what is not forward (the
caller's own time as well) is worth a thread, or forever if rows cost next to nothing.
"""

from __future__ import annotations

import operator
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.engine.budget import budgets, is_cpu
from pipesmith.pipelines.engine.entry import Entry, preprocess_again
from pipesmith.pipelines.engine.failures import let_through, row_error
from pipesmith.pipelines.engine.forward import Forward
from pipesmith.pipelines.engine.model_inputs import Shapes
from pipesmith.pipelines.engine.openmp import release_threads
from pipesmith.pipelines.engine.options import EngineOptions
from pipesmith.pipelines.engine.packing import Piece, pack
from pipesmith.pipelines.engine.rows import Row, RowResult
from pipesmith.pipelines.engine.statistics import Statistics
from pipesmith.pipelines.engine.weight import Scale
from pipesmith.pipelines.engine.windows import Windows
from pipesmith.pipelines.engine.work import Chunk, Work
from pipesmith.pipelines.errors import PipeError

if TYPE_CHECKING:
    from pipesmith.pipelines.engine.workers import Made, Workers

_WINDOW_BYTES, _WINDOW_BYTES_ON_ACCELERATOR = 64 * 2**20, 256 * 2**20  # of model inputs, and of results
_AHEAD = 3  # lots of batches that have been through forward and not through postprocess
_FLUSH = 0.002  # seconds: batches that take less are handed on together
_CHEAP = 1e-4  # seconds for all stages of a row: below it, threads wait for each other longer than they work
_SMALL = 0.15  # the share of time that is not forward's: below it, threads win nothing on a processor
_WARM_UP = 0.005  # seconds beside both
_LOT = 64  # rows that are handed out before others may be read in their place


_Delivery = tuple[Sequence[Any], Sequence[Any], "BaseException | None"]  # pieces, outputs, or why they failed


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
        yield from chain.from_iterable(run.results())
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
        self._budgets = budgets(pipe, options)
        self._forward = Forward(pipe, self._budgets, statistics, notify, self._deliver)
        self._most_bytes = _WINDOW_BYTES if is_cpu(pipe) else _WINDOW_BYTES_ON_ACCELERATOR
        self._windows = Windows(options, self._most_bytes)
        self._scale = Scale()
        self._shapes = Shapes()
        self._numbered: Iterator[tuple[int, Any]] | None = None  # of rows that are taken window by window
        self._order: deque[Work] = deque()  # rows in their order, until they are handed out
        self._is_read = False  # every row
        self._is_inline = False  # the caller's thread runs all stages
        self._aside = 0.0  # seconds of stages other than forward, then
        self._rows_error: BaseException | None = None  # of the caller's own rows: raised after those before it
        self._error: BaseException | None = None  # a bug of ours: not to be lost in a thread
        self._outgoing: list[_Delivery] = []
        self._flushed = 0.0
        self._delivered: queue.SimpleQueue[list[_Delivery] | None] = queue.SimpleQueue()  # None at the end
        self._ahead = threading.Semaphore(_AHEAD)
        self._stopped = threading.Event()
        self._workers = self._new_workers(notify) if options.num_workers else None
        self._threads = [
            threading.Thread(target=self._preprocess_all, name="preprocess", daemon=True),
            threading.Thread(target=self._forward_all, name="forward", daemon=True),
        ]

    def stop(self) -> None:
        """End the threads: forward after its batch; a reader that waits for a row ends with the process."""
        self._stopped.set()
        self._windows.close()
        if self._workers is not None:
            self._workers.stop()
        self._ahead.release()
        for thread, patience in zip(self._threads, (0.5, None)):
            if thread.ident is not None:
                thread.join(patience)

    def _new_workers(self, notify: Callable[[str], None]) -> Workers:
        from pipesmith.pipelines.engine.workers import Workers

        return Workers(self._pipe, self._options.num_workers, in_chunks=self._in_chunks, notify=notify)

    # The first thread

    def _prepared(self) -> Iterable[Any]:
        """Return the rows; where processes preprocess, each with what one made of it, or None."""
        if self._workers is None:
            return self._rows
        return self._workers.preprocess(self._rows, self._entry.stages)

    def _preprocess_all(self, *, window: bool = False) -> None:
        """Preprocess the rows, or those of one `window`."""
        try:
            if self._in_chunks:
                self._preprocess_chunks()
            else:
                self._preprocess_rows(window)
        except BaseException as error:
            self._rows_error, self._is_read = error, True
        finally:
            if self._is_read or not window:
                self._windows.close()

    def _preprocess_rows(self, window: bool) -> None:
        windows, stages_of, shape_of = self._windows, self._entry.stages, self._shapes.of
        preprocess, is_alone = self._pipe.preprocess, self._workers is None
        end_row, append = windows.end_row, self._order.append
        made: Made | None = None
        for number, row in self._numbered or enumerate(self._prepared()):
            if not is_alone:
                row, made = row
            if windows.is_tight and not windows.wait_for_room():
                return
            work = Work(row, number)
            append(work)
            if row.error is not None:
                work.is_done = True
                if end_row() and window:
                    return
                continue
            try:
                if made is None:
                    inputs, stages = stages_of(row)
                    try:
                        model_inputs = preprocess(inputs, **stages.preprocess)
                    except Exception:
                        model_inputs = preprocess_again(preprocess, inputs, stages.preprocess)
                else:
                    stages, (model_inputs,) = made
                work.model_inputs = model_inputs
                work.shape = shape_of(model_inputs)
            except BaseException as error:  # a user's code raises what it likes; the row carries it
                let_through(error)
                work.error, work.is_done = error, True
                if end_row() and window:
                    return
                continue
            work.stages, work.forward = stages, stages.forward
            if end_row(work) and window:
                return
        self._is_read = True

    def _preprocess_chunks(self) -> None:
        windows, shape_of, number = self._windows, self._shapes.of, 0
        made: Made | None = None
        for row in self._prepared():
            if not windows.wait_for_room():
                return
            if self._workers is not None:
                row, made = row
            work = Work(row, number)
            work.outputs, place = {}, 0
            self._order.append(work)
            if row.error is None:
                try:
                    if made is None:
                        inputs, work.stages = self._entry.stages(row)
                        chunks = self._pipe.preprocess(inputs, **work.stages.preprocess)
                    else:
                        work.stages, chunks = made
                    for chunk in chunks:
                        windows.add(Chunk(work, place, number, chunk, shape_of(chunk)))
                        place, number = place + 1, number + 1
                        if not windows.wait_for_bytes():
                            return
                except BaseException as error:  # a user's code raises what it likes; the row carries it
                    let_through(error)
                    work.error = error
            work.chunks = place
            windows.end_row()

    # The second thread

    def _forward_all(self) -> None:
        try:
            while not self._is_stopped():
                pieces = self._windows.take()
                if pieces is None:
                    break
                self._forward.say_why_alone()
                for part in self._parts(pieces):
                    for _ in self._run_window(part):
                        pass
                self._flush()  # without a piece as well: rows that failed before may stand first
        except BaseException as error:
            self._error = error
        finally:
            self._flush()
            self._delivered.put(None)

    def _run_window(self, pieces: list[Piece]) -> Iterator[None]:
        """Run the batches of a window, one a step."""
        is_packed_anew = True
        while is_packed_anew and not self._is_stopped():
            is_packed_anew = False
            batches = pack(pieces, self._next_budget, self._most(), same_length=not self._forward.pads)
            for number, batch in enumerate(batches, 1):
                changed = self._forward.run(batch)
                yield
                if self._is_stopped():
                    return
                if changed and number < len(batches):
                    left = [piece for later in batches[number:] for piece in later.pieces]
                    pieces, is_packed_anew = sorted(left, key=lambda piece: piece.order), True
                    break
        for unit, budget in self._budgets.items():
            self._statistics.budgets[unit] = budget.size

    def _parts(self, pieces: list[Piece]) -> Iterable[list[Piece]]:
        """Part a window whose results are heavy; not where equal runs are to make equal batches."""
        return [pieces] if self._options.batch_tokens else self._scale.parts(pieces, self._most_bytes)

    def _is_stopped(self) -> bool:
        return self._stopped.is_set() or (self._options.stop is not None and self._options.stop.is_set())

    def _next_budget(self, unit: str) -> int:
        return self._budgets[unit].next()

    def _most(self) -> int | None:
        return self._options.batch_size if self._forward.batches else 1

    def _deliver(self, pieces: Sequence[Piece], outputs: Sequence[Any], error: BaseException | None) -> None:
        """Hand pieces on to the caller's thread, small batches together."""
        if self._is_inline:
            began = time.perf_counter()
            self._take(pieces, outputs, error)
            self._aside += time.perf_counter() - began
            return
        self._outgoing.append((pieces, outputs, error))
        if time.monotonic() - self._flushed > _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if not self._stopped.is_set():
            self._ahead.acquire()  # waits if the caller's thread is far behind
            self._delivered.put(self._outgoing)
        self._outgoing, self._flushed = [], time.monotonic()

    # The caller's thread

    def results(self) -> Iterator[list[RowResult]]:
        """Yield what is ready, lot by lot: a generator's step for every row is a good part of what a row costs."""
        if is_cpu(self._pipe) and not (self._options.live or self._in_chunks or self._workers):
            yield from self._inline()
        if not (self._is_read or self._is_stopped()):
            yield from self._handed_over()
        if self._error is not None:
            raise self._error
        if self._rows_error is not None and not self._is_stopped():
            raise self._rows_error

    def _inline(self) -> Iterator[list[RowResult]]:
        """Run windows in this thread until threads are worth it."""
        self._is_inline, self._numbered = True, enumerate(self._rows)
        count, seconds = 0, 0.0  # of all windows: one that had to wait for the processor says little
        started = time.perf_counter()
        while not (self._is_read or self._is_stopped()):
            began = time.perf_counter()
            self._preprocess_all(window=True)
            self._aside += time.perf_counter() - began
            count += len(self._order)
            for part in self._parts(self._windows.take() or []):
                self._forward.say_why_alone()
                for _ in self._run_window(part):
                    seconds += time.perf_counter() - began
                    yield from self._ready()
                    began = time.perf_counter()
            yield from self._ready()
            aside = self._aside + time.perf_counter() - started - seconds
            if seconds > _WARM_UP + _CHEAP * count and aside > _WARM_UP + _SMALL * seconds:
                break
        self._is_inline = False

    def _handed_over(self) -> Iterator[list[RowResult]]:
        """Run what is left in three threads."""
        if is_cpu(self._pipe):
            release_threads()
        for thread in self._threads:
            thread.start()
        while (delivered := self._delivered.get()) is not None:
            while delivered:
                self._take(*delivered.pop(0))  # and it is let go of: outputs may be large
            self._ahead.release()
            yield from self._ready()
        yield from self._ready()

    def _take(self, pieces: Sequence[Any], outputs: Sequence[Any], error: BaseException | None) -> None:
        accept = self._accept_chunks if self._in_chunks else self._accept
        accept(pieces, outputs, error)
        self._windows.free(0, sum([piece.shape.bytes for piece in pieces]))

    def _ready(self) -> Iterator[list[RowResult]]:
        """Yield the rows that are done, up to the first that is not; others may be read in their place then."""
        order, ready = self._order, []
        is_done = self._finish_chunks if self._in_chunks else _is_done
        while order and is_done(order[0]):
            work = order.popleft()
            if work.error is None:
                ready.append(RowResult(work.row, work.result, work.row.error))
            else:
                ready.append(RowResult(work.row, None, self._explained(work, work.error)))
            if len(ready) == _LOT:
                yield ready
                self._windows.free(_LOT, 0)
                ready = []
        yield ready
        self._windows.free(len(ready), 0)

    def _accept(self, pieces: Sequence[Work], outputs: Sequence[Any], error: BaseException | None) -> None:
        """Postprocess rows at once, in whatever order they come: their outputs may be large."""
        postprocess = self._pipe.postprocess
        for work, output in zip(pieces, outputs):
            work.model_inputs = None
            work.is_done = True
            if error is not None:
                work.error = error
                continue
            try:
                work.result = postprocess(output, **work.stages.postprocess)
            except BaseException as raised:  # a user's code raises what it likes; the row carries it
                let_through(raised)
                work.error = raised
        self._scale.weigh(work.result, work)

    def _accept_chunks(self, pieces: Sequence[Chunk], outputs: Sequence[Any], error: BaseException | None) -> None:
        for piece, output in zip(pieces, outputs):
            work = piece.owner
            piece.model_inputs = None
            work.outputs[piece.place] = output
            work.error = work.error or error
        self._scale.weigh(output, piece)

    def _finish_chunks(self, work: Work) -> bool:
        """Postprocess a row if all its chunks are there; return whether they are."""
        if work.chunks is None or len(work.outputs) < work.chunks:
            return False
        outputs = [work.outputs[place] for place in range(work.chunks)]
        work.outputs = {}
        if work.error is not None or work.row.error is not None:
            return True
        try:
            for output in outputs:
                if isinstance(output, dict) or hasattr(output, "pop"):
                    output.pop("is_last", None)
            work.result = self._pipe.postprocess(outputs, **work.stages.postprocess)
        except BaseException as error:  # a user's code raises what it likes; the row carries it
            let_through(error)
            work.error = error
        return True

    def _explained(self, work: Work, error: BaseException) -> PipeError:
        tokens = work.tokens or getattr(getattr(work, "shape", None), "tokens", 0)
        return row_error(self._pipe, work.row.inputs, work.row.parameters, error, tokens=tokens)


_is_done = operator.attrgetter("is_done")
