"""`pipe test`: a task's own tests, the contract and architectures, by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
both_lines = pytest.mark.both_lines
# Three faults: a tensor in the result, a softmax over the batch, and a line on stdout.
FAULTY = """\
from transformers import Pipeline


class FaultyPipeline(Pipeline):
    def _sanitize_parameters(self, top_k=None):
        return {}, {}, {} if top_k is None else {"top_k": top_k}

    def preprocess(self, text):
        print("reading", text)
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, outputs, top_k=2):
        scores = outputs.logits.softmax(0)[0]
        return [{"label": place, "score": score} for place, score in enumerate(scores)][:top_k]
"""
EXITING = """\
import os

from transformers import Pipeline


class ExitingPipeline(Pipeline):
    def _sanitize_parameters(self):
        return {}, {}, {}

    def preprocess(self, text):
        os._exit(7)

    def _forward(self, model_inputs):
        return model_inputs

    def postprocess(self, outputs):
        return 1
"""
REGISTRY = """\
from pipesmith.pipelines import PIPELINE_REGISTRY

PIPELINE_REGISTRY.register_pipeline(
    "text-length", pipeline_class="length.LengthPipeline", pt_model="AutoModelForSequenceClassification", type="text"
)
PIPELINE_REGISTRY.register_pipeline(
    "exiting", pipeline_class="exiting.ExitingPipeline", pt_model="AutoModelForSequenceClassification", type="text"
)
"""
SETTINGS = """\
[tool.pipe.tasks.text-length.contract]
parameters-matter = "its unit is for people"

[tool.pytest.ini_options]
pythonpath = ["."]
"""
TESTS = """\
import unittest


class Tests(unittest.TestCase):
    def test_small_model_pt(self):
        self.assertTrue(True)

    def test_wrong(self):
        counted = 1 + 1
        assert counted == 3

    @unittest.skip("nothing here")
    def test_large_model_pt(self):
        pass
"""


def of(results: list[dict[str, Any]], task: str) -> dict[str, dict[str, Any]]:
    return {result["name"]: result for result in results if result["task"] == task}


@both_lines
def test_own_tests_and_the_contract_of_all_tasks(pipe: Pipe, folder: Path) -> None:
    write(
        folder,
        {
            "pyproject.toml": SETTINGS,
            "pipelines/__init__.py": REGISTRY,
            "pipelines/length.py": LENGTH_PIPELINE,
            "pipelines/exiting.py": EXITING,
            "tests/test_pipelines_text_length.py": TESTS,
            "tests/test_pipelines_exiting.py": "import no_such_module\n",
        },
    )
    ran = pipe("test", "--format", "json", "--junitxml", "report.xml")
    assert ran.code == 1, ran.err
    report = json.loads(ran.out)
    length, exiting = of(report["results"], "text-length"), of(report["results"], "exiting")
    assert length["test_small_model_pt"]["outcome"] == "pass"
    assert length["test_large_model_pt"]["outcome"] == "not applicable"
    assert length["test_large_model_pt"]["reason"] == "nothing here"
    wrong = length["test_wrong"]
    assert (wrong["outcome"], wrong["expected"], wrong["got"]) == ("fail", "3", "2")
    assert wrong["location"] == f"{folder / 'tests' / 'test_pipelines_text_length.py'}:10"
    assert length["parameters-matter"]["reason"] == "switched off: its unit is for people"
    broken = {name for name, result in length.items() if result["outcome"] == "fail"}
    assert broken == {"test_wrong", "batched-equals-single"}  # its length counts padding
    for name in ("list-equals-generator", "save-and-load", "imports-publishable", "no-leak"):
        assert length[name]["outcome"] == "pass", length[name]
    assert exiting["imports"]["outcome"] == "fail" and "no_such_module" in exiting["imports"]["reason"]
    assert exiting["runs"]["outcome"] == "fail" and "exit" in exiting["runs"]["reason"]
    assert exiting["runs"]["location"].startswith(str(folder / "pipelines" / "exiting.py"))
    assert (folder / "report.xml").is_file()
    assert report["summary"]["fail"] == sum(result["outcome"] == "fail" for result in report["results"])


def test_a_failure_is_explained(pipe: Pipe, folder: Path) -> None:
    file = write(folder, {"faulty.py": FAULTY}) / "faulty.py"
    ran = pipe("test", "faulty.py:FaultyPipeline", "--architectures", "bert")
    assert ran.code == 1, ran.err
    assert "architectures: bert" in ran.out
    lines = ran.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("FAIL") and "json-output" in line)
    assert "faulty.py:15: the result holds a tensor" in lines[start]
    told = "\n".join(lines[start : start + 5])
    for part in ("expected  text, numbers", "got       a tensor", "Why it matters: ", "How to mend it: "):
        assert part in told
    assert "depends-on-input" in ran.out and "reading A good movie" not in ran.out.replace("got       reading", "")
    assert "FAIL faulty.py:FaultyPipeline, prints-nothing" in ran.out
    assert file.read_text() == FAULTY


def test_what_is_wrong_is_said_before_anything_runs(pipe: Pipe, folder: Path) -> None:
    ran = pipe("test")
    assert ran.code == 2 and "no project" in ran.err and "pipe test file.py:Class" in ran.err
    ran = pipe("test", "fill-mask", "--junitxml", "report.xml")
    assert ran.code == 1 and "no test file of fill-mask" in ran.err and not ran.out
    write(folder, {"pyproject.toml": "[tool.pipe]\n"})
    ran = pipe("test")
    assert ran.code == 2 and "registers no task" in ran.err
    settings = '[tool.pipe.tasks.text-length.contract]\nno-stat = "drawn"\n'
    write(
        folder, {"pyproject.toml": settings, "pipelines/__init__.py": REGISTRY, "pipelines/length.py": LENGTH_PIPELINE}
    )
    ran = pipe("test", "text-length")
    assert ran.code == 1 and "no check 'no-stat'" in ran.err and "no-state" in ran.err
    write(folder, {"pyproject.toml": "[tool.pipe.tasks.text-length.contract]\nno-state = true\n"})
    ran = pipe("test", "text-length")
    assert ran.code == 1 and "is the reason why" in ran.err


@pytest.mark.slow
def test_transformers_own_task_without_a_project(pipe: Pipe, folder: Path) -> None:
    ran = pipe("test", "text-classification", "--architectures", "sample", "--format", "json")
    assert ran.code == 0, ran.out
    names = [result["name"] for result in json.loads(ran.out)["results"]]
    assert sum(name.startswith("architectures: ") for name in names) == 6
    ran = pipe("test", "text-classification", "--architectures", "brt")
    assert ran.code == 1 and "no architecture 'brt'" in ran.err and "bert" in ran.err
    assert "done" not in ran.err  # nothing ran before
