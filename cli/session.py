"""One run of a task from the shell: load it, send rows through, write what comes out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import typer

from pipesmith.cli import output, quiet, retry
from pipesmith.cli.flags import TaskRequest
from pipesmith.cli.inputs import Feed, InputOptions, open_feed
from pipesmith.cli.progress import Progress
from pipesmith.cli.results import OutputOptions, attachments_of, journal_of, open_results, refuse_input
from pipesmith.pipelines import compat, journal
from pipesmith.pipelines.earlier import Earlier
from pipesmith.pipelines.engine import EngineOptions
from pipesmith.pipelines.engine.windows import window_start
from pipesmith.pipelines.errors import InputError, ParameterError, ProjectError
from pipesmith.pipelines.hub import is_repo_id
from pipesmith.pipelines.jobs import ERROR, RESULT, ErrorPolicy, Job
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.names import counted, near_miss
from pipesmith.pipelines.parameters import check_parameters
from pipesmith.pipelines.records.media.inputs import MediaInputs
from pipesmith.pipelines.records.record import Record
from pipesmith.pipelines.targets import LoadOptions


@dataclass
class RunSession:
    """A task, its inputs, and where results go.

    Args:
        name: the task as the user wrote it.
        request: what was read of it.
        loading: how to load it.
        parameters: of the call; the project's settings fill in what is not given.
        inputs: what is run.
        results: where results go.
        policy: what a failed row does.
        engine: how rows are batched.
        verbose: whether libraries may talk on stderr.
    """

    name: str
    request: TaskRequest
    loading: LoadOptions
    parameters: Mapping[str, Any]
    inputs: InputOptions
    results: OutputOptions
    policy: ErrorPolicy
    engine: EngineOptions
    verbose: bool = False

    def __post_init__(self) -> None:
        self.parameters = {**project_parameters(self.request), **self.parameters}
        self._pipe: Any = None  # loaded once
        self._said: set[str] = set()

    def run(self, ctx: typer.Context) -> int:
        """Run every row and write what becomes of it.

        Args:
            ctx: the command, whose help is printed if there is no input at all.

        Returns:
            The exit code: 3 if rows failed, else 0.

        Raises:
            PipeError: an option, a file or the model is wrong, or the policy ends the run.
            KeyboardInterrupt: the run was interrupted; the batch in hand is written.
        """
        inputs, results, policy = self.inputs, self.results, self.policy
        if results.resume or results.retry_errors:
            code = self._retry(ctx) if results.retry_errors else self._finished(ctx)
            if code is not None:
                return code
        feed = self._feed(ctx)
        with (
            feed.files or nullcontext(),
            output.results_stream(until_exit=True) as stream,
            open_results(stream, results, feed) as target,
            Progress(feed, inputs, shown=not output.is_terminal(stream) or results.file is not None) as progress,
        ):
            job = None
            first = next(feed.rows, None) if results.as_rows else None
            if first or not results.as_rows:
                job = self._job(feed, target.attach, first)
                run = self._identity(job, feed) if results.file else {}
                job.done_before, failed_before = target.begin(run)
                job.engine = replace(job.engine, rows_before=window_start(job.done_before, self.engine))
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
            if job is not None:
                output.note(progress.batches(job.statistics, job.pipe))
        self._tell(job)
        is_kept = results.file is not None and results.file.is_file() and not (feed.files and feed.files.is_live)
        if progress.failed and is_kept and policy.on_error == "record":
            output.note("The same command with --resume --retry-errors runs the failed rows again.")
        return 3 if progress.failed else 0

    def _finished(self, ctx: typer.Context) -> int | None:
        """Say that an output is finished; return the exit code then, so that a loop around `--resume` ends."""
        results = self.results
        earlier = None if results.force else retry.find(results)
        if earlier is None or earlier.partial is not None:
            return None
        self._check_input(earlier, ctx)
        failed = len(earlier.failed())
        journal_of(earlier.path).close(remove=True)  # it is there if the run was killed just before its end
        output.note(f"{results.file} is finished: nothing is left to run. --force starts again.")
        if failed:
            output.note(f"{counted(failed, 'row')} of it failed: --resume --retry-errors runs them again.")
        return 3 if failed else 0

    def _check_input(self, earlier: Earlier, ctx: typer.Context) -> None:
        """Refuse an input that an output was not made from, as far as that can be told without its journal."""
        assert self.results.file is not None
        feed = self._feed(ctx)
        with feed.files or nullcontext():
            refuse_input(self.results.file, feed)
            if earlier.partial is None and self.policy.on_error != "skip":  # which rows those were nobody knows
                earlier.check_input(feed.rows)

    def _retry(self, ctx: typer.Context) -> int | None:
        """Run the failed rows of an earlier output again; return the exit code if no others are to be run."""
        results = self.results
        earlier = retry.earlier_output(results, self.policy)
        if earlier is None:
            return None
        self._check_input(earlier, ctx)
        failed = earlier.failed()
        if not failed:
            output.note(f"No row of {earlier.path} has failed: none is run again.")
            return None if earlier.partial is not None else 0
        feed = self._feed(ctx)
        with (
            feed.files or nullcontext(),
            output.results_stream(until_exit=True),
            Progress(feed, replace(self.inputs, skip=0, limit=len(failed))) as progress,
        ):
            save = attachments_of(results).save
            first = next(feed.rows, None)
            job = self._job(feed, lambda value, name, row: save(value, name=name, row=row), first)
            job.only = failed
            retry.run_again(earlier, job, self._identity(job, feed), results, progress)
        self._tell(job)
        return None if earlier.partial is not None else 3 if job.failed else 0

    def _feed(self, ctx: typer.Context) -> Feed:
        """Open the inputs; what there is to say of them is said once."""
        feed = open_feed(ctx, self.request, self.inputs, self.loading.access, self._say_once)
        if self.results.resume and feed.files is not None and feed.files.is_live:
            raise ParameterError("stdin cannot be resumed: what was read of it is gone.", hint="Use a file.")
        return feed

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            output.note(text)

    def _identity(self, job: Job, feed: Feed) -> dict[str, Any]:
        """Return what an unfinished output must have been made from, to be gone on with."""
        files = [(one.name, one.path) for one in feed.files.inputs] if feed.files else []
        inputs, results, engine = self.inputs, self.results, self.engine
        reading = inputs.reading
        return journal.plain(
            {
                "task": self.name,
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
                "parameters": self.parameters,
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

    def _tell(self, job: Job | None) -> None:
        """Say why the first row failed, and with --verbose what was supplied for old code."""
        if job is not None and job.first_error is not None:
            output.note(f"The first that failed: {job.first_error.message}")
            if job.first_error.hint:
                output.note(f"Hint: {job.first_error.hint}")
        if self.verbose:
            for name in compat.used():
                output.note(f"Supplied for code written for transformers 4: {name}.")

    def _job(self, feed: Feed, attach: Callable[[Any, str, int], Any], first: Record | None) -> Job:
        """Load the pipeline, and put rows, parameters and media together for it."""
        inputs, results = self.inputs, self.results
        pipe = self._pipe = self._load() if self._pipe is None else self._pipe
        signature = self.request.signature
        known = [parameter.name for parameter in signature.parameters] if signature else []
        for text in check_parameters(pipe, {**self.parameters, **_unknown_of_row(first, feed, known)}, known):
            self._say_once(text)
        return Job(
            pipe,
            chain([first] if first else [], feed.rows),
            feed.columns,
            self.parameters,
            self.policy,
            prepare=MediaInputs(
                pipe,
                kind=self.request.target.entry.type,
                allow_private_urls=inputs.allow_private_urls,
                asked=feed.typed,
                limit=inputs.reading.max_row_bytes,
            ),
            attach=attach,
            notify=self._say_once,
            reserved=(RESULT, ERROR) if results.as_rows and results.keep else (),
            flatten=results.flatten,
            # What was typed is a handful of rows: each is run as it would be alone, to the last digit.
            engine=replace(
                self.engine,
                is_deterministic=self.engine.is_deterministic or feed.files is None,
                live=feed.files is not None and feed.files.is_live,
            ),
        )

    def _load(self) -> Any:
        # A download shows its own progress.
        with output.status(f"Loading {self.name} ...", hidden=self._is_remote()), _no_garbage_collection():
            if not self.verbose:
                if self.loading.framework == "tf":
                    quiet.tensorflow()
                quiet.transformers()
            return load(self.request.target, self.loading)

    def _is_remote(self) -> bool:
        default = self.request.target.model
        return is_repo_id(self.loading.model or (default.model if default else ""))


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
