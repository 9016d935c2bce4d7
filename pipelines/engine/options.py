"""How rows are batched; nothing of it has to be given."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 1024  # rows


@dataclass(frozen=True)
class EngineOptions:
    """How rows are batched.

    Args:
        batch_size: rows of a batch at most; found while running if None.
        batch_tokens: padded tokens of a batch at most; found while running if None.
        window: rows that are sorted by length together, at most.
        is_deterministic: whether rows run one by one, in the caller's thread.
        live: whether rows may be long in coming: then what is there is run when they pause.
        row_timeout: seconds after which a row is given up; rows then run one by one.
    """

    batch_size: int | None = None
    batch_tokens: int | None = None
    window: int = WINDOW
    is_deterministic: bool = False
    live: bool = True
    row_timeout: float | None = None
