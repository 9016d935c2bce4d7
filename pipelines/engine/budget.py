"""How much goes into a batch: found by measuring, while the run goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pipesmith.pipelines.engine.model_inputs import ROWS, TOKENS
from pipesmith.pipelines.engine.options import EngineOptions

_GAIN = 1.08  # a change must be worth it: measurements are noisy
_TRIAL_BATCHES, _TRIAL_SECONDS = 3, 0.03  # of either side, at least; or
_MANY_BATCHES = 16  # where they take next to no time
_REST = 50  # batches until the neighbours are tried again
_FULL = 0.7  # a batch that is emptier says nothing of its budget
_START = {TOKENS: 768, ROWS: 8}  # best for texts and small pictures on 2 cores; found anew while the run goes on
_START_ON_ACCELERATOR = {TOKENS: 8192, ROWS: 16}
_SMALLEST, _LARGEST = {TOKENS: 16, ROWS: 1}, {TOKENS: 2**12, ROWS: 2**12}
_LARGEST_ON_ACCELERATOR = {TOKENS: 2**20, ROWS: 2**12}  # on a processor more tokens take memory and win nothing
_ANY = 2**31


@dataclass
class _Measured:
    seconds: float = 0.0
    speeds: list[float] = field(default_factory=list)

    def add(self, cost: int, seconds: float) -> None:
        self.seconds += seconds
        self.speeds.append(cost / max(seconds, 1e-9))

    @property
    def is_enough(self) -> bool:
        return len(self.speeds) >= (_TRIAL_BATCHES if self.seconds >= _TRIAL_SECONDS else _MANY_BATCHES)

    @property
    def speed(self) -> float:
        """The median: a batch now and then waits for another thread."""
        return median(self.speeds)


@dataclass
class Budget:
    """Padded elements of a batch, tuned by doubling and halving.

    In a trial, batches of two budgets alternate along the rows sorted by length, so that both see the same rows; the
    faster one in elements a second stays.

    Args:
        size: where to begin; all there is if it is fixed.
        is_fixed: whether it stays.
        smallest: it does not become smaller.
        largest: nor larger; running out of memory lowers it.
    """

    size: int
    is_fixed: bool = False
    smallest: int = 1
    largest: int = 2**20
    _rival: int | None = None
    _upwards: bool = True
    _misses: int = 0
    _rest: int = 0
    _turn: bool = False
    _measured: dict[int, _Measured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.is_fixed:
            self._challenge()

    def next(self) -> int:
        """Return the budget of the next batch."""
        if self._rival is None:
            return self.size
        self._turn = not self._turn
        return self._rival if self._turn else self.size

    def measure(self, budget: int, padded: int, cost: int, seconds: float) -> bool:
        """Take the time of a batch.

        Args:
            budget: which it was packed to.
            padded: elements that it had, padding included.
            cost: elements without padding.
            seconds: that it took.

        Returns:
            Whether the budget has changed, so that what is not run yet should be packed anew.
        """
        if self.is_fixed:
            return False
        if self._rival is None:
            self._rest -= 1
            if self._rest > 0:
                return False
            self._challenge()
            return True
        if budget in self._measured and padded >= _FULL * budget:
            self._measured[budget].add(cost, seconds)
        ours, theirs = self._measured[self.size], self._measured[self._rival]
        if not (ours.is_enough and theirs.is_enough):
            return False
        if theirs.speed > ours.speed * _GAIN:
            self.size, self._misses = self._rival, 0
        else:
            self._upwards, self._misses = not self._upwards, self._misses + 1
        if self._misses < 2:
            self._challenge()
        else:
            self._rival, self._rest, self._misses = None, _REST, 0
        return True

    def out_of_memory(self, padded: int) -> None:
        """Stay below what did not fit: half of it."""
        self.largest = max(self.smallest, padded // 2)
        self.size = min(self.size, self.largest)
        self._rival, self._rest = None, _REST

    def _challenge(self) -> None:
        rival = self.size * 2 if self._upwards else self.size // 2
        if not self.smallest <= rival <= self.largest:
            self._upwards = not self._upwards
            rival = self.size * 2 if self._upwards else self.size // 2
        if not self.smallest <= rival <= self.largest:
            self._rival, self._rest = None, _REST
            return
        self._rival = rival
        self._measured = {self.size: _Measured(), rival: _Measured()}


def is_cpu(pipe: Any) -> bool:
    """Tell whether a pipeline runs on the processor."""
    return getattr(pipe.device, "type", "cpu") == "cpu"


def budgets(pipe: Any, options: EngineOptions) -> dict[str, Budget]:
    """Return the budgets of a run, by unit."""
    start = _START if is_cpu(pipe) else _START_ON_ACCELERATOR
    largest = _LARGEST if is_cpu(pipe) else _LARGEST_ON_ACCELERATOR
    if options.batch_size is not None:
        tokens = options.batch_tokens or _ANY
        return {TOKENS: Budget(tokens, is_fixed=True), ROWS: Budget(options.batch_size, is_fixed=True)}
    if options.batch_tokens is not None:  # nothing is measured then: two runs make the same batches
        return {TOKENS: Budget(options.batch_tokens, is_fixed=True), ROWS: Budget(start[ROWS], is_fixed=True)}
    return {unit: Budget(size, smallest=_SMALLEST[unit], largest=largest[unit]) for unit, size in start.items()}
