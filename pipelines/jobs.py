"""A job: the rows of files through a live pipeline, each with what became of it.

Here lies what happens to rows around the engine: which column is what, parameters of their own, media, and what a
failed row does. Not here: batching (`engine/`), formats (`records/`), and what a person sees of it (`cli/`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pipesmith.pipelines.engine import EngineOptions, Row, RowResult, Statistics, run
from pipesmith.pipelines.engine.time_limit import time_limit
from pipesmith.pipelines.errors import InputError, OutputError, PipeError
from pipesmith.pipelines.names import HAS, counted
from pipesmith.pipelines.records.columns import ColumnMap, place
from pipesmith.pipelines.records.record import Record

RESULT, ERROR = "result", "error"
_ADDED = {RESULT, ERROR}
_ALIKE = 20  # so many first rows that fail with one error: it is the set-up, not the rows


@dataclass(frozen=True)
class ErrorPolicy:
    """What a failed row does.

    Args:
        on_error: "fail" ends the job, "skip" leaves the row out, "record" puts the error in its place.
        max_errors: how many rows may fail before the job ends; None for any number.
    """

    on_error: str = "fail"
    max_errors: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Args:
        record: the row as it was read.
        inputs: what the pipeline was given.
        was_run: whether the pipeline was given it: else the row could not be read.
        result: plain JSON values; None if the row failed.
        error: why it failed.
    """

    record: Record
    inputs: Any = None
    was_run: bool = True
    result: Any = None
    error: PipeError | None = None

    def error_record(self) -> dict[str, Any] | None:
        """Return what is written in the place of a failed row; None for a good one.

        `type` is the exception that the pipeline raised, or InputError for a row that cannot be read; `message` its
        sentence; `row`, `file` and, in text formats, `line` say where.
        """
        if self.error is None:
            return None
        raised = self.error.__cause__ if self.was_run and self.error.__cause__ else self.error
        found = {
            "type": type(raised).__name__,
            "message": self.error.message,
            "row": self.record.row,
            "file": self.record.file,
        }
        return {**found, "line": self.record.line} if self.record.line is not None else found

    def row(self, *, keep: bool = True, flatten: bool = False, tabular: bool = False) -> dict[str, Any]:
        """Return the row to write: the columns that were read, then `result`, then `error`.

        Args:
            keep: whether the columns that were read stay.
            flatten: whether the keys of a dict become columns `result.KEY`.
            tabular: whether `error` is always there, for formats in which every row has every column.

        Raises:
            OutputError: a column that was read has the name of one that is added.
        """
        added: dict[str, Any]
        if flatten and self.error is not None:
            added = {}
        elif flatten and isinstance(self.result, Mapping):
            added = {f"{RESULT}.{key}": value for key, value in self.result.items()}
        else:
            added = {RESULT: self.result}
        if self.error is not None or tabular:
            added[ERROR] = self.error_record()
        if not keep:
            return added
        if self.error is None:
            check_names(self.record.values, added)
        return {**{name: value for name, value in self.record.values.items() if name not in _ADDED}, **added}


def check_names(columns: Iterable[str], added: Iterable[str] = (RESULT, ERROR), where: str = "The input") -> None:
    """Refuse columns of a file (`where`) that are named like those that are added beside them.

    Raises:
        OutputError: names the column.
    """
    doubled = [name for name in added if name in columns]
    if doubled:
        raise OutputError(
            f"{where} has a column {doubled[0]!r}, and that is what a column of the output is called.",
            hint="--no-keep leaves the input's columns out, or rename it in the input.",
        )


@dataclass
class Job:
    """Rows through a pipeline, one outcome a row, in order.

    Args:
        pipe: a live transformers.Pipeline.
        records: the rows.
        columns: which column is what; None if there are no rows.
        parameters: of every row's call; a row's own come before them.
        policy: what a failed row does.
        prepare: turns an input into what `preprocess` takes: paths of images into images.
        attach: puts images and sounds of results into files; see `plain.to_plain`.
        notify: told what a reader should know once.
        engine: how rows are batched.
        reserved: names that no column may have: those of columns that are written beside it.
        flatten: whether the keys of a result are such columns as well.
        stop: ends the job after the batch in hand when it is set.
        done_before: rows of an earlier run that have their outcome: none is yielded for them.
        only: the numbers of the rows that are run, from 1: those that failed before; all if None.

    Attributes:
        done: how many rows have an outcome.
        failed: how many of them failed.
        first_error: of these, with its place.
        statistics: what the engine has done.
    """

    pipe: Any
    records: Iterable[Record]
    columns: ColumnMap | None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    policy: ErrorPolicy = field(default_factory=ErrorPolicy)
    prepare: Callable[[Any], Any] = lambda inputs: inputs
    attach: Callable[[Any, str, int], Any] | None = None
    notify: Callable[[str], None] = lambda text: None
    engine: EngineOptions = field(default_factory=EngineOptions)
    done_before: int = 0
    only: Collection[int] | None = None
    reserved: tuple[str, ...] = ()
    flatten: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    statistics: Statistics = field(default_factory=Statistics)
    done: int = 0
    failed: int = 0
    first_error: PipeError | None = None
    _last: int | None = None  # row of the input, when all are read
    _reached: int = 0  # row

    def __iter__(self) -> Generator[Outcome, None, None]:
        """Yield outcomes; those of skipped rows as well.

        Raises:
            PipeError: a row failed and the policy ends the job.
        """
        first_errors: list[PipeError] = []
        options = replace(self.engine, stop=self.stop)
        results = run(self.pipe, self._rows(), notify=self.notify, options=options, statistics=self.statistics)
        with closing(results):  # its threads end when the job does, however that ends
            for result in results:
                self._reached = result.row.number
                if result.row.number <= self.done_before:  # of a window that was cut: computed again whole
                    continue
                outcome = self._outcome(result)
                self.done += 1
                if outcome.error is None:
                    yield outcome
                    continue
                self.failed += 1
                self.first_error = self.first_error or _at_its_row(outcome)
                if self.policy.on_error == "fail":
                    raise _at_its_row(outcome)
                if self.failed == self.done and self.only is None:  # else it is known to be the rows
                    first_errors.append(outcome.error)
                yield outcome
                if len(first_errors) == self.failed == _ALIKE:
                    self._stop_if_alike(first_errors)
                self._stop_if_too_many(outcome)

    @property
    def is_complete(self) -> bool:
        """Whether every row that there is has an outcome."""
        return self._last is not None and self._last <= self._reached

    def _rows(self) -> Iterator[Row]:
        number = first = self.engine.rows_before
        end = None if self.only is None else max(self.only, default=0)
        for number, record in enumerate(islice(self.records, first, end), first + 1):
            if self.only is None or number in self.only:
                yield to_row(self._checked(record), number, self.columns, self.parameters, self._prepared)
        self._last = number

    def _checked(self, record: Record) -> Record:
        """Return a row, with an error if it has columns that are named like those of the output."""
        error = None if record.error else _doubled(record, self.reserved)
        return replace(record, error=error) if error is not None else record

    def _prepared(self, inputs: Any) -> Any:
        with time_limit(self.engine.row_timeout):
            return self.prepare(inputs)

    def _outcome(self, result: RowResult) -> Outcome:
        record, number = result.row.origin, result.row.number
        attach = self.attach
        if result.error is not None:
            return Outcome(record, result.row.inputs, result.row.error is None, error=result.error)
        try:
            plain = result.plain(None if attach is None else lambda value, name: attach(value, name, number))
        except InputError as error:
            return Outcome(record, result.row.inputs, error=error)
        if self.reserved and self.flatten and isinstance(plain, Mapping):
            names = [f"{RESULT}.{key}" for key in plain]
            if self.columns is not None and self.columns.is_fixed:  # then it is every row's column
                check_names(record.values, names, where=record.file)
            doubled = _doubled(record, names)
            if doubled is not None:
                return Outcome(record, result.row.inputs, error=doubled)
        return Outcome(record, result.row.inputs, result=plain)

    def _stop_if_alike(self, errors: list[PipeError]) -> None:
        if len({_kind(error) for error in errors}) == 1 and self.first_error is not None:
            raise PipeError(
                f"The first {_ALIKE} rows all fail alike, so it is not the rows: {self.first_error.message}",
                hint=errors[0].hint or "Try one row: --limit 1 --on-error fail --verbose",
            ) from errors[0]

    def _stop_if_too_many(self, outcome: Outcome) -> None:
        limit = self.policy.max_errors
        if limit is not None and self.failed > limit:
            error = _at_its_row(outcome)
            raise PipeError(
                f"{counted(self.failed, 'row', HAS)} failed, more than --max-errors {limit} allows; the last:"
                f" {error.message}",
                hint=error.hint,
            ) from outcome.error


def _doubled(record: Record, names: Iterable[str]) -> InputError | None:
    """Return the error for a row with a column that is named like one of the output; None if there is none."""
    doubled = [name for name in names if name in record.values]
    if not doubled:
        return None
    return InputError(
        f"{place(record)}: there is a column {doubled[0]!r}, which is what a column of the output is called.",
        hint="--no-keep leaves the input's columns out, or rename it in the input.",
    )


def to_row(
    record: Record,
    number: int,
    columns: ColumnMap | None,
    parameters: Mapping[str, Any],
    prepare: Callable[[Any], Any],
) -> Row:
    """Return a row for the engine; one that cannot be read carries its error.

    Args:
        record: the row as it was read.
        number: of the row, from 1.
        columns: which column is what; None if there are no good rows.
        parameters: of every row's call; a row's own come before them.
        prepare: turns an input into what `preprocess` takes.
    """
    if record.error is not None:
        return Row(None, number=number, error=record.error, origin=record)
    assert columns is not None
    try:
        inputs, own = prepare(columns.inputs(record)), columns.call_parameters(record)
    except PipeError as error:
        return Row(None, number=number, error=error, origin=record)
    return Row(inputs, {**parameters, **own} if own else parameters, number, origin=record)


def _kind(error: PipeError) -> str:
    """Return an error without what differs from row to row: numbers, paths and what is quoted."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\S*[\d/.\\]\S*", "", error.message)


def _at_its_row(outcome: Outcome) -> PipeError:
    """Return a row's error with its file and row, where the message does not name them."""
    error, record = outcome.error, outcome.record
    assert error is not None
    if not record.file or error.message.startswith(record.file):
        return error
    placed = type(error)(f"{place(record)}: {error.message}", hint=error.hint)
    placed.__cause__ = error.__cause__
    return placed
