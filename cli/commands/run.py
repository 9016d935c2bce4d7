"""`pipe run`: a task on inputs from the command line, stdin, files or data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from pipesmith.cli import options, output, parsed
from pipesmith.cli import run_options as opt
from pipesmith.cli.flags import task_request
from pipesmith.pipelines.engine.options import WINDOW
from pipesmith.pipelines.records.record import MAX_ROW_BYTES


def run(
    ctx: typer.Context,
    task: options.TaskArg,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUTS]...", help="Texts, or files of images and sounds; - reads stdin."),
    ] = None,
    input: opt.InputOpt = None,
    column: opt.ColumnOpt = None,
    skip: opt.SkipOpt = 0,
    limit: opt.LimitOpt = None,
    sample: opt.SampleOpt = None,
    seed: opt.SeedOpt = None,
    json_inputs: opt.JsonOpt = False,
    input_format: opt.InputFormatOpt = None,
    split: opt.SplitOpt = None,
    delimiter: opt.DelimiterOpt = None,
    quoting: opt.QuotingOpt = options.Quoting.minimal,
    no_header: opt.NoHeaderOpt = False,
    columns: opt.ColumnsOpt = None,
    encoding: opt.EncodingOpt = None,
    max_row_bytes: opt.MaxRowBytesOpt = MAX_ROW_BYTES,
    allow_private_urls: opt.AllowPrivateUrlsOpt = False,
    output_file: opt.OutputOpt = None,
    output_dir: opt.OutputDirOpt = None,
    format: options.RowFormatOpt = None,
    keep: opt.KeepOpt = True,
    flatten: opt.FlattenOpt = False,
    force: opt.ForceOpt = False,
    resume: opt.ResumeOpt = False,
    retry_errors: opt.RetryErrorsOpt = False,
    quiet: opt.QuietOpt = False,
    on_error: opt.OnErrorOpt = None,
    max_errors: opt.MaxErrorsOpt = None,
    row_timeout: opt.RowTimeoutOpt = None,
    batch_size: opt.BatchSizeOpt = None,
    batch_tokens: opt.BatchTokensOpt = None,
    window: opt.WindowOpt = WINDOW,
    deterministic: opt.DeterministicOpt = False,
    num_workers: opt.NumWorkersOpt = 0,
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
    framework: opt.FrameworkOpt = options.Framework.pt,
    model_kwargs: opt.ModelKwargsOpt = None,
    compile_model: opt.CompileOpt = False,
    trust_remote_code: opt.TrustOpt = False,
    trust_project: options.TrustProjectOpt = False,
    allow_pickle: opt.AllowPickleOpt = False,
    verify: opt.VerifyOpt = False,
    allow_random_weights: opt.RandomWeightsOpt = False,
    verbose: options.VerboseOpt = False,
) -> int:
    """Run a task on inputs: pipe run pair-classification --second-text "B" "A"

    Or on the rows of a file: pipe run pair-classification --input pairs.csv --output results.jsonl

    The task's own parameters are flags: `pipe run TASK --help` lists them.
    """
    from pipesmith.cli.session import RunSession

    output.set_verbose(verbose)
    output.set_quiet(quiet)
    rows = parsed.input_options(ctx)
    what = parsed.call_parameters(ctx), rows, parsed.output_options(ctx, rows)
    how = parsed.error_policy(ctx), parsed.engine_options(ctx)
    return RunSession(task, task_request(ctx), parsed.load_options(ctx), *what, *how, verbose=verbose).run(ctx)
