"""`pipe doctor`: what breaks between transformers 4 and 5, before publishing, and in the environment."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output
from pipesmith.cli.findings import print_findings, propose

PathArg = Annotated[
    str | None,
    typer.Argument(
        metavar="[PATH|USER/REPO]",
        help="A file, a notebook, a folder, or a repository of the Hub (user/repo@revision). Without it: the project "
        "around the working directory, and the environment.",
        show_default=False,
    ),
]
FixOpt = Annotated[bool, typer.Option("--fix", help="Show the safe mends as a diff and make them.", show_default=False)]
FindingsOpt = Annotated[
    options.FindingsFormat, typer.Option("--format", help="human; json for programs; github for annotations.")
]


def doctor(
    path: PathArg = None,
    fix: FixOpt = False,
    yes: options.YesOpt = False,
    format: FindingsOpt = options.FindingsFormat.human,
    revision: options.RevisionOpt = None,
    token: options.TokenOpt = None,
    offline: options.OfflineOpt = False,
) -> int:
    """Find what breaks between transformers 4 and 5, and before publishing: pipe doctor my_pipeline.py

    The source is read, not run. `pipe doctor src --fix` shows the mends that change nothing for PyTorch models as a
    diff and asks; others are proposed. `pipe doctor` alone looks at the project and at the environment.

    A line may say why a rule does not count there: # pipe: ignore[PS101] because only 4 runs this
    """
    from pipesmith.pipelines.doctor.targets import find_place
    from pipesmith.pipelines.hub import HubAccess

    output.hide(token)
    place = find_place(path, revision, HubAccess(token, offline), to_change=fix)
    with output.status("Reading ..."):
        report = place.examine()
    if fix and any(finding.safe for finding in report.findings):
        propose(report, yes=yes, quiet=format is not options.FindingsFormat.human)
        report = place.examine()
    print_findings(report, format)
    return 1 if report.findings else 0
