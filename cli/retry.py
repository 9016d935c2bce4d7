"""`--retry-errors`: the rows of an earlier output that failed are run again, in their places."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pipesmith.cli import output
from pipesmith.cli.progress import Progress
from pipesmith.cli.results import OutputOptions, journal_of
from pipesmith.pipelines.earlier import Earlier, find_earlier
from pipesmith.pipelines.errors import ParameterError
from pipesmith.pipelines.jobs import ErrorPolicy, Job, Outcome
from pipesmith.pipelines.journal import check_output, check_same
from pipesmith.pipelines.names import WAS, counted


def earlier_output(options: OutputOptions, policy: ErrorPolicy) -> Earlier | None:
    """Return the output whose failed rows are run again; None if there is none yet.

    Raises:
        ParameterError: other options do not go with --retry-errors.
        OutputError: the output is not one that a run has written.
    """
    if not options.resume:
        raise ParameterError(
            "--retry-errors runs rows of an earlier output again, so it goes with --resume.", hint="Add --resume."
        )
    if options.file is None:
        raise ParameterError("--retry-errors runs rows of a file again.", hint="Name the file with --output.")
    if policy.on_error == "skip":
        raise ParameterError(
            "--retry-errors runs rows again whose error was recorded; --on-error skip leaves no place for them.",
            hint="Start again with --force --on-error record.",
        )
    return find(options)


def find(options: OutputOptions) -> Earlier | None:
    """Return what is there of the output; None if it is not a file, or there is none yet.

    Raises:
        OutputError: there are a finished and an unfinished one.
    """
    if options.file is None:
        return None
    return find_earlier(options.file, options.format, keep=options.keep, flatten=options.flatten, force=options.force)


def run_again(earlier: Earlier, job: Job, run: Mapping[str, Any], options: OutputOptions, progress: Progress) -> None:
    """Run the failed rows of an output again and put what becomes of them into their places.

    Args:
        earlier: the output. It stays as it is until every row of it is written anew.
        job: of the rows that failed.
        run: what an unfinished output must have been made from.
        options: of the output.
        progress: is told how far it is.

    Raises:
        PipeError: it was made from something else, a row ends the job, or the output cannot be written.
        KeyboardInterrupt: the run was interrupted; the rows that were run by then have their places.
    """
    assert options.file is not None and job.only is not None
    journal = journal_of(options.file)
    if earlier.partial is not None:
        before, noted = journal.read()
        check_same(before, run, options.file)
        check_output(earlier.path, earlier.partial, noted)
    else:
        output.note(f"{options.file} is finished: nobody can tell whether parameters and model are those of its run.")

    def shown(outcome: Outcome) -> Outcome:
        progress.update(job.done, job.failed)
        return outcome

    progress.start()
    file = earlier.again()
    try:
        with output.interruptible(job.stop), closing(iter(job)) as outcomes:
            for row in earlier.replaced(map(shown, outcomes)):
                file.write(row)
            next(outcomes, None)  # the last one may have been one too many
        if earlier.partial is None:
            file.finish()
        else:
            journal.go_on()
            journal.note(size=0, checksum=0)  # whichever of the two files is there after a kill: it is whole
            file.finish()
            journal.note(size=file.size, checksum=file.checksum)
    except BaseException:
        file.abandon()
        raise
    finally:
        journal.close()
    output.note(
        f"{counted(job.done, 'row', WAS)} run again: {job.done - job.failed:,} succeeded, {job.failed:,} failed again."
    )
    if job.stop.is_set() and (earlier.partial is not None or job.done < len(job.only)):
        output.note("The same command goes on.")
        raise KeyboardInterrupt
