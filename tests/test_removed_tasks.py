"""The tasks that transformers 5 removed: held to what 4.57 returned, in the engine, in the shell.

What 4.57 returned stands in resources/removed_tasks; record.py there says how that was recorded.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import Ran, write

from pipesmith.pipelines import compat, pipeline
from pipesmith.pipelines.engine import EngineOptions, Row, run

Pipe = Callable[..., Ran]
RESOURCES = Path(__file__).parent / "resources" / "removed_tasks"
GROUPS: list[dict[str, Any]] = json.loads((RESOURCES / "cases.json").read_text())
RECORDED = json.loads((RESOURCES / "results.json").read_text())["groups"]
TASKS = {
    "question-answering",
    "summarization",
    "translation",
    "text2text-generation",
    "visual-question-answering",
    "image-to-text",
}
CONTEXT = "My name is Wolfgang and I live in Berlin."

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not compat.needed(), reason="transformers 4 has these tasks itself"),
]


def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_removed_tasks", RESOURCES / "record.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def near(recorded: Any) -> Any:
    """Make a recorded result equal to one whose floats differ by rounding only."""
    if isinstance(recorded, float):
        return pytest.approx(recorded, abs=1e-5)
    if isinstance(recorded, dict):
        return {key: near(value) for key, value in recorded.items()}
    return [near(value) for value in recorded] if isinstance(recorded, list) else recorded


@pytest.mark.parametrize(
    "number", range(len(GROUPS)), ids=[f"{group['task']}-{group['architecture']}" for group in GROUPS]
)
def test_results_are_those_of_4(number: int, tmp_path: Path) -> None:
    group, recorded, record = GROUPS[number], RECORDED[number], recorder()
    checkpoint = record.make_checkpoint(group, tmp_path / "checkpoint")
    assert record.weights_hash(checkpoint) == recorded["weights"]
    pipe = pipeline(group["task"], checkpoint, device="cpu", **group.get("init", {}))
    record.prepare(pipe, group)
    for call, wanted in zip(group["calls"], recorded["results"], strict=True):
        assert record.result_of(pipe, *call) == near(wanted), call


def test_every_task_has_twenty_cases() -> None:
    counts = dict.fromkeys(TASKS, 0)
    for group in GROUPS:
        task = {"vqa": "visual-question-answering"}.get(group["task"], group["task"])
        counts["translation" if task.startswith("translation_") else task] += len(group["calls"])
    assert min(counts.values()) >= 20, counts


@pytest.mark.parametrize(
    ("task", "inputs", "parameters"),
    [
        ("question-answering", "Where do I live?", {"context": CONTEXT * 12, "max_seq_len": 48, "doc_stride": 8}),
        ("question-answering", {"question": "Where do I live?", "context": CONTEXT}, {"top_k": 3}),
        ("translation", "hello you", {"src_lang": "en_XX", "tgt_lang": "de_DE", "max_new_tokens": 4}),
        ("visual-question-answering", {"picture": [60, 48, 0]}, {"question": "what?"}),
    ],
)
def test_batched_equals_single(task: str, inputs: Any, parameters: dict[str, Any], tmp_path: Path) -> None:
    """Rows of several kinds in batches: those of plain tasks stand in test_engine_tasks.py."""
    record = recorder()
    model: Any = "tiny"
    if task == "translation":
        model = record.make_checkpoint({"architecture": "mbart"}, tmp_path / "checkpoint")
    pipe = pipeline(task, model)
    others = {"tgt_lang": "fr_XX"} if task == "translation" else {}
    rows = [Row(record.read(inputs), {**parameters, **(others if n % 2 else {})}, n + 1) for n in range(8)]
    wanted = [record.plain(pipe(row.inputs, **row.parameters)) for row in rows]
    found = list(run(pipe, rows, options=EngineOptions(live=False)))
    assert [result.error for result in found] == [None] * len(rows)
    assert [record.plain(result.result) for result in found] == near(wanted)


def test_translation_takes_the_languages_that_the_model_names(tmp_path: Path) -> None:
    """As transformers.pipeline of 4 does: T5's own prefix depends on it."""
    specific = {"summarization": {"prefix": "short: "}, "translation_en_to_de": {"prefix": "to German: "}}
    group = {"model": "T5ForConditionalGeneration", "architecture": "t5", "config": {"task_specific_params": specific}}
    checkpoint = recorder().make_checkpoint(group, tmp_path / "checkpoint")
    pipe = pipeline("translation", checkpoint)
    assert (pipe.task, pipe.prefix) == ("translation_en_to_de", "to German: ")
    assert pipeline("translation_en_to_fr", checkpoint).prefix is None


def test_nothing_for_nothing() -> None:
    assert pipeline("question-answering", "tiny")(question=[], context=[]) == []
    assert pipeline("summarization", "tiny")([]) == []
    assert pipeline("vqa", "tiny")([], question="what?") == []
    assert pipeline("image-to-text", "tiny")([]) == []


def test_questions_of_odd_shapes() -> None:
    pipe = pipeline("question-answering", "tiny")
    both = {"question": ["Where?", "Who?"], "context": [CONTEXT, "Anna and Bob."]}
    assert pipe(both) == pipe(**both) and len(pipe(both)) == 2
    with pytest.raises(ValueError, match="which is no text"):
        pipe({"question": ("a", "b"), "context": CONTEXT})
    long = "where " * 40  # leaves 21 tokens for a part, fewer than it is to share with the next
    answer = pipe(question=long, context=CONTEXT * 5, max_seq_len=64, doc_stride=32)
    assert answer["answer"] in CONTEXT * 5


def test_what_4_refuses_is_refused_alike(tmp_path: Path) -> None:
    image = recorder().read({"picture": [60, 48, 0]})
    pipe = pipeline("vqa", "tiny")
    with pytest.raises(TypeError, match="no question was asked"):
        pipe(image)
    with pytest.raises(KeyError, match="question is missing"):
        pipe({"image": image})
    with pytest.raises(TypeError, match="takes no beam_count"):
        pipeline("image-to-text", "tiny")(image, beam_count=2)
    checkpoint = recorder().make_checkpoint({"architecture": "mbart"}, tmp_path / "checkpoint")
    with pytest.raises(TypeError, match="forced_bos_token_id"):
        pipeline("translation", checkpoint)("a", src_lang="en_XX", tgt_lang="de_DE", forced_bos_token_id=9)


def test_images_of_a_key_dataset_give_a_list() -> None:
    from transformers.pipelines.pt_utils import KeyDataset

    images = [recorder().read({"picture": [60, 48, seed]}) for seed in (0, 1)]
    pipe = pipeline("vqa", "tiny")
    dataset = KeyDataset([{"image": image} for image in images], "image")
    assert pipe(dataset, question="what?") == near(pipe(images, question="what?"))
    assert len(pipe(image=dataset, question=["what?", "who?"])) == 4


def test_assistant(tmp_path: Path) -> None:
    checkpoint = recorder().make_checkpoint(
        {"model": "BartForConditionalGeneration", "architecture": "bart"}, tmp_path / "checkpoint"
    )
    wanted = pipeline("summarization", checkpoint, num_beams=1)("hello you", max_new_tokens=5)
    pipe = pipeline("summarization", checkpoint, num_beams=1, assistant_model=str(checkpoint))
    assert pipe.assistant_model is not None and pipe("hello you", max_new_tokens=5) == wanted


SUBCLASSES = """
from __future__ import annotations
from dataclasses import dataclass

from transformers.pipelines.question_answering import QuestionAnsweringPipeline, select_starts_ends
from transformers.pipelines.text2text_generation import Text2TextGenerationPipeline
from transformers.tokenization_utils import TruncationStrategy


@dataclass
class Ask:
    text: str


class AskPipeline(Text2TextGenerationPipeline):
    def __call__(self, inputs, *args, **kwargs):
        result = super().__call__(inputs, *args, **kwargs)
        if isinstance(inputs, list) and all(len(found) == 1 for found in result):
            return [found[0] for found in result]
        return result

    def check_inputs(self, input_length, min_length, max_length):
        self.seen = input_length
        return True

    def preprocess(self, inputs, truncation=TruncationStrategy.DO_NOT_TRUNCATE):
        return self._parse_and_tokenize(f"say: {inputs.text}", truncation=truncation)


class AnswersPipeline(QuestionAnsweringPipeline):
    def postprocess(self, model_outputs, top_k=3, max_answer_len=15):
        answers = []
        for output in model_outputs:
            found = select_starts_ends(
                output["start"], output["end"], output["p_mask"], output["attention_mask"].numpy(),
                top_k=top_k, max_answer_len=max_answer_len,
            )
            text = output["example"].context_text
            for first, last, score in zip(*found[:3]):
                start, end = self.get_indices(output["encoding"], first, last, 1, True)
                if self.get_answer(answers, text[start:end].upper()) is None:
                    answers.append({"score": score.item(), "start": start, "end": end, "answer": text[start:end]})
        return answers
"""


def test_subclasses_written_for_4(folder: Path) -> None:
    """What they take from the class that they extend, and from its module."""
    import sys

    write(folder, {"mine.py": SUBCLASSES})
    ask = pipeline("./mine.py:AskPipeline", "tiny", pt_model="AutoModelForSeq2SeqLM")
    row, plain = sys.modules[type(ask).__module__].Ask("hello"), pipeline("text2text-generation", "tiny")
    assert ask([row, row], max_new_tokens=4) == plain(["say: hello"] * 2, max_new_tokens=4)
    assert ask.seen == len(ask.tokenizer("say: hello")["input_ids"])
    asked = {"question": "Where do I live?", "context": CONTEXT}
    answers = pipeline("./mine.py:AnswersPipeline", "tiny", pt_model="AutoModelForQuestionAnswering")
    best = answers(**asked)[0]
    assert (
        best["answer"]
        == CONTEXT[best["start"] : best["end"]]
        == pipeline("question-answering", "tiny")(**asked)["answer"]
    )
    words = answers.tokenizer.tokenize("My name")
    assert answers.span_to_answer("My name is W", len(words) - 1, len(words)) == {"answer": "is", "start": 0, "end": 10}


def test_example_of_squad_counts_words() -> None:
    from pipesmith.pipelines.compat.returned import returned

    example = returned("transformers", "SquadExample")("1", "Who?", " My name  is\tX Y.\n", "X Y", 13, "t")
    assert example.doc_tokens == ["My", "name", "is", "X", "Y."]
    assert example.char_to_word_offset == [-1, *[0] * 3, *[1] * 6, *[2] * 3, *[3] * 2, *[4] * 3]
    assert (example.start_position, example.end_position) == (3, 4)


def test_from_the_shell(pipe: Pipe, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(media)
    ran = pipe("run", "question-answering", "--model", "tiny", "--context", CONTEXT, "--top-k", "2", "Where do I live?")
    assert ran.code == 0, ran.err
    assert [set(answer) for answer in ran.rows[0]] == [{"score", "start", "end", "answer"}] * 2
    assert CONTEXT[ran.rows[0][0]["start"] : ran.rows[0][0]["end"]] == ran.rows[0][0]["answer"]
    for name in ("visual-question-answering", "vqa"):
        assert pipe("run", name, "--model", "tiny", "--question", "what?", "noise.png").rows[0][0]["answer"]
    short = ["--model", "tiny", "--max-new-tokens", "3"]
    assert "generated_text" in pipe("run", "image-to-text", *short, "noise.png").rows[0][0]
    assert "translation_text" in pipe("run", "translation_en_to_fr", *short, "hello").rows[0][0]


def test_files(pipe: Pipe, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns question and context are taken unasked; a picture's path is opened; a bad row is one bad row."""
    monkeypatch.chdir(media)
    write(media, {"qa.csv": f"id,question,context\n1,Where?,{CONTEXT}\n2,Who?,\n3,Who?,Anna and Bob.\n"})
    ran = pipe("run", "question-answering", "--model", "tiny", "--input", "qa.csv", "--format", "jsonl")
    assert ran.code == 3 and [row["id"] for row in ran.rows] == ["1", "2", "3"], ran.err
    assert "context is None" in ran.rows[1]["error"]["message"] and ran.rows[2]["result"]["answer"] in "Anna and Bob."
    write(media, {"vqa.csv": "image,question\nnoise.png,what?\nnoise.png,who?\ngone.png,who?\n"})
    ran = pipe("run", "vqa", "--model", "tiny", "--top-k", "1", "--input", "vqa.csv", "--format", "jsonl")
    assert ran.code == 3 and [len(row["result"] or ()) for row in ran.rows] == [1, 1, 0], ran.err
    assert "There is no image file gone.png" in ran.rows[2]["error"]["message"]


def test_list_and_info_show_them(pipe: Pipe, folder: Path) -> None:
    tasks = {task["task"]: task for task in json.loads(pipe("list", "--format", "json").out)["tasks"]}
    assert {tasks[name]["origin"] for name in TASKS} == {"built-in"}
    about = json.loads(pipe("info", "translation_en_to_fr", "--format", "json").out)
    assert about["task"] == "translation_en_to_fr" and about["default"]["model"] == "google-t5/t5-base"
    assert json.loads(pipe("info", "translation_en_to_cy", "--format", "json").out)["default"] is None
    assert {"src_lang", "tgt_lang", "num_beams"} <= {parameter["name"] for parameter in about["parameters"]}


def test_pipeline_of_user_code_for_4_makes_them(pipe: Pipe, folder: Path) -> None:
    from pipesmith.pipelines.testing import tiny_model

    write(
        folder,
        {
            "mine.py": f"""
            from transformers import Pipeline, TranslationPipeline, pipeline

            inner = pipeline("translation_en_to_fr", model={str(tiny_model("AutoModelForSeq2SeqLM").path)!r})
            assert isinstance(inner, TranslationPipeline)

            class MinePipeline(Pipeline):
                def _sanitize_parameters(self):
                    return {{}}, {{}}, {{}}

                def preprocess(self, text):
                    return {{"text": text}}

                def _forward(self, inputs):
                    return inputs

                def postprocess(self, outputs):
                    return inner(outputs["text"], max_new_tokens=3)
            """
        },
    )
    ran = pipe("run", "mine.py", "--model", "tiny", "--verbose", "one text")
    assert ran.code == 0 and "translation_text" in ran.rows[0][0], ran.err
    assert "Supplied for code written for transformers 4: removed tasks." in ran.err
