"""The project around a folder: where it starts and what its pyproject.toml says.

Not the entries of its registry: `registry.py` finds those.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import ProjectError
from pipesmith.pipelines.source import module_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS: dict[str, type] = {"pipelines": str, "templates": str, "tasks": dict}
_TASK_KEYS: dict[str, type] = {"model": str, "revision": str, "parameters": dict, "examples": list, "contract": dict}
_KINDS: dict[type, tuple[str, str]] = {
    str: ("text", '"..."'),
    dict: ("a table", "{ ... }"),
    list: ("a list", "[ ... ]"),
}


@dataclass(frozen=True)
class TaskSettings:
    """What `[tool.pipe.tasks.TASK]` sets.

    Args:
        model: to run with.
        revision: of the model.
        parameters: values for parameters.
        examples: inputs that the checks of `pipe test` use.
        contract: checks that are switched off, by name, and why.
    """

    model: str | None = None
    revision: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    examples: list[Any] = field(default_factory=list)
    contract: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """A folder with pipelines of its own.

    Args:
        root: the folder that holds pyproject.toml, or the one above `pipelines/`.
        pipelines: the folder of the pipelines.
        templates: the folder that replaces pipesmith's templates.
        tasks: settings by task.
    """

    root: Path
    pipelines: Path
    templates: Path | None = None
    tasks: dict[str, TaskSettings] = field(default_factory=dict)

    @property
    def registry_file(self) -> Path:
        """The file that registers the project's tasks; it need not exist."""
        return self.pipelines / "__init__.py"


def find_project(start: Path | None = None) -> Project | None:
    """Find the nearest project at or above a folder.

    The search stops at the home folder, at a file-system boundary and at a folder of another user, so that nobody
    else's files decide what a command does; pipesmith's own checkout is no project.

    Args:
        start: where to begin; the working directory if None.

    Raises:
        ProjectError: `[tool.pipe]` does not parse, or holds an unknown key or a value of the wrong type.
    """
    try:
        start = (start or Path.cwd()).resolve()
    except FileNotFoundError as error:
        raise ProjectError(
            "The working directory does not exist any more.", hint="cd to a folder that does."
        ) from error
    found: Project | None = None
    for folder in _folders(start):
        settings, is_pipesmith = _settings(folder / "pyproject.toml")
        if is_pipesmith:
            break
        if settings is not None:
            project = _project(folder, settings)  # from within src/acme: it may say where its registry lies
            return project if found is None or project.pipelines.resolve() == found.pipelines else found
        if found is None and _registers_tasks(folder / "pipelines" / "__init__.py"):
            found = Project(folder, folder / "pipelines")
    return found


def folder_of_module(dotted: str, near: Path) -> Path | None:
    """Find which folder of the project around `near`, its own or its `src`, holds a module or package; None if none."""
    project = find_project(near)
    if project is None:
        return None
    for folder in (project.root, project.root / "src"):
        base = folder.joinpath(*dotted.split("."))
        if module_file(base) is not None or any(base.glob("*.py")):  # a package may do without __init__.py
            return folder
    return None


def _folders(start: Path) -> list[Path]:
    """Return `start` and the folders above it that may hold a project."""
    home = Path.home().resolve()
    folders = [start]
    for parent in start.parents:
        below = folders[-1]
        if below == home or parent == home or os.path.ismount(below) or is_foreign(parent):
            break
        folders.append(parent)
    return folders


def is_foreign(path: Path) -> bool:
    """Tell whether a file or folder belongs to another user (root's count as everybody's own, as the system's do)."""
    if not hasattr(os, "getuid"):
        return False
    try:
        return path.stat().st_uid not in (os.getuid(), 0)
    except OSError:
        return True


def _registers_tasks(registry_file: Path) -> bool:
    if not registry_file.is_file():
        return False
    from pipesmith.pipelines.declarations import registers_tasks

    return registers_tasks(registry_file)


def _settings(file: Path) -> tuple[dict[str, Any] | None, bool]:
    """Return `[tool.pipe]` of a pyproject.toml, None without one, and whether the file is pipesmith's own."""
    if not file.is_file():
        return None, False
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} cannot be read: {error}.") from error
    if "tool" not in text and "pipesmith" not in text:
        return None, False
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if "tool.pipe" not in text:
            return None, False  # someone else's broken file: not ours to complain about
        raise ProjectError(f"{file} does not parse: {error}.", hint="Mend it and run again.") from error
    name = content.get("project", {}).get("name") if isinstance(content.get("project"), dict) else None
    tool = content.get("tool")
    settings = tool.get("pipe") if isinstance(tool, dict) else None
    if settings is not None and not isinstance(settings, dict):
        raise ProjectError(
            f"{file}: [tool.pipe] is a table, not {settings!r}.", hint="Write [tool.pipe] on a line of its own."
        )
    return settings, name == "pipesmith"


def is_pipesmith(folder: Path) -> bool:
    """Tell whether a folder is pipesmith's own checkout, which is no project."""
    return _settings(folder / "pyproject.toml")[1]


def _project(root: Path, settings: dict[str, Any]) -> Project:
    _check(settings, _KEYS, root, "tool.pipe")
    tasks = {}
    for task, values in settings.get("tasks", {}).items():
        if not isinstance(values, dict):
            raise ProjectError(
                f"{root / 'pyproject.toml'}: [tool.pipe.tasks.{task}] is a table, not {values!r}.",
                hint=f"Write [tool.pipe.tasks.{task}] on a line of its own.",
            )
        _check(values, _TASK_KEYS, root, f"tool.pipe.tasks.{task}")
        for check, reason in values.get("contract", {}).items():
            if not (isinstance(reason, str) and reason.strip()):
                raise ProjectError(
                    f"{root / 'pyproject.toml'}: tool.pipe.tasks.{task}.contract.{check} is the reason why the check "
                    f"does not count, not {reason!r}.",
                    hint=f'For example {check} = "results are drawn at random"',
                )
        tasks[task] = TaskSettings(**values)
    templates = settings.get("templates")
    return Project(
        root,
        root / settings.get("pipelines", "pipelines"),
        root / templates if templates else None,
        tasks,
    )


def _check(settings: dict[str, Any], keys: dict[str, type], root: Path, table: str) -> None:
    """Refuse an unknown key or a value of the wrong type, so that a typing error does not pass in silence."""
    for key, value in settings.items():
        if key not in keys:
            from pipesmith.pipelines.names import near_miss

            raise ProjectError(
                f"{root / 'pyproject.toml'}: [{table}] has an unknown key {key!r}.",
                hint=near_miss(key, keys) or f"The keys are {', '.join(keys)}.",
            )
        if not isinstance(value, keys[key]):
            kind, example = _KINDS[keys[key]]
            raise ProjectError(
                f"{root / 'pyproject.toml'}: {table}.{key} is {kind}, not {value!r}.",
                hint=f"For example {key} = {example}",
            )


def user_registry_file() -> Path:
    """Return the user's own registry file, which need not exist: pipelines.py in the configuration folder."""
    import platformdirs

    return Path(platformdirs.user_config_dir("pipesmith")) / "pipelines.py"
