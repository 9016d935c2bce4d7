"""Whether a live pipeline takes the parameters it is given: none is ever dropped in silence.

`signature/` tells from source what a pipeline takes; this asks the pipeline itself, once, before the first row.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pipesmith.pipelines.errors import ParameterError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.user_code import user_line

_PARTS = ("tokenizer", "image_processor", "video_processor", "feature_extractor", "processor")


def check_parameters(pipe: Any, parameters: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Refuse parameters that a pipeline does not take.

    Args:
        pipe: the live pipeline.
        parameters: what it is to be called with.
        known: the parameters that its source shows.

    Returns:
        A sentence for each parameter that the source shows and that changes nothing as it was given.

    Raises:
        ParameterError: the pipeline refuses a parameter, or would take and forget it.
    """
    known = set(known)
    name = type(pipe).__name__
    stages = _sanitized(pipe, parameters, known)
    notes = []
    for key, value in parameters.items():
        rest = {other: parameters[other] for other in parameters if other != key}
        if _same(stages, _sanitized(pipe, rest, known)):
            if key not in known:
                raise _unknown(name, key, known)
            notes.append(f"{key}={value!r} changes nothing: {name} passes it on to no stage as it is given.")
        elif key not in known and _is_forgotten(pipe, key, stages):
            raise _unknown(name, key, known)
    return notes


def _sanitized(pipe: Any, parameters: Mapping[str, Any], known: set[str]) -> tuple[dict[str, Any], ...]:
    try:
        return tuple(dict(stage) for stage in pipe._sanitize_parameters(**parameters))
    except TypeError as error:
        unexpected = [key for key in parameters if f"argument '{key}'" in str(error)]
        if unexpected:
            raise _unknown(type(pipe).__name__, unexpected[0], known) from error
        place = user_line(error)
        if not place:
            raise
        raise ParameterError(
            f"{place}: {type(pipe).__name__} does not take these parameters: {error}.",
            hint="A flag is a number if an annotation, a default or the docstring says so: `top_k: int | None = None`.",
        ) from error
    except ValueError as error:
        raise ParameterError(
            f"{type(pipe).__name__} does not take these parameters: {error}.",
            hint="`pipe run TASK --help` says what each means.",
        ) from error


def _unknown(name: str, key: str, known: Iterable[str]) -> ParameterError:
    return ParameterError(
        f"{name} takes no parameter {key}.",
        hint=near_miss(key, known) or f"It takes {', '.join(sorted(known)[:12]) or 'none'}.",
    )


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and tensors compare element by element; then something is there
        return False


def _is_forgotten(pipe: Any, key: str, stages: tuple[dict[str, Any], ...]) -> bool:
    """Tell whether one of transformers' own pipelines hands a parameter to something that ignores it.

    A user's class may do what it likes with what it is given. transformers' own pass the rest on to a tokenizer, a
    processor or generate(); tokenizers ignore what they do not know.
    """
    if not type(pipe).__module__.startswith("transformers."):
        return False
    receivers = [pipe.preprocess, pipe._forward, pipe.postprocess, pipe.model.forward]
    receivers += [getattr(pipe, part).__call__ for part in _PARTS if getattr(pipe, part, None) is not None]
    names = {parameter for receiver in receivers for parameter in inspect.signature(receiver).parameters}
    generation = getattr(pipe.model, "generation_config", None)
    names |= set(vars(generation)) if generation is not None else set()
    return any(key in stage for stage in stages) and key not in names
