"""Code that a checkpoint or a repository brings, loaded as transformers does, with what 4 had.

transformers copies such files into a cache and runs them under names of its own. Its loader runs a module that
`sys.modules` already holds under that name in place, so the modules are put there beforehand, unrun, with the
builtins of a user's module; those that they import relatively are found by a finder for these packages alone.

Not the gate: nothing here asks for consent; callers go through `trust.require` first.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pipesmith.pipelines.compat.classes import adapt_class
from pipesmith.pipelines.compat.table import needed
from pipesmith.pipelines.modules import UserLoader, import_file, user_builtins

_packages: set[str] = set()  # those of transformers' cache whose modules are loaded here


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

    prepare_remote_code({"": [module]}, folder)
    try:
        found = get_class_from_dynamic_module(f"{module}.{name}", str(folder))
    except (ImportError, FileNotFoundError):
        # transformers' loader copies the files that `from .x import` names and no others: sub-packages,
        # `from . import x` and `import x` are read from the folder itself, as those of a user's own file are.
        found = getattr(import_file(folder / f"{module}.py"), name)
    assert isinstance(found, type)
    return adapt_class(found)


def prepare_remote_code(
    modules: Mapping[str, Iterable[str]],
    folder: Path,
    *,
    code_revision: str | None = None,
    token: str | bool | None = None,
) -> None:
    """Let code that transformers is going to load itself (the classes of an `auto_map`) see what 4 had.

    Nothing of it runs here. On transformers 4 this does nothing. Code that cannot be found is left to transformers,
    which says what is missing.

    Args:
        modules: names of files without .py, by the repository that holds them; "" is the checkpoint folder itself.
        folder: the checkpoint folder.
        code_revision: the commit of the other repository, as transformers will be given it.
        token: the one that transformers will be given.
    """
    if not needed():
        return
    from transformers.dynamic_module_utils import get_cached_module_file

    for repo_id, names in modules.items():
        arguments = {"revision": code_revision, "token": token} if repo_id else {}
        for name in names:
            if "/" in name:  # custom_generate/generate is loaded in a way of its own
                continue
            try:
                _put(get_cached_module_file(repo_id or str(folder), f"{name}.py", **arguments))
            except (OSError, ImportError, ValueError, SyntaxError):
                continue


def _put(path: str) -> None:
    """Put an unrun module into sys.modules, under the name that transformers derives from its path in the cache."""
    from transformers.utils import HF_MODULES_CACHE

    name = ".".join(Path(path).with_suffix("").parts)
    if name in sys.modules:
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _packages.add(name.rpartition(".")[0])
    spec = importlib.util.spec_from_file_location(name, Path(HF_MODULES_CACHE) / path)
    assert spec is not None
    module = _Unrun(name)
    module.__dict__.update(__spec__=spec, __loader__=spec.loader, __package__=spec.parent, __file__=spec.origin)
    module.__dict__["__builtins__"] = user_builtins()
    sys.modules[name] = module


class _Unrun(ModuleType):
    """A module that transformers will run in place, or that runs when a module beside it imports a name of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # transformers looks for a mark of its own before it runs it
            raise AttributeError(name)
        if all(held.startswith("__") for held in self.__dict__):
            assert self.__spec__ is not None and self.__spec__.origin is not None
            UserLoader(self.__name__, self.__spec__.origin).exec_module(self)
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules beside one that was put into sys.modules, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.rpartition(".")[0] not in _packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = UserLoader(fullname, spec.origin)
        return spec
