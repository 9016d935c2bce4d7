"""Parameters that pipelines pass on without naming them: the fields of GenerationConfig, and the tokenizer's."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipesmith.pipelines.signature.annotations import documented_type, value_type
from pipesmith.pipelines.signature.constants import constant
from pipesmith.pipelines.signature.conventions import conventional_type
from pipesmith.pipelines.signature.docstrings import parse_docstring
from pipesmith.pipelines.signature.parameter_types import NOTHING, TEXT, ParameterType
from pipesmith.pipelines.source import package_folder

_NO_FIELDS = ("transformers_version",)


@dataclass(frozen=True)
class PassedOn:
    """A parameter of `generate` or of the tokenizer."""

    name: str
    type: ParameterType
    doc: str


_SWITCH_OR_TEXT = ParameterType(kinds=("bool", "str"))
TOKENIZER_FIELDS = {
    field.name: field
    for field in (
        PassedOn("truncation", _SWITCH_OR_TEXT, "Cut a text that is longer than the model takes or than max_length."),
        PassedOn("max_length", ParameterType(kinds=("int",)), "The length in tokens to cut or to pad to."),
        PassedOn("padding", _SWITCH_OR_TEXT, 'Pad to the longest text, or with "max_length" to max_length.'),
        PassedOn("stride", ParameterType(kinds=("int",)), "Tokens that the parts of a text that is cut share."),
    )
}


def generation_fields() -> dict[str, PassedOn]:
    """Read the fields of the installed GenerationConfig, without importing it; empty if there is none."""
    folder = package_folder("transformers")
    file = folder / "generation" / "configuration_utils.py" if folder else None
    return _fields(file, file.stat().st_mtime_ns) if file is not None and file.is_file() else {}


@cache
def _fields(file: Path, _mtime: int) -> dict[str, PassedOn]:
    node = _class_head(file.read_text(encoding="utf-8"))
    if node is None:
        return {}
    documented = parse_docstring(ast.get_docstring(node) or "")
    found: dict[str, PassedOn] = {}
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "pop"):
            continue
        name = constant(call.args[0]) if call.args else None
        if not isinstance(name, str) or name.startswith("_") or name in _NO_FIELDS or name in found:
            continue
        entry = documented.get(name)
        kind = documented_type(entry.type_text) if entry else NOTHING
        if not kind.kinds and len(call.args) > 1:
            kind = value_type(constant(call.args[1]))
        if not kind.kinds:
            kind = conventional_type(name) or TEXT
        found[name] = PassedOn(name, kind, entry.text if entry else "")
    return found


def _class_head(text: str) -> ast.ClassDef | None:
    """Parse the class up to the end of its `__init__`: a seventh of the file's 100,000 characters or so."""
    start = text.find("\nclass GenerationConfig(") + 1
    init = text.find("\n    def __init__(", start)
    if not start or init < 0:
        return None
    end = text.find("\n    def ", init + 1)
    try:
        statement = ast.parse(textwrap.dedent(text[start:end])).body[0]
    except SyntaxError:
        return None
    return statement if isinstance(statement, ast.ClassDef) else None
