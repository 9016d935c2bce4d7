"""One Python file as the rules see it: parsed, walked once, with its names resolved; nothing is imported.

The walk collects what rules ask for (imports, classes, calls, attributes) by name, so that a rule looks at few nodes.
A file without any word that a rule could be about is parsed and not walked.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pipesmith.pipelines.doctor.edits import Span
from pipesmith.pipelines.source import absolute_module, module_file, relative_module

Function = ast.FunctionDef | ast.AsyncFunctionDef
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
_WORDS_ALONE = bytes(byte if byte > 127 or chr(byte).isalnum() or chr(byte) == "_" else 32 for byte in range(256))
_NAMES = re.compile(r"[\w.\[\], |]+")  # a string that may name something: in `__all__`, in an annotation
_GUARDS = {
    "is_tf_available",
    "is_flax_available",
    "TYPE_CHECKING",
    "hasattr",
    "__version__",
    "version",
    "Version",
    "getattr",
}
_GUARD_WORDS = tuple(guard.encode() for guard in _GUARDS)
_ABSENT = {"ImportError", "ModuleNotFoundError", "AttributeError", "TypeError"}


class Scope(NamedTuple):
    """Where a node stands.

    Args:
        cls: the class around it.
        function: the innermost function around it.
        guarded: whether its author expects that it may not work: under `except ImportError`, `if is_tf_available()`,
            `if hasattr(...)`, or a comparison of versions.
    """

    cls: ast.ClassDef | None = None
    function: Function | None = None
    guarded: bool = False


class Imported(NamedTuple):
    """What a name is bound to: `from {'.' * level}{module} import {name}`, or `import {module}` with name None."""

    module: str
    level: int
    name: str | None

    @property
    def dotted(self) -> str:
        """The dotted name of an absolute import."""
        return f"{self.module}.{self.name}" if self.name else self.module


class Use(NamedTuple):
    """A place where a name is used.

    Args:
        node: the name, or the string that names it.
        real: whether more is done with it than `isinstance` and annotations: it is called, inherited from, exported.
        apart: whether that is in a function, or under a guard: not when the file is imported.
    """

    node: ast.AST
    real: bool
    apart: bool


# Fields whose value is called, looked into or inherited from.
_ACTING: dict[type[ast.AST], tuple[str, ...]] = {
    ast.Attribute: ("value",), ast.Call: ("func",), ast.ClassDef: ("bases", "decorator_list"),
}  # fmt: skip
_ANNOTATIONS = ("annotation", "returns")


def _child_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a kind of node that may hold nodes which a rule looks at."""
    fields = kind.__dict__.get("_fields", ())
    return tuple(field for field in fields if field not in _WITHOUT_NODES.get(kind, _LEAVES))


# Fields that hold names, numbers, operators and contexts.
_LEAVES = {"ctx", "op", "ops", "id", "attr", "arg", "kind", "n", "s", "asname", "module", "level", "type_comment"}
_LEAVES |= {"simple", "conversion", "type_ignores", "tag", "lineno", "name", "rest", "is_async"}
_WITHOUT_NODES: dict[type, set[str]] = {
    ast.Import: {"names"}, ast.ImportFrom: {"names", "module", "level"}, ast.Global: {"names"},
    ast.Nonlocal: {"names"}, ast.Constant: {"value", "kind"}, ast.Name: {"id", "ctx"}, ast.arg: {"arg", "type_comment"},
    ast.MatchSingleton: {"value"}, ast.MatchClass: {"kwd_attrs"}, ast.MatchMapping: {"rest"},
}  # fmt: skip
_CHILDREN: dict[type, tuple[str, ...]] = {
    kind: _child_fields(kind) for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_CHILDREN[type(None)] = ()  # {**a} has None for a key


T = TypeVar("T")


class lazy(Generic[T]):
    """A `functools.cached_property` without the lock that it takes before Python 3.12."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self.make = make

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = instance.__dict__[self.make.__name__] = self.make(instance)
        return value


def has_any(data: bytes, texts: Sequence[bytes]) -> bool:
    """Tell whether one of some texts stands in a file."""
    for text in texts:  # noqa: SIM110  # quick: asked for each file
        if text in data:
            return True
    return False


class SourceFile:
    """A parsed file.

    Args:
        place: the path where it lies; imports are looked up from there.
        data: its bytes.
        tree: what `ast.parse` made of them.
        always: whether it is walked though no rule can be about it: another file asks for its classes.
        published: whether a file that defines a pipeline imports it.
    """

    def __init__(
        self, place: str, data: bytes, tree: ast.Module, *, always: bool = False, published: bool = False
    ) -> None:
        self.place = place
        self.published = published
        self.data = data
        self.tree = tree
        self.names: dict[str, Imported] = {}
        self.imports: list[tuple[ast.Import | ast.ImportFrom, Scope]] = []
        self.classes: dict[str, ast.ClassDef] = {}
        self.attributes: defaultdict[str, list[tuple[ast.Attribute, Scope]]] = defaultdict(list)
        self.calls: defaultdict[str, list[tuple[ast.Call, Scope]]] = defaultdict(list)
        self.keywords: defaultdict[str, list[tuple[ast.Call, ast.keyword, Scope]]] = defaultdict(list)
        self.subscripts: list[tuple[ast.Subscript, Scope]] = []
        self._ancestors: dict[ast.ClassDef, list[str | tuple[SourceFile, ast.ClassDef]]] = {}
        self._inherited: dict[tuple[ast.ClassDef, str], bool] = {}
        self.relevant = always or published or has_any(data, _RELEVANT)
        if self.relevant:
            self._walk()

    # ---- The walk -------------------------------------------------------------------------------------------------

    def _walk(self) -> None:
        """Visit every node once; nodes under one scope in no particular order."""
        guarding = _GUARDING if has_any(self.data, _GUARD_WORDS) else _TRYING
        attributes, calls, keywords, children = self.attributes, self.calls, self.keywords, _CHILDREN
        waiting: list[tuple[Sequence[Any], Scope]] = [(self.tree.body, Scope())]
        while waiting:
            nodes, scope = waiting.pop()
            stack = list(nodes)
            pop, push, extend = stack.pop, stack.append, stack.extend
            while stack:
                node = pop()
                kind = node.__class__
                if kind is ast.Name or kind is ast.Constant:
                    continue
                while kind is ast.Attribute:
                    attributes[node.attr].append((node, scope))
                    node = node.value
                    kind = node.__class__
                if kind is ast.Name or kind is ast.Constant:
                    continue
                if kind is ast.Call:
                    func = node.func
                    if func.__class__ is ast.Name:
                        calls[func.id].append((node, scope))
                    else:
                        if func.__class__ is ast.Attribute:
                            calls[func.attr].append((node, scope))
                        push(func)
                    for keyword in node.keywords:
                        if keyword.arg is not None:
                            keywords[keyword.arg].append((node, keyword, scope))
                        push(keyword.value)
                    if node.args:
                        extend(node.args)
                    continue
                if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                    if node.decorator_list:
                        extend(node.decorator_list)
                    extend(_of_signature(node))
                    waiting.append((node.body, Scope(scope.cls, node, scope.guarded)))
                    continue
                if kind is ast.ClassDef:
                    self.classes.setdefault(node.name, node)
                    extend(node.bases)
                    extend(keyword.value for keyword in node.keywords)
                    extend(node.decorator_list)
                    waiting.append((node.body, Scope(node, None, scope.guarded)))
                    continue
                if kind is ast.Import or kind is ast.ImportFrom:
                    self._bind(node, scope)
                    continue
                if kind in guarding and not scope.guarded:
                    inner = _guarded(node)
                    if inner:
                        waiting.append((inner, Scope(scope.cls, scope.function, True)))
                        extend(one for one in ast.iter_child_nodes(node) if one not in inner)
                        continue
                for field in children[kind]:
                    value = getattr(node, field)
                    if value.__class__ is list:
                        extend(value)
                    elif value is not None:
                        push(value)
                if kind is ast.Subscript:
                    self.subscripts.append((node, scope))

    @lazy
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.place)

    @lazy
    def own_package(self) -> str:
        """The name of the topmost package around the file, "" if there is none: importing that is no library."""
        return _package_around(self.place.rpartition(os.sep)[0])

    def _bind(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        self.imports.append((node, scope))
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
        return ".".join([imported.dotted, *reversed(rest)])

    @lazy
    def library_imports(self) -> list[tuple[ast.ImportFrom, ast.alias, Scope]]:
        """The names imported from transformers and huggingface_hub, unless their author expects that they may lack."""
        found = []
        for node, scope in self.imports:
            if isinstance(node, ast.ImportFrom) and not node.level and not scope.guarded:
                library = (node.module or "").partition(".")[0]
                if library in ("transformers", "huggingface_hub") and library != self.own_package:
                    found += [(node, alias, scope) for alias in node.names]
        return found

    @lazy
    def own_imports(self) -> list[tuple[ast.Import | ast.ImportFrom, str]]:
        """The imports of the user's own files, unless guarded: statements, and the dotted names of modules."""
        found: list[tuple[ast.Import | ast.ImportFrom, str]] = []
        for node, scope in self.imports:
            if scope.guarded:
                continue
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            is_relative = isinstance(node, ast.ImportFrom) and node.level > 0
            found += [(node, name) for name in names if is_relative or sibling(self.place, name) is not None]
        return found

    @lazy
    def words(self) -> list[bytes]:
        """Every word of the file's text, as often as it stands there, comments included."""
        return self.data.translate(_WORDS_ALONE).split()

    @lazy
    def library_attributes(self) -> list[tuple[ast.Attribute, str, str]]:
        """The names of transformers as written out in expressions, `transformers.some.Name`: node, module and name."""
        found = []
        tops = any(one.name is None and one.module.startswith("transformers") for one in self.names.values())
        for node, scope in [each for several in self.attributes.values() for each in several] if tops else ():
            dotted = "" if scope.guarded else self.dotted(node)
            if dotted.startswith("transformers."):
                module, _, name = dotted.rpartition(".")
                found.append((node, module, name))
        return found

    @lazy
    def uses(self) -> dict[str, list[Use]]:
        """Where names are used: as such, or in strings that may name something, by name."""
        found: defaultdict[str, list[Use]] = defaultdict(list)
        waiting: list[tuple[Any, bool, bool, bool]] = [(self.tree, False, False, False)]
        while waiting:
            node, is_acted_on, is_annotation, apart = waiting.pop()
            kind = node.__class__
            if kind is ast.Name:
                found[node.id].append(Use(node, is_acted_on and not is_annotation, apart))
                continue
            if kind is ast.Constant:
                for name in names_in_text(node):
                    found[name].append(Use(node, not is_annotation, apart))
                continue
            if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef or (kind is ast.If and is_guard(node.test)):
                apart = True
            acting = _ACTING.get(kind, ())
            if kind is ast.Attribute and node.attr.startswith("__"):
                acting = ()
            for field in _CHILDREN[kind]:
                value = getattr(node, field)
                noted = is_annotation or field in _ANNOTATIONS
                if value.__class__ is list:
                    waiting += [(one, field in acting, noted, apart) for one in value]
                elif value is not None:
                    waiting.append((value, field in acting, noted, apart))
        return found

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
        if dotted.partition(".")[0] in ("transformers", "huggingface_hub", "torch"):
            return dotted
        parts = ast.unparse(node).split(".") if isinstance(node, (ast.Name, ast.Attribute)) else []
        imported = self.names.get(parts[0]) if parts else None
        if imported is None:
            return None
        module, name = self._module_and_name(imported, parts[1:])
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
            if sibling(self.place, dotted) is None:
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

    def column(self, line: int, offset: int) -> int:
        """Return a column in characters for one that `ast` counts in UTF-8 bytes."""
        if self.data.isascii() or not 0 < line <= len(self.lines):
            return offset
        return len(self.lines[line - 1].encode()[:offset].decode(errors="replace"))

    def span(self, node: ast.AST) -> Span:
        """Return where a node stands."""
        first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
        return (
            first,
            self.column(first, node.col_offset),  # type: ignore[attr-defined]
            last,
            self.column(last, node.end_col_offset),  # type: ignore[attr-defined]
        )


def names_in_text(node: ast.Constant) -> list[str]:
    """Return the names in a string that may be an annotation or stand in `__all__`, none in any other."""
    text = node.value
    return re.findall(r"\w+", text) if isinstance(text, str) and _NAMES.fullmatch(text) else []


def _of_signature(function: Function) -> list[ast.expr]:
    """Return the defaults and annotations of a function."""
    args = function.args
    found = [*args.defaults] if function.returns is None else [*args.defaults, function.returns]
    for one in args.args:
        if one.annotation is not None:
            found.append(one.annotation)
    if args.kwonlyargs or args.posonlyargs:
        found += [default for default in args.kw_defaults if default is not None]
        found += [one.annotation for one in (*args.kwonlyargs, *args.posonlyargs) if one.annotation is not None]
    for more in (args.vararg, args.kwarg):
        if more is not None and more.annotation is not None:
            found.append(more.annotation)
    return found


_TRYING: set[type[ast.AST]] = {ast.Try, ast.TryStar} if sys.version_info >= (3, 11) else {ast.Try}
_GUARDING = {ast.If, ast.IfExp, *_TRYING}


def _guarded(node: Any) -> list[ast.AST]:
    """Return the parts of an `if` or a `try` whose author expects that they may not work; none of any other."""
    if isinstance(node, ast.If):
        return [*node.body, *node.orelse] if is_guard(node.test) else []
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse] if is_guard(node.test) else []
    return [*node.body, *node.handlers] if _expects_absence(node) else []


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


def is_guard(test: ast.expr) -> bool:
    """Tell whether a condition asks what there is: `is_tf_available()`, `hasattr(...)`, a version."""
    stack: list[Any] = [test]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            if node.id in _GUARDS:
                return True
            continue
        if isinstance(node, ast.Attribute) and node.attr in _GUARDS:
            return True
        for field in _CHILDREN[node.__class__]:
            value = getattr(node, field)
            if isinstance(value, list):
                stack += value
            elif value is not None:
                stack.append(value)
    return False


def _expects_absence(node: ast.AST) -> bool:
    """Tell whether a `try` catches that something is missing; a catch-all does if it holds imports alone."""
    for handler in node.handlers:  # type: ignore[attr-defined]
        names = {one.id for one in ast.walk(handler.type) if isinstance(one, ast.Name)} if handler.type else set()
        if names & _ABSENT:
            return True
        if not names or "Exception" in names:
            return all(isinstance(one, (ast.Import, ast.ImportFrom)) for one in node.body)  # type: ignore[attr-defined]
    return False


@functools.lru_cache(maxsize=1024)
def _package_around(place: str) -> str:
    folder, name = Path(place), ""
    while (folder / "__init__.py").is_file():
        name, folder = folder.name, folder.parent
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


_bases: dict[str, SourceFile | None] = {}  # files that others import classes from; of one scan
_MAX_BASES = 64


def read_for_classes(path: Path) -> SourceFile | None:
    """Read a file that another one imports a class from; None if it cannot be read."""
    place = str(path)
    if place not in _bases:
        if len(_bases) >= _MAX_BASES:
            del _bases[next(iter(_bases))]
        try:
            data = path.read_bytes()
            _bases[place] = SourceFile(str(path), data, ast.parse(data), always=True)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            _bases[place] = None
    return _bases[place]


def read_already(place: str) -> SourceFile | None:
    """Return a file that was read for its classes."""
    return _bases.get(place) if _bases else None


def forget() -> None:
    """Forget files that were read for their classes: they may change."""
    _bases.clear()
    _package_around.cache_clear()
    _sibling.cache_clear()


def sibling(place: str, dotted: str) -> Path | None:
    """Return the user's own file that an absolute import in another file means: beside it, or in its package."""
    first = dotted.partition(".")[0]
    found = None if first in sys.stdlib_module_names else _sibling(place.rpartition(os.sep)[0], first)
    return found if found is not None and found != Path(place) else None


@functools.lru_cache(maxsize=4096)
def _sibling(place: str, first: str) -> Path | None:
    folder = Path(place)
    beside = module_file(folder / first)
    while beside is None and (folder / "__init__.py").is_file():
        if folder.name == first:
            return folder / "__init__.py"
        folder = folder.parent
    return beside
