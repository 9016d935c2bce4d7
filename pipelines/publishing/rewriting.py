"""The text of a user's file with its imports of other files changed to relative ones in one flat folder.

All else stays as it is, comments and line numbers of what is not an import too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.publishing.imports import Imported, read_text
from pipesmith.pipelines.source import module_file, parse

Edit = tuple[int, int, bytes]  # where from, where to (bytes), and what is written there


def rewritten(file: Path, imports: Sequence[Imported], names: Mapping[Path, str]) -> str:
    """Return a file's text as it is published.

    Args:
        file: the file.
        imports: what `read_imports` found in it.
        names: the module name of each published file.

    Raises:
        PublishError: a name is used in a way that only folders allow.
    """
    text = read_text(file).replace("\r\n", "\n").replace("\r", "\n").encode()
    tree = parse(file)
    lines = [0]
    for line in text.split(b"\n"):
        lines.append(lines[-1] + len(line) + 1)

    def span(node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return lines[node.lineno - 1] + node.col_offset, lines[node.end_lineno - 1] + node.end_col_offset

    chains = _Chains(file, tree, imports, names)
    edits: list[Edit] = [(*span(node), alias.encode()) for node, alias in chains.uses()]
    by_statement: dict[ast.stmt, list[Imported]] = {}
    for one in imports:
        by_statement.setdefault(one.statement, []).append(one)
    for statement, found in by_statement.items():
        if any(one.file is not None or one.is_missing for one in found):
            changed = _statement(found, names, chains)
            if changed != ast.unparse(statement):
                edits.append((*span(statement), changed.encode()))
    _check_attributes(file, tree, imports, chains.followed)
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text.decode()


def _statement(found: Sequence[Imported], names: Mapping[Path, str], chains: _Chains) -> str:
    """Write an import statement anew: one or several, on one line."""
    written: list[str] = []
    members: dict[str, list[str]] = {}
    packages: list[str] = []
    for one in found:
        if one.is_missing:
            return f'raise ImportError("{one.alias.name} is not published")'
        for init in one.before:
            written.append(f"from . import {names[init]} as _{names[init]}")
        if one.file is None:
            packages.append(ast.unparse(one.alias))
        elif one.member is None:
            written.append(_of_module(one, names[one.file], chains))
        else:
            members.setdefault(names[one.file], []).append(ast.unparse(one.alias))
    if packages:
        written.insert(0, f"import {', '.join(packages)}")
    written += [f"from .{module} import {', '.join(taken)}" for module, taken in members.items()]
    return "; ".join(_joined(dict.fromkeys(written)))


def _of_module(one: Imported, module: str, chains: _Chains) -> str:
    name = chains.alias(one) or one.alias.asname or one.alias.name
    return f"from . import {module}" + (f" as {name}" if name != module else "")


def _joined(statements: Mapping[str, None]) -> Iterator[str]:
    """Join statements `from . import a`, `from . import b` that follow each other into one, as people write them."""
    held: list[str] = []
    for statement in statements:
        if statement.startswith("from . import "):
            held.append(statement.removeprefix("from . import "))
            continue
        if held:
            yield f"from . import {', '.join(held)}"
            held = []
        yield statement
    if held:
        yield f"from . import {', '.join(held)}"


class _Chains:
    """The uses of modules imported as `import a.b`, which Python writes as `a.b.name`."""

    def __init__(self, file: Path, tree: ast.Module, imports: Sequence[Imported], names: Mapping[Path, str]) -> None:
        self.file = file
        self.tree = tree
        self.followed: set[ast.AST] = set()  # filled by `uses`
        plain = [one for one in imports if one.file and isinstance(one.statement, ast.Import) and not one.alias.asname]
        self.roots = {one.alias.name.partition(".")[0] for one in plain if "." in one.alias.name}
        self.aliases = {
            one.alias.name: f"_{names[one.file]}"
            for one in plain
            if one.file and one.alias.name.partition(".")[0] in self.roots
        }

    def alias(self, one: Imported) -> str | None:
        """Return the name that a module is bound to instead of a dotted one; None if it keeps its own."""
        if one.alias.asname or not isinstance(one.statement, ast.Import):
            return None
        return self.aliases.get(one.alias.name)

    def uses(self) -> Iterator[tuple[ast.expr, str]]:
        """Yield the expressions that name such a module, and what is written for each."""
        if not self.roots:
            return
        for node in ast.walk(self.tree):  # outer expressions come first
            if node in self.followed or not isinstance(node, (ast.Attribute, ast.Name)):
                if isinstance(node, ast.arg) and node.arg in self.roots:
                    raise self._refusal(node.lineno, node.arg)
                continue
            chain = [node]
            while isinstance(chain[-1], ast.Attribute) and isinstance(chain[-1].value, (ast.Attribute, ast.Name)):
                chain.append(chain[-1].value)
            last = chain[-1]
            self.followed.update(chain)
            if not isinstance(last, ast.Name) or last.id not in self.roots:
                continue
            named = next((one for one in chain if ast.unparse(one) in self.aliases), None)
            if named is None or not isinstance(last.ctx, ast.Load):
                raise self._refusal(last.lineno, last.id)
            yield named, self.aliases[ast.unparse(named)]

    def _refusal(self, line: int, root: str) -> PublishError:
        module = next(name for name in self.aliases if name.partition(".")[0] == root)
        return PublishError(
            f"{self.file}:{line} uses the name {root} of `import {module}` in a way that is not followed.",
            hint=f"Write `import {module} as {module.rpartition('.')[2]}`, and use that name.",
        )


def _check_attributes(file: Path, tree: ast.Module, imports: Sequence[Imported], followed: set[ast.AST]) -> None:
    """Refuse `package.module` where the package's `__init__` does not bind it: in a flat folder it is not there."""
    packages: dict[str, tuple[Path, str]] = {}
    for one in imports:
        is_package = one.file is not None and one.file.name == "__init__.py" and one.member is None
        if is_package and one.file is not None and "." not in (one.alias.asname or one.alias.name):
            packages[one.alias.asname or one.alias.name] = one.file, _dotted(one)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name) or node in followed:
            continue
        init, dotted = packages.get(node.value.id, (None, ""))
        if init is None or module_file(init.parent / node.attr) is None or _names(init, node.attr):
            continue
        raise PublishError(
            f"{file}:{node.lineno} uses {node.value.id}.{node.attr}, a module of a package, as an attribute.",
            hint=f"Import the module itself: from {dotted} import {node.attr}",
        )


def _dotted(one: Imported) -> str:
    """Return the name of an imported package, as another import statement would write it."""
    if isinstance(one.statement, ast.Import):
        return one.alias.name
    dots = "." * one.statement.level
    return f"{dots}{one.statement.module}.{one.alias.name}" if one.statement.module else f"{dots}{one.alias.name}"


def _names(init: Path, name: str) -> bool:
    """Tell whether a package's `__init__` itself binds a name."""
    bound: set[str] = set()
    for node in ast.walk(parse(init)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return name in bound
