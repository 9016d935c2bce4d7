"""One run of a task from the shell: load it, send rows through, write what comes out."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipesmith.cli import output, quiet
from pipesmith.cli.flags import TaskRequest
from pipesmith.pipelines import compat
from pipesmith.pipelines.errors import PipelineLoadError, ProjectError
from pipesmith.pipelines.hub import is_repo_id
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.parameters import check_parameters
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
        self._parameters = {**project_parameters(request), **parameters}
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

        with output.results_stream(until_exit=True) as stream:
            form = form or ("human" if output.is_terminal(stream) else "jsonl")
            writer = output.RowWriter(stream, form, named=several and form == "human")
            # A download shows its own progress.
            with output.status(f"Loading {self._name} ...", hidden=self._is_remote()), _no_garbage_collection():
                pipe = self._load()
            signature = self._request.signature
            known = [parameter.name for parameter in signature.parameters] if signature else []
            for text in check_parameters(pipe, self._parameters, known):
                output.note(text)
            decoded = (decode_for(pipe, text) for text in inputs)
            rows = (Row(one, self._parameters, number) for number, one in enumerate(decoded, 1))
            for outcome in run(pipe, rows, notify=output.note):
                if outcome.error is not None:
                    raise outcome.error
                writer.write(outcome.row.inputs, outcome.plain())
            writer.close()
        if self._verbose:
            for name in compat.used():
                output.note(f"Supplied for code written for transformers 4: {name}.")

    def _is_remote(self) -> bool:
        default = self._request.target.model
        return is_repo_id(self._options.model or (default.model if default else ""))

    def _load(self) -> Any:
        for library in ("torch", "transformers"):
            try:
                importlib.import_module(library)
            except ImportError as error:
                raise PipelineLoadError(
                    f"{library} cannot be imported: {error}.", hint="Install it: pip install pipesmith"
                ) from error
        if not self._verbose:
            quiet.transformers()
        for text in self._request.target.notes:
            output.note(text)
        if self._options.model and self._options.model.partition(":")[0] == "tiny":
            output.note("The model is tiny and random: so are the results.")
        return load(self._request.target, self._options)


def project_parameters(request: TaskRequest) -> dict[str, Any]:
    """Return the parameters that the project's pyproject.toml sets for a task.

    Raises:
        ProjectError: the task has no such parameter.
    """
    project, signature = request.project, request.signature
    settings = project.tasks.get(request.target.entry.task) if project else None
    if project is None or settings is None:
        return {}
    known = [parameter.name for parameter in signature.parameters] if signature else []
    for key in settings.parameters:
        if signature is not None and signature.unknown_parameters == "refused" and key not in known:
            raise ProjectError(
                f"{project.root / 'pyproject.toml'}: {request.target.entry.task} has no parameter {key!r}.",
                hint=near_miss(key, known) or f"It has {', '.join(known) or 'none'}.",
            )
    return settings.parameters


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave the objects that imports make alone: looking through them again and again is a sixth of a cold start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
