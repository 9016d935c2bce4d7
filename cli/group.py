"""From an exception to "Error: ..." and "Hint: ..." on stderr and an exit code: the one place."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from pipesmith.cli import output
from pipesmith.pipelines.errors import PipeError

INTERRUPTED = 130


class PipeGroup(TyperGroup):
    """The commands of `pipe`, whichever way they are started."""

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]  # its further arguments are passed by name
        """Run a command and end the process with its exit code.

        0 done, 1 an error or findings, 2 usage, 3 finished but some rows failed, 130 interrupted.
        """
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        output.set_verbose(False)
        try:
            result = super().main(args, standalone_mode=False, **extra)
            code = result if isinstance(result, int) else 0
            sys.stdout.flush()
        except PipeError as error:
            output.print_error(error)
            code = error.exit_code
        except typer.TyperException as error:
            output.print_usage_error(error)
            code = error.exit_code
        except typer.Abort:
            output.note("Aborted.")
            code = 1
        except KeyboardInterrupt:
            output.note("Interrupted.")
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader (head) has left: nothing more to say, and Python must not complain about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = 0
        sys.exit(code)
