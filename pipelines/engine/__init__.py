"""The batch engine: rows through a live pipeline, in batches that it makes up itself.

    read -> preprocess -> window -> sort by length -> pack to a budget -> forward -> postprocess -> restore order

    entry.py         where transformers is entered, and what its stages are given
    batches.py       the three threads, windows, and the order of results
    model_inputs.py  what can share a batch, and how long it is
    packing.py       rows of like length to batches
    budget.py        how much goes into a batch: found by measuring
    forward.py       a batch through the model; split where it fails, checked against single rows
    alone.py         row by row, for classes that cannot be batched
    failures.py      why a row failed

Not here: reading inputs, progress, writing. Those live on the caller's side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from pipesmith.pipelines.engine.options import EngineOptions
from pipesmith.pipelines.engine.rows import Row, RowResult
from pipesmith.pipelines.engine.statistics import Statistics

__all__ = ["EngineOptions", "Row", "RowResult", "Statistics", "run"]


def run(
    pipe: Any,
    rows: Iterable[Row],
    *,
    notify: Callable[[str], None] | None = None,
    options: EngineOptions | None = None,
    statistics: Statistics | None = None,
) -> Iterator[RowResult]:
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
    if options.is_deterministic or options.row_timeout is not None:
        yield from run_alone(pipe, rows, notify=notify, row_timeout=options.row_timeout)
        return
    with Entry(pipe) as entry:
        if entry.takes(first):
            yield from run_in_batches(pipe, rows, entry, options, statistics or Statistics(), notify)
            return
    yield from run_alone(pipe, rows, notify=notify)
