"""Which tasks a push publishes, and on which model; what it would take away, and what a card says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipesmith.pipelines.checkpoint import tasks_of_models
from pipesmith.pipelines.declarations import transformers_declarations
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.listing import list_tasks
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.signature import Signature, read_signature
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.targets import LoadOptions, Target, entry_of_transformers_class, model_names, resolve


def target_of(name: str, loading: LoadOptions, project: Project | None) -> Target:
    """Find a task and the model that it is published with.

    Raises:
        PublishError: it is transformers' own, or has no model.
        PipeError: there is no such task.
    """
    target = resolve(name, loading, project, to_run=True)
    entry = target.entry
    if entry.origin == "transformers":
        raise PublishError(
            f"{entry.task} is transformers' own: whoever has transformers has its code.",
            hint="Upload the checkpoint alone: hf upload user/repo FOLDER",
        )
    if loading.model is None and target.model is None:
        raise PublishError(
            f"{entry.task} has no model to be published with.",
            hint=f"Give --model FOLDER, user/repo or tiny, or its entry a default={{...}} ({entry.place}).",
        )
    return target


def only_task(project: Project | None) -> str:
    """Name the project's task, if all of its tasks are of one class.

    Raises:
        PublishError: there is no project, no task, or a choice.
    """
    if project is None:
        raise PublishError(
            "There is no project here.", hint="Name what to publish: --task TASK or --task file.py:Class"
        )
    own = [task for task in list_tasks(project)[0] if task.entry.origin == "project"]
    if not own:
        raise PublishError(f"{project.registry_file} registers no task.", hint="pipe new-task, or --task file.py:Class")
    if len({str(task.entry.pipeline_class) for task in own}) > 1:
        names = ", ".join(task.entry.task for task in own)
        raise PublishError(
            f"The project has the tasks {names}.",
            hint=f"Name one: --task {own[0].entry.task}, or several that run on one model.",
        )
    return own[0].entry.task


def model_of(target: Target, loading: LoadOptions) -> str:
    """Name the model that a task is published with: a folder, user/repo or tiny."""
    return loading.model or (target.model.model if target.model else "")


def refuse_to_drop(repo_id: str, config_text: str | None, entries: Sequence[PipelineEntry]) -> None:
    """Refuse to take away a task that the repository brings: config.json is written anew.

    Args:
        repo_id: user/repo.
        config_text: its config.json as it is now; None if it has none.
        entries: every task that is published.

    Raises:
        PublishError: another task stands there.
    """
    try:
        config = json.loads(config_text or "{}")
    except ValueError:
        return
    there = config.get("custom_pipelines") if isinstance(config, dict) else None
    names = {getattr(entry.pipeline_class, "name", "") for entry in entries}
    for task, info in (there or {}).items():
        impl = str(info.get("impl")) if isinstance(info, dict) else ""
        if task not in [entry.task for entry in entries] and impl.rpartition(".")[2] not in names:
            raise PublishError(
                f"{repo_id} brings the task {task} ({impl}) too, which this push would take away.",
                hint=f"Publish both: --task {entries[0].task} --task {task}; or use a repository for each.",
            )


def signature_of(entry: PipelineEntry) -> Signature:
    """Return the parameters of a task's class, read from its source."""
    reference = entry.pipeline_class
    assert isinstance(reference, ClassReference)  # a command's entries are read from source
    return read_signature(reference)


def pipeline_tag(entry: PipelineEntry, signature: Signature) -> str | None:
    """Return the task of transformers that comes nearest: the Hub knows no others."""
    if entry.task in [other.task for other in transformers_declarations().entries]:
        return entry.task
    base = entry_of_transformers_class(signature.transformers_base)
    if base is not None:
        return base.task
    return next(iter(tasks_of_models(model_names(entry.pt_model).split(", "))), None)
