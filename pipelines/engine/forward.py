"""A batch through `_forward`: collated and taken apart as transformers does it, split where it fails.

A batch must give what its rows give alone. That is tried on the first batch of several rows, and on the first with
padding; where it does not hold, rows are batched with less, and it is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pipesmith.pipelines.engine.budget import Budget
from pipesmith.pipelines.engine.packing import Batch, Piece, cost
from pipesmith.pipelines.engine.statistics import Statistics

_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}  # of what a batch may change; of lower precisions
_TOLERANCE_LOW = 5e-2
_FAILED_BATCHES = 2  # that fail while their rows do not: this pipeline cannot be batched


class Forward:
    """Runs batches of one pipeline.

    Args:
        pipe: the pipeline.
        budgets: by unit; halved when memory runs out.
        statistics: takes what was run.
        notify: told once what cannot be batched.
    """

    def __init__(
        self, pipe: Any, budgets: Mapping[str, Budget], statistics: Statistics, notify: Callable[[str], None]
    ) -> None:
        self._pipe = pipe
        self._budgets = budgets
        self._statistics = statistics
        self._notify = notify
        self._collate, self._why_alone = _collate_function(pipe)
        self._checked: set[bool] = set()  # whether with padding
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

    def run(self, batch: Batch, done: Callable[[Piece, Any, BaseException | None], None]) -> bool:
        """Run a batch and hand over the output, or the error, of each of its pieces.

        Returns:
            Whether what is not run yet should be packed anew.
        """
        if len(batch.pieces) == 1 or not self.batches:
            for piece in batch.pieces:
                self._run_alone(piece, done, batch.budget)
            return False
        began = time.perf_counter()
        try:
            outputs = self._forward_together(batch)
        except (Exception, SystemExit) as error:
            return self._after_failure(batch, error, done)
        seconds = time.perf_counter() - began
        unit = batch.pieces[0].shape.unit
        self._statistics.batch(unit, len(batch.pieces), batch.cost, batch.padded, seconds)
        if not self._holds(batch, outputs):
            for piece in batch.pieces:
                self._run_alone(piece, done, batch.budget)
            return True
        for piece, output in zip(batch.pieces, outputs):
            done(piece, output, None)
        return self._budgets[unit].measure(batch.budget, batch.padded, batch.cost, seconds)

    def _run_alone(
        self, piece: Piece, done: Callable[[Piece, Any, BaseException | None], None], budget: int | None = None
    ) -> None:
        began = time.perf_counter()
        try:
            output = self._forward(piece.model_inputs, piece.forward)
        except (Exception, SystemExit) as error:
            _free_memory(error)
            done(piece, None, error)
            return
        seconds, size = time.perf_counter() - began, cost(piece)
        self._statistics.batch(piece.shape.unit, 1, size, size, seconds)
        if budget is not None:
            self._budgets[piece.shape.unit].measure(budget, size, size, seconds)
        done(piece, output, None)

    def _forward(self, model_inputs: Any, parameters: Mapping[str, Any]) -> Any:
        return _in_float32(self._pipe.forward(model_inputs, **parameters))

    def _forward_together(self, batch: Batch) -> list[Any]:
        assert self._collate is not None
        collated = self._collate([piece.model_inputs for piece in batch.pieces])
        outputs = self._forward(collated, batch.pieces[0].forward)
        return _taken_apart(outputs, len(batch.pieces))

    def _after_failure(
        self, batch: Batch, error: BaseException, done: Callable[[Piece, Any, BaseException | None], None]
    ) -> bool:
        """Run the halves of a batch that failed, until a row that fails stands alone."""
        unit = batch.pieces[0].shape.unit
        no_memory = _free_memory(error)
        if no_memory:
            self._budgets[unit].out_of_memory(batch.padded)
            self._statistics.out_of_memory += 1
        failed: list[Piece] = []

        def hand_over(piece: Piece, output: Any, its_error: BaseException | None) -> None:
            if its_error is not None:
                failed.append(piece)
            done(piece, output, its_error)

        middle = len(batch.pieces) // 2
        if isinstance(error, _NotABatchError):
            for piece in batch.pieces:
                self._run_alone(piece, hand_over)
        else:
            for half in (batch.pieces[:middle], batch.pieces[middle:]):
                self.run(Batch(half, batch.budget), hand_over)
        if not failed and not no_memory:  # the rows are good: it is the batch
            self._failed_batches += 1
            if self._failed_batches >= _FAILED_BATCHES and self.batches:
                self._collate = None
                what = (
                    "what it returns for a batch is no batch" if isinstance(error, _NotABatchError) else "batches fail"
                )
                self._why_alone = f"{what} ({error})"
                self.say_why_alone()
        return True

    def _holds(self, batch: Batch, outputs: list[Any]) -> bool:
        """Tell whether the shortest row of a batch gives alone what it gave there; asked of the first batches only."""
        lengths = [piece.shape.length for piece in batch.pieces]
        is_padded = min(lengths) != max(lengths)
        if is_padded in self._checked:
            return True
        self._checked.add(is_padded)
        place = lengths.index(min(lengths))
        piece = batch.pieces[place]
        try:
            alone = self._forward(piece.model_inputs, piece.forward)
            if self._alike(outputs[place], alone, piece.shape.length):
                return True
            if not self._alike(alone, self._forward(piece.model_inputs, piece.forward), piece.shape.length):
                return True  # it draws at random: there is nothing to compare
        except (Exception, SystemExit):  # the row fails alone as well, or draws memory: not the batch's doing
            return True
        if is_padded:
            self.pads = False
            self._notify(f"Padding changes what {type(self._pipe).__name__} returns: its batches hold one length each.")
        else:
            self._collate = None
            self._why_alone = "in a batch it returns something else"
            self.say_why_alone()
        return False

    def _alike(self, one: Any, other: Any, length: int) -> bool:
        """Tell whether two outputs of a row are the same, up to rounding and padding."""
        import torch

        if isinstance(one, Mapping) and isinstance(other, Mapping):
            return all(self._alike(one[key], other[key], length) for key in one if key in other)
        if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            return len(one) == len(other) and all(self._alike(a, b, length) for a, b in zip(one, other))
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
            return self._tensors_alike(one, other)
        if isinstance(one, (str, int, float, bool)) and type(one) is type(other):
            return one == other
        return True

    def _tensors_alike(self, one: Any, other: Any) -> bool:
        if one.ndim != other.ndim:
            return False
        if one.shape != other.shape:  # the batch's is padded: the row's own part, at the side where it stands
            left = getattr(self._pipe.tokenizer, "padding_side", "right") == "left"
            one = _trimmed(one, other.shape, left)
        if one is None or one.shape != other.shape:
            return True  # padded in a way that cannot be told: generated text, for one
        if not one.is_floating_point():
            return bool((one == other).all())
        precision = str(self._pipe.model.dtype).removeprefix("torch.")
        tolerance = _TOLERANCE.get(precision, _TOLERANCE_LOW)
        finite = one.isfinite() & other.isfinite()
        return bool(((one - other).abs() <= tolerance * (1 + other.abs()))[finite].all())


class _NotABatchError(Exception):
    """What `_forward` returned for a batch cannot be taken apart into its rows."""


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


def _taken_apart(outputs: Any, count: int) -> list[Any]:
    """Return a batch's outputs row by row, each as if the batch had one row.

    Raises:
        _NotABatchError: they are not so many rows.
    """
    import torch
    from transformers.pipelines.pt_utils import PipelineIterator

    try:
        first = outputs if isinstance(outputs, torch.Tensor) else next(iter(outputs.values()))
        if len(first) != count:
            raise _NotABatchError(f"{len(first)} outputs for {count} rows")
        iterator = PipelineIterator(None, None, {}, loader_batch_size=count)
        iterator._loader_batch_data = outputs
        iterator._loader_batch_index = 0
        return [iterator.loader_batch_item() for _ in range(count)]
    except _NotABatchError:
        raise
    except Exception as error:  # a stage may return anything: what is no batch is run row by row
        raise _NotABatchError(f"{type(error).__name__}: {error}") from error


def _trimmed(tensor: Any, shape: Any, left: bool) -> Any:
    """Return the part of a padded tensor that has a shape; None if it differs in another way than by padding."""
    if len(shape) < 2 or any(have < want for have, want in zip(tensor.shape, shape)):
        return None
    for axis, want in enumerate(shape):
        have = tensor.shape[axis]
        if have != want:
            tensor = tensor.narrow(axis, have - want if left else 0, want)
    return tensor


def _in_float32(outputs: Any) -> Any:
    """Return outputs with numbers of low precision as float32: numpy knows no bfloat16."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, Mapping) and any(_is_low(value) for value in outputs.values()):
        found: Any = {key: _in_float32(value) for key, value in outputs.items()}
        return found if isinstance(outputs, dict) else type(outputs)(found)  # type: ignore[call-arg]
    if isinstance(outputs, (list, tuple)) and any(_is_low(value) for value in outputs):
        return type(outputs)(_in_float32(value) for value in outputs)
    return outputs


def _is_low(value: Any) -> bool:
    import torch

    if isinstance(value, (list, tuple)):
        return any(_is_low(item) for item in value)
    return isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)


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
