"""A task's entry: its class, its models, its type, and where it is registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from pipesmith.pipelines.errors import ProjectError
from pipesmith.pipelines.source import ClassReference

Origin = Literal["project", "user", "package", "built-in", "transformers", "file", "checkpoint"]
ModelClass = str | ClassReference | type


@dataclass(frozen=True)
class DefaultModel:
    """The model that a task runs with unless told otherwise.

    Args:
        model: a repo_id on the Hub, or a folder relative to the project.
        revision: the commit or tag of a repository; None for a folder.
    """

    model: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.revision}" if self.revision else self.model


@dataclass(frozen=True)
class Place:
    """A line of a file, 1-based."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class PipelineEntry:
    """One task of a registry.

    Args:
        task: its name.
        pipeline_class: where the class is written, or the class itself.
        pt_model: the PyTorch model classes: names in transformers, or classes of the user's own.
        tf_model: the TensorFlow ones, used with transformers 4.
        default: the model to run with when none is named.
        type: text, audio, image, video or multimodal.
        place: where the entry is written.
        origin: the level of the lookup order that it belongs to.
        condition: the source text of the condition under which it is registered; None if it always is.
        holds: whether the condition is true on this machine; None if only running the registry would tell.
        unread: the fields that are decided at run time and could not be read.
    """

    task: str
    pipeline_class: ClassReference | type
    pt_model: tuple[ModelClass, ...] = ()
    tf_model: tuple[ModelClass, ...] = ()
    default: DefaultModel | None = None
    type: str = "multimodal"
    place: Place | None = None
    origin: Origin = "project"
    condition: str | None = None
    holds: bool | None = True
    unread: tuple[str, ...] = ()


def default_model(value: Any) -> DefaultModel | None:
    """Read the forms in which a registration names its default model.

    `"repo"`, `(repo, revision)`, `{"pt": ...}` as transformers 4 documents it, and `{"model": ...}` as both use it
    inside, where `...` is any of these. TensorFlow's default counts only if there is no other.

    Raises:
        ProjectError: another form.
    """
    if value is None or value == {} or value == ():
        return None
    if isinstance(value, (str, PurePath)):
        return DefaultModel(str(value))
    if isinstance(value, Mapping):
        for key in ("model", "pt", "tf"):
            if value.get(key):
                return default_model(value[key])
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 2 and isinstance(value[0], (str, PurePath)):
        revision = value[1] if len(value) == 2 else None
        if revision is None or isinstance(revision, str):
            return DefaultModel(str(value[0]), revision)
    raise ProjectError(
        f"A default model is written (repo, revision) or {{'pt': (repo, revision)}}, not {value!r}.",
        hint='For example default={"pt": ("user/awesome_model", "abcdef")}.',
    )
