"""The contract suite against faults that are known, and against pipelines that are sound.

Each file of resources/faults is a patch: one change to a pipeline of resources/sound, with the check that must find it.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Ran

from pipesmith.pipelines.testing.contract import CheckResult, ContractTarget, check_targets

_RESOURCES = Path(__file__).parent / "resources"
# The pipeline class of each file in resources/sound, and the model class that it is for.
_SOUND = {
    "plain": ("PlainPipeline", "AutoModelForSequenceClassification"),
    "pair": ("PairPipeline", "AutoModelForSequenceClassification"),
    "chunk": ("ChunkedPipeline", "AutoModelForSequenceClassification"),
    "embedding": ("EmbeddingPipeline", "AutoModel"),
    "picture": ("PicturePipeline", "AutoModelForImageClassification"),
}
_TRANSFORMERS_OWN = (
    "text-classification",
    "token-classification",
    "fill-mask",
    "zero-shot-classification",
    "feature-extraction",
    "text-generation",
    "image-classification",
    "audio-classification",
)
_GUIDE = "pair-classification"
# What `pipe new-task` is asked for.
_NEW_TASKS = {"new-plain": (), "new-pair": ("--pair",), "new-chunk": ("--chunk",)}
_FAULTS_SAMPLED, _SOUND_SAMPLED = 8, 2


@dataclass(frozen=True)
class Fault:
    """One change to a sound pipeline.

    Args:
        patch: the file; its text begins with what is wrong.
        sound: the pipeline that it changes.
        check: the check that must find it.
        outcome: how that check must end: fail or warn.
    """

    patch: Path
    sound: str
    check: str
    outcome: str


def _read(patch: Path) -> Fault:
    text = patch.read_text(encoding="utf-8")
    found = [re.search(rf"^{word}(.+)$", text, re.MULTILINE) for word in (r"\+\+\+ b/", "Check: ", "Outcome: ")]
    assert all(found), f"{patch} lacks one of its lines"
    changed, check, outcome = (one[1] for one in found if one is not None)
    return Fault(patch, Path(changed).stem, check, outcome)


FAULTS = {patch.stem: _read(patch) for patch in sorted((_RESOURCES / "faults").glob("*.patch"))}
SOUND = (*_TRANSFORMERS_OWN, _GUIDE, *_NEW_TASKS, *_SOUND)


def _target(name: str, folder: Path, checks: Collection[str] = ()) -> ContractTarget:
    """Return a sound pipeline of a folder, or a task, with all checks or some of them."""
    off = {one: "not in this test" for one in _all_checks() if one not in checks} if checks else {}
    if name not in _SOUND:
        return ContractTarget(name, off=off)
    class_name, model = _SOUND[name]
    return ContractTarget(f"{folder / name}.py:{class_name}", {"pt_model": model}, off=off)


def _all_checks() -> list[str]:
    from pipesmith.pipelines.testing.contract.running import ordered_checks

    return [one.name for one in ordered_checks()]


def _broken(fault: Fault, folder: Path) -> Path:
    """Write the sound pipeline with the fault into a folder of its own."""
    made = folder / fault.patch.stem
    made.mkdir()
    source = _RESOURCES / "sound" / f"{fault.sound}.py"
    (made / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder)}
    subprocess.run(["git", "apply", str(fault.patch)], cwd=made, env=environment, check=True)
    (made / "names.txt").write_text("one two\n", encoding="utf-8")  # what some of them read
    return made


def _found(faults: Collection[str], folder: Path) -> dict[str, CheckResult | None]:
    """Run the check that each fault names, in one process, and return what it says."""
    targets = {}
    for name in faults:
        fault = FAULTS[name]
        target = _target(fault.sound, _broken(fault, folder), [fault.check])
        targets[target.name] = name
        targets[name] = target
    only = {FAULTS[name].check for name in faults}
    found: dict[str, CheckResult | None] = dict.fromkeys(faults)
    for result in check_targets([targets[name] for name in faults], only=only):
        name = targets[result.task]
        if result.name in (FAULTS[name].check, "loads") and result.outcome != "not applicable":
            found[name] = result
    return found


def _sample(names: Collection[str], count: int) -> list[str]:
    seed = int(os.environ.get("PIPESMITH_SAMPLE_SEED") or time.time())
    print(f"PIPESMITH_SAMPLE_SEED={seed}")
    return random.Random(seed).sample(list(names), count)


def _check_faults(faults: Collection[str], folder: Path, may_miss: int) -> None:
    missed = []
    for name, result in _found(faults, folder).items():
        fault = FAULTS[name]
        if result is None or (result.name, result.outcome) != (fault.check, fault.outcome):
            said = f"{result.name}: {result.outcome} {result.reason}" if result is not None else "no word"
            missed.append(f"{name}, for {fault.check} ({fault.outcome}): {said}")
    assert len(missed) <= may_miss, "\n".join(missed)


def _check_sound(names: Collection[str]) -> None:
    targets = [_target(name, _RESOURCES / "sound") for name in names]
    results = list(check_targets(targets))
    failed = [f"{one.task}, {one.name}: {one.reason} ({one.location})" for one in results if one.outcome == "fail"]
    assert not failed, "\n".join(failed)
    unfinished = [f"{one.task}, {one.name}: {one.reason}" for one in results if "could not be finished" in one.reason]
    assert not unfinished, "\n".join(unfinished)
    passed = {(one.task, one.name) for one in results if one.outcome == "pass"}
    assert passed >= {
        (one.name, name) for one in targets for name in ("runs", "batched-equals-single", "save-and-load")
    }


def test_every_check_has_a_fault() -> None:
    """A check that no fault needs is a check that nobody has seen fail."""
    elsewhere = {"loads", "runs", "pt-equals-tf"}  # test_pipe_test.py breaks these
    assert {fault.check for fault in FAULTS.values()} == set(_all_checks()) - elsewhere


@pytest.mark.both_lines
def test_some_faults_are_caught_by_the_check_named_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_cwd(tmp_path))
    _check_faults(_sample(FAULTS, _FAULTS_SAMPLED), tmp_path, may_miss=0)


@pytest.mark.slow
@pytest.mark.both_lines
def test_all_faults_are_caught_by_the_check_named_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_cwd(tmp_path))
    assert len(FAULTS) >= 28
    _check_faults(FAULTS, tmp_path, may_miss=1)


def _cwd(folder: Path) -> Path:
    """Return a working directory with the file that a fault reads from there."""
    (folder / "cwd").mkdir()
    (folder / "cwd" / "names.txt").write_text("one two\n", encoding="utf-8")
    return folder / "cwd"


@pytest.mark.both_lines
def test_some_sound_pipelines_pass(folder: Path, pipe: Callable[..., Ran]) -> None:
    names = _sample(SOUND, _SOUND_SAMPLED)
    _make_new_tasks(names, pipe)
    _check_sound(names)


@pytest.mark.slow
@pytest.mark.both_lines
def test_all_sound_pipelines_pass(folder: Path, pipe: Callable[..., Ran]) -> None:
    assert len(SOUND) >= 12
    _make_new_tasks(SOUND, pipe)
    _check_sound(SOUND)


def _make_new_tasks(names: Collection[str], pipe: Callable[..., Ran]) -> None:
    """Have the new tasks that are among names made in the working directory."""
    for name in _NEW_TASKS.keys() & set(names):
        made = pipe("new-task", name, "--type", "text", *_NEW_TASKS[name], "--yes")
        assert made.code == 0, made.err
