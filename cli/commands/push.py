"""`pipe push`: a task as a repository that plain transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipesmith.cli import options, output, quiet
from pipesmith.cli.run_options import AllowPickleOpt, PtModelOpt, TrustOpt

UPLOAD = "The upload"


def push(
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="The repository; it is made if need be.")],
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="A task, or file.py:Class; several share the model."),
    ] = None,
    example: Annotated[
        str | None,
        typer.Option("--example", metavar="INPUT", help="What the card shows: a text, a file, or a JSON object."),
    ] = None,
    license: Annotated[
        str | None, typer.Option("--license", metavar="NAME", help="As the Hub names it: apache-2.0, mit, ...")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", metavar="DIR", help="Write the folder here, and upload nothing.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and upload nothing.", show_default=False)
    ] = False,
    skip_tests: Annotated[
        bool, typer.Option("--skip-tests", help="Publish what breaks the contract of pipelines.", show_default=False)
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.", rich_help_panel=UPLOAD)
    ] = False,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead.", rich_help_panel=UPLOAD)
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="BRANCH", help="Commit to this branch.", rich_help_panel=UPLOAD),
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", metavar="TEXT", help="Of the commit.", rich_help_panel=UPLOAD)
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="Tag the commit.", rich_help_panel=UPLOAD)
    ] = None,
    space: Annotated[
        bool, typer.Option("--space", help="Make a Space of this name that runs it.", rich_help_panel=UPLOAD)
    ] = False,
    token: options.TokenOpt = None,
    model: options.ModelOpt = None,
    pt_model: PtModelOpt = None,
    trust_remote_code: TrustOpt = False,
    trust_project: options.TrustProjectOpt = False,
    allow_pickle: AllowPickleOpt = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Publish a task with its code and a model: pipe push alice/demo --model tiny

    The contract's quick checks run first. Then plain transformers loads the folder in a fresh process, and its output
    is compared: a difference stops the push. After the upload the same is done from the Hub.

    Look first: pipe push alice/demo --model tiny --dry-run
    """
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.publishing.publish import PushOptions
    from pipesmith.pipelines.publishing.publish import push as publish
    from pipesmith.pipelines.publishing.upload import Destination
    from pipesmith.pipelines.targets import LoadOptions

    output.set_verbose(verbose)
    output.hide(token)
    access = HubAccess(token)
    loading = LoadOptions(
        model,
        pt_model=pt_model,
        trust_remote_code=trust_remote_code,
        trust_project=trust_project,
        ask=output.asker(),
        allow_pickle=allow_pickle,
        access=access,
        notify=output.note,
    )
    destination = Destination(repo, "model", revision, message, private, create_pr, tag, access)
    quiet.before_imports()
    with output.results_stream():
        if not verbose:
            quiet.transformers()
        wanted = PushOptions(tuple(task or ()), example, license, output_dir, dry_run, skip_tests, space)
        done = publish(destination, wanted, loading, find_project(), output.note)
    if dry_run:
        output.print_table(["file", "bytes", ""], [[one.path, f"{one.size:,}", one.state] for one in done.changes])
        output.print_text("\n".join(["", *done.card_diff]) if done.card_diff else "\nREADME.md stays as it is.")
    elif output_dir is not None:
        output.note(f"{output_dir} holds {', '.join(done.tasks)}, and loads with plain transformers.")
    else:
        output.note(done.summary)
        output.print_text("\n".join(done.loading_lines))
