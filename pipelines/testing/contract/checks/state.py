"""Calls that do not know of each other."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from typing import Any

from pipesmith.pipelines.source import parse
from pipesmith.pipelines.testing.contract.comparing import difference
from pipesmith.pipelines.testing.contract.isolation import in_copy
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail
from pipesmith.pipelines.testing.contract.subject import Subject, source_file


@check(
    "no-state",
    why="A pipeline serves many rows in any order: what one leaves behind becomes part of the next one's result.",
    hint="Keep nothing of a row on self, on the class or in a default such as `seen=[]`.",
)
def no_state(subject: Subject) -> Verdict | None:
    """Run ten rows backwards in a copy, forwards here, and backwards again."""
    backwards = in_copy(lambda: subject.run(subject.rows()[::-1]))[::-1]  # here it would fill what `first` reads
    first = subject.run(subject.rows())
    again = subject.run(subject.rows()[::-1])[::-1]
    for how, found in (("after others", again), ("when the rows come in another order", backwards)):
        verdict = _compared(subject, first, found, how)
        if verdict is not None:
            return verdict
    return None


def _compared(subject: Subject, first: list[Any], found: list[Any], how: str) -> Verdict | None:
    for number, (expected, got) in enumerate(zip(first, found), 1):
        one = difference(expected, got)
        if one is not None:
            if subject.is_random():
                return None  # `deterministic` says so
            return fail(
                f"row {number} gives another result {how}{f' at {one.path}' if one.path else ''}",
                at=_mutable_default(subject) or subject.place("postprocess"),
                expected=one.expected,
                got=one.got,
            )
    return None


def _mutable_default(subject: Subject) -> str:
    """Return file:line of a method with a list or dict as a default, "" if there is none."""
    file = source_file(subject)
    if file is None:
        return ""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.FunctionDef):
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if isinstance(default, (ast.List, ast.Dict, ast.Set)):
                    return f"{file}:{node.lineno}"
    return ""


@check(
    "deterministic",
    why="A result that cannot be had again cannot be tested, compared or explained.",
    hint="Draw nothing at random in a stage and tell no time; generate with do_sample=False unless sampling is asked "
    "for.",
)
def deterministic(subject: Subject) -> Verdict | None:
    """Run rows twice, each time with other random numbers and at another time."""
    import random
    import time

    import numpy as np
    import torch

    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        for name in ("time", "perf_counter"):
            setattr(time, name, _clock(getattr(time, name), seed))
        found.append(subject.run(subject.few[:2]))
    for number, (expected, got) in enumerate(zip(*found), 1):
        one = difference(expected, got)
        if one is not None:
            return fail(
                f"row {number} gives two results in two runs{f' at {one.path}' if one.path else ''}",
                at=subject.place("_forward"),
                expected=one.expected,
                got=one.got,
            )
    return None


def _clock(clock: Callable[[], float], run: int) -> Callable[[], float]:
    """Return a clock that is years ahead in each run, and faster: no tolerance hides what it tells."""
    calls = itertools.count()
    return lambda: clock() + 10**8 * run + next(calls) * run
