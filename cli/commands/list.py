"""`pipe list`: every task that can be run here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipesmith.cli import output
from pipesmith.cli.options import FormatOpt, ReportFormat


def list_tasks(
    own: Annotated[bool, typer.Option("--own", help="Leave transformers' own tasks out.", show_default=False)] = False,
    format: FormatOpt = ReportFormat.human,
) -> None:
    """List the tasks: the project's, your own, installed packages', built-in ones and transformers'.

    Registries are read, not run.
    """
    from pipesmith.pipelines.listing import list_tasks as read_tasks
    from pipesmith.pipelines.project import find_project

    tasks, notes = read_tasks(find_project())
    if own:
        tasks = [task for task in tasks if task.entry.origin != "transformers"]
    if format is ReportFormat.json:
        report: dict[str, Any] = {
            "tasks": [task.report() for task in tasks],
            "notes": [{"place": str(note.place), "about": note.about, "message": note.message} for note in notes],
        }
        output.print_json(report)
        return
    rows = [
        [
            task.entry.task,
            task.entry.type,
            task.class_name,
            task.model_names,
            str(task.entry.default or "-"),
            " ".join(filter(None, [output.short_place(task.entry.place), f"({task.remark or task.entry.origin})"])),
        ]
        for task in tasks
    ]
    output.print_table(["task", "type", "class", "model classes", "default model", "from"], rows)
    for note in notes:
        if note.about != "transformers":  # what plain transformers would refuse, and pipe takes
            output.note(f"{note.place}: {note.message}")
    unread = sum(note.unread for note in notes)
    if unread:
        places = "1 place" if unread == 1 else f"{unread} places"
        output.note(f"{len(tasks)} tasks listed without running your code; {places} could not be read.")
