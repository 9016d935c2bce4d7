"""What the engine has done so far: for progress, summaries and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Statistics:
    """Counts of a run.

    Args:
        rows: pieces that went through `_forward`: rows, or chunks of rows.
        batches: how many batches they made.
        tokens: elements without padding, of inputs that have a length in tokens.
        padded_tokens: the same with padding.
        forward_seconds: spent in `_forward`.
        out_of_memory: how often memory ran out.
        budgets: padded elements of a batch by unit ("tokens" or "rows"), as they are now.
    """

    rows: int = 0
    batches: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    forward_seconds: float = 0.0
    out_of_memory: int = 0
    budgets: dict[str, int] = field(default_factory=dict)

    @property
    def padding(self) -> float:
        """The share of padding in all tokens, 0 to 1."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    def batch(self, unit: str, rows: int, cost: int, padded: int, seconds: float) -> None:
        """Count a batch."""
        self.rows += rows
        self.batches += 1
        self.forward_seconds += seconds
        if unit == "tokens":
            self.tokens += cost
            self.padded_tokens += padded
