"""`preprocess` in processes of its own (`--num-workers`), for pipelines whose preprocess is slower than the model.

The processes are forks: the live pipeline is there as it is and need not be pickled. Rows go to them in small lots, and
come back in order. What they cannot do (a row that fails, what cannot be pickled, a process that is killed) is left to
the thread that takes the rows: an error then has its own traceback, and no row is lost.

A child never uses an accelerator, which a fork cannot: transformers moves model inputs there in `forward`, in the
parent. A class that does it in `preprocess` fails in the child, and its rows are left to the parent.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import random
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pipesmith.pipelines.engine.entry import Stages, preprocess_again
from pipesmith.pipelines.engine.failures import let_through
from pipesmith.pipelines.engine.rows import Row
from pipesmith.pipelines.errors import ParameterError

_MOST_ROWS = 64  # of a lot
_QUICK, _SLOW = 0.02, 0.08  # seconds for a lot: more rows next time, or fewer
_MOST_BYTES = 2**22  # of what comes back for a lot: else fewer rows next time
_TOO_LARGE = 2**25  # bytes of one row's chunks: the parent makes them one by one, as there is room for them
_HOPELESS = 32  # so many first rows that all come back undone: it is not the rows
_PATIENCE = 0.5  # seconds for a lot in hand at the end
_PARENT_CHECK = 1.0  # seconds between two looks at whether the parent lives

Stage = Callable[[Row], tuple[Any, Stages]]
Made = tuple[Stages, list[Any]]  # what the stages are given, and the model inputs: one, or one for each chunk


class _Task:
    """A row on its way through a process.

    Attributes:
        stages: what its stages are given; there once a process has the row.
        made: its pickled model inputs; None if the row is left to the parent.
        is_done: whether it can be handed on.
    """

    __slots__ = ("is_done", "made", "row", "stages")
    stages: Stages

    def __init__(self, row: Row) -> None:
        self.row = row
        self.made: bytes | None = None
        self.is_done = row.error is not None


class Workers:
    """Processes that preprocess rows of one pipeline; made before any thread is started, since they are forks.

    Args:
        pipe: the live pipeline.
        count: how many processes.
        in_chunks: whether it makes several model inputs of a row.
        notify: told once if processes are of no use, or have died.

    Raises:
        ParameterError: the system does not allow so many processes.
    """

    def __init__(self, pipe: Any, count: int, *, in_chunks: bool, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._was_told = False
        self._processes: list[BaseProcess] = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, list[_Task]] = {}
        self._ahead: deque[_Task] = deque()  # rows that were read and not handed on, in order
        self._pending: deque[_Task] = deque()  # those of them that no process has been given
        self._most_rows = 1  # of a lot
        self._most_ahead = 2 * count  # rows
        self._good = self._undone = 0
        self._changed = threading.Condition()
        self._woken, self._wake = Pipe(duplex=False)
        self._wants_rows = False
        self._is_read = self._is_closed = False
        self._error: BaseException | None = None
        try:
            with _forking():
                for _ in range(count):
                    self._start(pipe, in_chunks)
        except BaseException as error:
            self._let_go()
            self.stop()
            if isinstance(error, OSError):
                raise ParameterError(
                    f"{count} processes for preprocess cannot be started: {error.strerror}.",
                    hint="Use fewer --num-workers.",
                ) from error
            raise

    def _start(self, pipe: Any, in_chunks: bool) -> None:
        ours, theirs = Pipe()
        foreign = [*self._idle, ours]  # a child that held them would keep others from seeing that the parent is gone
        process = get_context("fork").Process(
            target=_serve, args=(pipe, in_chunks, theirs, foreign, os.getpid()), name="preprocess", daemon=True
        )
        process.start()
        theirs.close()
        self._processes.append(process)
        self._idle.append(ours)

    def stop(self) -> None:
        """End the processes and what waits for them; from the thread that made them. What is in hand is lost."""
        self._is_closed = True
        with self._changed:
            self._changed.notify_all()
        self._wake.send_bytes(b"")
        deadline = time.monotonic() + _PATIENCE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def preprocess(self, rows: Iterable[Row], stages_of: Stage) -> Iterator[tuple[Row, Made | None]]:
        """Yield rows in order, each with what the processes made of it; None if that is left to the caller.

        Args:
            rows: taken in a thread of their own: while one is awaited, those before it go on.
            stages_of: gives what a row's `preprocess` is given.

        Raises:
            BaseException: what the rows raised, after those before it.
        """
        threading.Thread(target=self._read, args=(iter(rows),), name="rows", daemon=True).start()
        try:
            while not self._is_closed:
                self._hand_out(stages_of)
                if self._ahead and self._ahead[0].is_done:
                    task = self._ahead.popleft()
                    with self._changed:
                        self._changed.notify()
                    yield task.row, self._unpickled(task)
                elif self._is_read and not self._ahead:
                    break
                elif not self._wants_rows and (self._idle or not self._busy):
                    self._wants_rows = True  # and look again: one may have come in between
                else:
                    self._wait()
        finally:
            self._let_go()
        if self._error is not None and not self._is_closed:
            raise self._error

    def _read(self, rows: Iterator[Row]) -> None:
        try:
            while True:
                with self._changed:
                    while len(self._ahead) >= self._most_ahead and not self._is_closed:
                        self._changed.wait()
                if self._is_closed:
                    return
                row = next(rows, None)
                if row is None:
                    return
                task = _Task(row)
                self._ahead.append(task)
                if not task.is_done:
                    self._pending.append(task)
                self._say_so()
        except BaseException as error:
            self._error = error
        finally:
            self._is_read = True
            self._say_so()

    def _say_so(self) -> None:
        if self._wants_rows:
            self._wants_rows = False
            self._wake.send_bytes(b"")

    def _wait(self) -> None:
        """Wait for a process, or for a row."""
        for ready in wait([self._woken, *self._busy]):
            if ready is self._woken:
                while self._woken.poll():
                    self._woken.recv_bytes()
            elif isinstance(ready, Connection):
                self._take(ready)

    def _hand_out(self, stages_of: Stage) -> None:
        """Give idle processes what is there: a row that is awaited keeps none back."""
        if self._idle and self._undone >= _HOPELESS and not self._good:
            self._tell("Rows fail in the processes of --num-workers, or cannot be pickled")
            while self._idle:
                self._idle.pop().close()
        while self._pending and self._idle:
            share = min(self._most_rows, -(-len(self._pending) // len(self._idle)))
            tasks, given = [], []
            for task in [self._pending.popleft() for _ in range(share)]:
                try:
                    inputs, task.stages = stages_of(task.row)
                    given.append(_pickled((inputs, task.stages.preprocess)))
                except BaseException as error:  # the caller runs into it as well, and knows what to do
                    let_through(error)
                    self._leave(task)
                else:
                    tasks.append(task)
            if tasks:
                connection = self._idle.pop()
                self._busy[connection] = tasks
                try:
                    connection.send_bytes(pickle.dumps(given))
                except OSError:
                    self._lose(connection)
        while self._pending and not self._busy and not self._idle:
            self._leave(self._pending.popleft())

    def _take(self, connection: Connection) -> None:
        """Take what a process made of a lot."""
        try:
            answer = connection.recv_bytes()
        except (EOFError, OSError):
            self._lose(connection)
            return
        seconds, made = pickle.loads(answer)
        tasks = self._busy.pop(connection)
        self._idle.insert(0, connection)
        for task, lot in zip(tasks, made):
            if lot is None:
                self._leave(task)
            else:
                task.made, task.is_done = lot, True
                self._good += 1
        too_much = max(seconds / _SLOW, len(answer) / _MOST_BYTES)
        if too_much > 1:
            self._most_rows = max(1, int(self._most_rows / too_much))
        elif seconds < _QUICK and len(tasks) == self._most_rows:
            self._most_rows = min(_MOST_ROWS, 2 * self._most_rows)
        self._most_ahead = 2 * len(self._processes) * self._most_rows

    def _leave(self, task: _Task) -> None:
        """Leave a row to the caller."""
        task.is_done = True
        self._undone += 1

    def _lose(self, connection: Connection) -> None:
        """Leave the rows of a process that has ended to the caller."""
        if not self._is_closed:
            self._tell("A process of --num-workers was killed (out of memory?) with rows in hand")
        connection.close()
        for task in self._busy.pop(connection):
            task.is_done = True

    def _let_go(self) -> None:
        """Close our ends, which ends the processes."""
        for connection in (*self._idle, *self._busy):
            connection.close()

    def _tell(self, what: str) -> None:
        if not self._was_told:
            self._was_told = True
            self._notify(f"{what}: they are preprocessed in the main process.")

    def _unpickled(self, task: _Task) -> Made | None:
        if task.made is None:
            return None
        try:
            return task.stages, [pickle.loads(chunk) for chunk in pickle.loads(task.made)]
        except Exception:  # a class of the user's that does not come back from where it went
            return None


@contextmanager
def _forking() -> Iterator[None]:
    """Fork quietly: Ctrl-C is for the parent, and neither Python nor tokenizers need to warn of threads."""
    name = "TOKENIZERS_PARALLELISM"
    is_set = name in os.environ
    os.environ.setdefault(name, "false")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until a child ignores it
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of other threads' locks: those of torch and tokenizers are for their own threads, which
            # a child does not use.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if not is_set:
            del os.environ[name]


# The child


def _serve(pipe: Any, in_chunks: bool, connection: Connection, foreign: Sequence[Connection], parent: int) -> None:
    """Preprocess lots of rows until the parent closes its end."""
    import numpy as np
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for other in foreign:
        other.close()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)  # OpenMP's threads do not outlive a fork, and processes are what there are several of
    np.random.seed(random.getrandbits(32))  # `random` is seeded anew by itself: else all processes draw the same
    torch.default_generator.manual_seed(random.getrandbits(63))
    with suppress(EOFError, OSError):  # the parent has closed its end, or is gone
        while True:
            given = pickle.loads(connection.recv_bytes())
            began = time.perf_counter()
            made = [_made(pipe, in_chunks, one) for one in given]
            connection.send_bytes(pickle.dumps((time.perf_counter() - began, made)))


def _end_with(parent: int) -> None:
    """End the process with its parent, even if it is busy, and even if the parent was killed."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os._exit(1)


def _made(pipe: Any, in_chunks: bool, given: bytes) -> bytes | None:
    """Return what `preprocess` makes of a row; None if the parent is to do it, whatever the reason."""
    try:
        inputs, parameters = pickle.loads(given)
        if not in_chunks:
            try:
                model_inputs = pipe.preprocess(inputs, **parameters)
            except Exception:
                model_inputs = preprocess_again(pipe.preprocess, inputs, parameters)
            return pickle.dumps([_pickled(model_inputs)])
        chunks: list[bytes] = []
        size = 0
        for chunk in pipe.preprocess(inputs, **parameters):
            chunks.append(_pickled(chunk))
            size += len(chunks[-1])
            if size > _TOO_LARGE:
                return None
        return pickle.dumps(chunks)
    except BaseException:
        return None


# Values from one process to another: torch's own way, through shared memory, runs out of file descriptors; and its
# pickles take ten times as long as those of numpy.


def _pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _reducers()
    pickler.dump(value)
    return stream.getvalue()


@cache
def _reducers() -> Mapping[Any, Callable[[Any], Any]]:
    import torch

    return {**copyreg.dispatch_table, torch.Tensor: _reduced}


def _reduced(tensor: Any) -> Any:
    try:
        if tensor.is_contiguous():
            return _tensor, (tensor.numpy(),)
    except (TypeError, RuntimeError):  # numpy has no such numbers, or it is elsewhere
        pass
    return tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _tensor(array: Any) -> Any:
    import torch

    return torch.tensor(array)  # a copy: in memory of torch's own, aligned as it would be
