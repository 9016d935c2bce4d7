"""`pipe update`: templates change, the author's edits stay, and where both have changed git's markers say so."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from support import Ran

pytestmark = pytest.mark.both_lines

PIPELINE = Path("pipelines/my_task.py")
BASE = Path(".pipe/scaffold/my-task/pipelines/my_task.py")


@pytest.fixture
def made(folder: Path, pipe: Callable[..., Ran]) -> Path:
    """A project with the task my-task, made from templates of its own that are still pipesmith's."""
    (folder / "pyproject.toml").write_text('[tool.pipe]\ntemplates = "house"\n')
    shutil.copytree(Path(str(resources.files("pipesmith.templates"))), folder / "house")
    assert pipe("new-task", "my-task", "--yes").code == 0
    return folder


def edit(path: str | Path, old: str, new: str) -> None:
    """Replace a text that a file holds."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def change_template() -> None:
    """Change the summary of the class and of its module, and add a line at the end of the file."""
    edit("house/pipeline.py.jinja", "It needs transformers alone.", "Made in this house.")
    edit("house/pipeline.py.jinja", "{{ inputs.helpers() }}", "{{ inputs.helpers() }}\n\nHOUSE = 1\n")


def files(root: Path) -> dict[str, bytes]:
    """Return what stands in a project, without its templates."""
    found = (path for path in root.rglob("*") if path.is_file() and "house" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_without_a_changed_template_nothing_changes(made: Path, pipe: Callable[..., Ran]) -> None:
    edit(PIPELINE, "Run the model on a batch.", "Run mine.")
    before = files(made)
    ran = pipe("update")
    assert (ran.code, ran.out) == (0, "Nothing to update.\n")
    assert files(made) == before


def test_edits_stay_and_the_template_s_changes_arrive(made: Path, pipe: Callable[..., Ran]) -> None:
    edit(PIPELINE, "Run the model on a batch.", "Run mine.")
    before = files(made)
    change_template()
    ran = pipe("update", "my-task")
    assert (ran.code, ran.out) == (0, "pipelines/my_task.py: updated.\n")
    text = PIPELINE.read_text()
    assert "Run mine." in text and "Made in this house." in text and "HOUSE = 1" in text
    assert "Run mine." not in BASE.read_text() and "HOUSE = 1" in BASE.read_text()
    after = files(made)
    assert {name for name in after if after[name] != before.get(name)} == {PIPELINE.as_posix(), BASE.as_posix()}
    assert pipe("update").out == "Nothing to update.\n"
    assert files(made) == after


def test_dry_run_prints_the_diff_and_writes_nothing(made: Path, pipe: Callable[..., Ran]) -> None:
    change_template()
    before = files(made)
    ran = pipe("update", "--dry-run")
    assert ran.code == 0
    assert f"--- a/{PIPELINE.as_posix()}" in ran.out and "\n+HOUSE = 1" in ran.out
    assert files(made) == before


def test_lines_that_both_changed_stand_between_markers_until_resolved(made: Path, pipe: Callable[..., Ran]) -> None:
    edit(PIPELINE, "It needs transformers alone.", "Mine alone.")
    change_template()
    assert pipe("update", "--dry-run").code == 1
    assert "<<<<<<<" not in PIPELINE.read_text()
    ran = pipe("update")
    assert ran.code == 1
    text = PIPELINE.read_text()
    line = text.splitlines().index("<<<<<<< yours") + 1
    assert f"1 conflict to resolve by hand: {PIPELINE.as_posix()}:{line}" in ran.err
    assert text.index("Mine alone.") < text.index("\n=======\n") < text.index("Made in this house.")
    assert ">>>>>>> template\n" in text and "\nHOUSE = 1\n" in text

    edit("house/pipeline.py.jinja", "HOUSE = 1", "HOUSE = 2")
    assert pipe("update").code == 1  # nothing is merged into markers
    assert PIPELINE.read_text() == text

    lines = text.splitlines(keepends=True)
    begin, middle, end = (
        next(i for i, one in enumerate(lines) if one.startswith(mark)) for mark in ("<<<", "===", ">>>")
    )
    PIPELINE.write_text("".join(lines[:begin] + lines[begin + 1 : middle] + lines[end + 1 :]))
    assert pipe("update").code == 0
    assert "Mine alone." in PIPELINE.read_text() and "HOUSE = 2" in PIPELINE.read_text()


def test_line_ends_of_windows_are_no_change(made: Path, pipe: Callable[..., Ran]) -> None:
    for path in (PIPELINE, BASE):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    change_template()
    assert pipe("update").code == 0
    data = PIPELINE.read_bytes()
    assert b"HOUSE = 1\r\n" in data and data.count(b"\n") == data.count(b"\r\n")


def test_a_file_that_its_author_removed_stays_away(made: Path, pipe: Callable[..., Ran]) -> None:
    test = Path("tests/test_pipelines_my_task.py")
    test.unlink()
    edit("house/test_pipelines.py.jinja", "offline", "offline, at once")
    ran = pipe("update")
    assert ran.code == 0 and f"{test.as_posix()} is not there any more and stays away." in ran.err
    assert not test.exists()


def test_killed_before_the_bases_were_renamed_it_is_completed(made: Path, pipe: Callable[..., Ran]) -> None:
    edit(PIPELINE, "Run the model on a batch.", "Run mine.")
    old = BASE.read_bytes()
    change_template()
    assert pipe("update").code == 0
    merged = PIPELINE.read_bytes()
    BASE.write_bytes(old)
    assert pipe("update").code == 0
    assert PIPELINE.read_bytes() == merged and BASE.read_bytes() != old


def test_a_broken_template_changes_nothing(made: Path, pipe: Callable[..., Ran]) -> None:
    change_template()
    before = files(made)
    edit("house/test_pipelines.py.jinja", "{% if examples %}", "{% if %}")
    ran = pipe("update")
    assert ran.code == 1 and "test_pipelines.py.jinja:" in ran.err and "Mend that line" in ran.err
    edit("house/test_pipelines.py.jinja", "{% if %}", "{% if task + 1 %}")
    ran = pipe("update")
    assert ran.code == 1 and re.search(r"test_pipelines\.py\.jinja:\d+ fails: TypeError", ran.err)
    edit("house/test_pipelines.py.jinja", "{% if task + 1 %}", "def (:\n{% if examples %}")
    ran = pipe("update")
    assert ran.code == 1 and "test_pipelines.py.jinja makes no Python" in ran.err
    Path("house").rename("villa")
    ran = pipe("update")
    assert ran.code == 1 and "There is no folder" in ran.err and "[tool.pipe] templates" in ran.err
    Path("villa").rename("house")
    assert files(made) == before


def test_mistakes_are_sentences(made: Path, pipe: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    ran = pipe("update", "my-tsk")
    assert ran.code == 2 and "my-tsk" in ran.err and "my-task" in ran.err
    change_template()
    monkeypatch.setenv("PATH", "/nowhere")
    ran = pipe("update")
    assert ran.code == 1 and "git is not installed" in ran.err
    Path(".pipe/scaffold/my-task/answers.json").write_text('{"task": "../../other"}')
    ran = pipe("update")
    assert ran.code == 1 and "answers.json does not hold the answers" in ran.err


def test_outside_a_project(folder: Path, pipe: Callable[..., Ran]) -> None:
    ran = pipe("update")
    assert ran.code == 1 and "pipe new-task" in ran.err
