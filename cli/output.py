"""The only module that prints: results to stdout, talk to stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipesmith.pipelines.errors import PipeError

if TYPE_CHECKING:
    import typer
    from rich.console import Console
    from rich.status import Status

_verbose = False
_quiet = False
_hidden: set[str] = set()
_status: Status | None = None  # what is spinning


def start() -> None:
    """Begin a command: quiet, and with an stderr even where the shell has closed it."""
    set_verbose(False)
    set_quiet(False)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open until the process ends


def flush() -> None:
    """Write what Python still holds back, so that a failure to do it is noticed."""
    if sys.stdout is not None:
        sys.stdout.flush()


def forget_stdout() -> None:
    """Send what Python still holds back for stdout to nowhere: it must not fail again at exit."""
    if sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def set_verbose(verbose: bool) -> None:
    """Choose whether errors come with a traceback."""
    global _verbose
    _verbose = verbose


def set_quiet(quiet: bool) -> None:
    """Choose whether nothing but errors is said."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Tell whether nothing but errors is said."""
    return _quiet


def hide(secret: str | None) -> None:
    """Keep a secret out of everything that is said from here on."""
    if secret:
        _hidden.add(secret)


def note(text: str) -> None:
    """Say something to a person who has not asked for quiet."""
    if not _quiet:
        _say(text)


def _say(text: str) -> None:
    for secret in _hidden:
        text = text.replace(secret, "***")
    text = re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text
    )  # files name columns as they like
    print(text, file=sys.stderr, flush=True)


def print_error(error: PipeError) -> None:
    """Print an error's sentence and hint, and with --verbose how it came about."""
    if _verbose:
        cause = error.__cause__ or error
        _say("".join(traceback.format_exception(cause)).rstrip())
    _say(f"Error: {error.message}")
    if error.hint:
        _say(f"Hint: {error.hint}")


def print_usage_error(error: typer.TyperException) -> None:
    """Print a mistake in the command line, with where to look."""
    message = error.format_message()
    if message.startswith("Usage: "):  # no arguments at all: Typer's error is the help
        _say(message)
        return
    if message:
        _say(f"Error: {message}")
    ctx = getattr(error, "ctx", None)
    if ctx is not None:
        _say(f"Hint: `{ctx.command_path} --help` shows how it is used.")


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise PipeError("stdout is closed: there is nowhere to write to.", hint="Leave it open, or send it to a file.")
    return sys.stdout


@contextmanager
def results_stream(*, until_exit: bool = False) -> Iterator[TextIO]:
    """Keep stdout for results: whatever else prints meanwhile, Python or not, goes to stderr.

    Args:
        until_exit: whether it stays so: a user's code may print when the process ends (atexit).

    Raises:
        PipeError: the shell has closed stdout.
    """
    try:
        stdout, stderr = _stdout().fileno(), sys.stderr.fileno()
    except (OSError, ValueError):  # captured streams without a file descriptor
        stream, sys.stdout = sys.stdout, sys.stderr
        try:
            yield stream
        finally:
            sys.stdout = stream
        return
    sys.stdout.flush()
    kept = os.dup(stdout)
    python_stdout, sys.stdout = sys.stdout, sys.stderr
    os.dup2(stderr, stdout)
    try:
        with os.fdopen(kept, "w", encoding="utf-8", errors="replace", closefd=False) as stream:
            yield stream
    finally:
        if not until_exit:
            os.dup2(kept, stdout)
            sys.stdout = python_stdout
        os.close(kept)


def asker() -> Callable[[str, str], bool] | None:
    """Return what asks a person yes or no; None if there is none: no terminal to read from, or none to write to."""
    return ask if sys.stdin and sys.stdin.isatty() and sys.stderr.isatty() else None


def ask(question: str, more: str) -> bool:
    """Ask a person on the terminal; nothing but y and yes is a yes.

    Args:
        question: what is asked, of as many lines as it takes.
        more: what is shown first to a person who answers s.
    """
    if _status is not None:
        _status.stop()
    try:
        _say(question)
        while True:
            print("[y]es, [N]o, [s]how the code: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline().strip().lower()
            if answer not in ("s", "show"):
                return answer in ("y", "yes")
            _say(more)
    finally:
        if _status is not None:
            _status.start()


@contextmanager
def status(text: str, *, hidden: bool = False) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something longer than a second is under way; what is yielded changes the text."""
    if hidden or _verbose or _quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.text import Text

    global _status
    with Console(stderr=True).status(Text(text)) as shown:
        _status = shown
        yield lambda text: shown.update(Text(text))
    _status = None


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C set an event, so that what is under way can be finished; the second interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()
        note("Finishing the batch in hand; Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person reads a stream."""
    return stream.isatty()


def print_json(value: Any) -> None:
    """Print a report for programs."""
    print(_json_line(value, indent=2), file=_stdout())


def print_text(text: str) -> None:
    """Print a report's text."""
    print(text, file=_stdout())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: as wide as the terminal, or as wide as it wants into a pipe."""
    table = _table(columns)
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    _console(_stdout()).print(table)


def short_place(place: object) -> str:
    """Write a file:line as a reader finds it: from the working directory, or from the installed package on."""
    text = str(place or "")
    here = f"{Path.cwd()}{os.sep}"
    if text.startswith(here):
        return text[len(here) :]
    return text.rpartition(f"site-packages{os.sep}")[2]


def _text(text: str, style: str = "") -> Any:
    """Return text that stays as it is: no markup is read in it, and no control character reaches the terminal."""
    from rich.text import Text

    return Text(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text), style=style)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    wide = None if stream.isatty() else 10_000
    return Console(file=stream, width=wide, highlight=False, soft_wrap=not stream.isatty())


def _table(columns: Sequence[str]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=bool(columns), header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


class RowWriter:
    """Writes results as they come.

    Args:
        stream: where to.
        form: human, json, jsonl, csv or quiet.
        named: whether to name the input above each result; for people, and several inputs.
    """

    def __init__(self, stream: TextIO, form: str, *, named: bool = False) -> None:
        self._stream = stream
        self._form = form
        self._named = named
        self._rows: list[Any] = []
        self._csv_columns: list[str] | None = None

    def write(self, inputs: Any, result: Any) -> None:
        """Write one plain result."""
        if self._form == "json":
            self._rows.append(result)
        elif self._form == "jsonl":
            self._line(_json_line(result))
        elif self._form == "csv":
            self._write_csv(result)
        elif self._form == "quiet":
            self._line(_essence(result))
        else:
            self._write_human(inputs, result)

    def close(self) -> None:
        """Write what could only be written at the end."""
        if self._form == "json":
            self._line(_json_line(self._rows, indent=2))

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def _write_csv(self, result: Any) -> None:
        import csv

        writer = csv.writer(self._stream, lineterminator="\n")
        values = result if isinstance(result, dict) else {"result": result}
        if self._csv_columns is None:
            self._csv_columns = list(values)
            writer.writerow(self._csv_columns)
        if set(values) != set(self._csv_columns):
            extra = sorted(set(values) ^ set(self._csv_columns))
            raise PipeError(
                f"The results have different keys ({', '.join(extra)}), which one csv table cannot hold.",
                hint="Use --format jsonl.",
            )
        writer.writerow([_csv_cell(values[column]) for column in self._csv_columns])
        self._stream.flush()

    def _write_human(self, inputs: Any, result: Any) -> None:
        console = _console(self._stream)
        if self._named:
            console.print(_text(_shorten(inputs, 100), "bold"))
        console.print(_picture(result))
        self._stream.flush()


def _json_line(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot write and JSON can escape
        text = json.dumps(value, indent=indent)
    return text


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json_line(value)


def _shorten(value: Any, width: int) -> str:
    text = value if isinstance(value, str) else _json_line(_rounded(value))
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _rounded(value: Any) -> Any:
    """Round every number inside to four decimals: more is for programs."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return value


_ESSENTIALS = ("label", "generated_text", "translation_text", "summary_text", "text", "answer", "token_str", "entity")


def _essence(result: Any) -> str:
    """Return the one thing a script wants of a result: the best label, the text; else the JSON."""
    first = result[0] if isinstance(result, list) and result else result
    if isinstance(first, Mapping):
        for key in _ESSENTIALS:
            if isinstance(first.get(key), str):
                return str(first[key])
    return result if isinstance(result, str) else _json_line(result)


def _picture(result: Any) -> Any:
    """Return a result as a person would rather look at it: a table with bars for scores, lines for an object."""
    if isinstance(result, list) and result and all(isinstance(item, Mapping) for item in result):
        if len(result) == 1 and set(result[0]) <= set(_ESSENTIALS):
            return _text(_essence(result))
        return _table_of(result)
    if isinstance(result, Mapping):
        if isinstance(result.get("labels"), list) and isinstance(result.get("scores"), list):
            pairs = zip(result["labels"], result["scores"], strict=False)
            return _table_of([{"label": label, "score": score} for label, score in pairs])
        if "score" in result:
            return _table_of([result])
        table = _table([])
        for key, value in result.items():
            table.add_row(_text(str(key)), _text(_shorten(value, 400)))
        return table
    return _text(result if isinstance(result, str) else _shorten(result, 2000))


def _table_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    scored = "score" in columns and all(isinstance(row.get("score"), (int, float)) for row in rows)
    table = _table([*columns, ""] if scored else columns)
    for row in rows:
        cells = [_cell(row.get(column)) for column in columns]
        table.add_row(*cells, *([_text(_bar(row["score"]), "cyan")] if scored else []))
    return table


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else _text(_shorten(value, 60))


def _bar(score: float, width: int = 24) -> str:
    filled = max(0.0, min(1.0, float(score))) * width
    whole = int(filled)
    return "█" * whole + ("▌" if filled - whole >= 0.5 else "")
