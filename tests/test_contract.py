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
from importlib.metadata import version
from pathlib import Path

import pytest
from support import Ran, write

from pipesmith.pipelines.testing.contract import CheckResult, ContractTarget, check_targets

_RESOURCES = Path(__file__).parent / "resources"
# The pipeline class of each file in resources/sound, and the model class that it is for.
_SOUND = {
    "plain": ("PlainPipeline", "AutoModelForSequenceClassification"),
    "pair": ("PairPipeline", "AutoModelForSequenceClassification"),
    "chunk": ("ChunkedPipeline", "AutoModelForSequenceClassification"),
    "embedding": ("EmbeddingPipeline", "AutoModel"),
    "picture": ("PicturePipeline", "AutoModelForImageClassification"),
    "options": ("OptionsPipeline", "AutoModelForSequenceClassification"),
    "asked": ("AskedPipeline", "AutoModelForVisualQuestionAnswering"),
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


def _sample(names: Collection[str], count: int) -> list[str]:
    seed = int(os.environ.get("PIPESMITH_SAMPLE_SEED") or time.time())
    print(f"PIPESMITH_SAMPLE_SEED={seed}")
    return random.Random(seed).sample(list(names), count)


def _check(faults: Collection[str], sound: Collection[str], folder: Path, *, may_miss: int = 0) -> None:
    """Run the check that each fault names, and all checks of sound pipelines, in one process, and judge them."""
    broken = {}
    for name in faults:
        target = _target(FAULTS[name].sound, _broken(FAULTS[name], folder), [FAULTS[name].check])
        broken[target.name] = (FAULTS[name], target)
    whole = [_target(name, _RESOURCES / "sound") for name in sound]
    results = list(check_targets([*(target for _, target in broken.values()), *whole]))
    missed = []
    for task, (fault, _) in broken.items():
        said = [f"{one.name}: {one.outcome} {one.reason}" for one in results if one.task == task and not _is_off(one)]
        if not any(one.startswith(f"{fault.check}: {fault.outcome} ") for one in said):
            missed.append(f"{fault.patch.stem}, for {fault.check} ({fault.outcome}): {said}")
    assert len(missed) <= may_miss, "\n".join(missed)
    _check_sound(whole, [one for one in results if one.task not in broken])


def _is_off(result: CheckResult) -> bool:
    return result.reason.startswith("switched off")


def _check_sound(targets: list[ContractTarget], results: list[CheckResult]) -> None:
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
def test_what_is_drawn_at_random_is_one_failure(folder: Path) -> None:
    source = (_RESOURCES / "sound" / "plain.py").read_text(encoding="utf-8")
    line = "        exponentials = np.exp(logits - logits.max())\n"
    assert line in source
    made = source.replace(line, line.replace("\n", " + np.random.random(len(logits))\n"))
    (folder / "plain.py").write_text(made, encoding="utf-8")
    asked = ["deterministic", "list-equals-generator", "construction-equals-call", "json-output"]
    found = {one.name: one.outcome for one in check_targets([_target("plain", folder, asked)]) if not _is_off(one)}
    assert found["deterministic"] == "fail" and found["json-output"] == "pass"
    assert [one for one in found.values() if one == "fail"] == ["fail"], found


@pytest.mark.both_lines
def test_a_sample_of_faults_and_of_sound_pipelines(folder: Path, pipe: Callable[..., Ran]) -> None:
    count = 1 if version("transformers").startswith("4.") else 2  # the second line has less time
    sound = _sample(SOUND, count)
    _prepare(folder, sound, pipe)
    _check(_sample(FAULTS, 4 * count), sound, folder)


@pytest.mark.both_lines
def test_what_a_file_beside_it_names_is_found(tmp_path: Path) -> None:
    source = (_RESOURCES / "sound" / "plain.py").read_text(encoding="utf-8")
    source = source.replace(
        "from transformers import Pipeline", "from transformers import Pipeline\n\nfrom .moving import move"
    )
    helper = "import torch\n\n\ndef move(inputs, is_far=False):\n    if is_far:\n"
    write(
        tmp_path,
        {
            "plain.py": source.replace("self.model(**model_inputs)", "self.model(**move(model_inputs))"),
            "moving.py": f"{helper}        inputs = inputs.to(torch.float16).cuda()\n    return inputs\n",
        },
    )
    checks = ("no-fixed-device", "no-fixed-dtype")
    found = list(check_targets([ContractTarget(f"{tmp_path / 'plain.py'}:PlainPipeline")], only=checks))
    places = {one.name: (one.outcome, one.location) for one in found}
    assert places == dict.fromkeys(checks, ("fail", f"{tmp_path / 'moving.py'}:6"))


@pytest.mark.slow
@pytest.mark.both_lines
def test_each_fault_is_found_by_the_check_named_for_it(folder: Path, pipe: Callable[..., Ran]) -> None:
    assert len(FAULTS) >= 28
    _prepare(folder, [], pipe)
    _check(FAULTS, [], folder, may_miss=1)


@pytest.mark.slow
@pytest.mark.both_lines
def test_all_sound_pipelines_pass(folder: Path, pipe: Callable[..., Ran]) -> None:
    assert len(SOUND) >= 12
    _prepare(folder, SOUND, pipe)
    _check([], SOUND, folder)


def _prepare(folder: Path, sound: Collection[str], pipe: Callable[..., Ran]) -> None:
    """Write what a fault reads from the working directory, and have the new tasks among sound pipelines made there."""
    (folder / "names.txt").write_text("one two\n", encoding="utf-8")
    for name in _NEW_TASKS.keys() & set(sound):
        made = pipe("new-task", name, "--type", "text", *_NEW_TASKS[name], "--yes")
        assert made.code == 0, made.err
