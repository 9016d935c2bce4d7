"""The engine beside plain transformers: `list(pipe(dataset, **parameters))` at batch_size 1, for every task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipesmith.pipelines import pipeline
from pipesmith.pipelines.engine import EngineOptions, Row, run
from pipesmith.pipelines.registry import LEVELS, read_level

pytestmark = [pytest.mark.both_lines, pytest.mark.usefixtures("one_thread")]
TEXTS = ["two words", "a", "the people of the world like a good movie, and a great day", "hello you", "work " * 40]


def picture(width: int, height: int, seed: int) -> Any:
    import numpy as np
    from PIL import Image

    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def pictures() -> list[Any]:
    return [picture(80, 64, 0), picture(64, 64, 1), picture(40, 90, 2), picture(80, 64, 3)]


def sounds() -> list[Any]:
    """Sounds of several lengths, some longer than the window of a feature extractor, at 16 kHz."""
    import numpy as np

    return [np.sin(np.arange(size) / 20).astype("float32") for size in (16_000, 8_000, 20_000, 8_000)]


def copied(value: Any) -> Any:
    """Return an input for one more run: some pipelines take theirs apart."""
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    return list(value) if isinstance(value, list) else value


def boxes(count: int) -> list[Any]:
    return [["a", [place, 0, place + 9, 9]] for place in range(count)]


def table() -> Any:
    import pandas

    return pandas.DataFrame({"a": ["1", "2"], "b": ["3", "four"]})


LABELS = {"candidate_labels": ["a", "b good movie", "hello"]}
NOUL = {"refund": {"type": "noul", "instructions": "Is it?"}}
CASES: dict[str, tuple[Callable[[], Sequence[Any]], dict[str, Any]]] = {
    "any-to-any": (lambda: [{"text": text} for text in TEXTS[:3]], {"max_new_tokens": 3}),
    "audio-classification": (sounds, {"top_k": 2}),
    "automatic-speech-recognition": (sounds, {}),
    "decision": (lambda: [{"state": text, "questions": NOUL} for text in TEXTS], {}),
    "depth-estimation": (pictures, {}),
    "document-question-answering": (
        lambda: [{"image": picture(60, 60, n), "question": TEXTS[n], "word_boxes": boxes(n + 1)} for n in range(3)],
        {},
    ),
    "feature-extraction": (lambda: TEXTS, {}),
    "fill-mask": (lambda: [f"{text} [MASK] word" for text in TEXTS], {"top_k": 3}),
    "image-classification": (pictures, {}),
    "image-feature-extraction": (pictures, {}),
    "image-segmentation": (pictures, {}),
    "image-text-to-text": (
        lambda: [{"images": picture(60, 60, n), "text": f"<image> {TEXTS[n]}"} for n in range(3)],
        {"max_new_tokens": 3},
    ),
    "image-to-image": (pictures, {}),
    "image-to-text": (pictures, {"max_new_tokens": 3}),
    "keypoint-matching": (lambda: [[picture(60, 60, n), picture(60, 60, n + 1)] for n in range(3)], {}),
    "mask-generation": (lambda: pictures()[:2], {"points_per_batch": 64}),
    "object-detection": (pictures, {"threshold": 0.3}),
    "question-answering": (
        lambda: [{"question": "what?", "context": text} for text in [*TEXTS, "a good day " * 200]],
        {},
    ),
    "summarization": (lambda: TEXTS, {"max_new_tokens": 3, "min_length": 0}),
    "table-question-answering": (lambda: [{"table": table(), "query": text} for text in TEXTS[:3]], {}),
    "text-classification": (lambda: TEXTS, {"top_k": None}),
    "text-generation": (lambda: TEXTS, {"max_new_tokens": 3, "do_sample": False}),
    "text-to-audio": (lambda: TEXTS[:2], {}),
    "text2text-generation": (lambda: TEXTS, {"max_new_tokens": 3}),
    "token-classification": (lambda: TEXTS, {"aggregation_strategy": "simple"}),
    "translation": (lambda: TEXTS, {"max_new_tokens": 3}),
    "video-classification": (lambda: ["noise.mp4"] * 2, {"top_k": 2}),
    "visual-question-answering": (lambda: [{"image": picture(60, 60, n), "question": TEXTS[n]} for n in range(3)], {}),
    "zero-shot-audio-classification": (sounds, LABELS),
    "zero-shot-classification": (lambda: TEXTS, LABELS),
    "zero-shot-image-classification": (pictures, LABELS),
    "zero-shot-object-detection": (
        lambda: [{"image": picture(60, 60, n), "candidate_labels": ["a", "b"][: n % 2 + 1]} for n in range(3)],
        {"threshold": 0.0},
    ),
}


class Listed:
    """A torch Dataset of rows, as transformers takes it."""

    def __new__(cls, rows: Sequence[Any]) -> Any:
        from torch.utils.data import Dataset

        class Rows(Dataset):  # type: ignore[type-arg]
            def __len__(self) -> int:
                return len(rows)

            def __getitem__(self, place: int) -> Any:
                return rows[place]

        return Rows()


def assert_close(found: Any, wanted: Any) -> None:
    """Compare results: numbers within 1e-4, pictures but for a pixel that stands at a threshold."""
    import numpy as np

    if isinstance(wanted, dict):
        assert isinstance(found, dict) and list(found) == list(wanted)
        for name in wanted:
            assert_close(found[name], wanted[name])
    elif hasattr(wanted, "getbands"):
        one, other = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
        assert one.shape == other.shape and (np.abs(one - other) > 1).mean() < 0.01
    elif hasattr(wanted, "tolist") or _is_numeric(wanted):
        np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-4, atol=1e-4)
    elif isinstance(wanted, (list, tuple)):
        assert type(found) is type(wanted) and len(found) == len(wanted)
        for one, other in zip(found, wanted):
            assert_close(one, other)
    else:
        assert found == wanted


def _is_numeric(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SLOW = {"keypoint-matching", "mask-generation", "text-to-audio", "video-classification"}  # a second or so for a row
NEEDS = {"mask-generation": "torchvision", "table-question-answering": "pandas", "video-classification": "av"}


@pytest.mark.parametrize("task", CASES)
def test_results_are_those_of_transformers(task: str, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media)
    if task not in {entry.task for level in LEVELS for entry in read_level(level, None).entries}:
        pytest.skip("this transformers has no such task")
    if task in NEEDS:
        pytest.importorskip(NEEDS[task])
    make, parameters = CASES[task]
    pipe = pipeline(task, "tiny")
    inputs = make()[:2] if task in SLOW else make()
    # Its own __call__ wants pairs and nothing else, so it runs row by row.
    takes_dataset = type(pipe).__name__ != "KeypointMatchingPipeline"
    given = [copied(one) for one in inputs]
    wanted = list(pipe(Listed(given), **parameters)) if takes_dataset else [pipe(one, **parameters) for one in given]
    assert_runs_as(wanted, pipe, inputs, parameters, times=1 if task in SLOW else 3)


def assert_runs_as(
    wanted: Sequence[Any], pipe: Any, inputs: Sequence[Any], parameters: dict[str, Any], *, times: int = 1
) -> None:
    """Run inputs, several times in turn so that batches hold more than one, and compare results and order."""
    count = len(inputs)
    rows = [Row(copied(inputs[place % count]), parameters, place + 1) for place in range(times * count)]
    results = list(run(pipe, rows, options=EngineOptions(live=False)))
    assert [result.row.number for result in results] == list(range(1, len(rows) + 1))
    assert [result.error for result in results] == [None] * len(rows)
    for place, result in enumerate(results):
        assert_close(result.result, wanted[place % count])
    assert "get_iterator" not in vars(pipe)


@pytest.mark.parametrize(
    ("task", "inputs", "init", "parameters"),
    [
        ("token-classification", [*TEXTS, "a good day " * 60], {"stride": 4}, {"aggregation_strategy": "first"}),
        ("automatic-speech-recognition", sounds, {"chunk_length_s": 0.5}, {}),
        ("text-generation", [[{"role": "user", "content": text}] for text in TEXTS[:3]], {}, {"do_sample": False}),
        ("text-generation", TEXTS, {}, {"do_sample": False, "num_beams": 2, "num_return_sequences": 2}),
        ("text-classification", [{"text": text, "text_pair": "hello"} for text in TEXTS], {}, {}),
        ("feature-extraction", TEXTS, {}, {"return_tensors": True}),
    ],
    ids=["stride", "chunks of sound", "chats", "beams", "pairs", "tensors"],
)
def test_ways_to_call(task: str, inputs: Any, init: dict[str, Any], parameters: dict[str, Any]) -> None:
    if task == "text-generation":
        parameters = {**parameters, "max_new_tokens": 4}
    pipe = pipeline(task, "tiny", **init)
    if "stride" in init:
        pipe.tokenizer.model_max_length = 24
    inputs = inputs() if callable(inputs) else inputs
    if task == "text-generation" and not isinstance(inputs[0], str) and pipe.tokenizer.chat_template is None:
        pipe.tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    if isinstance(inputs[0], list):  # of chats transformers takes no dataset
        wanted = [pipe(copied(one), **parameters) for one in inputs]
    else:
        wanted = list(pipe(Listed([copied(one) for one in inputs]), **parameters))
    assert_runs_as(wanted, pipe, inputs, parameters, times=3)


def test_parameters_of_each_row() -> None:
    pipe = pipeline("text-classification", "tiny")
    settings: list[dict[str, Any]] = [{}, {"top_k": 2}, {"truncation": True, "max_length": 4}, {"top_k": None}]
    texts = [TEXTS[place % 5] for place in range(40)]
    parameters = [settings[place % 4] for place in range(40)]
    results = list(run(pipe, [Row(*row) for row in zip(texts, parameters)], options=EngineOptions(live=False)))
    for text, given, result in zip(texts, parameters, results):
        assert_close(result.result, next(iter(pipe(Listed([text]), **given))))


def test_every_task_of_transformers_has_a_case() -> None:
    others = {
        "mask-generation",  # looks at a thousand points of a picture, with batches of its own
        "video-classification",  # reads files
        "conversational",
        "vqa",
        "ner",
        "sentiment-analysis",
        "text-to-speech",
    }
    tasks = {entry.task for entry in read_level("transformers", None).entries}
    assert tasks - set(CASES) - others == set()
