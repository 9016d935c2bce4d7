"""One run of a task from the shell: load it, send rows through, write what comes out."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import chain
from typing import Any

import typer

from pipesmith.cli import output, quiet
from pipesmith.cli.flags import TaskRequest
from pipesmith.cli.inputs import Feed, InputOptions, open_feed
from pipesmith.cli.progress import Progress
from pipesmith.cli.results import OutputOptions, Results, open_results
from pipesmith.pipelines import compat, journal
from pipesmith.pipelines.engine import EngineOptions, Statistics
from pipesmith.pipelines.engine.windows import window_start
from pipesmith.pipelines.errors import InputError, ParameterError, ProjectError
from pipesmith.pipelines.hub import is_repo_id
from pipesmith.pipelines.jobs import ERROR, RESULT, ErrorPolicy, Job
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.parameters import check_parameters
from pipesmith.pipelines.records.media.inputs import MediaInputs
from pipesmith.pipelines.records.record import Record
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
        verbose: bool = False,
    ) -> None:
        self._name = name
        self._request = request
        self._options = options
        self._parameters = {**project_parameters(request), **parameters}
        self._verbose = verbose

    def run(
        self,
        ctx: typer.Context,
        inputs: InputOptions,
        results: OutputOptions,
        policy: ErrorPolicy,
        engine: EngineOptions,
    ) -> int:
        """Run every row and write what becomes of it.

        Args:
            ctx: the command, whose help is printed if there is no input at all.
            inputs: what is run.
            results: where results go.
            policy: what a failed row does.
            engine: how rows are batched.

        Returns:
            The exit code: 3 if rows failed, else 0.

        Raises:
            PipeError: an option, a file or the model is wrong, or the policy ends the run.
            KeyboardInterrupt: the run was interrupted; the batch in hand is written.
        """
        feed = open_feed(ctx, self._request, inputs, self._options.access)
        is_live = feed.files is not None and feed.files.is_live
        if is_live and results.resume:
            raise ParameterError("stdin cannot be resumed: what was read of it is gone.", hint="Use a file.")
        with (
            feed.files or nullcontext(),
            output.results_stream(until_exit=True) as stream,
            open_results(stream, results, feed) as target,
            Progress(feed, inputs, shown=not output.is_terminal(stream) or results.file is not None) as progress,
        ):
            job = None
            first = next(feed.rows, None) if results.as_rows else None
            if first or not results.as_rows:
                job = self._job(feed, inputs, results, target, policy, first)
                run = self._identity(job, feed, inputs, results, engine) if results.file else {}
                job.done_before, failed_before = target.begin(run)
                job.records = chain([first] if first else [], feed.rows)
                # What was typed is a handful of rows: each is run as it would be alone, to the last digit.
                job.engine = replace(
                    engine,
                    is_deterministic=engine.is_deterministic or feed.files is None,
                    live=is_live,
                    rows_before=window_start(job.done_before, engine),
                )
                progress.start(job.done_before, failed_before)
                with output.interruptible(job.stop):
                    for outcome in job:
                        if outcome.error is None or policy.on_error == "record":
                            target.write(outcome)
                        elif policy.on_error == "skip":
                            target.leave_out(outcome)
                        progress.update(job.done, job.failed)
                if job.stop.is_set() and not job.is_complete:
                    raise KeyboardInterrupt
        if results.as_rows:
            output.note(progress.summary(target.about))
        if job is not None and job.first_error is not None:
            output.note(f"The first that failed: {job.first_error.message}")
            if job.first_error.hint:
                output.note(f"Hint: {job.first_error.hint}")
        if self._verbose:
            self._tell(job.statistics if job else None)
        return 3 if progress.failed else 0

    def _identity(
        self, job: Job, feed: Feed, inputs: InputOptions, results: OutputOptions, engine: EngineOptions
    ) -> dict[str, Any]:
        """Return what an unfinished output must have been made from, to be gone on with."""
        files = [(one.name, one.path) for one in feed.files.inputs] if feed.files else []
        reading = inputs.reading
        return journal.plain(
            {
                "task": self._name,
                "input": journal.describe_files(files) if files else list(inputs.arguments),
                "--input-format": inputs.format,
                "--split": inputs.split,
                "--delimiter": reading.delimiter,
                "--quoting": reading.quoting,
                "--no-header": not reading.header,
                "--columns": reading.columns,
                "--encoding": reading.encoding,
                "--max-row-bytes": reading.max_row_bytes,
                "--skip": inputs.skip,
                "--limit": inputs.limit,
                "--sample": inputs.sample,
                "--seed": inputs.seed,
                "columns": str(feed.columns),
                "parameters": self._parameters,
                "model": journal.describe_model(job.pipe),
                "code": journal.describe_code(job.pipe),
                "--keep": results.keep,
                "--flatten": results.flatten,
                "--on-error": job.policy.on_error,
                "--batch-size": engine.batch_size,
                "--batch-tokens": engine.batch_tokens,
                "--window": engine.window,
                "--deterministic": engine.is_deterministic,
            }
        )

    def _tell(self, statistics: Statistics | None) -> None:
        """Say what the engine chose, and what was supplied for old code."""
        if statistics is not None and statistics.batches:
            budgets = ", ".join(f"{size:,} {unit}" for unit, size in statistics.budgets.items())
            output.note(
                f"{statistics.batches:,} batches of {statistics.rows:,} rows, {statistics.padding:.0%} padding, "
                f"{statistics.tokens / max(statistics.forward_seconds, 1e-9):,.0f} tokens/s in the model; "
                f"a batch holds up to {budgets}."
            )
        for name in compat.used():
            output.note(f"Supplied for code written for transformers 4: {name}.")

    def _job(
        self,
        feed: Feed,
        inputs: InputOptions,
        results: OutputOptions,
        target: Results,
        policy: ErrorPolicy,
        first: Record | None,
    ) -> Job:
        """Load the pipeline, and put rows, parameters and media together for it."""
        # A download shows its own progress.
        with output.status(f"Loading {self._name} ...", hidden=self._is_remote()), _no_garbage_collection():
            if not self._verbose:
                quiet.transformers()
            pipe = load(self._request.target, self._options)
        signature = self._request.signature
        known = [parameter.name for parameter in signature.parameters] if signature else []
        for text in check_parameters(pipe, {**self._parameters, **_unknown_of_row(first, feed, known)}, known):
            output.note(text)
        return Job(
            pipe,
            feed.rows,
            feed.columns,
            self._parameters,
            policy,
            prepare=MediaInputs(
                pipe,
                kind=self._request.target.entry.type,
                allow_private_urls=inputs.allow_private_urls,
                asked=feed.typed,
                limit=inputs.reading.max_row_bytes,
            ),
            attach=target.attach,
            notify=output.note,
            reserved=(RESULT, ERROR) if results.as_rows and results.keep else (),
            flatten=results.flatten,
        )

    def _is_remote(self) -> bool:
        default = self._request.target.model
        return is_repo_id(self._options.model or (default.model if default else ""))


def _unknown_of_row(record: Record | None, feed: Feed, known: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that a row sets and no signature shows: whether they mean anything is for the class."""
    if record is None or record.error is not None or feed.columns is None:
        return {}
    with suppress(InputError):  # the row carries it
        return {name: value for name, value in feed.columns.call_parameters(record).items() if name not in known}
    return {}


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
