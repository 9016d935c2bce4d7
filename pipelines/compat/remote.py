"""Code that a checkpoint or a repository brings, run as transformers does, with what 4 had, if somebody agreed to it.

transformers copies such files into a cache and runs them from there under names of its own. While something is loaded,
the one function with which it runs them is replaced by one that imports them: through a finder for these packages
alone, with the check of `trust` and the builtins of a user's module.

Not the gate: nothing here asks for consent; callers go through `trust.require` first.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from pipesmith.pipelines.compat.classes import adapt_class
from pipesmith.pipelines.modules import CheckedLoader, import_file
from pipesmith.pipelines.source import module_file

_packages: set[str] = set()  # those of transformers' cache whose modules were loaded here
_MODULES_THAT_RUN_CODE = ("transformers.dynamic_module_utils", "transformers.generation.utils")


def load_remote_class(module: str, name: str, folder: Path) -> type[Any]:
    """Load a class of the code that a checkpoint folder brings, as transformers does.

    Args:
        module: the name of its file, without .py.
        name: the class's name.
        folder: the checkpoint folder.

    Raises:
        Whatever the code raises, or the loading: the caller knows how to speak of it.
    """
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    try:
        with only_checked_code():
            found = get_class_from_dynamic_module(f"{module}.{name}", str(folder))
    except (ImportError, FileNotFoundError):
        # transformers' loader copies the files that `from .x import` names and no others: sub-packages,
        # `from . import x` and `import x` are read from the folder itself, as those of a user's own file are.
        found = getattr(import_file(folder / f"{module}.py", brought_by=folder), name)
    assert isinstance(found, type)
    return adapt_class(found)


@contextmanager
def only_checked_code() -> Iterator[None]:
    """Let transformers run files of checkpoints and repositories only if they pass the check of trust."""
    modules = [importlib.import_module(name) for name in _MODULES_THAT_RUN_CODE]
    before = [vars(module)["get_class_in_module"] for module in modules]
    for module in modules:
        vars(module)["get_class_in_module"] = _checked_class
    try:
        yield
    finally:
        for module, function in zip(modules, before):
            vars(module)["get_class_in_module"] = function


def _checked_class(class_name: str, module_path: str | Path, *, force_reload: bool = False) -> Any:
    """Stand in for transformers' `get_class_in_module`.

    Args:
        class_name: the class, or function, that is wanted.
        module_path: its file below transformers' cache of modules.
        force_reload: whether it is run again in any case.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    name = ".".join(Path(module_path).with_suffix("").parts)
    package = name.rpartition(".")[0]
    _packages.add(package)
    if force_reload or _has_changed(package):
        for held in [held for held in sys.modules if held.startswith(f"{package}.")]:
            del sys.modules[held]
    return getattr(importlib.import_module(name), class_name)


def _has_changed(package: str) -> bool:
    """Tell whether a file of a package is another one than was run: transformers 4 names them by their folder alone."""
    for name, module in list(sys.modules.items()):
        loader = getattr(module, "__loader__", None)
        if name.rpartition(".")[0] == package and isinstance(loader, _RemoteLoader):
            file = Path(loader.path)
            if not file.is_file() or file.read_bytes() != loader.content:
                return True
    return False


class _RemoteLoader(CheckedLoader):
    """Remembers what it ran."""

    content: bytes | None = None

    def get_data(self, path: str) -> bytes:
        self.content = super().get_data(path)
        return self.content


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages of transformers' cache that were loaded from here, the modules in them, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        is_within = any(fullname.startswith(f"{package}.") for package in _packages)
        if not is_within and not any(f"{package}.".startswith(f"{fullname}.") for package in _packages):
            return None
        from transformers.utils import HF_MODULES_CACHE

        base = Path(HF_MODULES_CACHE).joinpath(*fullname.split("."))
        file = module_file(base)
        if file is None:  # nothing but Python source: another finder would take a library that lies there
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_RemoteLoader(fullname, str(file)),
            submodule_search_locations=[str(base)] if file.name == "__init__.py" else None,
        )
