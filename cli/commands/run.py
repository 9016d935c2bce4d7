"""`pipe run`: a task on inputs from the command line or stdin."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipesmith.cli import output
from pipesmith.cli.flags import merge, parse_object, parse_settings, task_request
from pipesmith.cli.inputs import inline_rows, stdin_rows
from pipesmith.cli.options import (
    DeviceOpt,
    ModelOpt,
    OfflineOpt,
    RevisionOpt,
    RowFormatOpt,
    TaskArg,
    TokenOpt,
    VerboseOpt,
)


def run(
    ctx: typer.Context,
    task: TaskArg,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUTS]...", help="Texts, or paths of images and audio; - reads lines from stdin."),
    ] = None,
    model: ModelOpt = None,
    revision: RevisionOpt = None,
    token: TokenOpt = None,
    offline: OfflineOpt = False,
    task_name: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="The task of a checkpoint that is for several."),
    ] = None,
    pt_model: Annotated[
        str | None,
        typer.Option("--pt-model", metavar="CLASS", help="The model class of a pipeline without an entry."),
    ] = None,
    json_inputs: Annotated[bool, typer.Option("--json", help="Inputs are JSON, not text.", show_default=False)] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=JSON", help="Pass a parameter that no signature shows. Repeatable."),
    ] = None,
    init: Annotated[
        list[str] | None,
        typer.Option("--init", metavar="KEY=JSON", help="Pass an argument of the class's __init__. Repeatable."),
    ] = None,
    device: DeviceOpt = None,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="DTYPE", help="float32, bfloat16, float16; auto is the checkpoint's own.")
    ] = "auto",
    model_kwargs: Annotated[
        str | None,
        typer.Option("--model-kwargs", metavar="JSON", help="Further arguments of the model's from_pretrained."),
    ] = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option("--trust-remote-code", help="Let code that a checkpoint brings along run.", show_default=False),
    ] = False,
    allow_random_weights: Annotated[
        bool,
        typer.Option("--allow-random-weights", help="Run though weights start at random.", show_default=False),
    ] = False,
    format: RowFormatOpt = None,
    verbose: VerboseOpt = False,
) -> None:
    """Run a task on inputs: pipe run pair-classification --second-text "B" "A"

    The task's own parameters are flags: `pipe run TASK --help` lists them.
    """
    from pipesmith.cli.session import RunSession
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.targets import LoadOptions

    request = task_request(ctx)
    rows = inline_rows(inputs, request.signature, as_json=json_inputs) if inputs and inputs != ["-"] else None
    if rows is None:
        rows = stdin_rows(ctx, request.signature, asked=bool(inputs), as_json=json_inputs)
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
    output.set_verbose(verbose)
    session = RunSession(task, request, options, parameters, verbose=verbose)
    session.run(rows, form=format.value if format else None, several=len(inputs or []) != 1)
