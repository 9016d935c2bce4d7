"""What `pipe doctor` is asked to look at: a path, a repository of the Hub, or the project and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.doctor.environment import check_environment
from pipesmith.pipelines.doctor.scan import Report, scan
from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.hub import HubAccess, fetch_small_files, is_repo_id
from pipesmith.pipelines.project import find_project

_ENDINGS = (".py", ".ipynb", "config.json", "requirements.txt")


@dataclass(frozen=True)
class Place:
    """Something to examine.

    Args:
        path: a file or a folder; None for no files.
        follow: whether links are read: in the Hub's cache every file is one.
        environment: whether the environment is examined too.
    """

    path: Path | None
    follow: bool = False
    environment: bool = False

    def examine(self) -> Report:
        """Find what is wrong; nothing is imported and nothing is changed."""
        report = scan(self.path, follow=self.follow) if self.path is not None else Report()
        if self.environment:
            report.findings += check_environment(self.path or Path.cwd())
        return report


def find_place(name: str | None, revision: str | None, access: HubAccess, *, to_change: bool = False) -> Place:
    """Find what a name means: nothing is run of it.

    Args:
        name: a path, or user/repo, perhaps with @revision; None for the project and the environment.
        revision: of a repository.
        access: how the Hub is reached.
        to_change: whether its files are to be mended.

    Raises:
        InputError: there is no such file, it is no Python, or it is a repository and cannot be changed.
        HubError: the repository cannot be fetched.
    """
    if name is None:
        project = find_project()
        return Place(project.root if project is not None else None, environment=True)
    path = Path(name)
    if path.exists():
        if path.is_file() and path.suffix not in (".py", ".ipynb"):
            raise InputError(f"{name} is neither Python nor a notebook.", hint="Name a .py, an .ipynb, or a folder.")
        return Place(path)
    repo_id, _, of_name = name.partition("@")
    if not is_repo_id(repo_id) or name.endswith((".py", ".ipynb")):
        raise InputError(f"There is no file {name}.", hint="Name a file, a folder, or a repository: user/repo")
    if to_change:
        raise InputError(
            f"{name} lies on the Hub, and is not changed there.",
            hint=f"hf download {repo_id} --local-dir FOLDER, then pipe doctor FOLDER --fix",
        )
    snapshot = fetch_small_files(repo_id, revision or of_name or None, access, endings=_ENDINGS)
    return Place(snapshot.folder, follow=True)
