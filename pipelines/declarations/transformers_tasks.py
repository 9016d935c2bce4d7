"""The task table of the installed transformers, 4.57 or 5, read from its source.

transformers is not imported: its pipelines/__init__.py is found through the package's folder and walked up to the end
of the tables.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from pipesmith.pipelines.declarations.interpreter import Interpreter
from pipesmith.pipelines.declarations.results import Declarations, Note
from pipesmith.pipelines.declarations.values import External, Module, Value
from pipesmith.pipelines.entries import DefaultModel, PipelineEntry, Place
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.source import ClassReference, module_file, package_folder, parse

_PACKAGE = "transformers.pipelines"


class _Tables(Interpreter):
    """Takes every optional package for installed: the tables then name all classes, which listing wants."""

    def _call_external(self, dotted: str, *rest: Value) -> Value:
        if re.fullmatch(r"transformers\.(.*\.)?is_\w+_available", dotted):
            return True
        return super()._call_external(dotted, *rest)


def transformers_declarations() -> Declarations:
    """Return an entry for each task of the installed transformers; none if it is not installed."""
    file, names = _tables()
    tasks = names.get("SUPPORTED_TASKS")
    if file is None or not isinstance(tasks, dict):
        notes = (Note(Place(file, 1), "SUPPORTED_TASKS was not found"),) if file is not None else ()
        return Declarations((), notes)
    lines = _lines(file)
    entries = [
        _entry(task, row, Place(file, lines.get(task, 1)))
        for task, row in tasks.items()
        if isinstance(task, str) and isinstance(row, dict)
    ]
    return Declarations(tuple(entries), ())


def transformers_aliases() -> dict[str, str]:
    """Return the other names of tasks of the installed transformers: `ner` for `token-classification`."""
    return _texts("TASK_ALIASES")


def transformers_removed() -> dict[str, str]:
    """Return the tasks that the installed transformers has removed, each with its advice."""
    return _texts("REMOVED_TASKS")


def transformers_class(name: str) -> str | None:
    """Return the dotted name of a pipeline class of the installed transformers; None if it has none of that name."""
    _, names = _tables()
    value = names.get(name)
    if isinstance(value, External) and value.dotted.startswith(f"{_PACKAGE}."):
        return value.dotted
    modules = names.get("_PIPELINE_CLASS_TO_MODULE")
    module = modules.get(name) if isinstance(modules, dict) else None
    return f"{module}.{name}" if isinstance(module, str) else None


@functools.cache
def registry_parameters() -> tuple[str, ...]:
    """Return the parameters of the installed transformers' `register_pipeline`, without `self`."""
    file = _file("base")
    text = file.read_text("utf-8") if file is not None else ""
    match = re.search(r"def register_pipeline\((.*?)\)\s*(?:->[^:]*)?:\s*$", text, re.DOTALL | re.MULTILINE)
    try:
        tree = ast.parse(f"def register_pipeline({match[1] if match else ''}): ...").body[0]
    except SyntaxError:
        tree = None
    names = tuple(argument.arg for argument in tree.args.args[1:]) if isinstance(tree, ast.FunctionDef) else ()
    return names or ("task", "pipeline_class", "pt_model", "default", "type")


def _file(module: str) -> Path | None:
    folder = package_folder("transformers")
    return module_file(folder / "pipelines" / module if module else folder / "pipelines") if folder else None


@functools.cache
def _tables() -> tuple[Path | None, dict[str, Value]]:
    """Return pipelines/__init__.py of transformers and the names that it binds before its first function after them."""
    file = _file("")
    if file is None:
        return None, {}
    try:
        tree = _tree(file)
    except (OSError, PipelineLoadError):
        return file, {}
    tables = _Tables(lambda registration: None, file.parent)
    module = Module(file, _PACKAGE, tree, package=_PACKAGE)
    tables.walk(module)
    return file, module.frame.names


def _tree(file: Path) -> ast.Module:
    """Parse the file up to the function that follows the tables; the rest, twice as long, holds `pipeline()`."""
    text = file.read_text("utf-8")
    start = max(text.find("\nSUPPORTED_TASKS"), text.find("\nREMOVED_TASKS"), 0)
    end = text.find("\ndef ", start)
    try:
        return ast.parse(text[: end + 1] if end > 0 else text, str(file))
    except SyntaxError:
        return parse(file)


@functools.cache
def _lines(file: Path) -> dict[str, int]:
    """Return the line of each key of SUPPORTED_TASKS."""
    for statement in _tree(file).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            target = statement.targets[0]
            if isinstance(target, ast.Name) and target.id == "SUPPORTED_TASKS":
                keys = [key for key in statement.value.keys if isinstance(key, ast.Constant)]
                return {str(key.value): key.lineno for key in keys}
    return {}


def _texts(name: str) -> dict[str, str]:
    table = _tables()[1].get(name)
    pairs = table.items() if isinstance(table, dict) else ()
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def _entry(task: str, row: dict[str, Value], place: Place) -> PipelineEntry:
    impl = row.get("impl")
    dotted = impl.dotted if isinstance(impl, External) else impl if isinstance(impl, str) else ""
    module, _, name = dotted.rpartition(".")
    file = _file(module.removeprefix(f"{_PACKAGE}.")) if module.startswith(f"{_PACKAGE}.") else None
    kind = row.get("type")
    return PipelineEntry(
        task=task,
        pipeline_class=ClassReference(name, file, module or _PACKAGE),
        pt_model=_models(row.get("pt")),
        tf_model=_models(row.get("tf")),
        default=_default(row.get("default")),
        type=kind if isinstance(kind, str) else "multimodal",
        place=place,
        origin="transformers",
    )


def _models(value: Value) -> tuple[str, ...]:
    values = value if isinstance(value, (tuple, list)) else ()
    return tuple(item.dotted.rpartition(".")[2] for item in values if isinstance(item, External))


def _default(value: Value) -> DefaultModel | None:
    """Return the default model, PyTorch's where there is one for each framework."""
    model = value.get("model") if isinstance(value, dict) else None
    if isinstance(model, dict):
        model = model.get("pt") or model.get("tf")
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], str):
        return DefaultModel(model[0], model[1] if isinstance(model[1], str) else None)
    return None
