"""Saved, published, and in the other framework."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.publishing.closure import import_closure
from pipesmith.pipelines.testing.contract.comparing import TOLERANCE, difference
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject, source_file
from pipesmith.pipelines.user_code import describe, user_line

_ROWS = 3


@check(
    "save-and-load",
    why="What is saved or pushed is all that others get: it must give the same results with transformers alone.",
    hint="Import what the file needs relatively (`from .helper import x`), and keep nothing in __init__ that is not "
    "saved.",
    patience=5,
)
def save_and_load(subject: Subject) -> Verdict | None:
    """Save it, load it in a fresh process with trust_remote_code, and compare three rows."""
    if subject.fresh is None:
        return not_applicable("no fresh process was started")
    expected, rows = subject.run(subject.rows()[:_ROWS]), subject.rows()[:_ROWS]  # a call may spoil its input
    with tempfile.TemporaryDirectory(prefix="pipesmith-saved-") as name:
        folder = Path(name, "checkpoint")
        try:
            _save(subject, folder)
        except Exception as error:
            return fail(f"save_pretrained fails: {describe(error)}", at=user_line(error) or subject.place())
        answer = subject.fresh.ask(
            folder, [(row.inputs, row.parameters) for row in rows], "" if _is_custom(subject) else subject.pipe.task
        )
    if "error" in answer:
        if compat.used():  # written for transformers 4, which the fresh process has not
            return warn(
                f"transformers alone cannot run what is saved: {answer['error']}",
                at=subject.place(),
                expected="code for the installed version, or a pinned older one",
                got=f"code for transformers 4 ({', '.join(compat.used())})",
            )
        return fail(f"a fresh process cannot run what is saved: {answer['error']}", at=subject.place())
    for number, (one, other) in enumerate(zip(expected, answer["results"]), 1):
        found = difference(one, other)
        if found is not None:
            return fail(
                f"row {number} gives another result once saved and loaded{f' at {found.path}' if found.path else ''}",
                at=subject.place(),
                expected=found.expected,
                got=found.got,
            )
    return None


def _is_custom(subject: Subject) -> bool:
    return not subject.is_transformers_own


def _save(subject: Subject, folder: Path) -> None:
    pipe: Any = subject.pipe
    pipe.save_pretrained(str(folder))
    for name in ("processor", "video_processor"):  # which transformers' save_pretrained leaves out
        part = getattr(pipe, name, None)
        if part is not None:
            part.save_pretrained(str(folder))


@check(
    "imports-publishable",
    why="A published pipeline brings its own files along; an import of anything else fails on every other machine.",
    hint="Import siblings relatively, and installed packages by name; nothing of pipesmith, and nothing by path.",
    needs_run=False,
)
def imports_publishable(subject: Subject) -> Verdict | None:
    """Follow the imports of the class's file to all that would be published with it."""
    file = source_file(subject)
    if file is None:
        return not_applicable("transformers brings its own code")
    try:
        import_closure([file])
    except PublishError as error:
        place = re.search(r"\S+\.py:\d+", error.message)
        reason = error.message if place is None else error.message.replace(place.group(), "the file")
        return fail(reason.rstrip("."), at=place.group() if place else str(file), expected=error.hint or "")
    return None


@check(
    "pt-equals-tf",
    why="One set of weights gives one result, whichever framework computes it.",
    hint=f"Branch on self.framework where the frameworks differ. Numbers are compared within {10 * TOLERANCE:g}.",
    patience=5,
)
def pt_equals_tf(subject: Subject) -> Verdict | None:
    """Load what is saved with TensorFlow, and compare three rows."""
    from importlib.util import find_spec

    import transformers

    if subject.entry is None or not subject.entry.tf_model:
        return not_applicable("the task names no TensorFlow model")
    if int(transformers.__version__.partition(".")[0]) >= 5:
        return not_applicable(f"transformers {transformers.__version__} has no TensorFlow")
    if find_spec("tensorflow") is None:
        return not_applicable("TensorFlow is not installed")
    from pipesmith.pipelines.testing.contract.fresh import FreshProcess

    rows = subject.rows()[:_ROWS]
    expected = subject.run(rows)
    with tempfile.TemporaryDirectory(prefix="pipesmith-saved-") as name:
        folder = Path(name, "checkpoint")
        _save(subject, folder)
        fresh = FreshProcess(framework="tf")
        try:
            task = "" if _is_custom(subject) else subject.pipe.task
            answer = fresh.ask(folder, [(row.inputs, row.parameters) for row in rows], task)
        finally:
            fresh.close()
    if "error" in answer:
        return fail(f"it does not run with TensorFlow: {answer['error']}", at=subject.place())
    for number, (one, other) in enumerate(zip(expected, answer["results"]), 1):
        listed = isinstance(other, list) and len(other) == 1 and not isinstance(one, list)
        found = difference(one, other[0] if listed else other, 10 * TOLERANCE)  # text classification lists one input
        if found is not None:
            return fail(
                f"row {number} gives another result with TensorFlow{f' at {found.path}' if found.path else ''}",
                at=subject.place("_forward"),
                expected=found.expected,
                got=found.got,
            )
    return None
