"""The command `pipe`: its subcommands in the order in which help lists them."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from pipesmith.cli import output
from pipesmith.cli.group import PipeGroup, Subcommand

EXIT_CODES = "Exit codes: 0 done, 1 an error or findings, 2 usage, 3 finished but some rows failed, 130 interrupted."


class Commands(PipeGroup):
    """The commands, in the order in which help lists them."""

    subcommands: ClassVar[dict[str, Subcommand]] = {
        "run": Subcommand("run", epilog=EXIT_CODES, takes_task=True),
        "bench": Subcommand("bench", epilog=EXIT_CODES, takes_task=True),
        "new-task": Subcommand("new_task", epilog=EXIT_CODES),
        "register": Subcommand("register", epilog=EXIT_CODES),
        "update": Subcommand("update", epilog=EXIT_CODES),
        "test": Subcommand("test", epilog=EXIT_CODES),
        "push": Subcommand("push", epilog=EXIT_CODES),
        "verify": Subcommand("verify", epilog=EXIT_CODES),
        "doctor": Subcommand("doctor", epilog=EXIT_CODES),
        "list": Subcommand("list", function="list_tasks"),
        "info": Subcommand("info"),
        "trust": Subcommand("trust", epilog=EXIT_CODES),
    }


app = typer.Typer(
    cls=Commands,
    name="pipe",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


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
