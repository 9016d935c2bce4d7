"""What a command line asks for, as the core's options: one meaning for the options that commands share.

Typer takes the options of `run` and `bench` from their signatures. They are read here by their names there; one that a
command does not offer, or that was not given, has the default of the core.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipesmith.cli import output
from pipesmith.cli.flags import merge, parse_object, parse_settings, task_request
from pipesmith.cli.options import Framework, OnError, Quoting, RowFormat
from pipesmith.pipelines.errors import ParameterError

if TYPE_CHECKING:  # imported where a task is run: `pipe --help` needs none of it
    from pipesmith.cli.inputs import InputOptions
    from pipesmith.cli.results import OutputOptions
    from pipesmith.pipelines.engine import EngineOptions
    from pipesmith.pipelines.jobs import ErrorPolicy
    from pipesmith.pipelines.targets import LoadOptions


def call_parameters(ctx: typer.Context) -> dict[str, Any]:
    """Return the task's own parameters: those of its flags and of --set."""
    return merge(task_request(ctx).values, parse_settings(ctx.params["settings"] or [], "--set"))


def load_options(ctx: typer.Context) -> LoadOptions:
    """Return how the model is loaded."""
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.targets import LoadOptions

    return LoadOptions(
        **_given(ctx, "model", "revision", "pt_model", "device", "dtype", task="task_name", compiled="compile_model"),
        framework=Framework(ctx.params.get("framework") or "pt").value,
        **_given(ctx, "trust_remote_code", "trust_project", "allow_pickle", "verify", "allow_random_weights"),
        model_kwargs=parse_object(ctx.params["model_kwargs"], "--model-kwargs"),
        init=parse_settings(ctx.params["init"] or [], "--init"),
        access=HubAccess(ctx.params["token"], ctx.params["offline"]),
        ask=output.asker(),
        notify=output.note,
    )


def input_options(ctx: typer.Context) -> InputOptions:
    """Return what is run, and how it is read.

    Raises:
        ParameterError: --delimiter is not one character, or --seed stands without --sample.
    """
    from pipesmith.cli.inputs import InputOptions
    from pipesmith.pipelines.records.record import ReadOptions

    columns = ctx.params["columns"]
    if ctx.params.get("seed") is not None and ctx.params["sample"] is None:
        raise ParameterError("--seed is of --sample N: which rows are drawn.", hint="Add --sample, or leave it out.")
    reading = ReadOptions(
        **_given(ctx, "encoding", "max_row_bytes"),
        delimiter=parse_delimiter(ctx.params["delimiter"]),
        quoting=Quoting(ctx.params["quoting"]).value,
        header=not ctx.params["no_header"],
        columns=tuple(columns.split(",")) if columns else (),
    )
    return InputOptions(
        **_given(ctx, "split", "skip", "limit", "sample", "seed", "allow_private_urls"),
        **_given(
            ctx, arguments="inputs", files="input", as_json="json_inputs", format="input_format", columns="column"
        ),
        reading=reading,
    )


def output_options(ctx: typer.Context, inputs: InputOptions) -> OutputOptions:
    """Return where results of some inputs go.

    Raises:
        ParameterError: --resume without a file.
    """
    from pipesmith.cli.results import OutputOptions

    file, form = ctx.params["output_file"], ctx.params["format"]
    to_stdout = str(file) in ("-", "/dev/stdout")
    if (file is None or to_stdout) and ctx.params["resume"]:
        raise ParameterError("--resume goes on with an unfinished file: name it with --output.")
    return OutputOptions(
        None if file is None or to_stdout else Path(file),
        Path(ctx.params["output_dir"]) if ctx.params["output_dir"] is not None else None,
        RowFormat(form).value if form is not None else None,
        **_given(ctx, "keep", "flatten", "force", "resume", "retry_errors"),
        as_rows=bool(inputs.files) or file is not None,
    )


def error_policy(ctx: typer.Context) -> ErrorPolicy:
    """Return what a failed row does: of a file it has a record, and a single input ends the run."""
    from pipesmith.pipelines.jobs import ErrorPolicy

    unasked = OnError.record if ctx.params["input"] else OnError.fail
    return ErrorPolicy(OnError(ctx.params["on_error"] or unasked).value, ctx.params["max_errors"])


def engine_options(ctx: typer.Context) -> EngineOptions:
    """Return how rows are batched."""
    from pipesmith.pipelines.engine import EngineOptions

    return EngineOptions(
        **_given(ctx, "batch_size", "batch_tokens", "window", "row_timeout", "num_workers"),
        **_given(ctx, is_deterministic="deterministic"),
    )


def parse_delimiter(text: str | None) -> str | None:
    """Read --delimiter: one character; a shell does not write a tab easily, so \\t and `tab` are one.

    Raises:
        ParameterError: it is not one character.
    """
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text or "", text)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise ParameterError(
            f"--delimiter {text!r} is not one character.", hint="Write one that stands between cells, such as ';'."
        )
    return delimiter


def _given(ctx: typer.Context, *same: str, **renamed: str) -> dict[str, Any]:
    """Return the options that have a value, by the core's name: `renamed` says that, and the option's."""
    names = {name: name for name in same} | renamed
    return {field: ctx.params[option] for field, option in names.items() if ctx.params.get(option) is not None}
