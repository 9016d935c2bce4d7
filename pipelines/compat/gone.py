"""What transformers 5 does not have, as sentences: placeholders that fail on use, and hints that name the pin.

Not here: names that still have a home on 5 (`imports.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pipesmith.pipelines.compat.table import needed
from pipesmith.pipelines.errors import PipelineLoadError

PIN = 'pip install "transformers<5"'
PIN_WITH_TENSORFLOW = f"{PIN} tensorflow-cpu, and pip install --no-deps tf-keras"
_LIBRARIES = ("transformers", "huggingface_hub")
# The tasks that 5 has removed, by the start of the names of their classes, their files and what these hold.
REMOVED_TASKS = {
    "Text2Text": "text2text-generation",
    "Summarization": "summarization",
    "Translation": "translation",
    "QuestionAnswering": "question-answering",
    "VisualQuestionAnswering": "visual-question-answering",
    "ImageToImage": "image-to-image",
    "ImageToText": "image-to-text",
    "Conversation": "conversational",
}


# What subclasses of transformers' classes in code for 4 call on themselves, and find no longer.
REMOVED_METHODS = {
    "_convert_head_mask_to_5d",
    "_get_non_default_generation_parameters",
    "_tie_encoder_decoder_weights",
    "_tie_or_clone_weights",
    "build_inputs_with_special_tokens",
    "create_extended_attention_mask_for_decoder",
    "create_token_type_ids_from_sequences",
    "get_extended_attention_mask",
    "get_head_mask",
    "invert_attention_mask",
    "prepare_for_model",
    "prune_heads",
    "truncate_sequences",
    "warnings_issued",
}


class GoneError(PipelineLoadError, ImportError):
    """A placeholder was used. An ImportError as well: that is what transformers 4 raises without TensorFlow."""


class _Placeholder(type):
    """The type of placeholders: they can be named, subclassed and asked for with isinstance, and nothing else."""

    def __getattr__(cls, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        _fail(cls, f".{attribute}")

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _fail(cls, "()")


def placeholder(name: str, module: str, reason: str, hint: str) -> type:
    """Make a class that stands for one that is gone, and fails with a sentence when it is used."""
    return _Placeholder(name, (), {"__module__": module, "_reason": reason, "_hint": hint})


def _fail(cls: Any, use: str) -> NoReturn:
    raise GoneError(f"{cls.__name__}{use} cannot be used: {cls._reason}.", hint=cls._hint)


def pin_hint(error: BaseException, saved_with: object = None) -> str | None:
    """Return a hint that names the version to pin, if an exception says that this transformers lacks something.

    Args:
        error: what a user's code raised: a failed import from transformers or huggingface_hub, or an attribute that
            an object of theirs does not have.
        saved_with: the version of transformers that a checkpoint with code of its own was saved with, if one failed.

    Returns:
        A sentence; None for any other exception, and on transformers 4.
    """
    lacking = _lacking(error) if needed() else None
    if lacking is None:
        if needed() and isinstance(saved_with, str) and saved_with.startswith("4."):
            return f"Its code was saved with transformers {saved_with}. Run it with transformers 4: {PIN}"
        return None
    library, name, owner = lacking
    import importlib.metadata

    version = f"{library} {importlib.metadata.version(library)}"
    task = removed_task(name)
    if task is not None:
        return f"{name} is gone: transformers 5 has removed the task {task}. Run this code with transformers 4: {PIN}"
    return f"{version} has no {owner}{name}. If this code was written for transformers 4, run it with that: {PIN}"


def _is_of_transformers(cls: type) -> bool:
    return cls.__module__.startswith("transformers.")


@functools.cache
def removed_task(name: str) -> str | None:
    """Return the task that 5 has removed and that a class or a module of transformers 4 belongs to, else None."""
    last = name.rpartition(".")[2].replace("_", "").lower()
    if not (last.endswith(("pipeline", "argumenthandler")) or name.startswith("transformers.pipelines.")):
        return "conversational" if name == "Conversation" else None
    matches = [start for start in REMOVED_TASKS if last.startswith(start.lower())]
    return REMOVED_TASKS[max(matches, key=len)] if matches else None


def _lacking(error: BaseException) -> tuple[str, str, str] | None:
    """Return the library, the name that it lacks, and whose attribute it would be ("BertModel." or "")."""
    if isinstance(error, ModuleNotFoundError):
        library, _, rest = (error.name or "").partition(".")
        return (library, str(error.name), "") if library in _LIBRARIES and rest else None
    if isinstance(error, ImportError):
        match = re.search(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
        library = match[2].partition(".")[0] if match else ""
        return (library, match[1], f"{match[2]}.") if match and library in _LIBRARIES else None
    if isinstance(error, AttributeError) and error.name:
        module = getattr(error.obj, "__name__", None) if type(error.obj).__name__ in ("_Facade", "module") else None
        owner = module if module is not None else type(error.obj).__module__
        library = str(owner).partition(".")[0] if not isinstance(error.obj, Mapping) else ""  # its names are data
        if error.name in REMOVED_METHODS and any(_is_of_transformers(base) for base in type(error.obj).__mro__):
            library = "transformers"
        if library in _LIBRARIES:
            return library, error.name, f"{module or type(error.obj).__name__}."
    return None
