"""What `pipe new-task` asks, shows and says."""

from __future__ import annotations

from dataclasses import replace

import typer

from pipesmith.cli import output
from pipesmith.cli.questions import ask, with_revision
from pipesmith.pipelines.errors import ParameterError, ScaffoldError
from pipesmith.pipelines.hub import HubAccess, is_repo_id
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.registering import read_default
from pipesmith.pipelines.scaffolding.answers import TYPES
from pipesmith.pipelines.scaffolding.choosing import Choices, choose
from pipesmith.pipelines.scaffolding.model_classes import DEFAULT_OF_TYPE, task_of
from pipesmith.pipelines.scaffolding.plan import Plan
from pipesmith.pipelines.scaffolding.rows import typed_row


def ask_for_rest(choices: Choices, access: HubAccess) -> Choices:
    """Ask for what was not said; what was said is checked before more is asked."""
    choices = replace(choices, default=with_revision(choices.default, access))
    choose(choices, access)
    if choices.parent is None and choices.type is None and choices.model_class is None:
        choices = replace(choices, type=ask("Type", "text", _check_type))
    if choices.parent is None and choices.model_class is None:
        kind = choices.type or "text"

        def check(name: str) -> None:
            choose(replace(choices, type=kind, model_class=name), access)

        choices = replace(choices, model_class=ask("Model class", DEFAULT_OF_TYPE[kind], check))
        if kind == "text" and not choices.pair and task_of(choices.model_class) is None:
            choices = replace(choices, pair=typer.confirm("A second text for each row?", default=False, err=True))
    if choices.default is None:
        answer = ask("Default model (user/model@revision, a folder, or none)", "none", _check_default)
        choices = replace(choices, default=None if answer == "none" else with_revision(answer, access))
    return choices


def _check_type(text: str) -> None:
    if text not in TYPES:
        raise ParameterError(
            f"{text} is no type of a task.", hint=near_miss(text, TYPES) or f"It is {', '.join(TYPES)}."
        )


def _check_default(text: str) -> None:
    if text != "none" and not is_repo_id(text):
        read_default(text, HubAccess())  # a folder, or user/model@revision: the Hub is not asked


def show(plan: Plan) -> None:
    """Show which files will be written, and what would be overwritten."""
    for change in plan.changes:
        verb = "overwrite" if change.overwrites else "change" if change.before else "write"
        output.note(f"  {verb:9} {change.path.as_posix()}")
    if plan.answers.parent:
        model, parent = plan.answers.model_classes[0], plan.answers.parent
        output.note(f"It starts as a subclass of {parent.class_name}, which knows what {model} takes.")
    for change in plan.changes:
        if change.overwrites:
            output.note(change.diff().rstrip("\n"))


def agree(plan: Plan, *, asking: bool) -> None:
    """Ask whether a plan is to be carried out; what is overwritten is asked for whatever else was said.

    Raises:
        ScaffoldError: files would be overwritten, and nobody can be asked.
    """
    overwritten = [one.path.as_posix() for one in plan.changes if one.overwrites]
    if overwritten and not asking:
        raise ScaffoldError(
            f"{' and '.join(overwritten)} would be overwritten; nothing was written.",
            hint="Move your own file away, choose another name, or run it on a terminal without --yes to be asked.",
        )
    question = f"Overwrite {' and '.join(overwritten)}?" if overwritten else "Write these files?"
    if asking:
        typer.confirm(question, default=not overwritten, abort=True, err=True)


def print_diff(plan: Plan) -> None:
    """Print what would change, as a unified diff."""
    for change in plan.changes:
        output.print_text(change.diff().rstrip("\n"))


def carry_out(plan: Plan, *, asking: bool) -> None:
    """Show what will be written, ask about files that are there, and write.

    Raises:
        ScaffoldError: a file of the author's stands in the way, and nobody agreed.
    """
    if not plan.changes:
        output.note("Everything is there already: nothing changed.")
        return
    show(plan)
    agree(plan, asking=asking)
    plan.write()


def print_next_steps(plan: Plan, *, is_project: bool = True) -> None:
    """Say what there is now, and what to do with it: in a project, or in a checkout of transformers."""
    answers = plan.answers
    source = f"{answers.pipelines}/{answers.module}.py"
    logic = f"Your own logic goes into preprocess, _forward and postprocess of {answers.class_name} in {source}."
    if not is_project:
        tests = f"tests/pipelines/test_pipelines_{answers.module}.py"
        commands = ["make style"] * (plan.root / "Makefile").is_file()
        commands += [f"python -m pytest {tests}"] * (plan.root / tests).is_file()
        steps = "".join(f"\n  {command}" for command in commands)
        output.print_text(f"{answers.task} is a task of {plan.root.resolve()}. Next, there:{steps}\n{logic}")
        return
    second = ' --second-text "another text"' if answers.pair else ""
    model = "" if answers.default else " --model tiny"
    output.print_text(
        f"{answers.task} is a task of {plan.root}. Next:\n"
        f"  pipe run {answers.task} {typed_row(answers.parent, answers.type)}{second}{model}\n"
        "  python -m pytest\n"
        f"{logic}"
    )
