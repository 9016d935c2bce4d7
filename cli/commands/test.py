"""`pipe test`: a task's own tests and the contract of pipelines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pipesmith.cli import options, output, quiet
from pipesmith.cli.run_options import AllowPickleOpt, PtModelOpt, TrustOpt

TasksArg = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TASK]... [-- ARGS]",
        help="Tasks, file.py:Class, checkpoints; without one, all of the project. What follows -- is for pytest.",
        show_default=False,
    ),
]
SlowOpt = Annotated[bool, typer.Option("--slow", help="Run the tests of large models as well.", show_default=False)]
FrameworkOpt = Annotated[
    options.Framework | None, typer.Option("--framework", help="PyTorch's or TensorFlow's tests alone.")
]
KeywordOpt = Annotated[str | None, typer.Option("-k", metavar="EXPRESSION", help="As pytest's -k.")]
JunitOpt = Annotated[Path | None, typer.Option("--junitxml", metavar="FILE", help="pytest's report.")]
UpdateOpt = Annotated[
    bool, typer.Option("--update-expected", help="Record outputs instead of comparing.", show_default=False)
]
ArchitecturesOpt = Annotated[
    str | None,
    typer.Option(
        "--architectures",
        metavar="all|sample|NAME",
        help="Run on a tiny model of each architecture that the model class takes, on a few, or on one.",
    ),
]


def test(
    tasks: TasksArg = None,
    slow: SlowOpt = False,
    framework: FrameworkOpt = None,
    keyword: KeywordOpt = None,
    junitxml: JunitOpt = None,
    update_expected: UpdateOpt = False,
    architectures: ArchitecturesOpt = None,
    format: options.FormatOpt = options.ReportFormat.human,
    model: options.ModelOpt = None,
    revision: options.RevisionOpt = None,
    token: options.TokenOpt = None,
    pt_model: PtModelOpt = None,
    trust_remote_code: TrustOpt = False,
    trust_project: options.TrustProjectOpt = False,
    allow_pickle: AllowPickleOpt = False,
    verbose: options.VerboseOpt = False,
) -> int:
    """Test a task: its own tests, and what every caller of a pipeline relies on: pipe test my-task

    Everything is offline, on tiny random models: batched equals single, a list equals a generator, parameters do not
    leak, the output is plain JSON, what is saved loads elsewhere, and more. No project is needed for a file, a
    checkpoint or one of transformers' tasks: pipe test file.py:Class

    A check is switched off by name, with a reason, under [tool.pipe.tasks.TASK.contract] in pyproject.toml.
    """
    from pipesmith.cli.tests import print_results, shown, split_arguments
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.testing.task_tests import TestOptions, project_tasks, run_tests

    output.set_verbose(verbose)
    output.hide(token)
    names, arguments = split_arguments(tasks or [])
    project = find_project()
    names = names or project_tasks(project)
    given = {"model": model, "revision": revision, "pt_model": pt_model, "trust_remote_code": trust_remote_code}
    given |= {"trust_project": trust_project, "allow_pickle": allow_pickle}
    loading = {name: value for name, value in given.items() if value not in (None, False)}
    with_framework = framework.value if framework else None
    # The tests come in pairs; USE_TF=0 of the user's own is heeded.
    with_tensorflow = with_framework == "tf" or (with_framework is None and not os.environ.get("USE_TF"))
    wanted = TestOptions(
        slow,
        with_framework,
        with_tensorflow,
        keyword,
        junitxml,
        update_expected,
        architectures,
        arguments,
        loading,
        token,
    )
    quiet.before_imports()
    with output.results_stream():
        results = list(shown(run_tests(names, project, wanted), verbose=verbose))
    print_results(names, results, format)
    return 1 if any(result.outcome == "fail" for result in results) else 0
