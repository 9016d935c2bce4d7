"""Why a row failed, as a sentence: whose line it was, or what of the input the model cannot take."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from pipesmith.pipelines.errors import InputError, PipeError
from pipesmith.pipelines.user_code import describe, failure_hint, missing_library, user_frame

_STAGES = ("preprocess", "_forward", "postprocess", "_sanitize_parameters")


def let_through(error: BaseException) -> None:
    """Raise what ends the run rather than a row: Ctrl-C, and a generator that is closed.

    The rest is the row's. A panic in Rust is none of Python's Exceptions: tokenizers panic at a `stride` of the length.
    """
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
        raise error


def row_error(
    pipe: Any, inputs: Any, parameters: Mapping[str, Any], error: BaseException, *, tokens: int | None = None
) -> PipeError:
    """Explain an exception that a row raised.

    Args:
        pipe: the live pipeline.
        inputs: the row's input.
        parameters: the row's parameters.
        error: what was raised.
        tokens: how long the model input is, 0 if it has no length in tokens; None if that is not known, and the row is
            preprocessed again.

    Returns:
        An error that names the input's length and the model's limit where that was the reason, else the stage, the
        exception and the innermost line of the user's own code.
    """
    if isinstance(error, PipeError):
        return error
    stage = _failing_stage(error)
    if stage == "_forward":
        length = _token_count(pipe, inputs, parameters) if tokens is None else tokens
        too_long = _too_long(pipe, length)
        if too_long is not None:
            too_long.__cause__ = error
            return too_long
    name = type(pipe).__name__
    where = f"{name}.{stage}" if stage else name
    library = missing_library(error)
    if library is not None:
        explained = InputError(f"{where} needs the package {library}.", hint=f"Install it: pip install {library}")
    else:
        explained = InputError(f"{where} fails: {describe(error)}.{user_frame(error)}", hint=failure_hint(error))
    explained.__cause__ = error
    return explained


def _failing_stage(error: BaseException) -> str | None:
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name in _STAGES:
            return frame.name
    return None


def _too_long(pipe: Any, length: int | None) -> InputError | None:
    """Tell whether the input has more tokens than the model has positions; only asked once forward has failed."""
    limit = _token_limit(pipe)
    if limit is None or length is None or length <= limit:
        return None
    mend = "--truncation cuts it to the limit" if _takes(pipe, "truncation") else "Shorten it, or split it"
    return InputError(f"The input is {length:,} tokens long, and the model takes {limit:,}.", hint=f"{mend}.")


def _token_limit(pipe: Any) -> int | None:
    """Return the most tokens that the tokenizer or the model's positions allow, None if neither says."""
    config = pipe.model.config
    text_config = getattr(config, "text_config", None) or config
    candidates = [
        getattr(pipe.tokenizer, "model_max_length", None),
        getattr(text_config, "max_position_embeddings", None),
        getattr(text_config, "n_positions", None),
    ]
    known = [value for value in candidates if isinstance(value, int) and 0 < value < 1_000_000]
    return min(known, default=None)


def _token_count(pipe: Any, inputs: Any, parameters: Mapping[str, Any]) -> int | None:
    try:
        stage_parameters, _, _ = pipe._sanitize_parameters(**parameters)
        model_inputs = pipe.preprocess(inputs, **{**pipe._preprocess_params, **stage_parameters})
        chunks = model_inputs if isinstance(model_inputs, Iterator) else [model_inputs]
        return max(int(chunk["input_ids"].shape[-1]) for chunk in chunks)
    except Exception:  # a second look at a row that has failed: whatever it raises, the first error is the one to show
        return None


def _takes(pipe: Any, parameter: str) -> bool:
    try:
        return any(parameter in stage for stage in pipe._sanitize_parameters(**{parameter: True}))
    except Exception:  # a user's code refuses a parameter as it likes
        return False
