"""Docstrings read for what they say of parameters, in the styles of transformers, Google, numpy and Sphinx."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass

from pipesmith.pipelines.signature.constants import constant
from pipesmith.pipelines.signature.names import Function

# top_k (`int`, *optional*, defaults to 5): text      use_mtp: (`bool`):
_TYPED = re.compile(r"^(\s*)(?:[-*] )?[`*]*([A-Za-z_]\w*)[`*]*\s*:?\s*\((.*?)\)+\s*(?::\s*(.*)|)$")
_SPHINX = re.compile(r"^(\s*):param\s+(?:([^:]+?)\s+)?(\w+)\s*:\s*(.*)$")
_SPHINX_TYPE = re.compile(r"^\s*:type\s+(\w+)\s*:\s*(.*)$")
_NUMPY = re.compile(r"^(\s*)([A-Za-z_]\w*) : (\S.*)$")
_UNTYPED = re.compile(r"^(\s*)[`*]*([A-Za-z_]\w*)[`*]*\s*:\s+(\S+\s.*)$|^(\s+)([A-Za-z_]\w*):$")
_SENTENCE = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!etc)[.!?](?=\s+[A-Z`\"'(\[])")
_LONGEST = 200


@dataclass(frozen=True)
class Documented:
    """What a docstring says of one parameter: the text of its type ("" if none), and its first sentence."""

    type_text: str
    text: str


def docstring(node: ast.AST) -> str:
    """Return the docstring of a class or function, with the string literals in a class's decorators."""
    parts = []
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        parts.append(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        # transformers: @add_end_docstrings(build_pipeline_init_args(...), r"""more parameters""")
        for decorator in node.decorator_list:
            arguments = decorator.args if isinstance(decorator, ast.Call) else []
            parts += [inspect.cleandoc(text) for text in map(constant, arguments) if isinstance(text, str)]
    return "\n\n".join(part for part in parts if part)


def first_paragraph(node: ast.AST) -> str:
    """Return the first paragraph of a docstring as one line."""
    text = ast.get_docstring(node) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) else None
    return " ".join((text or "").split("\n\n")[0].split())


def documented(node: ast.ClassDef | Function) -> dict[str, Documented]:
    """Read the parameters that a class or function documents, by name."""
    return parse_docstring(docstring(node))


def parse_docstring(text: str) -> dict[str, Documented]:
    """Read the parameters that a docstring documents, by name."""
    lines = text.expandtabs().splitlines()
    found: dict[str, Documented] = {}
    types: dict[str, str] = {}
    for index, line in enumerate(lines):
        kind = _SPHINX_TYPE.match(line)
        if kind:
            types[kind[1]] = kind[2]
            continue
        entry = _entry(line)
        if entry is None or entry[1] in found:
            continue
        indent, name, type_text, start = entry
        found[name] = Documented(type_text, first_sentence(_continued(lines, index, indent, start)))
    for name, type_text in types.items():
        if name in found and not found[name].type_text:
            found[name] = Documented(type_text, found[name].text)
    return found


def _entry(line: str) -> tuple[int, str, str, str] | None:
    """Split a line that starts the description of a parameter: indent, name, type, first words."""
    match = _SPHINX.match(line)
    if match:
        return len(match[1]), match[3], match[2] or "", match[4]
    match = _TYPED.match(line)
    if match:
        return len(match[1]), match[2], match[3], match[4] or ""
    match = _NUMPY.match(line)
    if match:
        return len(match[1]), match[2], match[3], ""
    match = _UNTYPED.match(line)
    if match:
        return (len(match[1]), match[2], "", match[3]) if match[2] else (len(match[4]), match[5], "", "")
    return None


def _continued(lines: list[str], index: int, indent: int, start: str) -> str:
    """Collect a description: the lines below that are indented deeper, up to a blank line or a list."""
    words = [start] if start else []
    for line in lines[index + 1 :]:
        text = line.strip()
        if not text or len(line) - len(line.lstrip()) <= indent or text.startswith(("- ", "* ")):
            break
        words.append(text)
    return " ".join(" ".join(words).split())


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, at most about two lines long."""
    end = _SENTENCE.search(text)
    if end:
        text = text[: end.end()]
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rsplit(" ", 1)[0] + " ..."
    return text
