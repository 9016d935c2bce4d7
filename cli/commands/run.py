"""`pipe run`: a task on inputs from the command line, stdin, files or data sets."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipesmith.cli import output
from pipesmith.cli import run_options as opt
from pipesmith.cli.flags import merge, parse_object, parse_settings, task_request
from pipesmith.cli.options import (
    DeviceOpt,
    ModelOpt,
    OfflineOpt,
    OnError,
    Quoting,
    RevisionOpt,
    RowFormatOpt,
    TaskArg,
    TokenOpt,
    VerboseOpt,
)
from pipesmith.pipelines.engine.options import WINDOW
from pipesmith.pipelines.records.record import MAX_ROW_BYTES


def run(
    ctx: typer.Context,
    task: TaskArg,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUTS]...", help="Texts, or files of images and sounds; - reads stdin."),
    ] = None,
    input: opt.InputOpt = None,
    column: opt.ColumnOpt = None,
    skip: opt.SkipOpt = 0,
    limit: opt.LimitOpt = None,
    sample: opt.SampleOpt = None,
    seed: opt.SeedOpt = 0,
    json_inputs: opt.JsonOpt = False,
    input_format: opt.InputFormatOpt = None,
    split: opt.SplitOpt = None,
    delimiter: opt.DelimiterOpt = None,
    quoting: opt.QuotingOpt = Quoting.minimal,
    no_header: opt.NoHeaderOpt = False,
    columns: opt.ColumnsOpt = None,
    encoding: opt.EncodingOpt = None,
    max_row_bytes: opt.MaxRowBytesOpt = MAX_ROW_BYTES,
    allow_private_urls: opt.AllowPrivateUrlsOpt = False,
    output_file: opt.OutputOpt = None,
    output_dir: opt.OutputDirOpt = None,
    format: RowFormatOpt = None,
    keep: opt.KeepOpt = True,
    flatten: opt.FlattenOpt = False,
    force: opt.ForceOpt = False,
    resume: opt.ResumeOpt = False,
    quiet: opt.QuietOpt = False,
    on_error: opt.OnErrorOpt = None,
    max_errors: opt.MaxErrorsOpt = None,
    row_timeout: opt.RowTimeoutOpt = None,
    batch_size: opt.BatchSizeOpt = None,
    batch_tokens: opt.BatchTokensOpt = None,
    window: opt.WindowOpt = WINDOW,
    deterministic: opt.DeterministicOpt = False,
    model: ModelOpt = None,
    revision: RevisionOpt = None,
    token: TokenOpt = None,
    offline: OfflineOpt = False,
    task_name: opt.TaskNameOpt = None,
    pt_model: opt.PtModelOpt = None,
    settings: opt.SetOpt = None,
    init: opt.InitOpt = None,
    device: DeviceOpt = None,
    dtype: opt.DtypeOpt = "auto",
    model_kwargs: opt.ModelKwargsOpt = None,
    compile_model: opt.CompileOpt = False,
    trust_remote_code: opt.TrustOpt = False,
    allow_random_weights: opt.RandomWeightsOpt = False,
    verbose: VerboseOpt = False,
) -> int:
    """Run a task on inputs: pipe run pair-classification --second-text "B" "A"

    Or on the rows of a file: pipe run pair-classification --input pairs.csv --output results.jsonl

    The task's own parameters are flags: `pipe run TASK --help` lists them.
    """
    from pipesmith.cli.inputs import InputOptions, parse_delimiter
    from pipesmith.cli.results import OutputOptions
    from pipesmith.cli.session import RunSession
    from pipesmith.pipelines.engine import EngineOptions
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.jobs import ErrorPolicy
    from pipesmith.pipelines.records.record import ReadOptions
    from pipesmith.pipelines.targets import LoadOptions

    output.set_verbose(verbose)
    output.set_quiet(quiet)
    request = task_request(ctx)
    parameters: dict[str, Any] = merge(request.values, parse_settings(settings or [], "--set"))
    options = LoadOptions(
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
    reading = ReadOptions(
        delimiter=parse_delimiter(delimiter),
        quoting=quoting.value,
        header=not no_header,
        columns=tuple(columns.split(",")) if columns else (),
        encoding=encoding,
        max_row_bytes=max_row_bytes,
    )
    feed = InputOptions(
        arguments=inputs or (),
        files=input or (),
        as_json=json_inputs,
        format=input_format,
        split=split,
        reading=reading,
        columns=column or (),
        skip=skip,
        limit=limit,
        sample=sample,
        seed=seed,
        allow_private_urls=allow_private_urls,
    )
    to_stdout = str(output_file) in ("-", "/dev/stdout")
    results = OutputOptions(
        None if to_stdout else output_file,
        output_dir,
        format.value if format else None,
        keep=keep,
        flatten=flatten,
        force=force,
        resume=resume,
        as_rows=feed.has_files or output_file is not None,
    )
    policy = ErrorPolicy(on_error.value if on_error else _default_policy(input), max_errors)
    engine = EngineOptions(
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        window=window,
        is_deterministic=deterministic,
        row_timeout=row_timeout,
    )
    session = RunSession(task, request, options, parameters, compiled=compile_model, verbose=verbose)
    return session.run(ctx, feed, results, policy, engine)


def _default_policy(files: list[str] | None) -> str:
    return OnError.record.value if files else OnError.fail.value
