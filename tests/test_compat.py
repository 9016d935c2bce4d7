"""Pipelines written for transformers 4 run unchanged on 5, and give the numbers that 4 gave.

The pipelines, and what transformers 4.57 returned for them, stand in resources/compat; record.py there says how that
was recorded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Ran, write

from pipesmith.pipelines import compat
from pipesmith.pipelines.errors import PipelineLoadError

Pipe = Callable[..., Ran]
RESOURCES = Path(__file__).parent / "resources" / "compat"
CASES: dict[str, dict[str, Any]] = json.loads((RESOURCES / "cases.json").read_text())
NUMBERS = json.loads((RESOURCES / "numbers.json").read_text())
SEQUENCE_CLASSIFIER = "AutoModelForSequenceClassification"
on_5 = pytest.mark.skipif(not compat.needed(), reason="transformers 4 needs none of it")

# The registration of transformers 4's documentation, in the project of a user.
REGISTRATION = """
from transformers import AutoModelForSequenceClassification, TFAutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY

from .pairs import PairsPipeline

PIPELINE_REGISTRY.register_pipeline(
    "pairs",
    pipeline_class=PairsPipeline,
    pt_model=AutoModelForSequenceClassification,
    tf_model=TFAutoModelForSequenceClassification,
    default={"pt": ("user/awesome_model", "abcdef")},
    type="text",  # current support type: text, audio, image, multimodal
)
"""


def case_parameters() -> list[Any]:
    """All cases; those that run on 4.57 as they are written, and need nothing else, are for both lines."""
    return [
        pytest.param(name, marks=on_5 if "on_4" in case else [] if "needs" in case else pytest.mark.both_lines)
        for name, case in CASES.items()
    ]


def make_project(name: str, folder: Path) -> dict[str, Any]:
    """Write a case's pipeline and its checkpoint into a project; return what `pipeline` is to be called with."""
    from pipesmith.pipelines.testing import tiny_model

    case = CASES[name]
    file = case.get("file", name)
    source = (RESOURCES / "pipelines" / f"{file}.py").read_text()
    class_name = source.partition("Pipeline(")[0].rpartition(" ")[2] + "Pipeline"
    model_class = case.get("model", SEQUENCE_CLASSIFIER)
    own = case.get("model_class")
    registered = f"{file}.{own}" if own else f"transformers.{model_class}"
    register = f"""
    import transformers
    from pipesmith.pipelines import PIPELINE_REGISTRY
    from . import {file}

    PIPELINE_REGISTRY.register_pipeline("{name}", pipeline_class={file}.{class_name}, pt_model={registered})
    """
    write(folder, {"pipelines/__init__.py": register, f"pipelines/{file}.py": source})
    shutil.copytree(tiny_model(model_class, case.get("architecture")).path, folder / "checkpoint")
    for changed, content in case.get("files", {}).items():
        (folder / "checkpoint" / changed).unlink(missing_ok=True)
        if content is not None:
            (folder / "checkpoint" / changed).write_text(json.dumps(content))
    arguments = {"model_kwargs": case.get("model_kwargs"), **case.get("init", {})}
    return {"task": name, "model": folder / "checkpoint", "device": None if "needs" in case else "cpu", **arguments}


def run_calls(name: str, folder: Path) -> list[Any]:
    """Run a case's calls."""
    from pipesmith.pipelines import pipeline

    pipe = pipeline(**make_project(name, folder))
    return [json.loads(json.dumps(pipe(inputs, **parameters))) for inputs, parameters in CASES[name]["calls"]]


def near(recorded: Any) -> Any:
    """Make a recorded result equal to one whose floats differ by rounding only."""
    if isinstance(recorded, float):
        return pytest.approx(recorded, abs=2e-5)
    if isinstance(recorded, dict):
        return {key: near(value) for key, value in recorded.items()}
    return [near(value) for value in recorded] if isinstance(recorded, list) else recorded


# ---- Numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # transformers 4 warns of what 5 has removed
@pytest.mark.parametrize("name", case_parameters())
def test_pipeline_gives_the_numbers_of_4(name: str, folder: Path) -> None:
    if "needs" in CASES[name]:
        pytest.importorskip(CASES[name]["needs"])
    assert run_calls(name, folder) == near(NUMBERS["results"][name])
    if compat.needed():
        assert set(CASES[name]["shims"]) <= set(compat.used())
    else:
        assert not compat.used()


@pytest.mark.both_lines
@pytest.mark.parametrize("model_class", sorted(NUMBERS["weights"]))
def test_the_recorded_numbers_are_of_these_weights(model_class: str) -> None:
    from pipesmith.pipelines.testing import tiny_model

    spec = importlib.util.spec_from_file_location("record", RESOURCES / "record.py")
    assert spec is not None and spec.loader is not None
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    assert record.weights_hash(tiny_model(model_class).path) == NUMBERS["weights"][model_class]


@pytest.mark.both_lines
def test_registration_of_the_documentation(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    write(folder, {"pipelines/__init__.py": REGISTRATION})
    shutil.copy(RESOURCES / "pipelines" / "pairs.py", folder / "pipelines")
    ran = pipe("run", "pairs", "--model", tiny_checkpoint, "--second-text", "A cat is asleep.", "The cat sleeps.")
    assert ran.code == 0, ran.err
    assert ran.rows == [near(NUMBERS["results"]["pairs"][1])]


@pytest.mark.both_lines
def test_the_guide_character_by_character(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    guide = os.environ.get("PIPESMITH_GUIDE")
    if guide is None:
        pytest.skip("PIPESMITH_GUIDE names no copy of transformers 4's add_new_pipeline.md")
    blocks = [block.partition("\n")[2] for block in Path(guide).read_text().split("```")[1::2]]
    source = next(block for block in blocks if "class PairClassificationPipeline" in block)
    registration = next(block for block in blocks if "tf_model=" in block and "pair_classification import" in block)
    write(folder, {"pipelines/__init__.py": registration, "pipelines/pair_classification.py": source})
    ran = pipe(
        "run", "pair-classification", "--model", tiny_checkpoint, "--set", 'second_text="A cat is asleep."',
        "The cat sleeps.",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.rows[0]["logits"] == near(NUMBERS["results"]["pairs"][1]["logits"])


@pytest.mark.parametrize("form", ["('{0}', None)", "{{'pt': ('{0}', None)}}", "{{'pt': '{0}'}}", "'{0}'"])
@on_5
def test_default_model_in_every_form_of_4_is_one_for_transformers(
    folder: Path, tiny_checkpoint: Path, form: str
) -> None:
    from transformers import pipeline
    from transformers.pipelines import PIPELINE_REGISTRY

    from pipesmith.pipelines.modules import import_file

    default = form.format(tiny_checkpoint)
    registration = REGISTRATION.replace('{"pt": ("user/awesome_model", "abcdef")}', default).replace('"pairs"', '"p4"')
    write(folder, {"pipelines/__init__.py": registration})
    shutil.copy(RESOURCES / "pipelines" / "pairs.py", folder / "pipelines")
    import_file(folder / "pipelines" / "__init__.py")
    try:
        assert set(pipeline("p4")("text")) == {"label", "logits"}
    finally:
        del PIPELINE_REGISTRY.supported_tasks["p4"]


@pytest.mark.both_lines
def test_a_module_that_plain_python_imported_is_adapted(
    folder: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipesmith.pipelines import pipeline

    shutil.copy(RESOURCES / "pipelines" / "pairs.py", folder / "plain_pairs.py")
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("plain_pairs")
    pipe = pipeline("plain_pairs.py", model=tiny_checkpoint, pt_model=SEQUENCE_CLASSIFIER)
    assert type(pipe) is module.PairsPipeline
    assert pipe("The cat sleeps.") == near(NUMBERS["results"]["pairs"][0])


# ---- Code of a checkpoint ---------------------------------------------------------------------------------------


CONFIGURATION = """
from transformers import BertConfig, TFPreTrainedModel

from .naming import NAME


class OwnConfig(BertConfig):
    model_type = "own-bert"

    def model_class(self):
        from .modeling_own import PlainClassifier  # makes transformers copy both files to one place

        return PlainClassifier
"""
NAMING = """
from transformers import TFPreTrainedModel, is_tf_available

NAME = "tensorflow" if is_tf_available() else "own"
"""
TOKENIZATION = """
from transformers import BertTokenizerFast
from transformers.tokenization_utils import TruncationStrategy


class OwnTokenizerFast(BertTokenizerFast):
    strategy = TruncationStrategy.LONGEST_FIRST
"""


@pytest.fixture
def checkpoint_of_4(folder: Path, tiny_checkpoint: Path) -> Path:
    """A checkpoint that brings a pipeline, a model, a configuration and a tokenizer, all code for transformers 4."""
    checkpoint = folder / "checkpoint"
    shutil.copytree(tiny_checkpoint, checkpoint)
    source = (RESOURCES / "pipelines" / "own_model.py").read_text()
    model, _, pipeline = source.partition("\n\nclass OwnModelPipeline")
    write(
        checkpoint,
        {
            "naming.py": NAMING,
            "configuration_own.py": CONFIGURATION,
            "tokenization_own.py": TOKENIZATION,
            "modeling_own.py": "from transformers import TFAutoModel\nfrom .configuration_own import OwnConfig\n"
            + model.replace("config_class = BertConfig", "config_class = OwnConfig"),
            "own_pipeline.py": "from transformers import Pipeline, TFAutoModel\n\nfrom .naming import NAME\n\n\n"
            f"class OwnModelPipeline{pipeline}".replace('"model":', '"name": NAME, "model":'),
        },
    )
    config = json.loads((checkpoint / "config.json").read_text())
    config["model_type"] = "own-bert"
    config["transformers_version"] = "4.30.0"
    config["auto_map"] = {
        "AutoConfig": "configuration_own.OwnConfig",
        SEQUENCE_CLASSIFIER: "modeling_own.PlainClassifier",
    }
    config["custom_pipelines"] = {
        "own": {"impl": "own_pipeline.OwnModelPipeline", "pt": [SEQUENCE_CLASSIFIER], "tf": [], "type": "text"}
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": [None, "tokenization_own.OwnTokenizerFast"]}
    tokenizer["tokenizer_class"] = "OwnTokenizer"
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return checkpoint


@pytest.mark.both_lines
def test_code_of_a_checkpoint(pipe: Pipe, checkpoint_of_4: Path) -> None:
    assert "modeling_own.py" in pipe("run", checkpoint_of_4, "one text").err
    ran = pipe("run", checkpoint_of_4, "--trust-remote-code", "one text")
    assert ran.code == 0, ran.err
    assert ran.rows == [{"name": "own", **near(NUMBERS["results"]["own_model"][0])}]


@pytest.mark.both_lines
def test_parts_of_a_checkpoint_are_of_its_own_classes(checkpoint_of_4: Path) -> None:
    from pipesmith.pipelines import pipeline

    pipe = pipeline(str(checkpoint_of_4), trust_remote_code=True)
    assert type(pipe.tokenizer).__name__ == "OwnTokenizerFast"
    assert type(pipe.model.config).__name__ == "OwnConfig"


@pytest.mark.both_lines
def test_code_of_another_repository(checkpoint_of_4: Path) -> None:
    """Its files lie in one place by commit, so that each may run because another one imports it."""
    from transformers import AutoModelForSequenceClassification

    from pipesmith.pipelines.compat.remote import only_checked_code
    from pipesmith.pipelines.trust import checked

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = Path(os.environ["HF_HOME"]) / "hub" / "models--someone--code-for-4"
    write(repository, {"refs/main": commit})
    (repository / "snapshots" / commit).mkdir(parents=True)
    for name in ("configuration_own", "modeling_own", "naming"):
        (checkpoint_of_4 / f"{name}.py").rename(repository / "snapshots" / commit / f"{name}.py")
    config = json.loads((checkpoint_of_4 / "config.json").read_text())
    config["auto_map"] = {key: f"someone/code-for-4--{value}" for key, value in config["auto_map"].items()}
    (checkpoint_of_4 / "config.json").write_text(json.dumps(config))
    checked.allow({file.name: file.read_bytes() for file in (repository / "snapshots" / commit).iterdir()})
    with only_checked_code():
        model = AutoModelForSequenceClassification.from_pretrained(
            checkpoint_of_4, trust_remote_code=True, code_revision=commit
        )
    assert isinstance(model, model.config.model_class())
    assert sys.modules[f"{type(model).__module__.rpartition('.')[0]}.naming"].NAME == "own"


@on_5
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("self.get_head_mask(None, 2)", "transformers 5"),
        ("raise TypeError('changed')", "saved with transformers 4.30.0"),
    ],
)
def test_code_of_a_checkpoint_that_needs_what_is_gone(
    pipe: Pipe, checkpoint_of_4: Path, statement: str, said: str
) -> None:
    file = checkpoint_of_4 / "modeling_own.py"
    file.write_text(file.read_text().replace("        self.bert =", f"        {statement}\n        self.bert ="))
    ran = pipe("run", checkpoint_of_4, "--trust-remote-code", "one text")
    assert ran.code == 1
    assert said in ran.err and "modeling_own.py:" in ran.err and 'pip install "transformers<5"' in ran.err


@pytest.mark.both_lines
def test_save_pretrained_copies_the_code_and_names_it(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline

    live = pipeline(**make_project("pairs", folder))
    live.save_pretrained(folder / "saved", safe_serialization=True)
    config = json.loads((folder / "saved" / "config.json").read_text())
    assert config["custom_pipelines"]["pairs"]["impl"] == "pairs.PairsPipeline"
    assert list(config["custom_pipelines"]["pairs"]["pt"]) == [SEQUENCE_CLASSIFIER]
    saved = (folder / "saved" / "pairs.py").read_text()
    assert saved == (RESOURCES / "pipelines" / "pairs.py").read_text()
    ran = pipe("run", folder / "saved", "--trust-remote-code", "The cat sleeps.")
    assert ran.code == 0, ran.err
    assert ran.rows == [near(NUMBERS["results"]["pairs"][0])]


@on_5
def test_what_was_supplied_is_not_saved(folder: Path) -> None:
    from pipesmith.pipelines import pipeline

    live = pipeline(**make_project("generation", folder))
    live("once")
    live.save_pretrained(folder / "saved")
    assert "prefix" not in json.loads((folder / "saved" / "config.json").read_text())
    assert json.loads((folder / "saved" / "generation_config.json").read_text())["max_length"] == 14
    moved = {**NUMBERS["results"]["generation"][0], "config": [None, None]}  # saving moves them, on 4.57.6 as well
    assert live("once upon a time") == moved


# ---- What is gone -----------------------------------------------------------------------------------------------


def failing(statement: str, place: str = "module") -> str:
    """A pipeline with a statement in its module or in its preprocess."""
    source = (RESOURCES / "pipelines" / "pairs.py").read_text()
    if place == "module":
        return f"{statement}\n{source}"
    return source.replace("        return self.tokenizer", f"        {statement}\n        return self.tokenizer")


@on_5
@pytest.mark.parametrize(
    ("statement", "place", "said"),
    [
        ("from transformers import TFAutoModel\nTFAutoModel.from_pretrained('x')", "module", "TensorFlow models"),
        ("from transformers import TFBertModel\nTFBertModel()", "module", "Use the PyTorch class BertModel"),
        ("from transformers import ModelCard\nModelCard.from_pretrained('x')", "module", "ModelCard.from_pretrained"),
        ("from huggingface_hub import Repository\nRepository('x')", "module", "snapshot_download"),
        ("import transformers; transformers.ImageToImagePipeline", "module", "has removed the task image-to-image"),
        ("from transformers.pipelines import ConversationalPipeline", "module", "the task conversational"),
        ("from transformers.pipelines.question_answering import X", "module", "question_answering.X"),
        ("from transformers.modeling_utils import SequenceSummary", "module", 'pip install "transformers<5"'),
        ("import transformers.onnx", "module", 'pip install "transformers<5"'),
        ("self.tokenizer.prepare_seq2seq_batch(text)", "preprocess", 'pip install "transformers<5"'),
        ("self.model.config.use_bfloat16", "preprocess", 'pip install "transformers<5"'),
    ],
)
def test_what_is_gone_is_said_with_what_helps(
    pipe: Pipe, folder: Path, tiny_checkpoint: Path, statement: str, place: str, said: str
) -> None:
    write(folder, {"mine.py": failing(statement, place)})
    ran = pipe("run", "mine.py", "--model", tiny_checkpoint, "text")
    assert ran.code in (1, 3)
    assert said in ran.err and "mine.py:" in ran.err, ran.err
    assert "Traceback" not in ran.err


@pytest.mark.both_lines
@pytest.mark.parametrize("place", ["module", "preprocess"])
@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_a_missing_package_is_named(pipe: Pipe, folder: Path, tiny_checkpoint: Path, place: str, module: str) -> None:
    write(folder, {"mine.py": failing(f"import {module}", place)})
    ran = pipe("run", "mine.py", "--model", tiny_checkpoint, "text")
    assert ran.code in (1, 3)
    assert "needs the package no_such_package" in ran.err and "pip install no_such_package\n" in ran.err


@pytest.mark.both_lines
def test_a_missing_package_of_a_checkpoints_code_is_named(pipe: Pipe, checkpoint_of_4: Path) -> None:
    file = checkpoint_of_4 / "own_pipeline.py"
    file.write_text(f"import no_such_package\n{file.read_text()}")
    ran = pipe("run", checkpoint_of_4, "--trust-remote-code", "text")
    assert ran.code == 1
    assert "pip install no_such_package" in ran.err


@on_5
@pytest.mark.parametrize("task", ["pairs.py", "text-classification"])
def test_tensorflow_is_refused(folder: Path, tiny_checkpoint: Path, task: str) -> None:
    from pipesmith.pipelines import pipeline

    shutil.copy(RESOURCES / "pipelines" / "pairs.py", folder)
    with pytest.raises(PipelineLoadError, match="transformers 5 has no TensorFlow models") as refused:
        pipeline(task, model=tiny_checkpoint, framework="tf")
    assert "transformers 4" in str(refused.value.hint)


@pytest.mark.both_lines
def test_a_class_that_demands_the_framework_is_given_it(folder: Path, tiny_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline

    shutil.copy(RESOURCES / "pipelines" / "both_frameworks.py", folder)
    pipe = pipeline("both_frameworks.py", model=tiny_checkpoint, pt_model=SEQUENCE_CLASSIFIER)
    assert pipe.framework == "pt" and pipe("one text")


@pytest.mark.both_lines
def test_bases_of_every_kind(folder: Path, tiny_checkpoint: Path) -> None:
    source = (RESOURCES / "pipelines" / "pairs.py").read_text()
    classes = """
    import collections, dataclasses, enum, typing

    class Mixin:
        def postprocess(self, outputs):
            return {**super().postprocess(outputs), "framework": self.framework}

    class Colour(enum.Enum):
        RED = 1

    @dataclasses.dataclass
    class Point(typing.Generic[typing.TypeVar("T")]):
        x: int = 0

    Row = typing.NamedTuple("Row", [("a", int)])

    class Chosen(Mixin, PairsPipeline, typing.Generic[typing.TypeVar("U")]):
        framework = "pt"  # of its own
    """
    from pipesmith.pipelines import pipeline

    write(folder, {"mine.py": source + textwrap.dedent(classes)})
    pipe = pipeline("mine.py:Chosen", model=tiny_checkpoint, pt_model=SEQUENCE_CLASSIFIER)
    assert pipe("The cat sleeps.") == {**near(NUMBERS["results"]["pairs"][0]), "framework": "pt"}


@on_5
def test_arguments_of_4_do_not_reach_transformers_own_tasks(tiny_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline

    classify = pipeline("text-classification", model=tiny_checkpoint, framework="pt", modelcard=None)
    assert classify("text")


# ---- The table, and what stays as it was ------------------------------------------------------------------------


@pytest.mark.both_lines
def test_every_shim_has_a_case() -> None:
    elsewhere = {"register_pipeline(tf_model=)", 'default={"pt": ...}', "safe_serialization="}
    assert set(compat.SHIMS) == {shim for case in CASES.values() for shim in case["shims"]} | elsewhere


@pytest.mark.both_lines
def test_on_4_a_module_sees_transformers_itself(folder: Path) -> None:
    import transformers

    from pipesmith.pipelines.modules import import_file

    module = import_file(write(folder, {"seen.py": "import transformers"}) / "seen.py")
    assert (module.transformers is transformers) is not compat.needed()
    assert module.transformers.Pipeline is transformers.Pipeline
    assert module.transformers.__version__ == transformers.__version__


@on_5
def test_modules_of_transformers_hold_what_they_held(folder: Path) -> None:
    """All cases in one process, then in another, without pipesmith, whatever the first found there is asked for."""
    from pipesmith.pipelines.testing import tiny_model

    for model_class in [*NUMBERS["weights"], "AutoModelForSeq2SeqLM"]:
        name = model_class.removeprefix("AutoModelFor")
        architecture = "bart" if name == "Seq2SeqLM" else None
        shutil.copytree(tiny_model(model_class, architecture).path, folder / "checkpoints" / name)
    program = """
    import inspect, json, os, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from pipesmith.pipelines.compat import SHIMS, used
    import test_compat
    for name, case in test_compat.CASES.items():
        if "needs" not in case:
            (Path.cwd() / name).mkdir()
            os.chdir(name)
            test_compat.run_calls(name, Path.cwd())
            os.chdir("..")
    assert len(used()) > 15, used()
    names = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("transformers", "huggingface_hub"):
            classes = {}
            for key, value in list(vars(module).items()):
                if inspect.isclass(value) and value.__module__ == name:
                    classes[key] = [each for each in vars(value) if each != "__slotnames__"]  # a note of copy.copy
            names[name] = [list(vars(module)), classes]
    Path("names.json").write_text(json.dumps(names))
    """
    plain = """
    import importlib, json
    from pathlib import Path
    import transformers
    for model_class in (path.name for path in Path("checkpoints").iterdir()):
        transformers.AutoTokenizer.from_pretrained(f"checkpoints/{model_class}")
        getattr(transformers, f"AutoModelFor{model_class}").from_pretrained(f"checkpoints/{model_class}")
    added = []
    names = json.loads(Path("names.json").read_text())
    modules = {name: importlib.import_module(name) for name in names}  # all at first: each is a name of its package
    for name, (held, classes) in names.items():
        module = modules[name]
        added += [f"{name}.{each}" for each in held if not hasattr(module, each)]
        for key, attributes in classes.items():
            own = vars(getattr(module, key))
            added += [f"{name}.{key}.{each}" for each in attributes if each not in own]
    print(json.dumps(added))
    """
    said = ""
    for text in (program, plain):
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(text), str(Path(__file__).parent)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    assert json.loads(said.splitlines()[-1]) == []
