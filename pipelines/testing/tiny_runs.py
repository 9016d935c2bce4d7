"""A pipeline on a tiny model of every architecture that its model class takes, one record an architecture.

Here are a few calls and one run in batches; whether the results are right is the business of the contract suite.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipesmith.pipelines.errors import MissingLibraryError, PipelineLoadError
from pipesmith.pipelines.testing.tiny_models import tiny_architectures, tiny_model, without_bars

if TYPE_CHECKING:
    from pipesmith.pipelines.entries import PipelineEntry

ROWS, BATCH_SIZE = 10, 4  # the last batch is short


@dataclass(frozen=True)
class ArchitectureRun:
    """What became of one architecture.

    Args:
        model_type: its name in config.json.
        outcome: skipped if a library is missing.
        reason: the library, or why it failed; empty if it passed.
        parameters: how many its tiny model has; None if none was made.
        tokenizer: the tokenizer's class; None without one.
        has_own_tokenizer: whether that is the class that transformers gives the architecture; else it is a generic one.
        seconds: it took.
    """

    model_type: str
    outcome: Literal["passed", "skipped", "failed"]
    reason: str = ""
    parameters: int | None = None
    tokenizer: str | None = None
    has_own_tokenizer: bool = False
    seconds: float = 0.0


def run_pipeline_test(pipe: Any, examples: Sequence[Any], parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Call a pipeline on each example, then on 10 rows of them in batches of 4.

    Args:
        pipe: a live pipeline.
        examples: inputs of its call, at least one; each call gets a copy.
        parameters: of the call.

    Returns:
        The results of the 10 rows.

    Raises:
        AssertionError: a result is None or holds a number that is not finite, or rows are lost.
        Exception: whatever the pipeline raises.
    """
    given = dict(parameters or {})
    for example in examples:
        _check_result(pipe(copy.deepcopy(example), **given))
    results = list(
        pipe(_dataset(list(itertools.islice(itertools.cycle(examples), ROWS))), batch_size=BATCH_SIZE, **given)
    )
    if len(results) != ROWS:
        raise AssertionError(f"{ROWS} rows in batches of {BATCH_SIZE} gave {len(results)} results")
    for result in results:
        _check_result(result)
    return results


def run_on_architectures(
    task: str | PipelineEntry,
    examples: Sequence[Any] | Callable[[Any], Sequence[Any]],
    *,
    parameters: Mapping[str, Any] | None = None,
    model_class: str | type | None = None,
    architectures: Iterable[str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> Iterator[ArchitectureRun]:
    """Run a pipeline on a tiny model of each architecture that its model class takes, one after the other.

    Args:
        task: as `pipe run` takes it: a task, or `file.py:Class`; or an entry.
        examples: see `run_pipeline_test`; or what makes them for a live pipeline.
        parameters: of each call.
        model_class: a class in an Auto mapping; the entry's first one if None.
        architectures: the ones to run, by name; all if None.
        directory: where the models are kept; see `tiny_model`.

    Yields:
        A record as soon as its architecture is done. Nothing that an architecture raises ends the run.

    Raises:
        PipeError: there is no such task or no such class.
    """
    from dataclasses import replace

    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.source import ClassReference
    from pipesmith.pipelines.targets import LoadOptions, Target, resolve
    from pipesmith.pipelines.user_code import load_class

    entry = resolve(task, LoadOptions(), find_project(), to_run=True).entry if isinstance(task, str) else task
    if model_class is not None:
        entry = replace(entry, pt_model=(model_class,))
    if not entry.pt_model:
        raise PipelineLoadError(f"{entry.task} names no model class.", hint="Give model_class.")
    first = entry.pt_model[0]
    name = load_class(first) if isinstance(first, ClassReference) else first
    for model_type in tiny_architectures(name) if architectures is None else architectures:
        yield _run(Target(entry), name, model_type, examples, parameters, directory)


def _run(
    target: Any,
    model_class: str | type,
    model_type: str,
    examples: Sequence[Any] | Callable[[Any], Sequence[Any]],
    parameters: Mapping[str, Any] | None,
    directory: str | os.PathLike[str] | None,
) -> ArchitectureRun:
    from pipesmith.pipelines.loading import load
    from pipesmith.pipelines.targets import LoadOptions

    started = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        tiny = tiny_model(model_class, model_type, directory=directory)
        with without_bars():
            pipe = load(target, LoadOptions(model=str(tiny.path), device="cpu"))
        found["parameters"] = sum(parameter.numel() for parameter in pipe.model.parameters())
        if getattr(pipe, "tokenizer", None) is not None:
            found["tokenizer"] = type(pipe.tokenizer).__name__
            found["has_own_tokenizer"] = found["tokenizer"] in _own_tokenizers(model_type)
        run_pipeline_test(pipe, examples(pipe) if callable(examples) else examples, parameters)
    except MissingLibraryError as error:
        found |= {"outcome": "skipped", "reason": error.library}
    except Exception as error:
        found |= {"outcome": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}
    else:
        found["outcome"] = "passed"
    return ArchitectureRun(model_type, **found, seconds=time.perf_counter() - started)


def _own_tokenizers(model_type: str) -> list[str]:
    """Name the tokenizer classes that transformers gives an architecture; the fast one may drop its `Fast`."""
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    named = TOKENIZER_MAPPING_NAMES.get(model_type)
    return [name for name in (named if isinstance(named, (tuple, list)) else [named]) if name is not None]


def _dataset(rows: list[Any]) -> Any:
    """The rows as a dataset, the form in which every pipeline takes them one by one."""
    from torch.utils.data import Dataset

    class Rows(Dataset[Any]):  # type: ignore[misc]  # torch is untyped here
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> Any:
            return copy.deepcopy(rows[index])

    return Rows()


def _check_result(result: Any) -> None:
    if result is None:
        raise AssertionError("a result is None")
    if not _is_finite(result):
        raise AssertionError("a result holds a number that is not finite")


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
