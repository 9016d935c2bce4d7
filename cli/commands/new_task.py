"""`pipe new-task`: from an idea to a task with its pipeline, its tests and its entry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipesmith.cli import options, output


def new_task(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its name, such as my-task.", show_default=False)],
    type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="text, audio, image, video or multimodal.", show_default=False),
    ] = None,
    model_class: Annotated[
        str | None,
        typer.Option("--model-class", metavar="CLASS", help="AutoModelForX; otherwise the type's.", show_default=False),
    ] = None,
    pair: Annotated[bool, typer.Option("--pair", help="Each row has a second text.", show_default=False)] = False,
    chunk: Annotated[
        bool, typer.Option("--chunk", help="Cut each row into pieces for the model.", show_default=False)
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME:TYPE=DEFAULT@STAGE",
            help="A parameter, such as top_k:int=5@postprocess; may be repeated.",
            show_default=False,
        ),
    ] = None,
    from_task: Annotated[
        str | None,
        typer.Option("--from", metavar="TASK", help="Start as a subclass of this task.", show_default=False),
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(
            "--default", metavar="MODEL", help="user/model@revision, or a folder of the project.", show_default=False
        ),
    ] = None,
    framework: Annotated[
        str, typer.Option("--framework", metavar="pt|both", help="pt leaves TensorFlow's tests out.")
    ] = "both",
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="PATH", help="Into this checkout of transformers.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print a unified diff and write nothing.", show_default=False)
    ] = False,
    yes: options.YesOpt = False,
    token: options.TokenOpt = None,
    offline: options.OfflineOpt = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Make a task: its pipeline, its tests and its entry, which run at once: pipe new-task my-task

    The folder becomes a project if it is none. No file of yours is overwritten unasked; again, it changes nothing.

    pipe new-task my-task --yes && python -m pytest && pipe run my-task "text" --model tiny

    pipe new-task same-meaning --pair --default user/model@main

    pipe new-task tone --type audio --chunk --param top_k:int=3@postprocess

    pipe new-task my-sentiment --from text-classification --dry-run

    pipe new-task my-task --yes --into ../transformers
    """
    from pipesmith.cli import questions, scaffolding
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.scaffolding.choosing import Choices, choose
    from pipesmith.pipelines.scaffolding.into import make_plan_into
    from pipesmith.pipelines.scaffolding.plan import make_plan

    output.set_verbose(verbose)
    output.hide(token)
    asking = questions.can_ask() and not yes
    choices = Choices(task, type, model_class, pair, chunk, tuple(param or ()), default, from_task, framework, into)
    access = HubAccess(token, offline)
    if asking and not dry_run:
        choices = scaffolding.ask_for_rest(choices, access)
    answers = choose(choices, access)
    plan, notes = make_plan_into(into, answers) if into else (make_plan(answers), ())
    if dry_run:
        scaffolding.print_diff(plan)
    else:
        scaffolding.carry_out(plan, asking=asking)
    for note in notes:
        output.note(note)
    if not dry_run:
        scaffolding.print_next_steps(plan, is_project=into is None)
