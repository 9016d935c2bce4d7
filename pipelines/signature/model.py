"""A signature as it is handed out: plain data, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipesmith.pipelines.signature.parameter_types import ParameterType


@dataclass(frozen=True)
class Parameter:
    """A parameter of a task.

    Args:
        name: its name.
        stages: those of "preprocess", "_forward" and "postprocess" that it reaches; empty if none can be seen.
        type: what a text given for it becomes.
        default: what is in effect without it, as a reader would type it (`5`, `"none"`, or `computed`); None if
            nothing is.
        doc: the first sentence that a docstring says of it, "" if none.
        group: "task", or "generation" and "tokenizer" for what the task only passes on.
        warning: why giving it may fail, or None.
        required: whether a call (or `__init__`) fails without it.
        default_value: the default as a JSON value; None if there is none, or if it is computed.
    """

    name: str
    stages: tuple[str, ...]
    type: ParameterType
    default: str | None = None
    doc: str = ""
    group: str = "task"
    warning: str | None = None
    required: bool = False
    default_value: object = field(default=None, hash=False)


@dataclass(frozen=True)
class InputParameter:
    """The first parameter of `preprocess`: one row.

    Args:
        annotation: its source text, or None.
        takes_json: whether it is annotated as a dict or list (also a Mapping, TypedDict, tuple or Sequence), and not
            as text too; without an annotation, whether `preprocess` reads keys of it without looking what it is.
        keys: those that it reads so.
    """

    name: str
    annotation: str | None
    takes_json: bool
    doc: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """What can be said of a pipeline class without importing it.

    Args:
        class_name: its name.
        file: the file that defines it.
        line: where, from 1.
        doc: the first paragraph of its docstring.
        input: the row that `preprocess` takes; None if there is no such method.
        parameters: those that a call takes.
        init_parameters: those of its own `__init__`, beyond what transformers.Pipeline takes.
        missing_methods: of the four methods those that neither it nor a base defines.
        is_pipeline: whether it reaches transformers.Pipeline through its bases.
        transformers_base: the nearest base class in transformers that is a whole pipeline, such as
            "TextClassificationPipeline".
        unknown_parameters: what a parameter that is not listed does: "refused" (TypeError), "dropped", or the names
            of the stages that get it, separated by ", ".
        method_places: the file and line of each method found.
        notes: what could not be read, and what is likely to be a slip, with file and line.
    """

    class_name: str
    file: Path
    line: int
    doc: str
    input: InputParameter | None
    parameters: tuple[Parameter, ...]
    init_parameters: tuple[Parameter, ...]
    missing_methods: tuple[str, ...]
    is_pipeline: bool
    transformers_base: str | None
    unknown_parameters: str
    method_places: dict[str, tuple[Path, int]]
    notes: tuple[str, ...]
