"""The contract of pipelines: what transformers, and whoever uses a pipeline, rely on without ever saying so.

    for result in check_pipeline("my_task.py:MyPipeline"):
        print(result.name, result.outcome, result.reason)

    results.py      a check, and what it says
    checks/         the checks, each a small function
    subject.py      what they look at: a live pipeline, rows, its source
    examples.py     rows made from a task's type and signature
    comparing.py    results compared within a tolerance
    running.py      all checks of one pipeline, each in a fork with a time limit
    isolation.py    forks that can hang, print or exit
    targets.py      a name to a loaded pipeline
    worker.py       the process that all this runs in
    fresh.py        another one, which knows transformers alone

Not here: the user's own tests (pytest runs them), and the table (`cli/commands/test.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipesmith.pipelines.errors import ContractError
from pipesmith.pipelines.testing.contract.results import CheckResult

__all__ = ["CheckResult", "ContractTarget", "check_pipeline", "check_targets"]

TIME_LIMIT = 60.0  # seconds a check
# With `python -c` the working directory comes first in sys.path, where a user's `torch.py` would be found.
_WORKER = "import sys; sys.path[:] = sys.path[1:]; from pipesmith.pipelines.testing.contract.worker import main; main()"


@dataclass(frozen=True)
class ContractTarget:
    """What is to be checked.

    Args:
        name: a task, `file.py:Class`, a checkpoint folder or user/repo.
        options: how it is loaded: arguments of `targets.LoadOptions` that JSON can hold.
        examples: inputs, instead of those that are made from its type.
        parameters: of every call.
        off: checks that are switched off, by name, and why.
        time_limit: seconds for each check.
        token: for the Hub.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = TIME_LIMIT
    token: str | None = None


def check_targets(targets: Sequence[ContractTarget], *, only: Collection[str] = ()) -> Iterator[CheckResult]:
    """Check pipelines in a process of their own, and yield each result as it comes.

    Args:
        targets: the pipelines; one import of transformers serves them all.
        only: names of the checks that are wanted; all if empty.

    Raises:
        ContractError: there is no check of a name, or the process ended.
    """
    from pipesmith.pipelines.hub import is_repo_id
    from pipesmith.pipelines.testing.contract.running import require_checks

    require_checks(only)
    described = []
    for target in targets:
        require_checks(target.off)
        is_remote = any(is_repo_id(str(name)) for name in (target.name, target.options.get("model") or ""))
        described.append(
            {
                "name": target.name,
                "options": dict(target.options),
                "examples": list(target.examples) if target.examples else None,
                "parameters": dict(target.parameters),
                "off": dict(target.off),
                "time_limit": target.time_limit,
                "token": target.token,
                "is_remote": is_remote,
                "is_offline": not is_remote,
            }
        )
    environment = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_VERBOSITY": "error", **os.environ, "USE_TF": "0"}
    if not any(one["is_remote"] for one in described):
        environment["HF_HUB_OFFLINE"] = "1"
    request = json.dumps({"targets": described, "only": list(only)})
    with tempfile.TemporaryFile() as said:
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        assert worker.stdin is not None and worker.stdout is not None
        try:
            worker.stdin.write(request.encode())
            worker.stdin.close()
            for line in worker.stdout:
                yield CheckResult(**json.loads(line))
            if worker.wait():
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise ContractError(
                    f"The process of the checks ended with exit code {worker.returncode}: {(lines or ['no word'])[-1]}"
                )
        finally:
            if worker.poll() is None:
                worker.terminate()
            worker.stdout.close()
            worker.wait()


def check_pipeline(
    target: Any,
    *,
    examples: Sequence[Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    off: Mapping[str, str] | None = None,
    only: Collection[str] = (),
    time_limit: float = TIME_LIMIT,
    **options: Any,
) -> Iterator[CheckResult]:
    """Check a pipeline against the contract, and yield each result as it comes.

    Args:
        target: a task, `file.py:Class`, a checkpoint folder, user/repo, or a live pipeline on the CPU. A task and a
            file get a tiny random model unless `model` is given.
        examples: inputs as `preprocess` takes them; made from the task's type if None.
        parameters: of every call.
        off: checks that are switched off, by name, and why.
        only: names of the checks that are wanted; all if empty.
        time_limit: seconds for each check.
        **options: how a name is loaded: `model`, `revision`, `task`, `pt_model`, `init`, `trust_remote_code`, ...

    Yields:
        A result for each check.

    Raises:
        ContractError: there is no check of a name, or a live pipeline that is not on the CPU.
    """
    given = dict(parameters or {})
    if isinstance(target, (str, os.PathLike)):
        described = ContractTarget(os.fspath(target), options, examples, given, off or {}, time_limit)
        yield from check_targets([described], only=only)
        return
    from pipesmith.pipelines.testing.contract.fresh import FreshProcess
    from pipesmith.pipelines.testing.contract.running import require_checks, run_checks
    from pipesmith.pipelines.testing.contract.targets import of_live

    require_checks([*only, *(off or ())])
    subject = of_live(target, given)
    subject.fresh = FreshProcess() if not only or "save-and-load" in only else None
    wanted = only.__contains__ if only else None
    try:
        yield from run_checks(
            subject, examples=list(examples) if examples else None, off=off, only=wanted, time_limit=time_limit
        )
    finally:
        if subject.fresh is not None:
            subject.fresh.close()
