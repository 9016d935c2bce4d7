"""The README's recorded sessions, run again as a person would see them: on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipesmith.pipelines.compat import needed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


Session = list[tuple[str, str]]


def recorded_sessions() -> Iterator[Session]:
    """Yield the commands of each block marked as recorded, and what the README says they print."""
    for block in re.findall(r"<!-- recorded[^>]*-->\n```console\n(.*?)```", README, flags=re.DOTALL):
        yield re.findall(r"^\$ (.*?)$\n(.*?)(?=^\$ |\Z)", block, flags=re.MULTILINE | re.DOTALL)


def on_a_terminal(command: str, cwd: Path) -> str:
    """Run a command of the shell whose stdout is a terminal of 100 columns, and return what it shows there."""
    parent, child = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "PATH": path}
    with subprocess.Popen(
        ["bash", "-c", command], stdout=child, stderr=subprocess.PIPE, cwd=cwd, env=environment
    ) as process:
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
    return shown.decode()


def rounded(text: str) -> str:
    """Return text with numbers cut to five decimals: further ones are the processor's."""
    lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return re.sub(r"(\.\d{5})\d+", r"\1", lines)


@pytest.mark.skipif(not needed(), reason="recorded on transformers 5: tiny models are others on 4")
@pytest.mark.parametrize("session", list(recorded_sessions()), ids=lambda session: session[0][0].split()[1])
def test_recorded_session(session: Session, tmp_path: Path) -> None:
    for command, printed in session:
        assert rounded(on_a_terminal(command, tmp_path)) == rounded(printed)


def test_readme_names_every_file() -> None:
    tree = README[README.index("## The files") :]
    for top in ("cli", "pipelines"):
        for path in (ROOT / top).iterdir():
            name = f"{path.name}/" if path.is_dir() else path.name
            if not name.startswith(("__", "py.typed")):
                assert f"  {name} " in tree, f"{top}/{name}"
