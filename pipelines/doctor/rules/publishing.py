"""Rules about code that works here and not from the Hub: what `save_pretrained` and `push_to_hub` leave behind."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from pipesmith.pipelines.doctor.finding import Hit, add_rule, hit, rule
from pipesmith.pipelines.doctor.source_file import OwnImports, SourceFile
from pipesmith.pipelines.source import absolute_module, relative_module

_COPIED = "save_pretrained copies the files that `from .name import ...` names, and finds them by a pattern"


PUBLISHING = ("PS201", "PS202", "PS203", "PS204")  # rules about the imports of what is published


def _own_imports(file: SourceFile) -> OwnImports:
    """Return what a file that is published imports of the user's own: statements, and the dotted names of modules."""
    return file.own_imports if file.published or file.pipelines else []


def imported_files(path: Path, imports: OwnImports) -> Iterator[str]:
    """Yield the user's own files that a published file imports; packages' `__init__.py` stay at home.

    Args:
        path: where the file lies.
        imports: those of the user's own files in it.
    """
    for node, module in imports:
        found = _located(path, node, module)
        if found is None or found.name == "__init__.py":
            several = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            yield from (
                str(one)
                for one in (_located(path, node, name) for name in several if isinstance(node, ast.ImportFrom))
                if one is not None and one.name != "__init__.py"
            )
        else:
            yield str(found)


def _located(path: Path, node: ast.Import | ast.ImportFrom, module: str) -> Path | None:
    if isinstance(node, ast.ImportFrom) and node.level:
        return relative_module(path, node.level, module)
    return absolute_module(module, path)[0]


@rule(
    "PS201",
    "module-import",
    f"{_COPIED}: `from . import {{name}}` is not seen, and the published pipeline lacks {{name}}.py.",
    "Write from .{name} import what you use.",
)
def module_import(file: SourceFile) -> Iterator[Hit]:
    """`from . import x`."""
    for node, _ in _own_imports(file):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and not node.module:
            yield from (hit(alias, name=alias.name) for alias in node.names)


@rule(
    "PS202",
    "nested-import",
    f"{_COPIED} into one folder: for .{{module}} it looks for a file named {{module}}.py, and fails.",
    "Move the file beside this one, and import it from there.",
)
def nested_import(file: SourceFile) -> Iterator[Hit]:
    """`from .sub.mod import x`, and `from .sub import x` of a folder."""
    for node, module in _own_imports(file):
        if isinstance(node, ast.ImportFrom) and node.level == 1 and module:
            found = _located(file.path, node, module)
            if "." in module or (found is not None and found.name == "__init__.py"):
                yield hit(node, module=module)


@rule(
    "PS203",
    "parent-import",
    f"{_COPIED} into one folder: an import from the folder above leads nowhere there.",
    "Move the file beside this one, and import it from there.",
)
def parent_import(file: SourceFile) -> Iterator[Hit]:
    """`from ..x import y`."""
    for node, _ in _own_imports(file):
        if isinstance(node, ast.ImportFrom) and node.level > 1:
            yield hit(node)


@rule(
    "PS204",
    "own-import",
    f"{_COPIED}: the absolute import of your own {{module}} is not among them, and the published pipeline lacks it.",
    "Import it relatively, from a file beside this one: from .{last} import ...",
)
def own_import(file: SourceFile) -> Iterator[Hit]:
    """`import helper` of a file beside this one, and `from my_package.helper import x`."""
    for node, name in _own_imports(file):
        if isinstance(node, ast.ImportFrom) and node.level:
            continue
        yield hit(node, module=name, last=name.rpartition(".")[2])


@rule(
    "PS207",
    "processor-not-saved",
    "save_pretrained of a pipeline saves model, tokenizer, feature_extractor and image_processor, not {name}: what is "
    "published cannot be loaded.",
    "Save it as well, in a save_pretrained of this class: super().save_pretrained(folder, **kwargs), then "
    "self.{name}.save_pretrained(folder).",
    words=("processor", "video_processor"),
)
def processor_not_saved(file: SourceFile) -> Iterator[Hit]:
    """self.processor and self.video_processor, in a pipeline class without a save_pretrained of its own."""
    seen = set()
    for name in ("processor", "video_processor"):
        for node, scope in sorted(file.attributes.get(name, ()), key=lambda one: one[0].lineno):
            key = (id(scope.cls), name)
            if scope.cls is None or key in seen or not isinstance(node.value, ast.Name) or node.value.id != "self":
                continue
            if file.is_pipeline(scope.cls) and not {"save_pretrained", name} & _defined(file, scope.cls):
                seen.add(key)
                yield hit(node, name=name)


def _defined(file: SourceFile, cls: ast.ClassDef) -> set[str]:
    return {name for name in ("save_pretrained", "processor", "video_processor") if file.defines(cls, name)}


@rule(
    "PS210",
    "class-of-a-script",
    "{name} stands in the script that saves it: of a class in __main__ the code is not copied, and config.json says "
    "__main__.{name}.",
    "Move the class to a file of its own, and import it here.",
    words=("save_pretrained", "push_to_hub"),
)
def class_of_a_script(file: SourceFile) -> Iterator[Hit]:
    """A pipeline class beside a top-level save_pretrained or push_to_hub."""
    saves = [*file.calls.get("save_pretrained", ()), *file.calls.get("push_to_hub", ())]
    if any(scope.function is None and scope.cls is None for _, scope in saves):
        for cls in file.pipelines:
            yield hit(cls, name=cls.name)


@rule(
    "PS211",
    "own-model-class",
    "{name} is no class of transformers: config.json will name it, and pipeline() looks for it in transformers alone.",
    "Register it with {name}.register_for_auto_class(...), and name the Auto class here.",
    words=("pt_model",),
)
def own_model_class(file: SourceFile) -> Iterator[Hit]:
    """`pt_model=` with a class of one's own, for transformers' registry."""
    for call, keyword, _ in file.keywords.get("pt_model", ()):
        if not file.dotted(call.func).startswith("transformers."):
            continue
        given = keyword.value.elts if isinstance(keyword.value, (ast.Tuple, ast.List)) else [keyword.value]
        for node in given:
            if isinstance(node, ast.Name) and isinstance(file.find_class(node), tuple):
                yield hit(node, name=node.id)


TWO_TASKS = add_rule(
    "PS208",
    "two-tasks-one-class",
    "{name} is registered for {tasks}: save_pretrained writes the last one only into config.json.",
    "Make a subclass for each task, and register each once.",
)
UNREGISTERED = add_rule(
    "PS209",
    "unregistered-subclass",
    "{name} inherits from {base}, which is registered, and is not registered itself: save_pretrained writes empty "
    "custom_pipelines.",
    "Register {name} for a task of its own.",
)
