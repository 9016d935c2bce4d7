"""The options of `pipe push`, by the sections of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_UPLOAD = "The upload"

TaskOpt = Annotated[
    list[str] | None,
    typer.Option("--task", metavar="TASK", help="A task, or file.py:Class; several share the model."),
]
ExampleOpt = Annotated[
    str | None,
    typer.Option("--example", metavar="INPUT", help="What the card shows: a text, a file, or a JSON object."),
]
LicenseOpt = Annotated[
    str | None, typer.Option("--license", metavar="NAME", help="As the Hub names it: apache-2.0, mit, ...")
]
OutputDirOpt = Annotated[
    Path | None, typer.Option("--output-dir", metavar="DIR", help="Write the folder here, and upload nothing.")
]
DryRunOpt = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and upload nothing.", show_default=False)
]
SkipTestsOpt = Annotated[
    bool, typer.Option("--skip-tests", help="Publish what breaks the contract of pipelines.", show_default=False)
]
PrivateOpt = Annotated[bool, typer.Option("--private", help="Make a new repository private.", rich_help_panel=_UPLOAD)]
CreatePrOpt = Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.", rich_help_panel=_UPLOAD)]
BranchOpt = Annotated[
    str | None,
    typer.Option("--revision", metavar="BRANCH", help="Commit to this branch.", rich_help_panel=_UPLOAD),
]
MessageOpt = Annotated[
    str | None, typer.Option("--message", metavar="TEXT", help="Of the commit.", rich_help_panel=_UPLOAD)
]
TagOpt = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Tag the commit.", rich_help_panel=_UPLOAD)]
SpaceOpt = Annotated[
    bool, typer.Option("--space", help="Make a Space of this name that runs it.", rich_help_panel=_UPLOAD)
]
