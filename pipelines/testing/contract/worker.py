"""The process that checks run in: one import of transformers for all targets, and a fork for each.

Reads one request from stdin, as JSON, and writes a line of JSON to stdout for each result.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.targets import LoadOptions
from pipesmith.pipelines.testing.contract.fresh import FreshProcess
from pipesmith.pipelines.testing.contract.isolation import Ended, Job, Send, run_isolated
from pipesmith.pipelines.testing.contract.results import CHECKS, CheckResult

_LOADING = 300.0  # seconds; a checkpoint may have to be downloaded


def main() -> None:
    """Answer the request on stdin."""
    from pipesmith.pipelines.testing.contract import running  # it fills CHECKS

    request = json.loads(sys.stdin.read())
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    wanted = set(request["only"]) if request["only"] else None
    wants_fresh = wanted is None or "save-and-load" in wanted
    fresh = FreshProcess() if wants_fresh else None  # its imports and ours run side by side
    try:
        warm_up()
        _have_one_thread()
        for target in request["targets"]:
            for result in _check(target, fresh, wanted, running):
                events.write(json.dumps(result) + "\n")
                events.flush()
    finally:
        if fresh is not None:
            fresh.close()


def _have_one_thread() -> None:
    """Compute in one thread: a fork has no other."""
    import torch

    torch.set_num_threads(1)


def warm_up() -> None:
    """Import what every target needs, before the forks."""
    import torch  # noqa: F401  # its import is what takes long
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("pipeline", "AutoTokenizer", "AutoModelForSequenceClassification"):
        getattr(transformers, name)


def _check(
    target: Mapping[str, Any], fresh: FreshProcess | None, wanted: set[str] | None, running: Any
) -> Iterator[dict[str, Any]]:
    """Check one target in a fork, so that the next finds nothing of its code."""

    def run(send: Send) -> None:
        for result in _results(target, fresh, wanted, running, send):
            send(result.report())

    limit = max(target["time_limit"], _LOADING if target["is_remote"] else 0.0)
    is_loaded = False
    for _, event in run_isolated([Job(target["name"], run, limit, limit_ends=True)]):
        if not isinstance(event, Ended):
            is_loaded = True
            if event.value is not None:
                yield event.value
        elif not is_loaded or event.how or event.error:
            how = event.how or (event.error.strip().splitlines() or ["it ends the process"])[-1]
            one = CHECKS["loads"]
            reason = f"while it is loaded {how}" if not is_loaded else f"the checks ended early: {how}"
            yield CheckResult(target["name"], "loads", "fail", one.why, one.hint, reason=reason).report()


def _results(
    target: Mapping[str, Any], fresh: FreshProcess | None, wanted: set[str] | None, running: Any, send: Send
) -> Iterator[CheckResult]:
    from pipesmith.pipelines.testing.contract import targets

    options = LoadOptions(
        **target["options"], access=HubAccess(target["token"], target["is_offline"]), notify=lambda text: None
    )
    subject = None
    try:
        subject, found = targets.unloaded(target["name"], options)
        subject.parameters, subject.fresh = target["parameters"], fresh
        subject = targets.loaded(subject, found, options)
    except PipeError as error:
        send(None)
        yield _not_loaded(target["name"], error, subject)
        if subject is None:
            return
    send(None)  # the limit of loading ends here
    yield from running.run_checks(
        subject,
        examples=target["examples"],
        off=target["off"],
        only=None if wanted is None else wanted.__contains__,
        time_limit=target["time_limit"],
    )


def _not_loaded(name: str, error: PipeError, subject: Any) -> CheckResult:
    from pipesmith.pipelines.user_code import user_line

    at = user_line(error.__cause__) if error.__cause__ is not None else ""
    one = CHECKS["loads"]
    return CheckResult(
        name,
        one.name,
        "fail",
        one.why,
        error.hint or one.hint,
        reason=error.message.rstrip("."),
        location=at or (subject.place() if subject is not None else ""),
    )
