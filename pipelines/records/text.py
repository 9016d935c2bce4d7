"""Bytes as lines of text, with their numbers: what txt, csv and jsonl share. It knows nothing of rows' contents."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.records.record import ReadOptions, Record
from pipesmith.pipelines.records.source import Source

BLOCK_BYTES = 2**18

_MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Problem:
    """Why a line, or a row, cannot be read.

    Args:
        what: the end of a sentence that begins with file, row and line.
        hint: how to mend it.
        cause: the error of the file itself, after which there is nothing to read.
    """

    what: str
    hint: str | None = None
    cause: InputError | None = None

    def error(self, name: str, row: int | None, line: int, column: int | None = None) -> InputError:
        """Return it as an error that names its place."""
        place = ", ".join(f"{word} {n}" for word, n in (("row", row), ("line", line), ("column", column)) if n)
        if self.cause is not None:
            return InputError(f"{self.cause.message} Nothing can be read from {place} on.", hint=self.cause.hint)
        return InputError(f"{name}, {place}: {self.what}.", hint=self.hint)

    def record(self, name: str, row: int, line: int, values: dict[str, Any] | None = None) -> Record:
        """Return the bad row that it makes."""
        return Record(values or {}, row, name, line, self.error(name, row, line))


@dataclass(slots=True)
class Block:
    """Some lines.

    Args:
        first: the number of the first one, from 1.
        text: the lines, each with its end (\\n or \\r\\n); the last line of a file may lack it.
        problems: those that cannot be read, by number. They stand in `text` as far as they could be read.
    """

    first: int
    text: str
    problems: dict[int, Problem] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the lines without their ends. (str.splitlines would split at U+2028 and others as well.)"""
        lines = self.text.replace("\r\n", "\n").split("\n")
        if not lines[-1]:
            del lines[-1]
        return lines


NUL = Problem(
    "it holds a NUL byte (is the file binary, or UTF-16?)", "Text in UTF-16 is read with `--encoding utf-16`."
)


def too_large(options: ReadOptions) -> Problem:
    """Return the problem of a row that is larger than the limit."""
    return Problem(f"the row is larger than {options.max_row_bytes:,} bytes", "`--max-row-bytes` sets the limit.")


def read_blocks(source: Source, options: ReadOptions, *, has_quotes: bool = False) -> Iterator[Block]:
    """Read a file's lines, block by block; of a pipe, as they come.

    Where reading fails in the middle (compressed data cut short), the last line is one with that problem.

    Args:
        source: the file.
        options: its encoding, and how large a line may be. Of a larger one nothing is left but its end.
        has_quotes: whether cells in quotes go over several lines. Then one quote is left of a line that is too large
            and has an odd number of them: it opens a cell, or closes one, for the lines after it.

    Raises:
        InputError: the encoding is unknown, or the file is empty.
    """
    codec = find_codec(source, options)
    pieces = _read_bytes(source, codec) if _is_ascii_like(codec) else _transcode(source, codec)
    return _split(pieces, codec if _is_ascii_like(codec) else "utf-8", options, b'"' if has_quotes else b"")


def read_text(source: Source, codec: str) -> Iterator[str]:
    """Read a file's text, piece by piece, without regard to lines.

    Raises:
        InputError: a byte is wrong; the text before it has been handed over.
    """
    decoder = codecs.getincrementaldecoder(codec)()
    stream = source.stream()
    line, position = 1, 0
    data = b"more"
    while data:
        data = stream.read1(BLOCK_BYTES)
        first = position == 0
        position += len(data)
        wrong, before = None, decoder.getstate()
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            wrong = error
            spoilt = len(error.object) - error.start  # its object begins with what the last piece left over
            position -= spoilt
            decoder.setstate(before)
            text = decoder.decode(data[:-spoilt]) if spoilt < len(data) else ""
        text = text.removeprefix("\ufeff") if first else text
        yield text
        line += text.count("\n")
        if wrong is not None:
            raise _undecodable(wrong, codec, f"byte {position + 1:,} of the file").error(source.name, None, line)


def find_codec(source: Source, options: ReadOptions) -> str:
    """Return the name of the file's encoding, as Python calls it.

    Raises:
        InputError: it is unknown, or the file is empty.
    """
    head = source.peek()
    if options.encoding is None:
        return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
    try:
        name = codecs.lookup(options.encoding).name
        "".encode(name)  # base64 and others are no encodings of text
        if name in ("idna", "punycode"):  # of names of hosts
            raise LookupError(name)
    except (LookupError, UnicodeError) as error:
        from encodings.aliases import aliases

        known = {name.replace("_", "-") for name in (*aliases, *aliases.values(), "latin-1")}
        hint = near_miss(options.encoding, sorted(known)) or "Usual ones: utf-8, latin-1, cp1252, utf-16."
        raise InputError(f"There is no encoding {options.encoding!r}.", hint=hint) from error
    if name in ("utf-16", "utf-32") and not head.startswith(tuple(mark for mark, _ in _MARKS)):
        return f"{name}-be" if head.startswith(b"\0") else f"{name}-le"
    return "utf-8" if name == "utf-8-sig" else name


def _is_ascii_like(codec: str) -> bool:
    """Whether a line ends at the byte \\n, and nowhere else: not so in UTF-16 and EBCDIC."""
    return "\nA".encode(codec) == b"\nA"


def _read_bytes(source: Source, codec: str) -> Iterator[bytes]:
    stream = source.stream()
    if codec == "utf-8" and source.peek().startswith(codecs.BOM_UTF8):
        stream.read(len(codecs.BOM_UTF8))
    while data := stream.read1(BLOCK_BYTES):
        yield data


def _transcode(source: Source, codec: str) -> Iterator[bytes]:
    for text in filter(None, read_text(source, codec)):
        yield text.encode("utf-8", "surrogatepass")


def _split(pieces: Iterator[bytes], codec: str, options: ReadOptions, quote: bytes) -> Iterator[Block]:
    """Cut pieces into blocks of whole lines. A line over the limit is not kept in memory."""
    line = 1
    begun = bytearray()  # the line that the last piece ended in; of one over the limit, what is left of it
    skipping = False  # it is over the limit
    failure = None
    while True:
        try:
            piece = next(pieces, b"")
        except InputError as error:
            piece, failure = b"", Problem("", cause=error)
        if not piece:
            break
        cut = piece.rfind(b"\n") + 1
        if cut and skipping:
            first = piece.index(b"\n") + 1
            yield _spoilt(line, begun + piece[:first], options, quote)
            line, skipping = line + 1, False
            begun.clear()
            piece = piece[first:]
            cut = piece.rfind(b"\n") + 1
        if cut:
            block = _decode(line, bytes(begun) + piece[:cut] if begun else piece[:cut], codec, options, quote)
            yield block
            line += block.text.count("\n")
            begun.clear()
        begun += piece[cut:]
        if skipping or len(begun) > options.max_row_bytes + len("\r\n"):
            skipping = True
            begun[:] = _left(begun, quote)
    if skipping:
        yield _spoilt(line, begun, options, quote)
        line += 1
    if failure is not None:
        yield Block(line, "\n", {line: failure})
    elif begun and not skipping:
        yield _decode(line, bytes(begun), codec, options, quote)


def _spoilt(number: int, line: bytes | bytearray, options: ReadOptions, quote: bytes) -> Block:
    return Block(number, _left(line, quote).decode() + "\n", {number: too_large(options)})


def _left(line: bytes | bytearray, quote: bytes) -> bytes:
    """Return what is left of a line that is too large: a quote if it has an odd number of them."""
    return quote * (line.count(quote) % 2)


def _decode(first: int, data: bytes, codec: str, options: ReadOptions, quote: bytes) -> Block:
    """Decode lines all at once; where that fails, line by line, so that a wrong byte spoils its line alone."""
    if len(data) <= options.max_row_bytes and b"\0" not in data:
        try:
            return Block(first, data.decode(codec))
        except UnicodeDecodeError:
            pass
    texts: list[str] = []
    problems: dict[int, Problem] = {}
    for number, line in enumerate(io.BytesIO(data), first):
        if len(line.rstrip(b"\r\n")) > options.max_row_bytes:
            problems[number] = too_large(options)
            texts.append(_left(line, quote).decode() + "\n")
            continue
        try:
            text = line.decode(codec)
        except UnicodeDecodeError as error:
            problems[number] = _undecodable(error, codec, f"position {error.start + 1}")
            text = line.decode(codec, "replace")
        if "\0" in text:
            problems.setdefault(number, NUL)
            text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        texts.append(text)
    return Block(first, "".join(texts), problems)


def _undecodable(error: UnicodeDecodeError, codec: str, place: str) -> Problem:
    byte = error.object[error.start]
    shown = codec.upper() if codec.startswith("utf") else codec
    guess = "utf-8" if codec != "utf-8" else "cp1252" if 0x80 <= byte < 0xA0 else "latin-1"
    return Problem(
        f"byte 0x{byte:02x} at {place} is not {shown}",
        f"If the file is in another encoding, name it, such as `--encoding {guess}`.",
    )
