"""Tiny models: every row of the table is built offline, loads whole, and runs through transformers' own pipeline."""

from __future__ import annotations

import copy
import functools
import importlib.util
import logging
import operator
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipesmith.pipelines import errors, testing
from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.registry import read_level
from pipesmith.pipelines.testing import TinyModel, tiny_model
from pipesmith.pipelines.testing.tiny_table import (
    ARCHITECTURE_OF,
    ARCHITECTURES,
    BASE_ARCHITECTURE_OF_MODALITY,
)

pytestmark = [
    pytest.mark.both_lines,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),  # by VITS in 4.57
    pytest.mark.filterwarnings("ignore:You seem to be using the pipelines sequentially:UserWarning"),
]

ROWS = [(name, architecture) for name, architecture in ARCHITECTURE_OF.items()]
ROWS += [("AutoModel", architecture) for architecture in dict.fromkeys(BASE_ARCHITECTURE_OF_MODALITY.values())]
ROWS += [
    ("AutoModelForSequenceClassification", other) for other in ("distilbert", "roberta", "gpt2", "llama", "t5", "bart")
]
ROWS += [("AutoModelForCausalLM", "llama"), ("AutoModelForMaskedLM", "roberta"), ("AutoModelForSeq2SeqLM", "bart")]
ROWS += [("AutoModelForObjectDetection", "detr"), ("AutoModelForImageTextToText", "blip"), ("AutoModel", "clap")]
MAX_FOLDER = 4_000_000  # bytes


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session")
def make(kept: Path) -> Callable[..., TinyModel]:
    """`tiny_model`, built once a session; skips what this transformers or this environment lacks."""

    @functools.cache
    def make(name: str, model_type: str | None = None, **settings: Any) -> TinyModel:
        import transformers

        if not hasattr(transformers, name):
            pytest.skip(f"transformers {transformers.__version__} has no {name}")
        library = ARCHITECTURES[model_type or ARCHITECTURE_OF.get(name, "bert")].library
        if library is not None:
            pytest.importorskip(library)
        return tiny_model(name, model_type, directory=kept, **settings)

    return make


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What transformers logs as a warning or worse."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


# ---- Every row --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "architecture"), ROWS)
def test_row_loads_whole(make: Callable[..., TinyModel], complaints: list[str], name: str, architecture: str) -> None:
    import torch
    import transformers

    tiny = make(name, architecture)
    assert (tiny.model_class, tiny.model_type) == (name, architecture)
    if name == "AutoModelForDecision":  # its from_pretrained gives no report, but logs what is missing
        model = tiny.model
    else:
        model, report = getattr(transformers, name).from_pretrained(tiny.path, output_loading_info=True)
        assert not any(report.values()), report
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert sum(file.stat().st_size for file in tiny.path.iterdir()) < MAX_FOLDER
    recipe = ARCHITECTURES[architecture]
    assert (tiny.tokenizer is not None) == (recipe.tokenizer is not None)
    assert (tiny.image_processor is not None) == (recipe.image_processor is not None)
    assert (tiny.feature_extractor is not None) == (recipe.feature_extractor is not None)
    assert (tiny.processor is not None) == (recipe.processor is not None)
    # 4.57 says so of every image processor that does not need torchvision
    assert [line for line in complaints if "slow image processor" not in line] == []


@pytest.mark.parametrize("architecture", [name for name, recipe in ARCHITECTURES.items() if recipe.tokenizer])
def test_no_text_breaks_a_tokenizer(make: Callable[..., TinyModel], architecture: str) -> None:
    name = next(name for name, other in ROWS if other == architecture)
    tokenizer = make(name, architecture).tokenizer
    if architecture == "tapas":
        pytest.skip("the tokenizer of TAPAS takes a table")
    for text in ["", " ", "Hello world!", "naïve café 日本語 😀", "\x00\t\n", "a" * 3000, "[MASK] <pad> </s> <image>"]:
        ids = tokenizer(text)["input_ids"]
        assert all(0 <= number < len(tokenizer) for number in ids)
        assert isinstance(tokenizer.decode(ids), str)
    assert tokenizer.pad_token_id is not None
    assert tokenizer.model_max_length <= 512


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("AutoModelForCausalLM", "gpt2"), ("AutoModelForCausalLM", "llama"), ("AutoModelForMaskedLM", "roberta")],
)
def test_text_survives_the_tokenizer(make: Callable[..., TinyModel], name: str, architecture: str) -> None:
    tokenizer = make(name, architecture).tokenizer
    text = "Where is the cat? naïve 日本 😀"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert len(tokenizer(" the world", add_special_tokens=False)["input_ids"]) <= 3


# ---- Every task -------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
TEXTS = ["hello world", "a very bad movie: what a long, long way to go!", "yes"]
# large squares of colour, since noise has the same average everywhere
IMAGES = [
    Image.fromarray(RANDOM.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.NEAREST)
    for size in [(60, 48), (50, 80), (64, 64)]
]
WAVES = [
    {"raw": np.sin(np.arange(length) / period).astype(np.float32), "sampling_rate": 16_000}
    for length, period in [(16_000, 20), (9_000, 3), (4_000, 90)]
]
TABLES = [
    {"table": {"name": ["cat", "dog"], "number": ["1", "2"]}, "query": query}
    for query in ("how many cat?", "what is the name of the dog?", "name")
]
PAGES = [
    {"image": image, "question": text, "word_boxes": [("good", [0, 0, 10, 10]), ("world", [20, 20, 30, 30])]}
    for image, text in zip(IMAGES, TEXTS, strict=True)
]
REQUEST = {"type": "noul", "instructions": "Is it good?"}
LABELS = {"candidate_labels": ["cat", "dog"]}
SHORT = {"max_new_tokens": 4}
QUESTIONS = [{"question": "what is it?", "context": text} for text in TEXTS]

# three inputs of different sizes, and the parameters; a task with one call for a row is given as such
TASKS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "any-to-any": ([{"text": text} for text in TEXTS], SHORT),
    "audio-classification": (WAVES, {}),
    "automatic-speech-recognition": (WAVES, {}),
    "decision": ([{"state": text, "questions": {"q": REQUEST}} for text in TEXTS], {}),
    "depth-estimation": (IMAGES, {}),
    "document-question-answering": (PAGES, {}),
    "feature-extraction": (TEXTS, {}),
    "fill-mask": ([f"{text} [MASK]" for text in TEXTS], {}),
    "image-classification": (IMAGES, {}),
    "image-feature-extraction": (IMAGES, {}),
    "image-segmentation": (IMAGES, {}),
    "image-text-to-text": ([{"images": image, "text": "<image> what is it?"} for image in IMAGES], SHORT),
    "image-to-image": (IMAGES, {}),
    "image-to-text": (IMAGES, SHORT),
    "keypoint-matching": ([IMAGES[:2], IMAGES[1:], [IMAGES[0], IMAGES[2]]], {}),
    "mask-generation": (IMAGES, {"pred_iou_thresh": -10.0, "stability_score_thresh": 0.0}),
    "object-detection": (IMAGES, {}),
    "question-answering": (QUESTIONS, {}),
    "summarization": (TEXTS, SHORT),
    "table-question-answering": (TABLES, {}),
    "text-classification": (TEXTS, {}),
    "text-generation": (TEXTS, {**SHORT, "do_sample": False}),
    "text-to-audio": (TEXTS, {}),
    "text2text-generation": (TEXTS, SHORT),
    "token-classification": (TEXTS, {}),
    "translation": (TEXTS, SHORT),
    "video-classification": ([], {}),
    "visual-question-answering": ([{"image": image, "question": "what is it?"} for image in IMAGES], {}),
    "zero-shot-audio-classification": ([wave["raw"] for wave in WAVES], LABELS),
    "zero-shot-classification": (TEXTS, LABELS),
    "zero-shot-image-classification": (IMAGES, LABELS),
    "zero-shot-object-detection": ([{"image": image, **LABELS} for image in IMAGES], {}),
}

# what a pipeline itself needs beside the model
LIBRARIES = {"mask-generation": "torchvision", "video-classification": "av"}
# tasks whose call takes keywords instead of a row
BY_KEYWORD = {"any-to-any", "image-text-to-text"}


@pytest.fixture(scope="session")
def pipe_of(make: Callable[..., TinyModel]) -> Callable[[str, int], Any]:
    """transformers' own pipeline for a task, on the tiny model of the task's first model class."""

    def pipe_of(task: str, seed: int = 0) -> Any:
        import transformers
        from transformers.pipelines import SUPPORTED_TASKS

        if task not in SUPPORTED_TASKS:
            pytest.skip(f"transformers {transformers.__version__} has no {task}")
        if task in LIBRARIES:
            pytest.importorskip(LIBRARIES[task])
        entry = SUPPORTED_TASKS[task]
        tiny = make(entry["pt"][0].__name__, seed=seed, modality=entry["type"], task=task)
        return transformers.pipeline(task, model=str(tiny.path), device="cpu")

    return pipe_of


def rows_of(task: str, folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """Three inputs and the parameters; copies, because some pipelines empty the dict they are given."""
    if task == "video-classification":
        return [str(write_video(folder / f"{frames}.mp4", frames)) for frames in (8, 12, 16)], {}
    return copy.deepcopy(TASKS[task])


def write_video(file: Path, frames: int) -> Path:
    import av

    random_colours = np.random.default_rng(frames)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            colours = np.broadcast_to(random_colours.integers(0, 255, 3, dtype=np.uint8), (48, 64, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(colours), format="rgb24")))
        container.mux(stream.encode())
    return file


def plain(result: Any) -> Any:
    """A result as numbers, text, lists and dicts, to compare."""
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [plain(value) for value in result]
    if isinstance(result, Image.Image):
        return {"size": result.size, "pixels": result.tobytes()}
    if hasattr(result, "tolist"):
        return result.tolist()
    return result


def call(pipe: Any, task: str, row: Any, settings: dict[str, Any]) -> Any:
    return plain(pipe(**row, **settings) if task in BY_KEYWORD else pipe(row, **settings))


def test_every_task_of_transformers_is_tried_here() -> None:
    assert {entry.task for entry in read_level("transformers", None).entries} <= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_task_runs_and_its_results_depend_on_the_input(pipe_of: Callable[..., Any], tmp_path: Path, task: str) -> None:
    pipe = pipe_of(task)
    rows, settings = rows_of(task, tmp_path)
    first, second, third = (call(pipe, task, row, settings) for row in rows)
    assert first not in (None, [], "")
    if task != "table-question-answering":  # a random TAPAS is sure of no cell
        assert not first == second == third
    again, settings = rows_of(task, tmp_path)
    assert close(call(pipe, task, again[0], settings), first)


@pytest.mark.parametrize(
    "task",
    [
        "text-classification",
        "token-classification",
        "feature-extraction",
        "zero-shot-classification",
        "audio-classification",
        "image-classification",
        "image-feature-extraction",
        "zero-shot-image-classification",
        "video-classification",
        "depth-estimation",
    ],
)
def test_results_depend_on_the_weights(pipe_of: Callable[..., Any], tmp_path: Path, task: str) -> None:
    pipes = [pipe_of(task, seed) for seed in (0, 1)]
    (row, *_), settings = rows_of(task, tmp_path)
    results = [call(pipe, task, copy.deepcopy(row), settings) for pipe in pipes]
    assert results[0] != results[1]


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "gpt2", "llama"])
def test_texts_get_visibly_different_scores(make: Callable[..., TinyModel], architecture: str) -> None:
    import transformers

    tiny = make("AutoModelForSequenceClassification", architecture)
    pipe = transformers.pipeline("text-classification", model=str(tiny.path), top_k=None, device="cpu")
    scores = []
    for text in TEXTS:
        by_label = {score["label"]: score["score"] for score in pipe([text])[0]}
        assert set(by_label) == {"LABEL_0", "LABEL_1"}
        scores.append(by_label["LABEL_0"])
    assert max(scores) - min(scores) > 0.01
    assert max(abs(score - 0.5) for score in scores) > 0.01


@pytest.mark.parametrize(
    "task",
    [
        "text-classification",
        "token-classification",
        "fill-mask",
        "text-generation",
        "zero-shot-classification",
        "audio-classification",
        "image-classification",
        "image-feature-extraction",
        "image-segmentation",
        "object-detection",
        "depth-estimation",
        "video-classification",
        "zero-shot-image-classification",
        "summarization",
        "translation",
        "text2text-generation",
        "question-answering",
    ],
)
def test_a_batch_of_three_equals_one_at_a_time(pipe_of: Callable[..., Any], tmp_path: Path, task: str) -> None:
    import torch

    pipe = pipe_of(task)
    rows, settings = rows_of(task, tmp_path)
    batched = list(pipe(Rows(rows), batch_size=3, **settings))
    rows, settings = rows_of(task, tmp_path)
    single = list(pipe(Rows(rows), batch_size=1, **settings))
    assert len(batched) == 3
    assert torch.is_grad_enabled()
    assert close(plain(batched), plain(single))


@pytest.mark.parametrize(
    ("task", "name", "architecture"),
    [
        ("text-classification", "AutoModelForSequenceClassification", "distilbert"),
        ("text-classification", "AutoModelForSequenceClassification", "roberta"),
        ("text-classification", "AutoModelForSequenceClassification", "gpt2"),
        ("text-classification", "AutoModelForSequenceClassification", "llama"),
        ("text-classification", "AutoModelForSequenceClassification", "t5"),
        ("text-generation", "AutoModelForCausalLM", "llama"),
        ("object-detection", "AutoModelForObjectDetection", "detr"),
        ("image-segmentation", "AutoModelForSemanticSegmentation", "segformer"),
        ("automatic-speech-recognition", "AutoModelForSpeechSeq2Seq", "whisper"),
    ],
)
def test_other_architectures_run_and_batch_as_well(
    make: Callable[..., TinyModel], tmp_path: Path, task: str, name: str, architecture: str
) -> None:
    import transformers

    pipe = transformers.pipeline(task, model=str(make(name, architecture).path), device="cpu")
    results = []
    for batch_size in (3, 1):
        rows, settings = rows_of(task, tmp_path)
        if architecture == "whisper":
            settings = {"generate_kwargs": {"max_new_tokens": 4}}
        results.append(plain(list(pipe(Rows(rows), batch_size=batch_size, **settings))))
    assert len(results[0]) == 3
    assert close(*results)


class Rows:
    """A dataset in memory, the form that every pipeline takes row by row."""

    def __new__(cls, rows: list[Any]) -> Any:
        from torch.utils.data import Dataset

        class Held(Dataset[Any]):
            def __len__(self) -> int:
                return len(rows)

            def __getitem__(self, index: int) -> Any:
                return rows[index]

        return Held()


def close(left: Any, right: Any) -> bool:
    """Equal but for rounding: 1e-4 of a number, 1 % of an image's bytes."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(close(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(close, left, right))
    if isinstance(left, bytes):
        return len(left) == len(right) and sum(map(operator.ne, left, right)) <= len(left) / 100
    if isinstance(left, float):
        return abs(left - right) <= 1e-4 * max(abs(left), abs(right), 1)
    return bool(left == right)


def test_generation_stops_and_pads_by_the_models_own_tokens(make: Callable[..., TinyModel]) -> None:
    for name, architecture in [("AutoModelForCausalLM", "gpt2"), ("AutoModelForSeq2SeqLM", "t5")]:
        tiny = make(name, architecture)
        settings = tiny.model.generation_config
        assert settings.eos_token_id == tiny.tokenizer.eos_token_id
        assert settings.pad_token_id == tiny.tokenizer.pad_token_id
        assert settings.max_new_tokens is None
    assert make("AutoModelForSeq2SeqLM", "t5").model.generation_config.decoder_start_token_id == 0


# ---- Seeds, caches, processes -----------------------------------------------------------------------------------


def test_equal_seeds_give_equal_bits(tmp_path: Path) -> None:
    folders = [tiny_model("AutoModelForCausalLM", directory=tmp_path / name).path for name in ("one", "two")]
    names = sorted(file.name for file in folders[0].iterdir())
    assert names == sorted(file.name for file in folders[1].iterdir())
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_seeds_differ(make: Callable[..., TinyModel]) -> None:
    models = [make("AutoModelForSequenceClassification", seed=seed) for seed in (0, 1)]
    assert models[0].path != models[1].path
    weights = [(model.path / "model.safetensors").read_bytes() for model in models]
    assert weights[0] != weights[1]


def test_random_numbers_of_the_caller_stay(tmp_path: Path) -> None:
    import torch

    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = draws()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    tiny = tiny_model("AutoModelForSequenceClassification", directory=tmp_path)
    assert not tiny.model.training
    assert draws() == expected


def test_a_second_call_finds_what_the_first_made(make: Callable[..., TinyModel], kept: Path) -> None:
    first = make("AutoModelForSequenceClassification")
    made = (first.path / "model.safetensors").stat().st_mtime_ns
    second = tiny_model("AutoModelForSequenceClassification", directory=kept)
    assert second == first
    assert (second.path / "model.safetensors").stat().st_mtime_ns == made


def run_python(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    code = (
        "from pipesmith.pipelines.testing import tiny_model\n"
        f"tiny = tiny_model('AutoModelForSequenceClassification', directory={str(tmp_path)!r})\n"
        "print(tiny.path, float(sum(p.sum() for p in tiny.model.parameters())))"
    )
    processes = [run_python(code) for _ in range(2)]
    first, second = map(finished, processes)
    assert first == second
    folder = Path(first.split()[0])
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]


def test_the_cache_is_the_users_and_nothing_is_printed(tmp_path: Path) -> None:
    code = (
        "import transformers\n"
        "from pipesmith.pipelines.testing import tiny_model\n"
        "tiny = tiny_model('BertForSequenceClassification')\n"
        "tiny.model\n"
        "print(transformers.__version__, tiny.path)"
    )
    process = run_python(code, XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    out, error = process.communicate(timeout=120)
    assert error == ""
    version, path = out.strip().split(maxsplit=1)
    assert tmp_path in Path(path).parents
    assert f"pipesmith/tiny/{version}/" in Path(path).as_posix()


def test_a_changed_recipe_is_built_anew(make: Callable[..., TinyModel], kept: Path, tmp_path: Path) -> None:
    package = tmp_path / "pipesmith" / "pipelines"
    shutil.copytree(Path(testing.__file__).parent, package / "testing", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(errors.__file__, package)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    with (package / "testing" / "tiny_tokenizers.py").open("a", encoding="utf-8") as stream:
        stream.write("\nWORDS += ['pipesmith']\n")
    code = (
        "from pipesmith.pipelines.testing import tiny_model\n"
        f"print(tiny_model('AutoModelForSequenceClassification', directory={str(kept)!r}).path)"
    )
    before = make("AutoModelForSequenceClassification").path
    after = Path(finished(run_python(code, PYTHONPATH=str(tmp_path))))
    assert before != after
    assert "pipesmith" in (after / "tokenizer.json").read_text(encoding="utf-8")
    assert "pipesmith" not in (before / "tokenizer.json").read_text(encoding="utf-8")


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipesmith.pipelines.testing\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'platformdirs') if name in sys.modules])"
    )
    assert finished(run_python(code)) == "[]"


# ---- Choosing, and what cannot be made --------------------------------------------------------------------------


def test_classes_may_be_given_as_names_or_classes(kept: Path) -> None:
    from transformers import AutoModelForCausalLM, BertForSequenceClassification

    assert tiny_model(AutoModelForCausalLM, directory=kept).model_type == "gpt2"
    tiny = tiny_model(BertForSequenceClassification, directory=kept)
    assert tiny.model_type == "bert"
    assert type(tiny.model) is BertForSequenceClassification
    assert tiny_model("DistilBertModel", directory=kept).model_type == "distilbert"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "bert"),
        ({"modality": "text"}, "bert"),
        ({"modality": "image"}, "vit"),
        ({"modality": "audio"}, "wav2vec2"),
        ({"modality": "video"}, "videomae"),
        ({"modality": "multimodal"}, "clip"),
        ({"modality": "multimodal", "task": "feature-extraction"}, "bert"),
        ({"modality": "multimodal", "task": "my-task"}, "clip"),
        ({"modality": "image", "model_type": "bert"}, "bert"),
    ],
)
def test_the_modality_chooses_for_the_base_model(kept: Path, settings: dict[str, str], expected: str) -> None:
    assert tiny_model("AutoModel", directory=kept, **settings).model_type == expected


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (("AutoModelForCausalLM", "gpt3"), "There is no architecture gpt3.", "gpt2"),
        (("AutoModelForCausalLM", "qqqqqq"), "There is no architecture qqqqqq.", "The common ones are bert,"),
        (("AutoModelForCausalLM", "vit"), "vit has no AutoModelForCausalLM in transformers", "gpt2, llama"),
        (("BertForMaskedLM", "gpt2"), "gpt2 has no BertForMaskedLM in transformers", "bert"),
        (("AutoModelForSequenceClasification",), "has no model class AutoModelForSequenceClasification.", "Class"),
        (("BertTokenizer",), "has no model class BertTokenizer.", None),
        (("AutoModelForTimeSeriesPrediction",), "No tiny architecture is known", "AutoModelForCausalLM"),
        (("TFAutoModelForSequenceClassification",), "is not a PyTorch class", "AutoModelForSequenceClassification"),
    ],
)
def test_what_cannot_be_made_is_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str, hint: str | None
) -> None:
    import transformers

    if not hasattr(transformers, arguments[0]) and "TimeSeries" in arguments[0]:
        pytest.skip(f"transformers {transformers.__version__} has no {arguments[0]}")
    with pytest.raises(PipelineLoadError) as caught:
        tiny_model(*arguments, directory=tmp_path)
    assert sentence in caught.value.message
    assert caught.value.hint
    assert hint is None or hint in caught.value.hint
    assert not any(tmp_path.iterdir())


def test_a_users_own_class_is_refused(tmp_path: Path) -> None:
    class MyModel:
        pass

    with pytest.raises(PipelineLoadError, match="MyModel is not a class of transformers"):
        tiny_model(MyModel, directory=tmp_path)


def test_an_unknown_modality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineLoadError, match="smell is not a modality"):
        tiny_model("AutoModel", modality="smell", directory=tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("pandas") is not None, reason="pandas is installed")
def test_a_missing_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineLoadError, match="needs pandas, which is not installed"):
        tiny_model("AutoModelForTableQuestionAnswering", directory=tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineLoadError, match="cannot be written") as caught:
        tiny_model("AutoModelForSequenceClassification", directory=tmp_path / "file")
    assert caught.value.hint is not None
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_a_broken_folder_is_named(tmp_path: Path) -> None:
    tiny = tiny_model("AutoModelForSequenceClassification", directory=tmp_path)
    (tiny.path / "config.json").unlink()
    with pytest.raises(PipelineLoadError, match="is in the way of a tiny model"):
        tiny_model("AutoModelForSequenceClassification", directory=tmp_path)
