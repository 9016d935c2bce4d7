"""A tiny model of every architecture, run through a pipeline; `make test` takes a sample, `--slow` the whole table."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.testing import (
    MissingLibraryError,
    run_on_architectures,
    run_pipeline_test,
    tiny_architectures,
    tiny_model,
)

pytestmark = [
    pytest.mark.both_lines,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # architectures complain of their own ways
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PIPELINES = Path(__file__).parent / "resources" / "architectures"
TEXTS = ["hello world", "a very bad movie: what a long, long way to go!", "yes"]
IMAGES = [Image.effect_noise(size, 50).convert("RGB") for size in ((64, 48), (48, 80))]
WAVES = [
    {"raw": np.sin(np.arange(length) / period).astype(np.float32), "sampling_rate": 16_000}
    for length, period in [(16_000, 20), (9_000, 3), (12_000, 90)]
]


def masked(pipe: Any) -> list[str]:
    return [f"{text} {pipe.tokenizer.mask_token}" for text in TEXTS]


# task, examples, parameters; and on 5.23 how many pass and what does not, each for the reason that README gives
TABLE: dict[str, tuple[str, Any, dict[str, Any], int, set[str]]] = {
    "AutoModelForSequenceClassification": ("text-classification", TEXTS, {}, 126, {"layoutlmv2"}),
    "AutoModelForTokenClassification": ("token-classification", TEXTS, {}, 99, {"bros", "layoutlmv2"}),
    "AutoModelForMaskedLM": ("fill-mask", masked, {}, 51, set()),
    "AutoModelForImageClassification": (
        "image-classification",
        IMAGES,
        {},
        38,
        {"dinat", "timm_wrapper", "pp_lcnet", "shieldgemma2"},
    ),
    "AutoModelForAudioClassification": ("audio-classification", WAVES, {}, 12, set()),
    "AutoModelForCausalLM": (
        "text-generation",
        TEXTS,
        {"max_new_tokens": 4, "do_sample": False},
        184,
        {"gemma3n", "gemma4_assistant", "gemma4_unified_assistant", "musicgen", "musicgen_melody"},
    ),
    "AutoModelForSeq2SeqLM": (
        "text2text-generation",
        TEXTS,
        {"max_new_tokens": 4},
        36,
        {"voxtral_realtime"},
    ),
    "AutoModelForQuestionAnswering": (
        "question-answering",
        [{"question": "what is it?", "context": text} for text in TEXTS],
        {},
        74,
        {"layoutlmv2", "lxmert", "canine", "roc_bert"},
    ),
    "AutoModelForCTC": ("automatic-speech-recognition", WAVES, {}, 12, {"granite_speech5_ctc"}),
}

# how many pass on 4.57.6, with or without TensorFlow beside it; README says which do not
EARLIER = {
    "AutoModelForSequenceClassification": 110,
    "AutoModelForTokenClassification": 85,
    "AutoModelForMaskedLM": 43,
    "AutoModelForImageClassification": 39,
    "AutoModelForAudioClassification": 12,
    "AutoModelForCausalLM": 120,
    "AutoModelForSeq2SeqLM": 25,
    "AutoModelForQuestionAnswering": 73,
    "AutoModelForCTC": 11,
}

# a few of the odd ones: layer kinds, experts, state spaces, shared layers, stages, spectra, own tokenizers
SAMPLE = {
    "AutoModelForSequenceClassification": ["deberta", "mixtral", "reformer", "funnel"],
    "AutoModelForTokenClassification": ["bloom", "longformer"],
    "AutoModelForMaskedLM": ["albert", "xlm"],
    "AutoModelForImageClassification": ["resnet", "swin", "segformer"],
    "AutoModelForAudioClassification": ["wav2vec2-bert", "audio-spectrogram-transformer"],
    "AutoModelForCausalLM": ["mamba", "deepseek_v3", "gemma3", "jamba", "gpt_neo"],
    "AutoModelForSeq2SeqLM": ["pegasus"],
    "AutoModelForQuestionAnswering": ["electra"],
    "AutoModelForCTC": ["hubert"],
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are quicker on one thread than on several that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("architectures")


@pytest.mark.parametrize("model_class", TABLE)
def test_a_sample_runs_in_batches(models: Path, model_class: str) -> None:
    task, examples, parameters, _, unfit = TABLE[model_class]
    known = tiny_architectures(model_class)
    seed = random.randrange(10_000)
    drawn = random.Random(seed).choice([name for name in known if name not in unfit | set(SAMPLE[model_class])])
    names = [name for name in SAMPLE[model_class] if name in known]
    runs = list(
        run_on_architectures(
            task,
            examples,
            parameters=parameters,
            model_class=model_class,
            architectures=names,
            directory=models,
        )
    )
    assert [(run.model_type, run.outcome, run.reason) for run in runs] == [(name, "passed", "") for name in names]
    assert all(run.parameters and run.parameters <= 5_000_000 for run in runs)
    if _is_measured():
        (run,) = run_on_architectures(
            task, examples, parameters=parameters, model_class=model_class, architectures=[drawn], directory=models
        )
        assert run.outcome in ("passed", "skipped"), (seed, run)


def _is_measured() -> bool:
    """Whether this is the line of transformers that the table's figures are of."""
    import transformers

    return transformers.__version__.startswith("5.23.")


@pytest.mark.slow
@pytest.mark.parametrize("model_class", TABLE)
def test_the_whole_table(models: Path, model_class: str) -> None:
    task, examples, parameters, passing, unfit = TABLE[model_class]
    runs = list(run_on_architectures(task, examples, parameters=parameters, model_class=model_class, directory=models))
    outcomes = Counter(run.outcome for run in runs)
    rest = {run.model_type: f"{run.outcome}: {run.reason}" for run in runs if run.outcome != "passed"}
    own = sum(run.has_own_tokenizer for run in runs)
    print(f"\n{model_class}: {dict(outcomes)}, own tokenizers: {own}, the rest: {rest}")  # for README
    if _is_measured():
        assert (outcomes["passed"], set(rest)) == (passing, unfit), rest
    else:
        assert outcomes["passed"] >= EARLIER[model_class], rest


@pytest.mark.parametrize(
    ("model_class", "architecture", "file"),
    [
        ("AutoModelForTokenClassification", "bros", "boxed_tokens.py:BoxedTokensPipeline"),
        ("AutoModelForImageClassification", "pp_lcnet", "image_scores.py:ImageScoresPipeline"),
        ("AutoModelForImageClassification", "shieldgemma2", "asked_images.py:AskedImagesPipeline"),
    ],
)
def test_what_transformers_own_pipeline_cannot_run(
    models: Path, model_class: str, architecture: str, file: str
) -> None:
    if architecture not in tiny_architectures(model_class):
        pytest.skip(f"this transformers has no {architecture}")
    if architecture == "shieldgemma2" and not _is_measured():
        pytest.skip("transformers 4 saves a ShieldGemma 2 without the weights that it ties")
    (run,) = run_on_architectures(
        f"{PIPELINES / file}",
        TEXTS if "Token" in model_class else IMAGES,
        model_class=model_class,
        architectures=[architecture],
        directory=models,
    )
    assert run.outcome == "passed", run


def test_architectures_are_those_of_the_mapping() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    assert tiny_architectures("AutoModelForMaskedLM") == list(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    assert tiny_architectures("BertForMaskedLM") == ["bert"]
    with pytest.raises(PipelineLoadError, match="has no model class AutoModelForNothing"):
        tiny_architectures("AutoModelForNothing")


def test_tokenizer_is_told(models: Path) -> None:
    own, generic = run_on_architectures(
        "text-classification", TEXTS, architectures=["deberta", "biogpt"], directory=models
    )
    assert own.has_own_tokenizer and own.tokenizer is not None and own.tokenizer.startswith("DebertaTokenizer")
    assert not generic.has_own_tokenizer


def test_a_missing_library_is_a_skip(models: Path) -> None:
    (run,) = run_on_architectures("token-classification", TEXTS, architectures=["layoutlmv2"], directory=models)
    if run.outcome == "passed":
        pytest.skip("detectron2 is installed")
    assert (run.outcome, run.reason) == ("skipped", "detectron2")
    with pytest.raises(MissingLibraryError, match="needs detectron2") as caught:
        tiny_model("AutoModelForTokenClassification", "layoutlmv2", directory=models)
    assert caught.value.hint == "pip install detectron2"


def test_what_the_pipeline_raises_is_a_record(models: Path) -> None:
    runs = list(run_on_architectures("text-classification", [3], architectures=["bert", "nothing"], directory=models))
    assert [run.outcome for run in runs] == ["failed", "failed"]
    assert runs[0].reason and runs[0].parameters
    assert "There is no architecture nothing." in runs[1].reason


def test_lost_rows_and_numbers_that_are_none_are_found() -> None:
    def loses_one(inputs: Any, batch_size: int = 1) -> Any:
        return "x" if isinstance(inputs, str) else iter(["x"] * 9)

    def gives_nan(inputs: Any, batch_size: int = 1) -> Any:
        return [{"score": float("nan")}]

    with pytest.raises(AssertionError, match="10 rows in batches of 4 gave 9 results"):
        run_pipeline_test(loses_one, ["a"])
    with pytest.raises(AssertionError, match="not finite"):
        run_pipeline_test(gives_nan, ["a"])


def test_equal_seeds_give_equal_models(tmp_path: Path) -> None:
    folders = [tiny_model("AutoModelForCausalLM", "mamba", directory=tmp_path / name).path for name in ("one", "two")]
    for file in sorted(folders[0].iterdir()):
        assert file.read_bytes() == (folders[1] / file.name).read_bytes(), file.name
