"""The options of `pipe run`, by the sections of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipesmith.cli.options import BATCHES, ERRORS, FILES, MODEL, RESULTS, ROWS, Framework, OnError, Quoting


def _complete_formats(incomplete: str) -> list[str]:
    from pipesmith.pipelines.records.opening import input_formats

    return [name for name in input_formats() if name.startswith(incomplete)]


InputOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="Rows of a file (txt, csv, tsv, json, jsonl, parquet, arrow, also .gz and .zst), a folder, a pattern, "
        "a data set (hf://datasets/user/name) or, with -, stdin. Repeatable.",
        rich_help_panel=ROWS,
        show_default=False,
    ),
]
ColumnOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Which column is the input, or a parameter of its row: input=sentence1. Repeatable.",
        rich_help_panel=ROWS,
        show_default=False,
    ),
]
SkipOpt = Annotated[
    int,
    typer.Option(
        "--skip", metavar="N", min=0, help="Leave out the first rows.", rich_help_panel=ROWS, show_default=False
    ),
]
LimitOpt = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=0, help="Take so many rows at most.", rich_help_panel=ROWS, show_default=False
    ),
]
SampleOpt = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", min=1, help="Draw so many rows of these.", rich_help_panel=ROWS, show_default=False
    ),
]
SeedOpt = Annotated[
    int | None, typer.Option("--seed", metavar="S", help="Of --sample.", rich_help_panel=ROWS, show_default=False)
]
JsonOpt = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Inputs on the command line, or lines of stdin, are JSON.",
        rich_help_panel=ROWS,
        show_default=False,
    ),
]
InputFormatOpt = Annotated[
    str | None,
    typer.Option(
        "--input-format",
        metavar="FORMAT",
        autocompletion=_complete_formats,
        help="Of --input, or of stdin; otherwise its ending says it, or its first bytes.",
        rich_help_panel=FILES,
        show_default=False,
    ),
]
SplitOpt = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Of a data set: test; then --input may be user/name.",
        rich_help_panel=FILES,
        show_default=False,
    ),
]
DelimiterOpt = Annotated[
    str | None,
    typer.Option(
        "--delimiter", metavar="CHAR", help="Between cells of csv and tsv.", rich_help_panel=FILES, show_default=False
    ),
]
QuotingOpt = Annotated[
    Quoting,
    typer.Option(
        "--quoting",
        help="none: a quote in csv or tsv is a character like any other.",
        rich_help_panel=FILES,
        show_default=False,
    ),
]
NoHeaderOpt = Annotated[
    bool,
    typer.Option(
        "--no-header", help="The first line of csv and tsv is a row.", rich_help_panel=FILES, show_default=False
    ),
]
ColumnsOpt = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,C",
        help="Names of the columns, with --no-header.",
        rich_help_panel=FILES,
        show_default=False,
    ),
]
EncodingOpt = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Of text files; otherwise UTF-8, or what a byte order mark says.",
        rich_help_panel=FILES,
        show_default=False,
    ),
]
MaxRowBytesOpt = Annotated[
    int, typer.Option("--max-row-bytes", metavar="N", min=1, help="A larger row is a bad row.", rich_help_panel=FILES)
]
AllowPrivateUrlsOpt = Annotated[
    bool,
    typer.Option(
        "--allow-private-urls", help="Files may name hosts of this network.", rich_help_panel=FILES, show_default=False
    ),
]
OutputOpt = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Write rows to a file: jsonl, json, csv, tsv, parquet or arrow, also .gz and .zst.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
OutputDirOpt = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        metavar="DIR",
        help="For images and sounds; otherwise the output's name and .files.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
KeepOpt = Annotated[
    bool,
    typer.Option(
        "--keep/--no-keep",
        help="Whether the input's columns stay beside the result.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
FlattenOpt = Annotated[
    bool,
    typer.Option(
        "--flatten",
        help="The keys of a result become columns: result.label.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
ForceOpt = Annotated[
    bool, typer.Option("--force", help="Replace an existing file.", rich_help_panel=RESULTS, show_default=False)
]
QuietOpt = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=RESULTS, show_default=False)
]
OnErrorOpt = Annotated[
    OnError | None,
    typer.Option(
        "--on-error",
        help="record writes the error in the row's place, skip leaves it out, fail ends the run; "
        "record with --input, else fail.",
        rich_help_panel=ERRORS,
        show_default=False,
    ),
]
MaxErrorsOpt = Annotated[
    int | None,
    typer.Option(
        "--max-errors",
        metavar="N",
        min=0,
        help="End the run when more rows have failed.",
        rich_help_panel=ERRORS,
        show_default=False,
    ),
]
RowTimeoutOpt = Annotated[
    float | None,
    typer.Option(
        "--row-timeout",
        metavar="SECONDS",
        min=0.001,
        help="A row that takes longer is a bad row.",
        rich_help_panel=ERRORS,
        show_default=False,
    ),
]
ResumeOpt = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with an output that was not finished.", rich_help_panel=RESULTS, show_default=False
    ),
]
RetryErrorsOpt = Annotated[
    bool,
    typer.Option(
        "--retry-errors",
        help="With --resume: run failed rows again, of a finished output as well.",
        rich_help_panel=RESULTS,
        show_default=False,
    ),
]
BatchSizeOpt = Annotated[
    int | None,
    typer.Option(
        "--batch-size", metavar="N", min=1, help="Rows of a batch.", rich_help_panel=BATCHES, show_default=False
    ),
]
BatchTokensOpt = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        metavar="N",
        min=1,
        help="Tokens of a batch, padding included.",
        rich_help_panel=BATCHES,
        show_default=False,
    ),
]
WindowOpt = Annotated[
    int,
    typer.Option(
        "--window",
        metavar="N",
        min=1,
        help="Rows that are sorted by length together, at most.",
        rich_help_panel=BATCHES,
        show_default=False,
    ),
]
DeterministicOpt = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="Run row by row: to the last digit what each gives alone.",
        rich_help_panel=BATCHES,
        show_default=False,
    ),
]
NumWorkersOpt = Annotated[
    int,
    typer.Option(
        "--num-workers",
        metavar="N",
        min=0,
        help="Processes that preprocess, where that is slower than the model.",
        rich_help_panel=BATCHES,
        show_default=False,
    ),
]
FrameworkOpt = Annotated[
    Framework,
    typer.Option(
        "--framework",
        help="tf runs a TensorFlow model, from TensorFlow's weights or PyTorch's: with transformers 4.",
        rich_help_panel=MODEL,
    ),
]
CompileOpt = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the model with torch.compile: for long runs.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
TaskNameOpt = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="The task of a checkpoint that is for several.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
PtModelOpt = Annotated[
    str | None,
    typer.Option(
        "--pt-model",
        metavar="CLASS",
        help="The model class of a pipeline without an entry.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
SetOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=JSON",
        help="Pass a parameter that no signature shows. Repeatable.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
InitOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--init",
        metavar="KEY=JSON",
        help="Pass an argument of the class's __init__. Repeatable.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
DtypeOpt = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="DTYPE",
        help="float32, bfloat16, float16; auto is the checkpoint's own.",
        rich_help_panel=MODEL,
    ),
]
ModelKwargsOpt = Annotated[
    str | None,
    typer.Option(
        "--model-kwargs",
        metavar="JSON",
        help="Further arguments of the model's from_pretrained.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
TrustOpt = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Let code that a checkpoint brings run this once; `pipe trust` is for good.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
AllowPickleOpt = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Take weights of a repository in a format that can hold code (.bin).",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
VerifyOpt = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Compare every downloaded byte with the Hub's checksums, weights too.",
        rich_help_panel=MODEL,
        show_default=False,
    ),
]
RandomWeightsOpt = Annotated[
    bool,
    typer.Option(
        "--allow-random-weights", help="Run though weights start at random.", rich_help_panel=MODEL, show_default=False
    ),
]
