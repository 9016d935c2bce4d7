"""Entries written into a registry file's text, and taken out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from pipesmith.pipelines.entries import DefaultModel, PipelineEntry
from pipesmith.pipelines.entry_file import add_entry, remove_entry
from pipesmith.pipelines.errors import ScaffoldError, TaskConflictError
from pipesmith.pipelines.source import ClassReference

pytestmark = pytest.mark.both_lines
ENTRY = PipelineEntry(
    "my-task",
    ClassReference("MyTaskPipeline", Path("my_task.py")),
    pt_model=("AutoModelForSequenceClassification",),
    type="text",
)
CALL = """
PIPELINE_REGISTRY.register_pipeline(
    "my-task",
    pipeline_class="my_task.MyTaskPipeline",
    pt_model="AutoModelForSequenceClassification",
    type="text",
)
"""
IMPORT = "from pipesmith.pipelines import PIPELINE_REGISTRY\n"


def test_new_file() -> None:
    text = add_entry("", ENTRY)
    assert text == IMPORT + CALL
    assert add_entry(text, ENTRY) == text
    assert remove_entry(text, "my-task") == IMPORT


def test_every_field() -> None:
    entry = replace(
        ENTRY,
        pipeline_class=ClassReference("P", Path("text/deep.py")),
        pt_model=("AutoModelForMaskedLM", ClassReference("Own", Path("models/own.py"))),
        tf_model=("TFAutoModelForMaskedLM",),
        default=DefaultModel("user/model", "abc"),
    )
    text = add_entry("", entry)
    for line in (
        'pipeline_class="text.deep.P"',
        'pt_model=("AutoModelForMaskedLM", "models.own.Own")',
        'tf_model="TFAutoModelForMaskedLM"',
        'default={"pt": ("user/model", "abc")}',
    ):
        assert f"    {line},\n" in text
    assert 'default="models/mine"' in add_entry("", replace(ENTRY, default=DefaultModel("models/mine")))
    outside = replace(ENTRY, pipeline_class=ClassReference("P", Path("../src/x.py")))
    assert 'pipeline_class="../src/x.py:P"' in add_entry("", outside)


@pytest.mark.parametrize(
    ("before", "head"),
    [
        ('"""Tasks."""\n', '"""Tasks."""\n\n' + IMPORT),
        (
            '# Licence\n"""Tasks."""\n\nfrom __future__ import annotations\n\nX = 1  # one\n',
            '# Licence\n"""Tasks."""\n\nfrom __future__ import annotations\n\n' + IMPORT + "\nX = 1  # one\n",
        ),
        (
            "import os\nfrom .x import y\n\ndef f():\n\treturn 1\n",
            "import os\n" + IMPORT + "from .x import y\n\ndef f():\n\treturn 1\n\n",
        ),
        ("# nothing yet\n", "# nothing yet\n" + IMPORT),
        (IMPORT + "# the end\n", IMPORT + "# the end\n"),
        ("X = 1", IMPORT + "\nX = 1\n"),
    ],
)
def test_import_is_added_and_the_rest_stays(before: str, head: str) -> None:
    text = add_entry(before, ENTRY)
    assert text == head + CALL
    assert add_entry(text, ENTRY) == text
    compile(text, "x", "exec")


def test_registry_under_another_name_and_transformers_own() -> None:
    text = add_entry("from pipesmith.pipelines import PIPELINE_REGISTRY as R\n", ENTRY)
    assert "\nR.register_pipeline(" in text and text.count("import") == 1
    text = add_entry("from transformers.pipelines import PIPELINE_REGISTRY\n", ENTRY)
    assert "from pipesmith.pipelines import PIPELINE_REGISTRY as PIPESMITH_REGISTRY\n" in text
    assert "\nPIPESMITH_REGISTRY.register_pipeline(" in text
    again = add_entry(text, replace(ENTRY, task="other"))
    assert again.count("import") == text.count("import") and again.count("PIPESMITH_REGISTRY.reg") == 2


STYLED = dedent("""\
    # Ours.
    from pipesmith.pipelines import PIPELINE_REGISTRY as R  # short
    from .mine import MinePipeline

    # The first.
    R.register_pipeline("mine", MinePipeline,   pt_model='AutoModel',  type="text")  # keep

    if True:
        # Inside.
        R.register_pipeline(
            task="other",
            pipeline_class="other.OtherPipeline",  # theirs
            pt_model=("AutoModel",),
            type="audio"
        )
    # The end.
    """)


def test_changes_touch_only_what_differs() -> None:
    mine = PipelineEntry("mine", ClassReference("MinePipeline", Path("mine.py")), ("AutoModel",), type="text")
    assert add_entry(STYLED, mine) == STYLED
    changed = add_entry(STYLED, replace(mine, pt_model=("AutoModelForCTC",), default=DefaultModel("a/b", "c")))
    line = 'R.register_pipeline("mine", MinePipeline,   pt_model="AutoModelForCTC",  default={"pt": ("a/b", "c")}, '
    assert changed.replace(" ", "") == STYLED.replace(
        """R.register_pipeline("mine", MinePipeline,   pt_model='AutoModel', """, line
    ).replace(" ", "")
    other = PipelineEntry("other", ClassReference("OtherPipeline", Path("other.py")), ("AutoModel",), type="image")
    changed = add_entry(STYLED, replace(other, tf_model=("TFAutoModel",)))
    assert '        tf_model="TFAutoModel",\n        type="image"\n' in changed
    assert changed.count("\n") == STYLED.count("\n") + 1 and "# theirs" in changed
    assert add_entry(changed, replace(other, tf_model=("TFAutoModel",))) == changed


def test_removing_keeps_comments() -> None:
    text = remove_entry(remove_entry(STYLED, "mine"), "other")
    for comment in ("# Ours.", "# short", "# The first.", "# keep", "# Inside.", "# The end."):
        assert comment in text
    assert "register_pipeline" not in text and "pass" in text
    compile(text, "x", "exec")
    assert remove_entry(STYLED, "absent") == STYLED
    both = IMPORT + 'X = 1; PIPELINE_REGISTRY.register_pipeline("a", "b.C"); Y = 2\n'
    assert remove_entry(both, "a") == IMPORT + "X = 1; Y = 2\n"


def test_line_ends_stay() -> None:
    text = add_entry(STYLED.replace("\n", "\r\n"), ENTRY)
    assert text.count("\r\n") == text.count("\n") > STYLED.count("\n")


@pytest.mark.parametrize(
    "registry",
    [
        'for name in ("other", "my-task"):\n    PIPELINE_REGISTRY.register_pipeline(name, "a.B")\n',
        'for name in ("task",):\n    PIPELINE_REGISTRY.register_pipeline(f"my-{name}", "a.B")\n',
        'def add(name):\n    PIPELINE_REGISTRY.register_pipeline(name, "a.B")\n\nadd("my-task")\n',
    ],
)
def test_entries_of_loops_and_functions_are_refused(registry: str) -> None:
    for change in (lambda text: add_entry(text, ENTRY), lambda text: remove_entry(text, "my-task")):
        with pytest.raises(ScaffoldError, match=r"pipelines/__init__\.py:\d+ registers my-task"):
            change(IMPORT + registry)
    assert 'register_pipeline(\n    "another"' in add_entry(IMPORT + registry, replace(ENTRY, task="another"))


def test_what_cannot_be_edited_is_named() -> None:
    with pytest.raises(ScaffoldError, match=r"pipelines/__init__\.py:2 does not parse"):
        add_entry("x = 1\ny = (\n", ENTRY)
    with pytest.raises(ScaffoldError, match=r"mine/reg\.py:1 does not parse"):
        remove_entry("y = (\n", "my-task", Path("mine/reg.py"))
    with pytest.raises(ScaffoldError, match=r"registered twice.*:3 and .*:4"):
        add_entry(IMPORT + "\n" + "PIPELINE_REGISTRY.register_pipeline('my-task', 'a.B')\n" * 2, ENTRY)
    with pytest.raises(ScaffoldError, match="line 3 are not written out"):
        add_entry(f"{IMPORT}X = {{}}\nPIPELINE_REGISTRY.register_pipeline('my-task', 'a.B', **X)\n", ENTRY)
    with pytest.raises(TaskConflictError, match=r"__init__\.py:3 registers my-task.*My-Task only in case"):
        add_entry(IMPORT + CALL, replace(ENTRY, task="My-Task"))


def test_entries_of_files_that_the_registry_imports(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("from . import text\n")
    (tmp_path / "text.py").write_text(IMPORT + CALL)
    with pytest.raises(ScaffoldError, match=r"text\.py:3 registers my-task"):
        remove_entry("from . import text\n", "my-task", tmp_path / "__init__.py")
