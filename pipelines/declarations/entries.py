"""Registrations turned into entries, and what transformers itself would say to them.

The values come from `interpreter.py`; what they mean as arguments of `register_pipeline` is decided here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath

from pipesmith.pipelines.declarations import environment
from pipesmith.pipelines.declarations.classes import Resolved, class_in_file, class_of_package, class_of_text
from pipesmith.pipelines.declarations.interpreter import Registration
from pipesmith.pipelines.declarations.results import Note
from pipesmith.pipelines.declarations.transformers_tasks import registry_parameters
from pipesmith.pipelines.declarations.values import (
    RANKS,
    Choice,
    ClassValue,
    Conditions,
    External,
    MissingName,
    Unknown,
    Value,
    conditions_text,
    conjunction,
    contradicts,
    expand,
    holds_here,
    is_plain,
    source_text,
)
from pipesmith.pipelines.entries import DefaultModel, Origin, PipelineEntry
from pipesmith.pipelines.source import ClassReference

PARAMETERS = ("task", "pipeline_class", "pt_model", "tf_model", "default", "type")
_WORDS = {"pipeline_class": "class", "default": "default model"}


class Collector:
    """Collects the entries and notes of one registry.

    Args:
        origin: the level of the lookup order.
        root: the folder of the registry's main file.
        import_root: the folder from which the registry's own package is imported, if it is known.
    """

    def __init__(self, origin: Origin, root: Path, import_root: Path | None) -> None:
        self.origin = origin
        self.root = root
        self.import_root = import_root
        self.entries: list[PipelineEntry] = []
        self.notes: list[Note] = []
        self._by_task: dict[str, list[tuple[Registration, Conditions]]] = {}

    def add(self, registration: Registration) -> None:
        """Turn a registration into an entry for each alternative among its arguments, or into a note."""
        given, problems = _bound(registration)
        for problem in problems:
            self._note(registration, problem, unread=False)
        values = expand(tuple(given.get(name) for name in PARAMETERS), registration.node)
        if isinstance(values, Unknown):
            self._note(registration, "has too many alternatives to be listed")
            return
        alternatives = values.alternatives if isinstance(values, Choice) else (((), values),)
        for conditions, row in alternatives:
            if not contradicts(registration.conditions, conditions):
                self._add(registration, conjunction(registration.conditions, conditions), dict(zip(PARAMETERS, row)))

    def _add(self, registration: Registration, conditions: Conditions, given: dict[str, Value]) -> None:
        task = given["task"]
        if not isinstance(task, str):
            self._note_task(registration, task)
            return
        if given["pipeline_class"] is None:
            self._note(registration, f"task {task}: no pipeline_class is given; not listed", task)
            return
        reader = _Fields(self, registration, task, is_warned=holds_here(conditions) is not False)
        self._add_entry(self._entry(reader, registration, conditions, given))
        if registration.kind == "transformers":
            for message in _refusals(given):
                note = Note(registration.place, f"task {task}: {message}", task, unread=False, about="transformers")
                self.notes.append(note)
            self._note_twice(registration, conditions, task)

    def _add_entry(self, entry: PipelineEntry) -> None:
        """Add an entry, in the place of the same one under a worse condition: of a file that was read again."""
        for index, other in enumerate(self.entries):
            is_better = RANKS[entry.holds] < RANKS[other.holds]
            if is_better and replace(other, condition=entry.condition, holds=entry.holds) == entry:
                self.entries[index] = entry
                return
        self.entries.append(entry)

    def _entry(
        self, reader: _Fields, registration: Registration, conditions: Conditions, given: dict[str, Value]
    ) -> PipelineEntry:
        entry = PipelineEntry(
            task=reader.task,
            pipeline_class=reader.pipeline_class(given["pipeline_class"]),
            pt_model=reader.models("pt_model", given["pt_model"]),
            tf_model=reader.models("tf_model", given["tf_model"]),
            default=reader.default(given["default"]),
            type=reader.type(given["type"]),
            place=registration.place,
            origin=self.origin,
            condition=conditions_text(conditions),
            holds=holds_here(conditions),
        )
        reader.note_unread()
        return replace(entry, unread=tuple(reader.unread))

    def _note_task(self, registration: Registration, task: Value) -> None:
        if registration.loop is not None:
            place, over = registration.loop
            self.notes.append(Note(place, f"registers tasks in a loop over {over}, not listed"))
        elif task is None:
            self._note(registration, "registers a task without a name; not listed")
        else:
            self._note(registration, f"a task whose name is decided at run time ({shown(task, registration.node)})")

    def _note_twice(self, registration: Registration, conditions: Conditions, task: str) -> None:
        for other, other_conditions in self._by_task.setdefault(task, []):
            if not contradicts(conditions, other_conditions):
                message = f"task {task} is registered twice (also at {other.place}); the last one counts"
                self._note(registration, message, task, unread=False)
                break
        self._by_task[task].append((registration, conditions))

    def _note(self, registration: Registration, message: str, task: str | None = None, *, unread: bool = True) -> None:
        self.notes.append(Note(registration.place, message, task, unread))

    def note_field(self, registration: Registration, message: str, task: str, *, unread: bool) -> None:
        """Note something about a field of a task."""
        self._note(registration, f"task {task}: {message}", task, unread=unread)


class _Fields:
    """Reads the arguments of one registration, noting what it cannot read.

    Args:
        is_warned: whether to warn of what is not there; what belongs to another machine need not be.
    """

    def __init__(self, collector: Collector, registration: Registration, task: str, *, is_warned: bool) -> None:
        self.collector = collector
        self.registration = registration
        self.task = task
        self.is_warned = is_warned
        self.unread: dict[str, str] = {}  # field -> the expression that decides it

    def note_unread(self) -> None:
        """Note the fields that only running the registry would tell, one note for each expression."""
        for expression in dict.fromkeys(self.unread.values()):
            fields = [_WORDS.get(field, field) for field, text in self.unread.items() if text == expression]
            message = f"{', '.join(fields)} decided at run time ({expression})"
            self.collector.note_field(self.registration, message, self.task, unread=True)

    def _unread(self, field: str, value: Value) -> None:
        self.unread[field] = shown(value, self.registration.node)

    def _warn(self, message: str) -> None:
        if self.is_warned:
            self.collector.note_field(self.registration, message, self.task, unread=False)

    def _resolved(self, resolved: Resolved, argument: str, text: str) -> ClassReference:
        if resolved.problem is not None:
            self._warn(f"{argument}={text!r}: {resolved.problem}")
        return self._named(resolved.reference)

    def _named(self, reference: ClassReference) -> ClassReference:
        """Name a class of an installed plug-in by its module, too."""
        root = self.collector.import_root
        file = reference.file
        if self.collector.origin != "package" or root is None or file is None or root not in file.parents:
            return reference
        path = file.parent if file.name == "__init__.py" else file.with_suffix("")
        return replace(reference, module=".".join(path.relative_to(root).parts))

    def _class(self, value: Value, argument: str) -> ClassReference | None:
        """Return the class that a value names; None if only running the registry would tell."""
        if isinstance(value, str):
            found = class_of_text(value, self.registration.module.file, self.collector.root, self.collector.import_root)
            if found is None:
                self._warn(f"{argument}={value!r} names no module; write 'module.Class' or '/path/to/file.py:Class'")
                found = Resolved(ClassReference(value))
            return self._resolved(found, argument, value)
        if isinstance(value, ClassValue):
            return self._named(ClassReference(value.name, value.file))
        if isinstance(value, MissingName):
            if value.file.is_file():
                return self._resolved(class_in_file(value.file, value.name), argument, value.name)
            self._warn(f"{argument}={value.name}: {value.file} does not exist")
            return self._named(ClassReference(value.name, value.file))
        if isinstance(value, External) and "." in value.dotted and not value.dotted.startswith("builtins."):
            module, _, name = value.dotted.rpartition(".")
            return self._resolved(class_of_package(module, name), argument, value.dotted)
        return None

    def pipeline_class(self, value: Value) -> ClassReference:
        reference = self._class(value, "pipeline_class")
        if reference is None:
            self._unread("pipeline_class", value)
            return ClassReference(shown(value, self.registration.node))
        return reference

    def models(self, field: str, value: Value) -> tuple[str | ClassReference, ...]:
        """Return model classes: names for those of transformers, references for the user's own."""
        if value is None:
            return ()
        models: list[str | ClassReference] = []
        for item in value if isinstance(value, (tuple, list)) else (value,):
            dotted = item.dotted if isinstance(item, External) else item if isinstance(item, str) else ""
            if dotted.startswith("transformers.") or (isinstance(item, str) and item.isidentifier()):
                models.append(dotted.rpartition(".")[2])
                continue
            reference = self._class(item, field)
            if reference is None:
                self._unread(field, item)
                return ()
            models.append(reference)
        return tuple(models)

    def default(self, value: Value) -> DefaultModel | None:
        """Return the default model in any of the forms that transformers 4 or 5 or pipesmith takes."""
        if value is None:
            return None
        model = _default_model(value)
        if model is None and is_plain(value):
            self._warn(f"default={value!r} names no model; write (repo_id, revision) or a folder")
        elif model is None:
            self._unread("default", value)
        return model

    def type(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if value is not None:
            self._unread("type", value)
        return "multimodal"


def shown(value: Value, node: ast.AST) -> str:
    """Return the source of a value that could not be read, or of the call around it."""
    if isinstance(value, Unknown):
        return value.expression
    if isinstance(value, External):
        return value.dotted.removeprefix("builtins.")
    if isinstance(value, (list, tuple, dict)):
        inside = next(
            (item for item in (value.values() if isinstance(value, dict) else value) if not is_plain(item)), None
        )
        return shown(inside, node) if inside is not None else repr(value)
    return repr(value) if is_plain(value) else source_text(node)


def _bound(registration: Registration) -> tuple[dict[str, Value], list[str]]:
    """Bind the arguments to the registry's parameters; also return what is wrong with them."""
    arguments = registration.arguments
    names: tuple[str, ...] = PARAMETERS
    if registration.kind == "transformers" and len(arguments.positional) > 3:  # where the two lines differ
        names = registry_parameters()
    given: dict[str, Value] = dict(zip(names, arguments.positional))
    problems: list[str] = []
    if len(arguments.positional) > len(names):
        problems.append(f"register_pipeline takes {len(names)} arguments, not {len(arguments.positional)}")
    for name, value in arguments.keywords.items():
        if name not in PARAMETERS:
            problems.append(f"register_pipeline has no argument {name}")
        given[name] = value
    if arguments.rest is not None:
        given = {name: given.get(name, arguments.rest) for name in PARAMETERS}
    return given, problems


def _default_model(value: Value) -> DefaultModel | None:
    if isinstance(value, dict):
        inner = next((value[key] for key in ("model", "pt", "tf") if value.get(key) is not None), None)
        return _default_model(inner) if inner is not None else None
    if isinstance(value, PurePath):
        return DefaultModel(str(value))
    if isinstance(value, str):
        return DefaultModel(value) if value else None
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 2 and isinstance(value[0], (str, PurePath)):
        revision = value[1] if len(value) == 2 else None
        return DefaultModel(str(value[0]), revision) if revision is None or isinstance(revision, str) else None
    return None


def _refusals(given: dict[str, Value]) -> list[str]:
    """Return what the installed transformers would refuse about a registration on its own registry; pipe takes it."""
    version = environment.installed_version("transformers")
    if version is None:
        return []
    refused = [
        f"{argument} is given as text, which plain transformers {version} refuses and pipe takes"
        for argument in ("pipeline_class", "pt_model", "tf_model")
        if _holds_text(given[argument])
    ]
    on_five = environment.transformers_major() >= 5
    if on_five and not isinstance(given["tf_model"], (Unknown, type(None))):
        refused.append(f"plain transformers {version} refuses tf_model=; pipe leaves it out")
    takes_default: Callable[[Value], bool] = _is_default_of_5 if on_five else _is_default_of_4
    if given["default"] is not None and _default_model(given["default"]) and not takes_default(given["default"]):
        wanted = "(repo_id, revision)" if on_five else '{"pt": (repo_id, revision)}'
        refused.append(f"plain transformers {version} wants default={wanted}; pipe takes this form too")
    return refused


def _holds_text(value: Value) -> bool:
    return isinstance(value, str) or (isinstance(value, (tuple, list)) and any(isinstance(v, str) for v in value))


def _is_pair(value: Value) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _is_default_of_5(value: Value) -> bool:
    return _is_pair(value.get("model") if isinstance(value, dict) else value)


def _is_default_of_4(value: Value) -> bool:
    models = value.get("model", value) if isinstance(value, dict) else None
    return isinstance(models, dict) and any(_is_pair(models.get(framework)) for framework in ("pt", "tf"))
