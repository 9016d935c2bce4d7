"""The locks that count in this place: the user's `trust.lock`, and the project's `pipe.lock` once it is accepted.

A cloned project brings its lock along: until its user has accepted that very file, it is only something to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipesmith.pipelines.errors import UntrustedCodeError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import find_project, user_registry_file
from pipesmith.pipelines.trust.code import Code
from pipesmith.pipelines.trust.lock import Entry, Lock, read_lock


class Locks:
    """The two locks of a working directory.

    Args:
        trust_project: whether the project's lock counts without having been accepted, as in a CI job.

    Raises:
        UntrustedCodeError: a lock cannot be read.
    """

    def __init__(self, trust_project: bool = False) -> None:
        project = find_project()
        self.root = project.root if project else None
        self.user = read_lock(user_registry_file().with_name("trust.lock"))
        self.project = read_lock(self.root / "pipe.lock") if self.root else None
        self._trust_project = trust_project or os.environ.get("PIPE_TRUST_PROJECT", "0").lower() in ("1", "true", "yes")

    @property
    def is_accepted(self) -> bool:
        """Whether there is a project whose lock counts; one that is not there yet does."""
        if self.project is None:
            return False
        return (
            not self.project.checksum
            or self._trust_project
            or self.user.projects.get(str(self.root)) == self.project.checksum
        )

    def find(self, name: str) -> Entry | None:
        """Return what was agreed to of a repository or a folder, the project's word first."""
        if self.project is not None and self.is_accepted:
            found = self.project.code.get(self._name_in_project(name))
            if found is not None:
                return found
        return self.user.code.get(name)

    def is_only_proposed(self, name: str) -> bool:
        """Tell whether nobody but a project's lock that was never accepted trusts a repository or folder."""
        return (
            self.project is not None
            and not self.is_accepted
            and self._name_in_project(name) in self.project.code
            and name not in self.user.code
        )

    def accept_project(self) -> None:
        """Let the project's lock, as it is now, count from here on.

        Raises:
            UntrustedCodeError: there is no project, or no lock in it.
        """
        if self.project is None or not self.project.checksum:
            raise UntrustedCodeError(
                f"{self.project.path if self.project else 'A pipe.lock'} is not there: this is no project with a lock.",
                hint="cd to the project. `pipe trust user/repo` begins a lock.",
            )
        self.user.projects[str(self.root)] = self.project.checksum
        self.user.write()

    def record(self, code: Code, *, for_user: bool = False) -> Path:
        """Write down that code was agreed to, in the project's lock, or the user's if that does not count.

        Args:
            code: what was agreed to.
            for_user: whether it is written into the user's lock in any case.

        Returns:
            The lock file.
        """
        entry = Entry(code.commits, code.hashes, code.revision)
        if for_user or self.project is None or not self.is_accepted:
            self.user.code[code.name] = entry
            self.user.write()
            return self.user.path
        self.project.code[self._name_in_project(code.name)] = entry
        self._write_project(self.project)
        return self.project.path

    def revoke(self, name: str) -> list[Path]:
        """Take consent back.

        Returns:
            The lock files that had it.

        Raises:
            UntrustedCodeError: none had.
        """
        changed = []
        in_project = self._name_in_project(name)
        if self.project is not None and self.is_accepted and in_project in self.project.code:
            del self.project.code[in_project]
            self._write_project(self.project)
            changed.append(self.project.path)
        if name in self.user.code:
            del self.user.code[name]
            self.user.write()
            changed.append(self.user.path)
        if not changed:
            known = [known for _, known, _ in self.entries()]
            raise UntrustedCodeError(
                f"{name} is not trusted.", hint=near_miss(name, known) or "`pipe trust --list` shows what is."
            )
        return changed

    def entries(self) -> Iterator[tuple[Lock, str, Entry]]:
        """Yield every entry with its lock and its name there, those of a project's lock that does not count as well."""
        for lock in (self.project, self.user):
            for name, entry in lock.code.items() if lock else ():
                yield lock, name, entry  # type: ignore[misc]  # None yields nothing

    def _write_project(self, project: Lock) -> None:
        project.write()
        self.user.projects[str(self.root)] = project.checksum  # its user wrote it
        self.user.write()

    def _name_in_project(self, name: str) -> str:
        path = Path(name)
        if self.root is None or not path.is_absolute() or not path.is_relative_to(self.root):
            return name
        return f"./{path.relative_to(self.root).as_posix()}"
