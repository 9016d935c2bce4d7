"""From an exception to "Error: ..." and "Hint: ..." on stderr and an exit code: the one place."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from pipesmith.cli import output
from pipesmith.pipelines.errors import PipeError

_INTERRUPTED = 130


class PipeGroup(TyperGroup):
    """The commands of `pipe`, whichever way they are started."""

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
        except typer.Abort:
            output.note("Aborted.")
            code = 1
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
