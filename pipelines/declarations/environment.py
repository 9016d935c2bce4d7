"""What is known about this machine and Python's library without running a registry file.

Installed packages are looked up, never imported. Not an evaluator: `expressions.py` asks here about names and calls of
packages that it does not read.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from pipesmith.pipelines.declarations.values import External, Local, Registry, Value, Version, is_plain
from pipesmith.pipelines.source import absolute_module, package_folder

UNDECIDED = object()  # no answer; None is one

# The package that `is_X_available()` of transformers looks for, where it is not X.
_AVAILABLE = {
    "tf": "tensorflow",
    "vision": "PIL",
    "cv2": "cv2",
    "opencv": "cv2",
    "speech": "torchaudio",
    "sentencepiece": "sentencepiece",
    "sklearn": "sklearn",
    "bs4": "bs4",
    "ftfy": "ftfy",
    "faiss": "faiss",
    "protobuf": "google.protobuf",
}
_MAX_TEXT = 20_000
_WIDE = re.compile(r"[{%][^}]*\d{4}")  # a width such as in "{:9999999}" is an order for memory
_TEXT_METHODS = frozenset(
    {
        "format",
        "format_map",
        "join",
        "lower",
        "upper",
        "title",
        "capitalize",
        "replace",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "startswith",
        "endswith",
        "removeprefix",
        "removesuffix",
        "partition",
        "rpartition",
        "casefold",
        "swapcase",
        "count",
        "find",
        "index",
    }
)
_CONTAINER_METHODS = {
    dict: frozenset(["items", "keys", "values", "get", "copy", "update", "setdefault", "pop"]),
    list: frozenset(["append", "extend", "insert", "copy", "index", "count", "pop"]),
    tuple: frozenset(("index", "count")),
}
_PATH_METHODS = frozenset(["resolve", "absolute", "joinpath", "as_posix", "with_name", "with_suffix", "expanduser"])
_PATH_ATTRIBUTES = frozenset(["parent", "name", "stem", "suffix", "parents", "parts"])


def external(dotted: str) -> Value:
    """Return the value of a dotted name of a package: a registry, what this machine has there, or the name itself."""
    first, _, last = dotted.partition(".")
    if dotted.endswith(".PIPELINE_REGISTRY") and first in ("transformers", "pipesmith"):
        return Registry("pipesmith" if first == "pipesmith" else "transformers")
    if dotted in ("typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING"):
        return False
    if dotted == "os.sep":
        return os.sep
    machine: dict[str, Value] = {
        "sys.version_info": tuple(sys.version_info[:3]),
        "sys.platform": sys.platform,
        "os.name": os.name,
    }
    if dotted in machine:
        return Local(machine[dotted], dotted)
    if last == "__version__":
        version = installed_version(first)
        return External(dotted) if version is None else Local(version, dotted)
    return External(dotted)


def depends_on_machine(dotted: str) -> bool:
    """Tell whether what a function of a package returns depends on what is installed."""
    return dotted in ("importlib.util.find_spec", "importlib.metadata.version") or (
        dotted.startswith("transformers.") and re.search(r"\.is_\w+_available$", dotted) is not None
    )


@functools.cache
def installed_version(package: str) -> str | None:
    """Return the version of an installed distribution; None if there is none of that name."""
    import importlib.metadata  # here: it takes as long as reading a registry

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def transformers_major() -> int:
    """Return the major version of the installed transformers, 5 if there is none."""
    version = installed_version("transformers")
    return int(version.partition(".")[0]) if version and version[:1].isdigit() else 5


def is_available(name: str) -> bool | None:
    """Answer transformers' `is_X_available()` by looking for the package; None if X names no known package."""
    if name == "tf" and os.environ.get("USE_TF", "").upper() in ("0", "FALSE", "NO", "OFF"):
        return False
    package = _AVAILABLE.get(name, name)
    if package_folder(package.partition(".")[0]) is not None:
        return True
    return False if name in _AVAILABLE or name in ("torch", "flax") else None


def can_import(dotted: str, names: tuple[str, ...]) -> bool | None:
    """Tell whether `from dotted import names`, or `import dotted`, works; None if only trying would tell."""
    first = dotted.partition(".")[0]
    if first == "pipesmith":
        return True
    if first in sys.builtin_module_names:
        return True if not names else None
    if first not in sys.stdlib_module_names and package_folder(first) is None:
        return False
    if first == "transformers" and any(gone_from_transformers(name) for name in names):
        return False
    if not names:
        return True if dotted == first else None
    return True if all(_offers(dotted, name) for name in names) else None


def _offers(dotted: str, name: str) -> bool:
    """Tell whether a module of Python, torch or transformers speaks of a name; of other packages nothing is said."""
    first = dotted.partition(".")[0]
    if first not in ("transformers", "torch") and first not in sys.stdlib_module_names:
        return False
    files = [absolute_module(dotted)[0]]
    if dotted == "transformers":  # the Auto classes are not named in its __init__.py
        files.append(absolute_module("transformers.models.auto.modeling_auto")[0])
    return any(file is not None and re.search(rf"\b{name}\b", _text(file)) is not None for file in files)


@functools.cache
def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def gone_from_transformers(name: str) -> bool:
    """Tell whether transformers 5 is installed and has dropped a name that 4 has."""
    gone = name in ("is_tf_available", "is_flax_available") or re.match(r"(TF|Flax)[A-Z]", name) is not None
    return gone and transformers_major() >= 5


def call_external(dotted: str, positional: list[Value], keywords: dict[str, Value]) -> Value:
    """Answer a call of a package's function, if its answer is known without making the call."""
    first, _, last = dotted.rpartition(".")
    available = re.fullmatch(r"is_(\w+)_available", last)
    if available and first.partition(".")[0] == "transformers":
        answer = is_available(available[1])
        return UNDECIDED if answer is None else answer
    function = _FUNCTIONS.get(dotted)
    if function is None or (keywords.keys() - {"start", "reverse", "strict"} and function is not _dict):
        return UNDECIDED
    if dotted not in _TAKES_ANYTHING and not is_plain(positional):
        return UNDECIDED
    return _answer(lambda: function(*positional, **keywords))


def call_method(of: Value, name: str, positional: list[Value], keywords: dict[str, Value]) -> Value:
    """Answer a method of a text, path, list, tuple or dict."""
    if not has_method(of, name):
        return UNDECIDED
    if isinstance(of, (str, PurePath)):
        if not (is_plain(positional) and is_plain(keywords)) or _is_large([of, *positional, keywords]):
            return UNDECIDED
        if name in ("format", "format_map") and _WIDE.search(str(of)):
            return UNDECIDED
        if isinstance(of, PurePath) and name in ("resolve", "absolute"):
            return of
    answer = _answer(lambda: getattr(of, name)(*positional, **keywords))
    return list(answer) if isinstance(of, dict) and name in ("items", "keys", "values") else answer


def has_method(of: Value, name: str) -> bool:
    """Tell whether `call_method` may answer it."""
    if isinstance(of, str):
        return name in _TEXT_METHODS
    if isinstance(of, PurePath):
        return name in _PATH_METHODS
    return any(isinstance(of, kind) and name in methods for kind, methods in _CONTAINER_METHODS.items())


def attribute(of: Value, name: str) -> Value:
    """Return a data attribute of a path or a version."""
    if isinstance(of, PurePath) and name in _PATH_ATTRIBUTES:
        value = getattr(of, name)
        return tuple(value) if name == "parents" else value
    if isinstance(of, Version) and name in ("release", "major", "minor", "micro"):
        padded = (*of.release, 0, 0, 0)
        return of.release if name == "release" else padded[("major", "minor", "micro").index(name)]
    if isinstance(of, tuple) and name in ("major", "minor", "micro"):  # sys.version_info
        return of[("major", "minor", "micro").index(name)] if len(of) >= 3 else UNDECIDED
    return UNDECIDED


def formatted(value: Value, conversion: int, spec: str) -> Value:
    """Return the text of an f-string's field."""
    if not is_plain(value) or re.search(r"\d{4}", spec):
        return UNDECIDED
    converted = str(value) if conversion == ord("s") else repr(value) if conversion > 0 else value
    return _answer(lambda: format(converted, spec))


def operate(operator: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """Apply a binary operator to plain values of moderate size; lists and tuples may hold anything when added."""
    joins = operator.__name__ == "add" and type(left) is type(right) and isinstance(left, (list, tuple))
    unites = operator.__name__ == "or_" and isinstance(left, dict) and isinstance(right, dict)
    if not (joins or unites or (is_plain(left) and is_plain(right))):
        return UNDECIDED
    if operator.__name__ in ("pow", "mul", "lshift") and _is_large([left, right], limit=1_000):
        return UNDECIDED
    if operator.__name__ == "mod" and isinstance(left, str) and _WIDE.search(left):
        return UNDECIDED
    answer = _answer(lambda: operator(left, right))
    too_long = isinstance(answer, (str, bytes, list, tuple)) and len(answer) > _MAX_TEXT
    return UNDECIDED if too_long else answer


def iterate(value: Value) -> list[Value] | None:
    """Return what a loop over a known value sees; None if it cannot be known."""
    if isinstance(value, (list, tuple, dict, str)):
        return list(value)
    if isinstance(value, range) and len(value) <= _MAX_TEXT:
        return list(value)
    return None


def _is_large(values: list[Value], limit: int = _MAX_TEXT) -> bool:
    """Tell whether an operation on these values could take long or much memory."""
    for value in values:
        if isinstance(value, (str, bytes, list, tuple, dict)) and len(value) > limit:
            return True
        if isinstance(value, int) and abs(value) > limit:
            return True
    return False


def _answer(action: Callable[[], Value]) -> Value:
    """Run an operation on plain values; the user's mistakes in it are no answer."""
    try:
        return action()
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, RuntimeError):
        return UNDECIDED


def _version(text: str) -> Version:
    match = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:  # 5 and 5.0.0 are one version
        numbers.pop()
    return Version(tuple(numbers))


def _found(name: str) -> bool | None:
    return True if package_folder(name) is not None or name in sys.builtin_module_names else None


def _enumerate(values: Value, start: int = 0) -> list[Value]:
    return list(enumerate(_sequence(values), start))


def _sequence(values: Value) -> list[Value]:
    items = iterate(values)
    if items is None:
        raise TypeError("cannot be iterated without running it")
    return items


def _range(*bounds: int) -> range:
    return range(*bounds)


def _sorted(values: Value, *, reverse: bool = False) -> list[Value]:
    items = _sequence(values)  # of a dict, its keys
    if not is_plain(items):
        raise TypeError("only values that are known have an order")
    return sorted(items, reverse=reverse)


def _unique(values: Value = ()) -> list[Value]:
    return list(dict.fromkeys(_sequence(values)))


def _dict(pairs: Value = (), **more: Value) -> dict[Value, Value]:
    return {**(pairs if isinstance(pairs, dict) else dict(_sequence(pairs))), **more}


def _zip(*many: Value, strict: bool = False) -> list[Value]:
    return list(zip(*(_sequence(values) for values in many), strict=strict))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "builtins.str": str,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.bool": bool,
    "builtins.len": len,
    "builtins.min": min,
    "builtins.max": max,
    "builtins.sum": sum,
    "builtins.any": any,
    "builtins.all": all,
    "builtins.sorted": _sorted,
    "builtins.repr": repr,
    "builtins.range": _range,
    "builtins.list": lambda values=(): _sequence(values),
    "builtins.tuple": lambda values=(): tuple(_sequence(values)),
    "builtins.set": _unique,
    "builtins.frozenset": _unique,
    "builtins.dict": _dict,
    "builtins.enumerate": _enumerate,
    "builtins.reversed": lambda values: _sequence(values)[::-1],
    "builtins.zip": _zip,
    "builtins.iter": lambda values: _sequence(values),
    "itertools.chain": lambda *many: [item for values in many for item in _sequence(values)],
    "collections.OrderedDict": _dict,
    "types.MappingProxyType": lambda mapping: mapping,
    "copy.copy": lambda value: value.copy() if isinstance(value, (list, dict)) else value,
    "copy.deepcopy": lambda value: value.copy() if isinstance(value, (list, dict)) else value,
    "pathlib.Path": Path,
    "pathlib.PurePath": PurePath,
    "os.fspath": os.fspath,
    "os.path.join": os.path.join,
    "os.path.dirname": os.path.dirname,
    "os.path.basename": os.path.basename,
    "os.path.abspath": lambda path: path,
    "os.path.realpath": lambda path: path,
    "importlib.util.find_spec": _found,
    "importlib.metadata.version": installed_version,
    "packaging.version.parse": _version,
    "packaging.version.Version": _version,
}
# Functions that only move their arguments about, so that these may hold what is unknown.
_TAKES_ANYTHING = frozenset(
    {
        "builtins.list",
        "builtins.tuple",
        "builtins.set",
        "builtins.frozenset",
        "builtins.dict",
        "builtins.enumerate",
        "builtins.reversed",
        "builtins.zip",
        "builtins.iter",
        "builtins.len",
        "builtins.sorted",
        "itertools.chain",
        "collections.OrderedDict",
        "types.MappingProxyType",
        "copy.copy",
        "copy.deepcopy",
    }
)
