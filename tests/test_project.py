"""Where a project starts, where tasks are looked up, and what `pipe list` and `pipe info` say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_ENTRY, LENGTH_PIPELINE, Ran, write

from pipesmith.pipelines.project import find_project

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines
ROOT = Path(__file__).parent.parent


def listed(pipe: Pipe) -> dict[str, Any]:
    ran = pipe("list", "--format", "json")
    assert ran.code == 0, ran.err
    return {task["task"]: task for task in json.loads(ran.out)["tasks"]}


def test_project_is_found_from_a_folder_below(pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "data" / "raw"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    task = listed(pipe)["length"]
    assert task["origin"] == "project"
    assert task["place"] == f"{project / 'pipelines' / '__init__.py'}:3"


def test_moved_pipelines_are_the_outer_projects_from_within_too(
    pipe: Pipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "pyproject.toml": "[tool.pipe]\npipelines = 'src/acme/pipelines'\n[tool.pipe.tasks.length]\nmodel = 'mine'\n",
        "src/acme/pipelines/__init__.py": LENGTH_ENTRY,
        "src/acme/pipelines/length.py": LENGTH_PIPELINE,
        "inner/pipelines/__init__.py": LENGTH_ENTRY,
        "inner/pipelines/length.py": LENGTH_PIPELINE,
    }
    write(folder, files)
    for below, root in (("src/acme", folder), ("src/acme/pipelines", folder), ("inner", folder / "inner")):
        monkeypatch.chdir(folder / below)
        project = find_project()
        assert project is not None and project.root == root
        assert bool(project.tasks) is (root == folder)


def test_settings_move_the_pipelines(pipe: Pipe, folder: Path) -> None:
    files = {
        "pyproject.toml": "[tool.pipe]\npipelines = 'src/acme/pipelines'\n",
        "src/acme/pipelines/__init__.py": LENGTH_ENTRY,
        "src/acme/pipelines/length.py": LENGTH_PIPELINE,
    }
    write(folder, files)
    assert listed(pipe)["length"]["class"].endswith("src/acme/pipelines/length.py:LengthPipeline")


def test_transformers_own_registry_makes_a_project_too(pipe: Pipe, folder: Path) -> None:
    registry = """
    from transformers.pipelines import PIPELINE_REGISTRY
    from transformers import AutoModelForSequenceClassification
    from .length import LengthPipeline

    PIPELINE_REGISTRY.register_pipeline("length", pipeline_class=LengthPipeline,
        pt_model=AutoModelForSequenceClassification)
    """
    write(folder, {"pipelines/__init__.py": registry, "pipelines/length.py": LENGTH_PIPELINE})
    assert listed(pipe)["length"]["pt_model"] == ["AutoModelForSequenceClassification"]
    assert pipe("run", "length", "--model", "tiny", "x").code == 0


def test_search_stops_at_the_home_folder(pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = project / "home"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    assert "length" not in listed(pipe)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_search_stops_at_a_folder_of_another_user(pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project / "below"
    below.mkdir()
    os.chown(project, 12345, 12345)
    monkeypatch.chdir(below)
    assert "length" not in listed(pipe)


def test_own_checkout_is_no_project(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {task["origin"] for task in listed(pipe).values()} == {"built-in", "transformers"}


def test_users_own_file(pipe: Pipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    entry = LENGTH_ENTRY.replace("length.LengthPipeline", f"{folder}/mine/length.py:LengthPipeline")
    write(folder, {"config/pipesmith/pipelines.py": entry, "mine/length.py": LENGTH_PIPELINE})
    assert listed(pipe)["length"]["origin"] == "user"
    ran = pipe("run", "length", "--model", "tiny", "x")
    assert ran.code == 0, ran.err


def test_installed_package(pipe: Pipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = "acme_tasks-1.0.dist-info"
    files = {
        "site/acme/__init__.py": "raise RuntimeError('executed')\n",
        "site/acme/tasks.py": LENGTH_ENTRY,
        "site/acme/length.py": LENGTH_PIPELINE,
        f"site/{info}/METADATA": "Metadata-Version: 2.1\nName: acme-tasks\nVersion: 1.0\n",
        f"site/{info}/entry_points.txt": "[pipesmith.tasks]\nacme = acme.tasks\n",
        f"site/{info}/RECORD": "acme/__init__.py,,\nacme/tasks.py,,\nacme/length.py,,\n",
    }
    write(folder, files)
    monkeypatch.syspath_prepend(str(folder / "site"))
    assert listed(pipe)["length"]["origin"] == "package"
    ran = pipe("info", "length")
    assert ran.code == 0 and "--unit" in ran.out


def test_lookup_order(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text().replace('"length",', '"text-classification",'))
    task = listed(pipe)["text-classification"]
    assert task["origin"] == "project" and "instead of transformers" in task["remark"]
    ran = pipe("run", "text-classification", "--model", "tiny", "--unit", "x", "words")
    assert ran.code == 0, ran.err


def test_listing_executes_nothing(pipe: Pipe, project: Path) -> None:
    for file in project.glob("pipelines/*.py"):
        file.write_text("open('executed', 'w').close()\n" + file.read_text())
    assert "length" in listed(pipe)
    assert "--unit" in pipe("info", "length").out
    assert "--unit" in pipe("run", "length", "--help").out
    assert not (project / "executed").exists()


def test_places_that_cannot_be_read_are_named(pipe: Pipe, project: Path) -> None:
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(
        registry.read_text() + "import os\nPIPELINE_REGISTRY.register_pipeline(os.getenv('X'), 'a.B')\n"
    )
    ran = pipe("list")
    assert ran.code == 0 and "length" in ran.out
    assert "__init__.py:10" in ran.err and "could not be read" in ran.err


def test_list_for_people(pipe: Pipe, project: Path) -> None:
    ran = pipe("list", "--own")
    assert ran.code == 0 and ran.err == ""
    row = next(line for line in ran.out.splitlines() if line.startswith("length"))
    assert "text" in row and "LengthPipeline" in row and "AutoModelForSequenceClassification" in row
    assert "pipelines/__init__.py:3" in row
    assert "fill-mask" not in ran.out and "pair-classification" in ran.out


def test_info(pipe: Pipe, project: Path) -> None:
    report = json.loads(pipe("info", "length", "--format", "json").out)
    assert report["origin"] == "project" and report["type"] == "text"
    parameters = {parameter["name"]: parameter for parameter in report["parameters"]}
    assert parameters["top_k"] | {"doc": ""} == {
        "name": "top_k",
        "type": "int",
        "default": 1,
        "default_text": "1",
        "stages": ["postprocess"],
        "group": "task",
        "doc": "",
    }
    assert parameters["unit"]["default"] == "tokens" and "length" in parameters["unit"]["doc"]
    text = pipe("info", "length").out
    assert "--top-k <int>" in text and "postprocess" in text and "[default: 1]" in text


def test_alias_of_transformers(pipe: Pipe, folder: Path) -> None:
    assert json.loads(pipe("info", "ner", "--format", "json").out)["task"] == "token-classification"


def test_help_of_every_task_of_transformers(pipe: Pipe, folder: Path) -> None:
    from pipesmith.pipelines.registry import read_level

    tasks = [entry.task for entry in read_level("transformers", None).entries]
    assert len(tasks) > 20
    for task in tasks:
        ran = pipe("run", task, "--help")
        assert ran.code == 0, ran.err
        assert ran.out.startswith(f"Usage: pipe run {task} ")


def test_help_comes_with_the_tasks_parameters_first(pipe: Pipe, folder: Path) -> None:
    text = " ".join(pipe("run", "pair-classification", "--help").out.split())
    assert text.index("--second-text") < text.index("--model")
    assert "--top-k <int>" in text and "How many labels" in text and "[default: false]" in text
    assert pipe("run", "--help").out.index("--model") > 0


def test_the_help_of_pipe_says_what_each_command_does(pipe: Pipe) -> None:
    commands = pipe("--help").out.partition("Commands:")[2]
    assert "Publish a task with its code and a model." in commands and "..." not in commands


def test_no_input_on_a_terminal_prints_the_help(project: Path) -> None:
    import pty
    import subprocess
    import sys

    parent, child = pty.openpty()
    command = [str(Path(sys.executable).with_name("pipe")), "run", "length"]
    done = subprocess.run(command, stdin=child, capture_output=True, text=True, cwd=project, timeout=60)
    os.close(parent)
    os.close(child)
    assert done.returncode == 2 and "--unit" in done.stderr and done.stdout == ""


def test_version(pipe: Pipe) -> None:
    lines = pipe("--version").out.splitlines()
    assert [line.split()[0] for line in lines] == ["pipesmith", "torch", "transformers", "huggingface_hub"]
    assert all(line.split()[1][0].isdigit() for line in lines)


# Conditions.

CONDITIONAL = """
import os, sys
from pipesmith.pipelines import PIPELINE_REGISTRY as R
from pipelines.length import LengthPipeline, WidthPipeline

MODEL = "AutoModelForSequenceClassification"
if sys.platform == "no-system":
    R.register_pipeline("elsewhere", LengthPipeline, MODEL)
    R.register_pipeline("machine", LengthPipeline, MODEL)
    R.register_pipeline("fill-mask", LengthPipeline, MODEL)
else:
    R.register_pipeline("machine", WidthPipeline, MODEL)
if os.environ.get("BIG"):
    R.register_pipeline("run", LengthPipeline, MODEL)
    R.register_pipeline("big", LengthPipeline, MODEL)
else:
    R.register_pipeline("run", WidthPipeline, MODEL)
"""
HERE, ELSEWHERE = "not (sys.platform == 'no-system')", "sys.platform == 'no-system'"
BIG = "os.environ.get('BIG')"


@pytest.fixture
def conditional(project: Path) -> Path:
    """A project with tasks under conditions of the machine and of the run."""
    width = LENGTH_PIPELINE.replace("LengthPipeline", "WidthPipeline").replace("unit", "edge")
    return write(project, {"pipelines/__init__.py": CONDITIONAL, "pipelines/length.py": LENGTH_PIPELINE + width})


def test_list_names_the_conditions_and_the_alternatives(pipe: Pipe, conditional: Path) -> None:
    tasks = listed(pipe)
    length, width = (f"{conditional}/pipelines/length.py:{name}Pipeline" for name in ("Length", "Width"))
    of_length, of_width = "LengthPipeline if", "WidthPipeline if"
    expected = {
        "elsewhere": (length, ELSEWHERE, False, f"project, only if {ELSEWHERE}, not here"),
        "machine": (width, HERE, True, f"project, {of_width} {HERE}, {of_length} {ELSEWHERE}"),
        "run": (length, BIG, None, f"project, {of_length} {BIG}, {of_width} not {BIG}"),
        "big": (length, BIG, None, f"project, if {BIG}"),
    }
    for task, row in expected.items():
        assert tuple(tasks[task][key] for key in ("class", "condition", "holds", "remark")) == row
    assert tasks["fill-mask"]["origin"] == "transformers"
    assert tasks["fill-mask"]["remark"] == f"transformers, as project's is only if {ELSEWHERE}"


def test_info_and_help_of_a_task_of_another_machine(pipe: Pipe, conditional: Path) -> None:
    report = json.loads(pipe("info", "elsewhere", "--format", "json").out)
    assert report["condition"] == ELSEWHERE
    assert "--unit" in pipe("run", "elsewhere", "--help").out


def test_describe_names_the_alternatives_of_one_task(conditional: Path) -> None:
    from pipesmith.pipelines.listing import describe, list_tasks
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.registry import find_entry

    found = find_project()
    by_task = {listing.entry.task: listing for listing in list_tasks(found)[0]}
    for task in ("elsewhere", "machine", "run", "pair-classification"):
        assert describe(find_entry(task, found), found) == by_task[task]


def test_run_takes_the_alternative_of_this_machine(pipe: Pipe, conditional: Path) -> None:
    ran = pipe("run", "machine", "--model", "tiny", "--edge", "pieces", "x")
    assert ran.code == 0 and ran.rows[0]["length"].endswith("pieces"), ran.err
    ran = pipe("run", "elsewhere", "--model", "tiny", "x")
    assert ran.code == 2 and f"only if {ELSEWHERE} ({conditional}/pipelines/__init__.py:7)" in ran.err
    assert "There is no task" not in ran.err and "this machine" in ran.err


@pytest.mark.parametrize("big", ["", "yes"])
def test_run_decides_what_depends_on_the_run(pipe_process: Pipe, conditional: Path, big: str) -> None:
    flag = "--unit" if big else "--edge"
    ran = pipe_process("run", "run", "--model", "tiny", "--set", f'{flag[2:]}="pieces"', "x", cwd=conditional, BIG=big)
    assert ran.code == 0 and ran.rows[0]["length"].endswith("pieces"), ran.err
    ran = pipe_process("run", "big", "--model", "tiny", "x", cwd=conditional, BIG=big)
    if big:
        assert ran.code == 0, ran.err
    else:
        assert ran.code == 2 and f"only if {BIG} ({conditional}/pipelines/__init__.py:14)" in ran.err


# What transformers' own registry is given.

TEXT_AND_TF = """
import os
from transformers.pipelines import PIPELINE_REGISTRY

for name in os.environ.get("TASKS", "recorded-text recorded-class").split():
    PIPELINE_REGISTRY.register_pipeline(
        name,
        pipeline_class=CLASS,
        pt_model=MODEL,
        tf_model="TFAutoModelForSequenceClassification",
        default={"pt": (FOLDER, None)},
        type="text",
    )
"""


@pytest.mark.parametrize("task", ["recorded-text", "recorded-class"])
def test_registry_that_is_run_may_give_transformers_every_form(
    pipe: Pipe, folder: Path, tiny_checkpoint: Path, task: str
) -> None:
    from transformers.pipelines import PIPELINE_REGISTRY

    names = ['"length.LengthPipeline"', '"AutoModelForSequenceClassification"']
    head = ""
    if task == "recorded-class":
        head = "from transformers import AutoModelForSequenceClassification\nfrom .length import LengthPipeline\n"
        names = [name.strip('"').rpartition(".")[2] for name in names]
    registry = TEXT_AND_TF.replace("CLASS", names[0]).replace("MODEL", names[1])
    registry = head + registry.replace("FOLDER", repr(str(tiny_checkpoint)))
    write(folder, {"pipelines/__init__.py": registry, "pipelines/length.py": LENGTH_PIPELINE})
    before = PIPELINE_REGISTRY.register_pipeline
    try:
        ran = pipe("run", task, "--unit", "pieces", "x")
    finally:
        for name in ("recorded-text", "recorded-class"):
            PIPELINE_REGISTRY.supported_tasks.pop(name, None)
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("pieces")
    assert PIPELINE_REGISTRY.register_pipeline == before


def test_list_says_what_plain_transformers_refuses_apart(folder: Path) -> None:
    from pipesmith.pipelines.listing import list_tasks
    from pipesmith.pipelines.project import find_project

    registry = """
    from transformers.pipelines import PIPELINE_REGISTRY
    PIPELINE_REGISTRY.register_pipeline("length", "length.LengthPipeline", default="user/model")
    """
    write(folder, {"pipelines/__init__.py": registry, "pipelines/length.py": LENGTH_PIPELINE})
    notes = list_tasks(find_project())[1]
    assert notes and all(note.about == "transformers" and not note.unread for note in notes)


def test_task_that_plain_python_registered_with_transformers(folder: Path, tiny_checkpoint: Path) -> None:
    from transformers import AutoModelForSequenceClassification, TextClassificationPipeline
    from transformers.pipelines import PIPELINE_REGISTRY

    from pipesmith.pipelines import pipeline

    class Mine(TextClassificationPipeline):
        pass

    PIPELINE_REGISTRY.register_pipeline("mine-task", Mine, pt_model=AutoModelForSequenceClassification)
    try:
        assert isinstance(pipeline("mine-task", model=str(tiny_checkpoint)), Mine)
    finally:
        del PIPELINE_REGISTRY.supported_tasks["mine-task"]


# Registries that are broken.


def test_broken_file_of_the_users_own_disables_nothing_else(
    pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "config"))
    write(project, {"config/pipesmith/pipelines.py": "x = 1\nfrom pipesmith import (\n"})
    file = f"{project}/config/pipesmith/pipelines.py:2"
    ran = pipe("list")
    assert ran.code == 0 and "length" in ran.out
    assert file in ran.err and "could not be read" in ran.err
    for task in ("length", "pair-classification"):
        assert pipe("run", task, "--model", "tiny", "x").code == 0
    ran = pipe("run", "no-such-task", "x")
    assert ran.code == 2 and file in ran.err


def test_broken_package_disables_nothing_else(pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = "acme_broken-1.0.dist-info"
    files = {
        "site/acme_broken/fails.py": "for task in open('x'): R.register_pipeline(task, 'a.B')\nR = 1 / 0\n",
        f"site/{info}/METADATA": "Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.0\n",
        f"site/{info}/entry_points.txt": "[pipesmith.tasks]\ngone = acme_broken.gone\nfails = acme_broken.fails\n",
        f"site/{info}/RECORD": f"acme_broken/fails.py,,\n{info}/entry_points.txt,,\n",
    }
    write(project, files)
    monkeypatch.syspath_prepend(str(project / "site"))
    ran = pipe("list")
    assert ran.code == 0 and "length" in ran.out
    assert f"{info}/entry_points.txt:1: gone = acme_broken.gone names a module that is not there" in ran.err
    for task in ("length", "pair-classification"):
        ran = pipe("run", task, "--model", "tiny", "x")
        assert ran.code == 0, ran.err
    ran = pipe("run", "no-such-task", "x")
    assert ran.code == 2 and "acme_broken.gone" in ran.err and "acme_broken/fails.py:1" in ran.err


def test_default_model_of_the_settings_is_listed(pipe: Pipe, project: Path) -> None:
    write(project, {"pyproject.toml": "[tool.pipe.tasks.length]\nmodel = 'user/mine'\nrevision = 'v1'\n"})
    assert listed(pipe)["length"]["default"] == {"model": "user/mine", "revision": "v1"}
    assert "user/mine@v1" in pipe("list", "--own").out
