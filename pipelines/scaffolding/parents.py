"""The task that another one starts from: its class, its models, and inputs for the tests."""

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

# Inputs of the tasks whose type does not tell them, as source; and what a call cannot do without.
_QUESTIONS = '[{"question": "Where is it?", "context": "The house stands by the river."}]'
_SHORT = '{"max_new_tokens": 4}'
_EXAMPLES = {
    "fill-mask": '["The house stands by the [MASK]."]',
    "image-to-text": '[Image.new("RGB", (40, 40), "red")]',  # multimodal in transformers 4, which takes a picture alone
    "question-answering": _QUESTIONS,
    "visual-question-answering": '[{"image": Image.new("RGB", (40, 40), "red"), "question": "What is this?"}]',
    "table-question-answering": '[{"query": "How many?", "table": {"City": ["Rome", "Oslo"], "Count": ["3", "4"]}}]',
}
_CALL_PARAMETERS = {
    "zero-shot-classification": '{"candidate_labels": ["travel", "cooking"]}',
    "zero-shot-image-classification": '{"candidate_labels": ["a cat", "a dog"]}',
    "zero-shot-audio-classification": '{"candidate_labels": ["a bell", "a dog"]}',
    "zero-shot-object-detection": '{"candidate_labels": ["a cat", "a dog"]}',
    # Some write up to 256 tokens, which takes minutes on a busy machine.
    **dict.fromkeys(
        ("image-to-text", "summarization", "text2text-generation", "text-generation", "translation"), _SHORT
    ),
}


def examples_of(task: str) -> tuple[str | None, str | None]:
    """Return source for the inputs of a task's tests and for the parameters of its calls; None for the usual ones."""
    return _EXAMPLES.get(task), _CALL_PARAMETERS.get(task)


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
