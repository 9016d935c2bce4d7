"""What the checks look at: a live pipeline, rows that it takes, and what its source says."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.engine import EngineOptions, Row, RowResult, run
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.signature import Parameter, Signature
from pipesmith.pipelines.source import parse
from pipesmith.pipelines.testing.contract.examples import is_second_input

BATCH = 4  # rows: ten rows make two full batches and a short last one
_PARTS = ("tokenizer", "feature_extractor", "image_processor", "video_processor", "processor")


class RowFailedError(Exception):
    """A row failed in a run whose rows are known to work."""

    def __init__(self, number: int, error: PipeError) -> None:
        super().__init__(f"row {number}: {error.message}")
        self.number = number
        self.error = error

    def __reduce__(self) -> tuple[type[RowFailedError], tuple[int, PipeError]]:
        return RowFailedError, (self.number, self.error)  # to be pickled


@dataclass
class Subject:
    """A pipeline under test.

    Args:
        task: as it was asked for.
        entry: its entry; None for a live pipeline without one.
        signature: what its source says; None if it was not found.
        pipe: the live pipeline; None if it could not be loaded.
        inputs: the rows; empty until they are chosen.
        parameters: of every call.
        init: further arguments of its `__init__`.
        fresh: asks a fresh process what the saved pipeline gives; None if there is none.
    """

    task: str
    entry: PipelineEntry | None
    signature: Signature | None
    pipe: Any = None
    inputs: Sequence[Any] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    fresh: Any = None

    # ---- Its source

    @property
    def is_transformers_own(self) -> bool:
        """Whether its class is one of transformers itself."""
        return self.pipe is not None and type(self.pipe).__module__.startswith("transformers.")

    def place(self, method: str = "") -> str:
        """Return file:line of one of its methods, or of its class; "" if that is not known."""
        if self.signature is None:
            return ""
        own = self.signature.file, self.signature.line
        code = getattr(getattr(type(self.pipe), method, None), "__code__", None)  # `__call__` is no stage
        written = own
        if code is not None and Path(code.co_filename) == self.signature.file:
            written = self.signature.file, code.co_firstlineno
        places = [self.signature.method_places.get(method, written), own]
        users = [f"{file}:{line}" for file, line in places if "site-packages" not in file.parts]
        return users[0] if users else ""

    def method(self, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return one of its methods as it is written; None for transformers' own and for unknown source."""
        place = self.signature.method_places.get(name) if self.signature is not None else None
        if place is None or "site-packages" in str(place[0]):
            return None
        methods = (ast.FunctionDef, ast.AsyncFunctionDef)
        found = [node for node in ast.walk(parse(place[0])) if isinstance(node, methods) and node.name == name]
        return next((node for node in found if node.lineno == place[1]), None)

    @property
    def own_parameters(self) -> list[Parameter]:
        """The parameters that are its task's: not those of generate() or a tokenizer."""
        if self.signature is None:
            return []
        return [one for one in self.signature.parameters if one.group == "task"]

    def inherited_from(self, name: str) -> type | None:
        """Return the class of transformers that a parameter is inherited from; None if it is the author's own."""
        for kind in type(self.pipe).__mro__:
            method = vars(kind).get("_sanitize_parameters")
            if method is not None and name in inspect.signature(method).parameters:
                return kind if kind.__module__.startswith("transformers.") else None
        return None

    @property
    def second_inputs(self) -> list[Parameter]:
        """The parameters that are a second input, such as `second_text`."""
        return [] if self.is_transformers_own else [one for one in self.own_parameters if is_second_input(one)]

    def stage_parameters(self, stage: str) -> dict[str, inspect.Parameter]:
        """Return the parameters of a stage after its input, by name."""
        found = inspect.signature(getattr(self.pipe, stage)).parameters
        return dict(list(found.items())[1:])

    # ---- Its rows

    def rows(self, inputs: Sequence[Any] | None = None, **parameters: Any) -> list[Row]:
        """Return rows; each gets a second input of its own if the pipeline takes one.

        Args:
            inputs: of the rows; the ten examples if None.
            **parameters: on top of those of every call.
        """
        inputs = self.inputs if inputs is None else inputs
        return [
            Row(_copied(one), {**self.row_parameters(place), **parameters}, place + 1)
            for place, one in enumerate(inputs)
        ]

    def row_parameters(self, place: int) -> dict[str, Any]:
        """Return the parameters of one of the examples."""
        from pipesmith.pipelines.testing.contract.examples import TEXTS

        second = {one.name: TEXTS[(place + 3) % len(TEXTS)] for one in self.second_inputs}
        return {**second, **self.parameters}

    def results(
        self, rows: Iterable[Row], *, pipe: Any = None, batch_size: int | None = None, notes: list[str] | None = None
    ) -> list[RowResult]:
        """Run rows through the engine.

        Args:
            rows: the rows.
            pipe: another pipeline than the subject's.
            batch_size: rows of a batch; one by one if None.
            notes: takes what the engine says of batches.
        """
        options = EngineOptions(batch_size=batch_size, is_deterministic=batch_size is None, live=False)
        notify = None if notes is None else notes.append
        return list(run(self.pipe if pipe is None else pipe, rows, options=options, notify=notify))

    def run(
        self,
        rows: Sequence[Row] | None = None,
        *,
        pipe: Any = None,
        batch_size: int | None = None,
        notes: list[str] | None = None,
    ) -> list[Any]:
        """Run rows (the examples if None) and return their plain results; the arguments are those of `results`.

        Raises:
            RowFailedError: a row failed.
        """
        found = self.results(self.rows() if rows is None else rows, pipe=pipe, batch_size=batch_size, notes=notes)
        for place, result in enumerate(found, 1):
            if result.error is not None:
                raise RowFailedError(place, result.error)
        return [result.plain() for result in found]

    def is_random(self) -> bool:
        """Tell whether results are drawn at random: equal with equal random numbers, and different with others."""
        import numpy as np
        import torch

        from pipesmith.pipelines.testing.contract.comparing import difference

        row, found = self.rows()[:1], []
        for seed in (0, 0, 1):
            for set_seed in (torch.manual_seed, np.random.seed, random.seed):
                set_seed(seed)
            found.append(self.run(row))
        return difference(found[0], found[1]) is None and difference(found[0], found[2]) is not None

    @functools.cached_property
    def singles(self) -> list[Any]:
        """The plain results of the examples, each alone."""
        return self.run()

    @property
    def few(self) -> list[Row]:
        """Four rows of different lengths."""
        return self.rows()[:4]

    # ---- Its calls in transformers' own forms

    def native(self, form: str, inputs: Sequence[Any] | None = None, **options: Any) -> list[Any]:
        """Call it as transformers' users do, and return plain results.

        Args:
            form: "dataset", "list" or "generator".
            inputs: the examples if None; all get the parameters of the first.
            **options: of the call, such as `batch_size`.
        """
        from pipesmith.pipelines.plain import to_plain

        given = [_copied(one) for one in (self.inputs if inputs is None else inputs)]
        made: Any = given
        if form == "dataset":
            made = dataset_of(given)
        elif form == "generator":
            made = (one for one in given)
        return [to_plain(one) for one in self.pipe(made, **self.row_parameters(0), **options)]

    # ---- Pipelines like it

    def parts(self) -> dict[str, Any]:
        """Return what its class is constructed with besides the model."""
        found = {name: getattr(self.pipe, name, None) for name in _PARTS}
        return {name: part for name, part in found.items() if part is not None}

    def made_with(self, **init: Any) -> Any:
        """Construct another pipeline of its class around the same model.

        Args:
            **init: parameters given at construction.
        """
        arguments = compat.init_arguments(type(self.pipe), {**self.init, **init})
        made = type(self.pipe)(
            model=self.pipe.model, task=self.pipe.task, device=self.pipe.device, **self.parts(), **arguments
        )
        write_briefly(made)
        return made

    def sanitized(self, **parameters: Any) -> tuple[dict[str, Any], ...]:
        """Return what `_sanitize_parameters` makes of parameters: the arguments of the three stages."""
        return tuple(dict(stage) for stage in self.pipe._sanitize_parameters(**parameters))

    def working_values(self, parameter: Parameter) -> Iterator[Any]:
        """Yield values that a parameter takes: `_sanitize_parameters` may refuse others."""
        from pipesmith.pipelines.testing.contract.examples import values_of

        for value in values_of(parameter):
            try:
                self.sanitized(**{**self.row_parameters(0), parameter.name: value})
            except Exception:  # a class refuses values as it likes
                continue
            yield value


def write_briefly(pipe: Any) -> None:
    """Have a pipeline that generates write a few tokens, the same each time: a test is about its code."""
    brief = {"do_sample": False, "max_new_tokens": 3, "num_beams": 1}
    for holder in (pipe, pipe.model):
        generation = getattr(holder, "generation_config", None)
        if generation is not None:
            generation.update(**brief)
    if getattr(pipe, "_generation_defaults", None):  # of transformers 5, for what no config sets
        pipe._generation_defaults = brief


def _copied(value: Any) -> Any:
    """Return an input for one more run: some pipelines take theirs apart."""
    return copy.deepcopy(value) if isinstance(value, (dict, list)) else value


def dataset_of(rows: Sequence[Any]) -> Any:
    """Return a torch Dataset of rows."""
    from torch.utils.data import Dataset

    class Rows(Dataset):  # type: ignore[misc]  # torch is imported here only
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, place: int) -> Any:
            return rows[place]

    return Rows()


def source_file(subject: Subject) -> Path | None:
    """Return the user's file that defines the class; None for transformers' own and for unknown source."""
    if subject.signature is None or "site-packages" in str(subject.signature.file):
        return None
    return subject.signature.file


def line_of_call(subject: Subject, *names: str) -> str:
    """Return file:line where the class's file first calls a function or method of one of these names; "" if nowhere."""
    file = source_file(subject)
    calls = [node for node in ast.walk(parse(file)) if isinstance(node, ast.Call)] if file is not None else []
    found = [
        node.lineno
        for node in calls
        if (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in names
    ]
    return f"{file}:{min(found)}" if found else ""
