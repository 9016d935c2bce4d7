"""Parameters at construction and at call: the same either way, and each call's own."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pipesmith.pipelines.engine import Row
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.signature import Parameter
from pipesmith.pipelines.testing.contract.comparing import difference, same, shown
from pipesmith.pipelines.testing.contract.isolation import in_copy
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject

_NO_PARAMETERS = "the task has no parameters of its own"


def _tried(
    subject: Subject, parameters: Sequence[Parameter] | None = None, count: int = 3
) -> Iterator[tuple[Parameter, Any, list[Any]]]:
    """Yield parameters (all if None) with a value that works, and the results of four rows with it."""
    for parameter in subject.own_parameters if parameters is None else parameters:
        tried = 0
        for value in subject.working_values(parameter):
            found = subject.results([_with(row, parameter.name, value) for row in subject.few])
            if any(result.error is not None for result in found):
                continue
            yield parameter, value, [result.plain() for result in found]
            tried += 1
            if tried == count:
                break


def _with(row: Row, name: str, value: Any) -> Row:
    return Row(row.inputs, {**row.parameters, name: value}, row.number)


def _without(row: Row, name: str) -> Row:
    return Row(row.inputs, {key: value for key, value in row.parameters.items() if key != name}, row.number)


@check(
    "construction-equals-call",
    why="pipeline(task, top_k=1)(x) and pipeline(task)(x, top_k=1) are one wish written in two places.",
    hint="Leave parameters to transformers: its __init__ hands what it is given to _sanitize_parameters and keeps the "
    "three dicts; an __init__ of your own passes **kwargs on to super().__init__.",
)
def construction_equals_call(subject: Subject) -> Verdict | None:
    """Give each parameter at construction, and compare with what the same at call gives."""
    if not subject.own_parameters:
        return not_applicable(_NO_PARAMETERS)
    warning: Verdict | None = None
    for parameter, value, at_call in _tried(subject):
        is_theirs = subject.is_transformers_own or not _has_own_init(subject)
        parent = subject.inherited_from(parameter.name) if is_theirs else None
        made = subject.made_with(**{parameter.name: value})
        rows = [_without(row, parameter.name) for row in subject.few]
        for row, expected in zip(rows, at_call):
            got = _with_construction_alone(subject, made, row, parameter.name)
            found = difference(expected, got)
            if found is None or (parent is not None and warning is not None):
                continue
            of = f", a parameter of transformers' {parent.__name__}," if parent is not None else ""
            reason = (
                f"{parameter.name}={value!r}{of} gives another result at construction than at call{_at(found.path)}"
            )
            place = subject.place("__init__") if _names_init(subject) else subject.place("_sanitize_parameters")
            verdict = (warn if parent is not None else fail)(
                reason, at=place, expected=f"{found.expected}, as at call", got=found.got
            )
            if parent is None:
                return verdict
            warning = verdict
    return warning


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def _has_own_init(subject: Subject) -> bool:
    """Tell whether its `__init__` does more than hand all that it gets to that of its base."""
    if "__init__" not in vars(type(subject.pipe)):
        return False
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(type(subject.pipe).__init__))).body[0]
    except (OSError, SyntaxError):
        return True
    assert isinstance(body, ast.FunctionDef)
    return ast.unparse(body.args) != "self, *args, **kwargs" or [ast.unparse(one) for one in body.body] not in (
        ["super().__init__(*args, **kwargs)"],
        [f"super({type(subject.pipe).__name__}, self).__init__(*args, **kwargs)"],
    )


def _names_init(subject: Subject) -> bool:
    return subject.signature is not None and "__init__" in subject.signature.method_places


def _with_construction_alone(subject: Subject, made: Any, row: Row, name: str) -> Any:
    """Run a row with what was kept at construction, without asking `_sanitize_parameters` again for it."""
    del subject
    stages = made._sanitize_parameters(**row.parameters) if row.parameters else ({}, {}, {})
    kept = (made._preprocess_params, made._forward_params, made._postprocess_params)
    return to_plain(_single(made, row.inputs, [{**given, **ours} for given, ours in zip(stages, kept)]))


def _single(pipe: Any, inputs: Any, stages: list[dict[str, Any]]) -> Any:
    from transformers.pipelines.base import ChunkPipeline

    if isinstance(pipe, ChunkPipeline):
        outputs = [pipe.forward(one, **stages[1]) for one in pipe.preprocess(inputs, **stages[0])]
        return pipe.postprocess(outputs, **stages[2])
    return pipe.postprocess(pipe.forward(pipe.preprocess(inputs, **stages[0]), **stages[1]), **stages[2])


@check(
    "defaults-stay",
    why="A call that does not name a parameter must leave it as it was: at what construction set, or at its default.",
    hint="In _sanitize_parameters put a parameter into its dict only if it was given: `if top_k is not None:`.",
)
def defaults_stay(subject: Subject) -> Verdict | None:
    """Call with nothing: what construction set stays, and no default of a stage is overwritten with None."""
    if not subject.own_parameters:
        return not_applicable(_NO_PARAMETERS)
    report = warn if subject.is_transformers_own else fail
    for stage, given in zip(("preprocess", "_forward", "postprocess"), subject.sanitized(**subject.parameters)):
        for name, argument in subject.stage_parameters(stage).items():
            default = argument.default
            if name in given and given[name] is None and default not in (None, argument.empty):
                return report(
                    f"{stage} is given {name}=None by a call that does not name it",
                    at=subject.place("_sanitize_parameters"),
                    expected=f"{name}={default!r}, the default of {stage}",
                    got=f"{name}=None",
                )
    for parameter, value, at_call in _tried(subject):
        made = subject.made_with(**{parameter.name: value})
        rows, again = ([_without(row, parameter.name) for row in subject.few] for _ in range(2))
        stayed = [_with_construction_alone(subject, made, row, parameter.name) for row in rows]
        if not same(at_call, stayed):
            continue  # construction-equals-call says so
        for expected, got in zip(stayed, subject.run(again, pipe=made)):
            found = difference(expected, got)
            if found is not None:
                return report(
                    f"{parameter.name}={value!r} of construction is lost in a call that does not name it"
                    f"{_at(found.path)}",
                    at=subject.place("_sanitize_parameters"),
                    expected=found.expected,
                    got=found.got,
                )
    return None


@check(
    "falsy-values",
    why="0, False and an empty text are values: what takes them for none uses another one, and says nothing.",
    hint="Ask for None and not for truth: `if threshold is not None:`.",
)
def falsy_values(subject: Subject) -> Verdict | None:
    """Give each parameter an empty value, and look whether it is read as if nothing had been given."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    if not subject.own_parameters:
        return not_applicable(_NO_PARAMETERS)
    for parameter in subject.own_parameters:
        for falsy in _dropped_values(subject, parameter):
            is_default = falsy == parameter.default_value
            report = warn if is_default else fail
            where = " by a call, if construction was given another value" if is_default else ""
            return report(
                f"{parameter.name}={falsy!r} is read as if it were not given{where}",
                at=_place_of_truth(subject, "_sanitize_parameters", parameter.name),
                expected=f"{parameter.name}={falsy!r} in the dict of a stage",
                got="nothing of it" if is_default else f"the default, {shown(parameter.default_value)}",
            )
    return _replaced_by_stages(subject)


def _dropped_values(subject: Subject, parameter: Parameter) -> Iterator[Any]:
    """Yield empty values of a parameter that `_sanitize_parameters` drops, though it hands others on."""
    declared = inspect.signature(subject.pipe._sanitize_parameters).parameters.get(parameter.name)
    base = {name: value for name, value in subject.row_parameters(0).items() if name != parameter.name}
    values = list(subject.working_values(parameter))
    for value in [*values, *([True] if False in values else [])]:
        falsy = type(value)()
        if not value or (declared is not None and falsy == declared.default):
            continue
        try:
            without, given, empty = (
                subject.sanitized(**base, **more) for more in ({}, {parameter.name: value}, {parameter.name: falsy})
            )
        except Exception:  # a class refuses values as it likes
            continue
        changed = [
            stage.get(name)
            for stage, other in zip(without, given)
            for name in other
            if name not in stage or not same(to_plain(stage[name]), to_plain(other[name]))
        ]
        if changed and empty == without and all(one is None or one for one in changed):
            yield falsy


def _replaced_by_stages(subject: Subject) -> Verdict | None:
    """Look for stages that write `threshold or 0.5`, and take 0 for nothing."""
    for parameter in subject.own_parameters:
        for stage in parameter.stages:
            default = _default_by_truth(subject.method(stage), parameter.name)
            if default is None:
                continue
            falsy = type(default)()
            rows = [_without(row, parameter.name) for row in subject.few]
            ways = [
                subject.results([_with(row, parameter.name, value) for row in rows] if value is not None else rows)
                for value in (falsy, default)
            ]
            if any(result.error is not None for way in ways for result in way):
                continue
            if all(same(one.plain(), other.plain()) for one, other in zip(*ways)):
                return warn(
                    f"{stage} reads {parameter.name}={falsy!r} as {default!r}",
                    at=_place_of_truth(subject, stage, parameter.name),
                    expected=f"{parameter.name}={falsy!r}",
                    got=f"{parameter.name}={default!r}",
                )
    return None


def _default_by_truth(method: ast.AST | None, name: str) -> int | float | None:
    """Return the number of `name or 5`, and of `if not name: name = 5`; None if neither is there."""
    for node in ast.walk(method) if method is not None else ():
        found: ast.expr | None = None
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and _names(node.values[0], name):
            found = node.values[-1]
        elif (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.UnaryOp)
            and isinstance(node.test.op, ast.Not)
            and _names(node.test.operand, name)
            and isinstance(node.body[0], ast.Assign)
            and _names(node.body[0].targets[0], name)
        ):
            found = node.body[0].value
        if isinstance(found, ast.Constant) and isinstance(found.value, (int, float)) and found.value:
            return found.value
    return None


def _names(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _place_of_truth(subject: Subject, method: str, name: str) -> str:
    """Return file:line where a method asks whether a parameter is true; that of the method if nowhere."""
    place, tree = subject.place(method), subject.method(method)
    for node in ast.walk(tree) if tree is not None else ():
        asked: list[ast.expr] = []
        if isinstance(node, (ast.If, ast.IfExp)):
            asked = [node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test]
        elif isinstance(node, ast.BoolOp):
            asked = node.values[:1]
        if any(_names(one, name) for one in asked):
            return f"{place.rpartition(':')[0]}:{asked[0].lineno}"
    return place


@check(
    "no-leak",
    why="A parameter of one call that stays for the next changes results for a reason that nobody can see.",
    hint="Keep nothing of a call on self, and change neither the dicts that a stage is given nor a default in place.",
)
def no_leak(subject: Subject) -> Verdict | None:
    """Call without and with each parameter, and without it again; each in a copy, which no call came before."""
    if not subject.own_parameters:
        return not_applicable(_NO_PARAMETERS)
    as_ever = in_copy(lambda: subject.run(subject.few))
    for parameter in subject.own_parameters:
        is_given = any(parameter.name in row.parameters for row in subject.few)  # a second text
        before = in_copy(partial(_without_it, subject, parameter)) if is_given else as_ever
        for value, after in in_copy(partial(_after_calls_with, subject, parameter)):
            found = difference(before, after)
            if found is not None:
                return fail(
                    f"after a call with {parameter.name}={value!r} a call without it gives another result",
                    at=subject.place("_sanitize_parameters"),
                    expected=found.expected,
                    got=found.got,
                )
    return None


def _after_calls_with(subject: Subject, parameter: Parameter) -> list[tuple[Any, list[Any]]]:
    """Return values of a parameter, each with what four rows give without it after a call with it."""
    return [(value, _without_it(subject, parameter)) for _, value, _ in _tried(subject, [parameter])]


def _without_it(subject: Subject, parameter: Parameter) -> list[Any]:
    """Return what four rows give without a parameter; a row that cannot do without it keeps its own, as its error."""
    rows = [_without(row, parameter.name) for row in subject.few]
    return [result.plain() if result.error is None else result.error.message for result in subject.results(rows)]


@check(
    "parameters-matter",
    why="A parameter that changes nothing is a promise that is not kept; an ignored second text gives wrong results.",
    hint="Use the parameter in its stage, or take it out.",
)
def parameters_matter(subject: Subject) -> Verdict | None:
    """Look for a value of each parameter that changes a result on some of ten rows."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    if not subject.own_parameters:
        return not_applicable(_NO_PARAMETERS)
    second = {one.name for one in subject.second_inputs}
    idle = [one for one in subject.own_parameters if one.name not in subject.parameters and not _matters(subject, one)]
    for parameter in sorted(idle, key=lambda one: one.name not in second):
        stage = next(iter(parameter.stages), "_sanitize_parameters")
        report = fail if parameter.name in second else warn
        return report(
            f"{', '.join(one.name for one in idle)}: no value changes the result of any of {len(subject.inputs)} rows",
            at=subject.place(stage),
            expected=f"another result for another {parameter.name}",
            got=f"always {shown(subject.singles[0])}",
        )
    return None


def _matters(subject: Subject, parameter: Parameter) -> bool:
    rows = subject.rows()
    without = subject.results([_without(row, parameter.name) for row in rows])
    for value in subject.working_values(parameter):
        found = subject.results([_with(row, parameter.name, value) for row in rows])
        for one, other in zip(without, found):
            if (one.error is None) != (other.error is None):
                return True
            if one.error is None and not same(one.plain(), other.plain()):
                return True
    return False
