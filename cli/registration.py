"""What `pipe register` does in each of its places, and what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipesmith.cli import output
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import ParameterError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.registering import Wanted, described_entry, is_same_class, register, unregister


def into_registry(target: str, wanted: Wanted, access: HubAccess, *, user: bool) -> None:
    """Register a class in the project, or in the user's own file."""
    entry, notes = described_entry(target, wanted, access)
    done = register(entry, user=user)
    for text in (*notes, *done.notes):
        output.note(text)
    place = output.short_place(done.file) or str(done.file)
    if done.changed:
        output.print_text(f"{entry.task} is registered in {place}.")
    else:
        output.print_text(f"{entry.task} is registered in {place} already: nothing changed.")
    output.note(f"Run it: pipe run {entry.task} INPUT{'' if entry.default else ' --model tiny'}")


def into_checkpoint(target: str, wanted: Wanted, access: HubAccess, folder: Path) -> None:
    """Write a class's tasks into a checkpoint, with their code."""
    from pipesmith.pipelines.publishing.checkpoints import add_tasks

    entries, notes = _entries(target, wanted, access)
    done = add_tasks(folder, entries)
    for text in notes:
        output.note(text)
    tasks = " and ".join(entry.task for entry in entries)
    if done.files:
        output.print_text(f"{tasks}: {folder} holds {', '.join(done.files)} anew.")
    else:
        output.print_text(f"{tasks}: {folder} holds it already: nothing changed.")
    needed = [str(one) for one in done.closure.requirements if not one.is_optional]
    if needed:
        output.note(f"Its users need {', '.join(needed)}.")
    first = f'"{entries[0].task}", ' if len(done.tasks) > 1 else ""
    output.note(f'Load it: transformers.pipeline({first}model="{folder}", trust_remote_code=True)')


def remove(task: str | None, *, user: bool, checkpoint: Path | None) -> None:
    """Take a task out of its registry, or out of a checkpoint."""
    if task is None or ".py" in task:
        raise ParameterError("--remove needs the task.", hint="pipe register --remove --task my-task")
    if checkpoint is not None:
        from pipesmith.pipelines.publishing.checkpoints import remove_task

        remove_task(checkpoint, task)
        output.print_text(f"{task} is no task of {checkpoint} any more; the files of its code are still there.")
        return
    file = unregister(task, user=user)
    output.print_text(f"{task} is registered in {output.short_place(file) or file} no more.")


def _entries(target: str, wanted: Wanted, access: HubAccess) -> tuple[list[PipelineEntry], tuple[str, ...]]:
    """Return the entries of a class: the one that is asked for, and those that the registries have of it."""
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.registry import find_entry, read_level

    project = find_project()
    known = [*read_level("project", project).entries, *read_level("user", project).entries]
    notes: tuple[str, ...] = ()
    if ".py" in target:
        entry, notes = described_entry(target, wanted, access)
        same = [other for other in known if is_same_class(other.pipeline_class, entry.pipeline_class)]
        held = next((other for other in same if other.task == entry.task), None)
        if held is not None and wanted.pt_model is None:
            entry, notes = replace(entry, pt_model=held.pt_model, tf_model=entry.tf_model or held.tf_model), ()
        if wanted.task is None and same and held is None:
            return same, ()
    else:
        entry = find_entry(target, project)
        same = [other for other in known if is_same_class(other.pipeline_class, entry.pipeline_class)]
    return [entry, *(other for other in same if other.task != entry.task)], notes
