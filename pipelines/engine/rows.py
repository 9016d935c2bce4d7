"""A row on its way into the engine, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.errors import InputError, PipeError
from pipesmith.pipelines.plain import to_plain

_PLAIN = "Return text, numbers, lists and dicts from postprocess."


@dataclass(slots=True)
class Row:
    """One input.

    Args:
        inputs: what the pipeline's `preprocess` takes first.
        parameters: the parameters of this row's call.
        number: which row it is, from 1.
        error: why the row cannot be run: it takes its place in the order, and its result is this error.
        origin: what the caller wants back with the result.
    """

    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1
    error: PipeError | None = None
    origin: Any = field(default=None, compare=False)


@dataclass(slots=True)
class RowResult:
    """What became of a row: its result, or the error in its place."""

    row: Row
    result: Any = None
    error: PipeError | None = None

    def plain(self, attach: Callable[[Any, str], Any] | None = None) -> Any:
        """Return the result as plain JSON values.

        Args:
            attach: puts an image or a sound into a file and returns what to write in its place; see `to_plain`.

        Raises:
            InputError: the result cannot be written down: it contains itself, or fails when it is iterated.
        """
        try:
            return to_plain(self.result, attach)
        except PipeError:  # of `attach`
            raise
        except RecursionError as error:
            raise InputError(
                "The result contains itself, or is nested too deeply to be written.", hint=_PLAIN
            ) from error
        except Exception as error:  # a generator among the results is the user's code, run only now
            from pipesmith.pipelines.user_code import describe, user_frame  # not for `pipe --help` to wait for

            raise InputError(
                f"The result fails when it is read: {describe(error)}.{user_frame(error)}", hint=_PLAIN
            ) from error
