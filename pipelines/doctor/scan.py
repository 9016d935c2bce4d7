"""Files through the rules: which files, notebooks, comments that silence a rule, and rules about several files."""

from __future__ import annotations

import ast
import functools
import gc
import io
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipesmith.pipelines.doctor import rules as _rules  # noqa: F401  # enters the rules into the table
from pipesmith.pipelines.doctor.finding import RULES, Finding, found, words_of_rules
from pipesmith.pipelines.doctor.rules.publishing import PUBLISHING, imported_files
from pipesmith.pipelines.doctor.source_file import OwnImports, SourceFile, decoded, forget, read_already
from pipesmith.pipelines.source import syntax_sentence

_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_IGNORE = re.compile(r"#\s*pipe:\s*ignore\b(?:\[([^\]]*)\])?[ \t]*(.*)")
_REASON = re.compile(r"(because\b|[-:,])?\s*(\S.*)?", re.IGNORECASE)
_CELL_MAGIC_OF_PYTHON = re.compile(r"%%(time|timeit|capture|prun)\b")


@dataclass
class Report:
    """What was found.

    Args:
        findings: in the order of files and lines.
        files: how many were read.
        links: symbolic links that were not followed.
        ignored: findings that a comment silenced.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    links: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class _Registration:
    key: str
    task: str
    place: Finding


@dataclass(frozen=True)
class _Subclass:
    key: str
    base: str
    place: Finding


def scan(path: Path, *, follow: bool = False) -> Report:
    """Find what the rules find in a file, or in the Python files and notebooks below a folder; nothing is imported.

    Hidden folders, virtual environments and caches are left out. A link is not followed: it may lead anywhere.

    Args:
        path: a file or a folder.
        follow: whether links are read, as the files of a snapshot in the Hub's cache are.
    """
    report = Report()
    registrations: list[_Registration] = []
    subclasses: list[_Subclass] = []
    ignores: dict[str, dict[int, set[str]]] = {}
    read: dict[str, _Held] = {}  # what counts of a file if it is published
    published: list[str] = []
    forget()
    with _quick():
        for place, where in _files(path, report, follow=follow):
            report.files += 1
            source, findings = _read(place, where)
            report.findings += findings
            if source is None:
                continue
            if source.relevant:
                report.findings += _check(source)
                registrations += _registrations(source)
                if source.classes:
                    subclasses += _subclasses(source)
            held = _hold(source)
            if source.pipelines:
                if held.imports:
                    published += imported_files(source.path, held.imports)
                read[where] = _NOTHING
            else:
                read[where] = held
            _read_comments(source, report, ignores)
            source.release()
            del source  # its memory is for the next one's tree
        while published:
            where = published.pop()
            if where not in read:
                read[where] = _NOTHING
                if not follow and os.path.islink(where):  # noqa: PTH114  # no Path for each
                    continue
                source, findings = _read(where if path.is_absolute() else os.path.relpath(where), where)
                report.findings += findings
                if source is None:
                    continue
                read[where] = _hold(source)
                _read_comments(source, report, ignores)
            report.findings += read[where].findings
            published += imported_files(Path(where), read[where].imports)
            read[where] = _NOTHING
    report.findings += _between_files(registrations, subclasses)
    report.findings += _checkpoints(path)
    kept = [one for one in report.findings if not _is_ignored(one, ignores)] if ignores else report.findings
    report.ignored = len(report.findings) - len(kept)
    by_place = {(one.place or "", one.cell or 0, one.line, one.column, one.code, one.why): one for one in kept}
    report.findings = [by_place[key] for key in sorted(by_place)]
    return report


class _Held(NamedTuple):
    """What counts of a file only if a pipeline imports it, which is known when all are read."""

    findings: list[Finding]
    imports: OwnImports


_NOTHING = _Held([], [])


def _hold(source: SourceFile) -> _Held:
    if not source.own_imports:
        return _NOTHING
    if source.pipelines:  # its findings are known
        return _Held([], source.own_imports)
    source.published = True
    return _Held(_check(source, PUBLISHING), source.own_imports)


@contextmanager
def _quick() -> Iterator[None]:
    """Keep Python from looking for cycles among nodes of trees, which have none, and warnings about the code quiet."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if enabled:
            gc.enable()


# ---- Which files ------------------------------------------------------------------------------------------------


def _files(path: Path, report: Report, *, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield the files to read, in order: their paths as they are shown, and absolute ones."""
    root = os.path.abspath(path)  # noqa: PTH100  # not resolved: a link's own folder counts
    if not path.is_dir():
        yield str(path), root
        return
    waiting = [("" if path == Path() else str(path), root)]
    while waiting:
        folder, absolute = waiting.pop()
        try:
            entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
        except OSError:
            continue
        start = folder + os.sep if folder and folder != os.sep else folder
        absolute_start = absolute.rstrip(os.sep) + os.sep
        below = []
        for entry in entries:
            name = entry.name
            place = start + name
            is_source = name.endswith((".py", ".ipynb"))
            if entry.is_symlink() and not (follow and is_source):
                report.links += is_source or entry.is_dir()
            elif entry.is_dir(follow_symlinks=False):
                hidden = name.startswith(".") or name in _SKIPPED
                if not hidden and not os.path.exists(f"{place}/pyvenv.cfg"):  # noqa: PTH110  # quick
                    below.append((place, absolute_start + name))
            elif is_source and entry.is_file():
                yield place, absolute_start + name
        waiting += reversed(below)


def _read(place: str, where: str) -> tuple[SourceFile | None, list[Finding]]:
    """Parse a file; say why where it does not."""
    known = read_already(where)
    if known is not None:
        known.place = place
        return known, []
    try:
        with io.FileIO(place) as stream:
            data = stream.readall()
    except OSError as error:
        return None, [found("PS001", Path(place), message=f"The file cannot be read: {error.strerror}.")]
    if place.endswith(".ipynb"):
        return _read_notebook(Path(place), where, data)
    try:
        return SourceFile(place, where, data, ast.parse(data)), []
    except (SyntaxError, ValueError) as error:
        path = Path(place)
        line, column = (getattr(error, name, None) or 1 for name in ("lineno", "offset"))
        message = syntax_sentence(path, error).partition("\n")[0].partition("does not parse: ")[2]
        return None, [found("PS001", path, line, max(column, 1), message=f"The file does not parse: {message}")]
    except (RecursionError, MemoryError):
        return None, [found("PS001", Path(place), message="The file does not parse: it is nested too deeply.")]


@dataclass(frozen=True)
class _Cell:
    number: int  # from 1
    first: int  # line of the joined source, from 1
    lines: int


class Notebook(SourceFile):
    """A notebook's code cells, joined to one file: they share their names."""

    cells: tuple[_Cell, ...] = ()


def _read_notebook(path: Path, where: str, data: bytes) -> tuple[SourceFile | None, list[Finding]]:
    try:
        content = json.loads(data)
        code = [cell for cell in content["cells"] if cell.get("cell_type") == "code"]
        texts = ["".join(cell.get("source") or ()) for cell in code]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, [found("PS001", path, message="The file is no notebook: it is not JSON with cells.")]
    findings: list[Finding] = []
    cells: list[_Cell] = []
    joined: list[str] = []
    for number, text in enumerate(texts, 1):
        lines = _without_magic(text).split("\n")
        try:
            ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            said = f"Cell {number} does not parse: {getattr(error, 'msg', error)}."
            findings.append(found("PS001", path, line, 1, message=said)._replace(cell=number))
            lines = [""] * len(lines)
        cells.append(_Cell(number, len(joined) + 1, len(lines)))
        joined += lines
    source = "\n".join(joined).encode(errors="replace")
    notebook = Notebook(str(path), where, source, ast.parse(source))
    notebook.cells = tuple(cells)
    return notebook, findings


def _without_magic(text: str) -> str:
    """Replace what IPython alone understands by nothing, line by line."""
    if text.lstrip().startswith("%%"):
        first, _, rest = text.lstrip().partition("\n")
        text = f"\n{rest}" if _CELL_MAGIC_OF_PYTHON.match(first) else ""
    return re.sub(r"^([ \t]*)[%!?].*$|^([ \t]*)\w+ *= *[%!].*$|^.*\?\s*$", r"\1\2pass", text, flags=re.MULTILINE)


# ---- Rules and comments -----------------------------------------------------------------------------------------


@functools.cache
def _rows() -> tuple[frozenset[str], dict[bytes, frozenset[str]]]:
    """Return the codes of the rules that any file may be about, and those of the others by their words."""
    always = frozenset(row.code for row in RULES.values() if row.check is not None and not row.words)
    always -= set(PUBLISHING)
    by_word = {
        word: frozenset(row.code for row in RULES.values() if row.check is not None and word in row.words)
        for word in words_of_rules()
    }
    return always, by_word


def _check(source: SourceFile, codes: Iterable[str] | None = None) -> list[Finding]:
    """Return what the rules find in a file; `codes` are those of the rules that count, all by default."""
    findings = []
    if codes is None:
        always, by_word = _rows()
        codes = always.union(*[by_word[word] for word in source.words if by_word[word]])
        if source.own_imports and source.pipelines:
            codes = codes.union(PUBLISHING)
    for code in codes:
        row = RULES[code]
        assert row.check is not None
        for one in row.check(source):
            line, column, cell = _position(source, one.node)
            why = row.why.format(**one.words) if "{" in row.why else row.why
            mend = one.mend or row.mend.format(**one.words)
            edit = None if isinstance(source, Notebook) else one.edit
            findings.append(Finding(row.code, row.name, why, mend, source.place, line, column, cell, edit))
    return findings


def _place(source: SourceFile, node: Any) -> Finding:
    """Return a finding that has only its place."""
    return Finding("", "", "", "", source.place, *_position(source, node))


def _position(source: SourceFile, node: Any) -> tuple[int, int, int | None]:
    """Return line, column and, in a notebook, the cell of a node."""
    line, column = node.lineno, source.column(node.lineno, node.col_offset) + 1
    if source.__class__ is Notebook:
        cell = next(one for one in reversed(source.cells) if one.first <= line)
        return line - cell.first + 1, column, cell.number
    return line, column, None


def _read_comments(source: SourceFile, report: Report, ignores: dict[str, dict[int, set[str]]]) -> None:
    """Enter the codes that comments silence, by line of the file (of a notebook: of all its cells), and complaints."""
    if b"pipe:" not in source.data:
        return
    import tokenize

    silenced = ignores.setdefault(source.place, {})
    text = decoded(source.data)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        match = _IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
        if match is None:
            continue
        codes = {code.strip() for code in (match[1] or "").split(",") if code.strip()}
        unknown = sorted(codes - RULES.keys())
        reason = _REASON.fullmatch(match[2])
        what = None
        if not codes:
            what = "which: it silences nothing"
        elif unknown:
            what = f"what it could mean: there is no rule {unknown[0]}"
        elif reason is None or not reason[2]:
            what = "why"
        node = ast.Constant("", lineno=token.start[0], col_offset=len(token.line[: token.start[1]].encode()))
        place = _place(source, node)
        silenced[_key(place)] = codes
        if what is not None:
            complaint = found("PS002", Path(source.place), what=what)
            report.findings.append(complaint._replace(line=place.line, column=place.column, cell=place.cell))


def _key(place: Finding) -> int:
    return (place.cell or 0) * 10_000_000 + place.line


def _is_ignored(one: Finding, ignores: dict[str, dict[int, set[str]]]) -> bool:
    return one.place is not None and one.code in ignores.get(one.place, {}).get(_key(one), ())


# ---- Several files ----------------------------------------------------------------------------------------------


def _registrations(source: SourceFile) -> Iterator[_Registration]:
    """Yield the classes that a file registers with transformers' registry, or with pipesmith's."""
    for call, scope in source.calls.get("register_pipeline", ()):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        task = call.args[0] if call.args else given.get("task")
        cls = call.args[1] if len(call.args) > 1 else given.get("pipeline_class")
        resolved = source.find_class(cls) if isinstance(cls, (ast.Name, ast.Attribute)) else None
        if isinstance(resolved, tuple) and isinstance(task, ast.Constant) and not scope.guarded:
            yield _Registration(_class_key(*resolved), str(task.value), _place(source, call))


def _subclasses(source: SourceFile) -> Iterator[_Subclass]:
    for cls in source.classes.values():
        for base in cls.bases:
            resolved = source.find_class(base)
            if isinstance(resolved, tuple) and resolved[1] is not cls and source.is_pipeline(cls):
                yield _Subclass(_class_key(source, cls), _class_key(*resolved), _place(source, cls))


def _class_key(source: SourceFile, cls: ast.ClassDef) -> str:
    return f"{source.where}:{cls.name}"


def _between_files(registrations: Iterable[_Registration], subclasses: Iterable[_Subclass]) -> Iterator[Finding]:
    by_class: dict[str, list[_Registration]] = {}
    for one in registrations:
        by_class.setdefault(one.key, []).append(one)
    for key, several in by_class.items():
        tasks = list(dict.fromkeys(one.task for one in several))
        if len(tasks) > 1:
            words = {"name": key.rpartition(":")[2], "tasks": " and ".join(tasks)}
            yield _at(several[-1].place, "PS208", **words)
    is_base = {one.base for one in subclasses}
    for sub in subclasses:
        if sub.base in by_class and sub.key not in by_class and sub.key not in is_base:
            names = (key.rpartition(":")[2] for key in (sub.key, sub.base))
            yield _at(sub.place, "PS209", **dict(zip(("name", "base"), names)))


def _at(place: Finding, code: str, **words: str) -> Finding:
    return found(code, place.path, place.line, place.column, **words)._replace(cell=place.cell)


def _checkpoints(path: Path) -> Iterator[Finding]:
    """Yield what is wrong with the custom_pipelines of a checkpoint folder."""
    config = path / "config.json"
    try:
        entries = json.loads(config.read_bytes()).get("custom_pipelines") if path.is_dir() else None
    except (OSError, ValueError, AttributeError):
        return
    if not isinstance(entries, dict):
        return
    for task, entry in entries.items():
        impl = str(entry.get("impl")) if isinstance(entry, dict) else ""
        module = impl.rpartition(".")[0]
        if "--" in impl:  # another repository's
            continue
        problem = "a class of a script has no file" if module == "__main__" else f"there is no {module}.py"
        if module == "__main__" or not (path / f"{module}.py").is_file():
            yield found("PS213", config, task=str(task), impl=impl or "nothing", problem=problem)
    if entries and (path / "requirements.txt").is_file():
        yield found("PS212", path / "requirements.txt")
