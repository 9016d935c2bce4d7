"""Functions run in forks of this process: each with a time limit, and none can take the others down.

A fork begins with all that is imported and loaded here, so it costs milliseconds; what user code does there (state
that it keeps, text that it prints, an exit, an endless loop) ends with it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import selectors
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipesmith.pipelines.errors import ContractError

Send = Callable[[Any], None]
_HEADER = struct.Struct("!Q")
_PR_SET_PDEATHSIG = 1
_POLL = 0.5  # seconds
_KEPT = 2000  # characters of what it printed


@dataclass(frozen=True)
class Job:
    """A function for a process of its own.

    Args:
        name: names it in what is yielded.
        function: takes `send`, which hands a value to the parent.
        limit: seconds until it is ended; None for no limit.
        limit_ends: whether the limit is until the first value only.
    """

    name: str
    function: Callable[[Send], None]
    limit: float | None
    limit_ends: bool = False


@dataclass(frozen=True)
class Sent:
    """A value that a job has sent."""

    value: Any


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Args:
        how: "" if its function returned, else a sentence: it took too long, or ended the process.
        printed: what it wrote to stdout, shortened.
        seconds: how long it took.
        error: the traceback of an exception of ours; "" if there was none.
    """

    how: str
    printed: str
    seconds: float
    error: str = ""


def run_isolated(jobs: Iterable[Job], *, together: int = 1) -> Iterator[tuple[str, Sent | Ended]]:
    """Run jobs, some at a time, and yield what they send and how they end, as it comes.

    Raises:
        ContractError: this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise ContractError("Contract checks need a system that can fork.", hint="Run them on Linux, or in WSL.")
    waiting, running = list(jobs), dict[int, _Child]()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < together:
                    child = _Child(waiting.pop(0), running.values())
                    running[child.fd] = child
                    selector.register(child.fd, selectors.EVENT_READ)
                for key, _ in selector.select(_POLL):
                    child = running[key.fd]
                    if child.read():
                        yield from ((child.job.name, Sent(value)) for value in child.take())
                    else:
                        child.is_over = True
                for child in list(running.values()):
                    if child.is_over or child.is_late():
                        del running[child.fd]
                        selector.unregister(child.fd)
                        yield child.job.name, child.end()
        finally:
            for child in running.values():
                child.end()


def in_copy(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a fork, where nothing that it leaves behind is seen here.

    Args:
        function: what it returns can be pickled.

    Raises:
        Exception: the one that it raised.
        ContractError: it ended the process.
    """
    outcome: Any = None

    def run(send: Send) -> None:
        try:
            send((function(), None))
        except Exception as error:
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:  # an exception class of a user may refuse to be pickled
                error = RuntimeError(str(error))
            send((None, error))

    for _, event in run_isolated([Job("copy", run, None)]):
        if isinstance(event, Sent):
            outcome = event.value
        elif outcome is None:
            raise ContractError(event.how or event.error.strip().rpartition("\n")[2])
    value, error = outcome
    if error is not None:
        raise error
    return value


class _Child:
    def __init__(self, job: Job, siblings: Iterable[_Child]) -> None:
        self.job = job
        self.is_over = False
        self._began = time.monotonic()
        self._deadline = None if job.limit is None else self._began + job.limit
        self._data = bytearray()
        self._error = ""
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the job ends
        self.fd, write = os.pipe()
        sys.stdout.flush()
        gc.freeze()  # collecting in a fork would copy every page
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12: forks of processes with threads
            self._pid = os.fork()
        if self._pid == 0:
            for sibling in siblings:
                os.close(sibling.fd)
            os.close(self.fd)
            _run_in_child(job, write, self._printed)
        os.close(write)

    def read(self) -> bool:
        data = os.read(self.fd, 1 << 20)
        self._data += data
        return bool(data)

    def take(self) -> Iterator[Any]:
        while len(self._data) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._data)
            if len(self._data) < _HEADER.size + size:
                return
            content = bytes(self._data[_HEADER.size : _HEADER.size + size])
            del self._data[: _HEADER.size + size]
            kind, value = pickle.loads(content)
            if kind == "error":
                self._error = value
                continue
            if self.job.limit_ends:
                self._deadline = None
            yield value

    def is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def end(self) -> Ended:
        """Wait for the process, or kill it and all that it started, and say how it ended."""
        late = not self.is_over
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)  # what it started, too: its pid stays ours until it is waited for
        _, status = os.waitpid(self._pid, 0)
        os.close(self.fd)
        with self._printed as file:
            file.seek(0)
            printed = file.read(_KEPT).decode(errors="replace")
        how = f"it takes longer than {self.job.limit:g} s" if late and self.job.limit else _how_it_ended(status)
        return Ended(how, printed, time.monotonic() - self._began, self._error)


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == _DONE or (code == -signal.SIGKILL):  # killed by us once its pipe was closed
        return ""
    if code < 0:
        return f"it ends the process by signal {signal.Signals(-code).name}"
    return f"it ends the process with exit code {code}"


_DONE = 77  # the exit code of a job whose function has returned: user code that exits with 0 is noticed


def _run_in_child(job: Job, write: int, printed: IO[bytes]) -> None:
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody would wait for its results
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    os.dup2(printed.fileno(), 1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.set_inheritable(write, False)

    def send(value: Any, kind: str = "value") -> None:
        content = pickle.dumps((kind, value))
        view = memoryview(_HEADER.pack(len(content)) + content)
        while view:
            view = view[os.write(write, view) :]

    try:
        job.function(send)
    except BaseException:
        send(traceback.format_exc(), "error")
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(_DONE)
