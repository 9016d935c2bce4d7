"""A limit to how long a row may take."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipesmith.pipelines.errors import InputError


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End what runs inside after a time.

    In the main thread an alarm ends it even while it waits for the network; in another thread, and where there are no
    alarms, it ends at its next step in Python. What a library computes in C++ ends first: the limit counts after it.

    Args:
        seconds: None for no limit.

    Raises:
        InputError: the time is over.
    """
    if seconds is None:
        yield
        return
    error = InputError(
        f"The row takes longer than {seconds:g} s.", hint="--row-timeout gives it more, or leave it out."
    )
    in_main_thread = threading.current_thread() is threading.main_thread()
    alarm = _alarm if in_main_thread and hasattr(signal, "setitimer") else _exception_in_thread
    try:
        with alarm(seconds):
            yield
    except _TimeOverError:
        raise error from None


class _TimeOverError(BaseException):
    """The time is over; no `except Exception` of a user's code swallows it."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        raise _TimeOverError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _exception_in_thread(seconds: float) -> Iterator[None]:
    thread = threading.get_ident()
    lock = threading.Lock()
    running = True

    def ring() -> None:
        with lock:
            if running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_TimeOverError))

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            running = False
        timer.cancel()
