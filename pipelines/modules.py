"""A user's Python file imported under a private name, so that nothing else changes.

The file's package (the folders above it that hold an `__init__.py`, or its folder) is mounted as
`_pipe_user_<hash>`: relative siblings import, transformers' `custom_object_save` finds the right files, and sys.path,
the working directory and modules of the same name stay as they are. `import helper` and `from my_package.helper import
x`, as people write them for scripts, are served to these modules alone, by an `__import__` of their own: siblings, and
what lies in the project's folder or its `src` and is not installed. So is what transformers 4 had and 5 has not
(`compat`).

Not a sandbox: the code runs with all of the user's rights.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.errors import UntrustedCodeError
from pipesmith.pipelines.project import folder_of_module, is_foreign
from pipesmith.pipelines.source import module_file
from pipesmith.pipelines.trust import checked

_PREFIX = "_pipe_user_"
_roots: dict[str, Path] = {}  # private package name -> its folder
_checked: set[str] = set()  # the private packages that somebody else brings: their files pass the check of trust
_own: set[Path] = set()  # folders of projects, whose files must not be another user's
_lock = threading.RLock()


def import_file(file: Path, *, brought_by: Path | None = None) -> ModuleType:
    """Import a Python file, or return the module if plain Python has imported this very file already.

    Args:
        file: the file.
        brought_by: the checkpoint folder whose code it is; None if it is the user's own.

    Raises:
        Whatever the file raises: the caller knows how to speak of it.
    """
    file = _place(file)
    with _lock:
        imported = _already_imported(file) if brought_by is None else None
        if imported is not None:
            return imported
        if brought_by is None:
            root, dotted = _package_of(file)
        else:
            root = brought_by.resolve()
            dotted = ".".join(file.relative_to(root).with_suffix("").parts)
        name = _mount(root, is_checked=brought_by is not None)
        if dotted:
            return importlib.import_module(f"{name}.{dotted}")
        package = sys.modules[name]
        assert isinstance(package, _Package)
        package.run_init()
        return package


def only_own_files(folder: Path) -> None:
    """Refuse, from here on, to run a file below a project's folder that belongs to another user."""
    _own.add(folder.resolve())


def is_user_module(name: str) -> bool:
    """Tell whether a module's name is one that this module gave."""
    return name.startswith(_PREFIX)


def _already_imported(file: Path) -> ModuleType | None:
    for module in list(sys.modules.values()):
        known = getattr(module, "__file__", None)
        if isinstance(known, str) and known.endswith(file.name) and _place(Path(known)) == file:
            return module
    return None


def _place(file: Path) -> Path:
    """Resolve a file's folder, and not the file: in the Hub's cache it is a link to a blob that no name ends in .py."""
    return file.parent.resolve() / file.name


def _package_of(file: Path) -> tuple[Path, str]:
    """Return the folder of the topmost package around a file, and the file's dotted name within it."""
    root = file.parent
    while (root / "__init__.py").is_file() and (root.parent / "__init__.py").is_file():
        root = root.parent
    parts = list(file.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return root, ".".join(parts)


def _mount(root: Path, *, is_checked: bool) -> str:
    """Make a folder importable under its private name, once."""
    name = _PREFIX + hashlib.sha256(f"{root}{' checked' * is_checked}".encode()).hexdigest()[:12]
    if name not in _roots:
        _roots[name] = root
        if is_checked:
            _checked.add(name)
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        sys.modules[name] = _Package(name, root)
    return name


class _Package(ModuleType):
    """The mounted folder. Its own `__init__.py`, which registers all tasks, runs only if a name of it is wanted."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(name, f"The folder {root}.")
        self.__path__ = [str(root)]
        self.__package__ = name
        self.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        self.__spec__.submodule_search_locations = self.__path__

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute not in ("__all__", "__version__"):
            raise AttributeError(attribute)
        root = _roots[self.__name__]
        if module_file(root / attribute) is not None:
            return importlib.import_module(f"{self.__name__}.{attribute}")
        self.run_init()
        if attribute in self.__dict__:
            return self.__dict__[attribute]
        raise AttributeError(f"module {root.name!r} has no attribute {attribute!r}")

    def run_init(self) -> None:
        """Run the folder's `__init__.py`, once; again if it raised."""
        file = _roots[self.__name__] / "__init__.py"
        if "__file__" in self.__dict__ or not file.is_file():
            return
        self.__dict__["__file__"] = str(file)  # before it runs: it may ask for names of its own
        try:
            _loader(self.__name__, file).exec_module(self)
        except BaseException:
            del self.__dict__["__file__"]
            raise


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules below a mounted folder, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        name, _, rest = fullname.partition(".")
        if name not in _roots or not rest:
            return None
        base = _roots[name].joinpath(*rest.split("."))
        file = module_file(base)
        if file is None:
            if base.is_dir():  # a folder without __init__.py
                spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
                spec.submodule_search_locations = [str(base)]
                return spec
            if name in _checked:  # nothing but Python source: another finder would take a library that lies there
                raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
            return None
        locations = [str(base)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, file, loader=_loader(fullname, file), submodule_search_locations=locations
        )


def _loader(fullname: str, file: Path) -> UserLoader:
    kind = CheckedLoader if fullname.partition(".")[0] in _checked else UserLoader
    return kind(fullname, str(file))


class UserLoader(importlib.machinery.SourceFileLoader):
    """Runs a user's module with builtins of its own."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = user_builtins()
        super().exec_module(module)

    def get_code(self, fullname: str) -> CodeType | None:
        file = Path(self.get_filename(fullname))
        if any(file.is_relative_to(folder) for folder in _own) and is_foreign(file):
            raise UntrustedCodeError(
                f"{file} lies in this project and belongs to another user, so it is not run.",
                hint=f"Read it; if it is to run, make it yours: sudo chown $USER {file}",
            )
        return super().get_code(fullname)


class CheckedLoader(UserLoader):
    """Runs a module that a checkpoint or repository brings: the very bytes that were agreed to, no compiled copy."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        content = self.get_data(path)
        checked.check(Path(path), content)
        return self.source_to_code(content, path)


def user_builtins() -> dict[str, Any]:
    """Return the builtins of a user's module: its imports know its siblings, and what transformers 4 had."""
    return {**vars(builtins), "__import__": _import_for_user, "__build_class__": compat.build_class}


def _import_for_user(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """Stand in for `__import__`: the own package by its name, a sibling, what is installed, then the project's."""
    if level == 0 and globals is not None:
        private = _private_name(name, str(globals.get("__name__", "")))
        if private is not None:
            module = importlib.import_module(private)
            if fromlist:
                return builtins.__import__(private, globals, locals, fromlist, 0)
            depth = name.count(".")  # `import a.b` binds a
            return sys.modules[private.rsplit(".", depth)[0]] if depth else module
    return compat.import_module(name, globals, locals, fromlist, level)


def _private_name(name: str, importer: str) -> str | None:
    """Return the private name of an absolute import that means a user's own file; None if it does not."""
    root_name = importer.partition(".")[0]
    root = _roots.get(root_name)
    first, _, rest = name.partition(".")
    if root is None or first in sys.stdlib_module_names:
        return None
    if first == root.name and (root / "__init__.py").is_file():
        return f"{root_name}.{rest}" if rest else root_name
    package = importer.rpartition(".")[0] if not hasattr(sys.modules.get(importer), "__path__") else importer
    folder = root.joinpath(*package.split(".")[1:])
    for place, prefix in ((folder, package), (root, root_name)):
        if module_file(place / first) is not None:
            return f"{prefix}.{name}"
    if root_name in _checked or _is_installed(first):
        return None
    place_in_project = folder_of_module(name, root)
    if place_in_project is None:
        return None
    if not (place_in_project / first).is_dir():
        return f"{_mount(place_in_project, is_checked=False)}.{name}"
    package = _mount(place_in_project / first, is_checked=False)
    return f"{package}.{rest}" if rest else package


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent that fails, a module without a spec
        return False
