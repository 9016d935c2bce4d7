"""Plain text: a line is a row, its column `text`. It is only read."""

from __future__ import annotations

from collections.abc import Iterator

from pipesmith.pipelines.records.formats import Format
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import Block, read_blocks


def read(source: Source, options: ReadOptions) -> Reading:
    """Open a text file. An empty line is a row with an empty text."""
    return Reading(_records(source.name, read_blocks(source, options)), columns=("text",), has_lines=True)


def _records(name: str, blocks: Iterator[Block]) -> Iterator[Record]:
    for block in blocks:
        for line, text in enumerate(block.lines(), block.first):
            problem = block.problems.get(line)
            if problem is None:
                yield Record({"text": text}, line, name, line)
            else:
                yield problem.record(name, line, line, {"text": text})


FORMATS = (Format("txt", (".txt",), read),)
