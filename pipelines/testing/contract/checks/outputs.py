"""What `postprocess` returns."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.testing.contract.comparing import floats_by_path, same, shown
from pipesmith.pipelines.testing.contract.examples import is_input_name
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, warn
from pipesmith.pipelines.testing.contract.subject import Subject

_SEEDS = 4
_MANY = 8  # floats that are all the same are no accident


@check(
    "json-output",
    why="Results are written to files, sent over networks and compared: text, numbers, lists and dicts survive that.",
    hint="In postprocess turn tensors and arrays into lists with .tolist(), and their scalars with float() or int().",
)
def json_output(subject: Subject) -> Verdict | None:
    """Look for what is not plain JSON in the results of ten rows."""
    found = [one for result in subject.results(subject.rows()) for one in _not_plain(result.result)]
    for path, kind, is_bad in sorted(found, key=lambda one: not one[2]):
        report = fail if is_bad else warn
        return report(
            f"the result holds {kind}{f' at {path}' if path else ''}",
            at=subject.place("postprocess"),
            expected="text, numbers, true, false, None, lists and dicts",
            got=kind,
        )
    return None


def _not_plain(value: Any, path: str = "") -> Iterator[tuple[str, str, bool]]:
    """Yield the path and the kind of what is not JSON, and whether it breaks the contract."""
    import numpy
    import torch
    from PIL import Image

    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if isinstance(value, torch.Tensor):
        yield path, f"a tensor of shape {tuple(value.shape)}", True
    elif isinstance(value, numpy.ndarray):
        yield path, f"an array of shape {value.shape}", True
    elif isinstance(value, numpy.generic):
        yield path, f"a {kind}", False
    elif isinstance(value, Image.Image):
        yield path, "an image", False
    elif isinstance(value, Mapping):
        if not isinstance(value, dict) or dataclasses.is_dataclass(value):
            yield path, f"a {kind}", True
            return
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool)) and key is not None:
                yield path, f"a key that is a {type(key).__name__}", True
            yield from _not_plain(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _not_plain(item, f"{path}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"{value}, for which JSON has no word,", False
    elif not isinstance(value, (str, int, float, bool)) and value is not None:
        yield path, f"a {kind}", True


@check(
    "depends-on-input",
    why="A softmax over the wrong axis, or a row that is not handed on, gives the same answer to everything.",
    hint="Look whether the scores are normalised over the labels (the last axis), and whether the input reaches the "
    "model.",
)
def depends_on_input(subject: Subject) -> Verdict | None:
    """Compare the results of ten rows that differ in nothing but their input, with several sets of weights if equal."""
    base = _with_one_second_input(subject)
    if len(base) < 2:
        return None
    everything = [base]
    if all(same(base[0], other) for other in base[1:]):
        for seed in range(_SEEDS):
            _perturb(subject.pipe.model, seed)
            everything.append(_with_one_second_input(subject))
        if all(same(found[0], other) for found in everything for other in found[1:]):
            return fail(
                f"{len(base)} different rows give one result",
                at=subject.place("postprocess"),
                expected="results that depend on the row",
                got=f"always {shown(base[0])}",
            )
    else:
        _perturb(subject.pipe.model, 0)
        everything.append(_with_one_second_input(subject))
    verdict = _saturated(subject, everything)
    if verdict is not None or subject.is_transformers_own:
        return verdict
    return _unread_key(subject) or _unread_piece(subject)


def _with_one_second_input(subject: Subject) -> list[Any]:
    return subject.run(subject.rows(**subject.row_parameters(0)))


def _unread_key(subject: Subject) -> Verdict | None:
    """Look for a key of inputs that are dicts, or a place of those that are lists, whose value changes no result."""
    first = subject.inputs[0]
    keys = list(first) if isinstance(first, dict) else list(range(len(first))) if isinstance(first, list) else []
    idle = list(keys) if len(keys) > 1 else []
    for seed in range(_SEEDS):
        base = subject.run() if idle else []
        for key in list(idle):
            others = [*subject.inputs[1:], first]
            made: list[Any] = [copy.copy(one) for one in subject.inputs]
            try:
                for one, other in zip(made, others):
                    one[key] = other[key]
            except (KeyError, IndexError, TypeError):  # rows of several kinds
                idle.remove(key)
                continue
            found = subject.results(subject.rows(made))
            if any(two.error is not None or not same(one, two.plain()) for one, two in zip(base, found)):
                idle.remove(key)
        if idle:
            _perturb(subject.pipe.model, seed)
    for key in sorted(idle, key=lambda one: not is_input_name(str(one))):
        report = fail if isinstance(key, int) or is_input_name(key) else warn
        return report(
            f"another {key!r} in the input changes the result of no row",
            at=subject.place("preprocess"),
            expected="results that depend on all of the input",
            got=f"always {shown(subject.run(subject.few[:1])[0])}",
        )
    return None


def _unread_piece(subject: Subject) -> Verdict | None:
    """Look whether the first and the last piece of a row that a ChunkPipeline parts count."""
    import torch
    from transformers.pipelines.base import ChunkPipeline

    pipe = subject.pipe
    if not isinstance(pipe, ChunkPipeline):
        return None
    pieces = {0: "first", -1: "last"}
    idle: set[int] = set()
    kept = (pipe._preprocess_params, pipe._forward_params, pipe._postprocess_params)
    for row in subject.rows():
        first, second, third = [{**one, **two} for one, two in zip(kept, subject.sanitized(**row.parameters))]
        outputs = [pipe.forward(one, **second) for one in pipe.preprocess(row.inputs, **first)]
        if len(outputs) < 2 or not all(isinstance(one, Mapping) for one in outputs):
            continue
        base = to_plain(pipe.postprocess(copy.deepcopy(outputs), **third))
        for place in list(pieces):
            other = copy.deepcopy(outputs)
            tensors = [one for one in other[place].values() if torch.is_tensor(one) and one.is_floating_point()]
            idle |= {place} if tensors else set()
            with torch.inference_mode():
                for one in tensors:
                    one.copy_(torch.randn(one.shape, generator=torch.Generator().manual_seed(0)) * 5)
            if not same(base, to_plain(pipe.postprocess(other, **third))):
                del pieces[place]
    for place in idle & set(pieces):
        return fail(
            f"the {pieces[place]} piece of a row changes the result of no row",
            at=subject.place("postprocess"),
            expected="a result of all pieces",
            got="a result of some",
        )
    return None


def _saturated(subject: Subject, everything: list[list[Any]]) -> Verdict | None:
    """Look for a number that is 0 or 1 whatever the row and the weights, as of a softmax over one element."""
    values: dict[str, set[float]] = {}
    counts: dict[str, int] = {}
    for found in everything:
        for result in found:
            for path, value in floats_by_path(result):
                values.setdefault(path, set()).add(value)
                counts[path] = counts.get(path, 0) + 1
    for path, seen in values.items():
        if len(seen) == 1 and seen <= {0.0, 1.0} and counts[path] >= _MANY:
            if getattr(subject.pipe.model.config, "num_labels", 2) == 1:
                continue  # a softmax over one label is 1
            return fail(
                f"{path or 'the result'} is {next(iter(seen))} for every row, whatever the weights",
                at=subject.place("postprocess"),
                expected="a number that depends on the row",
                got=str(next(iter(seen))),
            )
    return None


@check(
    "depends-on-weights",
    why="A result that stays when the weights change does not come from the model.",
    hint="Look whether postprocess uses what the model returned.",
)
def depends_on_weights(subject: Subject) -> Verdict | None:
    """Change the weights, by several seeds, and compare."""
    base = subject.singles
    if not list(subject.pipe.model.parameters()):
        return None
    for seed in range(_SEEDS):
        _perturb(subject.pipe.model, seed)
        if not all(same(one, other) for one, other in zip(base, subject.run())):
            return None
    return fail(
        f"{_SEEDS} sets of random weights give the same results",
        at=subject.place("postprocess"),
        expected="results that depend on the weights",
        got=f"always {shown(base[0])}",
    )


def _perturb(model: Any, seed: int) -> None:
    """Add noise to the weights, as large as they are; in a process that ends with the check."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and parameter.numel():
                spread = float(parameter.float().std()) if parameter.numel() > 1 else 0.0
                noise = torch.randn(parameter.shape, generator=generator) * (spread or 0.1)
                parameter.add_(noise.to(parameter.dtype))
