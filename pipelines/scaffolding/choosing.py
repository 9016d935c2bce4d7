"""What an author says, checked and completed: from options and defaults to answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.entries import DefaultModel
from pipesmith.pipelines.errors import ParameterError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.registering import read_default, registry_file
from pipesmith.pipelines.scaffolding.answers import TYPES, Answers, parse_parameter
from pipesmith.pipelines.scaffolding.model_classes import DEFAULT_OF_TYPE, check_model_class, task_of, type_of_rows
from pipesmith.pipelines.scaffolding.parents import find_parent
from pipesmith.pipelines.scaffolding.plan import check_name

_TYPES_OF_TASKS = {  # that transformers calls multimodal, by what a row of them is
    "automatic-speech-recognition": "audio",
    "feature-extraction": "text",
    "image-segmentation": "image",
    "mask-generation": "image",
    "object-detection": "image",
    "zero-shot-audio-classification": "audio",
    "zero-shot-image-classification": "image",
    "zero-shot-object-detection": "image",
}


@dataclass(frozen=True)
class Choices:
    """What an author has said of a new task; None, False and empty are to be completed.

    Args:
        task: its name.
        type: text, audio, image, video or multimodal.
        model_class: an Auto class of transformers.
        pair: whether it takes a second text.
        chunk: whether a row is cut into pieces.
        parameters: as they are typed, `top_k:int=5@postprocess`.
        default: user/model, user/model@revision, or a folder.
        parent: the task to start from.
        framework: "pt", or "both".
        into: the checkout of transformers that it is for; None for the project.
    """

    task: str
    type: str | None = None
    model_class: str | None = None
    pair: bool = False
    chunk: bool = False
    parameters: Sequence[str] = ()
    default: str | None = None
    parent: str | None = None
    framework: str = "both"
    into: Path | None = None


def choose(choices: Choices, access: HubAccess) -> Answers:
    """Check what an author has said, and take the defaults for the rest.

    Args:
        choices: what was said.
        access: how the Hub is asked for the commit of a default model that names none.

    Raises:
        PipeError: an answer cannot be; it names the nearest that can.
    """
    file, project = registry_file()
    if choices.into is None:
        check_name(choices.task, project)
    parameters = tuple(parse_parameter(text) for text in choices.parameters)
    names = [parameter.name for parameter in parameters]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ParameterError(f"--param {twice} is given twice.", hint="Each parameter has a name of its own.")
    if choices.framework not in ("pt", "both"):
        raise ParameterError(f"--framework {choices.framework} cannot be had.", hint="It is pt or both.")
    if choices.model_class is not None:
        check_model_class(choices.model_class)
    parent = None
    begun_from = choices.parent or task_of(choices.model_class)
    if begun_from is not None:
        parent, entry = find_parent(begun_from, project, file.parent)
        models = tuple(str(model) for model in entry.pt_model if isinstance(model, str))
        kind = _TYPES_OF_TASKS.get(entry.task, entry.type)
        has_type = choices.type is not None and (choices.parent is not None or choices.type != kind)
        for option, given in (("--type", has_type), ("--pair", choices.pair), ("--chunk", choices.chunk)):
            if given:
                what = "--from" if choices.parent else f"--model-class {choices.model_class}"
                raise ParameterError(
                    f"{option} does not go with {what}: {begun_from} decides it.", hint=f"Leave {option} out."
                )
    else:
        kind, models = _kind(choices), ()
    if choices.model_class is not None or not models:
        models = (choices.model_class or DEFAULT_OF_TYPE[kind],)
    for model in models:
        check_model_class(model)
    if choices.pair and kind != "text":
        raise ParameterError(f"--pair is for a second text, not for {kind}.", hint="Leave --pair or --type out.")
    root = project.root if project else Path.cwd()
    default = _beside(read_default(choices.default, access), root)
    return Answers(
        choices.task,
        kind,
        models,
        choices.pair,
        choices.chunk,
        parameters,
        choices.framework,
        parent,
        default.model if default else None,
        default.revision if default else None,
    )


def _kind(choices: Choices) -> str:
    """Return the type: what was said, else what the model class is for, else text."""
    if choices.type is not None and choices.type not in TYPES:
        hint = near_miss(choices.type, TYPES) or f"It is {', '.join(TYPES)}."
        raise ParameterError(f"--type {choices.type} is no type of a task.", hint=hint)
    if choices.model_class is None:
        return choices.type or "text"
    usual = type_of_rows(choices.model_class)
    if choices.type is not None and usual is not None and usual != choices.type:
        raise ParameterError(
            f"{choices.model_class} is for {usual}, not for {choices.type}.",
            hint=f"For {choices.type}: --model-class {DEFAULT_OF_TYPE[choices.type]}",
        )
    return choices.type or usual or "text"


def _beside(default: DefaultModel | None, root: Path) -> DefaultModel | None:
    """Return a default model that is a folder as the project names it."""
    if default is None or default.revision is not None or not Path(default.model).is_dir():
        return default
    return DefaultModel(Path(os.path.relpath(default.model, root)).as_posix())
