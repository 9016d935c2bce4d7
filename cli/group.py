"""The commands of `pipe`, each imported when it is asked for, and the one place where exceptions become exit codes.

An exception is "Error: ..." and "Hint: ..." on stderr.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from pipesmith.cli import output
from pipesmith.pipelines.errors import PipeError

_INTERRUPTED = 130


@dataclass(frozen=True)
class Subcommand:
    """A command that is not imported yet.

    Args:
        module: its module in cli/commands/.
        function: the function there, if it has another name.
        epilog: what its help ends with.
        takes_task: whether its first argument is a task, whose flags it takes.
    """

    module: str
    function: str | None = None
    epilog: str | None = None
    takes_task: bool = False

    def load(self, name: str) -> Any:
        """Import the command and make Typer's of it."""
        module = importlib.import_module(f"pipesmith.cli.commands.{self.module}")
        kind = importlib.import_module("pipesmith.cli.flags").TaskCommand if self.takes_task else TyperCommand
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, cls=kind, epilog=self.epilog)(getattr(module, self.function or self.module))
        command: Any = typer.main.get_command(alone)
        # In the list of commands, where there is one line: what it does, without the example.
        command.short_help = f"{command.help.partition(chr(10) * 2)[0].partition(': pipe ')[0].rstrip('.')}."
        return command


def _convert_late(params: Sequence[Any]) -> None:
    """Let Typer import pydantic, a fifth of the start of a command, only for values that it has to convert."""
    for param in params:
        if getattr(param, "_runtime_param", param) is None:
            param._runtime_param = _AsItIs()


class _AsItIs:
    """What converts a parameter's value: nothing to do where none is given, or one that is of its type."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = param.type_descriptor.annotation
        is_multiple = param.multiple or param.nargs == -1
        if value is None:
            return () if is_multiple else None
        if type(value) is kind and (kind is str or issubclass(kind, Enum)):
            return value
        param._runtime_param = None  # Typer's own is made now
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


class PipeGroup(TyperGroup):
    """The commands of `pipe`, whichever way they are started."""

    subcommands: ClassVar[dict[str, Subcommand]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = dict.fromkeys(self.subcommands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the options before the command."""
        _convert_late(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order of help."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, imported now; None without one of that name."""
        if self.commands.get(cmd_name) is None and cmd_name in self.subcommands:
            self.commands[cmd_name] = self.subcommands[cmd_name].load(cmd_name)
            _convert_late(self.commands[cmd_name].get_params(ctx))
        return self.commands.get(cmd_name)

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]  # its further arguments are passed by name
        """Run a command and end the process with its exit code.

        0 done, 1 an error or findings, 2 usage, 3 finished but some rows failed, 130 interrupted.
        """
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        output.start()
        try:
            result = super().main(args, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
            if code == _INTERRUPTED:
                output.note("Interrupted.")
        except PipeError as error:
            output.print_error(error)
            code = error.exit_code
        except typer.TyperException as error:
            output.print_usage_error(error)
            code = error.exit_code
        except typer.Abort as error:  # at a question: Ctrl-C, Ctrl-D, or the answer no
            is_interrupted = isinstance(error.__context__, KeyboardInterrupt)
            output.note("Interrupted." if is_interrupted else "Aborted.")
            code = _INTERRUPTED if is_interrupted else 1
        sys.exit(code)

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; Typer itself would take a broken pipe for an error, and leave other failed writes alone."""
        try:
            result = super().invoke(ctx)
            output.flush()
            return result
        except BrokenPipeError:  # the reader (head) has left: nothing more to say
            output.forget_stdout()
            return 0
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EIO):
                output.forget_stdout()
            what = error.filename or "Something without a name, stdout perhaps,"
            raise PipeError(
                f"{what} could not be read or written: {error.strerror or error}.",
                hint="Make room, or write elsewhere.",
            ) from error
