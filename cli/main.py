"""The command `pipe`: its subcommands in the order in which help lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import output
from pipesmith.cli.commands.bench import bench
from pipesmith.cli.commands.doctor import doctor
from pipesmith.cli.commands.info import info
from pipesmith.cli.commands.list import list_tasks
from pipesmith.cli.commands.new_task import new_task
from pipesmith.cli.commands.push import push
from pipesmith.cli.commands.register import register
from pipesmith.cli.commands.run import run
from pipesmith.cli.commands.test import test
from pipesmith.cli.commands.trust import trust
from pipesmith.cli.commands.update import update
from pipesmith.cli.commands.verify import verify
from pipesmith.cli.flags import TaskCommand
from pipesmith.cli.group import PipeGroup

EXIT_CODES = "Exit codes: 0 done, 1 an error or findings, 2 usage, 3 finished but some rows failed, 130 interrupted."
app = typer.Typer(
    cls=PipeGroup,
    name="pipe",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
app.command("run", cls=TaskCommand, epilog=EXIT_CODES)(run)
app.command("bench", cls=TaskCommand, epilog=EXIT_CODES)(bench)
app.command("new-task", epilog=EXIT_CODES)(new_task)
app.command("register", epilog=EXIT_CODES)(register)
app.command("update", epilog=EXIT_CODES)(update)
app.command("test", epilog=EXIT_CODES)(test)
app.command("push", epilog=EXIT_CODES)(push)
app.command("verify", epilog=EXIT_CODES)(verify)
app.command("doctor", epilog=EXIT_CODES)(doctor)
app.command("list")(list_tasks)
app.command("info")(info)
app.command("trust", epilog=EXIT_CODES)(trust)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    for name in ("pipesmith", "torch", "transformers", "huggingface_hub"):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        output.print_text(f"{name} {found}")
    raise typer.Exit


@app.callback()
def pipe(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_versions, is_eager=True, help="Print versions.", show_default=False),
    ] = False,
) -> None:
    """Run, scaffold, register, test and publish custom Hugging Face pipelines.

    Start with: pipe run pair-classification --second-text "He bought a car." "He purchased an automobile."
    """
