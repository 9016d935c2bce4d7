"""A batch through `_forward`: collated and taken apart as transformers does it, split where it fails.

A batch must give what its rows give alone. That is tried on the first batch of several rows, and on the first with
padding; where it does not hold, rows are batched with less, and it is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipesmith.pipelines.engine.budget import Budget
from pipesmith.pipelines.engine.failures import let_through
from pipesmith.pipelines.engine.outputs import NotABatchError, as_given, in_float32, taken_apart
from pipesmith.pipelines.engine.packing import Batch, Piece
from pipesmith.pipelines.engine.padding import Axes, OtherResultError, padded_axes, pads_left, take_padding_off
from pipesmith.pipelines.engine.statistics import Statistics

_FAILED_BATCHES = 2  # that fail while their rows do not: this pipeline cannot be batched

Deliver = Callable[[Sequence[Piece], Sequence[Any], "BaseException | None"], None]


class Forward:
    """Runs batches of one pipeline.

    Args:
        pipe: the pipeline.
        budgets: by unit; halved when memory runs out.
        statistics: takes what was run.
        notify: told once what cannot be batched.
        deliver: takes pieces with their outputs, or with the error that they raised.
    """

    def __init__(
        self,
        pipe: Any,
        budgets: Mapping[str, Budget],
        statistics: Statistics,
        notify: Callable[[str], None],
        deliver: Deliver,
    ) -> None:
        self._pipe = pipe
        self._budgets = budgets
        self._statistics = statistics
        self._notify = notify
        self._deliver = deliver
        self._collate, self._why_alone = _collate_function(pipe)
        self._checked: set[tuple[Any, bool]] = set()  # names of model inputs, and whether with padding
        self._padded_axes: dict[Any, Axes] = {}  # by names
        self._left = pads_left(pipe)
        self._failed_batches = 0
        self.pads = True

    @property
    def batches(self) -> bool:
        """Whether rows can share a batch at all."""
        return self._collate is not None

    def say_why_alone(self) -> None:
        """Say why rows are run one by one, if they are."""
        if self._why_alone:
            self._notify(f"{type(self._pipe).__name__} runs row by row: {self._why_alone}.")
            self._why_alone = ""

    def run(self, batch: Batch) -> bool:
        """Run a batch and deliver the output, or the error, of each of its pieces.

        Returns:
            Whether what is not run yet should be packed anew.
        """
        changed, _ = self._run(batch)
        return changed

    def _run(self, batch: Batch) -> tuple[bool, int]:
        """Run a batch; return whether to pack anew, and how many of its pieces failed."""
        if len(batch.pieces) == 1 or not self.batches:
            return False, sum(self._run_alone(piece, batch.budget) for piece in batch.pieces)
        began = time.perf_counter()
        try:
            outputs = self._forward_together(batch)
        except BaseException as error:
            let_through(error)
            return True, self._after_failure(batch, error)
        seconds = time.perf_counter() - began
        if not self._holds(batch, outputs):
            return True, sum(self._run_alone(piece) for piece in batch.pieces)
        self._statistics.batch(batch.unit, len(batch.pieces), batch.cost, batch.padded, seconds)
        self._deliver(batch.pieces, outputs, None)
        return self._budgets[batch.unit].measure(batch.budget, batch.padded, batch.cost, seconds), 0

    def _run_alone(self, piece: Piece, budget: int | None = None) -> bool:
        """Run one piece; return whether it failed."""
        began = time.perf_counter()
        try:
            output = self._forward(piece.model_inputs, piece.forward)
        except BaseException as error:  # a user's code raises what it likes; the row carries it
            let_through(error)
            self._statistics.out_of_memory += _free_memory(error)
            self._deliver([piece], [None], error)
            return True
        seconds, size, unit = time.perf_counter() - began, piece.cost, piece.shape.unit
        self._statistics.batch(unit, 1, size, size, seconds)
        if budget is not None:
            self._budgets[unit].measure(budget, size, size, seconds)
        self._deliver([piece], [output], None)
        return False

    def _forward(self, model_inputs: Any, parameters: Mapping[str, Any]) -> Any:
        return in_float32(self._pipe.forward(model_inputs, **parameters))

    def _forward_together(self, batch: Batch) -> list[Any]:
        assert self._collate is not None
        collated = self._collate([piece.model_inputs for piece in batch.pieces])
        collated = {name: collated[name] for name in batch.pieces[0].model_inputs}  # its order is that of a set
        outputs = self._forward(collated, batch.pieces[0].forward)
        return as_given(taken_apart(outputs, len(batch.pieces)), [piece.model_inputs for piece in batch.pieces])

    def _after_failure(self, batch: Batch, error: BaseException) -> int:
        """Run the halves of a batch that failed, until a row that fails stands alone; return how many fail."""
        no_memory = _free_memory(error)
        if no_memory:
            self._budgets[batch.unit].out_of_memory(batch.padded)
            self._statistics.out_of_memory += 1
        what = f"what it returns for a batch is no batch ({error})" if isinstance(error, NotABatchError) else ""
        what = what or f"batches fail that its rows do not ({type(error).__name__}: {error})"
        del error  # its traceback holds the batch's tensors
        if what.startswith("what"):
            failed = sum(self._run_alone(piece) for piece in batch.pieces)
        else:
            middle = len(batch.pieces) // 2
            halves = (batch.pieces[:middle], batch.pieces[middle:])
            failed = sum(self._run(Batch.of(half, batch.budget))[1] for half in halves)
        if not failed and not no_memory:  # the rows are good: it is the batch
            self._failed_batches += 1
            if self._failed_batches >= _FAILED_BATCHES and self.batches:
                self._collate, self._why_alone = None, what
                self.say_why_alone()
        return failed

    def _holds(self, batch: Batch, outputs: list[Any]) -> bool:
        """Tell whether rows of a batch give alone what they gave there; asked of the first batches of a kind only.

        What padding adds to outputs is learnt on the way, and taken off.
        """
        names = tuple(batch.pieces[0].model_inputs)
        lengths = [piece.shape.length for piece in batch.pieces]
        is_padded = lengths.count(lengths[0]) < len(lengths)
        kind = (names, is_padded)
        if kind in self._checked:
            if is_padded:
                self._take_padding_off(batch, outputs, self._padded_axes.get(names))
            return True
        # The last and another one: a forward that looks at one row alone takes the first or the last for all. They are
        # sorted, so these are the shortest: the most padded, and the cheapest.
        places = [len(lengths) - 1, len(lengths) - 2]
        try:
            axes = [self._compared(batch, place, outputs[place]) for place in places]
        except OtherResultError:
            pass
        except BaseException as error:  # a row fails alone: not the batch's doing, and nothing is known of it yet
            let_through(error)
            return False
        else:
            self._checked.update({kind, (names, False)})  # a padded batch is a batch
            if is_padded:
                self._padded_axes[names] = axes[0]
                self._take_padding_off(batch, outputs, axes[0])
            return True
        self._checked.add(kind)
        if is_padded:
            self.pads = False
            self._checked.clear()  # it may not have been the padding
            self._notify(f"Padding changes what {type(self._pipe).__name__} returns: its batches hold one length each.")
        else:
            self._collate = None
            self._why_alone = "in a batch it returns something else"
            self.say_why_alone()
        return False

    def _compared(self, batch: Batch, place: int, output: Any) -> Axes:
        """Return the padded axes of a row's output.

        Raises:
            OtherResultError: its output is another.
        """
        piece = batch.pieces[place]
        padding = max(other.shape.length for other in batch.pieces) - piece.shape.length
        alone = self._forward(piece.model_inputs, piece.forward)
        try:
            return padded_axes(output, alone, padding, piece.model_inputs, self._pipe)
        except OtherResultError:
            again = self._forward(piece.model_inputs, piece.forward)
            try:
                padded_axes(alone, again, 0, piece.model_inputs, self._pipe)
            except OtherResultError:  # it draws at random: only shapes can be compared
                return padded_axes(output, alone, padding, piece.model_inputs, self._pipe, values=False)
            raise

    def _take_padding_off(self, batch: Batch, outputs: list[Any], axes: Axes | None) -> None:
        if axes:
            longest = max(piece.shape.length for piece in batch.pieces)
            take_padding_off(outputs, axes, [longest - piece.shape.length for piece in batch.pieces], self._left)


def _collate_function(pipe: Any) -> tuple[Callable[[list[Any]], Any] | None, str]:
    """Return transformers' own collate function for a pipeline, or None and why there is none."""
    from transformers.pipelines.base import pad_collate_fn

    extractor = pipe.feature_extractor if pipe.feature_extractor is not None else pipe.image_processor
    try:
        return pad_collate_fn(pipe.tokenizer, extractor), ""
    except ValueError as error:
        if pipe.tokenizer is None:
            return None, "it has neither a tokenizer nor a feature extractor to make a batch with"
        return None, "its tokenizer has no pad token" if pipe.tokenizer.pad_token_id is None else str(error)


def _free_memory(error: BaseException) -> bool:
    """Tell whether memory has run out, and give back what can be."""
    import torch

    text = str(error)
    ran_out = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )
    if ran_out and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return ran_out
