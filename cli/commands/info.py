"""`pipe info`: what is known of one task."""

from __future__ import annotations

from typing import Any

import typer

from pipesmith.cli import output
from pipesmith.cli.flags import parameter_row, request_task, run_flags
from pipesmith.cli.options import FormatOpt, ReportFormat, TaskArg


def info(ctx: typer.Context, task: TaskArg, format: FormatOpt = ReportFormat.human) -> None:
    """Show a task: its class, its models, where it comes from, and its parameters.

    Its source is read, not run.
    """
    from pipesmith.pipelines.listing import describe
    from pipesmith.pipelines.targets import LoadOptions

    request = request_task(task, LoadOptions())
    signature = request.signature
    report: dict[str, Any] = describe(request.target.entry, request.project).report()
    if request.target.model is not None:
        report["default"] = {"model": request.target.model.model, "revision": request.target.model.revision}
    report["parameters"] = [
        {
            "name": parameter.name,
            "type": str(parameter.type),
            "default": parameter.default_value,
            "default_text": parameter.default,
            "stages": list(parameter.stages),
            "group": parameter.group,
            "doc": parameter.doc,
        }
        for parameter in (signature.parameters if signature else ())
    ]
    report["notes"] = list(signature.notes) if signature else ["Its class is decided when the task runs."]
    if format is ReportFormat.json:
        output.print_json(report)
        return
    default = report["default"]
    output.print_table(
        [],
        [
            ["task", report["task"]],
            ["type", report["type"]],
            ["class", report["class"]],
            ["model classes", ", ".join(report["pt_model"]) or "-"],
            ["default model", _model_text(default)],
            ["from", f"{report['place'] or '-'} ({report['remark'] or report['origin']})"],
            *([["about", signature.doc]] if signature and signature.doc else []),
        ],
    )
    own = [parameter for parameter in (signature.parameters if signature else ()) if parameter.group != "generation"]
    if own:
        output.print_text("")
        rows = []
        general = run_flags(ctx)
        for parameter in own:
            flag, words = parameter_row(parameter, general)
            rows.append([flag, ", ".join(parameter.stages) or "-", words])
        output.print_table(["parameter", "stage", "what it does"], rows)
    generation = len(report["parameters"]) - len(own)
    if generation:
        output.print_text(f"\nand {generation} parameters of generate(): see `pipe run {report['task']} --help`.")
    for text in report["notes"]:
        output.note(text)


def _model_text(default: dict[str, Any] | None) -> str:
    if default is None:
        return "-"
    return f"{default['model']}@{default['revision']}" if default["revision"] else str(default["model"])
