"""Where results go: a file of rows, stdout as rows, or stdout as bare results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from pipesmith.cli import output
from pipesmith.cli.inputs import Feed
from pipesmith.cli.output import short_place
from pipesmith.pipelines.errors import OutputError, ParameterError
from pipesmith.pipelines.jobs import ERROR, RESULT, Outcome, check_names
from pipesmith.pipelines.journal import Journal, check_output, check_same
from pipesmith.pipelines.names import IS, counted
from pipesmith.pipelines.records.formats import Format, NewColumnsError, formats
from pipesmith.pipelines.records.media.attachments import Attachments
from pipesmith.pipelines.records.output import OutputFile
from pipesmith.pipelines.records.partial import PARTIAL
from pipesmith.pipelines.records.record import WriteOptions

_NOTE_EVERY = 1.0  # seconds between notes in the journal


@dataclass(frozen=True)
class OutputOptions:
    """What the command line says of results.

    Args:
        file: to write rows to; None for stdout.
        folder: for images and sounds.
        format: human, json, jsonl, csv or quiet; by the file's ending, or by where stdout goes, if None.
        keep: whether the input's columns stay beside the result.
        flatten: whether the keys of a dict become columns.
        force: whether existing files are replaced.
        resume: whether an unfinished file is gone on with.
        retry_errors: whether rows of it, or of a finished one, that failed are run again.
        as_rows: whether rows are written (columns beside the result) rather than bare results.
    """

    file: Path | None = None
    folder: Path | None = None
    format: str | None = None
    keep: bool = True
    flatten: bool = False
    force: bool = False
    resume: bool = False
    retry_errors: bool = False
    as_rows: bool = False


class Results(AbstractContextManager["Results"], Protocol):
    """Takes what became of rows, in order."""

    @property
    def about(self) -> str:
        """Where results go, for the summary; "" for stdout."""

    def begin(self, run: Mapping[str, Any]) -> tuple[int, int]:
        """Begin, or go on with, what belongs to a run; return how many rows are done, and how many of them failed.

        Raises:
            OutputError: what is to be gone on with belongs to another run.
        """

    def write(self, outcome: Outcome) -> None:
        """Write a row's result, or its error."""

    def leave_out(self, outcome: Outcome) -> None:
        """Take note of a row that failed and is not written."""

    def attach(self, value: Any, name: str, row: int) -> Any:
        """Put an image or a sound into a file; return its path, or what is written in its place."""


def open_results(stream: TextIO, options: OutputOptions, feed: Feed) -> Results:
    """Open where results go.

    Args:
        stream: stdout.
        options: what the command line says.
        feed: the inputs, for their columns.

    Raises:
        OutputError: the file exists, cannot be written, or would have two columns of one name.
        ParameterError: options contradict each other.
    """
    if options.as_rows and options.keep:
        check_names(feed.known_columns, where=feed.files.inputs[0].name if feed.files else "The input")
    if options.file is not None:
        return _FileResults(options, feed)
    form = options.format or ("human" if output.is_terminal(stream) else "jsonl")
    if options.as_rows and form in ("json", "jsonl", "csv"):
        return _RowsOnStdout(stream, formats()[form], options, feed)
    return _BareResults(stream, form, options, named=feed.several and form == "human")


def _columns(feed: Feed, options: OutputOptions) -> WriteOptions:
    """Return the columns that a file of results is known to have; none if rows may differ."""
    kept = feed.known_columns if options.keep else ()
    if options.flatten:
        return WriteOptions(kept, last=(ERROR,), schema=feed.schema)
    if feed.columns is not None and options.keep and not kept:
        return WriteOptions()
    return WriteOptions((*kept, RESULT, ERROR), schema=feed.schema)


class _FileResults:
    def __init__(self, options: OutputOptions, feed: Feed) -> None:
        assert options.file is not None
        if options.format in ("human", "quiet"):
            raise ParameterError(
                f"--format {options.format} is for stdout; --output is written as its ending says.",
                hint="Leave --format out.",
            )
        refuse_input(options.file, feed)
        self._options = options
        self._file = OutputFile(
            options.file,
            format=options.format,
            options=_columns(feed, options),
            force=options.force,
            streamed=not options.flatten,
            resume=options.resume,
        )
        self._journal = journal_of(options.file)
        self._noted = 0.0
        self._attachments = attachments_of(options)

    @property
    def about(self) -> str:
        return str(self._file.path)

    def begin(self, run: Mapping[str, Any]) -> tuple[int, int]:
        kept = self._file.kept
        if kept is None or (not kept.rows and not self._journal.is_begun):
            self._journal.begin(run)
            if kept is not None:
                self._file.go_on()
            return 0, 0
        before, progress = self._journal.read()
        check_same(before, run, self._file.path)
        check_output(self._file.part, kept, progress)
        self._file.go_on()
        self._journal.go_on()
        done = self._file.rows + progress.skipped
        output.note(f"{counted(done, 'row', IS)} done: going on from there.")
        return done, kept.failed + progress.skipped

    def write(self, outcome: Outcome) -> None:
        options = self._options
        self._file.write(outcome.row(keep=options.keep, flatten=options.flatten, tabular=self._file.format.tabular))
        now = time.monotonic()
        if now >= self._noted + _NOTE_EVERY or self._file.was_widened:
            self._noted = now
            self._journal.note(size=self._file.size, checksum=self._file.checksum)

    def leave_out(self, outcome: Outcome) -> None:
        self._journal.note(skipped=1, size=self._file.size, checksum=self._file.checksum)

    def attach(self, value: Any, name: str, row: int) -> str | None:
        return self._attachments.save(value, row=row, name=name)

    def __enter__(self) -> _FileResults:
        self._file.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.__exit__(kind, error, trace)
        finally:
            self._journal.close(remove=not self._file.part.exists())
        if error is not None and self._file.rows and not isinstance(error, OutputError):  # which says it itself
            rows = counted(self._file.rows, "row", IS)
            output.note(f"{rows} in {self._file.part}; the same command with --resume goes on.")


class _RowsOnStdout:
    about = ""

    def __init__(self, stream: TextIO, format: Format, options: OutputOptions, feed: Feed) -> None:
        self._stream = stream
        self._format = format
        self._options = options
        self._columns = _columns(feed, options)
        self._sink = format.sink(stream.buffer, self._columns) if format.sink else None
        self._rows: list[Any] = []  # of json, which is one value
        self._attachments = Attachments(options.folder, force=options.force) if options.folder else None

    def begin(self, run: Mapping[str, Any]) -> tuple[int, int]:
        return 0, 0

    def leave_out(self, outcome: Outcome) -> None:
        pass

    def write(self, outcome: Outcome) -> None:
        options = self._options
        row = outcome.row(keep=options.keep, flatten=options.flatten, tabular=self._format.tabular)
        if self._sink is None:
            self._rows.append(row)
            return
        try:
            self._sink.write(row)
        except NewColumnsError as error:
            raise OutputError(
                f"Row {outcome.record.row} has other columns than the rows before it ({error}), which one csv table on "
                "stdout cannot hold.",
                hint="Use --format jsonl, or --output FILE.csv.",
            ) from error
        self._stream.buffer.flush()

    def attach(self, value: Any, name: str, row: int) -> str | None:
        if self._attachments is None:
            raise OutputError(
                "The results hold images or sounds, and stdout is no place for them.",
                hint="Name a folder for them with --output-dir, or a file of results with --output.",
            )
        return self._attachments.save(value, row=row, name=name)

    def __enter__(self) -> _RowsOnStdout:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self._sink.close()
        elif error is None and self._format.write is not None:
            self._format.write(self._stream.buffer, lambda: iter(self._rows), self._columns)
        self._stream.buffer.flush()


class _BareResults:
    about = ""

    def __init__(self, stream: TextIO, form: str, options: OutputOptions, *, named: bool) -> None:
        self._writer = output.RowWriter(stream, form, named=named)
        self._attachments = Attachments(options.folder, force=options.force) if options.folder else None
        self._described = False

    def begin(self, run: Mapping[str, Any]) -> tuple[int, int]:
        return 0, 0

    def leave_out(self, outcome: Outcome) -> None:
        pass

    def write(self, outcome: Outcome) -> None:
        result = outcome.result if outcome.error is None else {ERROR: outcome.error_record()}
        self._writer.write(outcome.inputs, result)

    def attach(self, value: Any, name: str, row: int) -> Any:
        if self._attachments is not None:
            return self._attachments.save(value, row=row, name=name)
        if not self._described:
            output.note("Images and sounds are described, not written: --output-dir DIR writes them.")
        self._described = True
        return _description(value)

    def __enter__(self) -> _BareResults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._writer.close()


def _description(value: Any) -> Any:
    """Return what is said of an image or a sound that is not written to a file; None for what `to_plain` describes."""
    sound = value.get("audio") if isinstance(value, Mapping) else None
    if sound is not None:
        return {"type": "audio", "samples": int(sound.shape[-1])}
    if hasattr(value, "shape"):
        return {"type": "image", "width": int(value.shape[-1]), "height": int(value.shape[-2])}
    return None


def journal_of(file: Path) -> Journal:
    """Return the journal of an unfinished output."""
    return Journal(Path(f"{file}.part.journal"))


def attachments_of(options: OutputOptions) -> Attachments:
    """Return what takes the images and sounds of a file's results."""
    # What a row that is run again has left must not stand in its way.
    return Attachments(options.folder or Path(f"{options.file}.files"), force=options.force or options.resume)


def refuse_input(file: Path, feed: Feed) -> None:
    """Refuse to write over what is read, or on the way: rows would be lost."""
    read = {one.path.resolve() for one in feed.files.inputs if one.path is not None} if feed.files else set()
    file = file.resolve()
    for written in (file, *(file.with_name(file.name + ending) for ending in PARTIAL)):
        if written in read:
            raise OutputError(f"{short_place(written)} is the input.", hint="Write to another file.")
