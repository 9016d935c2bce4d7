"""What was typed or piped in, as inputs of a pipeline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from pipesmith.cli import output
from pipesmith.pipelines.errors import InputError, ParameterError

if TYPE_CHECKING:
    from pipesmith.pipelines.signature import Signature


def inline_rows(inputs: Sequence[str], signature: Signature | None, *, as_json: bool) -> Iterator[Any]:
    """Return the inputs that stand on the command line.

    They are text, unless --json is given or the first parameter of `preprocess` is annotated as a dict or a list.

    Raises:
        InputError: an input is not JSON where JSON is wanted.
    """
    as_json = as_json or _takes_json(signature)
    for number, text in enumerate(inputs, 1):
        if text == "-":
            raise ParameterError(
                "- stands alone: either stdin is read, or the inputs on the command line.",
                hint="Leave the - or the other inputs out.",
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"Input {number} is not UTF-8: {text!r}.", hint="Convert it first, for example with iconv -t utf-8."
            ) from error
    return iter([_json(text, f"input {number}") if as_json else text for number, text in enumerate(inputs, 1)])


def stdin_rows(ctx: typer.Context, signature: Signature | None, *, asked: bool, as_json: bool) -> Iterator[Any]:
    """Return the lines of stdin as inputs, each as it comes.

    Args:
        ctx: the command, whose help is printed if nobody is going to type anything.
        signature: the task's.
        asked: whether "-" was given.
        as_json: whether each line is JSON.

    Raises:
        typer.Exit: no input at all, and stdin is a terminal (exit code 2).
    """
    if not asked and (sys.stdin is None or sys.stdin.isatty()):
        output.note(ctx.get_help())
        raise typer.Exit(2)
    return _lines(as_json or _takes_json(signature))


def _lines(as_json: bool) -> Iterator[Any]:
    number = 0
    raw = iter(sys.stdin.buffer.readline, b"")  # a line at a time: iterating over stdin itself reads ahead
    for number, line in enumerate(raw, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(
                f"Line {number} of stdin is not UTF-8 (byte {error.start + 1}: 0x{line[error.start]:02x}).",
                hint="Convert it first, for example with iconv -t utf-8.",
            ) from error
        if not as_json:
            yield text
        elif text.strip():  # an empty line is no JSON, and no row
            yield _json(text, f"line {number} of stdin")
    if number == 0:
        raise InputError(
            "stdin is empty: there is no input.", hint="Write the inputs after the task, or pipe lines in."
        )


def _takes_json(signature: Signature | None) -> bool:
    return signature is not None and signature.input is not None and signature.input.takes_json


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not JSON: {error.msg} at column {error.colno}.",
            hint='The task takes a JSON object or list, such as \'{"text": "..."}\'; quote it for the shell.',
        ) from error
