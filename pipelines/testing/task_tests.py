"""What `pipe test` runs for a task: the project's own tests, the contract, and tiny models of architectures.

All of it comes out as results of one kind. pytest and the checks run side by side, each in a process of its own.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines import tensorflow
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import ContractError, PipeError, TaskNotFoundError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.testing.contract import ContractTarget, check_targets
from pipesmith.pipelines.testing.contract.results import CheckResult
from pipesmith.pipelines.testing.contract.running import require_checks

ARCHITECTURES = "architectures"
_SAMPLE = 6  # architectures
_ARCHITECTURE_LIMIT = 120.0  # seconds
_OTHER_FRAMEWORK = {"pt": "_tf", "tf": "_pt"}
_TESTS = "These are the task's own tests: they pin what it returns."
_TESTS_HINT = (
    "Mend the pipeline, or the test if what it expects has changed; `pipe test --update-expected` records outputs."
)
_BUILT = "A task works with every model class that its entry names, not with one architecture alone."


@dataclass(frozen=True)
class TestOptions:
    """How tests are run.

    Args:
        slow: whether the large models are run.
        framework: "pt" or "tf": the tests of the other are left out. The checks run PyTorch's model, and one of them
            compares TensorFlow's with it.
        tensorflow: whether transformers 4 is to import TensorFlow for the tests; else as the environment says.
        keyword: as pytest's -k.
        junitxml: where pytest writes its report.
        update_expected: whether outputs are recorded instead of compared.
        architectures: "all", "sample" or a name; None for none.
        arguments: further ones of pytest.
        loading: arguments of `LoadOptions` that JSON can hold.
        token: for the Hub.
        checks: names of the contract's checks that are wanted; all if empty.
    """

    __test__ = False  # pytest takes it for a test otherwise

    slow: bool = False
    framework: str | None = None
    tensorflow: bool = False
    keyword: str | None = None
    junitxml: Path | None = None
    update_expected: bool = False
    architectures: str | None = None
    arguments: tuple[str, ...] = ()
    loading: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None
    checks: tuple[str, ...] = ()


def project_tasks(project: Project | None) -> list[str]:
    """Return the tasks of a project.

    Raises:
        TaskNotFoundError: there is no project, or it has none.
    """
    from pipesmith.pipelines.registry import read_level

    if project is None:
        raise TaskNotFoundError(
            "There is no project here, and no task was named.",
            hint="Name one, or a file: pipe test file.py:Class, pipe test text-classification.",
        )
    found = [entry.task for entry in read_level("project", project).entries]
    if not found:
        raise TaskNotFoundError(
            f"{project.registry_file} registers no task.", hint="`pipe new-task NAME` makes one, with its tests."
        )
    return sorted(set(found))


def test_file(project: Project | None, task: str) -> Path | None:
    """Return the file that tests a task of a project; None if there is none."""
    if project is None:
        return None
    file = project.root / "tests" / f"test_pipelines_{task.replace('-', '_')}.py"
    return file if file.is_file() else None


def run_tests(tasks: Sequence[str], project: Project | None, options: TestOptions) -> Iterator[CheckResult]:
    """Test tasks, and yield each result as it comes.

    Args:
        tasks: as `pipe run` takes them.
        project: around the working directory.
        options: how.

    Raises:
        PipeError: a name or an option is wrong, or pytest cannot run.
    """
    if options.framework == "tf":
        tensorflow.require()
    files = {task: file for task in tasks if (file := test_file(project, task)) is not None}
    targets = [_contract_target(task, project, options) for task in tasks]
    if options.architectures not in (None, "all", "sample"):  # a slip is told before anything runs
        for target in targets:
            _architectures(target, options.architectures)
    if options.junitxml is not None and not files:
        raise ContractError(
            f"pytest would have nothing to report in {options.junitxml}: there is no test file of {', '.join(tasks)}.",
            hint="Leave --junitxml out; --format json reports the contract.",
        )
    pytest = _Pytest(project, files, options) if project is not None and files else None
    try:
        yield from check_targets(targets, only=options.checks)
        if options.architectures:
            for target in targets:
                yield from _run_architectures(target, options.architectures)
        if pytest is not None:
            yield from pytest.results()
    finally:
        if pytest is not None:
            pytest.stop()


def _contract_target(task: str, project: Project | None, options: TestOptions) -> ContractTarget:
    settings = project.tasks.get(task) if project is not None else None
    loading = dict(options.loading)
    if settings is None:
        return ContractTarget(task, loading, token=options.token)
    require_checks(settings.contract, f"tool.pipe.tasks.{task}.contract")
    return ContractTarget(task, loading, settings.examples or None, off=settings.contract, token=options.token)


# ---- pytest


class _Pytest:
    """pytest in a process of its own, which has begun."""

    def __init__(self, project: Project, files: Mapping[str, Path], options: TestOptions) -> None:
        self._tasks = {file.stem: task for task, file in files.items()}
        self._root = project.root
        self._folder = tempfile.TemporaryDirectory(prefix="pipesmith-tests-")
        self._report = options.junitxml.absolute() if options.junitxml else Path(self._folder.name, "junit.xml")
        self._said = Path(self._folder.name, "pytest.txt")
        command = [sys.executable, "-m", "pytest", *(str(file) for file in files.values()), "-q", "-o", "addopts="]
        command += [
            "--continue-on-collection-errors",
            f"--junitxml={self._report}",
            "-o",
            "junit_family=xunit2",
            "-p",
            "no:cacheprovider",
        ]
        left_out = _OTHER_FRAMEWORK.get(options.framework or "")
        wanted = [f"({options.keyword})"] if options.keyword else []
        wanted += [f"not {left_out}"] if left_out else []
        command += ["-k", " and ".join(wanted)] if wanted else []
        command += ["--slow"] if options.slow else []
        command += ["--update-expected"] if options.update_expected else []
        environment = {**os.environ, "USE_TF": "AUTO"} if options.tensorflow else None
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [*command, *options.arguments],
                cwd=project.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    def results(self) -> Iterator[CheckResult]:
        """Yield a result for each test.

        Raises:
            ContractError: pytest did not get as far as the tests.
        """
        code = self._process.wait()
        text = self._said.read_text(encoding="utf-8", errors="replace").strip()
        if code not in (0, 1, 2, 5) or not self._report.is_file():
            lines = [line for line in text.splitlines() if line.strip()] or ["it says nothing"]
            errors = [line for line in lines if "rror" in line]
            raise ContractError(
                f"pytest ended with exit code {code}: {(errors or lines)[-1].strip()}",
                hint=f"`python -m pytest` in {self._root} shows all that it says.",
            )
        for case in ElementTree.parse(self._report).iter("testcase"):
            yield self._result(case)

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._folder.cleanup()

    def _result(self, case: ElementTree.Element) -> CheckResult:
        owner, name = case.get("classname", ""), case.get("name", "")
        parts = [*owner.split("."), *name.split(".")]  # a file that does not import stands in the name
        task = next((self._tasks[part] for part in parts if part in self._tasks), owner)
        seconds = float(case.get("time") or 0)
        skipped = case.find("skipped")
        if skipped is not None:
            reason = (skipped.get("message") or "").strip()
            return CheckResult(task, name, "not applicable", _TESTS, _TESTS_HINT, reason, seconds=seconds)
        failures = [found for kind in ("failure", "error") if (found := case.find(kind)) is not None]
        if not failures:
            return CheckResult(task, name, "pass", _TESTS, _TESTS_HINT, seconds=seconds)
        found = failures[0]
        message = (found.get("message") or "").strip()
        expected, got = _compared(found.text or "")
        if not owner:  # of a file that pytest could not read
            name = "imports"
        lines = [line for line in message.splitlines() if line.strip()]
        errors = [line[1:].strip() for line in (found.text or "").splitlines() if line.startswith("E  ")]
        reason = (errors or lines or ["it failed"])[-1 if not owner else 0]
        return CheckResult(
            task, name, "fail", _TESTS, _TESTS_HINT, reason, self._place(found.text or ""), expected, got, seconds
        )

    def _place(self, text: str) -> str:
        """Return the last file:line of the project that a traceback names."""
        places = []
        for line in text.splitlines():
            file, _, rest = line.partition(":")
            number = rest.partition(":")[0]
            if number.isdigit() and file.endswith(".py") and not line.startswith(" "):
                path = self._root / file
                if path.is_file() and "site-packages" not in path.parts:
                    places.append(f"{path.resolve()}:{number}")
        return places[-1] if places else ""


def _compared(text: str) -> tuple[str, str]:
    """Return both sides of `assert got == expected`, as pytest writes them."""
    for line in text.splitlines():
        before, _, after = line.removeprefix("E").strip().removeprefix("AssertionError: ").partition(" == ")
        if line.startswith("E  ") and before.startswith("assert ") and after:
            return after.strip(), before.removeprefix("assert ").strip()
    return "", ""


# ---- Architectures


def _run_architectures(target: ContractTarget, wanted: str) -> Iterator[CheckResult]:
    """Run a task on tiny models, each in a fork with a time limit."""
    from pipesmith.pipelines.testing.contract.isolation import Ended, Job, run_isolated
    from pipesmith.pipelines.testing.contract.worker import warm_up

    warm_up()
    subject, entry, chosen = _architectures(target, wanted)
    if not chosen:
        yield _architecture(target.name, ARCHITECTURES, "not applicable", f"{target.name} names no model class")
        return
    jobs = [Job(name, _job_of(entry, one, name, subject, target), _ARCHITECTURE_LIMIT) for name, one in chosen.items()]
    done = set()
    for name, event in run_isolated(jobs, together=os.cpu_count() or 1):
        if not isinstance(event, Ended):
            done.add(name)
            outcome, reason, seconds = event.value
            yield _architecture(target.name, f"{ARCHITECTURES}: {name}", outcome, reason, seconds)
        elif name not in done:
            how = event.how or (event.error.strip().splitlines() or ["it ends the process"])[-1]
            yield _architecture(target.name, f"{ARCHITECTURES}: {name}", "fail", how, event.seconds)


def _architectures(target: ContractTarget, wanted: str) -> tuple[Any, PipelineEntry, dict[str, Any]]:
    """Return the subject, its entry, and the architectures that are to be run, each with its model class.

    Raises:
        ContractError: there is none of that name.
    """
    from pipesmith.pipelines.targets import LoadOptions
    from pipesmith.pipelines.testing.contract.targets import unloaded

    subject, found = unloaded(target.name, LoadOptions(**target.options, notify=lambda text: None))
    classes = found.entry.pt_model
    names = {name: one for one in reversed(classes or ()) for name in _architecture_names(one, found.entry)}
    chosen = _chosen(sorted(names), wanted, target.name) if classes else []
    return subject, found.entry, {name: names[name] for name in chosen}


def _architecture(task: str, name: str, outcome: Any, reason: str, seconds: float = 0.0) -> CheckResult:
    hint = "Run it alone: pipe test TASK --architectures " + name.removeprefix(f"{ARCHITECTURES}: ")
    return CheckResult(task, name, outcome, _BUILT, hint, reason, seconds=seconds)


def _architecture_names(model_class: Any, entry: PipelineEntry) -> list[str]:
    from pipesmith.pipelines.source import ClassReference
    from pipesmith.pipelines.testing.tiny_models import tiny_architectures
    from pipesmith.pipelines.user_code import load_class

    try:
        return list(
            tiny_architectures(load_class(model_class) if isinstance(model_class, ClassReference) else model_class)
        )
    except PipeError as error:
        raise ContractError(f"{entry.task}: {error.message}", hint=error.hint) from error


def _chosen(names: Sequence[str], wanted: str, task: str) -> Sequence[str]:
    """Return the architectures that are to be run.

    Raises:
        ContractError: there is none of that name.
    """
    if wanted == "all":
        return names
    if wanted == "sample":
        return sorted(random.Random(task).sample(names, min(_SAMPLE, len(names))))
    if wanted not in names:
        raise ContractError(
            f"{task} has no architecture {wanted!r}.",
            hint=near_miss(wanted, names) or f"It has {', '.join(names[:8])}, and others: --architectures all.",
        )
    return [wanted]


def _job_of(entry: PipelineEntry, model_class: Any, name: str, subject: Any, target: ContractTarget) -> Any:
    def run(send: Any) -> None:
        from pipesmith.pipelines.testing.contract.running import examples_of, needed_parameters, prepare
        from pipesmith.pipelines.testing.tiny_runs import run_on_architectures

        prepare()
        subject.parameters = {**needed_parameters(subject), **target.parameters}
        with tempfile.TemporaryDirectory(prefix="pipesmith-examples-") as folder:
            for record in run_on_architectures(
                entry,
                lambda pipe: examples_of(subject, pipe, target.examples, Path(folder)),
                parameters=subject.row_parameters(0),
                model_class=model_class,
                architectures=[name],
            ):
                outcome = {"passed": "pass", "skipped": "not applicable", "failed": "fail"}[record.outcome]
                reason = f"it needs {record.reason}" if record.outcome == "skipped" else record.reason
                send((outcome, reason, record.seconds))

    return run
