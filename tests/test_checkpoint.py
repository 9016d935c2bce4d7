"""The shipped pair-classification checkpoint: its size, its precision, its tokens and its figures."""

from __future__ import annotations

import importlib.resources
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.both_lines

CHECKPOINT = Path(str(importlib.resources.files("pipesmith.pipelines.builtin"))) / "checkpoints" / "pair-classification"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def classify() -> Any:
    from transformers import pipeline

    return pipeline("text-classification", model=str(CHECKPOINT))


def draw_text(rng: random.Random) -> str:
    """Draw up to 200 characters, as often from ASCII as from the scripts of the basic plane or from all of Unicode."""
    ranges = [(0x00, 0x80), (0x80, 0x3000), (0x3000, 0xD800), (0xE000, 0x110000)]
    return "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(1, 200)))


def test_it_is_small_and_holds_no_pickle() -> None:
    files = [path for path in CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 30_000_000
    assert {path.name for path in files} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_it_loads_as_float32_though_stored_as_float16(classify: Any) -> None:
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForSequenceClassification

    with safe_open(CHECKPOINT / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert classify.model.dtype == torch.float32


def test_labels(classify: Any) -> None:
    assert classify.model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
    assert classify.model.config.label2id == {"not_equivalent": 0, "equivalent": 1}


def test_a_pair_has_two_segments_and_its_special_tokens(tokenizer: Any) -> None:
    encoded = tokenizer("a", "b c")
    assert encoded.tokens() == ["[CLS]", "a", "[SEP]", "b", "c", "[SEP]"]
    assert encoded["token_type_ids"] == [0, 0, 0, 1, 1, 1]
    assert tokenizer.model_max_length == 512


def test_random_unicode_is_never_unknown(tokenizer: Any) -> None:
    rng = random.Random(20)
    texts = [draw_text(rng) for _ in range(3_000)]
    encoded = tokenizer(texts, truncation=True)["input_ids"]
    assert [text for text, ids in zip(texts, encoded) if tokenizer.unk_token_id in ids] == []


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_000,
        "é" * 5_000,
        "字" * 5_000,
        "😀" * 5_000,
        "ﷺ" * 500,
        "e" + "\u0301" * 500,
        "\x00\x01\x1b\x7f\u200b\u202e\ufeff\ufffd",
        "𠜎𠜱𠝹 ꙮ ᚠᛇᚻ ⠓⠑ 𓀀",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳",
        "[UNK] [SEP] [MASK] ##x",
        "",
    ],
)
def test_nasty_text_is_never_unknown_nor_special(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, truncation=True)["input_ids"]
    assert not {tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id} & set(ids)
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert tokenizer.sep_token_id not in ids[:-1]


@pytest.mark.parametrize(
    "character",
    [
        "!\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~",
        "¡£§©«°±µ»¿ß÷øæþ",
        "αβγδεζηθικλμνξοπρστυφχψω",
        "абвгдежзиклмнопрстуфхцчшщъыьэюя",
        "的一是不了人我在有他 你好 日本語 のはか",
        "😀🎉❤🚀",
    ],
)
def test_single_characters_survive(tokenizer: Any, character: str) -> None:
    for one in character.replace(" ", ""):
        ids = tokenizer(one, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == one
    together = tokenizer(character, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(together).replace(" ", "") == character.replace(" ", "")


def test_upper_case_and_accents_are_folded(tokenizer: Any) -> None:
    assert tokenizer("The QUICK Café")["input_ids"] == tokenizer("the quick cafe")["input_ids"]


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        (
            "The company said on Monday that it will cut 400 jobs at its two factories in Ohio.",
            "The company announced Monday it is cutting 400 jobs at two Ohio factories.",
            "equivalent",
        ),
        (
            "The company said on Monday that it will cut 400 jobs at its two factories in Ohio.",
            "Heavy rain flooded the streets of the old town, and the bridge was closed until Friday.",
            "not_equivalent",
        ),
    ],
)
def test_it_tells_pairs_apart(classify: Any, first: str, second: str, label: str) -> None:
    assert classify({"text": first, "text_pair": second})["label"] == label


def test_the_figures_of_its_card_hold() -> None:
    """Recomputes them from the official test split; half a minute on one core."""
    folder = os.environ.get("PIPESMITH_MRPC")
    if not folder:
        pytest.skip("PIPESMITH_MRPC names no folder with MRPC")
    from pipesmith.pipelines.builtin.training.pair_classification import read_mrpc, score

    card = (CHECKPOINT / "README.md").read_text(encoding="utf-8")
    stated = {kind: float(value) for kind, value in re.findall(r"type: (accuracy|f1)\n\s+value: ([\d.]+)", card)}
    measured = score(CHECKPOINT, read_mrpc(Path(folder), "test"))
    assert stated == pytest.approx({"accuracy": measured.accuracy, "f1": measured.f1}, abs=0.002)


def test_a_missing_corpus_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipesmith.pipelines.builtin.training.pair_classification import main

    assert main(["evaluate", "--mrpc", str(tmp_path / "nowhere")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_evaluate_reads_the_corpus_as_distributed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipesmith.pipelines.builtin.training.pair_classification import main

    rows = [
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
        '1\t1\t2\t"The film was shot in Iceland.\tThey filmed the movie in Iceland.',
        '0\t3\t4\tBread rises faster in a warm kitchen.\tThe bridge "was built in 1932.',
    ]
    (tmp_path / "msr_paraphrase_test.txt").write_bytes("".join(row + "\r\n" for row in rows).encode("utf-8-sig"))
    assert main(["evaluate", "--mrpc", str(tmp_path)]) == 0
    printed = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert printed["pairs"] == "2"
    assert printed["accuracy"] == printed["F1"] == "1.0000"
