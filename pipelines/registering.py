"""A class registered as a task: in the project, or in the user's own file.

The class is read, not run. Into a checkpoint it goes by `publishing/checkpoints.py`.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipesmith.pipelines.declarations import read_declarations, transformers_declarations
from pipesmith.pipelines.entries import DefaultModel, ModelClass, PipelineEntry
from pipesmith.pipelines.entry_file import add_entry, remove_entry
from pipesmith.pipelines.errors import (
    ParameterError,
    PipeError,
    PipelineLoadError,
    ScaffoldError,
    TaskConflictError,
    TaskNotFoundError,
)
from pipesmith.pipelines.hub import HubAccess, is_repo_id, resolve_commit
from pipesmith.pipelines.names import in_kebab_case, near_miss
from pipesmith.pipelines.project import Project, find_project, is_pipesmith, user_registry_file
from pipesmith.pipelines.registry import LEVELS, read_level
from pipesmith.pipelines.signature import read_signature
from pipesmith.pipelines.source import ClassReference, module_file, package_folder, parse
from pipesmith.pipelines.staging import read_source, write_files
from pipesmith.pipelines.targets import LoadOptions, resolve

TYPES = ("text", "audio", "image", "video", "multimodal")


@dataclass(frozen=True)
class Wanted:
    """What a registration says beside its class; None is worked out from the source.

    Args:
        task: the task's name.
        pt_model: the model class: a name in transformers, or `file.py:Class`.
        tf_model: the TensorFlow one.
        default: user/model, user/model@revision, or a checkpoint folder.
        type: one of `TYPES`.
    """

    task: str | None = None
    pt_model: str | None = None
    tf_model: str | None = None
    default: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class Registered:
    """What was done.

    Args:
        entry: the entry.
        file: the registry file that holds it.
        changed: whether the file was written.
        notes: what was chosen on the user's behalf, a sentence each.
    """

    entry: PipelineEntry
    file: Path
    changed: bool
    notes: tuple[str, ...] = ()


def described_entry(target: str, wanted: Wanted, access: HubAccess) -> tuple[PipelineEntry, tuple[str, ...]]:
    """Read a class, check that it is a pipeline, and return its entry and what was chosen for it.

    Args:
        target: `file.py:Class`, or `file.py` with one pipeline.
        wanted: what the user has said.
        access: how the Hub is asked for the commit of a default model.

    Raises:
        PipeError: the class is no pipeline, or something said of it is wrong.
    """
    options = LoadOptions(task=wanted.task, pt_model=wanted.pt_model)
    found = resolve(target, options, None)
    entry = found.entry
    assert isinstance(entry.pipeline_class, ClassReference)
    _check_class(entry.pipeline_class)
    check_task(entry.task)
    if wanted.type is not None and wanted.type not in TYPES:
        hint = near_miss(wanted.type, TYPES) or f"It is {', '.join(TYPES)}."
        raise ParameterError(f"--type {wanted.type} is no type of a task.", hint=hint)
    models = tuple(_model_class(model) if isinstance(model, str) else model for model in entry.pt_model)
    kind = entry.type if wanted.pt_model is None else type_of(models[0]) or entry.type
    entry = replace(
        entry,
        pt_model=models,
        tf_model=(_model_class(wanted.tf_model),) if wanted.tf_model else (),
        default=read_default(wanted.default, access),
        type=wanted.type or kind,
    )
    return entry, found.notes


def register(entry: PipelineEntry, *, user: bool = False) -> Registered:
    """Write an entry into the project's registry, or into the user's own file; the same entry again changes nothing.

    Without a project, the working directory becomes one: `pipelines/__init__.py` is made.

    Raises:
        TaskConflictError: the task is registered there for another class, or a name differs only in case.
        ScaffoldError: the registry cannot be edited or written.
    """
    file, project = registry_file(user=user)
    notes = list(_check_conflicts(entry, file, project, user=user))
    if entry.default is not None and _is_folder(entry.default):
        folder = Path(entry.default.model)
        root = project.root if project else file.parent.parent
        place = folder if user else Path(os.path.relpath(folder, root))
        entry = replace(entry, default=DefaultModel(place.as_posix()))
    source = read_source(file)
    text = _edited(source, lambda plain: add_entry(plain, replace(entry, origin="user" if user else "project"), file))
    if text != source:
        write_files({file: text})
        if not source and project is None and not user:
            notes.append(f"{_shown(file)} is new: this folder is a project now.")
    return Registered(entry, file, text != source, tuple(notes))


def unregister(task: str, *, user: bool = False) -> Path:
    """Take a task's entry out of the project's registry, or out of the user's own file, and return the file.

    Raises:
        TaskNotFoundError: it holds no such entry.
        ScaffoldError: the registry cannot be edited or written.
    """
    file, _ = registry_file(user=user)
    source = read_source(file)
    text = _edited(source, lambda plain: remove_entry(plain, task, file))
    if text == source:
        known = [entry.task for entry in read_declarations(file, "project").entries] if source else []
        raise TaskNotFoundError(
            f"{_shown(file)} registers no task {task}.",
            hint=near_miss(task, known) or f"It registers {', '.join(known) or 'none'}.",
        )
    write_files({file: text})
    return file


def registry_file(*, user: bool = False) -> tuple[Path, Project | None]:
    """Return the file that entries are written into, and the project around the working directory.

    Raises:
        ScaffoldError: the working directory is pipesmith's own checkout.
    """
    if user:
        return user_registry_file(), find_project()
    project = find_project()
    if project is not None:
        return project.registry_file, project
    here = Path.cwd()
    if any(is_pipesmith(folder) for folder in (here, *here.parents)):
        raise ScaffoldError(f"{here} is pipesmith's own checkout, no project.", hint="cd to your project.")
    if (here / "pipelines.py").is_file():
        raise ScaffoldError(
            f"A folder pipelines here would take the place of {here / 'pipelines.py'} in `import pipelines`.",
            hint='Say in pyproject.toml where the registry is to lie: [tool.pipe], then pipelines = "tasks".',
        )
    return here / "pipelines" / "__init__.py", None


def check_task(task: str) -> None:
    """Refuse a name that the shell, a file system or a repository would trip over.

    Raises:
        ParameterError: with the nearest name that can be had.
    """
    if re.fullmatch(r"[A-Za-z0-9]+([_-]+[A-Za-z0-9]+)*", task):
        return
    near = in_kebab_case(task.rpartition("/")[2].removesuffix(".py"))
    raise ParameterError(f"{task!r} is no name for a task.", hint=f"For example --task {near or 'my-task'}.")


def _edited(source: str, edit: Callable[[str], str]) -> str:
    """Edit a text apart from its byte order mark, which no parser takes."""
    mark = "\ufeff" if source.startswith("\ufeff") else ""
    return mark + edit(source.removeprefix("\ufeff"))


def _check_class(reference: ClassReference) -> None:
    signature = read_signature(reference)
    where = f"{signature.file}:{signature.line}"
    if not signature.is_pipeline:
        raise PipelineLoadError(
            f"{where}: {reference.name} is not a subclass of transformers.Pipeline.",
            hint=f"Write `class {reference.name}(Pipeline):` with the four methods.",
        )
    if signature.missing_methods:
        raise PipelineLoadError(
            f"{where}: {reference.name} lacks {' and '.join(signature.missing_methods)}.",
            hint="A pipeline implements _sanitize_parameters, preprocess, _forward and postprocess.",
        )


def _check_conflicts(entry: PipelineEntry, file: Path, project: Project | None, *, user: bool) -> Sequence[str]:
    """Refuse a task of another class in the same registry, and note what stands elsewhere or could not be read."""
    notes: list[str] = []
    reference = entry.pipeline_class
    assert isinstance(reference, ClassReference)
    here = read_declarations(file, "project") if file.is_file() else None
    for other in here.entries if here else ():
        if other.task == entry.task and not is_same_class(other.pipeline_class, reference):
            raise TaskConflictError(
                f"The task {entry.task} is registered already, at {other.place} for {other.pipeline_class}; "
                f"now it is to be {reference} ({entry.place}).",
                hint=f"Choose another --task, or first: pipe register --remove --task {entry.task}",
            )
        if other.task != entry.task and is_same_class(other.pipeline_class, reference):
            notes.append(f"{reference.name} is the task {other.task}, too ({other.place}).")
    notes += [f"{note}." for note in (here.notes if here else ()) if note.unread]
    for level in LEVELS:
        if level == ("user" if user else "project"):
            continue
        for other in read_level(level, project).entries:
            if other.task == entry.task:
                notes.append(f"There is a task {entry.task} of {level}, too ({other.place}); the first in order runs.")
            elif other.task.casefold() == entry.task.casefold():
                raise TaskConflictError(
                    f"{entry.task} differs from the task {other.task} ({other.place}) only in case.",
                    hint=f"Choose another name, or --task {other.task}.",
                )
    return list(dict.fromkeys(notes))


def is_same_class(one: ClassReference | type, other: ClassReference | type) -> bool:
    """Tell whether two entries mean one class."""
    if not (isinstance(one, ClassReference) and isinstance(other, ClassReference)):
        return one is other
    if one.file is None or other.file is None:  # not found, or of an installed package
        return one.name == other.name
    return one.name == other.name and one.file.resolve() == other.file.resolve()


def type_of(model: ModelClass) -> str | None:
    """Return the type of the tasks of transformers that a model class is for."""
    for entry in transformers_declarations().entries:
        if model in entry.pt_model:
            return entry.type
    return None


def _model_class(name: str) -> ModelClass:
    """Check the name of a model class: one in transformers, or `file.py:Class` of the user's own."""
    path, colon, class_name = name.rpartition(":")
    if colon and path.endswith(".py"):
        file = Path(path).expanduser().absolute()
        classes = [node.name for node in parse(file).body if isinstance(node, ast.ClassDef)]
        if class_name not in classes:
            hint = near_miss(class_name, classes) or f"It has {', '.join(classes) or 'none'}."
            raise ParameterError(f"{file} has no class {class_name}.", hint=hint)
        return ClassReference(class_name, file)
    if not name.isidentifier():
        raise ParameterError(
            f"{name!r} is no name of a model class.", hint="For example --pt-model AutoModelForSequenceClassification"
        )
    auto = _auto_classes()
    if name.removeprefix("TF").startswith("Auto") and auto and name.removeprefix("TF") not in auto:
        raise ParameterError(
            f"transformers has no model class {name}.",
            hint=near_miss(name, auto) or f"It has {', '.join(auto[:6])} and others.",
        )
    return name


def _auto_classes() -> list[str]:
    """Read the names of the Auto classes for models in the installed transformers."""
    folder = package_folder("transformers")
    file = module_file(folder / "models" / "auto" / "modeling_auto") if folder else None
    if file is None:
        return []
    return [
        node.name for node in parse(file).body if isinstance(node, ast.ClassDef) and node.name.startswith("AutoModel")
    ]


def read_default(text: str | None, access: HubAccess) -> DefaultModel | None:
    """Read `--default`: a folder, or a repository at a revision, which is asked of the Hub if it is not said."""
    if text is None:
        return None
    if Path(text).expanduser().is_dir():
        folder = Path(text).expanduser()
        if not (folder / "config.json").is_file():
            raise PipelineLoadError(f"{folder} is no checkpoint: it holds no config.json.", hint="Name another folder.")
        return DefaultModel(str(folder.resolve()))
    repo_id, _, revision = text.partition("@")
    if not is_repo_id(repo_id):
        raise ParameterError(
            f"--default {text}: there is no such folder, and it is no repository.",
            hint="Write user/model@revision, or a folder of this project.",
        )
    if revision:
        return DefaultModel(repo_id, revision)
    try:
        return DefaultModel(repo_id, resolve_commit(repo_id, None, access))
    except PipeError as error:
        raise type(error)(
            f"--default {repo_id} names no revision, and the Hub did not tell: {error.message}",
            hint=f"Write --default {repo_id}@COMMIT. {error.hint or ''}".strip(),
        ) from error


def _is_folder(default: DefaultModel) -> bool:
    return default.revision is None and Path(default.model).is_dir()


def _shown(file: Path) -> str:
    return os.path.relpath(file) if Path.cwd() in file.parents else str(file)
