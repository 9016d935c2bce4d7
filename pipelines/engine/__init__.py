"""The batch engine: rows through a live pipeline, in batches that it makes up itself.

    read -> preprocess -> window -> sort by length -> pack to a budget -> forward -> postprocess -> restore order

    entry.py         where transformers is entered, and what its stages are given
    batches.py       the three threads, and the order of results
    workers.py       processes that preprocess in the first thread's place
    work.py          a row under way
    windows.py       which rows are sorted together, and how many may be under way
    model_inputs.py  what can share a batch, and how long it is
    packing.py       rows of like length to batches
    budget.py        how much goes into a batch: found by measuring
    forward.py       a batch through the model; split where it fails, checked against single rows
    outputs.py       a batch's outputs row by row
    padding.py       what padding does to outputs, and how it is taken off
    weight.py        fewer rows at once where results are large
    openmp.py        threads of torch that would stand in each other's way
    tensors.py       pipelines of TensorFlow
    state.py         what a class keeps between rows, read from its source
    alone.py         row by row, for classes that cannot be batched
    failures.py      why a row failed

Not here: reading inputs, progress, writing. Those live on the caller's side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

from pipesmith.pipelines.engine.options import EngineOptions
from pipesmith.pipelines.engine.rows import Row, RowResult
from pipesmith.pipelines.engine.statistics import Statistics
from pipesmith.pipelines.engine.windows import window_start

__all__ = ["EngineOptions", "Row", "RowResult", "Statistics", "run", "window_start"]


def run(
    pipe: Any,
    rows: Iterable[Row],
    *,
    notify: Callable[[str], None] | None = None,
    options: EngineOptions | None = None,
    statistics: Statistics | None = None,
) -> Generator[RowResult, None, None]:
    """Yield one result for each row, in order, each as soon as it and those before it are there.

    Args:
        pipe: a live transformers.Pipeline.
        rows: the inputs; taken as they are needed, in another thread.
        notify: told once what cannot be batched, and why.
        options: how rows are batched.
        statistics: takes counts while the run goes on.

    Yields:
        The result as transformers gives it for a row of a dataset, or the error that the row raised.
    """
    from pipesmith.pipelines.engine.alone import run_alone
    from pipesmith.pipelines.engine.batches import run_in_batches
    from pipesmith.pipelines.engine.entry import Entry
    from pipesmith.pipelines.engine.state import why_alone
    from pipesmith.pipelines.engine.tensors import is_tensorflow, stages_in_torch

    notify = notify or (lambda text: None)
    options = options or EngineOptions()
    rows = iter(rows)
    for first in rows:
        if first.error is None:
            break
        yield RowResult(first, error=first.error)
    else:
        return
    rows = chain([first], rows)
    if options.num_workers and is_tensorflow(pipe):
        notify("--num-workers has no effect here: TensorFlow does not live on in a process that is forked.")
        options = replace(options, num_workers=0)
    if not options.is_deterministic and options.row_timeout is None:
        why = why_alone(type(pipe))  # type: ignore[arg-type]  # a class is hashable
        if why:
            notify(f"{type(pipe).__name__} runs row by row: {why}.")
            options = replace(options, is_deterministic=True)
    if not options.is_deterministic and options.row_timeout is None:
        with stages_in_torch(pipe):
            entry = Entry(pipe)
            if entry.takes(first):
                statistics = Statistics() if statistics is None else statistics
                yield from run_in_batches(pipe, rows, entry, options, statistics, notify)
                return
    if options.num_workers:
        notify("--num-workers has no effect here: rows run one by one, in this process.")
    yield from run_alone(pipe, rows, notify=notify, row_timeout=options.row_timeout, stop=options.stop)
