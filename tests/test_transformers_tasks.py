"""`pipe run TASK --model tiny INPUT` for transformers' own tasks, from the shell's point of view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import Ran

from pipesmith.pipelines.registry import read_level

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines

LABELS = ["--candidate-labels", "a", "--candidate-labels", "b"]
INPUTS = {
    "any-to-any": ["--max-new-tokens", "3", "--json", '{"text": "hi"}'],
    "audio-classification": ["tone.wav"],
    "automatic-speech-recognition": ["tone.wav"],
    "decision": ["--json", '{"state": "late", "questions": {"refund": {"type": "noul", "instructions": "Is it?"}}}'],
    "depth-estimation": ["noise.png"],
    "document-question-answering": [
        "--json",
        '{"image": "noise.png", "question": "what?", "word_boxes": [["a", [0, 0, 9, 9]]]}',
    ],
    "feature-extraction": ["two words"],
    "fill-mask": ["one [MASK] word"],
    "image-classification": ["noise.png"],
    "image-feature-extraction": ["noise.png"],
    "image-segmentation": ["noise.png"],
    "image-text-to-text": ["--max-new-tokens", "3", "--json", '{"images": "noise.png", "text": "<image> hi"}'],
    "keypoint-matching": ["--json", '["noise.png", "noise.png"]'],
    "object-detection": ["noise.png"],
    "table-question-answering": ["--json", '{"table": {"a": ["1", "2"]}, "query": "what?"}'],
    "text-classification": ["two words"],
    "text-generation": ["--max-new-tokens", "3", "two words"],
    "text-to-audio": ["two words"],
    "token-classification": ["two words"],
    "video-classification": ["noise.mp4"],
    "zero-shot-audio-classification": [*LABELS, "tone.wav"],
    "zero-shot-classification": [*LABELS, "two words"],
    "zero-shot-image-classification": [*LABELS, "noise.png"],
    "zero-shot-object-detection": ["--json", '{"image": "noise.png", "candidate_labels": ["a", "b"]}'],
}


@pytest.mark.parametrize("task", INPUTS)
def test_task_runs_on_a_tiny_model(pipe: Pipe, media: Path, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    monkeypatch.chdir(media)
    if task not in {entry.task for entry in read_level("transformers", None).entries}:
        pytest.skip("this transformers has no such task")
    if task == "video-classification":
        pytest.importorskip("av")
    if task == "table-question-answering":
        pytest.importorskip("pandas")
    ran = pipe("run", task, "--model", "tiny", *INPUTS[task])
    assert ran.code == 0, ran.err
    assert len(ran.rows) == 1 and ran.rows[0]


def test_result_is_that_of_transformers_for_a_dataset(pipe: Pipe, tiny_checkpoint: Path, folder: Path) -> None:
    from torch.utils.data import Dataset
    from transformers import pipeline

    class Rows(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> str:
            return ["one", "two words"][index]

    for parameters, flags in (({}, []), ({"top_k": 2}, ["--top-k", "2"])):
        plain = list(pipeline("text-classification", model=str(tiny_checkpoint))(Rows(), **parameters))
        ran = pipe("run", "text-classification", "--model", tiny_checkpoint, *flags, "one", "two words")
        assert ran.rows == plain


def test_missing_or_broken_media(pipe: Pipe, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media)
    (media / "not.wav").write_text("no sound")
    for name, words in (
        ("gone.wav", "There is no audio file gone.wav"),
        ("not.wav", "not.wav cannot be read as audio"),
    ):
        ran = pipe("run", "audio-classification", "--model", "tiny", name)
        assert ran.code == 1 and words in ran.err and "Traceback" not in ran.err
    ran = pipe("run", "image-classification", "--model", "tiny", "gone.png")
    assert ran.code == 1 and "gone.png" in ran.err and "Traceback" not in ran.err


@pytest.mark.slow  # half a minute: a tiny SAM looks at a thousand points
def test_missing_library_is_named(pipe: Pipe, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        import torchvision  # noqa: F401  # only where it is missing is there anything to see
    except ImportError:
        monkeypatch.chdir(media)
        ran = pipe("run", "mask-generation", "--model", "tiny", "--set", "points_per_batch=512", "noise.png")
        assert ran.code == 1 and "pip install torchvision" in ran.err
