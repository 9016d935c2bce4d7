"""Pipelines that take other test suites down: they hang, exit, crash, print or ask the network."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from support import write

from pipesmith.pipelines import pipeline
from pipesmith.pipelines.errors import ContractError
from pipesmith.pipelines.testing.contract import CheckResult, ContractTarget, check_pipeline, check_targets

# What a pipeline does in its `_forward`.
BAD = {
    "hangs": "time.sleep(1000)",
    "exits": "os._exit(0)",
    "asks": "urllib.request.urlopen('https://example.com')",
    "prints": "print('a word from _forward')",
    "dies": "os.kill(os.getpid(), 11)",
}
PIPELINE = """
import os, time, urllib.request
from transformers import Pipeline


class BadPipeline(Pipeline):
    def _sanitize_parameters(self):
        return {{}}, {{}}, {{}}

    def preprocess(self, text):
        return self.tokenizer(text, truncation=True, return_tensors="pt")

    def _forward(self, inputs):
        {action}
        return {{"logits": self.model(**inputs).logits}}

    def postprocess(self, outputs):
        return outputs["logits"][0].tolist()
"""
CHECKS = ("loads", "runs", "prints-nothing", "json-output", "four-methods")


def test_nothing_takes_the_suite_down(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.py": PIPELINE.format(action=action) for name, action in BAD.items()})
    sound = PIPELINE.format(action="pass")
    write(tmp_path, {"imports.py": f"{sound}\n\ntime.sleep(1000)", "model.py": sound, "syntax.py": "class ("})
    limits = {**dict.fromkeys([*BAD, "syntax", "nothing"], 60.0), "hangs": 15.0, "imports": 4.0}  # seconds
    targets = [ContractTarget(str(tmp_path / f"{name}.py"), time_limit=limit) for name, limit in limits.items()]
    targets.append(ContractTarget(str(tmp_path / "model.py"), {"pt_model": "AutoModelForNothing"}))
    found: dict[str, dict[str, CheckResult]] = defaultdict(dict)
    for result in check_targets(targets, only=CHECKS):
        found[Path(result.task).stem][result.name] = result
    assert found["hangs"]["runs"].reason == "it takes longer than 15 s"
    assert found["hangs"]["json-output"].outcome == "not applicable"
    assert found["exits"]["runs"].reason == "it ends the process with exit code 0"
    assert "SIGSEGV" in found["dies"]["runs"].reason
    assert "needs the network" in found["asks"]["runs"].reason
    assert found["asks"]["runs"].location.endswith("asks.py:13")
    assert (found["prints"]["prints-nothing"].outcome, found["prints"]["runs"].outcome) == ("fail", "pass")
    assert "a word from _forward" in found["prints"]["prints-nothing"].got
    assert found["imports"]["loads"].reason == "while it is loaded it takes longer than 4 s"
    assert "does not parse" in found["syntax"]["loads"].reason
    assert "There is no file" in found["nothing"]["loads"].reason
    assert "AutoModelForNothing" in found["model"]["loads"].reason
    assert found["model"]["four-methods"].outcome == "pass"  # of what does not load the source is still read


def test_a_live_pipeline_with_examples_and_a_check_switched_off(one_thread: None) -> None:
    pipe = pipeline("text-classification", "tiny", device="cpu")
    wanted = ("json-output", "no-state", "deterministic")
    results = check_pipeline(pipe, examples=["one", "two"], only=wanted, off={"no-state": "why"})
    found = {result.name: (result.outcome, result.reason) for result in results}
    assert found == {
        "no-state": ("not applicable", "switched off: why"),
        "json-output": ("pass", ""),
        "deterministic": ("pass", ""),
    }


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(ContractError, match="no-stat"):
        list(check_pipeline("text-classification", only=("no-stat",)))
