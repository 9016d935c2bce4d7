"""Safe mends made with libcst: formatting stays, and a second time there is nothing left to do."""

from __future__ import annotations

import ast
import difflib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.doctor.edits import ChangeArguments, ChangeImport, Edit, Replace
from pipesmith.pipelines.doctor.finding import Finding
from pipesmith.pipelines.doctor.source_file import decoded
from pipesmith.pipelines.errors import OutputError

if TYPE_CHECKING:
    import libcst as cst


@dataclass(frozen=True)
class Mended:
    """A file as it would be.

    Args:
        path: the file.
        before: its bytes.
        after: its bytes with every safe mend.
        mends: how many there are.
    """

    path: Path
    before: bytes
    after: bytes
    mends: int

    def diff(self, name: str) -> str:
        """Return what changes as a unified diff, under a name for the file."""
        before, after = (decoded(data).splitlines(keepends=True) for data in (self.before, self.after))
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
        )

    def write(self) -> None:
        """Put the mended file in the place of the old one, at once.

        Raises:
            OutputError: it has changed since it was read, or cannot be written.
        """
        path = self.path.resolve()
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            if path.read_bytes() != self.before:
                raise OutputError(f"{path} has changed meanwhile, and stays as it is.", hint="Run again.")
            draft.write_bytes(self.after)
            shutil.copymode(path, draft)
            draft.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.", hint="Make it writable.") from error
        finally:
            draft.unlink(missing_ok=True)


def mend(findings: Iterable[Finding]) -> list[Mended]:
    """Make the safe mends of findings, without writing anything."""
    by_file: defaultdict[Path, list[Edit]] = defaultdict(list)
    for finding in findings:
        if finding.path is not None and finding.edit is not None:
            by_file[finding.path].append(finding.edit)
    mended = []
    for path, edits in by_file.items():
        before = path.read_bytes()
        after = _apply(before, edits)
        if after != before:
            mended.append(Mended(path, before, after, len(edits)))
    return mended


def _apply(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a file's bytes with edits made; as they are if libcst cannot read them."""
    import libcst as cst
    from libcst.metadata import MetadataWrapper

    try:
        module = cst.parse_module(data)
    except (cst.ParserSyntaxError, UnicodeDecodeError, RecursionError):  # newer syntax than libcst knows
        return data
    wrapper = MetadataWrapper(module)
    after: bytes = wrapper.visit(_mender(edits)).bytes
    bom = b"\xef\xbb\xbf"
    if data.startswith(bom) and not after.startswith(bom):
        after = bom + after
    ast.parse(after)  # a mend that does not parse would be a bug here: better said than written
    return after


def _mender(edits: Sequence[Edit]) -> Any:
    import libcst as cst
    from libcst.metadata import PositionProvider

    whole = {edit.span: edit for edit in edits if not isinstance(edit, (ChangeArguments, ChangeImport))}
    calls: defaultdict[tuple[int, ...], list[ChangeArguments]] = defaultdict(list)
    imports: defaultdict[tuple[int, ...], list[ChangeImport]] = defaultdict(list)
    for edit in edits:
        if isinstance(edit, ChangeArguments):
            calls[edit.span].append(edit)
        elif isinstance(edit, ChangeImport):
            imports[edit.span[:2]].append(edit)

    class Mender(cst.CSTTransformer):
        METADATA_DEPENDENCIES = (PositionProvider,)

        def __init__(self) -> None:
            super().__init__()
            self._quotes: list[str] = []  # of the f-strings around a node

        def _span(self, node: cst.CSTNode) -> tuple[int, int, int, int]:
            place = self.get_metadata(PositionProvider, node)
            return place.start.line, place.start.column, place.end.line, place.end.column

        def visit_FormattedString(self, node: cst.FormattedString) -> None:
            self._quotes.append(node.quote)

        def leave_FormattedString(
            self, original_node: cst.FormattedString, updated_node: cst.FormattedString
        ) -> cst.BaseExpression:
            self._quotes.pop()
            return updated_node

        def _is_fit(self, text: str) -> bool:
            """Tell whether a text may stand here: before Python 3.12 an f-string ends at the first of its quotes."""
            return not any(quote[0] in text for quote in self._quotes)

        def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
            edit = whole.get(self._span(original_node))
            if edit is None:
                return updated_node
            if isinstance(edit, Replace):
                text = next(filter(self._is_fit, (edit.text, edit.text.replace('"', "'"))), None)
                if text is None:  # between f-strings of both quotes
                    return updated_node
                made = cst.parse_expression(text)
                return made.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)
            return updated_node.value

        def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
            for edit in calls.get(self._span(original_node), ()):
                if not all(map(self._is_fit, edit.texts())):
                    continue
                updated_node = _changed_call(updated_node, edit)
            return updated_node

        def leave_SimpleStatementLine(
            self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
        ) -> Any:
            first = original_node.body[0]
            if len(original_node.body) != 1 or not isinstance(first, cst.ImportFrom):
                return updated_node
            changes = imports.get(self._span(first)[:2])
            return _changed_import(updated_node, changes) if changes else updated_node

    return Mender()


def _changed_call(call: cst.Call, edit: ChangeArguments) -> cst.Call:
    import libcst as cst

    changes, positional = dict(edit.changes), dict(edit.positional)
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    arguments: list[cst.Arg] = []
    for number, argument in enumerate(call.args):
        name = argument.keyword.value if argument.keyword is not None else positional.get(number)
        new = changes.get(name, ()) if name is not None else ()
        if new is None:
            if arguments and number == len(call.args) - 1:  # the last one: its comma and line break stay
                arguments[-1] = arguments[-1].with_changes(comma=argument.comma)
            continue
        if argument.keyword is None and number in positional:
            argument = argument.with_changes(keyword=cst.Name(positional[number]), equal=equal)
        if new:
            argument = argument.with_changes(keyword=cst.Name(new[0]), value=cst.parse_expression(new[1]))
        arguments.append(argument)
    for name, value in edit.added:
        arguments.append(cst.Arg(cst.parse_expression(value), cst.Name(name), equal=equal))
    return call.with_changes(args=arguments)


def _changed_import(line: cst.SimpleStatementLine, changes: Sequence[ChangeImport]) -> Any:
    """Return the statements in the place of one `from module import names`."""
    import libcst as cst

    statement = line.body[0]
    assert isinstance(statement, cst.ImportFrom)
    if isinstance(statement.names, cst.ImportStar) or statement.module is None:
        return line
    by_name = {change.name: change for change in changes}
    module = cst.Module([]).code_for_node(statement.module)
    kept, added = [], []
    moved: defaultdict[str, list[str]] = defaultdict(list)
    for alias in statement.names:
        change = by_name.get(str(alias.name.value))
        if change is None:
            kept.append(alias)
            continue
        bound = alias.asname.name.value if alias.asname is not None else change.name  # type: ignore[union-attr]
        if change.home is not None:
            moved[change.home[0]].append(change.home[1] if change.home[1] == bound else f"{change.home[1]} as {bound}")
        elif change.fallback is not None:
            name = change.name if bound == change.name else f"{change.name} as {bound}"
            body = "".join(f"    {text}\n" for text in change.fallback.split("\n"))
            library = "huggingface_hub 1" if module.startswith("huggingface_hub") else "transformers 5"
            guarded = f"try:\n    from {module} import {name}\nexcept ImportError:  # {library}\n{body}"
            added.append(cst.parse_statement(guarded))
    for home, names in moved.items():
        added.append(cst.parse_statement(f"from {home} import {', '.join(names)}\n"))
    statements: list[Any] = list(added)
    if kept:
        if len(kept) < len(statement.names) and kept[-1] is not statement.names[-1]:
            kept[-1] = kept[-1].with_changes(comma=statement.names[-1].comma)
        statements = [line.with_changes(body=[statement.with_changes(names=kept)]), *added]
    elif statements:
        statements[0] = statements[0].with_changes(leading_lines=line.leading_lines)
    return cst.FlattenSentinel(statements) if statements else cst.RemoveFromParent()
