"""Task entries: what a task is called, which class runs it, and on which models.

Reading entries from source is `declarations/`; loading what they name is `loading.py`; how transformers'
own `pipeline(...)` gets to know them is `transformers_registry.py`.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.entries import DefaultModel, ModelClass, Origin, PipelineEntry, Place, default_model
from pipesmith.pipelines.errors import (
    PipeError,
    PipelineLoadError,
    ProjectError,
    TaskConflictError,
    TaskNotFoundError,
)
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import Project, find_project, user_registry_file
from pipesmith.pipelines.source import ClassReference, module_file, package_folder
from pipesmith.pipelines.transformers_registry import hand_over

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import FrameType

    from pipesmith.pipelines.declarations import Declarations, Note

LEVELS: tuple[Origin, ...] = ("project", "user", "package", "built-in", "transformers")
# A broken registry of these is noted, and all other tasks still run; the project's own is an error.
_FORGIVEN: tuple[Origin, ...] = ("user", "package")
_HERE = Path(__file__).parent
_ALIASES = {"vqa": "visual-question-answering"}  # of a task that transformers 5 has removed
# The task translation by the name of two languages, and the model that transformers 4 had for some of them.
_TRANSLATION = re.compile(r"translation_([^_]+_to_[^_]+)")
_TRANSLATES = dict.fromkeys(("en_to_fr", "en_to_de", "en_to_ro"), DefaultModel("google-t5/t5-base", "a9723ea"))


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
        """Register a task, in the shape that transformers documents; transformers' own `pipeline(task)` knows it too.

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
        self.add(sys._getframe(1), task, pipeline_class, pt_model, tf_model, default, type)
        hand_over(self._entries[task])

    def add(
        self,
        caller: FrameType,
        task: str,
        pipeline_class: str | type,
        pt_model: Any = None,
        tf_model: Any = None,
        default: Any = None,
        type: str | None = None,
    ) -> None:
        """Register a task for the code of a frame, whose file tells what a class written as text means."""
        file = Path(caller.f_code.co_filename)
        self._entries[task] = PipelineEntry(
            task,
            _class_reference(pipeline_class, file) if isinstance(pipeline_class, str) else pipeline_class,
            _model_classes(pt_model),
            _model_classes(tf_model),
            default_model(default),
            type or "multimodal",
            Place(file, caller.f_lineno),
            "built-in" if file.parent.resolve() == (_HERE / "builtin").resolve() else "project",
        )

    def get_supported_tasks(self) -> list[str]:
        """Return the names of the registered tasks, sorted."""
        return sorted(self._entries)

    def get(self, task: str) -> PipelineEntry | None:
        """Return a task's entry, None if it was not registered in this process."""
        return self._entries.get(task)


PIPELINE_REGISTRY = PipelineRegistry()
_recorded: dict[Path, PipelineRegistry] = {}  # what registry files that were run registered with transformers


def read_level(level: Origin, project: Project | None) -> Declarations:
    """Read the entries of one level of the lookup order, without running any code.

    A registry of the user's own or of a package that is missing or does not parse is a note.

    Raises:
        PipelineLoadError: the project's registry file does not parse.
    """
    from pipesmith.pipelines.declarations import Declarations, read_declarations, transformers_declarations

    if level == "transformers":
        return transformers_declarations()
    files, notes = _registry_files(level, project)
    entries: list[PipelineEntry] = []
    for file, root in files:
        try:
            found = read_declarations(file, level, import_root=root)
        except PipelineLoadError as error:
            if level not in _FORGIVEN:
                raise
            notes.append(_note_of(error, file))
            continue
        entries += found.entries
        notes += found.notes
    return Declarations(tuple(entries), tuple(notes))


def _registry_files(level: Origin, project: Project | None) -> tuple[list[tuple[Path, Path | None]], list[Note]]:
    """Return the registry files of a level, each with the folder its package is imported from, and what is missing."""
    if level == "package":
        return _installed_registry_files()
    if level == "built-in":
        names = ["__init__.py", *(["removed_tasks.py"] if compat.needed() else [])]
        return [(_HERE / "builtin" / name, None) for name in names], []
    file = {"project": project.registry_file if project else None, "user": user_registry_file()}.get(level)
    return [(file, None)] if file is not None and file.is_file() else [], []


def _installed_registry_files() -> tuple[list[tuple[Path, Path | None]], list[Note]]:
    """Find the modules that packages declare as `[project.entry-points."pipesmith.tasks"]`."""
    import importlib.metadata

    files: list[tuple[Path, Path | None]] = []
    notes: list[Note] = []
    for point in importlib.metadata.entry_points(group="pipesmith.tasks"):
        file = _entry_point_file(point)
        if file is None:
            notes.append(_note_of_missing(point))
            continue
        depth = point.value.count(".") + (file.name == "__init__.py")
        files.append((file, file.parents[depth]))
    return files, notes


def _note_of_missing(point: EntryPoint) -> Note:
    from pipesmith.pipelines.declarations import Note

    package = point.dist.name if point.dist else "its package"
    declared = [file for file in (point.dist.files or ()) if file.name == "entry_points.txt"] if point.dist else []
    place = Place(Path(str(declared[0].locate())) if declared else Path(package), 1)
    message = f"{point.name} = {point.value} names a module that is not there; reinstall {package}, or uninstall it"
    return Note(place, message, about="file")


def _note_of(error: PipeError, file: Path) -> Note:
    """Make a note of what keeps a registry file from being read or run."""
    from pipesmith.pipelines.declarations import Note

    cause = error.__cause__
    if isinstance(cause, SyntaxError):
        place = Place(Path(cause.filename or file), cause.lineno or 1)
        return Note(place, f"does not parse: {cause.msg}; none of its tasks is listed", about="file")
    message = error.message.partition("\n")[0].removeprefix(f"{file} ").rstrip(".")
    return Note(Place(file, 1), message, about="file")


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
        TaskNotFoundError: no entry has this name; with `run_registries` also if none applies on this machine.
        TaskConflictError: two entries of one level have it.
        PipelineLoadError: the project's registry does not parse, or fails when it is run.
    """
    live = PIPELINE_REGISTRY.get(task)
    if live is not None and live.origin != "built-in":  # those are found below, in their place in the order
        return live
    unread_levels: list[Origin] = []
    notes: list[Note] = []
    elsewhere: list[PipelineEntry] = []  # registered where this machine or run does not come to
    known: list[str] = []
    for level in LEVELS:
        declarations = read_level(level, project)
        unread = [note for note in declarations.notes if note.unread and not note.task]
        notes += unread
        unread_levels += [level] if any(note.about == "line" for note in unread) else []
        matches = [entry for entry in declarations.entries if entry.task == task]
        found = _decide(matches, project, run_registries, notes)
        if found is None and run_registries and unread_levels:
            found = _run_registries(task, unread_levels, project, notes)
        if found is not None:
            return found
        elsewhere += best_first(matches)
        known += [entry.task for entry in declarations.entries]
    registered = transformers_entry(task) if task not in known else None
    if registered is not None:
        return replace(registered, origin="transformers")
    from pipesmith.pipelines.declarations import transformers_aliases

    aliases = {**_ALIASES, **transformers_aliases()}
    if task in aliases:
        return find_entry(aliases[task], project, run_registries=run_registries)
    pair = _TRANSLATION.fullmatch(task)
    if pair is not None:
        found = find_entry("translation", project, run_registries=run_registries)
        return replace(found, task=task, default=_TRANSLATES.get(pair[1], found.default))
    if elsewhere and not run_registries:
        return elsewhere[0]
    raise _not_found(task, [*known, *aliases], elsewhere, notes)


def _decide(
    matches: list[PipelineEntry], project: Project | None, run_registries: bool, notes: list[Note]
) -> PipelineEntry | None:
    """Take the one entry of a level, or the one that running its registry leaves; None if none applies here."""
    possible = [entry for entry in best_first(matches) if entry.holds is not False]
    certain = [entry for entry in possible if entry.holds]
    if not possible:
        return None
    first = possible[0]
    if len(certain) > 1:
        raise TaskConflictError(
            f"The task {first.task} is registered twice: {' and '.join(str(entry.place) for entry in certain)}.",
            hint="Rename one of the two, or remove it.",
        )
    if run_registries and (len(possible) > len(certain) or first.unread):
        found = _run_registries(first.task, [first.origin], project, notes)
        if found is None:
            return certain[0] if certain else None
        read = [entry for entry in possible if not entry.unread and _is_same_class(entry, found)]
        return replace(read[0], holds=True) if len(read) == 1 else found
    return first


def entries_of_class(entry: PipelineEntry) -> list[PipelineEntry]:
    """Return an entry and the others of its level that have its class; of a checkpoint, all that it brings.

    Raises:
        PipelineLoadError: the registry file does not parse any more.
    """
    found = [entry]
    if entry.origin == "checkpoint" and entry.place is not None:
        found += _entries_of_checkpoint(entry.place.file.parent)
    elif entry.origin in ("project", "user", "package", "built-in"):
        found += [PIPELINE_REGISTRY.get(task) or entry for task in PIPELINE_REGISTRY.get_supported_tasks()]
        project = find_project(entry.place.file.parent) if entry.place else None
        found += [other for other in read_level(entry.origin, project).entries if other.holds is not False]
        found = [other for other in found if other is entry or _is_same_class(other, entry)]
    elif isinstance(entry.pipeline_class, type):
        registry = getattr(sys.modules.get("transformers.pipelines"), "PIPELINE_REGISTRY", None)
        others = [transformers_entry(task) for task in (registry.supported_tasks if registry else ())]
        found += [other for other in others if other is not None and other.pipeline_class is entry.pipeline_class]
    return list({other.task: other for other in reversed(found)}.values())[::-1]


def _entries_of_checkpoint(folder: Path) -> Iterator[PipelineEntry]:
    from pipesmith.pipelines.checkpoint import checkpoint_entry, read_checkpoint

    checkpoint = read_checkpoint(folder)
    for task in checkpoint.custom_pipelines:
        with suppress(PipelineLoadError):  # of another repository: it stays there
            found = checkpoint_entry(checkpoint, task)
            assert isinstance(found, PipelineEntry)
            yield found


def _is_same_class(one: PipelineEntry, other: PipelineEntry) -> bool:
    a, b = one.pipeline_class, other.pipeline_class
    if not (isinstance(a, ClassReference) and isinstance(b, ClassReference)):
        return a is b
    return a.name == b.name and a.file is not None and b.file is not None and a.file.resolve() == b.file.resolve()


def best_first(entries: Iterable[PipelineEntry]) -> list[PipelineEntry]:
    """Sort the entries of a level: what applies here, what only a run would tell, what is for other machines."""
    return sorted(entries, key=lambda entry: (True, None, False).index(entry.holds))


def _run_registries(
    task: str, levels: Iterable[Origin], project: Project | None, notes: list[Note]
) -> PipelineEntry | None:
    """Run registry files whose entries cannot be read, and return what they registered under a name."""
    from pipesmith.pipelines.user_code import load_module

    for level in levels:
        for file, _ in _registry_files(level, project)[0]:
            recorded = _recorded.setdefault(file, PipelineRegistry())
            try:
                with _recording(recorded):
                    load_module(file)
            except PipeError as error:
                if level not in _FORGIVEN:
                    raise
                notes.append(_note_of(error, file))
                continue
            entry = PIPELINE_REGISTRY.get(task) or recorded.get(task) or transformers_entry(task)
            if entry is not None:
                reference = _written_at(entry.pipeline_class)
                return replace(entry, pipeline_class=reference, origin=level, place=entry.place or Place(file, 1))
    return None


def _written_at(pipeline_class: ClassReference | type) -> ClassReference | type:
    """Return where a live class is written, so that its parameters can be read; the class if that is not known."""
    from pipesmith.pipelines.modules import is_user_module

    if isinstance(pipeline_class, ClassReference):
        return pipeline_class
    name, module = pipeline_class.__name__, pipeline_class.__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or getattr(sys.modules[module], name, None) is not pipeline_class:
        return pipeline_class
    return ClassReference(name, Path(file), None if is_user_module(module) else module)


@contextmanager
def _recording(recorded: PipelineRegistry) -> Iterator[None]:
    """Record what is registered with transformers while a registry file runs, in every form that `pipe list` reads.

    transformers 5 refuses tf_model, transformers 4 and 5 refuse names as text, and each takes its own form of a default
    model only. It is given what it takes.
    """
    from pipesmith.pipelines.declarations.transformers_tasks import registry_parameters

    try:
        from transformers.pipelines import PIPELINE_REGISTRY as REGISTRY
    except Exception:  # a broken installation: the registry file's own import says it, with its line
        yield
        return
    register = REGISTRY.register_pipeline
    parameters = registry_parameters()

    def register_pipeline(*args: Any, **kwargs: Any) -> None:
        given = {**dict(zip(parameters, args)), **kwargs}
        recorded.add(_caller(), **given)
        if any(isinstance(name, str) for key in ("pipeline_class", "pt_model") for name in _model_classes(given[key])):
            return
        default = default_model(given.get("default"))
        if default is not None:
            model = (default.model, default.revision)
            given["default"] = {"model": {"pt": model} if "tf_model" in parameters else model}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of 4.57 about tf_model
            register(**{name: value for name, value in given.items() if name in parameters})

    REGISTRY.register_pipeline = register_pipeline
    try:
        yield
    finally:
        del REGISTRY.register_pipeline


def _caller() -> FrameType:
    """Return the frame outside pipesmith that called into it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _HERE in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
    return frame


def transformers_entry(task: str) -> PipelineEntry | None:
    """Return what was registered under a name in transformers' own live registry; None if it was not imported yet."""
    registry = getattr(sys.modules.get("transformers.pipelines"), "PIPELINE_REGISTRY", None)
    info = registry.supported_tasks.get(task) if registry is not None else None
    if info is None or isinstance(info["impl"], str) or info["impl"].__module__.startswith("transformers."):
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


def _not_found(
    task: str, known: Iterable[str], elsewhere: Sequence[PipelineEntry], notes: Sequence[Note]
) -> TaskNotFoundError:
    """Make the error that says why a task cannot be had."""
    from pipesmith.pipelines.declarations import transformers_removed

    if elsewhere:
        first = elsewhere[0]
        others = "".join(f", or if {entry.condition} ({entry.place})" for entry in elsewhere[1:])
        return TaskNotFoundError(
            f"The task {task} is registered only if {first.condition} ({first.place}){others}.",
            hint="That is false on this machine." if first.holds is False else "That was false when the registry ran.",
        )
    removed = transformers_removed().get(task)
    if removed:
        return TaskNotFoundError(f"transformers 5 has removed the task {task}.", hint=removed.replace("`", ""))
    hint = near_miss(task, known) or "`pipe list` shows the tasks; a file or a folder works as well."
    unread = dict.fromkeys(str(note.place) for note in notes if note.about == "line")
    if unread:
        hint += f" {', '.join(unread)} may register it at run time, which only a run finds out."
    broken = dict.fromkeys(str(note) for note in notes if note.about == "file")
    if broken:
        hint += f" Nothing was read of {'; '.join(broken)}."
    return TaskNotFoundError(f"There is no task {task}.", hint=hint)
