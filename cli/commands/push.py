"""`pipe push`: a task as a repository that plain transformers loads."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output, push_options, quiet
from pipesmith.cli.run_options import AllowPickleOpt, PtModelOpt, TrustOpt


def push(
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="The repository; it is made if need be.")],
    task: push_options.TaskOpt = None,
    example: push_options.ExampleOpt = None,
    license: push_options.LicenseOpt = None,
    output_dir: push_options.OutputDirOpt = None,
    dry_run: push_options.DryRunOpt = False,
    skip_tests: push_options.SkipTestsOpt = False,
    private: push_options.PrivateOpt = False,
    create_pr: push_options.CreatePrOpt = False,
    revision: push_options.BranchOpt = None,
    message: push_options.MessageOpt = None,
    tag: push_options.TagOpt = None,
    space: push_options.SpaceOpt = False,
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
