"""A task's name: what may be one, and the nearest that may."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable

from pipesmith.pipelines.errors import ScaffoldError
from pipesmith.pipelines.names import in_kebab_case

_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LIBRARIES = {"transformers", "torch", "numpy", "pipesmith", "pipelines", "tests", "tensorflow", "pytest"}
_LONGEST = 80  # characters: a file's name has at most 255 bytes, and the tests' is the longest


def check_task_name(task: str, known: Iterable[str]) -> None:
    """Refuse a name that a new task cannot have.

    Args:
        task: the name.
        known: the names that are taken.

    Raises:
        ScaffoldError: it is not in kebab-case, is a word of Python or a library, or is taken; names the nearest
            that would do.
    """
    taken = {_folded(name): name for name in known}
    reason = _reason(task, taken)
    if reason:
        raise ScaffoldError(f"{task!r} cannot be the name of a new task: {reason}.", hint=_hint(task, taken))


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def _reason(task: str, taken: dict[str, str]) -> str:
    if _folded(task) in taken:
        other = taken[_folded(task)]
        return "there is one of this name" if other == task else f"it differs from {other} only in case or by - and _"
    if not _KEBAB.fullmatch(task):
        return "a name is small letters and digits joined by -"
    if len(task) > _LONGEST:
        return f"it has more than {_LONGEST} characters"
    module = task.replace("-", "_")
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        return "it is a word of Python"
    if module in sys.stdlib_module_names:
        return f"{module}.py would have the name of a module of Python's library"
    return f"{module}.py would have the name of a library" if module in _LIBRARIES else ""


def _hint(task: str, taken: dict[str, str]) -> str:
    near = in_kebab_case(task)[:_LONGEST].strip("-")
    near = re.sub(r"^(?=[0-9])", "task-", near) or "my-task"
    while _reason(near, taken):
        near = f"my-{near}"
        if len(near) > _LONGEST:
            near = "my-task"
            break
    return f"pipe new-task {near}"
