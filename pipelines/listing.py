"""Tasks as `pipe list` and `pipe info` show them: each once, with what hides it, doubles it or decides it.

Not the lookup: `registry.py` reads the levels and finds the entry that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.entries import DefaultModel, ModelClass, PipelineEntry
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.registry import LEVELS, best_first, read_all, read_level
from pipesmith.pipelines.source import ClassReference

if TYPE_CHECKING:
    from pipesmith.pipelines.declarations import Note


@dataclass(frozen=True)
class TaskListing:
    """A task as `pipe list` and `pipe info` show it.

    Args:
        entry: the entry that runs.
        remark: what is odd about it: hidden by another level, registered twice; "" if nothing.
    """

    entry: PipelineEntry
    remark: str = ""

    @property
    def class_name(self) -> str:
        """The pipeline class's name."""
        found = self.entry.pipeline_class
        return found.name if isinstance(found, ClassReference) else found.__name__

    @property
    def model_names(self) -> str:
        """The names of the model classes."""
        return ", ".join(_model_name(model) for model in self.entry.pt_model)

    def report(self) -> dict[str, Any]:
        """Return the entry as plain JSON values."""
        entry = self.entry
        return {
            "task": entry.task,
            "type": entry.type,
            "class": str(entry.pipeline_class)
            if isinstance(entry.pipeline_class, ClassReference)
            else f"{entry.pipeline_class.__module__}.{entry.pipeline_class.__qualname__}",
            "pt_model": [_model_name(model) for model in entry.pt_model],
            "tf_model": [_model_name(model) for model in entry.tf_model],
            "default": {"model": entry.default.model, "revision": entry.default.revision} if entry.default else None,
            "origin": entry.origin,
            "place": str(entry.place) if entry.place else None,
            "condition": entry.condition,
            "holds": entry.holds,
            "remark": self.remark or None,
        }


def _model_name(model: ModelClass) -> str:
    if isinstance(model, str):
        return model
    return model.name if isinstance(model, ClassReference) else model.__name__


def list_tasks(project: Project | None) -> tuple[list[TaskListing], tuple[Note, ...]]:
    """List every task once, in lookup order, with what hides it or doubles it; nothing is run."""
    declarations = read_all(project)
    by_task: dict[str, list[PipelineEntry]] = {}
    for entry in declarations.entries:
        by_task.setdefault(entry.task, []).append(entry)
    return [_listing(entries, project) for entries in by_task.values()], declarations.notes


def describe(entry: PipelineEntry, project: Project | None) -> TaskListing:
    """Return an entry that `find_entry` found as `list_tasks` shows its task, with the alternatives at its level."""
    if entry.origin not in LEVELS or entry.place is None:
        return TaskListing(entry)
    entries = [other for other in read_level(entry.origin, project).entries if other.task == entry.task]
    return _listing(entries, project) if entries else TaskListing(entry)


def _listing(entries: list[PipelineEntry], project: Project | None) -> TaskListing:
    """Choose among the entries of a task, in lookup order, and say what there is beside the one that runs."""
    nearest = next((entry for entry in entries if entry.holds is not False), entries[0])
    level = best_first(entry for entry in entries if entry.origin == nearest.origin)
    first = level[0]
    certain = [entry for entry in level if entry.holds]
    others = [entry for entry in entries if entry.origin != first.origin]
    if len(certain) > 1:
        remark = f"conflict: registered twice, {' and '.join(str(entry.place) for entry in certain)}"
    else:
        remark = f"{first.origin}, {_alternatives(level)}" if any(entry.condition for entry in level) else ""
        if others and entries.index(first) < entries.index(others[-1]):
            is_certain = first.holds or any(entry.holds for entry in level)
            remark = f"{remark or first.origin}, {'instead of' if is_certain else 'else'} {others[-1].origin}'s"
        elif others and not remark:
            remark = f"{first.origin}, as {others[0].origin}'s is only if {others[0].condition}"
    settings = project.tasks.get(first.task) if project else None
    if settings is not None and settings.model is not None:
        first = replace(first, default=DefaultModel(settings.model, settings.revision))
    return TaskListing(first, remark)


def _alternatives(entries: Sequence[PipelineEntry]) -> str:
    """Say under which conditions which entry is registered: "A if c, B if not c", by what they differ in."""
    listings = [TaskListing(entry) for entry in entries]
    for words in (
        [listing.class_name for listing in listings],
        [listing.model_names or "no model class" for listing in listings],
        [f"default {listing.entry.default}" for listing in listings],
        [listing.entry.type for listing in listings],
        [", ".join(map(_model_name, entry.tf_model)) or "no tf_model" for entry in entries],
    ):
        if len(set(words)) > 1:
            best = dict(zip(reversed(words), reversed(entries)))  # of several alternatives of one word, the first
            texts = [word if (c := best[word].condition) is None else f"{word} if {c}" for word in dict.fromkeys(words)]
            return ", ".join([*texts, *(["and under other conditions"] if len(best) < len(entries) else [])])
    if entries[0].condition is None:
        return "always"
    return f"only if {entries[0].condition}, not here" if entries[0].holds is False else f"if {entries[0].condition}"
