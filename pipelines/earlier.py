"""The rows that an earlier run has written, finished or not, and how those that failed are replaced.

Rows are read one after another and written anew into a file beside, which takes the place of the old one when it is
whole: until then that stays as it is. Not here: running rows (`jobs.py`), and what a person is told (`cli/retry.py`).
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError, OutputError
from pipesmith.pipelines.jobs import ERROR, RESULT, Outcome
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.formats import Format, formats
from pipesmith.pipelines.records.formats.jsonl import json_text
from pipesmith.pipelines.records.output import OutputFile, format_of_output
from pipesmith.pipelines.records.partial import AGAIN, PART, Partial
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record, WriteOptions
from pipesmith.pipelines.records.source import Source

_ANY_SIZE = ReadOptions(max_row_bytes=2**40)  # what was written is read, however large

Row = dict[str, Any]


@dataclass(frozen=True)
class Earlier:
    """An output that is there already.

    Args:
        path: the file that holds its rows.
        format: of that file.
        tabular: whether every row of the output has every column.
        keep: whether the input's columns stand beside the result.
        flatten: whether the keys of a result are columns.
        partial: what the file holds if it is unfinished; None for a finished one.
    """

    path: Path
    format: Format
    tabular: bool
    keep: bool = True
    flatten: bool = False
    partial: Partial | None = None

    def rows(self) -> Iterator[Row]:
        """Return the rows; cells of csv as text.

        Raises:
            OutputError: a row cannot be read.
        """
        if self.partial is not None:
            yield from _unfinished(self.path, self.format.name, self.partial)
        elif self.path.stat().st_size:  # else it is of jsonl, and has no rows
            with self._reading() as reading:
                for record in reading.records:
                    if record.error is not None:
                        raise _unreadable(record.error) from record.error
                    yield record.values

    def failed(self) -> frozenset[int]:
        """Return the numbers of the rows that failed, from 1.

        Raises:
            OutputError: a row cannot be read.
        """
        return frozenset(number for number, row in enumerate(self.rows(), 1) if _is_failed(row))

    def check_input(self, records: Iterable[Record]) -> None:
        """Refuse an input that a finished output was not made from.

        Args:
            records: the rows of the input.

        Raises:
            OutputError: there are more or fewer of them, a column has another value, or the output has no such results.
        """
        for number, (row, record) in enumerate(zip_longest(self.rows(), records), 1):
            if row is None or record is None:
                how = "the input goes on there" if row is None else "that is where the input ends"
                raise OutputError(
                    f"{self.path} was not made from this input: after row {number - 1:,}, {how}.",
                    hint="Use the input and the selection of its run. What --on-error skip left out cannot be told.",
                )
            if not self._has_result(row):
                raise OutputError(
                    f"{self.path}, row {number:,} has no result as these options write it.",
                    hint="Use --flatten, --keep and --no-keep as its run did.",
                )
            changed = self._changed(record, row)
            if changed is not None:
                raise OutputError(
                    f"{self.path} was not made from this input: row {number:,} has another {changed!r}.",
                    hint="Use the input and the options of its run, or start again with --force.",
                )

    def replaced(self, outcomes: Iterator[Outcome]) -> Iterator[Row]:
        """Return the rows, those that failed with what has become of them now; as they are where that has ended.

        Args:
            outcomes: of the rows that failed, in order.
        """
        as_json = self._columns_of_json()
        for row in self.rows():
            outcome = next(outcomes, None) if _is_failed(row) else None
            if outcome is None:
                for name in as_json:
                    row[name] = None if row[name] is None else json.loads(row[name])
                yield row
                continue
            kept = {name: value for name, value in row.items() if self.keep and name in outcome.record.values}
            added = outcome.row(keep=False, flatten=self.flatten, tabular=self.tabular)
            yield {**{name: value for name, value in kept.items() if name not in (RESULT, ERROR)}, **added}

    def again(self) -> OutputFile:
        """Open the file that takes the place of this one when it is finished.

        Raises:
            OutputError: it cannot be written.
        """
        options = WriteOptions()
        if self.partial is not None:
            options = WriteOptions(self.partial.columns)
        elif self.tabular:
            with self._reading() as reading:
                schema = reading.schema
                if schema is not None:  # types of results follow from all results
                    schema = schema.empty_table().drop_columns([*filter(self._is_added, schema.names)]).schema
                last = (ERROR,) if self.flatten else ()
                options = WriteOptions(tuple(reading.columns or ()), last=last, schema=schema)
        streamed = self.partial is not None or not self.flatten
        part = AGAIN if self.partial is not None else f"{PART}{AGAIN}"
        return OutputFile(self.path, format=self.format.name, options=options, force=True, streamed=streamed, part=part)

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        try:
            source = Source(str(self.path), self.path)
        except InputError as error:
            raise _unreadable(error) from error
        with source:
            try:
                reading = self.format.read(source, _ANY_SIZE)
            except InputError as error:
                raise _unreadable(error) from error
            yield reading

    def _is_added(self, name: str) -> bool:
        return name in (RESULT, ERROR) or (self.flatten and name.startswith(f"{RESULT}."))

    def _has_result(self, row: Row) -> bool:
        if self.flatten:
            return not isinstance(row.get(RESULT), Mapping) and (ERROR in row or not self.tabular)
        return RESULT in row and (ERROR in row or not self.tabular)

    def _changed(self, record: Record, row: Row) -> str | None:
        """Return the column in which a row differs from the input's; None if there is none."""
        kept = record.values if self.keep else {}
        names = dict.fromkeys([*kept, *(name for name in row if not self._is_added(name))])
        different = (name for name in names if name not in (RESULT, ERROR) and not _same(kept.get(name), row.get(name)))
        return next(different, None)

    def _columns_of_json(self) -> list[str]:
        """Return the columns of results that are JSON text because their values do not unite: see `find_schema`."""
        if self.partial is not None or not self.format.binary:
            return []
        from pipesmith.pipelines.records.arrow.seen import NoTypeError, Seen

        with self._reading() as reading:
            texts = [one.name for one in reading.schema if self._is_added(one.name) and str(one.type) == "string"]
        seen = {name: Seen() for name in texts}
        for row in self.rows() if texts else ():
            for name in list(seen):
                try:
                    seen[name].add([None if row[name] is None else json.loads(row[name])])
                except ValueError:  # text that is no JSON
                    del seen[name]
        found = []
        for name, facts in seen.items():
            try:
                facts.type()
            except NoTypeError:
                found.append(name)
        return found


def find_earlier(
    output: Path, format: str | None = None, *, keep: bool = True, flatten: bool = False, force: bool = False
) -> Earlier | None:
    """Return what is there of an output: the unfinished file if there is one, else the finished one, or None.

    Args:
        output: the file that results go to.
        format: its format's name; by its ending if None.
        keep: whether the input's columns stand beside the result.
        flatten: whether the keys of a result are columns.
        force: whether an unfinished file comes before a finished one.

    Raises:
        OutputError: there are both, or the unfinished file is none that was written.
    """
    target = format_of_output(output, format)
    beside = Path(f"{output.resolve() if output.is_symlink() else output}{PART}")
    spool = Path(f"{beside}.jsonl")
    for part, form in ((spool, formats()["jsonl"]), (beside, target)):
        if part.is_file() and form.count is not None:
            if output.exists() and not force:
                raise OutputError(f"{output} exists beside {part}.", hint="Move one of them away.")
            return Earlier(part, form, target.tabular, keep, flatten, form.count(part))
    return Earlier(output, target, target.tabular, keep, flatten) if output.is_file() else None


def _unfinished(path: Path, format: str, partial: Partial) -> Iterator[Row]:
    with path.open("rb") as stream:
        lines = _lines(stream, partial.size)
        if format == "jsonl":
            yield from map(json.loads, lines)
            return
        csv.field_size_limit(sys.maxsize)  # a result may be a long cell
        cells = csv.reader(lines, delimiter="\t" if format == "tsv" else ",", strict=True)
        next(cells, None)  # the header
        for row in cells:
            yield dict(zip(partial.columns, row))


def _lines(stream: Iterable[bytes], size: int) -> Iterator[str]:
    for line in stream:
        size -= len(line)
        if size < 0:
            return
        yield line.decode()


def _is_failed(row: Row) -> bool:
    return row.get(ERROR) not in (None, "")


def _unreadable(error: InputError) -> OutputError:
    return OutputError(f"Its rows cannot be run again: {error.message}", hint="--force starts again.")


def _same(ours: Any, theirs: Any) -> bool:
    """Tell whether a value of the input is what a file of results has, in whatever format: csv is text, for example."""
    ours, theirs = to_plain(ours), to_plain(theirs)
    if ours == theirs or (ours is None and theirs == ""):
        return True
    if isinstance(theirs, str):
        text = ours if isinstance(ours, str) else json_text(ours).decode()
        with suppress(ValueError):
            return _written(text) == theirs or (not isinstance(ours, str) and bool(json.loads(theirs) == ours))
        return False
    if isinstance(ours, dict) and isinstance(theirs, dict):  # a struct has the fields of all rows
        return all(_same(ours.get(name), theirs.get(name)) for name in {*ours, *theirs})
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return False


def _written(text: str) -> str:
    """Return text as csv has it: NUL, and halves of surrogate pairs, are replaced."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
