"""The text of a registry file (`pipelines/__init__.py`) with an entry added, changed or removed.

Text in, text out: comments and formatting stay as they are, and nothing of the project is written. Reading what a
registry declares is `declarations/`.
"""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipesmith.pipelines.declarations import read_declarations
from pipesmith.pipelines.entries import DefaultModel, ModelClass, PipelineEntry, Place
from pipesmith.pipelines.errors import PipelineLoadError, ScaffoldError, TaskConflictError
from pipesmith.pipelines.source import ClassReference

if TYPE_CHECKING:
    import libcst as cst

REGISTRY_FILE = Path("pipelines/__init__.py")
_PARAMETERS = ("task", "pipeline_class", "pt_model", "tf_model", "default", "type")
_MODULES = ("pipesmith.pipelines", "pipesmith.pipelines.registry")
_IMPORT = "from pipesmith.pipelines import PIPELINE_REGISTRY"
_BY_HAND = "Write the entry as a call of its own, with its name as text, or change it by hand."


def add_entry(source: str, entry: PipelineEntry, file: Path = REGISTRY_FILE) -> str:
    """Return a registry file's text with an entry in it: a new one at the end, or the task's own brought up to date.

    What the entry leaves open (None, or empty) stays as it is written. The same entry again changes nothing.

    Args:
        source: the text, "" for a new file.
        entry: the file of its class is absolute, or relative to the registry's folder.
        file: where the text stands, or will: for messages, and for what the class is called from there.

    Raises:
        ScaffoldError: the text does not parse, or the task is registered in a way that cannot be edited.
        TaskConflictError: the name of another task differs only in case.
    """
    declared = _declared(source, file)
    for other in declared:
        if other.task != entry.task and other.task.casefold() == entry.task.casefold():
            raise TaskConflictError(
                f"{other.place} registers {other.task}, which differs from {entry.task} only in case.",
                hint="Choose another name: files and repositories do not always tell cases apart.",
            )
    wanted = _arguments(entry, file.parent)
    if not source:
        return f"{_IMPORT}\n\n{_call_text('PIPELINE_REGISTRY', entry.task, wanted)}\n"
    known = _one_of(entry.task, declared)
    if known is None:
        return _Text(source).with_new(entry.task, wanted)
    held = _arguments(known, file.parent)
    if _is_class_object(known, entry):
        wanted.pop("pipeline_class")
    changed = {name: value for name, value in wanted.items() if held.get(name) != value}
    if not changed:
        return source
    text = _Text(source)
    return text.with_changed(text.call_of(entry.task, known), changed)


def remove_entry(source: str, task: str, file: Path = REGISTRY_FILE) -> str:
    """Return a registry file's text without a task's entry. Comments stay; without such an entry nothing changes.

    Args:
        source: the text.
        task: the task's name.
        file: where the text stands, for messages.

    Raises:
        ScaffoldError: the text does not parse, or the task is registered in a way that cannot be edited.
    """
    known = _one_of(task, _declared(source, file))
    if known is None:
        return source
    text = _Text(source)
    return text.without(text.call_of(task, known))


def _declared(source: str, file: Path) -> Sequence[PipelineEntry]:
    """Read what a text registers: in place if it is the file's own, for the files that it imports, else by itself."""
    if not source:
        return ()
    try:
        if file.is_file() and file.read_bytes() == source.encode():
            return read_declarations(file, "project").entries
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / file.name
            copy.write_bytes(source.encode())
            try:
                entries = read_declarations(copy, "project").entries
            except PipelineLoadError as error:
                error.message = error.message.replace(str(copy), str(file))
                raise
            return [_moved(entry, Path(folder), file) for entry in entries]
    except PipelineLoadError as error:
        raise ScaffoldError(error.message, hint=error.hint) from error


def _moved(entry: PipelineEntry, folder: Path, registry: Path) -> PipelineEntry:
    """Return an entry that was read in a folder of its own as if it had been read where its registry stands."""

    def moved(value: ModelClass) -> ModelClass:
        if isinstance(value, ClassReference) and value.file is not None and folder in value.file.parents:
            return replace(value, file=value.file.relative_to(folder))
        return value

    pipeline_class = moved(entry.pipeline_class)
    assert not isinstance(pipeline_class, str)
    return replace(
        entry,
        pipeline_class=pipeline_class,
        pt_model=tuple(map(moved, entry.pt_model)),
        tf_model=tuple(map(moved, entry.tf_model)),
        place=Place(registry, entry.place.line) if entry.place else None,
    )


def _one_of(task: str, declared: Sequence[PipelineEntry]) -> PipelineEntry | None:
    """Return the entry of a task; two of them cannot be edited."""
    entries = [entry for entry in declared if entry.task == task]
    if len({str(entry.place) for entry in entries}) > 1:
        places = " and ".join(dict.fromkeys(str(entry.place) for entry in entries))
        raise ScaffoldError(f"The task {task} is registered twice: {places}.", hint="Remove one of the two by hand.")
    return entries[0] if entries else None


def _arguments(entry: PipelineEntry, folder: Path) -> dict[str, str]:
    """Return the source of an entry's arguments by name, without those that it leaves open."""
    texts = {
        "pipeline_class": _class_text(entry.pipeline_class, folder, is_absolute=entry.origin == "user"),
        "pt_model": _models_text(entry.pt_model, folder),
        "tf_model": _models_text(entry.tf_model, folder),
        "default": _default_text(entry.default),
        "type": _quoted(entry.type),
    }
    return {name: text for name, text in texts.items() if text}


def _is_class_object(known: PipelineEntry, entry: PipelineEntry) -> bool:
    """Tell whether a call gives the class itself, imported from a file that is not there to be read, by this name."""
    ours, theirs = entry.pipeline_class, known.pipeline_class
    return (
        isinstance(theirs, ClassReference)
        and theirs.file is None
        and theirs.name == getattr(ours, "name", getattr(ours, "__name__", ""))
    )


def _class_text(reference: ModelClass, folder: Path, *, is_absolute: bool = False) -> str:
    """Name a class as text: "module.Class" below the registry's folder, else "path/file.py:Class"."""
    if isinstance(reference, str):
        return _quoted(reference)
    if isinstance(reference, type):
        return _quoted(f"{reference.__module__}.{reference.__qualname__}")
    if reference.module is not None or reference.file is None:
        return _quoted(f"{reference.module}.{reference.name}" if reference.module else reference.name)
    file = reference.file
    if file.is_absolute() and not is_absolute:
        file = Path(os.path.relpath(file, folder.absolute()))
    parts = file.with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if parts and all(part.isidentifier() for part in parts):
        return _quoted(".".join([*parts, reference.name]))
    return _quoted(f"{file.as_posix()}:{reference.name}")


def _models_text(models: tuple[ModelClass, ...], folder: Path) -> str:
    texts = [_class_text(model, folder) for model in models]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})" if texts else ""


def _default_text(default: DefaultModel | None) -> str:
    if default is None:
        return ""
    if default.revision is None:
        return _quoted(default.model)
    return f'{{"pt": ({_quoted(default.model)}, {_quoted(default.revision)})}}'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _call_text(registry: str, task: str, arguments: dict[str, str]) -> str:
    lines = [_quoted(task), *(f"{name}={text}" for name, text in arguments.items())]
    return f"{registry}.register_pipeline(\n" + "".join(f"    {line},\n" for line in lines) + ")"


@dataclass(frozen=True)
class _Call:
    """A call of `register_pipeline` that is a statement of its own, its name written as text."""

    node: cst.Call
    statement: cst.Expr
    line: cst.SimpleStatementLine
    block: cst.Module | cst.IndentedBlock


class _Text:
    """A registry file's text and its tree."""

    def __init__(self, source: str) -> None:
        import libcst as cst

        self.source = source
        self.module = cst.parse_module(source)

    def call_of(self, task: str, entry: PipelineEntry) -> _Call:
        """Find the call that registers a task.

        Raises:
            ScaffoldError: it is in a loop or a function, or in another file.
        """
        calls = _editable_calls(self.module, task)
        if len(calls) == 1:
            return calls[0]
        raise ScaffoldError(
            f"{entry.place} registers {task} in a loop, a function or another file, which cannot be edited.",
            hint=_BY_HAND,
        )

    def with_changed(self, call: _Call, changed: dict[str, str]) -> str:
        import libcst as cst

        args = list(call.node.args)
        if any(arg.star for arg in args):
            line = self.source[: self.source.find(self.module.code_for_node(call.statement))].count("\n") + 1
            raise ScaffoldError(
                f"The arguments of line {line} are not written out and cannot be edited.", hint=_BY_HAND
            )
        for name, text in changed.items():
            value = cst.parse_expression(text)
            for index, arg in enumerate(args):
                if (arg.keyword.value if arg.keyword else _PARAMETERS[index]) == name:
                    args[index] = arg.with_changes(value=value)
                    break
            else:
                args = _with_keyword(args, name, value)
        return self.module.with_deep_changes(call.node, args=args).code

    def with_new(self, task: str, arguments: dict[str, str]) -> str:
        import libcst as cst

        registry, module = _registry(self.module, self.source)
        call = _call_text(registry, task, arguments)
        statement = cst.parse_statement(call, config=module.config_for_parsing)
        body = list(module.body)
        after_block = bool(body) and isinstance(body[-1], (cst.FunctionDef, cst.ClassDef))
        blank = [cst.EmptyLine(indent=False)] * (2 if after_block else 1 if body else 0)
        leading = [*module.footer, *blank]  # comments at the end stay before it
        body.append(statement.with_changes(leading_lines=leading))
        return module.with_changes(body=body, footer=[], has_trailing_newline=True).code

    def without(self, call: _Call) -> str:
        import libcst as cst

        if len(call.line.body) > 1:  # several statements on one line
            rest = [one for one in call.line.body if one is not call.statement]
            rest[-1] = rest[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)
            return self.module.with_deep_changes(call.line, body=rest).code
        body = list(call.block.body)
        index = body.index(call.line)
        comments = [line for line in call.line.leading_lines if line.comment is not None]
        trailing = call.line.trailing_whitespace.comment
        if trailing is not None:
            comments.append(cst.EmptyLine(comment=trailing))
        if len(body) == 1 and isinstance(call.block, cst.IndentedBlock):
            passing = cst.parse_statement("pass").with_changes(leading_lines=comments)
            return self.module.with_deep_changes(call.block, body=[passing]).code
        kept = [*call.line.leading_lines, *comments[-1:]] if trailing is not None else call.line.leading_lines
        del body[index]
        if not comments:
            pass
        elif index < len(body):
            after = list(getattr(body[index], "leading_lines", []))
            body[index] = body[index].with_changes(leading_lines=[*kept, *after])
        else:
            return self.module.with_deep_changes(call.block, body=body, footer=[*kept, *call.block.footer]).code
        return self.module.with_deep_changes(call.block, body=body).code


def _editable_calls(module: cst.Module, task: str) -> list[_Call]:
    """Find the calls that register a task, outside loops and functions."""
    import libcst as cst

    found: list[_Call] = []
    blocks: list[cst.Module | cst.IndentedBlock] = [module]
    while blocks:
        block = blocks.pop()
        for line in block.body:
            if isinstance(line, cst.SimpleStatementLine):
                for statement in line.body:
                    call = statement.value if isinstance(statement, cst.Expr) else None
                    if isinstance(call, cst.Call) and isinstance(statement, cst.Expr) and _task_of(call) == task:
                        found.append(_Call(call, statement, line, block))
            elif not isinstance(line, (cst.For, cst.While, cst.FunctionDef)):
                blocks += _blocks(line)
    return found


def _blocks(statement: cst.CSTNode) -> list[cst.IndentedBlock]:
    """Return the indented blocks of an `if`, `try` or `with`, branches included."""
    import libcst as cst

    found: list[cst.IndentedBlock] = []
    for child in statement.children:
        if isinstance(child, cst.IndentedBlock):
            found.append(child)
        elif isinstance(child, (cst.If, cst.Else, cst.ExceptHandler, cst.Finally)):
            found += _blocks(child)
    return found


def _task_of(call: cst.Call) -> str | None:
    """Return the task that a call registers, if it is written as text."""
    import libcst as cst

    function = call.func
    name = function.attr.value if isinstance(function, cst.Attribute) else getattr(function, "value", "")
    if "register" not in str(name):
        return None
    for index, arg in enumerate(call.args):
        is_task = arg.keyword.value == "task" if arg.keyword else index == 0 and not arg.star
        if is_task and isinstance(arg.value, (cst.SimpleString, cst.ConcatenatedString)):
            value = arg.value.evaluated_value
            return value if isinstance(value, str) else None
    return None


def _with_keyword(args: list[cst.Arg], name: str, value: cst.BaseExpression) -> list[cst.Arg]:
    """Add a keyword argument in the layout of the others, before the last one, which keeps what follows it."""
    import libcst as cst

    separator = args[0].comma if len(args) > 1 else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    if isinstance(separator, cst.Comma) and isinstance(separator.whitespace_after, cst.ParenthesizedWhitespace):
        space = separator.whitespace_after.with_changes(first_line=cst.TrailingWhitespace(), empty_lines=[])
        separator = separator.with_changes(whitespace_after=space)  # without the comment of its own argument
    bare = cst.SimpleWhitespace("")
    equal = cst.AssignEqual(whitespace_before=bare, whitespace_after=bare)
    added = cst.Arg(keyword=cst.Name(name), value=value, equal=equal)
    if args[-1].keyword is not None:
        return [*args[:-1], added.with_changes(comma=separator), args[-1]]
    return [*args[:-1], args[-1].with_changes(comma=separator), added.with_changes(comma=args[-1].comma)]


def _registry(module: cst.Module, source: str) -> tuple[str, cst.Module]:
    """Return the name that pipesmith's registry has at the top of a module, and the module, imported if need be."""
    import libcst as cst

    bound: list[str] = []
    names: list[str] = []
    for statement in ast.parse(source).body:
        for node in ast.walk(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                bound += [alias.asname or alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.append(node.id)
        if isinstance(statement, ast.ImportFrom) and statement.module in _MODULES and not statement.level:
            names += [alias.asname or alias.name for alias in statement.names if alias.name == "PIPELINE_REGISTRY"]
    for name in names:
        if bound.count(name) == 1:
            return name, module
    taken = "PIPELINE_REGISTRY" in bound  # transformers' own, perhaps, which refuses names as text
    name = "PIPESMITH_REGISTRY" if taken else "PIPELINE_REGISTRY"
    text = _IMPORT + (f" as {name}" if taken else "")
    added = cst.parse_statement(text, config=module.config_for_parsing)
    index, follows_import = _import_index(module)
    body = list(module.body)
    blank = cst.EmptyLine(indent=False)
    if index and not follows_import:
        added = added.with_changes(leading_lines=[blank])
    if index < len(body) and not _is_import(body[index]) and not _starts_blank(body[index]):
        body[index] = body[index].with_changes(leading_lines=[blank, *body[index].leading_lines])
    body.insert(index, added)
    return name, module.with_changes(body=body)


def _import_index(module: cst.Module) -> tuple[int, bool]:
    """Return where an import goes: after the docstring, `__future__` and absolute imports; and if one precedes."""
    import libcst as cst

    index, follows = 0, False
    for position, line in enumerate(module.body):
        if position == 0 and module.get_docstring() is not None:
            index = 1
        elif not _is_import(line):
            break
        else:
            assert isinstance(line, cst.SimpleStatementLine)
            first = line.body[0]
            if isinstance(first, cst.ImportFrom) and first.relative:
                continue
            is_future = isinstance(first, cst.ImportFrom) and getattr(first.module, "value", "") == "__future__"
            index, follows = position + 1, not is_future
    return index, follows


def _is_import(line: cst.CSTNode) -> bool:
    import libcst as cst

    return isinstance(line, cst.SimpleStatementLine) and isinstance(line.body[0], (cst.Import, cst.ImportFrom))


def _starts_blank(line: cst.CSTNode) -> bool:
    leading = list(getattr(line, "leading_lines", []))
    return bool(leading) and leading[0].comment is None
