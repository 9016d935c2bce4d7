"""One Python file as the rules see it: parsed, walked once, with its names resolved; nothing is imported.

In a file without any word that a rule could be about, imports alone are looked at.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pipesmith.pipelines.doctor.edits import Span
from pipesmith.pipelines.doctor.finding import LOOKED_FOR, words_of_rules
from pipesmith.pipelines.doctor.walk import GUARD_WORDS, Nodes, Scope, Use, lines_with, uses
from pipesmith.pipelines.source import absolute_module, module_file, relative_module

# Texts without any of which no rule can be about a file. To ask for one after the other is quicker than a pattern.
_RELEVANT = (
    b"transformers",
    b"huggingface_hub",
    b"ipeline",
    b"tokenizer",
    b"framework",
    b".config",
    b"PreTrained",
    b"from_pretrained",
)
LIBRARIES = ("transformers", "huggingface_hub")
_NOT_READ = frozenset((*LIBRARIES, "torch"))  # their classes are known by name
_FROM_VERSION = re.compile(rb"^[ \t]*(\w+)[ \t]*=[^=\n][^\n]*\b(?:__version__|[vV]ersion)\b", re.MULTILINE)
_MODEL_CONFIG = re.compile(rb"\b(\w+)[ \t]*=[ \t]*(?:self\.)?model\.config[ \t]*(?:$|[#\r;])", re.MULTILINE)
_SHORT = 6_000  # bytes; in a shorter file, to find the statements that matter takes longer than to look at all
_WORDS_ALONE = bytes(byte if byte > 127 or chr(byte).isalnum() or chr(byte) == "_" else 32 for byte in range(256))
# Imports of the user's own files: statements, and the dotted names of modules.
OwnImports = list[tuple[ast.Import | ast.ImportFrom, str]]


class Imported(NamedTuple):
    """What a name is bound to: `from {'.' * level}{module} import {name}`, or `import {module}` with name None."""

    module: str
    level: int
    name: str | None

    @property
    def dotted(self) -> str:
        """The dotted name of an absolute import."""
        return f"{self.module}.{self.name}" if self.name else self.module


T = TypeVar("T")


class lazy(Generic[T]):
    """A `functools.cached_property` without the lock that it takes before Python 3.12."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = instance.__dict__[self.make.__name__] = self.make(instance)
        return value


def has_any(data: bytes, texts: Iterable[bytes]) -> bool:
    """Tell whether one of some texts stands in a file."""
    for text in texts:  # noqa: SIM110  # quick: asked for each file
        if text in data:
            return True
    return False


class SourceFile:
    """A parsed file.

    Args:
        place: its path, as findings show it.
        where: its absolute path; imports are looked up from there.
        data: its bytes.
        tree: what `ast.parse` made of them.
        always: whether it is walked though no rule can be about it: another file asks for its classes.
        published: whether a file that defines a pipeline imports it.
    """

    def __init__(
        self, place: str, where: str, data: bytes, tree: ast.Module, *, always: bool = False, published: bool = False
    ) -> None:
        self.place = place
        self.where = where
        self.published = published
        self.data = data
        self.tree = tree
        self.relevant = always or published or has_any(data, _RELEVANT)
        self.words: frozenset[bytes] = frozenset()
        if self.relevant:
            self.words = words_of_rules().intersection(data.translate(_WORDS_ALONE).split())
            self._walk(None if len(data) < _SHORT else self._asked())
        else:
            self._walk({b"import"})
        self._ancestors: dict[ast.ClassDef, list[str | tuple[SourceFile, ast.ClassDef]]] = {}
        self._inherited: dict[tuple[ast.ClassDef, str], bool] = {}
        self._uses: dict[str, list[Use]] = {}

    def _asked(self) -> set[bytes]:
        """Return the texts of which one stands in every statement that a rule could be about."""
        asked = {b"import", b"class ", *(LOOKED_FOR.get(word, word) for word in self.words)}
        asked.update(library.encode() for library in LIBRARIES if f"import {library}".encode() in self.data)
        if not self.words.isdisjoint(LOOKED_FOR):
            asked.update(f"{name}.".encode() for name in self.model_configs)
        return asked

    def _walk(self, asked: set[bytes] | None) -> None:
        """Visit the statements with one of some texts; all of them if there are none."""
        lines = None if asked is None else lines_with(self.data, asked)
        nodes = Nodes(self.tree, lines, self._guards())
        self.imports = nodes.imports
        self.classes = nodes.classes
        self.attributes = nodes.attributes
        self.calls = nodes.calls
        self.keywords = nodes.keywords
        self.subscripts = nodes.subscripts
        self.names: dict[str, Imported] = {}
        for node, _ in self.imports:
            self._bind(node)
        if asked is None or not self.relevant:
            return
        modules = {name.encode() for name, one in self.names.items() if one.name is None and _is_library(one.module)}
        if not modules.issubset(asked):
            self._walk(modules.union(asked))

    def _guards(self) -> frozenset[str] | None:
        """Return the names of what the file works out from a version: `OLD = transformers.__version__ < "5"`.

        None if nothing in the file could be a guard but a `try`.
        """
        if b"version" in self.data:
            return frozenset(name.decode() for name in _FROM_VERSION.findall(self.data))
        if self.relevant:
            return None if GUARD_WORDS.isdisjoint(self.words) else frozenset()
        return frozenset() if has_any(self.data, GUARD_WORDS) else None

    @lazy
    def model_configs(self) -> set[str]:
        """The names that stand for a model's config: `config = self.model.config`."""
        return {name.decode() for name in _MODEL_CONFIG.findall(self.data)}

    def constant(self, node: ast.expr) -> ast.expr:
        """Return what an expression is: of a name that the file sets once, at its top level, the value."""
        if isinstance(node, ast.Name):
            values = [
                one.value
                for one in self.tree.body
                if isinstance(one, ast.Assign) and any(_last_name(target) == node.id for target in one.targets)
            ]
            return values[0] if len(values) == 1 else node
        return node

    @lazy
    def path(self) -> Path:
        """Where it lies, absolute."""
        return Path(self.where)

    @lazy
    def own_package(self) -> str:
        """The name of the topmost package around the file, "" if there is none: importing that is no library."""
        return _package_around(self.where.rpartition(os.sep)[0])

    def _bind(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                self.names[alias.asname or alias.name] = Imported(node.module or "", node.level, alias.name)
            elif alias.asname:
                self.names[alias.asname] = Imported(alias.name, 0, None)
            else:
                top = alias.name.partition(".")[0]
                self.names[top] = Imported(top, 0, None)

    # ---- What names mean --------------------------------------------------------------------------------------------

    def dotted(self, node: ast.AST) -> str:
        """Return the dotted name that an expression has by the file's absolute imports, "" if it has none."""
        rest = []
        while isinstance(node, ast.Attribute):
            rest.append(node.attr)
            node = node.value
        imported = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if imported is None or imported.level or imported.module.partition(".")[0] == self.own_package:
            return ""
        return ".".join([imported.dotted, *reversed(rest)]) if rest else imported.dotted

    @lazy
    def library_imports(self) -> list[tuple[ast.ImportFrom, ast.alias, Scope]]:
        """The names imported from transformers and huggingface_hub, unless their author expects that they may lack."""
        found = []
        for node, scope in self.imports:
            if isinstance(node, ast.ImportFrom) and not node.level and not scope.guarded:
                library = (node.module or "").partition(".")[0]
                if library in LIBRARIES and library != self.own_package:
                    found += [(node, alias, scope) for alias in node.names]
        return found

    @lazy
    def library_modules(self) -> list[ast.alias]:
        """The modules of transformers and huggingface_hub that `import some.module` names, unless it is guarded."""
        return [
            alias
            for node, scope in self.imports
            if isinstance(node, ast.Import) and not scope.guarded
            for alias in node.names
            if alias.name.startswith(("transformers.", "huggingface_hub."))
            and alias.name.partition(".")[0] != self.own_package
        ]

    @lazy
    def own_imports(self) -> OwnImports:
        """The imports of the user's own files, unless guarded."""
        found: OwnImports = []
        for node, scope in self.imports:
            if scope.guarded:
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            is_relative = isinstance(node, ast.ImportFrom) and node.level > 0
            found += [(node, name) for name in names if is_relative or sibling(self.where, name) is not None]
        return found

    def count(self, name: str) -> int:
        """Return how often a name stands in the file's text, comments included."""
        return len(re.findall(rb"\b%s\b" % name.encode(), self.data))

    @lazy
    def library_attributes(self) -> list[tuple[ast.Attribute, str, str]]:
        """The names of the libraries as written out in expressions, `transformers.some.Name`: node, module and name."""
        found = []
        tops = any(one.name is None and _is_library(one.module) for one in self.names.values())
        for node, scope in [each for several in self.attributes.values() for each in several] if tops else ():
            dotted = "" if scope.guarded else self.dotted(node)
            if dotted.startswith(("transformers.", "huggingface_hub.")):
                module, _, name = dotted.rpartition(".")
                found.append((node, module, name))
        return found

    def uses(self, name: str) -> list[Use]:
        """Return where a name is used: as such, or in strings that may name something."""
        if name not in self._uses:
            self._uses[name] = list(uses(self.tree, name, lines_with(self.data, [name.encode()])))
        return self._uses[name]

    @lazy
    def pipelines(self) -> list[ast.ClassDef]:
        """The classes of the file that are pipelines."""
        return [cls for cls in self.classes.values() if cls.bases and self.is_pipeline(cls)]

    def imports_transformers(self) -> bool:
        """Tell whether the file imports transformers."""
        return self.own_package != "transformers" and any(
            not one.level and one.module.partition(".")[0] == "transformers" for one in self.names.values()
        )

    def is_about_transformers(self, scope: Scope) -> bool:
        """Tell whether code is written against transformers: its file imports it, or it stands in a pipeline class."""
        return self.imports_transformers() or self.is_pipeline(scope.cls)

    def ancestors(self, cls: ast.ClassDef) -> list[str | tuple[SourceFile, ast.ClassDef]]:
        """Return a class and its bases: the user's own with their files, others by their dotted names."""
        if cls not in self._ancestors:
            self._ancestors[cls] = list(self._find_ancestors(cls))
        return self._ancestors[cls]

    def _find_ancestors(self, cls: ast.ClassDef) -> Iterator[str | tuple[SourceFile, ast.ClassDef]]:
        waiting: list[tuple[SourceFile, ast.ClassDef]] = [(self, cls)]
        seen: set[int] = set()
        while waiting:
            file, current = waiting.pop()
            if id(current) in seen:
                continue
            seen.add(id(current))
            yield file, current
            for base in current.bases:
                if isinstance(base, ast.Subscript):
                    base = base.value
                resolved = file.find_class(base)
                if isinstance(resolved, str):
                    yield resolved
                elif resolved is not None:
                    waiting.append(resolved)

    def find_class(self, node: ast.expr) -> str | tuple[SourceFile, ast.ClassDef] | None:
        """Find the class that an expression names: in this file, in one that it imports, or by its dotted name."""
        if isinstance(node, ast.Name) and node.id in self.classes and node.id not in self.names:
            return self, self.classes[node.id]
        dotted = self.dotted(node)
        if dotted.partition(".")[0] in _NOT_READ:
            return dotted
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        imported = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if imported is None:
            return None
        module, name = self._module_and_name(imported, parts)
        if module is None or name is None:
            return dotted or None
        other = read_for_classes(module)
        if other is None or (name not in other.classes and name not in other.names):
            return None
        return other.find_class(ast.Name(name, ast.Load()))

    def _module_and_name(self, imported: Imported, rest: list[str]) -> tuple[Path | None, str | None]:
        def locate(dotted: str) -> Path | None:
            if imported.level:
                return relative_module(self.path, imported.level, dotted)
            if dotted.partition(".")[0] in sys.stdlib_module_names:
                return None
            if sibling(self.where, dotted) is None:
                return None
            file, installed = absolute_module(dotted, self.path)
            return None if installed else file

        if not rest:
            return locate(imported.module), imported.name
        dotted = ".".join(filter(None, [imported.module, imported.name, *rest[:-1]]))
        return locate(dotted), rest[-1]

    def is_pipeline(self, cls: ast.ClassDef | None) -> bool:
        """Tell whether a class inherits from one of transformers' pipeline classes."""
        return cls is not None and self._inherits(cls, "Pipeline")

    def is_model(self, cls: ast.ClassDef | None) -> bool:
        """Tell whether a class inherits from one of transformers' PreTrainedModel classes."""
        return cls is not None and self._inherits(cls, "PreTrainedModel")

    def _inherits(self, cls: ast.ClassDef, ending: str) -> bool:
        known = self._inherited.get((cls, ending))
        if known is None:
            known = False
            for one in self.ancestors(cls):
                if one.__class__ is str and one.startswith("transformers.") and one.endswith(ending):
                    known = True
            self._inherited[cls, ending] = known
        return known

    def own_classes(self, cls: ast.ClassDef) -> list[tuple[SourceFile, ast.ClassDef]]:
        """Return a class and those of its bases that stand in the user's own files."""
        return [one for one in self.ancestors(cls) if not isinstance(one, str)]

    def defines(self, cls: ast.ClassDef, name: str) -> bool:
        """Tell whether a class, or a user's class that it inherits from, sets an attribute of that name itself."""
        return any(_defines_in_body(one, name) or file._sets(one, name) for file, one in self.own_classes(cls))

    def _sets(self, cls: ast.ClassDef, name: str) -> bool:
        """Tell whether a method of a class sets `self.name`."""
        return any(
            scope.cls is cls and isinstance(node.ctx, ast.Store) and _last_name(node.value) == "self"
            for node, scope in self.attributes.get(name, ())
        )

    def release(self) -> None:
        """Forget what refers back to this file, so that its tree goes when the file does."""
        self._ancestors.clear()

    # ---- Places -----------------------------------------------------------------------------------------------------

    @lazy
    def lines(self) -> list[str]:
        """The file's lines as text."""
        return decoded(self.data).split("\n")

    @lazy
    def is_ascii(self) -> bool:
        """Whether bytes are characters."""
        return self.data.isascii()

    def column(self, line: int, offset: int) -> int:
        """Return a column in characters for one that `ast` counts in UTF-8 bytes."""
        if self.is_ascii or not 0 < line <= len(self.lines):
            return offset
        return len(self.lines[line - 1].encode()[:offset].decode(errors="replace"))

    def span(self, node: ast.AST) -> Span:
        """Return where a node stands."""
        first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        start, end = node.col_offset, node.end_col_offset  # type: ignore[attr-defined]
        if self.is_ascii:
            return first, start, last, end
        return first, self.column(first, start), last, self.column(last, end)


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


def decoded(data: bytes) -> str:
    """Return a Python file's text, by its coding line; what cannot be decoded is replaced."""
    import io
    import tokenize

    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        encoding = "utf-8"
    return data.decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


@functools.lru_cache(maxsize=1024)
def _package_around(place: str) -> str:
    name = ""
    while place and "__init__.py" in _names_in(place):
        place, _, name = place.rpartition(os.sep)
    return name


def _defines_in_body(cls: ast.ClassDef, name: str) -> bool:
    """Tell whether the body of a class defines a name: a method, a property, an attribute."""
    for statement in cls.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if statement.name == name:
                return True
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return True
    return False


_bases: dict[str, SourceFile | None] = {}  # files that others import classes from, of one scan
_MAX_BASES = 64


def read_for_classes(path: Path) -> SourceFile | None:
    """Read a file that another one imports a class from; None if it cannot be read."""
    where = str(path)
    if where not in _bases:
        if len(_bases) >= _MAX_BASES:
            del _bases[next(iter(_bases))]
        try:
            data = path.read_bytes()
            _bases[where] = SourceFile(where, where, data, ast.parse(data), always=True)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            _bases[where] = None
    return _bases[where]


def read_already(where: str) -> SourceFile | None:
    """Return a file that was read for its classes."""
    return _bases.get(where) if _bases else None


def forget() -> None:
    """Forget files that were read for their classes: they may change."""
    _bases.clear()
    for cached in (_package_around, _sibling, _names_in):
        cached.cache_clear()


def sibling(place: str, dotted: str) -> Path | None:
    """Return the user's own file that an absolute import in another file means: beside it, or in its package.

    Args:
        place: the other file's absolute path.
        dotted: what it imports.
    """
    first = dotted.partition(".")[0]
    found = None if first in sys.stdlib_module_names else _sibling(place.rpartition(os.sep)[0], first)
    return found if found is not None and found != Path(place) else None


@functools.lru_cache(maxsize=4096)
def _sibling(place: str, first: str) -> Path | None:
    there = _names_in(place)
    if first in there or f"{first}.py" in there:
        beside = module_file(Path(place) / first)
        if beside is not None:
            return beside
    while place and "__init__.py" in there:
        above, _, name = place.rpartition(os.sep)
        if name == first:
            return Path(place) / "__init__.py"
        place = above
        there = _names_in(place)
    return None


@functools.lru_cache(maxsize=1024)
def _names_in(place: str) -> frozenset[str]:
    """Return what lies in a folder."""
    try:
        return frozenset(os.listdir(place or os.sep))  # noqa: PTH208  # a quick look, for each folder
    except OSError:
        return frozenset()
