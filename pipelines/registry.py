"""Task entries: what a task is called, which class runs it, and on which models.

The one place that talks to transformers' registry. Reading entries from source is `declarations.py`; loading what they
name is `loading.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipesmith.pipelines.errors import ProjectError, TaskConflictError, TaskNotFoundError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import Project, user_registry_file
from pipesmith.pipelines.source import ClassReference, module_file, package_folder

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pipesmith.pipelines.declarations import Declarations, Note

Origin = Literal["project", "user", "package", "built-in", "transformers", "file", "checkpoint"]
ModelClass = str | ClassReference | type
LEVELS: tuple[Origin, ...] = ("project", "user", "package", "built-in", "transformers")


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
        condition: the source text of the condition under which it is registered, if that was not decided.
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
    if isinstance(value, str):
        return DefaultModel(value)
    if isinstance(value, Mapping):
        for key in ("model", "pt", "tf"):
            if value.get(key):
                return default_model(value[key])
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 2 and all(isinstance(part, str) for part in value):
        return DefaultModel(*value)
    raise ProjectError(
        f"A default model is written (repo, revision) or {{'pt': (repo, revision)}}, not {value!r}.",
        hint='For example default={"pt": ("user/awesome_model", "abcdef")}.',
    )


def _class_reference(text: str, file: Path) -> ClassReference:
    """Read a class written as text in a registry file, in the same way as `pipe list` reads it."""
    from pipesmith.pipelines.declarations.classes import class_of_text

    resolved = class_of_text(text, file, file.parent, None)
    if resolved is None:
        raise ProjectError(
            f"pipeline_class={text!r} names no class.",
            hint='Write "module.Class" for module.py beside the registry, or "/path/file.py:Class".',
        )
    return resolved.reference


def _model_classes(value: Any) -> tuple[ModelClass, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


class PipelineRegistry:
    """The entries that plain Python has registered in this process, by task."""

    def __init__(self) -> None:
        self._entries: dict[str, PipelineEntry] = {}

    def register_pipeline(
        self,
        task: str,
        pipeline_class: str | type,
        pt_model: Any = None,
        tf_model: Any = None,
        default: Any = None,
        type: str | None = None,
    ) -> None:
        """Register a task, in the shape that transformers documents.

        Args:
            task: its name, such as "pair-classification".
            pipeline_class: a subclass of transformers.Pipeline, or "module.Class" of module.py beside the caller.
            pt_model: one or several model classes, or their names in transformers.
            tf_model: the TensorFlow ones; used with transformers 4 only.
            default: the model to run with; see `default_model` for its forms.
            type: text, audio, image, video or multimodal.

        Raises:
            ProjectError: the class or the default is written in another form.
        """
        caller = sys._getframe(1)
        file = Path(caller.f_code.co_filename)
        self._entries[task] = PipelineEntry(
            task,
            _class_reference(pipeline_class, file) if isinstance(pipeline_class, str) else pipeline_class,
            _model_classes(pt_model),
            _model_classes(tf_model),
            default_model(default),
            type or "multimodal",
            Place(file, caller.f_lineno),
            "project",
        )

    def get_supported_tasks(self) -> list[str]:
        """Return the names of the registered tasks, sorted."""
        return sorted(self._entries)

    def get(self, task: str) -> PipelineEntry | None:
        """Return a task's entry, None if it was not registered in this process."""
        return self._entries.get(task)


PIPELINE_REGISTRY = PipelineRegistry()


def read_level(level: Origin, project: Project | None) -> Declarations:
    """Read the entries of one level of the lookup order, without running any code.

    Raises:
        PipelineLoadError: the level's registry file does not parse.
    """
    from pipesmith.pipelines.declarations import Declarations, read_declarations, transformers_declarations

    if level == "transformers":
        return transformers_declarations()
    found = [read_declarations(file, level, import_root=root) for file, root in _registry_files(level, project)]
    return Declarations(
        tuple(entry for declarations in found for entry in declarations.entries),
        tuple(note for declarations in found for note in declarations.notes),
    )


def _registry_files(level: Origin, project: Project | None) -> list[tuple[Path, Path | None]]:
    """Return the registry files of a level that are there, each with the folder its package is imported from."""
    if level == "package":
        return _installed_registry_files()
    file = {
        "project": project.registry_file if project else None,
        "user": user_registry_file(),
        "built-in": Path(__file__).parent / "builtin" / "__init__.py",
    }.get(level)
    return [(file, None)] if file is not None and file.is_file() else []


def _installed_registry_files() -> list[tuple[Path, Path | None]]:
    """Find the modules that packages declare as `[project.entry-points."pipesmith.tasks"]`."""
    import importlib.metadata

    files: list[tuple[Path, Path | None]] = []
    for point in importlib.metadata.entry_points(group="pipesmith.tasks"):
        file = _entry_point_file(point)
        if file is None:
            raise ProjectError(
                f"The entry point {point.name} = {point.value} names a module that is not there.",
                hint=f"Reinstall {point.dist.name if point.dist else 'its package'}, or uninstall it.",
            )
        depth = point.value.count(".") + (file.name == "__init__.py")
        files.append((file, file.parents[depth]))
    return files


def _entry_point_file(point: EntryPoint) -> Path | None:
    """Locate an entry point's module through its distribution's files, without importing its parents."""
    parts = point.value.partition(":")[0].split(".")
    names = {"/".join(parts) + ".py", "/".join(parts) + "/__init__.py"}
    for file in (point.dist.files or ()) if point.dist else ():
        if str(file) in names:
            return Path(str(file.locate()))
    root = package_folder(parts[0])  # an editable install lists no files of its own
    return module_file(root.parent.joinpath(*parts)) if root else None


def read_all(project: Project | None) -> Declarations:
    """Read the entries of every level, in lookup order; nothing is run."""
    from pipesmith.pipelines.declarations import Declarations

    levels = [read_level(level, project) for level in LEVELS]
    return Declarations(
        tuple(entry for level in levels for entry in level.entries),
        tuple(note for level in levels for note in level.notes),
    )


def find_entry(task: str, project: Project | None, *, run_registries: bool = False) -> PipelineEntry:
    """Find the entry of a task: registered in this process, then the project's, the user's, and so on down `LEVELS`.

    Args:
        task: its name, or one of transformers' aliases ("ner").
        project: the project to look in, if any.
        run_registries: where a registry decides names at run time, run it to see; else such entries are not found.

    Raises:
        TaskNotFoundError: no entry has this name.
        TaskConflictError: two entries of one level have it.
    """
    live = PIPELINE_REGISTRY.get(task)
    if live is not None:
        return live
    unread_levels: list[Origin] = []
    unread_places: list[Place] = []
    known: list[str] = []
    for level in LEVELS:
        declarations = read_level(level, project)
        unread = [note.place for note in declarations.notes if note.unread and not note.task]
        unread_places += unread
        unread_levels += [level] if unread else []
        matches = [entry for entry in declarations.entries if entry.task == task]
        if matches:
            return _decide(matches, project, run_registries)
        if run_registries and unread_levels:
            found = _run_registries(task, unread_levels, project)
            if found is not None:
                return found
        known += [entry.task for entry in declarations.entries]
    return _alias_or_error(task, project, known, unread_places)


def _decide(matches: list[PipelineEntry], project: Project | None, run_registries: bool) -> PipelineEntry:
    """Take the one entry of a level, or the one that running its registry leaves."""
    first = matches[0]
    undecided = first.unread or (len(matches) > 1 and all(entry.condition for entry in matches))
    if undecided and run_registries:
        found = _run_registries(first.task, [first.origin], project)
        if found is not None:
            return found
    if len(matches) > 1 and not undecided:
        raise TaskConflictError(
            f"The task {first.task} is registered twice: {' and '.join(str(entry.place) for entry in matches)}.",
            hint="Rename one of the two, or remove it.",
        )
    return first


def _run_registries(task: str, levels: Iterable[Origin], project: Project | None) -> PipelineEntry | None:
    """Run registry files whose entries cannot be read, and return what they registered under a name."""
    from pipesmith.pipelines.user_code import load_module

    for level in levels:
        for file, _ in _registry_files(level, project):
            load_module(file)
            entry = PIPELINE_REGISTRY.get(task) or transformers_entry(task)
            if entry is not None:
                return replace(entry, origin=level, place=entry.place or Place(file, 1))
    return None


def transformers_entry(task: str) -> PipelineEntry | None:
    """Return what transformers' own live registry holds under a name, None without it."""
    from transformers.pipelines import PIPELINE_REGISTRY as REGISTRY

    info = REGISTRY.supported_tasks.get(task)
    if info is None or isinstance(info["impl"], str):
        return None
    default = info.get("default")
    return PipelineEntry(
        task,
        info["impl"],
        _model_classes(info.get("pt")),
        _model_classes(info.get("tf")),
        default_model(default),
        info.get("type") or "multimodal",
    )


def _alias_or_error(task: str, project: Project | None, known: Iterable[str], unread: Sequence[Place]) -> PipelineEntry:
    from pipesmith.pipelines.declarations import transformers_aliases, transformers_removed

    aliases = transformers_aliases()
    if task in aliases:
        return find_entry(aliases[task], project)
    removed = transformers_removed().get("translation" if task.startswith("translation_") else task)
    if removed:
        raise TaskNotFoundError(f"transformers 5 has removed the task {task}.", hint=removed.replace("`", ""))
    hint = near_miss(task, [*known, *aliases]) or "`pipe list` shows the tasks; a file or a folder works as well."
    if unread:
        hint += f" {', '.join(map(str, unread))} may register it at run time, which only a run finds out."
    raise TaskNotFoundError(f"There is no task {task}.", hint=hint)


@dataclass(frozen=True)
class TaskListing:
    """A task as `pipe list` and `pipe info` show it.

    Args:
        entry: the entry that runs.
        remark: what is odd about it: hidden by another level, registered twice; "" if nothing.
    """

    entry: PipelineEntry
    remark: str = ""

    @property
    def class_name(self) -> str:
        """The pipeline class's name."""
        found = self.entry.pipeline_class
        return found.name if isinstance(found, ClassReference) else found.__name__

    @property
    def model_names(self) -> str:
        """The names of the model classes."""
        return ", ".join(_model_name(model) for model in self.entry.pt_model)

    def report(self) -> dict[str, Any]:
        """Return the entry as plain JSON values."""
        entry = self.entry
        return {
            "task": entry.task,
            "type": entry.type,
            "class": str(entry.pipeline_class)
            if isinstance(entry.pipeline_class, ClassReference)
            else f"{entry.pipeline_class.__module__}.{entry.pipeline_class.__qualname__}",
            "pt_model": [_model_name(model) for model in entry.pt_model],
            "tf_model": [_model_name(model) for model in entry.tf_model],
            "default": {"model": entry.default.model, "revision": entry.default.revision} if entry.default else None,
            "origin": entry.origin,
            "place": str(entry.place) if entry.place else None,
            "condition": entry.condition,
            "remark": self.remark or None,
        }


def _model_name(model: ModelClass) -> str:
    if isinstance(model, str):
        return model
    return model.name if isinstance(model, ClassReference) else model.__name__


def list_tasks(project: Project | None) -> tuple[list[TaskListing], tuple[Note, ...]]:
    """List every task once, in lookup order, with what hides it or doubles it; nothing is run."""
    declarations = read_all(project)
    by_task: dict[str, list[PipelineEntry]] = {}
    for entry in declarations.entries:
        by_task.setdefault(entry.task, []).append(entry)
    tasks = []
    for entries in by_task.values():
        first = entries[0]
        same_level = [entry for entry in entries if entry.origin == first.origin]
        if len(same_level) > 1 and not all(entry.condition for entry in same_level):
            remark = f"conflict: registered twice, {' and '.join(str(entry.place) for entry in same_level)}"
        elif first.condition:
            remark = f"{first.origin}, if {first.condition}"
        elif len(entries) > len(same_level):
            remark = f"{first.origin}, instead of {entries[-1].origin}'s"
        else:
            remark = ""
        tasks.append(TaskListing(first, remark))
    return tasks, declarations.notes
