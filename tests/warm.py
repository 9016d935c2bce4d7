"""A `pipe` whose process has imported torch and transformers already: each command runs in a fork of it.

It is what a user's shell runs but for the imports, and may have a terminal to ask at. The Hub and its cache
are read at import, so that one of each serves all commands.
"""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

from support import Ran

_SERVER = """
import importlib, json, os, sys
import torch, transformers
from transformers import AutoProcessor, AutoTokenizer, BertForSequenceClassification, Pipeline  # they are lazy
from transformers import pipelines
from transformers.models.auto import configuration_auto, modeling_auto, tokenization_auto
from pipesmith.cli import consent, session
from pipesmith.cli.main import app
from pipesmith.pipelines import engine, loading, trust

for line in sys.stdin:
    job = json.loads(line)
    process = os.fork()
    if process == 0:
        os.environ.update(job["env"])
        os.chdir(job["cwd"])
        terminal = os.open(job["terminal"] or os.devnull, os.O_RDWR)
        for number, name in enumerate([None, job["out"], None if job["terminal"] else job["err"]]):
            os.dup2(terminal if name is None else os.open(name, os.O_CREAT | os.O_WRONLY), number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
        sys.argv = ["pipe", *job["args"]]
        try:
            app()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class WarmPipe:
    """The process that commands are forked from."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: object, cwd: Path, scratch: Path, answer: str | None = None, **env: str) -> Ran:
        """Run a command.

        Args:
            args: its arguments.
            cwd: the working directory.
            scratch: a folder for what it prints.
            answer: what a person types at the terminal; None if there is no terminal. stderr is the terminal then.
            env: laid over the environment.
        """
        out, err = scratch / "out", scratch / "err"
        for file in (out, err):
            file.unlink(missing_ok=True)
        ends = pty.openpty() if answer is not None else None
        job = {"args": [str(arg) for arg in args], "cwd": str(cwd), "out": str(out), "err": str(err), "env": env}
        job["terminal"] = os.ttyname(ends[1]) if ends else None  # type: ignore[assignment]
        assert self._process.stdin is not None and self._process.stdout is not None
        if ends:
            os.write(ends[0], f"{answer}\n".encode())
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        shown = bytearray()
        code = self._answered(ends[0] if ends else None, shown)
        for end in ends or ():
            os.close(end)
        said = shown.decode().replace("\r\n", "\n") if ends else err.read_text()
        return Ran(code, out.read_text(), said)

    def _answered(self, terminal: int | None, shown: bytearray) -> int:
        """Wait for the command's exit code, and read meanwhile what it shows on the terminal."""
        assert self._process.stdout is not None
        watched = [self._process.stdout, *([terminal] if terminal is not None else [])]
        while True:
            ready, _, _ = select.select(watched, [], [], 200)
            assert ready, "the command hangs"
            if terminal in ready:
                shown += os.read(terminal, 65536)  # type: ignore[arg-type]
            elif ready:
                return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
