"""Questions of `pipe new-task` and `pipe register` on a real terminal: answers, wrong ones, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import LENGTH_PIPELINE, write

pytestmark = pytest.mark.both_lines
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _talk(arguments: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run `pipe` on a terminal of its own, type each answer after its question, and return the exit code and text."""
    command = str(Path(sys.executable).with_name("pipe"))
    process, terminal = pty.fork()
    if process == 0:
        os.execve(command, [command, *arguments], {**os.environ, "HF_HUB_OFFLINE": "1"})
    seen, waiting, asked = "", list(answers), 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux: nobody is at the other end any more
                data = b""
            if not data:
                break
            seen += data.decode(errors="replace")
        if waiting and waiting[0][0] in seen[asked:]:
            asked = len(seen)
            time.sleep(0.3)  # a key that is pressed before the terminal listens is lost, Ctrl-C too
            os.write(terminal, waiting.pop(0)[1].encode())
    else:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert not waiting, seen
    return os.waitstatus_to_exitcode(status), seen


def test_new_task_asks_for_what_was_not_said(folder: Path) -> None:
    code, seen = _talk(
        ["new-task", "my-task"],
        [
            ("Type [text]", "vidio\n"),
            ("Type [text]", "\n"),
            ("Model class [AutoModelForSequenceClassification]", "AutoModelForImageClassification\n"),
            ("Model class [", "AutoModelForTokenClassification\n"),
            ("second text", "maybe\n"),
            ("second text", "y\n"),
            ("Default model", "nowhere\n"),
            ("Default model", "user/model\n"),
            ("Revision of user/model", "two words\n"),
            ("Revision of user/model", "v1\n"),
            ("Write these files?", "\n"),
        ],
    )
    assert code == 0, seen
    assert "Did you mean video" in seen and "is for image, not for text" in seen and "no such folder" in seen
    entry = (folder / "pipelines/__init__.py").read_text()
    assert 'pt_model="AutoModelForTokenClassification"' in entry and '("user/model", "v1")' in entry
    assert "second_text" in (folder / "pipelines/my_task.py").read_text()


@pytest.mark.parametrize(("key", "expected"), [("\x03", 130), ("\x04", 1), ("n\n", 1)], ids=["ctrl-c", "ctrl-d", "no"])
def test_new_task_that_is_broken_off_writes_nothing(key: str, expected: int, folder: Path) -> None:
    question = "Write these files?" if key == "n\n" else "Default model"
    before = [("Default model", "\n")] if key == "n\n" else []
    code, seen = _talk(["new-task", "my-task", "--type", "audio"], [("Model class", "\n"), *before, (question, key)])
    assert code == expected, seen
    assert "Traceback" not in seen
    assert list(folder.iterdir()) == []


def test_an_author_s_file_is_overwritten_only_after_a_yes(folder: Path) -> None:
    write(folder, {"pipelines/my_task.py": "MINE = 1\n"})
    arguments = ["new-task", "my-task", "--type", "image"]
    asked = [("Model class", "\n"), ("Default model", "\n")]
    code, seen = _talk(arguments, [*asked, ("Overwrite pipelines/my_task.py? [y/N]", "\n")])
    assert (code, (folder / "pipelines/my_task.py").read_text()) == (1, "MINE = 1\n")
    assert "-MINE = 1" in seen
    code, _ = _talk(arguments, [*asked, ("Overwrite pipelines/my_task.py? [y/N]", "y\n")])
    assert code == 0 and "class MyTaskPipeline" in (folder / "pipelines/my_task.py").read_text()


def test_register_asks_for_a_revision_that_the_hub_does_not_tell(folder: Path) -> None:
    write(folder, {"length.py": LENGTH_PIPELINE})
    arguments = ["register", "length.py:LengthPipeline", "--task", "length", "--default", "user/model"]
    code, seen = _talk(arguments, [("Revision of user/model", "\x03")])
    assert code == 130, seen
    assert not (folder / "pipelines").exists()
    code, seen = _talk(arguments, [("Revision of user/model", "\n"), ("Revision of", f"{COMMIT}\n")])
    assert code == 0, seen
    assert f'("user/model", "{COMMIT}")' in (folder / "pipelines/__init__.py").read_text()
