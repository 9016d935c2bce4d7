"""The README's recorded sessions, run again as a person would see them: on a terminal."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def recorded_commands() -> Iterator[tuple[str, str]]:
    """Yield each command of the blocks marked as recorded, and what the README says it prints."""
    for block in re.findall(r"<!-- recorded[^>]*-->\n```console\n(.*?)```", README, flags=re.DOTALL):
        for command, printed in re.findall(r"^\$ (.*?)$\n(.*?)(?=^\$ |\Z)", block, flags=re.MULTILINE | re.DOTALL):
            yield command, printed.strip()


def on_a_terminal(command: str, cwd: Path) -> str:
    """Run a command whose stdout is a terminal of 100 columns, and return what it shows there."""
    parent, child = pty.openpty()
    arguments = shlex.split(command)
    arguments[0] = str(Path(sys.executable).with_name(arguments[0]))
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    with subprocess.Popen(arguments, stdout=child, stderr=subprocess.PIPE, cwd=cwd, env=environment) as process:
        os.close(child)
        shown = b""
        try:
            while chunk := os.read(parent, 65_536):
                shown += chunk
        except OSError:  # Linux's word for: the other end has closed
            pass
        os.close(parent)
        _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return "\n".join(line.rstrip() for line in shown.decode().splitlines()).strip()


@pytest.mark.parametrize(("command", "printed"), list(recorded_commands()))
def test_recorded_session(command: str, printed: str, tmp_path: Path) -> None:
    assert on_a_terminal(command, tmp_path) == "\n".join(line.rstrip() for line in printed.splitlines())


def test_readme_names_every_file() -> None:
    tree = README[README.index("## The files") :]
    for top in ("cli", "pipelines"):
        for path in (ROOT / top).iterdir():
            name = f"{path.name}/" if path.is_dir() else path.name
            if not name.startswith(("__", "py.typed")):
                assert f"  {name} " in tree, f"{top}/{name}"
