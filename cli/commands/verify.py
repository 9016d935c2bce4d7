"""`pipe verify`: whether a repository arrives unharmed and loads with plain transformers."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output, quiet
from pipesmith.cli.run_options import TrustOpt


def verify(
    repo: Annotated[
        str, typer.Argument(metavar="USER/REPO[@REVISION]", help="A repository, at a branch, tag or commit.")
    ],
    token: options.TokenOpt = None,
    trust_remote_code: TrustOpt = False,
    trust_project: options.TrustProjectOpt = False,
    format: options.FormatOpt = options.ReportFormat.human,
    verbose: options.VerboseOpt = False,
) -> None:
    """Check that a repository loads anywhere: pipe verify alice/demo@v1 --trust-remote-code

    It is downloaded into an empty cache, each file is compared with the Hub's checksum, and plain transformers loads it
    in a fresh process. What `pipe push` published is run on its example, and the output compared.
    """
    from dataclasses import asdict

    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.names import counted
    from pipesmith.pipelines.publishing.verify import verify as check
    from pipesmith.pipelines.targets import LoadOptions

    output.set_verbose(verbose)
    output.hide(token)
    quiet.before_imports()
    name, _, revision = repo.partition("@")
    loading = LoadOptions(
        trust_remote_code=trust_remote_code,
        trust_project=trust_project,
        ask=output.asker(),
        access=HubAccess(token),
        notify=output.note,
    )
    with output.results_stream():
        found = check(name, revision or None, loading)
    if format is options.ReportFormat.json:
        output.print_json(asdict(found))
        return
    compared = f"; the output of {', '.join(found.compared)} is as published" if found.compared else ""
    output.print_text(
        f"{found.repo_id} at commit {found.commit}: {counted(found.files, 'file')} with their checksums, "
        f"{', '.join(found.tasks)} loads with plain transformers{compared}."
    )
