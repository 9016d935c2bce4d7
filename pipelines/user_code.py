"""A user's file to a class, and a user's failing code to a sentence with its own line."""

from __future__ import annotations

import ast
import importlib.util
import linecache
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from pipesmith.pipelines.compat import GoneError, adapt_class, pin_hint
from pipesmith.pipelines.errors import PipeError, PipelineLoadError
from pipesmith.pipelines.modules import import_file, is_user_module
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.source import MEND, ClassReference, syntax_sentence

_OURS = str(Path(__file__).resolve().parent.parent)
_BUILTIN = str(Path(__file__).resolve().parent / "builtin")


def load_module(file: Path) -> ModuleType:
    """Import a user's file.

    Raises:
        PipelineLoadError: there is no such file, it does not parse, or it fails; its own line is shown.
    """
    if not file.is_file():
        raise PipelineLoadError(f"There is no file {file}.", hint="The entry that names it is out of date.")
    try:
        return import_file(file)
    except GoneError as error:
        raise PipelineLoadError(f"{user_line(error) or file}: {error.message}", hint=error.hint) from error
    except PipeError:
        raise
    except SyntaxError as error:
        raise PipelineLoadError(syntax_sentence(Path(error.filename or file), error), hint=MEND) from error
    except (Exception, SystemExit) as error:
        library = missing_library(error)
        if library is not None:
            raise PipelineLoadError(
                f"{user_line(error) or file} needs the package {library}, which is not installed.",
                hint=f"Install it: pip install {library}",
            ) from error
        raise PipelineLoadError(
            f"{file} fails when it is imported: {describe(error)}.{user_frame(error)}", hint=failure_hint(error)
        ) from error


def load_class(reference: ClassReference) -> type[Any]:
    """Load the class that a reference names: an installed module's by import, a user's file by path.

    Raises:
        PipelineLoadError: the module fails, or has no such class.
    """
    if reference.module is not None:
        import importlib

        module = importlib.import_module(reference.module)
    elif reference.file is not None:
        module = load_module(reference.file)
    else:
        raise PipelineLoadError(f"The class {reference.name} was not found.")
    try:
        found = getattr(module, reference.name)
    except AttributeError as error:
        classes = [name for name, value in vars(module).items() if isinstance(value, type) and name[0] != "_"]
        raise PipelineLoadError(
            f"{reference.file or reference.module} has no class {reference.name}.",
            hint=near_miss(reference.name, classes) or f"It has {', '.join(classes) or 'no class at all'}.",
        ) from error
    if not isinstance(found, type):
        raise PipelineLoadError(f"{reference} is {type(found).__name__}, not a class.")
    return adapt_class(found)


def is_builtin(cls: type) -> bool:
    """Tell whether a class is one of those that pipesmith ships."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and str(Path(file).resolve().parent) == _BUILTIN


# Names of libraries as transformers' messages or imports say them, and as pip does.
_PIP_NAMES = {
    "PyAv": "av",
    "PIL": "Pillow",
    "Torchvision": "torchvision",
    "PyTesseract": "pytesseract",
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def missing_library(error: BaseException) -> str | None:
    """Return what to `pip install` if an exception says that a library is missing, else None."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        library, _, rest = error.name.partition(".")
        if is_user_module(library) or (rest and importlib.util.find_spec(library) is not None):
            return None  # it is there, and lacks this module: another version of it is wanted, or a file of the user's
        return _PIP_NAMES.get(library, library)
    if isinstance(error, NameError):
        return _never_imported(error)
    if not isinstance(error, ImportError):
        return None
    listed = re.search(r"packages that were not found in your environment: ([\w, ]+)\.", str(error))
    if listed:  # transformers, before it runs code of a checkpoint
        return " ".join(_PIP_NAMES.get(name, name) for name in listed[1].split(", "))
    match = re.search(r"requires the (\w+) library", str(error))
    return _PIP_NAMES.get(match[1], match[1].lower()) if match else None


def _never_imported(error: NameError) -> str | None:
    """Return the missing library that an unknown name would be of: files import what may be missing behind an `if`."""
    file = traceback.extract_tb(error.__traceback__)[-1].filename
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):  # no file, such as "<string>"
        return None
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                module = alias.name if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
                library = module.partition(".")[0]
                bound = alias.asname or alias.name.partition(".")[0]
                if bound == error.name and library and importlib.util.find_spec(library) is None:
                    return _PIP_NAMES.get(library, library)
    return None


def failure_hint(error: BaseException, saved_with: object = None) -> str:
    """Say what helps against a failure of a user's code: the version of transformers that it needs, or a traceback."""
    return pin_hint(error, saved_with) or _left_out(error) or "Run again with --verbose for the whole traceback."


def _left_out(error: BaseException) -> str | None:
    """Say how a model is asked for what it returns only on demand, or how a parameter without a default is given."""
    name = error.name if isinstance(error, AttributeError) else error.args[0] if isinstance(error, KeyError) else ""
    output = next((one for one in ("hidden_states", "attentions") if str(name).endswith(one)), None)
    if output is not None and "postprocess" in {frame.name for frame in traceback.extract_tb(error.__traceback__)}:
        return f"Models return {name} only if asked: self.model(**inputs, output_{output}=True) in _forward."
    if name == "logits":
        return "The model has no head that makes logits: name a class that has, --pt-model AutoModelForX."
    demanded = re.search(
        r"\.(preprocess|_forward|postprocess)\(\) missing \d+ required .*argument.*: '(\w+)'", str(error)
    )
    if isinstance(error, TypeError) and demanded:
        flag = f"--{demanded[2].replace('_', '-')}"
        return f"Give {flag} if _sanitize_parameters takes it, or give it a default in {demanded[1]}."
    return None


def describe(error: BaseException) -> str:
    """Name an exception and its first line, such as "KeyError: 'text'"."""
    text = re.sub(r"_pipe_user_\w+\.", "", str(error).strip().partition("\n")[0])
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # torch writes in colours
    return f"{type(error).__name__}: {text}".rstrip(": .")


def user_frame(error: BaseException) -> str:
    """Show the innermost line of the user's own code that an exception came through, "" if there is none."""
    place = _user_place(error)
    if place is None:
        return ""
    file, line = place
    return f"\n  {file}:{line}\n    {linecache.getline(file, line).strip()}"


def user_line(error: BaseException) -> str:
    """Return file:line of the innermost line of the user's own code, "" if there is none."""
    place = _user_place(error)
    return f"{place[0]}:{place[1]}" if place else ""


def _user_place(error: BaseException) -> tuple[str, int] | None:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_users(frame.filename):
            return frame.filename, frame.lineno or 0
    return None


def _is_users(filename: str) -> bool:
    filename = str(Path(filename).resolve()) if not filename.startswith("<") else filename
    if filename.startswith("<") or (filename.startswith(_OURS) and not filename.startswith(_BUILTIN)):
        return False
    library_roots = [sys.prefix, sys.base_prefix]
    return not ("site-packages" in filename or any(filename.startswith(f"{root}/lib") for root in library_roots))
