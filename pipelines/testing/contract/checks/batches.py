"""Batches, lists, generators and order: how rows are brought must not change what comes out."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from pipesmith.pipelines.testing.contract.comparing import TOLERANCE, difference, same, shown, structure
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import BATCH, Subject, dataset_of
from pipesmith.pipelines.user_code import describe

_CANNOT = ("neither a tokenizer nor a feature extractor", "no pad token", "padding side", "takes no dataset", "is_last")


def _batched(subject: Subject) -> tuple[list[Any], list[str]]:
    """Return the results of the examples in batches, and what the engine had to say."""
    notes: list[str] = []
    found = subject.results(subject.rows(), batch_size=BATCH, notes=notes)
    return [result.plain() if result.error is None else result.error for result in found], notes


def _native(subject: Subject) -> tuple[list[Any], list[Any]] | None:
    """Return what transformers itself gives, row by row and in batches; None if it cannot batch, or brings the class.

    The engine mends some of what goes wrong in a batch, by packing rows of one length; transformers does not.
    """
    if subject.is_transformers_own:  # its own token-level tasks return padding, too
        return None
    try:
        return subject.native("dataset"), subject.native("dataset", batch_size=BATCH)
    except Exception:  # whatever a class raises for batches, the engine has met it as well
        return None


@check(
    "batched-equals-single",
    why="A result that changes with its neighbours in a batch changes with the batch size, and nobody notices.",
    hint="Hand the attention mask on to the model and pool with it; look at every tensor's first axis as the batch; "
    f"softmax over the last axis. Numbers are compared within {TOLERANCE:g}.",
)
def batched_equals_single(subject: Subject) -> Verdict | None:
    """Run ten rows of very different lengths in batches of four, the last one short, and each alone."""
    singles = subject.singles
    found, notes = _batched(subject)
    cannot = [note for note in notes if any(words in note for words in _CANNOT)]
    if cannot:
        return not_applicable(cannot[0])
    if notes:
        return fail(
            notes[0].rstrip("."),
            at=subject.place("_forward"),
            expected="in a batch what each row gives alone",
            got="something else",
        )
    for number, (expected, got) in enumerate(zip(singles, found), 1):
        if isinstance(got, Exception):
            return fail(f"row {number} fails in a batch: {got}", at=subject.place("_forward"), expected=shown(expected))
        one = difference(expected, got)
        if one is not None:
            return fail(
                f"row {number} gives something else in a batch of {BATCH} than alone"
                f"{f' at {one.path}' if one.path else ''}",
                at=subject.place("_forward"),
                expected=one.expected,
                got=one.got,
            )
    native = _native(subject)
    one = difference(*native) if native is not None else None
    if one is not None:
        return fail(
            f"ten rows give something else in batches of {BATCH}, the last one short, than row by row"
            f"{f' at {one.path}' if one.path else ''}",
            at=subject.place("_forward"),
            expected=one.expected,
            got=one.got,
        )
    return None


@check(
    "same-shape",
    why="Code that reads results cannot know whether a row was alone, in a list or in a batch.",
    hint="Return the same keys and the same nesting for every row; do not look at how many rows there are.",
)
def same_shape(subject: Subject) -> Verdict | None:
    """Compare the nesting of results: alone, as one of ten, and in batches."""
    alone = [subject.run([row])[0] for row in subject.rows()]
    batched, notes = _batched(subject)
    verdict = _list_of_one(subject)
    if verdict is not None:
        return verdict
    ways = [("as one of ten rows", alone, subject.singles)]
    if not any(words in note for note in notes for words in _CANNOT):
        ways.append((f"in a batch of {BATCH}", alone, batched))
    native = _native(subject)
    if native is not None:
        ways.append((f"in a batch of {BATCH}", *native))
    for how, singles, results in ways:
        for number, (expected, got) in enumerate(zip(singles, results), 1):
            if isinstance(got, Exception):
                continue  # batched-equals-single says so
            found = difference(structure(expected), structure(got))
            if found is not None:
                return fail(
                    f"row {number} has another shape {how} than alone{f' at {found.path}' if found.path else ''}",
                    at=subject.place("postprocess"),
                    expected=found.expected,
                    got=found.got,
                )
    return None


def _list_of_one(subject: Subject) -> Verdict | None:
    """Compare a list of one row with the first of a list of two."""
    try:
        two, one = subject.native("list", subject.inputs[:2]), subject.native("list", subject.inputs[:1])
    except Exception:  # list-equals-generator looks at what is refused
        return None
    found = difference(structure(two[:1]), structure(one))
    if found is None:
        return None
    report = warn if subject.is_transformers_own else fail
    return report(
        "a list of one row gives another shape than a list of two",
        at=subject.place("__call__"),
        expected=found.expected,
        got=found.got,
    )


@check(
    "list-equals-generator",
    why="A list, a generator and a dataset of the same rows are three ways to write one call.",
    hint="Leave __call__ to transformers, or hand every kind of input on to super().__call__.",
)
def list_equals_generator(subject: Subject) -> Verdict | None:
    """Call it with a dataset, a generator and a list of the same rows."""
    expected = subject.native("dataset")
    for form in ("generator", "list"):
        try:
            got = subject.native(form)
        except Exception as error:
            if subject.is_transformers_own:
                return warn(f"a {form} of rows is refused: {describe(error)}")
            return fail(f"a {form} of rows is refused: {describe(error)}", at=subject.place("__call__"))
        if len(got) != len(expected):
            return _otherwise(subject, form, f"{len(expected)} results", f"{len(got)} results")
        for one, other in zip(expected, got):
            # transformers' own text classification puts each result of a list into a list.
            if not (same(one, other) or (form == "list" and same([one], other)) or same(one, [other])):
                found = difference(one, other)
                assert found is not None
                return _otherwise(subject, form, found.expected, found.got)
    return None


def _otherwise(subject: Subject, form: str, expected: str, got: str) -> Verdict:
    report = warn if subject.is_transformers_own else fail
    return report(
        f"a {form} gives other results than a dataset", at=subject.place("__call__"), expected=expected, got=got
    )


@check(
    "keeps-order",
    why="Results carry no name of their row: the first result belongs to the first row, or to nobody knows which.",
    hint="Sort nothing in a stage; what is sorted for speed is put back in order before it is returned.",
)
def keeps_order(subject: Subject) -> Verdict | None:
    """Run rows in batches, in an order of chance, and look whose result came back in which place."""
    places = list(range(len(subject.inputs)))
    random.Random(0).shuffle(places)
    inputs = [subject.inputs[place] for place in places]
    parameters = subject.row_parameters(0)
    alone = [subject.run(subject.rows([one], **parameters))[0] for one in inputs]
    ways: list[tuple[str, list[Any]]] = [("one by one", subject.native("dataset", inputs))]
    with suppress(Exception):  # transformers cannot batch everything; batched-equals-single looks at that
        ways.append((f"at batch_size={BATCH}", subject.native("dataset", inputs, batch_size=BATCH)))
    for how, found in ways:
        if len(found) != len(alone):
            return fail(
                f"{how}, {len(alone)} rows come back as {len(found)} results",
                at=subject.place("__call__"),
                expected=f"{len(alone)} results",
                got=f"{len(found)} results",
            )
        moved = [place for place, result in enumerate(found) if _belongs_elsewhere(result, place, alone)]
        if len(moved) > 1:
            return fail(
                f"{how}, results come back in another order than their rows",
                at=subject.place("_forward"),
                expected=f"in place {moved[0] + 1}: {shown(alone[moved[0]])}",
                got=shown(found[moved[0]]),
            )
    return None


def _belongs_elsewhere(result: Any, place: int, alone: list[Any]) -> bool:
    """Tell whether a result is that of another row and not of its own."""
    if same(alone[place], result):
        return False
    return any(same(other, result) for number, other in enumerate(alone) if number != place)


@check(
    "empty-list",
    why="A data set can be empty after filtering; that is no error of the program that calls the pipeline.",
    hint="transformers' own __call__ looks at the first of no rows: return [] for an empty list in yours.",
)
def empty_list(subject: Subject) -> Verdict | None:
    """Run no rows at all."""
    if subject.run([]) != []:
        return fail("no rows give results", at=subject.place("__call__"), expected="no results")
    try:
        found = subject.pipe([], **subject.row_parameters(0))
    except Exception as error:
        return warn(f"pipe([]) raises {describe(error)}, as transformers' own __call__ does")
    if found is None or len(list(found)):
        return fail("pipe([]) gives results", at=subject.place("__call__"), expected="[]", got=shown(str(found)))
    return None


@check(
    "heeds-batch-size",
    why="Which batch size is best depends on machine and rows: one in the class takes that choice from its callers.",
    hint="Name no batch_size in __call__ and __init__: hand **kwargs on to super() as they came.",
)
def heeds_batch_size(subject: Subject) -> Verdict | None:
    """Give a batch size at call and at construction, and look which one transformers is asked for."""
    size = BATCH - 1  # a number that nobody writes
    found = {"__call__": _batch_size_of(subject, subject.pipe, batch_size=size)}
    with suppress(Exception):  # construction-equals-call looks at what a class's own __init__ refuses
        found["__init__"] = _batch_size_of(subject, subject.made_with(batch_size=size))
    for method, got in found.items():
        if got not in (size, None):
            return fail(
                f"batch_size={size} {'at call' if method == '__call__' else 'at construction'} is not heeded",
                at=subject.place(method),
                expected=f"batches of {size}",
                got=f"batches of {got}",
            )
    return None


def _batch_size_of(subject: Subject, pipe: Any, **options: Any) -> Any:
    """Return the batch size that a call asks transformers for; None if the class does not ask it."""
    seen: list[Any] = []

    def get_iterator(inputs: Any, num_workers: int, batch_size: Any, *stages: Any) -> Any:
        seen.append(batch_size)
        return iter(())

    pipe.get_iterator = get_iterator
    with suppress(Exception):  # a class may look at what comes back
        pipe(dataset_of(list(subject.inputs)), **subject.row_parameters(0), **options)
    return seen[0] if seen else None
