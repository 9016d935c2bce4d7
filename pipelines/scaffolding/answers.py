"""What a task is made from: the answers of its author, kept in .pipe/scaffold/<task>/answers.json."""

from __future__ import annotations

import dataclasses
import json
import keyword
import re
from dataclasses import dataclass
from typing import Any

from pipesmith.pipelines.errors import ParameterError, ScaffoldError
from pipesmith.pipelines.names import near_miss

TYPES = ("text", "audio", "image", "video", "multimodal")
STAGES = ("preprocess", "_forward", "postprocess")
_KINDS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
_WITHOUT_DEFAULT = ("list[str]", "list[int]", "list[float]", "dict[str, Any]")
# What a method or a call of a pipeline calls something else.
_TAKEN = {
    *("self", "args", "kwargs", "inputs", "text", "audio", "image", "video", "row", "model_inputs", "model_outputs"),
    *("model", "tokenizer", "feature_extractor", "image_processor", "processor", "config", "task", "framework"),
    *("device", "dtype", "torch_dtype", "batch_size", "num_workers", "modelcard", "model_kwargs", "revision"),
    *("token", "trust_remote_code", "use_fast", "binary_output", "preprocess", "forward", "postprocess"),
}
_FORM = "Write NAME:TYPE=DEFAULT@STAGE, for example top_k:int=5@postprocess."


@dataclass(frozen=True)
class Parameter:
    """A parameter of a task.

    Args:
        name: its name.
        type: its Python type, as source.
        default: its value when it is not given; None if there is none.
        stage: preprocess, _forward or postprocess.
        doc: what it does, a sentence.
        is_used: whether the template does something with it; otherwise its author has to.
    """

    name: str
    type: str
    default: int | float | str | bool | None = None
    stage: str = "postprocess"
    doc: str = ""
    is_used: bool = False

    @property
    def literal(self) -> str:
        """The default as source."""
        return json.dumps(self.default, ensure_ascii=False) if isinstance(self.default, str) else repr(self.default)

    @property
    def declared(self) -> str:
        """The parameter as a method declares it."""
        kind = self.type if self.default is not None else f"{self.type} | None"
        return f"{self.name}: {kind} = {self.literal}"


@dataclass(frozen=True)
class Parent:
    """The class that a task starts as a subclass of.

    Args:
        task: the task that it runs.
        class_name: its name.
        module: where it is imported from: "transformers", ".other" beside it, or an installed module.
        copied: the modules of pipesmith's that are written beside it, so that the task needs transformers alone.
    """

    task: str
    class_name: str
    module: str
    copied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a task is made from.

    Args:
        task: its name, in kebab-case.
        type: text, audio, image, video or multimodal.
        model_classes: Auto classes of transformers, the preferred one first.
        pair: whether it takes a second text.
        chunk: whether a row is cut into pieces that go through the model one by one.
        parameters: those that the author asked for, beside the template's own.
        framework: "pt", or "both" for TensorFlow with transformers 4 as well.
        parent: the task to start from, or None.
        default: the default model, a repo_id or a folder; None if there is none.
        revision: its commit or tag.
        pipelines: the folder of the pipelines, relative to the project.
    """

    task: str
    type: str = "text"
    model_classes: tuple[str, ...] = ()
    pair: bool = False
    chunk: bool = False
    parameters: tuple[Parameter, ...] = ()
    framework: str = "both"
    parent: Parent | None = None
    default: str | None = None
    revision: str | None = None
    pipelines: str = "pipelines"

    @property
    def module(self) -> str:
        """The name of the module that holds the class."""
        return self.task.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The name of the class."""
        return "".join(part[0].upper() + part[1:] for part in self.task.split("-")) + "Pipeline"

    @property
    def package(self) -> str:
        """The name under which tests import the folder of the pipelines."""
        return ".".join(part for part in self.pipelines.split("/") if part not in ("src", "."))

    def to_json(self) -> str:
        """Return the answers as the text of answers.json."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


def read_answers(text: str, place: object) -> Answers:
    """Read answers.json; answers that it does not hold yet take their defaults.

    Raises:
        ScaffoldError: it is not what `pipe new-task` wrote.
    """
    try:
        values = json.loads(text)
        values["parameters"] = tuple(Parameter(**parameter) for parameter in values.get("parameters", ()))
        values["model_classes"] = tuple(values.get("model_classes", ()))
        if values.get("parent"):
            parent = Parent(**values["parent"])
            values["parent"] = dataclasses.replace(parent, copied=tuple(parent.copied))
        return Answers(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ScaffoldError(
            f"{place} does not hold the answers of a task: {error}.", hint="Take it back from git: it is committed."
        ) from error


def parse_parameter(text: str) -> Parameter:
    """Read a parameter as it is typed: `top_k:int=5@postprocess`.

    Without a stage it goes to postprocess, without a default it is None, without a type it is text.

    Raises:
        ParameterError: the name cannot be used, the type is unknown, or the default is not of it.
    """
    declared, stage = text, "postprocess"
    before, at, after = text.rpartition("@")
    if at and ("=" not in before or re.fullmatch(r"\w+", after)):
        declared, stage = before, after
    if stage == "forward":
        stage = "_forward"
    if stage not in STAGES:
        raise ParameterError(
            f"--param {text}: {stage} is no stage.", hint=near_miss(stage, STAGES) or f"One of {', '.join(STAGES)}."
        )
    declared, has_default, default = declared.partition("=")
    name, has_type, kind = declared.partition(":")
    name, kind = name.strip(), kind.strip() if has_type else "str"
    _check_name(name, text)
    kind = {"list": "list[str]", "dict": "dict[str, Any]"}.get(kind, kind)
    if kind in _WITHOUT_DEFAULT:
        if has_default:
            raise ParameterError(
                f"--param {text}: a {kind} has no default here.", hint=f"Write {name}:{kind}@{stage}; it is then None."
            )
        return Parameter(name, kind, None, stage)
    if kind not in _KINDS:
        known = (*_KINDS, *_WITHOUT_DEFAULT)
        raise ParameterError(
            f"--param {text}: {kind!r} is not a type that a parameter can have.",
            hint=near_miss(kind, known) or f"One of {', '.join(known)}. {_FORM}",
        )
    return Parameter(name, kind, _value(default, kind, text) if has_default else None, stage)


def _check_name(name: str, text: str) -> None:
    if not name.isidentifier() or not name.isascii():
        valid = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
        raise ParameterError(
            f"--param {text}: {name!r} is not a name in Python.",
            hint=f"For example {valid}." if valid.isidentifier() else _FORM,
        )
    if keyword.iskeyword(name) or name in _TAKEN or name.startswith("_"):
        why = "a word of Python" if keyword.iskeyword(name) else "the name of something else in a pipeline"
        raise ParameterError(
            f"--param {text}: {name} is {why if not name.startswith('_') else 'private'}.",
            hint=f"For example {name.strip('_')}_value." if name.strip("_") else _FORM,
        )


def _value(text: str, kind: str, spec: str) -> Any:
    if kind == "bool":
        values = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
        if text.casefold() in values:
            return values[text.casefold()]
    else:
        try:
            value = _KINDS[kind](text)
        except ValueError:
            value = None
        if value is not None and value == value and value not in (float("inf"), float("-inf")):
            return value
    raise ParameterError(f"--param {spec}: {text!r} is not {kind}.", hint=_FORM)
