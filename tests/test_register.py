"""`pipe register`: into a project, the user's own file and a checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_ENTRY, LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
both_lines = pytest.mark.both_lines
pytestmark = both_lines
CLASS = "pipelines/length.py:LengthPipeline"
MODEL = "AutoModelForSequenceClassification"


@pytest.fixture
def unregistered(folder: Path) -> Path:
    """A project without tasks, and a pipeline."""
    return write(folder, {"pyproject.toml": "[tool.pipe]\n", "pipelines/length.py": LENGTH_PIPELINE})


def listed(pipe: Pipe, task: str) -> dict[str, Any]:
    tasks = {one["task"]: one for one in json.loads(pipe("list", "--format", "json").out)["tasks"]}
    found: dict[str, Any] = tasks[task]
    return found


def test_register_run_again_remove(pipe: Pipe, unregistered: Path) -> None:
    command = [
        "register",
        CLASS,
        "--task",
        "my-task",
        "--pt-model",
        MODEL,
        "--tf-model",
        f"TF{MODEL}",
        "--type",
        "text",
    ]
    ran = pipe(*command)
    assert ran.code == 0, ran.err
    assert ran.out == "my-task is registered in pipelines/__init__.py.\n"
    registry = unregistered / "pipelines" / "__init__.py"
    text = registry.read_text()
    assert 'pipeline_class="length.LengthPipeline"' in text and f'tf_model="TF{MODEL}"' in text
    ran = pipe("run", "my-task", "--model", "tiny", "--unit", "pieces", "some words")
    assert ran.code == 0 and "pieces" in ran.out, ran.err
    ran = pipe(*command)
    assert ran.code == 0 and "nothing changed" in ran.out and registry.read_text() == text
    ran = pipe("register", CLASS, "--task", "my-task", "--pt-model", "AutoModel", "--type", "audio")
    assert ran.code == 0 and listed(pipe, "my-task")["pt_model"] == ["AutoModel"]
    assert listed(pipe, "my-task")["type"] == "audio"
    ran = pipe("register", "--remove", "--task", "my-task")
    assert ran.code == 0 and "register_pipeline" not in registry.read_text()
    ran = pipe("register", "--remove", "--task", "my-task")
    assert ran.code == 2 and "registers no task my-task" in ran.err


def test_what_is_not_said_comes_from_the_source(pipe: Pipe, unregistered: Path) -> None:
    source = """
    from transformers import ImageClassificationPipeline
    raise SystemExit("executed")
    class CatDogPipeline(ImageClassificationPipeline):
        pass
    """
    write(unregistered, {"tools/cat.py": source})
    ran = pipe("register", "tools/cat.py")
    assert ran.code == 0 and "AutoModelForImageClassification" in ran.err, ran.err
    found = listed(pipe, "cat-dog")
    assert (found["type"], found["pt_model"]) == ("image", ["AutoModelForImageClassification"])
    assert found["class"].endswith("tools/cat.py:CatDogPipeline")
    ran = pipe("register", CLASS, "--task", "heard", "--pt-model", "AutoModelForAudioClassification")
    assert ran.code == 0 and listed(pipe, "heard")["type"] == "audio"


def test_what_a_file_registers_itself_is_taken_over(pipe: Pipe, unregistered: Path) -> None:
    source = f"""{LENGTH_PIPELINE}

from transformers.pipelines import PIPELINE_REGISTRY
from transformers import AutoModelForMaskedLM

PIPELINE_REGISTRY.register_pipeline("its-length", LengthPipeline, pt_model=AutoModelForMaskedLM, type="text")
"""
    write(unregistered, {"mine.py": source})
    ran = pipe("run", "mine.py", "--model", "tiny", "some words")
    assert ran.code == 0 and "has no entry" not in ran.err, ran.err
    ran = pipe("register", "mine.py")
    assert ran.code == 0 and "has no entry" not in ran.err, ran.err
    assert listed(pipe, "its-length")["pt_model"] == ["AutoModelForMaskedLM"]


def test_pipelines_py_is_not_shadowed(pipe: Pipe, folder: Path) -> None:
    write(folder, {"pipelines.py": LENGTH_PIPELINE})
    for command in (["register", "pipelines.py", "--task", "length"], ["new-task", "mine", "--yes"]):
        ran = pipe(*command)
        assert ran.code == 1 and "pipelines.py" in ran.err and "[tool.pipe]" in ran.err, ran.err
        assert not (folder / "pipelines").exists()
    write(folder, {"pyproject.toml": '[tool.pipe]\npipelines = "tasks"\n'})
    ran = pipe("register", "pipelines.py", "--task", "length")
    assert ran.code == 0, ran.err
    ran = pipe("run", "length", "--model", "tiny", "words")
    assert ran.code == 0 and ran.rows[0]["length"], ran.err


def test_folder_without_a_project_becomes_one(pipe: Pipe, folder: Path) -> None:
    write(folder, {"length.py": LENGTH_PIPELINE})
    ran = pipe("register", "length.py", "--task", "my-task")
    assert ran.code == 0 and "is a project now" in ran.err
    assert '"../length.py:LengthPipeline"' in (folder / "pipelines" / "__init__.py").read_text()
    assert listed(pipe, "my-task")["origin"] == "project"


def test_users_own_file(pipe: Pipe, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "config"))
    before = (project / "pipelines" / "__init__.py").read_text()
    ran = pipe("register", CLASS, "--task", "mine", "--user")
    assert ran.code == 0, ran.err
    text = (project / "config" / "pipesmith" / "pipelines.py").read_text()
    assert f'"{project}/pipelines/length.py:LengthPipeline"' in text
    assert (project / "pipelines" / "__init__.py").read_text() == before
    assert listed(pipe, "mine")["origin"] == "user"
    again = pipe("register", CLASS, "--task", "mine", "--user")
    assert "nothing changed" in again.out
    assert pipe("register", "--remove", "--task", "mine", "--user").code == 0


def test_conflicts_name_both_places(pipe: Pipe, project: Path) -> None:
    other = LENGTH_PIPELINE.replace("LengthPipeline", "OtherPipeline")
    write(project, {"pipelines/other.py": other})
    before = (project / "pipelines" / "__init__.py").read_text()
    ran = pipe("register", "pipelines/other.py", "--task", "length")
    assert ran.code == 1 and "pipelines/__init__.py:3" in ran.err and "other.py:4" in ran.err
    ran = pipe("register", "pipelines/other.py", "--task", "Length")
    assert ran.code == 1 and "only in case" in ran.err
    ran = pipe("register", "pipelines/other.py", "--task", "Fill-Mask")
    assert ran.code == 1 and "fill-mask" in ran.err and "only in case" in ran.err
    assert (project / "pipelines" / "__init__.py").read_text() == before
    ran = pipe("register", CLASS, "--task", "second")
    assert ran.code == 0 and "is the task length, too" in ran.err


LOOP = """
from pipesmith.pipelines import PIPELINE_REGISTRY

for name in ("loop-one", "loop-two"):
    PIPELINE_REGISTRY.register_pipeline(name, "length.LengthPipeline")
"""
BAD = [
    (["length.py:Nothing"], "has no class Nothing", 1),
    (["absent.py"], "There is no file absent.py", 2),
    (["plain.py:Plain"], "plain.py:1: Plain is not a subclass", 1),
    (["half.py:HalfPipeline"], "lacks _forward and postprocess", 1),
    (["length.py", "--task", "../up"], "no name for a task", 2),
    (["length.py", "--task", "my task"], "--task my-task", 2),
    (["length.py", "--task", "Tâche d'été"], "--task tache-d-ete", 2),
    (["length.py", "--task", "задача"], "--task my-task", 2),
    (["length.py", "--type", "txt"], "Did you mean text", 2),
    (["length.py", "--pt-model", "AutoModelForSequenceClasification"], f"Did you mean {MODEL}", 2),
    (["length.py", "--pt-model", "length.py:Nothing"], "has no class Nothing", 2),
    (["length.py", "--default", "nowhere"], "no such folder", 2),
    (["length.py", "--default", "empty"], "no config.json", 1),
    (["length.py", "--default", "user/model"], "--default user/model@COMMIT", 1),
    (["length.py", "--user", "--checkpoint", "empty"], "neither --user", 2),
    (["length.py", "--checkpoint", "empty"], "no config.json", 1),
    (["--remove"], "--remove needs the task", 2),
    ([], "name a class", 2),
]


@pytest.mark.parametrize(("arguments", "message", "code"), BAD, ids=[bad[1] for bad in BAD])
def test_bad_input(pipe: Pipe, folder: Path, arguments: list[str], message: str, code: int) -> None:
    half = LENGTH_PIPELINE[: LENGTH_PIPELINE.index("    def _forward")].replace("Length", "Half")
    files = {"length.py": LENGTH_PIPELINE, "plain.py": "class Plain: pass\n", "half.py": half, "empty/x": ""}
    write(folder, files)
    ran = pipe("register", *arguments)
    assert ran.code == code and message in ran.err, ran.err
    assert "Hint: " in ran.err and "Traceback" not in ran.err
    assert not (folder / "pipelines").exists()


def test_registries_that_cannot_be_edited(pipe: Pipe, unregistered: Path) -> None:
    registry = unregistered / "pipelines" / "__init__.py"
    write(unregistered, {"pipelines/__init__.py": LOOP, "pipelines/other.py": LENGTH_PIPELINE})
    ran = pipe("register", CLASS, "--task", "loop-two", "--type", "audio")
    assert ran.code == 1 and "__init__.py:4 registers loop-two in a loop" in ran.err
    registry.write_text(
        "import os\n" + registry.read_text() + "R = PIPELINE_REGISTRY.register_pipeline\nR(os.getenv('X'), 'a.B')\n"
    )
    ran = pipe("register", CLASS, "--task", "third")
    assert ran.code == 0 and "__init__.py:7" in ran.err and "decided at run time" in ran.err
    registry.write_text("x = (\n")
    ran = pipe("register", CLASS, "--task", "third")
    assert ran.code == 1 and "__init__.py:1 does not parse" in ran.err and registry.read_text() == "x = (\n"
    registry.unlink()
    (unregistered / "pyproject.toml").write_text("[tool.pipe]\npipelines = 'pyproject.toml'\n")
    ran = pipe("register", CLASS, "--task", "third")
    assert ran.code == 1 and "cannot be" in ran.err and "Traceback" not in ran.err


def test_own_checkout_is_left_alone(pipe: Pipe, folder: Path) -> None:
    write(folder, {"pyproject.toml": "[project]\nname = 'pipesmith'\n", "length.py": LENGTH_PIPELINE})
    ran = pipe("register", "length.py")
    assert ran.code == 1 and "own checkout" in ran.err and not (folder / "pipelines").exists()


def test_default_folder_is_relative_to_the_project(
    pipe: Pipe, unregistered: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, unregistered / "models" / "mine")
    monkeypatch.chdir(unregistered / "pipelines")
    ran = pipe("register", "length.py", "--task", "my-task", "--default", "../models/mine")
    assert ran.code == 0 and 'default="models/mine"' in (unregistered / "pipelines" / "__init__.py").read_text()
    ran = pipe("run", "my-task", "words")
    assert ran.code == 0, ran.err


def test_default_without_a_revision_is_resolved_to_a_commit(pipe_process: Pipe, unregistered: Path, hub: Any) -> None:
    hub.create("alice/model", {"config.json": b"{}"})
    commit = hub.commits("alice/model")[0]
    environment = hub.environment(unregistered / "home", user="alice")
    ran = pipe_process(
        "register", CLASS, "--task", "my-task", "--default", "alice/model", cwd=unregistered, **environment
    )
    assert ran.code == 0, ran.err
    assert f'default={{"pt": ("alice/model", "{commit}")}}' in (unregistered / "pipelines" / "__init__.py").read_text()
    ran = pipe_process(
        "register", CLASS, "--task", "my-task", "--default", "alice/none", cwd=unregistered, **environment
    )
    assert ran.code == 1 and "alice/none" in ran.err and "@COMMIT" in ran.err


# Into a checkpoint.

HELPED = LENGTH_PIPELINE.replace("from transformers", "from .words.units import UNIT\nfrom transformers", 1).replace(
    '"tokens"', "UNIT"
)
HINT = """
import json, sys
sys.modules["pipesmith"] = None
import transformers
pipe = HINT
print(json.dumps(pipe("some words")["length"]))
"""
PLAIN = """
import json, sys
sys.modules["pipesmith"] = None  # an import of it fails
from transformers import pipeline
found = []
for model, task in json.loads(sys.argv[1]):
    found.append(pipeline(task, model=model, trust_remote_code=True)("some words")["length"].split()[1])
print(json.dumps(found))
"""


def test_checkpoint_loads_with_transformers_alone(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    second = LENGTH_ENTRY.partition("\n\n")[2].replace('"length"', '"second"')
    write(
        folder,
        {
            "pipelines/__init__.py": LENGTH_ENTRY + second,
            "pipelines/length.py": HELPED,
            "pipelines/words/units.py": "UNIT = 'units'\n",
            "pipelines/single.py": LENGTH_PIPELINE.replace("LengthPipeline", "SinglePipeline"),
        },
    )
    for name in ("both", "one"):
        shutil.copytree(tiny_checkpoint, folder / name)
    ran = pipe("register", CLASS, "--task", "length", "--checkpoint", "both")
    assert ran.code == 0, ran.err
    assert "trust_remote_code=True" in ran.err and "config.json" in ran.out
    config = json.loads((folder / "both" / "config.json").read_text())
    assert set(config["custom_pipelines"]) == {"length", "second"}  # every task of the class
    before = {file: file.read_bytes() for file in (folder / "both").iterdir()}
    ran = pipe("register", CLASS, "--task", "length", "--checkpoint", "both")
    assert ran.code == 0 and "nothing changed" in ran.out
    assert {file: file.read_bytes() for file in (folder / "both").iterdir()} == before
    ran = pipe("register", "pipelines/single.py", "--task", "third", "--pt-model", MODEL, "--checkpoint", "both")
    assert ran.code == 0, ran.err
    ran = pipe("register", "pipelines/single.py", "--task", "third", "--tf-model", f"TF{MODEL}", "--checkpoint", "one")
    assert ran.code == 0, ran.err
    assert json.loads((folder / "one" / "config.json").read_text())["custom_pipelines"]["third"] == {
        "impl": "single.SinglePipeline",
        "pt": [MODEL],
        "tf": [f"TF{MODEL}"],
        "type": "text",
    }
    calls = [[str(folder / "both"), task] for task in ("length", "second", "third")] + [[str(folder / "one"), None]]
    environment = {**os.environ, "HF_HOME": str(folder / "home")}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", PLAIN, json.dumps(calls)]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["units", "units", "tokens", "tokens"]


def test_the_line_that_loads_a_checkpoint_does_so_as_it_stands(
    pipe: Pipe, unregistered: Path, tiny_checkpoint: Path
) -> None:
    shutil.copytree(tiny_checkpoint, unregistered / "my models" / "one")
    lines = []
    for task in ("length", "width"):
        ran = pipe("register", CLASS, "--task", task, "--checkpoint", "my models/one")
        assert ran.code == 0, ran.err
        lines.append(next(line for line in ran.err.splitlines() if line.startswith("Load it: ")))
    assert '"width", ' in lines[1] and '"length", ' not in lines[0]  # of several tasks one has to be named
    script = HINT.replace("HINT", lines[1].removeprefix("Load it: "))
    environment = {**os.environ, "HF_HOME": str(unregistered / "home")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=unregistered, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert "tokens" in done.stdout.splitlines()[-1]


def test_checkpoint_keeps_what_is_there(pipe: Pipe, project: Path, custom_checkpoint: Path) -> None:
    held = (custom_checkpoint / "length.py").read_text()
    (project / "pipelines" / "__init__.py").write_text("")
    ran = pipe("register", CLASS, "--task", "second", "--checkpoint", custom_checkpoint)
    assert ran.code == 1 and "length.py is there already" in ran.err and "belongs to the task length" in ran.err
    assert (custom_checkpoint / "length.py").read_text() == held
    other = LENGTH_PIPELINE.replace("LengthPipeline", "OtherPipeline")
    write(project, {"pipelines/other.py": other})
    ran = pipe("register", "pipelines/other.py", "--task", "length", "--checkpoint", custom_checkpoint)
    assert ran.code == 1 and "for length.LengthPipeline" in ran.err and "--remove" in ran.err
    ran = pipe("register", "pipelines/other.py", "--task", "other", "--checkpoint", custom_checkpoint)
    assert ran.code == 0, ran.err
    custom = json.loads((custom_checkpoint / "config.json").read_text())["custom_pipelines"]
    assert set(custom) == {"length", "other"}
    ran = pipe("register", "--remove", "--task", "length", "--checkpoint", custom_checkpoint)
    assert ran.code == 0
    assert set(json.loads((custom_checkpoint / "config.json").read_text())["custom_pipelines"]) == {"other"}
    ran = pipe("register", "--remove", "--task", "length", "--checkpoint", custom_checkpoint)
    assert ran.code == 2 and "brings no task length" in ran.err


def test_checkpoint_takes_no_code_that_needs_pipesmith_or_a_model_of_ones_own(
    pipe: Pipe, unregistered: Path, tiny_checkpoint: Path
) -> None:
    shutil.copytree(tiny_checkpoint, unregistered / "model")
    before = {file: file.read_bytes() for file in (unregistered / "model").iterdir()}
    write(unregistered, {"pipelines/bound.py": f"from pipesmith.pipelines import pipeline\n{LENGTH_PIPELINE}"})
    ran = pipe("register", "pipelines/bound.py", "--task", "b", "--checkpoint", "model")
    assert ran.code == 1 and "bound.py:1 imports pipesmith" in ran.err
    own = "pipelines/length.py:LengthPipeline"
    ran = pipe("register", CLASS, "--task", "b", "--pt-model", own, "--checkpoint", "model")
    assert ran.code == 1 and "custom_pipelines cannot name" in ran.err
    assert {file: file.read_bytes() for file in (unregistered / "model").iterdir()} == before
