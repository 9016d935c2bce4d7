"""Options that several commands share, each spelled once."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer


class RowFormat(str, Enum):
    """How results are printed."""

    human = "human"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    quiet = "quiet"


class Quoting(str, Enum):
    """How cells of csv and tsv are quoted."""

    minimal = "minimal"
    none = "none"


class Framework(str, Enum):
    """Whose model runs."""

    pt = "pt"
    tf = "tf"


class OnError(str, Enum):
    """What a failed row does."""

    fail = "fail"
    skip = "skip"
    record = "record"


class ReportFormat(str, Enum):
    """How a report is printed."""

    human = "human"
    json = "json"


class FindingsFormat(str, Enum):
    """How findings are printed."""

    human = "human"
    json = "json"
    github = "github"


# Sections of a command's help, in their order; options that name none stand under "Options".
ROWS, FILES, RESULTS, ERRORS = "Rows", "How files are read", "Results", "Rows that fail"
BATCHES, MODEL = "Batches (found by the program)", "The model"
SECTIONS = (ROWS, FILES, RESULTS, ERRORS, BATCHES, MODEL)


def _complete_tasks(incomplete: str) -> list[tuple[str, str]]:
    from pipesmith.cli.completion import complete_tasks

    return complete_tasks(incomplete)


TaskArg = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A task (see `pipe list`), file.py or file.py:Class, a checkpoint folder, or user/repo.",
        autocompletion=_complete_tasks,
        show_default=False,
    ),
]
ModelOpt = Annotated[
    str | None,
    typer.Option(
        "--model",
        rich_help_panel=MODEL,
        metavar="MODEL",
        help="A checkpoint folder, user/repo, or tiny (tiny:gpt2) for a random model.",
        show_default=False,
    ),
]
RevisionOpt = Annotated[
    str | None,
    typer.Option(
        "--revision",
        rich_help_panel=MODEL,
        metavar="REV",
        help="Branch, tag or commit of a repository.",
        show_default=False,
    ),
]
TokenOpt = Annotated[
    str | None,
    typer.Option(
        "--token",
        rich_help_panel=MODEL,
        metavar="TOKEN",
        help="For the Hub; otherwise its login is used.",
        show_default=False,
    ),
]
OfflineOpt = Annotated[
    bool,
    typer.Option(
        "--offline", rich_help_panel=MODEL, help="Read repositories from the cache alone.", show_default=False
    ),
]
TrustProjectOpt = Annotated[
    bool,
    typer.Option(
        "--trust-project",
        rich_help_panel=MODEL,
        help="Let the project's pipe.lock count though you never accepted it: for CI.",
        show_default=False,
    ),
]
DeviceOpt = Annotated[
    str | None,
    typer.Option(
        "--device",
        rich_help_panel=MODEL,
        metavar="DEVICE",
        help="cpu, cuda:0, mps; otherwise the first accelerator there is.",
    ),
]
RowFormatOpt = Annotated[
    RowFormat | None,
    typer.Option(
        "--format",
        rich_help_panel=RESULTS,
        help="human on a terminal and jsonl into a pipe, unless you say.",
        show_default=False,
    ),
]
FormatOpt = Annotated[ReportFormat, typer.Option("--format", help="human, or json for programs.")]
YesOpt = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", show_default=False)]
VerboseOpt = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show transformers' own messages, and tracebacks.", show_default=False),
]
