"""The classes of tasks that 5 has removed, under the names that they had: those of the built-in pipelines.

Not here: what else stood in their modules, and the image-to-image and conversational tasks.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from pipesmith.pipelines.compat.table import note

_BUILTIN = Path(__file__).parent.parent / "builtin"
_FILES = {
    "ImageToTextPipeline": "image_to_text",
    "QuestionAnsweringArgumentHandler": "question_answering",
    "QuestionAnsweringPipeline": "question_answering",
    "ReturnType": "text2text_generation",
    "SquadExample": "question_answering",
    "SummarizationPipeline": "summarization",
    "Text2TextGenerationPipeline": "text2text_generation",
    "TranslationPipeline": "translation",
    "VisualQuestionAnsweringPipeline": "visual_question_answering",
}
# The modules that are gone, with what is given back of each.
_MODULES = {
    "transformers.data.processors": ["SquadExample"],
    "transformers.data.processors.squad": ["SquadExample"],
    "transformers.pipelines.image_to_text": ["ImageToTextPipeline"],
    "transformers.pipelines.question_answering": [name for name in _FILES if _FILES[name] == "question_answering"],
    "transformers.pipelines.text2text_generation": [
        *("ReturnType", "SummarizationPipeline", "Text2TextGenerationPipeline", "TranslationPipeline")
    ],
    "transformers.pipelines.visual_question_answering": ["VisualQuestionAnsweringPipeline"],
}
# What transformers 5 has in the module beside that of the pipeline that is gone.
_MOVED = {"transformers.pipelines.question_answering": ("decode_spans", "select_starts_ends")}
_FACED = ("transformers", "transformers.pipelines", "transformers.data")
_TASKS = (
    *("question-answering", "summarization", "translation", "text2text-generation"),
    *("visual-question-answering", "vqa", "image-to-text"),
)


def returned(module: str, name: str) -> Any:
    """Return a class, or a module, that stood under a name in a module of transformers; None if none did."""
    if module in _FACED and name in _FILES and name != "ReturnType":
        return _class(name)
    return returned_module(f"{module}.{name}")


@functools.cache
def returned_module(name: str) -> ModuleType | None:
    """Return a module of transformers 4 that 5 has not, with the classes that are given back; None for any other."""
    if name not in _MODULES:
        return None
    module = ModuleType(name, "What pipesmith gives back of a module of transformers 4.")
    module.__path__ = []  # an import of what is below is looked for in this table
    vars(module).update({held: _class(held) for held in _MODULES[name]})
    if name in _MOVED:
        home = importlib.import_module("transformers.pipelines.document_question_answering")
        vars(module).update({held: getattr(home, held) for held in _MOVED[name]})
    if name == "transformers.data.processors":
        vars(module)["squad"] = returned_module(f"{name}.squad")
    return module


def _class(name: str) -> Any:
    from pipesmith.pipelines.modules import import_file  # which imports this package

    note("removed tasks")
    return getattr(import_file(_BUILTIN / f"{_FILES[name]}.py"), name)


def is_returned(task: object) -> bool:
    """Tell whether a task is one that transformers 5 has removed and pipesmith has."""
    return isinstance(task, str) and (task in _TASKS or task.startswith("translation_"))


def returned_pipeline(task: str, model: Any = None, **kwargs: Any) -> Any:
    """Make the pipeline of such a task as `transformers.pipeline` of 4 did: `torch_dtype` is an old name of `dtype`."""
    from pipesmith.pipelines.loading import pipeline

    note("removed tasks")
    if "torch_dtype" in kwargs:
        kwargs["dtype"] = kwargs.pop("torch_dtype")
    kwargs.pop("use_fast", None)
    return pipeline(task, model, **kwargs)
