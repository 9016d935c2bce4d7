"""The files that a pipeline's code needs when it is published, found from its imports without running anything.

transformers loads the code of a checkpoint from one folder, and copies of it only the files that lines of the form
`from .name import ...` name; transformers 4 looks for such lines in the first file alone. So the files of a closure lie
flat beside each other, their imports of each other are relative, and the first file names them all. Nothing of
pipesmith is in a closure, no registry either.

Not here: what an import statement means (`imports.py`), how its text is changed (`rewriting.py`), and which packages
the code needs (`requirements.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.project import find_project
from pipesmith.pipelines.publishing.imports import Imported, Scope, read_imports, read_text
from pipesmith.pipelines.publishing.requirements import Requirement, requirements
from pipesmith.pipelines.publishing.rewriting import rewritten

# What transformers takes for an import of a file beside it: lines of any kind, those of a docstring too.
_SEEN_BY_TRANSFORMERS = re.compile(r"^\s*(?:from\s+\.(\S+)\s+import|import\s+\.(\S+)\s*$)", re.MULTILINE)


@dataclass(frozen=True)
class Closure:
    """The code of one or several files, ready to lie in a checkpoint's folder.

    Args:
        files: the texts by the name that each file has there.
        modules: the module name, without .py, that each file of the user's has there.
        requirements: the packages that the code needs beside transformers, torch and numpy.
    """

    files: dict[str, str]
    modules: dict[Path, str]
    requirements: tuple[Requirement, ...]


def import_closure(files: Sequence[Path]) -> Closure:
    """Collect files and all that they import of the user's own, as transformers' loader finds them.

    Args:
        files: those that transformers is told to load: a pipeline's, and those of its model's own classes. They keep
            their names.

    Raises:
        PublishError: an import cannot be published as it is; names the line and says how to mend it.
        PipelineLoadError: a file cannot be read, or does not parse.
    """
    files = [file.parent.resolve() / file.name for file in files]  # in the Hub's cache files are links to blobs
    imports: dict[Path, list[Imported]] = {}
    waiting = [(file, _scope(file)) for file in reversed(files)]
    while waiting:
        file, scope = waiting.pop()
        if file not in imports:
            imports[file] = read_imports(file, scope)
            waiting += reversed([(needed, scope) for one in imports[file] for needed in one.files])
    names = _flat_names(files, imports)
    texts = {names[file]: rewritten(file, found, names) for file, found in imports.items()}
    for file in files:
        reached = {names[other] for other in _reached(file, imports)} - {names[file]}
        unseen = sorted(reached - set(_seen(texts[names[file]])))
        if unseen:
            lines = "".join(f"    from .{name} import __name__ as _\n" for name in unseen)
            text = texts[names[file]].rstrip("\n")
            texts[names[file]] = (
                f"{text}\n\n\nif False:  # transformers copies the files that these lines name\n{lines}"
            )
    _check_lines(imports, names, texts)
    return Closure(
        {f"{name}.py": text for name, text in texts.items()},
        names,
        requirements(one for found in imports.values() for one in found),
    )


def _scope(file: Path) -> Scope:
    """Tell which files are the user's own: those of the project, or of the package around a file."""
    top = file.parent
    while (top / "__init__.py").is_file() and (top.parent / "__init__.py").is_file():
        top = top.parent
    project = find_project(file.parent)
    return Scope(top, project.root if project else None, project.registry_file if project else None)


def _flat_names(files: Sequence[Path], imports: Iterable[Path]) -> dict[Path, str]:
    """Name each file's module: its own name for those to be loaded, its path from these for the others."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for file in dict.fromkeys([*files, *imports]):
        whole = file.parent if file.name == "__init__.py" else file.with_suffix("")
        around = next((root.parent for root in files if root.parent in file.parents), None)
        if file in files:
            parts: tuple[str, ...] = (whole.name,)
        elif around is None:
            parts = _from_common_folder(whole, files[0].parent)
        else:
            parts = whole.relative_to(around).parts or (whole.name,)
        name = base = "_".join(parts)
        count = 2
        while name.casefold() in taken:
            name, count = f"{base}_{count}", count + 1
        taken.add(name.casefold())
        names[file] = name
    return names


def _from_common_folder(path: Path, folder: Path) -> tuple[str, ...]:
    common = Path(os.path.commonpath([path.parent, folder]))
    return path.relative_to(common).parts


def _reached(file: Path, imports: dict[Path, list[Imported]]) -> set[Path]:
    reached: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += [needed for one in imports[current] for needed in one.files]
    return reached


def _seen(text: str) -> list[str]:
    return [match[1] or match[2] for match in _SEEN_BY_TRANSFORMERS.finditer(text)]


def _check_lines(imports: Iterable[Path], names: dict[Path, str], texts: dict[str, str]) -> None:
    """Refuse a line of a text or docstring that transformers would take for an import, of a file that is not there."""
    for file in imports:
        text = texts[names[file]]
        for match in _SEEN_BY_TRANSFORMERS.finditer(text):
            if (match[1] or match[2]) not in texts:
                shown = match[0].strip()
                number = read_text(file).partition(shown)[0].count("\n") + 1
                raise PublishError(
                    f"{file}:{number} is text that transformers takes for an import: {shown!r}.",
                    hint="Let that line begin with another word, such as >>> in a docstring.",
                )
