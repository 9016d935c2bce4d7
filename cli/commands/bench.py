"""`pipe bench`: how many rows a second a task runs here."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from pipesmith.cli import options, output, quiet
from pipesmith.cli import run_options as opt
from pipesmith.cli.flags import task_request
from pipesmith.cli.parsed import call_parameters, input_options, load_options

LimitOpt = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="Take so many rows at most.", rich_help_panel=options.ROWS)
]
RepeatOpt = Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="Count so many runs of each.")]


def bench(
    ctx: typer.Context,
    task: options.TaskArg,
    input: opt.InputOpt,
    column: opt.ColumnOpt = None,
    skip: opt.SkipOpt = 0,
    limit: LimitOpt = 200,
    repeat: RepeatOpt = 5,
    input_format: opt.InputFormatOpt = None,
    split: opt.SplitOpt = None,
    delimiter: opt.DelimiterOpt = None,
    quoting: opt.QuotingOpt = options.Quoting.minimal,
    no_header: opt.NoHeaderOpt = False,
    columns: opt.ColumnsOpt = None,
    encoding: opt.EncodingOpt = None,
    format: options.FormatOpt = options.ReportFormat.human,
    model: options.ModelOpt = None,
    revision: options.RevisionOpt = None,
    token: options.TokenOpt = None,
    offline: options.OfflineOpt = False,
    task_name: opt.TaskNameOpt = None,
    pt_model: opt.PtModelOpt = None,
    settings: opt.SetOpt = None,
    init: opt.InitOpt = None,
    device: options.DeviceOpt = None,
    dtype: opt.DtypeOpt = "auto",
    model_kwargs: opt.ModelKwargsOpt = None,
    trust_remote_code: opt.TrustOpt = False,
    trust_project: options.TrustProjectOpt = False,
    allow_pickle: opt.AllowPickleOpt = False,
    verify: opt.VerifyOpt = False,
    allow_random_weights: opt.RandomWeightsOpt = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Measure rows a second on this machine: pipe bench pair-classification --input pairs.csv

    pipesmith with no options beside transformers.pipeline at batch sizes 1, 8 and 32, on the same rows, in turn.
    """
    from pipesmith.cli.inputs import open_feed
    from pipesmith.cli.session import project_parameters
    from pipesmith.pipelines.bench import measure

    output.set_verbose(verbose)
    request, loading = task_request(ctx), load_options(ctx)
    parameters = project_parameters(request) | call_parameters(ctx)
    feed = open_feed(ctx, request, input_options(ctx), loading.access)
    with feed.files or nullcontext(), output.results_stream():
        if not verbose:
            quiet.transformers()
        task_and_rows = request.target, loading, parameters, request.signature, feed.rows, feed.columns
        found = measure(*task_and_rows, asked=feed.typed, repeat=repeat)
    if format is options.ReportFormat.json:
        output.print_json({"task": task, "input": input, **found.report()})
        return
    output.print_table(found.TABLE, found.table())
    output.note(found.about())
