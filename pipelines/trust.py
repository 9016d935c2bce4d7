"""The one gate before code of a checkpoint or a repository runs.

A file that the user names as the task is the user's own and does not come through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipesmith.pipelines.errors import UntrustedCodeError


def require(origin: str, files: Mapping[Path, str], *, trusted: bool) -> None:
    """Let code run only if its user agreed to it.

    Args:
        origin: what brings the code: a checkpoint folder, or a repository at a commit.
        files: the files that would run, and where each stands in its repository.
        trusted: whether the user gave --trust-remote-code.

    Raises:
        UntrustedCodeError: nobody agreed; the files are listed with their sizes in bytes.
    """
    if trusted or not files:
        return
    width = max(map(len, files.values()))
    lines = [f"  {shown:<{width}}  {_size(file)}" for file, shown in files.items()]
    raise UntrustedCodeError(
        f"{origin} brings code that would run on this machine:\n" + "\n".join(lines),
        hint="Read these files; if you trust them, run again with --trust-remote-code.",
    )


def _size(file: Path) -> str:
    return f"{file.stat().st_size:,} bytes" if file.is_file() else "missing"
