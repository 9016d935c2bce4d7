"""`pipe register`: a class becomes a task, of the project, of the user's own, or of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipesmith.cli import options, output


def register(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE.py:CLASS",
            help="The pipeline class; with --checkpoint also a task that is registered already.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="The task's name; otherwise the class's.", show_default=False),
    ] = None,
    pt_model: Annotated[
        str | None,
        typer.Option(
            "--pt-model", metavar="CLASS", help="AutoModelForX, or your own as file.py:Class.", show_default=False
        ),
    ] = None,
    tf_model: Annotated[
        str | None,
        typer.Option("--tf-model", metavar="CLASS", help="TFAutoModelForX, for transformers 4.", show_default=False),
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(
            "--default",
            metavar="MODEL",
            help="user/model@revision, or a folder of the project. Without a revision the Hub is asked for the commit.",
            show_default=False,
        ),
    ] = None,
    type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="text, audio, image, video or multimodal.", show_default=False),
    ] = None,
    user: Annotated[
        bool, typer.Option("--user", help="Into your own file, for every folder of yours.", show_default=False)
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="DIR", help="Into this checkpoint, with its code.", show_default=False),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the entry of --task out again.", show_default=False)
    ] = False,
    token: options.TokenOpt = None,
    offline: options.OfflineOpt = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Register a class as a task: pipe register my_task.py:MyTaskPipeline --task my-task

    Its source is read, not run. Again, the same command changes nothing.

    With --checkpoint DIR the code and all that it imports are copied into DIR and named in its config.json, so that
    transformers.pipeline(model="DIR", trust_remote_code=True) loads it without pipesmith:

    pipe register my_task.py:MyTaskPipeline --task my-task --checkpoint DIR

    pipe register --remove --task my-task
    """
    from pipesmith.cli import questions, registration
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.registering import Wanted

    output.set_verbose(verbose)
    output.hide(token)
    if checkpoint is not None and (user or default is not None):
        raise typer.BadParameter("--checkpoint is a place and a model: it takes neither --user nor --default.")
    if remove:
        registration.remove(task or target, user=user, checkpoint=checkpoint)
        return
    if target is None:
        raise typer.BadParameter("name a class: pipe register my_task.py:MyTaskPipeline --task my-task")
    access = HubAccess(token, offline)
    if questions.can_ask():
        default = questions.with_revision(default, access)
    wanted = Wanted(task, pt_model, tf_model, default, type)
    if checkpoint is not None:
        registration.into_checkpoint(target, wanted, access, checkpoint)
    else:
        registration.into_registry(target, wanted, access, user=user)
