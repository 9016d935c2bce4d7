"""`pipe bench`: how many rows a second a task runs here."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from pipesmith.cli import options, output, quiet
from pipesmith.cli import run_options as opt
from pipesmith.cli.flags import merge, parse_object, parse_settings, task_request

LimitOpt = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, help="Take so many rows at most.", rich_help_panel=options.ROWS)
]
RepeatOpt = Annotated[int, typer.Option("--repeat", metavar="N", min=1, help="Count so many runs of each.")]


def bench(
    ctx: typer.Context,
    task: options.TaskArg,
    input: opt.InputOpt,
    column: opt.ColumnOpt = None,
    input_format: opt.InputFormatOpt = None,
    split: opt.SplitOpt = None,
    limit: LimitOpt = 200,
    repeat: RepeatOpt = 5,
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
    allow_random_weights: opt.RandomWeightsOpt = False,
    verbose: options.VerboseOpt = False,
) -> None:
    """Measure rows a second on this machine: pipe bench pair-classification --input pairs.csv

    pipesmith with no options beside transformers.pipeline at batch sizes 1, 8 and 32, on the same rows, in turn.
    """
    from pipesmith.cli.inputs import InputOptions, open_feed
    from pipesmith.cli.session import project_parameters
    from pipesmith.pipelines.bench import measure
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.targets import LoadOptions

    output.set_verbose(verbose)
    request = task_request(ctx)
    parameters = project_parameters(request) | merge(request.values, parse_settings(settings or [], "--set"))
    loading = LoadOptions(
        model=model,
        revision=revision,
        task=task_name,
        pt_model=pt_model,
        device=device,
        dtype=dtype,
        model_kwargs=parse_object(model_kwargs, "--model-kwargs"),
        init=parse_settings(init or [], "--init"),
        trust_remote_code=trust_remote_code,
        allow_random_weights=allow_random_weights,
        access=HubAccess(token, offline),
        notify=output.note,
    )
    inputs = InputOptions(files=input or (), format=input_format, split=split, columns=column or (), limit=limit)
    feed = open_feed(ctx, request, inputs, loading.access)
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
