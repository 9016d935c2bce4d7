"""Questions on a terminal: asked until the answer will do; Enter takes the default."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from pipesmith.cli import output
from pipesmith.pipelines.errors import HubError, ParameterError, PipeError
from pipesmith.pipelines.hub import HubAccess, is_repo_id, resolve_commit


def can_ask() -> bool:
    """Tell whether somebody sits at a terminal."""
    return output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)


def ask(question: str, default: str | None = None, check: Callable[[str], object] | None = None) -> str:
    """Ask until the answer passes a check, which raises PipeError if it does not."""
    while True:
        answer = str(typer.prompt(question, default=default, err=True)).strip()
        try:
            if check is not None:
                check(answer)
        except PipeError as error:
            output.print_error(error)
        else:
            return answer


def with_revision(default: str | None, access: HubAccess) -> str | None:
    """Return a default model with the commit that the Hub has now; if it does not tell, a person is asked.

    Args:
        default: user/model, user/model@revision, a folder, or None.
        access: how the Hub is asked.
    """
    if default is None or not is_repo_id(default) or Path(default).is_dir():
        return default
    try:
        return f"{default}@{resolve_commit(default, None, access)}"
    except HubError as error:
        output.note(f"{default} names no revision, and the Hub did not tell: {error.message}")
    return f"{default}@{ask(f'Revision of {default} (a commit or a tag)', check=_check_revision)}"


def _check_revision(text: str) -> None:
    if not text or any(letter.isspace() or letter in "@:~^?*[\\" for letter in text):
        raise ParameterError(f"{text!r} is no revision.", hint="For example v1.0, or the 40 digits of a commit.")
