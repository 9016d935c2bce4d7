"""The files that make a task: planned, compared with what is there, and written with the entry last.

Nothing is written before `write`. Killed at any moment and planned again, what is missing is written.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from pipesmith.pipelines.entries import DefaultModel, PipelineEntry
from pipesmith.pipelines.entry_file import add_entry
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.registering import registry_file
from pipesmith.pipelines.registry import read_all
from pipesmith.pipelines.scaffolding.answers import Answers
from pipesmith.pipelines.scaffolding.model_classes import tensorflow_class
from pipesmith.pipelines.scaffolding.names import check_task_name
from pipesmith.pipelines.scaffolding.project_file import with_project
from pipesmith.pipelines.scaffolding.rendering import render
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.staging import read_source, write_files

SCAFFOLD = Path(".pipe", "scaffold")


@dataclass(frozen=True)
class Change:
    """A file to write.

    Args:
        path: relative to the project.
        before: its text, "" if there is none.
        after: the text that it gets.
        is_edit: whether the text that is there stays, with something added; else it would be overwritten.
    """

    path: Path
    before: str
    after: str
    is_edit: bool = False

    @property
    def overwrites(self) -> bool:
        """Whether somebody has to agree to it."""
        return bool(self.before) and not self.is_edit

    def diff(self) -> str:
        """Return the change as a unified diff."""
        old, new = (text.splitlines(keepends=True) for text in (self.before, self.after))
        name = self.path.as_posix()
        lines = difflib.unified_diff(old, new, f"a/{name}" if self.before else "/dev/null", f"b/{name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@dataclass(frozen=True)
class Plan:
    """What makes a task.

    Args:
        root: the project's folder.
        answers: what the task is made from.
        is_new_project: whether the folder becomes a project by it.
        changes: the files to write, in that order: the entry is the last.
    """

    root: Path
    answers: Answers
    is_new_project: bool
    changes: tuple[Change, ...]

    def write(self) -> None:
        """Write the files; all are staged before the first is renamed.

        Raises:
            ScaffoldError: a place cannot be written.
        """
        files = {self.root / one.path: one.after for one in self.changes}
        for file in files:
            for draft in file.parent.glob(f".{file.name}.*.part"):  # of a process that was killed
                draft.unlink(missing_ok=True)
        write_files(files)


def make_plan(answers: Answers) -> Plan:
    """Plan a task in the project around the working directory, or in a new one there.

    Args:
        answers: what the task is made from; its name has passed `check_name`.

    Raises:
        PipeError: a template fails, or the registry cannot be edited.
    """
    file, project = registry_file()
    root = project.root if project else Path.cwd()
    answers = replace(answers, pipelines=Path(os.path.relpath(file.parent, root)).as_posix())
    texts = render(answers, project.templates if project else None)
    folder = SCAFFOLD / answers.task
    wanted = {Path(path): text for path, text in texts.items()}
    base = {folder / "answers.json": answers.to_json(), **{folder / path: text for path, text in wanted.items()}}
    changes = [
        *_project_changes(root, project, answers.pipelines),
        *(_change(root, path, text) for path, text in wanted.items() if not _is_of_another_task(root, path, answers)),
        *(_change(root, path, text, is_edit=True) for path, text in base.items()),
    ]
    source = read_source(file)
    text = add_entry(source.removeprefix("\ufeff"), _entry(answers, root), file)
    path = Path(os.path.relpath(file, root))
    changes.append(Change(path, source, "\ufeff" * source.startswith("\ufeff") + text, is_edit=True))
    changes = [change for change in changes if change.before != change.after]
    return Plan(root, answers, project is None, tuple(changes))


def check_name(task: str, project: Project | None) -> None:
    """Refuse a name that a new task of a project cannot have; a task that `new-task` has made there keeps its own.

    Raises:
        ScaffoldError: with the nearest name that can be had.
    """
    if project is not None and (project.root / SCAFFOLD / task / "answers.json").is_file():
        known = [entry.task for entry in read_all(project).entries if entry.task != task]
    else:
        known = [entry.task for entry in read_all(project).entries]
    check_task_name(task, known)


def _is_of_another_task(root: Path, path: Path, answers: Answers) -> bool:
    """Tell whether a copied file is there already, made with another task; what its author did to it since stays."""
    copied = answers.parent.copied if answers.parent else ()
    made = (root / SCAFFOLD).glob(f"*/{path.as_posix()}")
    others = [file for file in made if not file.is_relative_to(root / SCAFFOLD / answers.task)]
    return path.stem in copied and (root / path).exists() and bool(others)


def _change(root: Path, path: Path, text: str, *, is_edit: bool = False) -> Change:
    return Change(path, read_source(root / path), text, is_edit)


def _project_changes(root: Path, project: Project | None, pipelines: str) -> list[Change]:
    """Make the folder a project, unless it is one, and let its tests import pipelines that stand under src/."""
    file = root / "pyproject.toml"
    before = read_source(file)
    is_under_source = pipelines.startswith("src/")
    is_set_up = any(
        (root / name).is_file() for name in ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "setup.py")
    )
    if project is not None and before and (is_set_up or not is_under_source):
        return []
    text = with_project(before, file, "src" if is_under_source else ".")
    return [Change(Path("pyproject.toml"), before, text, is_edit=True)]


def _entry(answers: Answers, root: Path) -> PipelineEntry:
    tf_class = tensorflow_class(answers.model_classes[0], answers.type) if answers.framework == "both" else None
    return PipelineEntry(
        answers.task,
        ClassReference(answers.class_name, root / answers.pipelines / f"{answers.module}.py"),
        pt_model=answers.model_classes,
        tf_model=(tf_class,) if tf_class else (),
        default=DefaultModel(answers.default, answers.revision) if answers.default else None,
        type=answers.type,
    )
