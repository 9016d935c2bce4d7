"""Bad rows."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from pipesmith.pipelines.testing.contract.comparing import difference, same, shown
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import BATCH, Subject
from pipesmith.pipelines.user_code import describe, user_line


class _Nothing:
    """What no pipeline can have a use for."""


@check(
    "bad-row",
    why="One bad row in a million must say what is wrong with it, and leave all others as they are.",
    hint="Let the exception of a bad row through: catch none to return a made-up result, and none that ends the "
    "process.",
)
def bad_row(subject: Subject) -> Verdict | None:
    """Put rows that are no input at all among good ones, in batches and alone."""
    bad: list[Any] = [_Nothing(), 3.5, None]
    inputs = list(subject.inputs)
    for place, value in zip((1, 4, 8), bad):
        inputs.insert(place, value)
    parameters = subject.row_parameters(0)
    good = {id(one): number for number, one in enumerate(subject.inputs)}
    alone = subject.run(subject.rows(**parameters))
    for batch_size in (None, BATCH):
        found = subject.results(subject.rows(inputs, **parameters), batch_size=batch_size)
        accepted = []
        for place, (given, result) in enumerate(zip(inputs, found)):
            if any(given is one for one in bad):
                if result.error is None:
                    accepted.append((given, result.plain(), found[place - 1].plain()))
                elif isinstance(result.error.__cause__, SystemExit):
                    return fail("a bad row ends the process", at=subject.place("preprocess"), got="SystemExit")
                continue
            if result.error is not None:
                return fail(
                    f"a good row fails beside a bad one: {result.error.message}", at=subject.place("preprocess")
                )
            one = difference(alone[good[id(given)]], result.plain())
            if one is not None:
                return fail(
                    f"a bad row changes the result of a good one{f' at {one.path}' if one.path else ''}",
                    at=subject.place("preprocess"),
                    expected=one.expected,
                    got=one.got,
                )
        verdict = _accepted(subject, accepted)
        if verdict is not None:
            return verdict
    return None


def _accepted(subject: Subject, accepted: list[tuple[Any, Any, Any]]) -> Verdict | None:
    """Judge bad rows that got a result: one and the same for all is made up, as is that of the row before.

    Args:
        subject: the pipeline.
        accepted: bad rows, each with its result and that of the row before. A result of its own is read somehow.
    """
    if not accepted:
        return None
    results = [result for _, result, _ in accepted]
    is_one = all(same(results[0], other) for other in results[1:])
    if len(results) > 1 and (is_one or all(same(result, before) for _, result, before in accepted)):
        return fail(
            "rows that are no input get a result" + ("" if is_one else ": that of the row before"),
            at=subject.place("preprocess"),
            expected="an error that says what is wrong with the row",
            got=f"{shown(results[0])} for {', '.join(_named(given) for given, _, _ in accepted)}",
        )
    given, result, _ = accepted[0]
    return warn(
        "a row that is no input gets a result",
        at=subject.place("preprocess"),
        expected="an error that says what is wrong with the row",
        got=f"{shown(result)} for {_named(given)}",
    )


def _named(value: Any) -> str:
    return "an object()" if isinstance(value, _Nothing) else repr(value)


@check(
    "any-text",
    why="Texts come in every script, with emoji, and empty: what was tried with English alone fails on others.",
    hint="Index and split no text without asking how long it is, and encode it as UTF-8 or not at all; a text that "
    "cannot be used is a ValueError that says why.",
)
def any_text(subject: Subject) -> Verdict | None:
    """Run texts of other scripts, and one that is empty; what the tokenizer or the model refuses is theirs."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    if _with_text(subject.inputs[0], "") is None:
        return not_applicable("the input is no text")
    for text in ("Ünïcödé, 漢字 и emoji 🙂", "", " \n"):
        error = subject.results(subject.rows([_with_text(subject.inputs[0], text)]))[0].error
        cause = error.__cause__ if error is not None else None
        place = user_line(cause) if cause is not None else ""
        if cause is None or not place or not _is_accident(cause, place):
            continue
        return (fail if isinstance(cause, UnicodeError) else warn)(
            f"{'a text of another script' if text.strip() else 'an empty text'} fails: {describe(cause)}",
            at=place,
            expected="a result, or a ValueError that says what is wrong with the text",
            got=f"{describe(cause)} for {text!r}",
        )
    return None


def _with_text(value: Any, text: str) -> Any:
    """Return an input with another text in each place of one, None if it has no text; a file's path is none."""
    if isinstance(value, str):
        return None if Path(value).is_absolute() or "://" in value else text
    if isinstance(value, dict):
        found = {key: _with_text(one, text) for key, one in value.items() if isinstance(one, str)}
        return {**value, **found} if found and None not in found.values() else None
    return None


def _is_accident(error: BaseException, place: str) -> bool:
    """Tell whether an exception comes out of the user's own line, which does not raise it on purpose."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    is_on_purpose = (frame.line or "").strip().startswith(("raise", "assert"))
    return f"{frame.filename}:{frame.lineno}" == place and not is_on_purpose
