"""`run_pipeline`: the batch engine from Python, over any iterable of rows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from pipesmith.pipelines.engine import EngineOptions, Row, Statistics, run
from pipesmith.pipelines.errors import ParameterError


def run_pipeline(
    pipe: Any,
    rows: Iterable[Any],
    *,
    on_error: str = "fail",
    options: EngineOptions | None = None,
    statistics: Statistics | None = None,
    notify: Callable[[str], None] | None = None,
    **parameters: Any,
) -> Generator[Any, None, None]:
    """Stream results for an iterable of rows, in batches that the program makes up.

        pipe = pipeline("text-classification", model="path/to/checkpoint")
        for result in run_pipeline(pipe, texts, top_k=2):
            ...

    Args:
        pipe: a live pipeline, from `pipesmith.pipelines.pipeline` or transformers' own.
        rows: inputs as `preprocess` takes them, or `engine.Row` for one with parameters of its own. Taken as they are
            needed, in another thread.
        on_error: "fail" raises at the first row that fails, "skip" leaves it out, "record" yields its PipeError.
        options: how rows are batched; nothing of it has to be given.
        statistics: takes counts while the run goes on.
        notify: told once what cannot be batched, and why.
        parameters: of every row's call.

    Yields:
        One result a row, in order: what transformers yields for it from `pipe(dataset, **parameters)`.

    Raises:
        PipeError: a row failed and `on_error` is "fail".
        ParameterError: `on_error` is none of the three.
    """
    if on_error not in ("fail", "skip", "record"):
        raise ParameterError(f"on_error is {on_error!r}.", hint="It is fail, skip or record.")
    for outcome in run(pipe, _rows(rows, parameters), notify=notify, options=options, statistics=statistics):
        if outcome.error is None:
            yield outcome.result
        elif on_error == "fail":
            raise outcome.error
        elif on_error == "record":
            yield outcome.error


def _rows(rows: Iterable[Any], parameters: dict[str, Any]) -> Iterator[Row]:
    for number, one in enumerate(rows, 1):
        if isinstance(one, Row):
            yield Row(one.inputs, {**parameters, **one.parameters}, number, one.error, one.origin)
        else:
            yield Row(one, parameters, number)
