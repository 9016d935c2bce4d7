"""The lock file: what was agreed to, as text that people can read, compare and keep under version control.

    version = 1

    [code."user/repo"]
    revision = "main"

    [code."user/repo".commits]
    "user/repo" = "<40 digits>"

    [code."user/repo".files]
    "modeling.py" = "<SHA-256>"
    "other/repo--configuration.py" = "<SHA-256>"

    [projects]                              # in the user's own alone: projects whose pipe.lock counts
    "/home/me/project" = "<SHA-256 of its pipe.lock>"

A folder stands under its path, in a project's lock relative to the project (`./model`). Which locks count is for
locks.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import UntrustedCodeError
from pipesmith.pipelines.project import is_foreign
from pipesmith.pipelines.trust.checked import sha256

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_VERSION = 1
_HEAD = """\
# Code that `pipe` may run here because somebody read it; a file with another SHA-256 is refused.
# Written by `pipe trust`; `pipe trust --list` shows it, `pipe trust --revoke NAME` takes consent back.
"""


@dataclass(frozen=True)
class Entry:
    """What was agreed to of one repository or folder.

    Args:
        commits: 40 digits by repository; empty for a folder whose code is all its own.
        files: the SHA-256 of each file, by the names of `Code.contents`.
        revision: the branch, tag or commit that `commits` come from; None for a folder.
    """

    commits: Mapping[str, str]
    files: Mapping[str, str]
    revision: str | None = None


@dataclass
class Lock:
    """A lock file and its content."""

    path: Path
    code: dict[str, Entry] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    checksum: str = ""  # of the file as it was read; "" if there is none

    def write(self) -> None:
        """Replace the file, whole or not at all.

        Raises:
            UntrustedCodeError: it cannot be written.
        """
        text = self.text()
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.path)
        except (OSError, UnicodeEncodeError) as error:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise UntrustedCodeError(
                f"{self.path} cannot be written: {error}.", hint="Nothing was recorded."
            ) from error
        self.checksum = sha256(text.encode())

    def text(self) -> str:
        """Return the file's text: sorted, a line a file, so that a change of one file is a change of one line."""
        blocks = [f"{_HEAD}version = {_VERSION}\n"]
        for name, entry in sorted(self.code.items()):
            key = f"code.{_quoted(name)}"
            if entry.revision is not None:
                blocks.append(f"[{key}]\nrevision = {_quoted(entry.revision)}\n")
            blocks.append(_table(f"{key}.commits", entry.commits))
            blocks.append(_table(f"{key}.files", entry.files))
        if self.projects:
            blocks.append(_table("projects", self.projects))
        return "\n".join(filter(None, blocks))


def read_lock(path: Path) -> Lock:
    """Read a lock file; one that is not there is empty.

    Raises:
        UntrustedCodeError: it is another user's, was edited into something else, or is of a newer pipesmith.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Lock(path)
    except OSError as error:
        raise UntrustedCodeError(f"{path} cannot be read: {error.strerror}.") from error
    if is_foreign(path):
        raise UntrustedCodeError(
            f"{path} belongs to another user: what they trust does not count for you.", hint=f"Look at it: cat {path}"
        )
    try:
        found = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _spoiled(path, f"does not parse: {error}") from error
    version = found.pop("version", None)
    if isinstance(version, int) and version > _VERSION:
        raise UntrustedCodeError(
            f"{path} was written by a newer pipesmith: its version is {version}, and this one knows {_VERSION}.",
            hint="Upgrade: pip install --upgrade pipesmith",
        )
    if version != _VERSION:
        raise _spoiled(path, f"has the version {version!r}")
    code, projects = _take(path, found, "code", dict), _take(path, found, "projects", dict)
    _nothing_else(path, found)
    return Lock(
        path,
        {name: _entry(path, name, values) for name, values in code.items()},
        _checked(path, projects, "projects", _SHA256),
        sha256(content),
    )


_SHA256, _COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def _entry(path: Path, name: str, values: Any) -> Entry:
    if not isinstance(values, dict):
        raise _spoiled(path, f"has {values!r} under code.{name}")
    commits = _checked(path, _take(path, values, "commits", dict), f"code.{name}.commits", _COMMIT)
    files = _checked(path, _take(path, values, "files", dict), f"code.{name}.files", _SHA256)
    revision = _take(path, values, "revision", lambda: None)
    _nothing_else(path, values)
    return Entry(commits, files, revision)


def _take(path: Path, values: dict[str, Any], key: str, default: Callable[[], Any]) -> Any:
    value = values.pop(key, default())
    if not isinstance(value, str if default is not dict else dict) and value is not None:
        raise _spoiled(path, f"has {value!r} under {key}")
    return value


def _checked(path: Path, values: dict[str, Any], place: str, form: re.Pattern[str]) -> dict[str, str]:
    for name, value in values.items():
        if not isinstance(value, str) or not form.fullmatch(value):
            raise _spoiled(path, f"has {value!r} for {name} under {place}")
    return values


def _nothing_else(path: Path, values: dict[str, Any]) -> None:
    if values:
        raise _spoiled(path, f"has an unknown key {next(iter(values))!r}")


def _spoiled(path: Path, what: str) -> UntrustedCodeError:
    return UntrustedCodeError(
        f"{path} {what}: it is not as `pipe trust` wrote it.",
        hint="Restore it, or remove it and read the code again: pipe trust NAME",
    )


def _table(key: str, values: Mapping[str, str]) -> str:
    lines = [f"{_quoted(name)} = {_quoted(value)}" for name, value in sorted(values.items())]
    return "\n".join([f"[{key}]", *lines, ""]) if lines else ""


def _quoted(text: str) -> str:
    """Write a text as TOML does: as JSON, but for one character that TOML does not want as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
