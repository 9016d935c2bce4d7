"""Windows: which rows are sorted by length together, and how they get from the first thread to the second.

Where a window ends follows from row counts alone (between two such ends, from the bytes of its model inputs): a run
that is taken up again at the start of a window makes the same batches. Only a live input's pause ends one early.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pipesmith.pipelines.engine.options import EngineOptions
from pipesmith.pipelines.engine.packing import Piece

_FIRST, _GROWTH = 8, 64  # rows of the first window, and how much larger the next is: the first result is there soon
_PAUSE = 0.05  # seconds without a row, after which a live input's window is run as it is
_STOP_CHECK = 0.1  # seconds between two looks at `EngineOptions.stop`
_ROW_WITHOUT_PIECES: Any = object()


def window_start(done: int, options: EngineOptions) -> int:
    """Return the row, from 0, with which the window of a row begins: where a run can be taken up again.

    Args:
        done: how many rows stand before that row.
        options: of the run.
    """
    return _window_around(done, options)[0]


def _window_around(done: int, options: EngineOptions) -> tuple[int, int]:
    """Return the first row of the window that a row lies in, from 0, and the first row after it."""
    begin, size = 0, min(options.window, options.batch_size or _FIRST)
    while size < options.window and begin + size <= done:
        begin, size = begin + size, min(options.window, _GROWTH * size)
    begin += (done - begin) // size * size
    return begin, begin + size


class Windows:
    """Preprocessed rows on their way from one thread to the next.

    `take` is the second thread's, `free` the caller's, the others are the first's. Rows are handed over
    without a lock; only a thread that waits is woken with one.

    Args:
        options: of the run.
        most_bytes: of a window's model inputs: it ends where they are more; twice as many may be under way.

    Attributes:
        is_tight: whether `wait_for_room` has to be asked before the next row is read.
    """

    def __init__(self, options: EngineOptions, most_bytes: int) -> None:
        self._live, self._stop = options.live, options.stop
        self._options = options
        self._most_bytes = most_bytes
        self._position = options.rows_before
        self._left = _window_around(self._position, options)[1] - self._position  # rows of this window
        self._bytes = 0  # of this window so far
        self._pieces: deque[Piece | None] = deque()  # None ends a window
        self._append = self._pieces.append
        self._changed = threading.Condition()
        self._complete = 0  # windows
        self._is_closed = False
        self._wants_any = False
        self._last = 0.0
        self.is_tight = False
        self._most_rows = self._room = 2 * options.window  # how many rows may be read without asking
        self._granted, self._freed_rows = self._room, 0
        self._taken_bytes = self._freed_bytes = 0
        self._wants_room = False

    # The first thread

    def wait_for_room(self) -> bool:
        """Wait until more rows may be read, a good many at once; return whether they are still wanted."""
        self.is_tight = False  # before the look at whether the run is closed
        if self._room <= 0:
            enough = max(1, self._options.window // 2)
            self._wait_until(lambda: self._freed_rows + self._most_rows - self._granted >= enough)
            self._room = self._freed_rows + self._most_rows - self._granted
            self._granted += self._room
        return self.wait_for_bytes()

    def wait_for_bytes(self) -> bool:
        """Wait until another piece of a row may be made; return whether it is still wanted."""
        if self._taken_bytes - self._freed_bytes >= 2 * self._most_bytes:
            self._wait_until(lambda: self._taken_bytes - self._freed_bytes < 2 * self._most_bytes)
        return not self._is_closed

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        with self._changed:
            self._wants_room = True
            while not (self._is_closed or is_so()):
                self._changed.wait()
            self._wants_room = False

    def add(self, piece: Piece) -> None:
        """Hand over a chunk of a row."""
        size = piece.shape.bytes
        self._append(piece)
        self._taken_bytes += size
        self._bytes += size
        if self._bytes >= self._most_bytes:
            self._end_window()

    def end_row(self, piece: Piece | None = None) -> bool:
        """Hand over a row that has one piece, or say that one is complete; return whether that ends a window."""
        if piece is None:
            self._append(_ROW_WITHOUT_PIECES)
        else:
            size = piece.shape.bytes
            self._append(piece)
            if size:
                self._taken_bytes += size
                self._bytes += size
                if self._taken_bytes - self._freed_bytes >= 2 * self._most_bytes:
                    self.is_tight = True
        self._room -= 1
        if self._room <= 0:
            self.is_tight = True
        self._left -= 1
        if not self._left:
            self._position = _window_around(self._position, self._options)[1]
            self._left = _window_around(self._position, self._options)[1] - self._position
            self._end_window()
            return True
        elif self._bytes >= self._most_bytes:
            self._end_window()
            return True
        elif self._live:
            self._last = time.monotonic()
            if self._wants_any:
                with self._changed:
                    self._changed.notify_all()
        return False

    def _end_window(self) -> None:
        self._bytes = 0
        self._append(None)
        with self._changed:
            self._complete += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Say that there are no more rows, or that none is wanted any more."""
        with self._changed:
            self._is_closed = True
            self.is_tight = True
            self._changed.notify_all()

    # The second thread

    def take(self) -> list[Piece] | None:
        """Return the pieces of the next window; None if there are no more, or the run is to stop."""
        with self._changed:
            while not (self._complete > 0 or self._is_closed):
                timeout = None if self._stop is None else _STOP_CHECK
                if self._stop is not None and self._stop.is_set():
                    return None
                if self._live:
                    self._wants_any = True  # before the look at what is there
                    if self._pieces:
                        self._wants_any = False
                        quiet = time.monotonic() - self._last
                        if quiet >= _PAUSE:
                            break
                        timeout = _PAUSE - quiet
                self._changed.wait(timeout)
            self._wants_any = False
            if not self._pieces and self._is_closed:
                return None
            found: list[Piece] = []
            while self._pieces:
                piece = self._pieces.popleft()
                if piece is None:
                    self._complete -= 1
                    break
                if piece is not _ROW_WITHOUT_PIECES:
                    found.append(piece)
            return found

    # The caller's thread

    def free(self, rows: int, size: int) -> None:
        """Say that rows have left the engine, and that model inputs (bytes) are not needed any more."""
        self._freed_rows += rows
        self._freed_bytes += size
        if self._wants_room:
            with self._changed:
                self._changed.notify_all()
