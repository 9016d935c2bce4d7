"""`pipe trust`: read code that comes from elsewhere, and agree to it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output

NameArg = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="user/repo, user/repo@REVISION, or a checkpoint folder.", show_default=False),
]
ListOpt = Annotated[bool, typer.Option("--list", help="Show what is trusted here.", show_default=False)]
RevokeOpt = Annotated[bool, typer.Option("--revoke", help="Take consent to NAME back.", show_default=False)]
ProjectOpt = Annotated[bool, typer.Option("--project", help="Accept the project's pipe.lock as it is now.")]
UserOpt = Annotated[bool, typer.Option("--user", help="Record in your own lock, not in the project's.")]
YesOpt = Annotated[bool, typer.Option("--yes", "-y", help="Agree without being asked.", show_default=False)]


def trust(
    name: NameArg = None,
    list_all: ListOpt = False,
    revoke: RevokeOpt = False,
    project: ProjectOpt = False,
    user: UserOpt = False,
    yes: YesOpt = False,
    token: options.TokenOpt = None,
    offline: options.OfflineOpt = False,
    trust_project: options.TrustProjectOpt = False,
    format: options.FormatOpt = options.ReportFormat.human,
) -> None:
    """Read code of a repository and agree to it: pipe trust user/repo

    It shows the files that a load can execute, or what has changed in them, and asks. Consent is to one commit and to
    the SHA-256 of each file. It is recorded in the project's pipe.lock, or else in your own trust.lock, and `pipe run`
    then uses exactly that commit. Nothing is executed here.

    pipe trust user/repo@v1          agree to the commit of a tag
    pipe trust ./my-checkpoint       a folder, by the hashes of its files alone
    pipe trust --project             accept the pipe.lock of a cloned project
    pipe trust --list                what is trusted
    pipe trust user/repo --revoke    take it back
    """
    from pipesmith.cli import consent
    from pipesmith.pipelines.errors import ParameterError
    from pipesmith.pipelines.hub import HubAccess

    output.hide(token and token.strip())
    if list_all:
        consent.show_list(as_json=format is options.ReportFormat.json, trust_project=trust_project)
    elif project:
        consent.accept_project(yes=yes)
    elif name is None:
        raise ParameterError("Whose code?", hint="pipe trust user/repo, or pipe trust --list")
    elif revoke:
        consent.revoke(name, trust_project=trust_project)
    else:
        consent.agree(name, HubAccess(token, offline), for_user=user, yes=yes, trust_project=trust_project)
