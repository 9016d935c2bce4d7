"""How rows are batched; nothing of it has to be given."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass

from pipesmith.pipelines.errors import ParameterError

WINDOW = 1024  # rows


@dataclass(frozen=True)
class EngineOptions:
    """How rows are batched.

    Args:
        batch_size: rows of a batch at most; found while running if None.
        batch_tokens: padded tokens of a batch at most; found while running if None. Given, nothing depends on time
            any more: two runs over the same rows make the same batches, unless memory runs out or the input is live.
        window: rows that are sorted by length together, at most.
        is_deterministic: whether rows run one by one, in the caller's thread.
        live: whether rows may be long in coming: then what is there is run when they pause.
        row_timeout: seconds after which a row is given up; rows then run one by one.
        num_workers: processes that preprocess; 0 for a thread of this one. What `preprocess` draws at random, and what
            it leaves behind on the pipeline, differs with them; nothing else does.
        rows_before: how many rows an earlier run has done: windows are counted from there; see `window_start`.
        stop: once it is set, the batch in hand is finished, what is complete and in order is yielded, and the run ends.

    Raises:
        ParameterError: a number is none that rows can be batched with, or processes are asked for where they cannot be
            had.
    """

    batch_size: int | None = None
    batch_tokens: int | None = None
    window: int = WINDOW
    is_deterministic: bool = False
    live: bool = True
    row_timeout: float | None = None
    num_workers: int = 0
    rows_before: int = 0
    stop: threading.Event | None = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("batch_tokens", 1), ("window", 1), ("num_workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ParameterError(f"{name} is {value}.", hint=f"It is {least} or more.")
        # They are forks of a process that has a model. macOS can fork, but its own libraries may not be used after it.
        if self.num_workers and (not hasattr(os, "fork") or sys.platform == "darwin"):
            raise ParameterError("--num-workers needs Linux: this system cannot fork safely.", hint="Leave it out.")
