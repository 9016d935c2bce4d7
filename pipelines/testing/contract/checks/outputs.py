"""What `postprocess` returns."""

from __future__ import annotations

import ast
import copy
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.source import parse
from pipesmith.pipelines.testing.contract.comparing import TOLERANCE, floats_by_path, same, shown
from pipesmith.pipelines.testing.contract.examples import is_input_name
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject, source_file

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
        yield path, f"{value}, for which JSON has no word,", math.isnan(value)
    elif not isinstance(value, (str, int, float, bool)) and value is not None:
        yield path, f"a {kind}", True


@check(
    "labels-of-the-model",
    why="The names of labels belong to a model: written into the code, they are wrong for every other one.",
    hint="Read them from self.model.config.id2label, with an int as the key, when a row is postprocessed.",
)
def labels_of_the_model(subject: Subject) -> Verdict | None:
    """Give the labels other names, and look whether results keep the old ones."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    config = subject.pipe.model.config
    names = dict(getattr(config, "id2label", None) or {})
    before = _labels(subject.run())
    if not names or not before:
        return not_applicable("no result has labels")
    config.id2label = {number: f"{name} (renamed)" for number, name in names.items()}
    config.label2id = {name: number for number, name in config.id2label.items()}
    try:
        after = _labels(subject.run(pipe=subject.made_with()))
    except Exception:  # it asks for a name: then it does read them
        return None
    given = json.dumps(to_plain([row.parameters for row in subject.rows()]))  # candidate labels
    kept = [one for one in after if one in names.values() and json.dumps(one) not in given]
    written = [one for one in after if not isinstance(one, str) or one in _literals(subject)]
    if not kept and (after != before or written != after):
        return None
    is_made_up = any(re.fullmatch(r"LABEL_\d+", str(one)) for one in kept)  # no checkpoint is meant by these
    return (fail if is_made_up else warn)(
        "another name of a label in the model's configuration does not change the results",
        at=subject.place("postprocess"),
        expected=f"a name such as {next(iter(config.id2label.values()))!r}",
        got=repr([*kept, *written][0]),
    )


def _labels(value: Any, is_label: bool = False) -> list[str | int]:
    """Return what stands in a result under keys that name a label."""
    if isinstance(value, dict):
        pairs = [(item, "label" in key or "entity" in key) for key, item in value.items()]
        return [one for item, is_one in pairs for one in _labels(item, is_one)]
    if isinstance(value, list):
        return [one for item in value for one in _labels(item, is_label)]
    return [value] if is_label and isinstance(value, (str, int)) and not isinstance(value, bool) else []


def _literals(subject: Subject) -> set[str]:
    """Return the texts that are written in the class's file."""
    file = source_file(subject)
    nodes = ast.walk(parse(file)) if file is not None else ()
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@check(
    "top-k",
    why="top_k=2 promises the two best, best first: code that takes the first result takes the best one.",
    hint="Sort by score, the highest first, then cut with [:top_k].",
)
def top_k(subject: Subject) -> Verdict | None:
    """Ask for one label and for two, and look how many come and in which order."""
    if subject.is_transformers_own or "top_k" not in {one.name for one in subject.own_parameters}:
        return not_applicable("the task has no top_k of its own")
    one, two = (subject.results(subject.rows(top_k=count)) for count in (1, 2))
    for first, both in zip(one, two):
        if first.error is not None or both.error is not None:
            return None
        best, found = _scores(first.plain()), _scores(both.plain())
        if best is None or found is None:
            return not_applicable("results are no lists of labels and scores")
        at = subject.place("postprocess")
        if len(best) > 1 or len(found) > 2 or (found and not best):
            return fail(
                "top_k is off by one: top_k=1 and top_k=2 give other numbers of labels",
                at=at,
                expected="1 and 2 labels",
                got=f"{len(best)} and {len(found)}",
            )
        if found != sorted(found, reverse=True) or (best and best[0] < max(found) - TOLERANCE):
            return fail(
                "labels do not come with the best first", at=at, expected="the highest score first", got=shown(found)
            )
    return None


def _scores(result: Any) -> list[float] | None:
    """Return the scores of a list of labels, or of one; None if a result is something else."""
    rows = result if isinstance(result, list) else [result]
    if not all(isinstance(row, dict) and set(row) == {"label", "score"} for row in rows):
        return None
    scores = [row["score"] for row in rows]
    return scores if all(isinstance(score, (int, float)) for score in scores) else None


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
    if '"type": "image", "mode"' in json.dumps(base):
        return not_applicable("its results are images, of which only the size is compared")
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
