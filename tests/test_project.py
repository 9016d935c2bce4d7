"""Where a project starts, where tasks are looked up, and what `pipe list` and `pipe info` say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_ENTRY, LENGTH_PIPELINE, Ran, write

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
        "default": "1",
        "stages": ["postprocess"],
        "group": "task",
        "doc": "",
    }
    assert parameters["unit"]["default"] == '"tokens"' and "length" in parameters["unit"]["doc"]
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
