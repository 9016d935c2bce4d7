"""Parameters of a `_sanitize_parameters` and their ways into the stages: what `routing.py` finds."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from pipesmith.pipelines.signature.classes import ClassSource


@dataclass(frozen=True)
class Given:
    """A parameter that can be given.

    Args:
        name: its name.
        owner: the class whose `_sanitize_parameters` reads it.
        annotation: its annotation there.
        default: its default there, or None.
        file: the file that holds annotation and default.
    """

    name: str
    owner: ClassSource
    annotation: ast.expr | None
    default: object
    file: Path


@dataclass(frozen=True)
class Route:
    """One way of a parameter into a stage.

    Args:
        key: the argument of the stage; None if the parameter's own keys are merged in.
        is_same: whether the stage gets the parameter's value as it is, or a value that keeps its name.
        is_inner: whether the parameter is only part of what the argument holds: a key of a dictionary.
        by_default: whether the key is passed when no parameter is given (None: not known).
        default: what is passed then.
    """

    parameter: str
    stage: str
    key: str | None
    is_same: bool
    is_inner: bool
    by_default: bool | None
    default: object


@dataclass
class Routing:
    """Parameters of a `_sanitize_parameters` and their ways.

    Args:
        given: the parameters by name, in the order they are found.
        routes: their ways into the stages.
        keys: for each stage the keys written, whatever they are made of.
        rest: for each stage that unknown parameters reach, the names that do not get there.
        presets: values of keys that the method sets where unknown parameters go too.
        refused: unknown parameters raise a TypeError.
        used: parameters that are read at all.
        checks: closed sets of values that a check with `raise` shows.
        enums: enumerations that the method makes of a parameter: `Mode[mode.upper()]`.
        members: enumerations whose members the method puts in the place of a parameter.
        kinds: types that `isinstance` checks show; "list" if a single value is put into a list.
        unread: stages that may get more than was read: their names say what.
        unread_keys: for each stage the keys of values that are made of the var-keyword in a way that was not read, and
            whether they are passed when no parameter is given (None: not known).
        notes: what could not be read.
    """

    given: dict[str, Given] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    keys: dict[str, set[str]] = field(default_factory=dict)
    rest: dict[str, set[str]] = field(default_factory=dict)
    presets: dict[str, object] = field(default_factory=dict)
    refused: bool = False
    used: set[str] = field(default_factory=set)
    checks: dict[str, list[object]] = field(default_factory=dict)
    enums: dict[str, ast.ClassDef] = field(default_factory=dict)
    members: dict[str, ast.ClassDef] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    unread_keys: dict[str, dict[str, bool | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, file: Path, node: ast.AST, text: str) -> None:
        line = f"{file}:{getattr(node, 'lineno', 1)}: {text}"
        if line not in self.notes:
            self.notes.append(line)


def routes_of(routing: Routing, name: str) -> list[Route]:
    """Return the ways of one parameter."""
    return [route for route in routing.routes if route.parameter == name]
