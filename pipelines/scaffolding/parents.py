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
_PICTURE = 'Image.new("RGB", (40, 40), "red")'
_EXAMPLES = {
    "any-to-any": '[{"text": "The house stands by the river."}]',
    "decision": '[{"state": "late", "questions": {"refund": {"type": "noul", "instructions": "Is it?"}}}]',
    "document-question-answering": (
        f'[{{"image": {_PICTURE}, "question": "What is this?", "word_boxes": [["house", [0, 0, 9, 9]]]}}]'
    ),
    "fill-mask": '["The house stands by the [MASK]."]',
    "image-text-to-text": f'[{{"images": {_PICTURE}, "text": "<image> What is this?"}}]',
    "image-to-text": f"[{_PICTURE}]",  # multimodal in transformers 4, which takes a picture alone
    "keypoint-matching": f'[[{_PICTURE}, Image.effect_noise((40, 40), 90).convert("RGB")]]',
    "question-answering": _QUESTIONS,
    "table-question-answering": ('[{"query": "Which?", "table": pandas.DataFrame({"City": ["Rome", "Oslo"]})}]'),
    "video-classification": "[_clip()]",
    "visual-question-answering": f'[{{"image": {_PICTURE}, "question": "What is this?"}}]',
    "zero-shot-audio-classification": "[np.sin(np.arange(12_000) / 7)]",
    "zero-shot-object-detection": f'[{{"image": {_PICTURE}, "candidate_labels": ["a cat", "a dog"]}}]',
}
# Libraries that their class needs beside transformers' own: without them the tests skip.
_NEEDS = {"mask-generation": "torchvision", "table-question-answering": "pandas", "video-classification": "av"}
# transformers makes no batches of them, or their class takes no Dataset
_ALONE = ("any-to-any", "decision", "keypoint-matching", "table-question-answering")
_CALL_PARAMETERS = {
    "zero-shot-classification": '{"candidate_labels": ["travel", "cooking"]}',
    "zero-shot-image-classification": '{"candidate_labels": ["a cat", "a dog"]}',
    "zero-shot-audio-classification": '{"candidate_labels": ["a bell", "a dog"]}',
    "mask-generation": '{"points_per_batch": 512}',
    # Some write up to 256 tokens, which takes minutes on a busy machine.
    **dict.fromkeys(
        ("any-to-any", "image-text-to-text", "image-to-text", "summarization", "text2text-generation"), _SHORT
    ),
    **dict.fromkeys(("text-generation", "translation"), _SHORT),
}
_OF_CLASS = {  # the same, for another than the task's first model class
    "AutoModelForSpeechSeq2Seq": '{"generate_kwargs": {"max_new_tokens": 4, "num_beams": 1}}',
}
_IMPORTS = {  # of what stands in the inputs above
    "Image.": "from PIL import Image",
    "np.": "import numpy as np",
    "_clip(": "import tempfile\nfrom pathlib import Path\nfrom PIL import Image",
}


def examples_of(parent: Parent | None, model_class: str) -> dict[str, str | bool | None]:
    """Return what the tests of a task are made from, for its templates.

    `examples` and `call_parameters` are source, None for those that its type tells; `example_imports` are what they
    need, `needs` is a library without which its class does not run, `is_batched` whether transformers makes batches.
    """
    task = parent.task if parent else ""
    examples = _EXAMPLES.get(task)
    imports = [line for word, line in _IMPORTS.items() if examples and word in examples]
    return {
        "examples": examples,
        "call_parameters": (_OF_CLASS.get(model_class) if parent else None) or _CALL_PARAMETERS.get(task),
        "example_imports": "\n".join(imports),
        "needs": _NEEDS.get(task),
        "is_batched": task not in _ALONE,
    }


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
