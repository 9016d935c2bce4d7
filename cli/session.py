"""One run of a task from the shell: load it, send rows through, write what comes out."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipesmith.cli import output
from pipesmith.cli.flags import TaskRequest
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.audio import decode_for
from pipesmith.pipelines.targets import LoadOptions


class RunSession:
    """A task, how to load it, and the parameters of its call.

    Args:
        name: the task as the user wrote it.
        request: what was read of it.
        options: how to load it.
        parameters: of the call; the project's settings fill in what is not given.
        verbose: whether libraries may talk on stderr.
    """

    def __init__(
        self,
        name: str,
        request: TaskRequest,
        options: LoadOptions,
        parameters: Mapping[str, Any],
        *,
        verbose: bool,
    ) -> None:
        self._name = name
        self._request = request
        self._options = options
        settings = request.project.tasks.get(request.target.entry.task) if request.project else None
        self._parameters = {**(settings.parameters if settings else {}), **parameters}
        self._verbose = verbose

    def run(self, inputs: Iterator[Any], *, form: str | None, several: bool) -> None:
        """Run every input and write its result.

        Args:
            inputs: what `preprocess` takes, one a row.
            form: human, json, jsonl, csv or quiet; by where stdout goes if None.
            several: whether results need the name of their input.

        Raises:
            PipeError: the first row that fails ends the run.
        """
        from pipesmith.pipelines.engine import Row, run

        with output.results_stream() as stream:
            form = form or ("human" if output.is_terminal(stream) else "jsonl")
            writer = output.RowWriter(stream, form, named=several and form == "human")
            with output.status(f"Loading {self._name} ..."), _no_garbage_collection():
                pipe = self._load()
            decoded = (decode_for(pipe, text) for text in inputs)
            rows = (Row(one, self._parameters, number) for number, one in enumerate(decoded, 1))
            for outcome in run(pipe, rows):
                if outcome.error is not None:
                    raise outcome.error
                writer.write(outcome.row.inputs, to_plain(outcome.result))
            writer.close()

    def _load(self) -> Any:
        if not self._verbose:
            _silence_warnings()
        for library in ("torch", "transformers"):
            try:
                importlib.import_module(library)
            except ImportError as error:
                raise PipelineLoadError(
                    f"{library} cannot be imported: {error}.", hint="Install it: pip install pipesmith"
                ) from error
        if not self._verbose:
            _silence_transformers()
        for text in self._request.target.notes:
            output.note(text)
        if self._options.model and self._options.model.partition(":")[0] == "tiny":
            output.note("The model is tiny and random: so are the results.")
        return load(self._request.target, self._options)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave the objects that imports make alone: looking through them again and again is a sixth of a cold start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _silence_warnings() -> None:
    """Keep Python's warnings off stderr, unless -W or PYTHONWARNINGS asks for them."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork after tokenizing prints a warning
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger("torch").setLevel(logging.ERROR)


def _silence_transformers() -> None:
    """Keep load bars, reports and advice off stderr."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
