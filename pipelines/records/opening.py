"""What `--input` means: files, globs, folders, stdin, files of the Hub and data sets, as one run of rows."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from pipesmith.pipelines.errors import InputError, ParameterError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.records.compression import format_ending
from pipesmith.pipelines.records.formats import Format, formats
from pipesmith.pipelines.records.media.urls import shown
from pipesmith.pipelines.records.partial import is_partial
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record
from pipesmith.pipelines.records.source import Source

if TYPE_CHECKING:
    from pipesmith.pipelines.hub import HubAccess

STDIN = "-"
_HEAD = 2**20  # bytes from which the number of rows is estimated
# Files that are one row each: its column `file` is the path.
MEDIA = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    "audio": (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"),
    "video": (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg"),
}


def input_formats() -> list[str]:
    """Return the names that `--input-format` takes."""
    return [*formats(), *MEDIA]


@dataclass(frozen=True)
class Input:
    """One thing to read: a file, stdin, or a data set.

    Args:
        name: as its user named it.
        path: the file; None for stdin and what lies on the Hub.
        kind: "file", "media", "stdin", "saved" (a folder by save_to_disk), "dataset" or "hub file".
        url: of a medium that is elsewhere; its name leaves secrets out.
    """

    name: str
    path: Path | None
    kind: str
    url: str | None = None


class Records:
    """The rows of several inputs, one after another; a context manager.

    The first input that can be opened is so at once, so that its columns are known; those after it when their turn
    comes. Of several inputs, one that cannot be opened is one bad row.

    Args:
        inputs: files, globs, folders, `-`, `hf://datasets/...`, or `user/name` with a split.
        options: how files are read.
        format: of every file; found from ending and content if None.
        split: of data sets.
        kind: image, audio or video if files of that kind are meant where a folder has them.
        access: to the Hub.
        stdin: the bytes that `-` stands for.
        notify: told what a reader should know: files that are left out, files without rows.

    Attributes:
        columns: of the first input that can be opened; None where rows may differ.
        schema: the pyarrow.Schema of the input, if there is one alone and its format has types; else None.
        has_nulls: whether that input tells an empty text from nothing at all.

    Raises:
        InputError: an input does not exist or is empty, or none can be opened.
    """

    def __init__(
        self,
        inputs: Sequence[str | Path],
        options: ReadOptions | None = None,
        *,
        format: str | None = None,
        split: str | None = None,
        kind: str | None = None,
        access: HubAccess | None = None,
        stdin: BinaryIO | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        if format is not None and format not in input_formats():
            raise ParameterError(
                f"There is no input format {format!r}.",
                hint=near_miss(format, input_formats()) or f"There are {', '.join(input_formats())}.",
            )
        self._options = options or ReadOptions()
        self._format = format
        self._split = split
        self._kind = kind
        self._access = access
        self._stdin = stdin
        self._notify = notify
        if not inputs:
            raise InputError("There is no input.", hint="Name a file.")
        self.inputs = [one for text in inputs for one in self._expanded(str(text))]
        if split is not None and not any(one.kind in ("saved", "dataset") for one in self.inputs):
            raise ParameterError("--split is of a data set, and there is none among the inputs.")
        if sum(one.kind == "stdin" for one in self.inputs) > 1:
            raise InputError("stdin is named twice, and can be read once.", hint="Leave one - out.")
        self._sizes = [one.path.stat().st_size if one.path and one.path.is_file() else None for one in self.inputs]
        self._stack = ExitStack()
        self._source: Source | None = None
        self._finished_bytes = 0
        self._unopened: list[InputError] = []  # of the first inputs, those that cannot be opened
        self._estimate: int | None = None
        self._count, self._is_read = 0, False
        with ExitStack() as stack:
            stack.callback(self.close)
            self._reading = self._first_opened()
            stack.pop_all()
        self.columns = self._reading.columns
        # A second file may have columns of other types under the same names.
        self.schema = self._reading.schema if len(self.inputs) == 1 else None
        self.has_nulls = self._reading.has_nulls

    @property
    def total(self) -> int | None:
        """How many rows there are, where that is known: a file may say it, and when all are read it is."""
        if self._is_read:
            return self._count
        if all(one.kind == "media" for one in self.inputs):
            return len(self.inputs)
        return self._reading.total if len(self.inputs) == 1 else None

    @property
    def is_live(self) -> bool:
        """Whether rows may be long in coming: stdin and pipes."""
        return any(one.kind == "stdin" or (one.path is not None and not one.path.is_file()) for one in self.inputs)

    @property
    def estimate(self) -> int | None:
        """About how many rows there are, by the length of the first lines; None if the files do not have lines."""
        if self._estimate is None and len(self.inputs) == 1 and self._source is not None and self._reading.has_lines:
            self._estimate = _lines_in(self._source.path) or 0
        return self._estimate or None

    @property
    def fraction(self) -> float | None:
        """The share of the files' bytes that has been read, 0 to 1; None where sizes are unknown."""
        sizes = [size for size in self._sizes if size is not None]
        if len(sizes) != len(self._sizes) or not sum(sizes):
            return None
        return min(1.0, (self._finished_bytes + (self._source.position if self._source else 0)) / sum(sizes))

    def __iter__(self) -> Iterator[Record]:
        for record in self._rows():
            self._count += 1
            yield record
        self._is_read = True

    def _rows(self) -> Iterator[Record]:
        first = len(self._unopened)
        for number, one in enumerate(self.inputs):
            try:
                if number < first:
                    raise self._unopened[number]
                if number > first:
                    self.close()
                    self._reading = self._open(one)
            except InputError as error:  # the other files have their results: this one is one bad row
                self._finished_bytes += self._sizes[number] or 0
                yield Record({}, 1, one.name, error=error)
                continue
            is_empty = True
            for record in self._reading.records:
                is_empty = False
                yield record
            if is_empty:
                self._notify(f"{one.name} has no rows.")
            self._finished_bytes += self._sizes[number] or 0
            self._source = None

    def __enter__(self) -> Records:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open."""
        self._source = None
        self._stack.close()

    def _expanded(self, text: str) -> list[Input]:
        """Return what one `--input` stands for."""
        if not text:
            raise InputError("An input is empty text: there is no file of that name.", hint="Is a variable not set?")
        if text == STDIN:
            return [Input("stdin", None, "stdin")]
        if text.startswith("hf://"):
            return [_of_hub(text)]
        if "://" in text and not Path(text).exists():
            if text.startswith(("http://", "https://")) and self._is_media(Path(text.partition("?")[0])):
                return [Input(shown(text), None, "media", url=text)]
            raise InputError(f"{shown(text)} is no file here.", hint="Download it first, for example with curl -LO.")
        path = Path(text)
        if path.is_dir():
            from pipesmith.pipelines.records.datasets import is_saved_dataset

            return [Input(text, path, "saved")] if is_saved_dataset(path) else self._in_folder(text, path)
        if not path.exists() and glob.has_magic(text):
            return self._matching(text)
        if not path.exists() and self._split is not None:
            from pipesmith.pipelines.hub import is_repo_id

            if is_repo_id(text):
                return [Input(text, None, "dataset")]
        try:
            return [self._file(text, path)]
        except InputError as error:
            raise InputError(error.message, hint=error.hint or _hint_of_dataset(text)) from error

    def _file(self, text: str, path: Path) -> Input:
        if path.is_file() and self._is_media(path):
            return Input(text, path, "media")
        if path.is_file() or not path.exists():  # a pipe can be opened only once
            Source(text, path).close()  # missing, unreadable and empty files are named before anything is loaded
        return Input(text, path, "file")

    def _is_media(self, path: Path) -> bool:
        return self._format in MEDIA if self._format else is_medium(path)

    def _matching(self, pattern: str) -> list[Input]:
        names = [name for name in matching(pattern) if not is_partial(Path(name))]
        if not names:
            raise InputError(f"No file matches {pattern}.", hint="Check the pattern: it is relative to this folder.")
        return self._not_empty([(name, Path(name)) for name in names], pattern)

    def _in_folder(self, text: str, folder: Path) -> list[Input]:
        """Return the files of a folder that are rows, in the order of their names."""
        files = sorted(
            file
            for file in folder.rglob("*")
            if file.is_file() and not is_partial(file) and not _is_hidden(file.relative_to(folder))
        )
        known = {ending for one in formats().values() for ending in one.endings} | _media_endings()
        found = [file for file in files if self._format or format_ending(file) in known]
        wanted = MEDIA.get(self._kind or "", ())
        if not self._format and any(format_ending(file) in wanted for file in found):
            found = [file for file in found if format_ending(file) in wanted]  # beside pictures, a text is about them
        if not found:
            raise InputError(
                f"{text} is a folder, and no file in it is in a format that can be read.",
                hint=f"Name a file, or a folder of files that end with {', '.join(sorted(known))}.",
            )
        if len(found) < len(files):
            others = len(files) - len(found)
            are = "is" if others == 1 else "are"
            self._notify(f"{text}: {others} of {len(files)} files {are} in another format: left out.")
        return self._not_empty([(str(file), file) for file in found], text)

    def _not_empty(self, files: Sequence[tuple[str, Path]], where: str) -> list[Input]:
        """Leave out empty files of many: nobody has named them one by one. An empty image is a bad row."""
        empty = {name: None for name, file in files if not file.stat().st_size and not self._is_media(file)}
        if len(empty) == len(files):
            raise InputError(f"{where}: every file is empty.")
        if empty:
            first, count = next(iter(empty)), len(empty)
            what = (
                f"1 empty file is left out, {first}"
                if count == 1
                else f"{count} empty files are left out, {first} first"
            )
            self._notify(f"{where}: {what}.")
        return [self._file(name, file) for name, file in files if name not in empty]

    def _first_opened(self) -> Reading:
        """Open the first input that can be, and keep the errors of those before it."""
        for one in self.inputs:
            try:
                return self._open(one)
            except InputError as error:
                self.close()
                self._unopened.append(error)
        raise self._unopened[0]

    def _open(self, one: Input) -> Reading:
        if one.kind == "media":
            return Reading(iter([Record({"file": one.url or one.name}, 1, one.name)]), columns=("file",), total=1)
        if one.kind in ("saved", "dataset"):
            return self._dataset(one)
        self._source = self._stack.enter_context(self._opened_source(one))
        if one.kind == "stdin" and self._format in MEDIA:
            return self._medium(self._source)
        return self._format_of(self._source, one).read(self._source, self._options)

    def _medium(self, source: Source) -> Reading:
        """Return the bytes of one image, sound or video as a row."""
        limit = self._options.max_row_bytes
        source.peek()  # raises if there are no bytes
        data = source.stream().read(limit + 1)
        if len(data) > limit:
            raise InputError(f"stdin holds more than {limit:,} bytes.", hint="--max-row-bytes allows more.")
        return Reading(iter([Record({"bytes": data}, 1, source.name)]), columns=("bytes",), total=1)

    def _opened_source(self, one: Input) -> Source:
        if one.kind == "stdin":
            return Source(one.name, stream=self._stdin or sys.stdin.buffer)
        if one.kind == "hub file":
            from pipesmith.pipelines.records.datasets import open_hub_file

            return open_hub_file(one.name, self._given_access())
        return Source(one.name, one.path)

    def _dataset(self, one: Input) -> Reading:
        from pipesmith.pipelines.records import datasets

        if one.kind == "saved":
            assert one.path is not None
            return datasets.open_saved_dataset(one.path, split=self._split, options=self._options)
        return datasets.open_dataset(
            one.name, split=self._split, access=self._given_access(), options=self._options, notify=self._notify
        )

    def _given_access(self) -> HubAccess:
        from pipesmith.pipelines.hub import HubAccess

        return self._access or HubAccess()

    def _format_of(self, source: Source, one: Input) -> Format:
        """Return the format that is asked for, that the first bytes prove, that the ending says, or a likely one."""
        known = formats()
        if self._format is not None:
            return known[self._format]
        head = source.peek()
        ending = format_ending(Path(source.name))
        by_ending = next((one for one in known.values() if ending in one.endings), None)
        proven = [one for one in known.values() if one.binary and one.recognise is not None and one.recognise(head)]
        if proven and (by_ending is None or by_ending.binary or b"\0" in head):  # text may begin as a format does
            return proven[0]
        likely = [one for one in known.values() if not one.binary and one.recognise is not None and one.recognise(head)]
        if by_ending is not None:
            ruled_out = by_ending.rule_out is not None and by_ending.rule_out(_first_line(source, one), self._options)
            return likely[0] if likely and ruled_out else by_ending
        if likely and not ending:
            return likely[0]
        if one.kind == "stdin" and b"\0" not in head:
            return known["txt"]
        raise InputError(
            f"What {source.name} holds cannot be told from its name or its first bytes.",
            hint=f"Say it: --input-format {'|'.join(input_formats())}",
        )


def matching(pattern: str) -> list[str]:
    """Return the files that match a pattern, sorted; none if it is no pattern."""
    if not glob.has_magic(pattern):
        return []
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    return sorted(name for name in found if Path(name).is_file())


def _lines_in(file: Path | None) -> int | None:
    """Return about how many lines a file has, None for what is no plain file."""
    if file is None:
        return None
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    lines, size = head.count(b"\n"), file.stat().st_size
    return round(lines * size / len(head)) if lines else None


def _first_line(source: Source, one: Input) -> bytes:
    """Return the first bytes of an input, and more of them where its first line is longer and it is a plain file."""
    head = source.peek()
    if b"\n" in head.lstrip() or one.path is None or not one.path.is_file():
        return head
    try:
        with Source(one.name, one.path) as again:
            return again.stream().read(_HEAD)
    except InputError:  # cut short: it is told where the rows are read
        return head


def _is_hidden(path: Path) -> bool:
    """Tell whether a file of a folder is not meant: hidden, or an image or a sound of results of another run."""
    return any(part.startswith(".") or part.endswith(".files") for part in (*path.parts[:-1], path.name[:1]))


def is_medium(path: Path) -> bool:
    """Tell by its ending whether a file is an image, a sound or a video."""
    return format_ending(path) in _media_endings()


def _media_endings() -> set[str]:
    return {ending for endings in MEDIA.values() for ending in endings}


def _hint_of_dataset(text: str) -> str | None:
    from pipesmith.pipelines.hub import is_repo_id

    if not is_repo_id(text) or Path(text).exists() or Path(text).suffix:
        return None
    return f"If a data set of the Hub is meant, name its split, as in --split test, or write hf://datasets/{text}."


def _of_hub(url: str) -> Input:
    """Tell a whole data set, hf://datasets/user/name, from one file in it."""
    kind, _, rest = url.removeprefix("hf://").partition("/")
    parts = rest.strip("/").split("/")
    if kind != "datasets" or not parts[0]:
        raise InputError(f"{url} is no data set of the Hub.", hint="Write hf://datasets/user/name, or a file in it.")
    return Input(url, None, "hub file" if len(parts) > 2 else "dataset")


def select(
    records: Iterator[Record], *, skip: int, limit: int | None, sample: int | None, seed: int
) -> Iterator[Record]:
    """Take part of the rows: leave out the first `skip`, take at most `limit`, and draw `sample` of those.

    A sample is drawn while reading (reservoir sampling, Vitter 1985): it holds so many rows in memory, and keeps
    their order.
    """
    from itertools import islice

    chosen: Iterator[Record] = islice(records, skip, None if limit is None else skip + limit)
    if sample is None:
        return chosen
    return iter(_drawn(chosen, sample, seed))


def _drawn(records: Iterator[Record], count: int, seed: int) -> list[Record]:
    import random

    chance = random.Random(seed)
    kept: list[tuple[int, Record]] = []
    for number, record in enumerate(records):
        if number < count:
            kept.append((number, record))
        else:
            slot = chance.randint(0, number)
            if slot < count:
                kept[slot] = (number, record)
    return [record for _, record in sorted(kept, key=lambda pair: pair[0])]
