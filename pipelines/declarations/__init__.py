"""The tasks that a registry file declares, read from its source.

Nothing of the user's is imported or executed and nothing heavy is loaded: files are parsed and walked by a small
interpreter (`interpreter.py` for statements and imports, `expressions.py` for values), whose registrations become
entries in `entries.py`. What cannot be known this way is a note with its line. transformers' own tasks are read by
`transformers_tasks.py`. This is not the registry: it does not resolve conflicts, and no class is loaded.
"""

from __future__ import annotations

import ast
from pathlib import Path

from pipesmith.pipelines.declarations.entries import Collector
from pipesmith.pipelines.declarations.expressions import TooMuch
from pipesmith.pipelines.declarations.interpreter import Interpreter
from pipesmith.pipelines.declarations.results import Declarations, Note
from pipesmith.pipelines.declarations.transformers_tasks import (
    transformers_aliases,
    transformers_declarations,
    transformers_removed,
)
from pipesmith.pipelines.entries import Origin, Place
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.source import parse

__all__ = [
    "Declarations",
    "Note",
    "read_declarations",
    "registers_tasks",
    "transformers_aliases",
    "transformers_declarations",
    "transformers_removed",
]


def read_declarations(file: Path, origin: Origin, *, import_root: Path | None = None) -> Declarations:
    """Read the tasks that a file registers, with pipesmith's registry or transformers'.

    Args:
        file: a project's pipelines/__init__.py, or any other file with registrations.
        origin: the level of the lookup order that its entries belong to.
        import_root: the folder from which the file's package is imported (site-packages, for a plug-in); absolute
            imports are looked up there too, and classes of an entry of origin "package" are named by their module.

    Returns:
        The entries in the order of their registration, two of one name included, and notes on what could not be read.

    Raises:
        PipelineLoadError: the file cannot be read, or does not parse. A file that it imports is only noted.
    """
    file = file.absolute()
    root = file.parent
    collector = Collector(origin, root, import_root.absolute() if import_root is not None else None)
    interpreter = Interpreter(collector.add, root, collector.import_root)
    notes: list[Note] = []
    try:
        interpreter.load(file, at_once=True)
    except TooMuch:
        place = interpreter.position or Place(file, 1)
        notes.append(Note(place, "reading stopped here: too much to evaluate; what follows is not listed"))
    notes += [*collector.notes, *interpreter.notes, *interpreter.unreached()]
    return Declarations(tuple(collector.entries), tuple(dict.fromkeys(notes)))


def registers_tasks(file: Path) -> bool:
    """Tell whether a file holds a call of `register_pipeline`; one that does not parse does if it holds the word."""
    try:
        if b"register_pipeline" not in file.read_bytes():
            return False
        tree = parse(file)
    except OSError:
        return False
    except (PipelineLoadError, RecursionError, MemoryError):
        return True
    return any(isinstance(node, ast.Attribute) and node.attr == "register_pipeline" for node in ast.walk(tree))
