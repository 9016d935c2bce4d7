"""The four methods, and what `_sanitize_parameters` routes to them."""

from __future__ import annotations

import ast
import inspect
from contextlib import suppress
from typing import Any

from pipesmith.pipelines.names import counted
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject

_STAGES = ("preprocess", "_forward", "postprocess")


@check(
    "four-methods",
    why="transformers calls these four methods with these arguments, and nothing else of the class.",
    hint="Write _sanitize_parameters, preprocess, _forward and postprocess as the guide to custom pipelines does: "
    "each stage takes its input first, and what else it takes has a default.",
    needs_run=False,
)
def four_methods(subject: Subject) -> Verdict | None:
    """Look at the methods as they are written."""
    signature = subject.signature
    if signature is None:
        return not_applicable("the source of the class was not found")
    if signature.missing_methods:
        return fail(f"{signature.class_name} lacks {' and '.join(signature.missing_methods)}", at=subject.place())
    for stage in _STAGES:
        method = subject.method(stage)
        if method is None:
            continue
        if isinstance(method, ast.AsyncFunctionDef):
            return fail(f"{stage} is an async function, which nobody awaits", at=subject.place(stage))
        positional = [*method.args.posonlyargs, *method.args.args]
        if not any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in method.decorator_list):
            positional = positional[1:]
        if not positional and method.args.vararg is None:
            return fail(f"{stage} takes no input", at=subject.place(stage))
    method = subject.method("_sanitize_parameters")
    for node in _own_nodes(method) if method is not None else ():
        if isinstance(node, ast.Return) and _is_wrong_return(node):
            got = counted(len(node.value.elts), "value") if isinstance(node.value, ast.Tuple) else "something else"
            return fail(
                "_sanitize_parameters does not return the parameters of the three stages",
                at=f"{subject.place('_sanitize_parameters').rpartition(':')[0]}:{node.lineno}",
                expected="three dicts: for preprocess, _forward and postprocess",
                got=got,
            )
    return None


def _is_wrong_return(node: ast.Return) -> bool:
    if node.value is None or isinstance(node.value, (ast.Dict, ast.Constant, ast.List)):
        return True
    starred = isinstance(node.value, ast.Tuple) and any(isinstance(one, ast.Starred) for one in node.value.elts)
    return isinstance(node.value, ast.Tuple) and not starred and len(node.value.elts) != 3


def _own_nodes(method: ast.AST) -> list[ast.AST]:
    """Return what a function consists of, without functions inside it."""
    found, waiting = [], list(ast.iter_child_nodes(method))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            found.append(node)
            waiting += ast.iter_child_nodes(node)
    return found


@check(
    "routes-parameters",
    why="A parameter that _sanitize_parameters forgets is accepted and does nothing: its user never learns why.",
    hint="Put the parameter into the dict of its stage in _sanitize_parameters, under the stage's name for it.",
)
def routes_parameters(subject: Subject) -> Verdict | None:
    """Follow every parameter from `_sanitize_parameters` to a stage, and every stage's parameter back."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    if subject.method("_sanitize_parameters") is None:
        return not_applicable("_sanitize_parameters is inherited from transformers")
    emitted = _emitted(subject)
    for stage, keys in zip(_STAGES, emitted):
        taken = subject.stage_parameters(stage)
        swallows = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values())
        for key in keys - set(taken):
            if not swallows:
                return fail(
                    f"_sanitize_parameters gives {stage} a parameter {key!r} that it does not take",
                    at=subject.place("_sanitize_parameters"),
                    expected=f"one of {', '.join(taken) or 'none'}",
                    got=key,
                )
    for parameter in subject.own_parameters:
        values = list(subject.working_values(parameter))
        if values and not any(_reaches_a_stage(subject, parameter.name, value) for value in values):
            parent = subject.inherited_from(parameter.name)
            if parent is not None and not any(_is_routed(parent, subject, parameter.name, value) for value in values):
                continue  # transformers' own class forgets it, too
            return fail(
                f"{parameter.name} is taken by _sanitize_parameters and reaches no stage",
                at=subject.place("_sanitize_parameters"),
                expected=f"{parameter.name} in one of the three dicts",
                got=f"nothing of it, whichever value is given ({', '.join(map(repr, values[:3]))})",
            )
    return _unreachable(subject, emitted)


def _is_routed(parent: Any, subject: Subject, name: str, value: Any) -> bool:
    """Tell whether a class of transformers itself hands a parameter to a stage."""
    found: list[Any] = []
    for parameters in ({name: value}, {}):
        with suppress(Exception):  # that class may refuse anything
            found.append([dict(stage) for stage in parent._sanitize_parameters(subject.pipe, **parameters)])
    return len(found) == 2 and any(set(given) - set(without) for given, without in zip(*found))


def _emitted(subject: Subject) -> list[set[str]]:
    """Return the keys that `_sanitize_parameters` gives to each stage, for any of its parameters."""
    found: list[set[str]] = [set(), set(), set()]
    given: list[dict[str, Any]] = [{}, subject.row_parameters(0)]
    given += [{one.name: value} for one in subject.own_parameters for value in subject.working_values(one)]
    for parameters in given:
        try:
            stages = subject.sanitized(**parameters)
        except Exception:  # alone it may mean nothing
            continue
        for keys, stage in zip(found, stages):
            keys.update(stage)
    return found


def _reaches_a_stage(subject: Subject, name: str, value: Any) -> bool:
    base = subject.row_parameters(0)
    base.pop(name, None)
    # One that only counts beside another: a delimiter, with `is_split_into_words`.
    switches = [one.name for one in subject.own_parameters if "bool" in one.type.kinds and one.name != name]
    for beside in ({}, *({switch: True} for switch in switches)):
        with suppress(Exception):
            without = subject.sanitized(**{**base, **beside})
            try:
                if subject.sanitized(**{**base, **beside, name: value}) != without:
                    return True
            except Exception:  # arrays compare element by element; and what is refused beside another is not forgotten
                return True
    return False


def _unreachable(subject: Subject, emitted: list[set[str]]) -> Verdict | None:
    """Look for a parameter of a stage that no call can set."""
    for stage, keys in zip(_STAGES, emitted):
        if subject.method(stage) is None:
            continue
        for name, parameter in subject.stage_parameters(stage).items():
            if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL) or name in keys:
                continue
            try:
                subject.sanitized(**{**subject.row_parameters(0), name: 1})
            except Exception:
                return warn(f"{stage} takes {name}, which no call can set", at=subject.place(stage))
            if _reaches_a_stage(subject, name, 1):
                continue
            return fail(
                f"{stage} takes {name}, and _sanitize_parameters drops it in silence",
                at=subject.place("_sanitize_parameters"),
                expected=f"{name} in the dict of {stage}",
                got="nothing of it",
            )
    return None


@check(
    "unknown-parameter",
    why="A misspelt parameter that is swallowed gives results that look right and are not what was asked for.",
    hint="Name the parameters in _sanitize_parameters and leave **kwargs out: Python then refuses others by itself.",
)
def unknown_parameter(subject: Subject) -> Verdict | None:
    """Give a parameter that cannot exist."""
    try:
        subject.sanitized(**subject.row_parameters(0), no_such_parameter_=1)
    except (TypeError, ValueError):
        return None
    found = subject.results(subject.rows(subject.inputs[:1], no_such_parameter_=1))[0]
    if found.error is not None:
        return None
    return warn(
        "an unknown parameter passes in silence",
        at=subject.place("_sanitize_parameters"),
        expected="TypeError",
        got="a result",
    )
