"""Source of transformers with a task added to it: text in, text out, and every other byte stays.

Lines are put among others like them, where Python's own parser says that they stand. A version keeps its lists in its
own way; of each function None means that this version has no such list, or one that is not written an item a line.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipesmith.pipelines.scaffolding.answers import Answers
from pipesmith.pipelines.scaffolding.rendering import import_block

LICENCE = """\
# Copyright The HuggingFace Team. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""
_LISTED_TASK = re.compile(r'(\s*)- `"([a-z0-9-]+)"`')
_SECTIONS = {"text": "Natural Language Processing", "image": "Computer vision", "video": "Computer vision"}
_Edit = Callable[[str], str | None]


@dataclass(frozen=True)
class _Item:
    """An item of a list in source: what it is sorted by, and the node that it begins and ends with."""

    name: str
    first: ast.expr | ast.stmt | ast.alias
    last: ast.expr | ast.stmt | ast.alias


def supported_tasks(source: str) -> dict[str, str] | None:
    """Return the tasks of `SUPPORTED_TASKS`, each with the source of its class; None if there is no such list."""
    tasks = _assigned(ast.parse(source), "SUPPORTED_TASKS")
    if not isinstance(tasks, ast.Dict):
        return None
    return {_text(key): _value(value, "impl") for key, value in zip(tasks.keys, tasks.values, strict=True)}


def other_names(source: str) -> list[str]:
    """Return the names that mean another task, or one that this version has removed."""
    tables = (_items_of(_assigned(ast.parse(source), name)) for name in ("TASK_ALIASES", "REMOVED_TASKS"))
    return [item.name for items in tables for item in items or ()]


def has_tensorflow(source: str) -> bool:
    """Tell whether a `pipelines/__init__.py` has TensorFlow models: that of transformers 4."""
    return "is_tf_available" in _imported(ast.parse(source))


def with_task(source: str, answers: Answers, tf_models: Sequence[str]) -> tuple[str, list[str]]:
    """Return a `pipelines/__init__.py` with a task, and what of it could not be put there.

    Args:
        source: its text.
        answers: what the task is made from.
        tf_models: the TensorFlow classes that go with the model classes.
    """
    tree = ast.parse(source)
    is_lazy = isinstance(_assigned(tree, "_PIPELINE_CLASS_TO_MODULE"), ast.Dict)
    module, name = answers.module, answers.class_name
    edits: dict[str, _Edit] = {
        f"from .{module} import {name}": lambda text: _with_item(
            text, _relative_imports(ast.parse(text), is_lazy), module, f"from .{module} import {name}"
        )
    }
    if is_lazy:
        edits[f"{name} in _PIPELINE_CLASS_TO_MODULE"] = lambda text: _with_item(
            text,
            _items_of(_assigned(ast.parse(text), "_PIPELINE_CLASS_TO_MODULE")),
            name,
            f'"{name}": "transformers.pipelines.{module}",',
        )
    imported = _imported(tree)
    for models, origin in ((answers.model_classes, "modeling_auto"), (tf_models, "modeling_tf_auto")):
        for model in models:
            if model not in imported:
                edits[f"the import of {model}"] = lambda text, model=model, origin=origin: _with_item(  # type: ignore[misc]
                    text, _model_imports(ast.parse(text), origin), model, f"{model},"
                )
    impl = f'"transformers.pipelines.{module}.{name}"' if is_lazy else name
    entry = _entry(source, answers, impl, tf_models)
    edits[f"{answers.task} in SUPPORTED_TASKS"] = lambda text: _with_item(
        text, _items_of(_assigned(ast.parse(text), "SUPPORTED_TASKS")), answers.task, entry, at_end=True
    )
    text, missing = _edited(source, edits)
    return _with_listed_task(text, answers), missing


def with_public_name(source: str, name: str) -> tuple[str, list[str]]:
    """Return the main `__init__.py` with a public class of `pipelines`, and what could not be put there."""
    edits: dict[str, _Edit] = {
        f'{name} in _import_structure["pipelines"]': lambda text: _with_item(
            text, _public_names(ast.parse(text)), name, f'"{name}",'
        ),
        f"the import of {name} under TYPE_CHECKING": lambda text: _with_public_import(text, name),
    }
    return _edited(source, edits)


def with_documentation(text: str, name: str, type: str) -> str | None:
    """Return the page of the pipelines with a class, in the section of its type; None without that section."""
    if re.search(rf"(?m)^### {name}$", text):
        return text
    title = _SECTIONS.get(type, type.capitalize())
    section = re.search(rf"(?ims)^## {title}\n.*?(?=^## |\Z)", text)
    if section is None:
        return None
    entry = f"### {name}\n\n[[autodoc]] {name}\n    - __call__\n    - all\n\n"
    after = next((one for one in re.finditer(r"(?m)^### (\w+)", section[0]) if one[1] > name), None)
    place = section.start() + after.start() if after else section.end()
    before = text[:place] if after else text[:place].rstrip("\n") + "\n\n"
    return before + entry + text[place:] if text[place:] else before + entry.rstrip("\n") + "\n"


def with_relative_imports(source: str, pipelines: Path) -> str:
    """Return a pipeline's module with its imports from transformers as modules of `pipelines` write them.

    Args:
        source: the module's text.
        pipelines: the folder of the pipelines.
    """
    nodes = [node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not nodes:
        return source
    moved = []
    for node in nodes:
        if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != "transformers":
            moved.append(ast.unparse(node))
            continue
        for alias in node.names:
            home = _home(alias.name, node.module or "", pipelines)
            moved.append(f"from {home} import {ast.unparse(alias)}")
    lines = source.split("\n")
    lines[nodes[0].lineno - 1 : nodes[-1].end_lineno] = [import_block("\n".join(moved))]
    return with_blank_lines("\n".join(lines))


def with_blank_lines(source: str) -> str:
    """Return a module's text with two blank lines after its imports, as transformers has them."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if not nodes:
        return source
    lines = source.split("\n")
    end = nodes[-1].end_lineno or 0
    return "\n".join(lines[:end]) + "\n\n\n" + "\n".join(lines[end:]).lstrip("\n")


def _home(name: str, module: str, pipelines: Path) -> str:
    if module.startswith("transformers.pipelines."):
        return module.removeprefix("transformers.pipelines")
    if module != "transformers":
        return "." + module.removeprefix("transformers")
    for file in [pipelines / "base.py", *sorted(pipelines.glob("*.py"))]:
        if re.search(rf"(?m)^class {name}\b", file.read_text(encoding="utf-8")):
            return f".{file.stem}"
    return module


def _edited(source: str, edits: dict[str, _Edit]) -> tuple[str, list[str]]:
    """Make one edit after another, and return the text and the names of those that could not be made."""
    missing = []
    for what, edit in edits.items():
        text = edit(source)
        if text is None:
            missing.append(what)
        else:
            source = text
    return source, missing


def _with_item(source: str, items: list[_Item] | None, name: str, text: str, *, at_end: bool = False) -> str | None:
    """Put lines among items that are sorted by name, or at their end; a name that is there already stays as it is."""
    if not items:
        return None
    if any(item.name == name for item in items):
        return source
    lines = source.split("\n")
    after = None if at_end else next((item for item in items if _order(item.name) > _order(name)), None)
    if after is not None:
        place, indent = after.first.lineno - 1, after.first.col_offset
        is_alone = not lines[place][:indent].strip()
    else:
        last = items[-1]
        place, indent = last.last.end_lineno or 0, last.first.col_offset
        rest = lines[place - 1].encode()[last.last.end_col_offset :].decode().strip()
        ends_well = not rest if isinstance(last.last, ast.stmt) else re.fullmatch(r",(\s*#.*)?", rest)
        is_alone = bool(ends_well) and not lines[last.first.lineno - 1][:indent].strip()
    if not is_alone:
        return None
    return "\n".join([*lines[:place], *(" " * indent + line for line in text.split("\n")), *lines[place:]])


def _order(name: str) -> tuple[bool, str]:
    """Return what ruff sorts names by: classes before functions."""
    return name[:1].islower(), name.casefold()


def _entry(source: str, answers: Answers, impl: str, tf_models: Sequence[str]) -> str:
    """Write an entry of SUPPORTED_TASKS as this version does."""
    tasks = _assigned(ast.parse(source), "SUPPORTED_TASKS")
    model = ""
    if answers.default:
        model = f"({json.dumps(answers.default)}, {json.dumps(answers.revision)})"
        if (
            isinstance(tasks, ast.Dict)
            and tasks.values
            and _value(tasks.values[0], "default").startswith("{'model': {")
        ):
            frameworks = ["pt", *(["tf"] if tf_models else [])]
            model = "{" + ", ".join(f'"{framework}": {model}' for framework in frameworks) + "}"
    lines = [
        f'"{answers.task}": {{',
        f'    "impl": {impl},',
        f'    "tf": {_models(tf_models, "tf")},' if has_tensorflow(source) else "",
        f'    "pt": {_models(answers.model_classes, "torch")},',
        f'    "default": {{"model": {model}}},' if model else "",
        f'    "type": "{answers.type}",',
        "},",
    ]
    return "\n".join(filter(None, lines))


def _models(names: Sequence[str], framework: str) -> str:
    return f"({', '.join(names)},) if is_{framework}_available() else ()" if names else "()"


def _with_listed_task(source: str, answers: Answers) -> str:
    """Name a task in the lists of tasks that docstrings hold."""
    lines = source.split("\n")
    place = 0
    while place < len(lines):
        first = _LISTED_TASK.match(lines[place])
        end = place + 1
        if first is not None:
            while end < len(lines) and lines[end].strip():
                end += 1
            matches = [(number, _LISTED_TASK.match(lines[number])) for number in range(place, end)]
            listed = [(number, match[2]) for number, match in matches if match]
            if len(listed) > 5 and answers.task not in dict(listed).values() and listed[0][1] == "audio-classification":
                number = next((number for number, task in listed if task > answers.task), end)
                returned = f": will return a [`{answers.class_name}`]." if "will return" in lines[place] else ""
                lines.insert(number, f'{first[1]}- `"{answers.task}"`{returned}')
                end += 1
        place = end
    return "\n".join(lines)


def _with_public_import(source: str, name: str) -> str | None:
    nodes = [
        node
        for node in _under_type_checking(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module == "pipelines"
    ]
    if not nodes:
        return None
    named = f"{name} as {name}" if nodes[0].names[0].asname else name
    if len(nodes) == 1:
        return _with_item(source, [_Item(one.name, one, one) for one in nodes[0].names], name, f"{named},")
    items = [_Item(node.names[0].name, node, node) for node in nodes]
    return _with_item(source, items, name, f"from .pipelines import {named}")


def _public_names(tree: ast.Module) -> list[_Item] | None:
    structure = _assigned(tree, "_import_structure")
    if isinstance(structure, ast.Dict):
        for key, value in zip(structure.keys, structure.values, strict=True):
            if _text(key) == "pipelines" and isinstance(value, ast.List):
                return [_Item(_text(one), one, one) for one in value.elts]
    return None


def _relative_imports(tree: ast.Module, is_lazy: bool) -> list[_Item]:
    body = _under_type_checking(tree) if is_lazy else tree.body
    return [
        _Item(node.module or "", node, node) for node in body if isinstance(node, ast.ImportFrom) and node.level == 1
    ]


def _model_imports(tree: ast.Module, origin: str) -> list[_Item] | None:
    """Return the names that are imported, if torch or TensorFlow is there, from a module of Auto classes."""
    for block in tree.body:
        for node in block.body if isinstance(block, ast.If) else ():
            if isinstance(node, ast.ImportFrom) and node.module == f"models.auto.{origin}":
                return [_Item(one.name, one, one) for one in node.names]
    return None


def _under_type_checking(tree: ast.Module) -> list[ast.stmt]:
    blocks = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return [node for block in blocks for node in block.body]


def _imported(tree: ast.Module) -> set[str]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def _assigned(tree: ast.Module, name: str) -> ast.expr | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            return node.value
    return None


def _items_of(node: ast.expr | None) -> list[_Item] | None:
    if not isinstance(node, ast.Dict):
        return None
    pairs = zip(node.keys, node.values, strict=True)
    return [_Item(_text(key), key, value) for key, value in pairs if key is not None]


def _value(node: ast.expr, key: str) -> str:
    """Return the source of what a dict in source has under a key; "" without it."""
    if isinstance(node, ast.Dict):
        for one, value in zip(node.keys, node.values, strict=True):
            if _text(one) == key:
                return ast.unparse(value)
    return ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
