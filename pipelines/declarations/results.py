"""What reading a registry gives: its entries, and notes on the places that could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipesmith.pipelines.entries import PipelineEntry, Place


@dataclass(frozen=True)
class Note:
    """A place of a registry that could not be read, or a warning about it.

    Args:
        place: the line.
        message: what is there, as a sentence without the place.
        task: the task that it is about, if known.
        unread: whether tasks or values may be missing from the entries; False for a mere warning.
        about: "file" if none of the file's tasks is listed, because it is missing or does not parse; "transformers"
            if it is only what plain transformers would refuse although pipe takes it; else "line".
    """

    place: Place
    message: str
    task: str | None = None
    unread: bool = True
    about: Literal["line", "file", "transformers"] = "line"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Declarations:
    """The tasks that a file registers, in the order of their registration, as far as they can be read."""

    entries: tuple[PipelineEntry, ...]
    notes: tuple[Note, ...]
