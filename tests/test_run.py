"""`pipe run`: what runs, with which parameters, and how results come out."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from support import LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines


def test_registered_task(pipe: Pipe, project: Path) -> None:
    ran = pipe("run", "length", "--model", "tiny", "two words")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("tokens") and len(ran.rows[0]["scores"]) == 1


def test_flags_stand_anywhere_and_with_equals(pipe: Pipe, project: Path) -> None:
    one = pipe("run", "length", "--top-k", "2", "--unit", "pieces", "two words", "--model", "tiny")
    other = pipe("run", "--model=tiny", "length", "two words", "--unit=pieces", "--top-k=2")
    assert one.code == 0, one.err
    assert one.rows == other.rows
    assert one.rows[0]["length"].endswith("pieces") and len(one.rows[0]["scores"]) == 2


def test_text_that_looks_like_a_number_or_a_flag_stays_text(pipe: Pipe, project: Path) -> None:
    ran = pipe("run", "length", "--model", "tiny", "--unit", "2024", "--", "--top-k")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("2024")
    assert pipe("run", "length", "--model", "tiny", "-5 degrees", "- an item").code == 0


def test_switch_takes_no_value(pipe: Pipe, project: Path) -> None:
    assert pipe("run", "length", "--model", "tiny", "--loud", "words").rows[0]["length"].endswith("TOKENS")
    assert pipe("run", "length", "--model", "tiny", "--no-loud", "words").rows[0]["length"].endswith("tokens")


def test_set_passes_json(pipe: Pipe, project: Path) -> None:
    ran = pipe("run", "length", "--model", "tiny", "--set", "top_k=2", "--set", 'unit="x"', "words")
    assert ran.rows[0]["length"].endswith("x") and len(ran.rows[0]["scores"]) == 2


def test_parameter_named_like_an_option(pipe: Pipe, folder: Path) -> None:
    write(folder, {"odd.py": LENGTH_PIPELINE.replace("unit", "model").replace("LengthP", "OddP")})
    ran = pipe("run", "odd.py", "--model", "tiny", "--param.model", "pieces", "words")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("pieces")
    assert "--param.model" in pipe("run", "odd.py", "--help").out


def test_file_without_a_project(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": LENGTH_PIPELINE})
    for name in ("mine.py", "mine.py:LengthPipeline", folder / "mine.py"):
        ran = pipe("run", name, "--model", "tiny", "words")
        assert ran.code == 0, ran.err
        assert "AutoModelForSequenceClassification" in ran.err  # which model it was taken for
    named = pipe("run", "mine.py", "--pt-model", "AutoModelForSequenceClassification", "--model", "tiny", "words")
    assert named.rows == ran.rows and "AutoModelForSequenceClassification" not in named.err


def test_subclass_of_a_task_of_transformers_takes_its_models(pipe: Pipe, folder: Path) -> None:
    write(
        folder,
        {
            "spans.py": """
            from transformers import TokenClassificationPipeline

            class SpansPipeline(TokenClassificationPipeline):
                def postprocess(self, all_outputs, **parameters):
                    return [item["word"] for item in super().postprocess(all_outputs, **parameters)]
            """
        },
    )
    ran = pipe("run", "spans.py", "--model", "tiny", "--aggregation-strategy", "none", "two words")
    assert ran.code == 0, ran.err
    assert "".join(ran.rows[0]).replace("#", "") == "twowords"
    assert "AutoModelForTokenClassification" in ran.err


def test_a_path_is_a_path_even_where_a_task_has_its_name(pipe: Pipe, project: Path) -> None:
    (project / "length").mkdir()
    ran = pipe("run", "length", "--model", "tiny", "words")
    assert ran.code == 1 and "config.json" in ran.err


def test_project_default_model_and_parameters(pipe: Pipe, project: Path, tiny_checkpoint: Path) -> None:
    settings = f"""
    [tool.pipe.tasks.length]
    model = "{tiny_checkpoint}"
    parameters = {{ unit = "pieces", top_k = 2 }}
    """
    write(project, {"pyproject.toml": settings})
    assert pipe("run", "length", "words").rows[0]["length"].endswith("pieces")
    assert pipe("run", "length", "--unit", "bits", "words").rows[0]["length"].endswith("bits")


@pytest.mark.parametrize(
    "default", ['{"pt": ("models/mine", "main")}', '{"model": ("models/mine", "main")}', '"models/mine"']
)
def test_forms_of_a_default(pipe: Pipe, project: Path, tiny_checkpoint: Path, default: str) -> None:
    (project / "models").mkdir()
    (project / "models" / "mine").symlink_to(tiny_checkpoint)
    registry = project / "pipelines" / "__init__.py"
    registry.write_text(registry.read_text().replace('type="text"', f'type="text", default={default}'))
    ran = pipe("run", "length", "words")
    assert ran.code == 0, ran.err


def test_class_and_tf_model_in_an_entry(pipe: Pipe, project: Path) -> None:
    write(
        project,
        {
            "pipelines/__init__.py": """
            from pipesmith.pipelines import PIPELINE_REGISTRY as REGISTRY
            from transformers import AutoModelForSequenceClassification

            from .length import LengthPipeline

            REGISTRY.register_pipeline("length", pipeline_class=LengthPipeline,
                pt_model=AutoModelForSequenceClassification, tf_model="TFAutoModelForSequenceClassification")
            """
        },
    )
    assert pipe("run", "length", "--model", "tiny", "words").code == 0


def test_entry_decided_at_run_time_is_loaded_when_it_runs(pipe: Pipe, project: Path) -> None:
    write(
        project,
        {
            "pipelines/__init__.py": """
            import os
            from pipesmith.pipelines import PIPELINE_REGISTRY

            for name in os.environ.get("LENGTH_TASKS", "length-a length-b").split():
                PIPELINE_REGISTRY.register_pipeline(name, pipeline_class="length.LengthPipeline",
                    pt_model="AutoModelForSequenceClassification")
            """
        },
    )
    assert "pipelines/__init__.py:4" in pipe("list").err
    ran = pipe("run", "length-b", "--model", "tiny", "--set", "top_k=2", "words")
    assert ran.code == 0, ran.err
    assert len(ran.rows[0]["scores"]) == 2


def test_init_arguments(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace(
        "    def preprocess",
        "    def __init__(self, *args, suffix, **kwargs):\n        self.suffix = suffix\n"
        "        super().__init__(*args, **kwargs)\n\n    def preprocess",
    ).replace("{unit}", "{unit}{self.suffix}")
    write(folder, {"mine.py": source})
    without = pipe("run", "mine.py", "--model", "tiny", "words")
    assert without.code == 1 and "suffix" in without.err and "--init" in without.err
    ran = pipe("run", "mine.py", "--model", "tiny", "--init", 'suffix="!"', "words")
    assert ran.rows[0]["length"].endswith("tokens!")


def test_what_the_users_code_prints_goes_to_stderr(pipe_process: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace(
        'return self.tokenizer(text, return_tensors="pt")',
        'import os; print("said"); os.system("echo shouted"); return self.tokenizer(text, return_tensors="pt")',
    )
    write(folder, {"mine.py": "print('hello')\n" + source})
    ran = pipe_process("run", "mine.py", "--model", "tiny", "words", cwd=folder)
    assert ran.code == 0, ran.err
    assert len(ran.rows) == 1 and ran.rows[0]["length"]
    assert {"hello", "said", "shouted"} <= set(ran.err.splitlines())


def test_results_become_plain_json(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace(
        'return {"length"',
        textwrap.dedent("""
        import dataclasses, numpy, torch
            @dataclasses.dataclass
            class Point:
                x: float
                y: object
            return {"tensor": torch.eye(2, dtype=torch.bfloat16), "scalar": numpy.float32(0.5),
                    "array": numpy.arange(3), "point": Point(1.5, numpy.int64(2)), "nan": float("nan"),
                    3: {1, 2}, "bytes": b"ab", "pair": (1, 2),
                    "lazy": (n for n in "ab"), "range": range(2), "meta": torch.empty(2, 3, device="meta"),
                    "sparse": torch.eye(2).to_sparse(), "half": "\\ud800"}
            return {"length"
        """)
        .strip()
        .replace("\n    ", "\n        "),
    )
    write(folder, {"mine.py": source})
    ran = pipe("run", "mine.py", "--model", "tiny", "words")
    assert ran.code == 0, ran.err
    assert ran.rows == [
        {
            "tensor": [[1.0, 0.0], [0.0, 1.0]],
            "scalar": 0.5,
            "array": [0, 1, 2],
            "point": {"x": 1.5, "y": 2},
            "nan": None,
            "3": [1, 2],
            "bytes": "YWI=",
            "pair": [1, 2],
            "lazy": ["a", "b"],
            "range": [0, 1],
            "meta": "tensor without values, of shape (2, 3)",
            "sparse": [[1.0, 0.0], [0.0, 1.0]],
            "half": "\ud800",
        }
    ]


def test_dict_input_is_json(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace("def preprocess(self, text):", "def preprocess(self, row: dict):").replace(
        "self.tokenizer(text,", 'self.tokenizer(row["a"], row["b"],'
    )
    write(folder, {"mine.py": source})
    ran = pipe("run", "mine.py", "--model", "tiny", '{"a": "x", "b": "y"}')
    assert ran.code == 0, ran.err
    bad = pipe("run", "mine.py", "--model", "tiny", "{a: 1}")
    assert bad.code == 1 and "input 1 is not JSON" in bad.err


def test_keys_that_preprocess_reads_make_the_input_json(pipe: Pipe, folder: Path) -> None:
    keys = LENGTH_PIPELINE.replace("self.tokenizer(text,", 'self.tokenizer(text["a"], text.get("b"),')
    asks = keys.replace(
        "        return self.tokenizer", "        assert isinstance(text, str)\n        return self.tokenizer"
    )
    made = LENGTH_PIPELINE.replace(
        "return self.tokenizer(text,", "text = {'a': text}; return self.tokenizer(text['a'],"
    )
    write(folder, {"mine.py": keys, "asks.py": asks, "made.py": made, "in.jsonl": '{"a": "x", "b": "y z"}\n'})
    assert """'{"a": ..., "b": ...}'""" in pipe("run", "mine.py", "--help").out
    assert pipe("run", "mine.py", "--model", "tiny", '{"a": "x"}').code == 0
    bad = pipe("run", "mine.py", "--model", "tiny", "x")
    assert bad.code == 1 and "input 1 is not JSON" in bad.err
    assert pipe("run", "mine.py", "--model", "tiny", "--input", "in.jsonl").rows[0]["result"]
    assert pipe("run", "made.py", "--model", "tiny", "x").code == 0
    assert '"some text"' in pipe("run", "asks.py", "--help").out


def test_parameter_without_a_default_is_required(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": LENGTH_PIPELINE.replace("top_k: int = 1", "*, top_k: int")})
    assert "[required]" in pipe("run", "mine.py", "--help").out
    ran = pipe("run", "mine.py", "--model", "tiny", "words")
    assert ran.code == 1 and "'top_k'" in ran.err and "Hint: Give --top-k" in ran.err, ran.err
    assert pipe("run", "mine.py", "--model", "tiny", "--top-k", "1", "words").code == 0


def test_what_a_model_returns_on_demand_only(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace('return {"length"', 'outputs.hidden_states[-1]; return {"length"')
    write(folder, {"mine.py": source.replace('return {"outputs": self.model(**inputs)', "return self.model(**inputs)")})
    ran = pipe("run", "mine.py", "--model", "tiny", "words")
    assert ran.code == 1 and "output_hidden_states=True" in ran.err, ran.err
    assert "transformers<5" not in ran.err


def test_arguments_of_init(pipe: Pipe, folder: Path) -> None:
    init = "    def __init__(self, model, {}):\n        {}\n        super().__init__(model, {})\n\n    def preprocess"
    more = init.format("**kwargs", "self.most = kwargs.get('most')", "**kwargs")
    fixed = init.format("tokenizer", "pass", "tokenizer")
    loads = init.format("**kwargs", "model = __import__('transformers').AutoModel.from_pretrained(model)", "**kwargs")
    sources = {"more.py": more, "fixed.py": fixed, "loads.py": loads}
    write(folder, {name: LENGTH_PIPELINE.replace("    def preprocess", text) for name, text in sources.items()})
    ran = pipe("run", "more.py", "--model", "tiny", "--most", "3", "words")
    assert ran.code == 2 and "--init most=JSON" in ran.err, ran.err
    ran = pipe("run", "fixed.py", "--model", "tiny", "words")
    assert ran.code == 1 and "**kwargs" in ran.err and "--init" not in ran.err, ran.err
    ran = pipe("run", "loads.py", "--model", "tiny", "words")
    assert ran.code == 1 and "isinstance(model, str)" in ran.err, ran.err


def test_json_option(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": LENGTH_PIPELINE.replace("self.tokenizer(text,", 'self.tokenizer(text["a"],')})
    assert pipe("run", "mine.py", "--model", "tiny", "--json", '{"a": "x"}').code == 0


def test_stdin_line_by_line(pipe: Pipe, project: Path) -> None:
    ran = pipe("run", "length", "--model", "tiny", stdin="one\ntwo words\r\n\nlast")
    assert ran.code == 0, ran.err
    assert len(ran.rows) == 4
    assert pipe("run", "length", "--model", "tiny", "-", stdin="one\n").rows == ran.rows[:1]


def test_stdin_is_answered_as_it_comes(project: Path) -> None:
    command = [str(Path(sys.executable).with_name("pipe")), "run", "length", "--model", "tiny"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=project) as process:
        assert process.stdin and process.stdout
        for text in ("first", "second text"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["length"]
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "quiet", "human"])
def test_formats(pipe: Pipe, folder: Path, form: str) -> None:
    ran = pipe("run", "text-classification", "--model", "tiny", "--format", form, "one", "two")
    assert ran.code == 0, ran.err
    if form == "json":
        assert [set(row) for row in json.loads(ran.out)] == [{"label", "score"}] * 2
    elif form == "jsonl":
        assert [set(row) for row in ran.rows] == [{"label", "score"}] * 2
    elif form == "csv":
        lines = ran.out.splitlines()
        assert lines[0] == "label,score" and len(lines) == 3
    elif form == "quiet":
        assert all(line.startswith("LABEL_") for line in ran.out.splitlines())
    else:
        assert "one" in ran.out and "█" in ran.out and "LABEL_" in ran.out


def test_repeated_flag_is_a_list(pipe: Pipe, folder: Path) -> None:
    ran = pipe(
        "run", "zero-shot-classification", "--model", "tiny", "--candidate-labels", "a", "--candidate-labels", "b", "x"
    )
    assert ran.code == 0, ran.err
    assert sorted(ran.rows[0]["labels"]) == ["a", "b"]


def test_generation_and_tokenizer_parameters_are_flags(pipe: Pipe, folder: Path) -> None:
    ran = pipe("run", "text-generation", "--model", "tiny", "--max-new-tokens", "3", "--no-return-full-text", "hello")
    assert ran.code == 0, ran.err
    long_text = "word " * 700
    cut = pipe("run", "text-classification", "--model", "tiny", "--truncation", long_text)
    assert cut.code == 0, cut.err


def test_dtype_and_model_kwargs_reach_the_loading(pipe: Pipe, folder: Path) -> None:
    write(folder, {"mine.py": LENGTH_PIPELINE.replace('"scores": scores', '"dtype": str(self.model.dtype)')})
    assert pipe("run", "mine.py", "--model", "tiny", "x").rows[0]["dtype"] == "torch.float32"
    assert pipe("run", "mine.py", "--model", "tiny", "--dtype", "bfloat16", "x").rows[0]["dtype"] == "torch.bfloat16"
    settings = '{"attn_implementation": "eager"}'
    ran = pipe("run", "mine.py", "--model", "tiny", "--model-kwargs", settings, "--set", "loud=true", "x")
    assert ran.code == 0, ran.err
    ran = pipe("run", "mine.py", "--model", "tiny", "--model-kwargs", '{"attn_implementation": "no such"}', "x")
    assert ran.code == 1 and "no such" in ran.err


def test_checkpoint_folder(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    ran = pipe("run", tiny_checkpoint, "words")
    assert ran.code == 0, ran.err
    assert set(ran.rows[0]) == {"label", "score"}
    assert "text-classification" in ran.err
    assert pipe("run", tiny_checkpoint, "--task", "text-classification", "words").err == ""
    assert "--function-to-apply" in pipe("run", tiny_checkpoint, "--help").out


def test_checkpoint_with_code_of_its_own(pipe: Pipe, folder: Path, custom_checkpoint: Path) -> None:
    refused = pipe("run", custom_checkpoint, "words")
    assert refused.code == 1
    assert "length.py" in refused.err and "bytes" in refused.err and "--trust-remote-code" in refused.err
    assert not (folder / "ran").exists()
    shown = pipe("run", custom_checkpoint, "--help")
    assert "--unit" in shown.out and not (folder / "ran").exists()
    ran = pipe("run", custom_checkpoint, "--trust-remote-code", "--unit", "pieces", "words")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("pieces") and (folder / "ran").exists()


def test_python_api(project: Path, tiny_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline

    pipe = pipeline("length", model=tiny_checkpoint, unit="pieces")
    assert pipe("words")["length"].endswith("pieces")
    assert pipe("words", top_k=2)["scores"]
    again = pipeline("length", model="tiny")
    assert type(again) is type(pipe)


def test_a_module_that_plain_python_imported_is_not_loaded_again(project: Path) -> None:
    program = """
    import pipelines, pipelines.length
    from transformers import AutoModelForSequenceClassification
    from pipesmith.pipelines import PIPELINE_REGISTRY, pipeline
    assert PIPELINE_REGISTRY.get_supported_tasks() == ["length"]
    assert type(pipeline("length", model="tiny")) is pipelines.length.LengthPipeline
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "from .helper import UNIT",
        "from helper import UNIT",
        "from pipelines.helper import UNIT",
        "from . import helper\nUNIT = helper.UNIT",
    ],
)
def test_siblings_import_in_every_style(pipe: Pipe, project: Path, statement: str) -> None:
    source = LENGTH_PIPELINE.replace('unit: str = "tokens"', "unit: str = UNIT")
    write(project, {"pipelines/length.py": f"{statement}\n{source}", "pipelines/helper.py": "UNIT = 'siblings'\n"})
    ran = pipe("run", "length", "--model", "tiny", "words")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("siblings")


def test_live_objects_from_python(project: Path, tiny_checkpoint: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from pipesmith.pipelines import pipeline

    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    expected = pipeline("length", model=tiny_checkpoint)("words")
    assert pipeline("length", model=model, tokenizer=tokenizer)("words") == expected
    assert pipeline("length", model=tiny_checkpoint, tokenizer=tokenizer, device=-1)("words") == expected
    assert (
        pipeline("length", model=tiny_checkpoint, device=torch.device("cpu"), dtype=torch.float32)("words") == expected
    )


def test_own_call_that_takes_no_dataset(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE + (
        "\n    def __call__(self, text, **parameters):\n        return super().__call__(text.upper(), **parameters)\n"
    )
    write(folder, {"mine.py": source})
    ran = pipe("run", "mine.py", "--pt-model", "AutoModelForSequenceClassification", "--model", "tiny", "a", "b")
    assert ran.code == 0, ran.err
    assert len(ran.rows) == 2 and ran.err.count("row by row") == 1


def test_chunks_without_is_last(pipe: Pipe, folder: Path) -> None:
    write(
        folder,
        {
            "mine.py": """
            from transformers.pipelines.base import ChunkPipeline

            class WordsPipeline(ChunkPipeline):
                def _sanitize_parameters(self): return {}, {}, {}
                def preprocess(self, text):
                    for word in text.split(): yield self.tokenizer(word, return_tensors="pt")
                def _forward(self, inputs): return self.model(**inputs).logits
                def postprocess(self, outputs): return len(outputs)
            """
        },
    )
    ran = pipe("run", "mine.py", "--model", "tiny", "one two three", "four")
    assert ran.code == 0, ran.err
    assert ran.rows == [3, 1]


def test_csv_and_human_output_of_odd_values(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace(
        '{"length": f"{outputs[\'length\']} {unit}", "scores": scores}',
        '{"b": None, "a": "[bold]\\\\\\x1b[31m"} if outputs["length"] > 3 else {"a": "x", "b": 1.5}',
    )
    write(folder, {"mine.py": source})
    ran = pipe("run", "mine.py", "--model", "tiny", "--format", "csv", "i", "two words are here")
    assert ran.out.splitlines()[0] == "a,b" and ran.out.splitlines()[1] == "x,1.5"
    assert ran.out.splitlines()[2].endswith(",")
    human = pipe("run", "mine.py", "--model", "tiny", "--format", "human", "two words are here").out
    assert "[bold]" in human and "\x1b" not in human
