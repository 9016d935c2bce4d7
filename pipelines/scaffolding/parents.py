"""The task that another one starts from: its class and its models."""

from __future__ import annotations

import ast
from pathlib import Path

from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import ScaffoldError
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.registry import find_entry
from pipesmith.pipelines.scaffolding.answers import Parent
from pipesmith.pipelines.source import ClassReference, parse
from pipesmith.pipelines.staging import read_source

_BUILTIN = Path(__file__).parent.parent / "builtin"


def copied_files(parent: Parent | None) -> dict[str, str]:
    """Return the text of each module of pipesmith's that is written beside a task, by the name of its file."""
    names = [f"{module}.py" for module in parent.copied] if parent else []
    return {name: read_source(_BUILTIN / name) for name in names}


def _with_siblings(file: Path) -> tuple[str, ...]:
    """Return the names of a built-in's module and of those beside it that it imports."""
    found, waiting = [file.stem], [file]
    while waiting:
        for node in parse(waiting.pop()).body:
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module and node.module not in found:
                found.append(node.module)
                waiting.append(_BUILTIN / f"{node.module}.py")
    return tuple(found)


def find_parent(task: str, project: Project | None, registry_folder: Path) -> tuple[Parent, PipelineEntry]:
    """Find the class of a task to start from.

    Args:
        task: a task of the project, of an installed package, of pipesmith or of transformers.
        project: the project, if there is one.
        registry_folder: the folder that the new class will stand in.

    Raises:
        TaskNotFoundError: there is no such task.
        ScaffoldError: its class cannot be imported from there.
    """
    entry = find_entry(task, project)
    reference = entry.pipeline_class
    if isinstance(reference, type):
        return Parent(task, reference.__name__, reference.__module__), entry
    if entry.origin == "transformers":
        return Parent(task, reference.name, "transformers"), entry
    if entry.origin == "built-in" and reference.file is not None:
        return Parent(task, reference.name, f".{reference.file.stem}", _with_siblings(reference.file)), entry
    if isinstance(reference, ClassReference) and reference.module is not None:
        return Parent(task, reference.name, reference.module), entry
    file = reference.file
    if file is not None and file.resolve().is_relative_to(registry_folder.resolve()):
        dotted = ".".join(file.resolve().relative_to(registry_folder.resolve()).with_suffix("").parts)
        return Parent(task, reference.name, f".{dotted}"), entry
    raise ScaffoldError(
        f"{reference} cannot be imported from {registry_folder}.",
        hint="--from takes a task of this project, of an installed package or of transformers.",
    )
