"""Tasks that `pipe new-task` made, brought up to date with templates that have changed since.

A three-way merge of each file: its base is the text that was rendered the last time, kept in .pipe/scaffold/<task>/.
Only files that come from templates are looked at; the entry and the author's other files are not.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipesmith.pipelines.errors import ScaffoldError, TaskNotFoundError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.scaffolding.answers import Answers, read_answers
from pipesmith.pipelines.scaffolding.model_classes import check_model_class
from pipesmith.pipelines.scaffolding.plan import SCAFFOLD, Change
from pipesmith.pipelines.scaffolding.rendering import render
from pipesmith.pipelines.staging import read_source, write_files

_MARKER = re.compile(r"^<{7} ", re.MULTILINE)


@dataclass(frozen=True)
class Update:
    """What an update of tasks changes, and what it leaves to a person.

    Args:
        root: the project's folder.
        changes: the files to write: those of the author's first, then the bases of the next merge.
        conflicts: `path:line` of each place where both the author and the template have changed.
        removed: files that the author has taken away; they stay away.
    """

    root: Path
    changes: tuple[Change, ...]
    conflicts: tuple[str, ...]
    removed: tuple[Path, ...]

    @property
    def shown(self) -> tuple[Change, ...]:
        """The changes of the author's files."""
        return tuple(change for change in self.changes if not change.path.is_relative_to(SCAFFOLD))

    def write(self) -> None:
        """Write the files; all are staged before the first is renamed, and killed in between it can be run again.

        Raises:
            ScaffoldError: a place cannot be written.
        """
        write_files({self.root / change.path: change.after for change in self.changes})


def scaffolded_tasks(project: Project) -> list[str]:
    """Return the tasks of a project that `pipe new-task` has made."""
    return sorted(file.parent.name for file in (project.root / SCAFFOLD).glob("*/answers.json"))


def plan_update(project: Project, tasks: Sequence[str] = ()) -> Update:
    """Render tasks anew and merge what their templates have changed into the author's files.

    Args:
        project: the project.
        tasks: which ones; all that `pipe new-task` has made if there are none.

    Raises:
        TaskNotFoundError: `pipe new-task` has made no such task here.
        ScaffoldError: git is not installed, or what a task was made from or a template cannot be read.
    """
    known = scaffolded_tasks(project)
    changes: list[Change] = []
    bases: list[Change] = []
    conflicts: list[str] = []
    removed: list[Path] = []
    for task in dict.fromkeys(tasks or known):
        if task not in known:
            made = f"It has made {', '.join(known)}." if known else "It has made none."
            raise TaskNotFoundError(
                f"`pipe new-task` has made no task {task} in {project.root}.", hint=near_miss(task, known) or made
            )
        folder = SCAFFOLD / task
        for path, text in render(_answers(project.root / folder), project.templates).items():
            mine = read_source(project.root / path)
            base = _lines(read_source(project.root / folder / path))
            if _MARKER.search(mine):  # of an update before this one
                conflicts += _places(path, mine)
                continue
            if base == text:
                continue
            bases.append(Change(folder / path, base, text, is_edit=True))
            if base and not (project.root / path).exists():
                removed.append(Path(path))
                continue
            merged = merge(mine, base, text)
            conflicts += _places(path, merged)
            if merged != mine:
                changes.append(Change(Path(path), mine, merged, is_edit=True))
    return Update(project.root, (*changes, *bases), tuple(conflicts), tuple(removed))


def merge(mine: str, base: str, template: str) -> str:
    """Merge what a template has changed into an author's text, by git, which marks what both have changed.

    Args:
        mine: the author's text; its line ends stay.
        base: the text that both come from.
        template: what the template renders now.

    Raises:
        ScaffoldError: git is not installed, or takes the text for no text.
    """
    texts = {"mine": mine, "base": base, "template": template}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_bytes(_lines(text).encode())
        labels = [part for label in ("yours", "before", "template") for part in ("-L", label)]
        command = ["git", "merge-file", "-p", *labels, *texts]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise ScaffoldError("git is not installed; it does the merge.", hint="Install git.") from error
    if not 0 <= done.returncode < 128:  # up to 127 is the number of conflicts
        raise ScaffoldError(f"git cannot merge: {done.stderr.decode(errors='replace').strip()}.")
    merged = done.stdout.decode()
    return merged.replace("\n", "\r\n") if "\r\n" in mine else merged


def _answers(folder: Path) -> Answers:
    file = folder / "answers.json"
    answers = read_answers(read_source(file), file)
    is_inside = (
        not PurePosixPath(answers.pipelines).is_absolute() and ".." not in PurePosixPath(answers.pipelines).parts
    )
    if answers.task != folder.name or not answers.model_classes or not is_inside:
        raise ScaffoldError(
            f"{file} does not hold the answers of {folder.name}.", hint="Take it back from git: it is committed."
        )
    check_model_class(answers.model_classes[0])
    return answers


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _places(path: str, text: str) -> list[str]:
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1}" for match in _MARKER.finditer(text)]
