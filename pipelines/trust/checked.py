"""The check in the importer: the bytes that are about to run are bytes that somebody agreed to.

Not a gate: `require` fills in what was agreed to, and asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pipesmith.pipelines.errors import UntrustedCodeError

_allowed: dict[str, set[str]] = {}  # SHA-256 -> the paths, within a repository or a folder, of files with that content


def allow(contents: Mapping[str, bytes]) -> None:
    """Let files run in this process.

    Args:
        contents: the bytes of each, by its path, or `user/repo--path` if it lies in another repository.
    """
    for name, content in contents.items():
        _allowed.setdefault(sha256(content), set()).add(name.rpartition("--")[2])


def check(file: Path, content: bytes) -> None:
    """Refuse to run a file that nobody agreed to. One without a character of code may always run.

    Args:
        file: where it lies; its path must end as the agreed one does.
        content: the bytes that will be compiled.

    Raises:
        UntrustedCodeError: these bytes were not agreed to, or not under this name.
    """
    if not content.strip():
        return
    agreed = _allowed.get(sha256(content), ())
    if not any(file.as_posix().endswith(f"/{name}") for name in agreed):
        raise UntrustedCodeError(
            f"{file} would run, and it is not among the code that was agreed to.",
            hint=f"If it is a changed copy, remove it: rm {file}\n"
            "A file that code imports by a computed name cannot be seen beforehand, and never runs.",
        )


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
