"""What a name on the command line means: a file, a checkpoint folder, or a task, and which model it runs.

Nothing is loaded here, and no user code runs unless a registry decides its names at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines import trust
from pipesmith.pipelines.checkpoint import Checkpoint, checkpoint_entry, read_checkpoint
from pipesmith.pipelines.entries import DefaultModel, ModelClass, PipelineEntry, Place
from pipesmith.pipelines.errors import TaskNotFoundError
from pipesmith.pipelines.hub import HubAccess, cached, is_repo_id
from pipesmith.pipelines.modules import only_own_files
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.registry import find_entry
from pipesmith.pipelines.source import ClassReference

_FALLBACK_MODEL = "AutoModelForSequenceClassification"


@dataclass(frozen=True)
class LoadOptions:
    """How a pipeline is loaded.

    Args:
        model: a checkpoint folder, a repo_id, `tiny` or `tiny:ARCHITECTURE`; None for the task's default.
        revision: branch, tag or commit of a repository.
        task: the task of a checkpoint that is for several.
        pt_model: the model class of a pipeline class without an entry.
        device: "cpu", "cuda:0", ...; None for the first accelerator there is.
        dtype: "float32", "bfloat16", ...; "auto" for the checkpoint's own.
        model_kwargs: passed on to the model's from_pretrained.
        init: further arguments of the pipeline class's `__init__`.
        trust_remote_code: whether code that the checkpoint brings may run, though no lock says so.
        trust_project: whether the project's lock counts though nobody accepted it.
        ask: shows a person a question, and text that they may want to read first, and returns whether the answer was
            yes; None if nobody can be asked.
        allow_pickle: whether weights of a repository may be in a format that can hold code.
        verify: whether every downloaded byte is compared with what the Hub says of the commit.
        allow_random_weights: whether a model may start with newly initialised weights.
        compiled: whether the model is compiled with torch.compile.
        framework: "pt", or "tf" for TensorFlow, which transformers 4 has.
        access: how the Hub is reached.
        notify: told what a person should know, such as the commit that runs.
    """

    model: str | None = None
    revision: str | None = None
    task: str | None = None
    pt_model: str | None = None
    device: str | None = None
    dtype: str = "auto"
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    trust_remote_code: bool = False
    trust_project: bool = False
    ask: Callable[[str, str], bool] | None = None
    allow_pickle: bool = False
    verify: bool = False
    allow_random_weights: bool = False
    compiled: bool = False
    framework: str = "pt"
    access: HubAccess = field(default_factory=HubAccess)
    notify: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Target:
    """What `pipe run NAME` means.

    Args:
        entry: the task's entry.
        model: the model to load, if the name or the project settles it.
        notes: what was chosen on the user's behalf, a sentence each.
        checkpoint: the checkpoint that the name itself is; its model stands in `model`.
    """

    entry: PipelineEntry
    model: DefaultModel | None = None
    notes: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None


def resolve(name: str, options: LoadOptions, project: Project | None, *, to_run: bool = False) -> Target:
    """Find out what a name means: an existing path first, then a task, then a repository of the Hub.

    Args:
        name: `file.py`, `file.py:Class`, a checkpoint folder, a task, or user/repo.
        options: `task`, `pt_model`, `revision` and `access` matter here.
        project: where tasks are looked up first.
        to_run: whether the task is about to run. Only then may a registry that decides names at run time be run, and
            a repository be fetched; otherwise it is read from the cache.

    Raises:
        TaskNotFoundError, TaskConflictError, PipelineLoadError, ProjectError: each says what it could not find.
    """
    if project is not None and to_run:
        only_own_files(project.root)
        only_own_files(project.pipelines)
    file, _, class_name = name.rpartition(":") if ".py:" in name else (name, "", "")
    path = Path(file).expanduser()
    if path.suffix == ".py":
        return _file_target(path, class_name, options)
    if path.is_dir():
        return _checkpoint_target(read_checkpoint(path), DefaultModel(str(path)), options, project)
    if path.exists():
        raise TaskNotFoundError(
            f"{name} is a file, but neither a pipeline (.py) nor a checkpoint folder.",
            hint="Write the task first, then its inputs: pipe run TASK INPUT.",
        )
    if name.startswith(("/", "./", "../", "~")):
        raise TaskNotFoundError(f"There is no file or folder {name}.", hint="`pipe list` shows the tasks.")
    if is_repo_id(name):
        return _repository_target(name, options, project, fetch=to_run)
    entry = find_entry(name, project, run_registries=to_run)
    settings = project.tasks.get(entry.task) if project else None
    model = entry.default
    if settings and settings.model:
        model = DefaultModel(settings.model, settings.revision)
    elif settings and settings.revision and model:
        model = replace(model, revision=settings.revision)
    return Target(entry, beside(model, entry, project))


def beside(model: DefaultModel | None, entry: PipelineEntry, project: Project | None) -> DefaultModel | None:
    """Turn a default that is a folder, relative to the project or to its registry file, into that folder."""
    if model is None:
        return None
    bases = [project.root] if project else []
    if entry.place is not None:
        bases += [entry.place.file.parent]
    for base in bases:
        folder = base / Path(model.model).expanduser()
        if folder.is_dir():
            return replace(model, model=str(folder))
    return model


def _file_target(path: Path, class_name: str, options: LoadOptions) -> Target:
    from pipesmith.pipelines.signature import pipeline_classes, read_signature

    if not path.is_file():
        raise TaskNotFoundError(f"There is no file {path}.", hint="Check the path: it is relative to this folder.")
    if not class_name:
        classes = pipeline_classes(path)
        if len(classes) != 1:
            listed = ", ".join(classes) or "no subclass of transformers.Pipeline"
            raise TaskNotFoundError(
                f"{path} defines {listed}.",
                hint=f"Name one: {path}:{classes[0]}" if classes else "Write `class MyPipeline(Pipeline):` there.",
            )
        class_name = classes[0]
    reference = ClassReference(class_name, path.resolve())
    signature = read_signature(reference)
    own = _own_entry(reference)
    notes = []
    base = entry_of_transformers_class(signature.transformers_base)
    models: tuple[ModelClass, ...] = (options.pt_model,) if options.pt_model else own.pt_model if own else ()
    kind = base.type if base and not options.pt_model else "text"
    if own and own.type != "multimodal":  # which is also what no type at all means
        kind = own.type
    if not models:
        models = base.pt_model if base else (_FALLBACK_MODEL,)
        notes.append(
            f"{class_name} has no entry: its model is taken for {model_names(models)} (--pt-model names another)."
        )
    entry = PipelineEntry(
        options.task or (own.task if own else _kebab(class_name)),
        reference,
        models,
        default=own.default if own else None,
        type=kind,
        place=Place(path, signature.line),
        origin="file",
    )
    return Target(entry, beside(entry.default, entry, None), notes=tuple(notes))


def _own_entry(reference: ClassReference) -> PipelineEntry | None:
    """Return what a file itself registers for a class of its own, when it is imported; None if it does not."""
    from pipesmith.pipelines.declarations import read_declarations, registers_tasks

    assert reference.file is not None
    if not registers_tasks(reference.file):
        return None
    for entry in read_declarations(reference.file, "file").entries:
        if entry.pipeline_class == reference and entry.holds is not False:
            return entry
    return None


def entry_of_transformers_class(class_name: str | None) -> PipelineEntry | None:
    """Return the task of transformers that a class of transformers runs; None if there is none."""
    if class_name is None:
        return None
    from pipesmith.pipelines.declarations import transformers_declarations

    for entry in transformers_declarations().entries:
        if isinstance(entry.pipeline_class, ClassReference) and entry.pipeline_class.name == class_name:
            return entry
    return None


def _kebab(class_name: str) -> str:
    name = class_name.removesuffix("Pipeline") or class_name
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).strip("-").replace("_", "-")


def model_names(models: Sequence[ModelClass]) -> str:
    """Return the names of model classes, for a sentence."""
    return ", ".join(model if isinstance(model, str) else getattr(model, "name", str(model)) for model in models)


def _repository_target(repo_id: str, options: LoadOptions, project: Project | None, *, fetch: bool) -> Target:
    if fetch:
        snapshot = trust.fetch_trusted(repo_id, options.revision, options)
    else:
        found = cached(repo_id, options.revision)
        if found is None:
            raise TaskNotFoundError(
                f"{repo_id} is not in the cache, so that its parameters cannot be shown yet.",
                hint=f"Fetch its small files: hf download {repo_id} --include '*.json' '*.py'",
            )
        snapshot = found
    checkpoint = read_checkpoint(snapshot.folder, snapshot)
    return _checkpoint_target(checkpoint, DefaultModel(repo_id, snapshot.commit), options, project)


def _checkpoint_target(
    checkpoint: Checkpoint, model: DefaultModel, options: LoadOptions, project: Project | None
) -> Target:
    found = checkpoint_entry(checkpoint, options.task)
    if isinstance(found, PipelineEntry):
        return Target(found, model, checkpoint=checkpoint)
    for task in found:
        try:
            entry = find_entry(task, project)
        except TaskNotFoundError:
            if task == found[-1]:
                raise
            continue
        notes = () if options.task else (f"{checkpoint.name} is run as {task} (--task names another).",)
        return Target(entry, model, notes, checkpoint)
    raise AssertionError("checkpoint_entry returns at least one task")
