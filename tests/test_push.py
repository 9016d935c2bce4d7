"""`pipe push` and `pipe verify` over HTTP, and the folders they publish: loaded by plain transformers alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import LENGTH_ENTRY, LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
Python = Callable[..., Any]
RESOURCES = Path(__file__).parent / "resources"

# A class for two tasks that needs a sibling, a sub-package and what is above it, imported in every style.
TWO_TASKS = {
    "pipelines/__init__.py": LENGTH_ENTRY + LENGTH_ENTRY.replace('"length"', '"width"'),
    "pipelines/length.py": LENGTH_PIPELINE.replace(
        "from transformers import Pipeline\n",
        "from transformers import Pipeline\n\nfrom . import words\nfrom .shapes.sizes import size\nimport numbers_of\n",
    ).replace(
        'return {"length": f"{outputs[\'length\']} {unit}"',
        'return {"length": f"{size(outputs[\'length\'])} {words.of(unit)}{numbers_of.ZERO}"',
    ),
    "pipelines/words.py": "import yaml\n\n\ndef of(unit):\n    return yaml.safe_load(str(unit))\n",
    "pipelines/numbers_of.py": "ZERO = 0\n",
    "pipelines/shapes/__init__.py": "",
    "pipelines/shapes/sizes.py": "from ..words import of\n\n\ndef size(length):\n    return of(length)\n",
}
# Loads a repository as a stranger does, and returns what comes out for a text.
STRANGER = """
import sys
sys.modules["pipesmith"] = None
from transformers import pipeline
pipe = pipeline({arguments}, trust_remote_code=True)
result = pipe({text!r})
"""
# Runs `pipe` several times in one process that uses the Hub: torch is imported once.
COMMANDS = """
from typer.testing import CliRunner
from pipesmith.cli.main import app
result = []
for command in {commands!r}:
    ran = CliRunner().invoke(app, command, prog_name="pipe")
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    result.append([ran.exit_code, ran.stdout, ran.stderr])
"""


@pytest.fixture
def commands(hub_python: Python, folder: Path) -> Callable[..., list[Ran]]:
    def run(*lines: list[str], **settings: Any) -> list[Ran]:
        done = hub_python(COMMANDS.format(commands=lines), cwd=folder, **settings)
        return [Ran(*one) for one in done]

    return run


def refused(ran: Ran, *words: str) -> None:
    assert ran.code in (1, 2), ran.out + ran.err
    assert "Traceback" not in ran.err and ran.out == ""
    for word in words:
        assert word in ran.err


def example_of(files: dict[str, bytes]) -> Any:
    return json.loads(files["example.json"])[0]


@pytest.mark.both_lines
def test_pushed_once_and_loaded_anywhere(
    commands: Callable[..., list[Ran]], hub: Hub, hub_python: Python, folder: Path
) -> None:
    write(folder, TWO_TASKS)
    push = ["push", "alice/demo", "--model", "tiny", "--private", "--license", "mit"]
    pushed, untagged = commands([*push, "--tag", "v1"], push)
    assert pushed.code == 0, pushed.err
    assert "holds all of it already" in untagged.err and untagged.out == pushed.out
    assert len(hub.commits("alice/demo")) == 2
    head, _ = hub.commits("alice/demo")
    files = hub.files("alice/demo")
    assert head in pushed.out and "trust_remote_code=True" in pushed.out
    assert "hf_alice" not in pushed.out + pushed.err + b"".join(files.values()).decode(errors="replace")
    assert b"pipesmith" not in files["length.py"] + files["config.json"]
    custom = json.loads(files["config.json"])["custom_pipelines"]
    assert {task: one["impl"] for task, one in custom.items()} == {
        "length": "length.LengthPipeline",
        "width": "length.LengthPipeline",
    }
    card = files["README.md"].decode()
    assert """pipeline('length', model="alice/demo", revision="v1", trust_remote_code=True)""" in card
    assert "license: mit" in card and "pipeline_tag: text-classification" in card and "`top_k`" in card
    assert "Random weights" in card and repr(example_of(files)["inputs"]) in card
    assert b"PyYAML" in files["requirements.txt"] and "pip install transformers torch PyYAML" in card
    text = example_of(files)["inputs"]
    script = STRANGER.format(arguments="'length', model='alice/demo'", text=text)
    found = hub_python(script, PYTHONPATH="")
    assert hub.repo("alice/demo").private
    assert found["length"] == example_of(files)["output"]["length"]
    assert found["scores"] == pytest.approx(example_of(files)["output"]["scores"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.both_lines
def test_pushed_again_verified_and_run(commands: Callable[..., list[Ran]], hub: Hub, folder: Path) -> None:
    write(folder, {"pipelines/__init__.py": LENGTH_ENTRY, "pipelines/length.py": LENGTH_PIPELINE})
    push = ["push", "alice/demo", "--model", "tiny"]
    looked, one, two, verified, unasked, ran = commands(
        [*push, "--dry-run"],
        [*push, "--tag", "v1", "--space"],
        [*push, "--tag", "v1", "--space"],
        ["verify", "alice/demo@v1", "--trust-remote-code"],
        ["verify", "alice/demo"],
        ["run", "alice/demo", "--trust-remote-code", "words"],
    )
    assert looked.code == 0 and "length.py" in looked.out and "new" in looked.out and "+# demo" in looked.out
    assert one.code == two.code == 0, one.err + two.err
    assert "already" in two.err
    app = hub.files("alice/demo", kind="space")["app.py"].decode()
    assert hub.commits("alice/demo")[0] in app and len(hub.commits("alice/demo", kind="space")) == 2
    # What somebody has edited in the Space stays; the rest follows.
    app += "print('edited')\n"
    hub.commit("alice/demo", {"app.py": app, "requirements.txt": "transformers\n"}, kind="space")
    (edited,) = commands([*push, "--space"])
    assert edited.code == 0 and "app.py of the Space was edited there" in edited.err, edited.err
    assert "requirements.txt of the Space" in edited.err and "README.md of" not in edited.err
    assert hub.files("alice/demo", kind="space")["app.py"].decode() == app
    assert len(hub.commits("alice/demo", kind="space")) == 3
    head, _ = hub.commits("alice/demo")
    assert verified.code == 0 and head in verified.out and "as published" in verified.out, verified.err
    refused(unasked, "length.py", "--trust-remote-code")
    assert ran.code == 0 and "tokens" in ran.out
    # The text around the renewed part stays; only what changed is sent.
    readme = (
        hub.files("alice/demo")["README.md"].decode().replace("# demo\n", "# Mine\n\nMy own words.\n") + "\nThe end.\n"
    )
    hub.commit("alice/demo", {"README.md": readme})
    source = (folder / "pipelines/length.py").read_text()
    (folder / "pipelines/length.py").write_text(source.replace("Score a text and say", "Measure a text and say"))
    looked, again = commands([*push, "--dry-run"], push)
    states = {line.split()[0]: line.split()[-1] for line in looked.out.splitlines() if len(line.split()) == 3}
    assert states["length.py"] == states["README.md"] == "changed" and states["model.safetensors"] == "same"
    assert again.code == 0, again.err
    card = hub.files("alice/demo")["README.md"].decode()
    assert "# Mine\n\nMy own words." in card and "The end." in card and "Measure a text" in card
    assert "Score a text" not in card
    assert len(hub.commits("alice/demo")) == 4


@pytest.mark.slow
@pytest.mark.both_lines
def test_two_classes_an_image_and_a_sound(pipe: Pipe, folder: Path) -> None:
    source = """
    from transformers import ImageClassificationPipeline

    class {name}Pipeline(ImageClassificationPipeline):
        def postprocess(self, model_outputs, **kwargs):
            return {{"{key}": super().postprocess(model_outputs, **kwargs)}}
    """
    entries = "from pipesmith.pipelines import PIPELINE_REGISTRY\n"
    for name in ("one", "two"):
        write(folder, {f"pipelines/{name}.py": source.format(name=name.title(), key=name)})
        entries += (
            f"PIPELINE_REGISTRY.register_pipeline({name!r}, '{name}.{name.title()}Pipeline', "
            "pt_model='AutoModelForImageClassification', type='image')\n"
        )
    write(folder, {"pipelines/__init__.py": entries})
    refused(pipe("push", "me/two", "--model", "tiny", "--output-dir", "out"), "one, two", "--task one")
    ran = pipe("push", "me/two", "--model", "tiny", "--output-dir", "out", "--task", "one", "--task", "two")
    assert ran.code == 0, ran.err
    files = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert [one["task"] for one in json.loads(files["example.json"])] == ["one", "two"]
    assert set(json.loads(files["config.json"])["custom_pipelines"]) == {"one", "two"}
    card = files["README.md"].decode()
    assert "hf_hub_download('me/two', 'example.png')" in card and "Parameters of `one`" in card
    assert "pipeline_tag: image-classification" in card and "example.png" in files
    heard = "from transformers import AudioClassificationPipeline as Base\n\n\nclass HearPipeline(Base): pass\n"
    hear = write(folder, {"hear.py": heard}) / "hear.py"
    ran = pipe("push", "me/hear", "--model", "tiny", "--output-dir", "heard", "--task", hear)
    assert ran.code == 0, ran.err
    assert "soundfile.read(hf_hub_download('me/hear', 'example.wav')" in (folder / "heard" / "README.md").read_text()


@pytest.mark.both_lines
def test_output_that_differs_elsewhere_stops_the_push(pipe: Pipe, folder: Path) -> None:
    source = LENGTH_PIPELINE.replace("unit.upper() if loud", "unit + str(os.getpid()) if True")
    write(folder, {"pipelines/__init__.py": LENGTH_ENTRY, "pipelines/length.py": "import os\n" + source})
    push = pipe("push", "me/demo", "--model", "tiny", "--output-dir", "out", "--skip-tests")
    refused(push, ".length", "here", "there")
    assert [path.name for path in folder.iterdir()] == ["pipelines"]


MODEL = """
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from .layers import layer


class OwnConfig(PretrainedConfig):
    model_type = "own-model"

    def __init__(self, size=4, **kwargs):
        self.size = size
        super().__init__(**kwargs)


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(300, config.size)
        self.layer = layer(config.size)
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, input_ids, **kwargs):
        return SequenceClassifierOutput(logits=self.layer(self.embed(input_ids).mean(1)))
"""
LAYERS = "from torch import nn\n\n\ndef layer(size):\n    return nn.Linear(size, 2)\n"


@pytest.mark.both_lines
def test_model_class_of_the_users_own(pipe: Pipe, folder: Path, tiny_checkpoint: Path) -> None:
    """A model class of the user's own; written by --output-dir, which proves that it loads."""
    from transformers import AutoTokenizer

    from pipesmith.pipelines.user_code import load_module

    entry = LENGTH_ENTRY.replace('"AutoModelForSequenceClassification"', '"AutoModel"')
    write(
        folder,
        {
            "pipelines/__init__.py": entry,
            "pipelines/length.py": "from transformers import AutoConfig, AutoModel\nfrom . import own\n"
            + LENGTH_PIPELINE
            + "\n\nAutoConfig.register('own-model', own.OwnConfig, exist_ok=True)\n"
            + "AutoModel.register(own.OwnConfig, own.OwnModel, exist_ok=True)\n",
            "pipelines/own.py": MODEL,
            "pipelines/layers.py": LAYERS,
        },
    )
    own = load_module(folder / "pipelines" / "own.py")
    own.OwnModel(own.OwnConfig()).save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(folder / "model")
    ran = pipe("push", "me/own", "--model", "model", "--output-dir", "out")
    assert ran.code == 0, ran.err
    config = json.loads((folder / "out" / "config.json").read_text())
    assert config["auto_map"] == {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    assert config["custom_pipelines"]["length"]["pt"] == ["AutoModel"]
    assert {"length.py", "own.py", "layers.py"} <= {path.name for path in (folder / "out").iterdir()}
    card = (folder / "out" / "README.md").read_text()
    assert "https://huggingface.co/me/own/commits/main" in card and 'revision="' not in card.split("```")[1]
    # A checkpoint that brings such a class, for a task that knows nothing of it.
    brought = {"brought.py": MODEL.replace("own-model", "brought-model"), "layers.py": LAYERS}
    write(folder / "model", {**brought, "../mine/length.py": LENGTH_PIPELINE})
    auto_map = {"AutoConfig": "brought.OwnConfig", "AutoModel": "brought.OwnModel"}
    config = json.loads((folder / "model" / "config.json").read_text())
    config |= {"model_type": "brought-model", "auto_map": auto_map}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    push = ["push", "me/own", "--model", "model", "--task", "mine/length.py:LengthPipeline", "--pt-model", "AutoModel"]
    refused(pipe(*push, "--output-dir", "second"), "brought.py", "--trust-remote-code")
    ran = pipe(*push, "--output-dir", "second", "--trust-remote-code")
    assert ran.code == 0, ran.err
    assert json.loads((folder / "second" / "config.json").read_text())["auto_map"] == auto_map
    published = {path.name: path.read_text() for path in (folder / "second").glob("*.py")}
    assert set(published) == {"length.py", *brought}
    assert published["brought.py"] == (folder / "model" / "brought.py").read_text()


@pytest.mark.both_lines
def test_save_pretrained_saves_every_part_and_every_task(folder: Path) -> None:
    from pipesmith.pipelines import pipeline
    from pipesmith.pipelines.testing import tiny_model

    tiny = tiny_model("AutoModelForVision2Seq" if not _is_five() else "AutoModelForImageTextToText")
    source = """
    from transformers import Pipeline

    class SeePipeline(Pipeline):
        _load_processor = True
        def _sanitize_parameters(self, **kwargs): return {}, {}, {}
        def preprocess(self, inputs): return inputs
        def _forward(self, inputs): return inputs
        def postprocess(self, outputs): return outputs

    class LookPipeline(SeePipeline):
        pass
    """
    entries = "from pipesmith.pipelines import PIPELINE_REGISTRY\n"
    for task, name in (("see", "See"), ("watch", "See"), ("look", "Look")):
        entries += (
            f"PIPELINE_REGISTRY.register_pipeline({task!r}, 'see.{name}Pipeline', pt_model={tiny.model_class!r})\n"
        )
    write(folder, {"pipelines/__init__.py": entries, "pipelines/see.py": source})
    pipeline("see", model=str(tiny.path)).save_pretrained(folder / "saved")
    config = json.loads((folder / "saved" / "config.json").read_text())
    assert set(config["custom_pipelines"]) == {"see", "watch"}
    pipeline("look", model=str(tiny.path)).save_pretrained(folder / "subclass")
    subclass = json.loads((folder / "subclass" / "config.json").read_text())["custom_pipelines"]
    assert {task: one["impl"] for task, one in subclass.items()} == {"look": "see.LookPipeline"}
    from transformers import AutoImageProcessor, AutoProcessor

    assert AutoProcessor.from_pretrained(folder / "saved").image_processor is not None
    assert AutoImageProcessor.from_pretrained(folder / "saved") is not None


def _is_five() -> bool:
    import transformers

    return transformers.__version__ >= "5"


@pytest.mark.both_lines
def test_class_of_a_script_is_refused_not_written_as_main(project: Path, tiny_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline
    from pipesmith.pipelines.errors import PublishError

    live = pipeline("length", model=str(tiny_checkpoint))
    type(live).__module__ = "__main__"  # as for a class of the script that runs
    with pytest.raises(PublishError, match=r"LengthPipeline is written in .*nobody else can import"):
        live.save_pretrained(project / "saved")
    assert not (project / "saved").exists()


@pytest.mark.both_lines
def test_what_the_other_line_published_loads_here(tmp_path: Path, tiny_checkpoint: Path) -> None:
    """published/record.py wrote the folders; their weights are those of the tiny model, equal on both lines."""
    from pipesmith.pipelines.publishing.example import read_examples
    from pipesmith.pipelines.publishing.proof import prove

    folder = tmp_path / "published"
    shutil.copytree(RESOURCES / "published" / ("four" if _is_five() else "five"), folder)
    shutil.copyfile(tiny_checkpoint / "model.safetensors", folder / "model.safetensors")
    prove(str(folder), read_examples(folder / "example.json"))


@pytest.mark.both_lines
def test_files_of_an_example_are_published_each_by_its_own_name(folder: Path) -> None:
    from transformers import Pipeline

    from pipesmith.pipelines.publishing.example import example_inputs

    write(folder, {"a/cat.png": "one", "b/cat.png": "two", "notes.txt": "three", "out/config.json": "{}"})
    given = json.dumps({"left": "a/cat.png", "right": "b/cat.png", "text": "notes.txt"})
    inputs = example_inputs(given, "text", folder / "out", Pipeline)
    assert inputs["text"] == "notes.txt"  # of a task for texts it is one
    read = [(folder / "out" / inputs[key]["file"]).read_text() for key in ("left", "right")]
    assert read == ["one", "two"]


@pytest.mark.slow
@pytest.mark.both_lines
@pytest.mark.skipif(not os.environ.get("PIPESMITH_OTHER_LINE"), reason="`make test-all` names the other environment")
@pytest.mark.parametrize("publisher", ["this", "other"])
def test_pushed_on_one_line_and_loaded_on_the_other(hub: Hub, folder: Path, publisher: str) -> None:
    pythons = [sys.executable, os.environ["PIPESMITH_OTHER_LINE"]]
    pusher, loader = pythons if publisher == "this" else reversed(pythons)
    write(folder, TWO_TASKS)
    environment = {**os.environ, **hub.environment(folder / "home"), "USE_TF": "0"}
    push = [str(Path(pusher).with_name("pipe")), "push", "alice/demo", "--model", "tiny"]
    subprocess.run(push, cwd=folder, env=environment, check=True)
    published = example_of(hub.files("alice/demo"))
    script = STRANGER.format(arguments="'length', model='alice/demo'", text=published["inputs"])
    script += "import json, transformers\nprint(json.dumps([transformers.__version__, result]))"
    environment |= hub.environment(folder / "strangers") | {"HF_MODULES_CACHE": str(folder / "modules")}
    done = subprocess.run([loader, "-c", script], cwd="/", env=environment, check=True, capture_output=True, text=True)
    version, found = json.loads(done.stdout.splitlines()[-1])
    assert f"transformers {version}" not in hub.files("alice/demo")["README.md"].decode()
    assert found["length"] == published["output"]["length"]
    assert found["scores"] == pytest.approx(published["output"]["scores"], abs=1e-5)


# ---- Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.both_lines
def test_what_cannot_be_pushed_is_refused_before_anything_is_loaded(
    commands: Callable[..., list[Ran]], hub: Hub, project: Path
) -> None:
    hub.create("alice/rows", {"data.csv": "a,b\n"}, kind="dataset")
    hub.create("alice/public", {"a.txt": "a"})
    hub.create("bob/there", {"a.txt": "a"})
    hub.commit("alice/public", {"a.txt": "b"})
    custom = {"custom_pipelines": {"other": {"impl": "other.OtherPipeline"}}}
    hub.create("alice/other", {"config.json": json.dumps(custom)})
    hub.create("alice/latin", {"README.md": "Größe".encode("latin-1")})
    from_before = hub.commits("alice/public")[1]
    hub.repo("alice/public").refs["refs/tags/v1"] = from_before
    reading = hub.token("alice", "read")
    cases: list[tuple[list[str], tuple[str, ...]]] = [
        (["demo"], ("demo", "user/repo")),
        (["alice/de--mo"], ("alice/de--mo",)),
        (["alice/größe", "--output-dir", "out"], ("alice/größe", "user/repo")),
        (["bob/demo"], ("alice may not write to bob/", "alice/demo")),
        (["alice/demo", "--token", reading], ("only read", "hf auth login")),
        (["alice/demo", "--token", "hf_wrong"], ("does not accept the token", "hf auth login")),
        (["alice/rows"], ("data set",)),
        (["alice/demo", "--create-pr"], ("alice/demo", "no model repository")),
        (["alice/public", "--revision", "mian"], ("mian", "main")),
        (["alice/public", "--private"], ("public", "--private")),
        (["alice/public", "--tag", "v1"], ("v1",)),
        (["alice/other", "--model", "tiny"], ("other.OtherPipeline", "--task length --task other")),
        (["alice/latin", "--model", "tiny"], ("README.md of alice/latin", "UTF-8")),
        (["alice/demo", "--task", "text-classification"], ("transformers' own",)),
        (["alice/demo", "--task", "lenght"], ("length",)),
        (["alice/demo"], ("length", "--model", "default=")),
        (["alice/demo", "--output-dir", "pipelines"], ("pipelines", "not empty")),
    ]
    for (_, words), ran in zip(cases, commands(*(["push", *arguments] for arguments, _ in cases))):
        refused(ran, *words)
        assert "hf_wrong" not in ran.err and reading not in ran.err
    assert not hub.seen("POST", "*/commit/*") and not hub.seen("POST", "/api/repos/create")
    (nobody,) = commands(["push", "alice/demo"], user=None)
    refused(nobody, "logged in", "hf auth login")
    (away,) = commands(["push", "alice/demo"], HF_ENDPOINT="http://127.0.0.1:9")
    refused(away, "cannot be reached")


@pytest.mark.both_lines
def test_wrong_model_failing_example_broken_contract_and_full_disk(
    pipe: Pipe, project: Path, folder: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from pipesmith.pipelines.testing import tiny_model

    push = ["push", "me/demo", "--output-dir", "out"]
    vision = tiny_model("AutoModelForImageClassification").path
    refused(pipe(*push, "--model", vision), "vit", "AutoModelForSequenceClassification")
    refused(pipe(*push, "--model", "tiny", "--example", '{"text": 1}'), "length fails on the example", "--example")
    broken = LENGTH_PIPELINE.replace('post["loud"] = loud', 'post["loudly"] = loud')
    file = write(folder, {"pipelines/loud.py": broken}) / "pipelines" / "loud.py"
    refused(pipe(*push, "--model", "tiny", "--task", file), "routes-parameters", "loudly", "loud.py:", "--skip-tests")
    half = tmp_path_factory.mktemp("half")
    shutil.copytree(tiny_checkpoint, half, dirs_exist_ok=True)
    write(half, {"README.md": "Mine.\n\n<!-- pipe push writes from here -->\n\nMine too."})
    refused(pipe(*push, "--model", half), "README.md lacks", "<!-- to here", "Put it back")
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the weights are larger
    try:
        ran = pipe(*push, "--model", "tiny")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    refused(ran, "cannot be saved", "room")
    assert [path.name for path in folder.iterdir()] == ["pipelines"]


@pytest.mark.both_lines
def test_damaged_download_is_noticed(commands: Callable[..., list[Ran]], hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/tiny", {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()})
    hub.fail("GET", "/download/*", tamper=50_000)
    damaged, missing = commands(["verify", "alice/tiny"], ["verify", "alice/none"])
    refused(damaged, "model.safetensors", hub.commits("alice/tiny")[0])
    refused(missing, "alice/none")


@pytest.mark.both_lines
def test_on_a_terminal_one_bar_is_drawn_at_a_time(hub: Hub, folder: Path, tiny_checkpoint: Path) -> None:
    pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))
    hub.create("alice/tiny", {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()})
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, **hub.environment(folder / "home")}
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    command = [str(Path(sys.executable).with_name("pipe")), "verify", "alice/tiny"]
    process = subprocess.Popen(command, env=environment, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    shown = b""
    try:
        while part := os.read(terminal, 1 << 16):
            shown += part
    except OSError:  # Linux ends a terminal so
        pass
    os.close(terminal)
    lines = [line.rpartition("\r")[2] for line in shown.decode().rstrip().split("\r\n")]
    assert process.wait() == 0 and "\x1b" not in shown.decode(), shown
    assert [bool(re.search(r"\d+%", line)) for line in lines] == [False, True, False, False], lines
    assert lines[-1].startswith("alice/tiny at commit")


# ---- A Space ----------------------------------------------------------------------------------------------------


@pytest.mark.both_lines
def test_edited_files_of_a_space_are_known(folder: Path) -> None:
    from pipesmith.pipelines.publishing.space import is_edited, write_space
    from pipesmith.pipelines.signature import read_signature
    from pipesmith.pipelines.source import ClassReference

    file = write(folder, {"length.py": LENGTH_PIPELINE}) / "length.py"
    write_space(folder / "space", "me/demo", "length", "text", read_signature(ClassReference("LengthPipeline", file)))
    texts = {path.name: path.read_text() for path in (folder / "space").iterdir()}
    assert set(texts) == {"app.py", "requirements.txt", "README.md"}
    for text in texts.values():
        assert not is_edited(text) and not is_edited(text.rstrip("\n"))
        assert is_edited(text + "more\n") and is_edited(text.replace("e", "E", 1)) and is_edited("all anew\n")


@pytest.mark.slow
@pytest.mark.both_lines
def test_space_starts_and_answers(folder: Path, tiny_checkpoint: Path) -> None:
    """Its app.py on loopback, with the folder of a pipeline in the place of the repository."""
    from pipesmith.pipelines import pipeline
    from pipesmith.pipelines.publishing.space import write_space
    from pipesmith.pipelines.signature import read_signature
    from pipesmith.pipelines.source import ClassReference

    file = write(folder, {"length.py": LENGTH_PIPELINE}) / "length.py"
    pipeline(f"{file}:LengthPipeline", model=str(tiny_checkpoint)).save_pretrained(folder / "model")
    signature = read_signature(ClassReference("LengthPipeline", file))
    write_space(folder / "space", str(folder / "model"), "length", "text", signature, example="Some words.")
    assert "sdk: gradio" in (folder / "space" / "README.md").read_text()
    python = _with_gradio(folder / "environment", (folder / "space" / "README.md").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen([python, "app.py"], cwd=folder / "space", env={**os.environ, **environment})
    try:
        call = f"http://127.0.0.1:{port}/gradio_api/call/run"
        body = json.dumps({"data": ["Some words.", "pieces", 2, True]}).encode()
        request = urllib.request.Request(call, body, {"Content-Type": "application/json"})
        event = json.loads(_opened(request, process))["event_id"]
        answer = _opened(urllib.request.Request(f"{call}/{event}"), process)
    finally:
        process.terminate()
        process.wait()
    (result,) = json.loads(answer.split("data: ", 1)[1].splitlines()[0])
    assert result["result"]["length"].endswith("PIECES") and len(result["result"]["scores"]) == 2


def _with_gradio(folder: Path, readme: str) -> str:
    """Make an environment for a Space, as the Hub would: gradio wants older libraries than constraints.txt names."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "this.pth").write_text(f"{sysconfig.get_path('purelib')}\n")  # torch and transformers are here
    named = re.search(r"sdk_version: (\S+)", readme)
    wanted = f"gradio=={named[1]}" if named else "gradio>=5"
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", wanted], check=True)
    return python


def _opened(request: urllib.request.Request, process: subprocess.Popen[bytes]) -> str:
    """The answer, as soon as the server is up."""
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:  # it is up
            raise
        except urllib.error.URLError:
            assert process.poll() is None, "app.py has ended"
            time.sleep(0.3)
