"""Tasks registered with pipesmith, known to transformers' own `pipeline(...)` too.

A registry names classes as text so that nothing heavy is imported. So a task is handed over when transformers'
pipelines are there, or as soon as they are imported, and its class is loaded when transformers asks for it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.modules import is_user_module

_MODULE = "transformers.pipelines"
_waiting: dict[str, PipelineEntry] = {}


def hand_over(entry: PipelineEntry) -> None:
    """Let `transformers.pipeline(task)` know a task, now or when transformers' pipelines are imported."""
    _waiting[entry.task] = entry
    if getattr(sys.modules.get(_MODULE), "PIPELINE_REGISTRY", None) is not None:
        _hand_over_all()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _hand_over_all() -> None:
    registry = sys.modules[_MODULE].PIPELINE_REGISTRY
    while _waiting:
        task, entry = _waiting.popitem()
        registry.supported_tasks[task] = _Task(entry)


class _Task(dict[str, Any]):
    """A task as transformers keeps it, whose classes are loaded when they are asked for."""

    def __init__(self, entry: PipelineEntry) -> None:
        super().__init__(type=entry.type)
        self._entry = entry

    def __missing__(self, key: str) -> Any:
        if key == "impl":
            self[key] = _pipeline_class(self._entry)
        elif key == "pt":
            self[key] = _model_classes(self._entry)
        elif key == "tf":
            self[key] = _tf_model_classes(self._entry)
        elif key == "default":
            self[key] = {"model": _default(self._entry)}
        else:
            raise KeyError(key)
        return self[key]


def _pipeline_class(entry: PipelineEntry) -> Any:
    from pipesmith.pipelines.source import ClassReference
    from pipesmith.pipelines.user_code import load_class

    reference = entry.pipeline_class
    if isinstance(reference, ClassReference) and reference.file is not None and entry.place is not None:
        _import_plainly(reference.file, entry.place.file)
    found: Any = load_class(reference) if isinstance(reference, ClassReference) else reference
    registered = vars(found).get("_registered_impl", {})
    found._registered_impl = {**registered, entry.task: _saved(found, entry)}
    return found


def _saved(pipeline_class: type[Any], entry: PipelineEntry) -> dict[str, Any]:
    """Return what transformers' own `save_pretrained` writes of a task; it knows no model classes of the user's own."""
    import transformers

    known = {"pt": _model_classes(entry), "tf": _tf_model_classes(entry)}
    names = {
        key: tuple(one for one in classes if getattr(transformers, one.__name__, None) is one)
        for key, classes in known.items()
    }
    return {"impl": pipeline_class, **names, "type": entry.type}


def _import_plainly(file: Path, registry_file: Path) -> None:
    """Import a file as a module of the package that registered it: `from pipelines.x import X` is then this very class.

    If that fails, `load_class` tries what pipesmith does for user files, and says what is wrong.
    """
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == str(registry_file) and hasattr(module, "__path__"):
            if registry_file.parent in file.parents and not is_user_module(name):
                with suppress(Exception):
                    parts = file.relative_to(registry_file.parent).with_suffix("").parts
                    importlib.import_module(".".join([name, *parts]))
            return


def _model_classes(entry: PipelineEntry) -> tuple[Any, ...]:
    from pipesmith.pipelines.loading import load_model_class

    return tuple(load_model_class(model, entry) for model in entry.pt_model)


def _tf_model_classes(entry: PipelineEntry) -> tuple[Any, ...]:
    """Return the TensorFlow classes that this transformers has: 4 asks for them even if PyTorch is to run."""
    import transformers

    names = (name for name in entry.tf_model if not isinstance(name, str) or hasattr(transformers, name))
    return _model_classes(replace(entry, pt_model=tuple(names)))


def _default(entry: PipelineEntry) -> Any:
    from pipesmith.pipelines.compat import needed
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.targets import beside

    project = find_project(entry.place.file.parent) if entry.place and entry.place.file.exists() else None
    found = beside(entry.default, entry, project)
    if found is None:
        raise PipelineLoadError(
            f"{entry.task} has no default model ({entry.place}).", hint=f'Name one: pipeline("{entry.task}", model=...)'
        )
    model = (found.model, found.revision)
    return model if needed() else {"pt": model, "tf": model}


class _Finder(importlib.abc.MetaPathFinder):
    """Waits for transformers' pipelines to be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _hand_over_all()
