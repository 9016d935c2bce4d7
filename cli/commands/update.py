"""`pipe update`: what templates have changed, merged into tasks that were made from them."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output


def update(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help="Otherwise all that `pipe new-task` made here.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the diff and write nothing.", show_default=False)
    ] = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Take over what templates have changed since `pipe new-task`: pipe update --dry-run, then pipe update

    Your edits stay: git merges the two, from the text that was rendered the last time (in .pipe/scaffold/, which
    belongs into git). Where you and the template have changed the same lines, both stand between conflict markers and
    the exit code is 1.

    pipe update my-task
    """
    from pipesmith.pipelines.errors import ProjectError
    from pipesmith.pipelines.names import counted
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.scaffolding.update import plan_update

    output.set_verbose(verbose)
    project = find_project()
    if project is None:
        raise ProjectError("There is no project here.", hint="cd to one, or begin one: pipe new-task my-task")
    found = plan_update(project, tasks or ())
    if not dry_run:
        found.write()
    for change in found.shown:
        output.print_text(change.diff().rstrip("\n") if dry_run else f"{change.path.as_posix()}: updated.")
    for path in found.removed:
        output.note(f"{path.as_posix()} is not there any more and stays away.")
    if found.conflicts:
        output.note(f"{counted(len(found.conflicts), 'conflict')} to resolve by hand: {', '.join(found.conflicts)}")
        raise typer.Exit(1)
    if not found.shown:
        output.print_text("Nothing to update.")
