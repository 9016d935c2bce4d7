"""What the shell offers on TAB: tasks, and the flags of the task at hand. Nothing is executed or imported for it."""

from __future__ import annotations

from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.project import find_project
from pipesmith.pipelines.registry import read_all


def complete_tasks(incomplete: str) -> list[tuple[str, str]]:
    """Return the tasks that start with what was typed, with where they come from."""
    try:
        entries = read_all(find_project()).entries
    except PipeError:  # TAB is no place for an error; the command itself will say it
        return []
    found = {entry.task: f"{entry.type} ({entry.origin})" for entry in reversed(entries)}
    return [(task, found[task]) for task in sorted(found) if task.startswith(incomplete)]
