"""`pipe run user/repo` and `--model user/repo`, over HTTP against the tests' Hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hub import Hub
from support import LENGTH_PIPELINE, Ran, write

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines

MARKER = "open('ran', 'a').close()\n"
CUSTOM = {"length": {"impl": "length.LengthPipeline", "pt": ["AutoModelForSequenceClassification"], "type": "text"}}


@pytest.fixture
def shell(pipe_process: Pipe, hub: Hub, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipe:
    """Run `pipe` in a process that uses the Hub, in the working directory; `user=None` is logged out."""
    home = tmp_path_factory.mktemp("hub-home")

    def run(*args: object, user: str | None = "alice", **env: str) -> Ran:
        return pipe_process(*args, cwd=folder, **{**hub.environment(home, user=user), **env})

    return run


def files_of(checkpoint: Path, **config: object) -> dict[str, bytes]:
    """Return a checkpoint's files, with additions to its config.json."""
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), **config}).encode()
    return files


@pytest.fixture
def custom(hub: Hub, tiny_checkpoint: Path) -> str:
    """The commit of alice/length, a checkpoint that brings the task `length`."""
    files = files_of(tiny_checkpoint, custom_pipelines=CUSTOM)
    return hub.create("alice/length", {**files, "length.py": MARKER + LENGTH_PIPELINE})


def refused(ran: Ran, *words: str) -> None:
    assert ran.code == 1, ran.err
    assert "Traceback" not in ran.err and ran.out == ""
    for word in words:
        assert word in ran.err


def test_model_of_a_repository(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/tiny", {**files_of(tiny_checkpoint), "tf_model.h5": b"x" * 100, "pytorch_model.bin": b"x" * 100})
    ran = shell("run", "text-classification", "--model", "alice/tiny", "words")
    assert ran.code == 0, ran.err
    assert ran.err == "" and set(ran.rows[0]) == {"label", "score"}
    assert not hub.seen("GET", "*/tf_model.h5") and not hub.seen("GET", "*/pytorch_model.bin")
    assert shell("run", "alice/tiny", "words").rows == ran.rows
    again = shell("run", "text-classification", "--model", "alice/tiny", "--offline", "words")
    assert again.code == 0 and again.rows == ran.rows
    asked = len(hub.requests)
    assert shell("run", "text-classification", "--model", "alice/tiny", "words", HF_HUB_OFFLINE="1").code == 0
    assert len(hub.requests) == asked


def test_code_of_a_repository_runs_only_when_trusted(shell: Pipe, folder: Path, custom: str) -> None:
    ran = shell("run", "alice/length", "words")
    refused(ran, "length.py", "bytes", custom, "--trust-remote-code")
    assert not (folder / "ran").exists()
    ran = shell("run", "alice/length", "--trust-remote-code", "--unit", "pieces", "words")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["length"].endswith("pieces") and custom in ran.err
    assert (folder / "ran").exists()


@pytest.mark.parametrize("part", ["pipeline", "helper", "config", "tokenizer", "model", "processor"])
def test_nothing_of_a_repository_executes_unasked(
    shell: Pipe, hub: Hub, folder: Path, tiny_checkpoint: Path, part: str
) -> None:
    files = files_of(tiny_checkpoint)
    if part in ("pipeline", "helper"):
        files = files_of(tiny_checkpoint, custom_pipelines=CUSTOM)
        helper = "from .helper import nothing\n" if part == "helper" else MARKER
        files |= {"length.py": (helper + LENGTH_PIPELINE).encode(), "helper.py": (MARKER + "nothing = None\n").encode()}
    elif part in ("config", "model"):
        auto = {"config": "AutoConfig", "model": "AutoModelForSequenceClassification"}[part]
        files = files_of(tiny_checkpoint, model_type="bert2", auto_map={auto: "code.Code"})
    elif part == "tokenizer":
        config = json.loads(files["tokenizer_config.json"])
        config["auto_map"] = {"AutoTokenizer": [None, "code.Code"]}
        files["tokenizer_config.json"] = json.dumps(config).encode()
    else:
        files["preprocessor_config.json"] = b'{"auto_map": {"AutoProcessor": "code.Code"}, "processor_class": "Code"}'
    files.setdefault("code.py", (MARKER + "class Code: pass\n").encode())
    hub.create("alice/evil", files)
    # With --model the class is transformers' own: a pipeline of the repository is not wanted then, its model is.
    name = ["alice/evil"] if part in ("pipeline", "helper") else ["text-classification", "--model", "alice/evil"]
    refused(shell("run", *name, "words"), ".py", "--trust-remote-code")
    assert not (folder / "ran").exists()
    assert shell("run", "alice/evil", "--help").code == 0
    assert not (folder / "ran").exists()


def test_help_reads_the_cache(shell: Pipe, hub: Hub, folder: Path, custom: str) -> None:
    asked = len(hub.requests)
    ran = shell("run", "alice/length", "--help")
    assert ran.code == 2 and "hf download alice/length" in ran.err and len(hub.requests) == asked
    shell("run", "alice/length", "words")
    ran = shell("run", "alice/length", "--help")
    assert ran.code == 0 and "--unit" in ran.out and not (folder / "ran").exists()


def test_revision(shell: Pipe, hub: Hub, custom: str) -> None:
    hub.commit("alice/length", {"length.py": LENGTH_PIPELINE.replace('"tokens"', '"newer"')})
    run = ["run", "alice/length", "--trust-remote-code", "words"]
    assert shell(*run).rows[0]["length"].endswith("newer")
    assert shell(*run, "--revision", custom).rows[0]["length"].endswith("tokens")
    refused(shell(*run, "--revision", "mian"), "mian", "main")


def test_several_tasks(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    files = files_of(tiny_checkpoint, custom_pipelines={**CUSTOM, "width": CUSTOM["length"]})
    hub.create("alice/two", {**files, "length.py": LENGTH_PIPELINE})
    ran = shell("run", "alice/two", "words")
    assert ran.code == 2 and "length, width" in ran.err and "--task" in ran.err
    assert shell("run", "alice/two", "--task", "width", "--trust-remote-code", "words").code == 0


def test_a_folder_comes_before_the_hub(shell: Pipe, hub: Hub, folder: Path, tiny_checkpoint: Path) -> None:
    write(folder, {"alice/length/readme.txt": "not a checkpoint"})
    refused(shell("run", "alice/length", "words"), "config.json")
    assert not hub.requests


def test_private_repository_and_tokens(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/secret", files_of(tiny_checkpoint), private=True)
    run = ["run", "text-classification", "--model", "alice/secret", "words"]
    refused(shell(*run, user=None), "alice/secret", "private", "hf auth login")
    token = hub.token("alice")
    ran = shell(*run, "--token", token, user=None)
    assert ran.code == 0, ran.err
    assert token not in ran.err + ran.out
    refused(shell(*run, "--token", "hf_wrong", user=None), "token")
    ran = shell(*run, "--token", "hf_wrong", "--verbose", user=None)
    assert "hf_wrong" not in ran.err


def test_what_the_hub_does_not_have(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    run = ["run", "text-classification", "words", "--model"]
    refused(shell(*run, "alice/nothing"), "alice/nothing")
    hub.create("alice/gated", files_of(tiny_checkpoint), gated=True)
    refused(shell(*run, "alice/gated", user=None), "alice/gated", "gated")
    hub.create("alice/rows", {"data.csv": "a,b\n"}, kind="dataset")
    refused(shell(*run, "alice/rows"), "alice/rows", "data set")
    files = files_of(tiny_checkpoint)
    del files["model.safetensors"]
    hub.create("alice/empty", files)
    refused(shell(*run, "alice/empty"), "alice/empty", "no weights")
    refused(shell(*run, "alice/tiny", "--offline"), "alice/tiny", "cache")


def test_faults_that_pass_are_waited_for(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/tiny", files_of(tiny_checkpoint))
    faults = [
        hub.fail("GET", "/api/models/alice/tiny*", status=503, times=2),
        hub.fail("GET", "/alice/tiny/resolve/*/config.json", drop="request"),
        hub.fail("GET", "/alice/tiny/resolve/*/tokenizer.json", status=500),
    ]
    ran = shell("run", "text-classification", "--model", "alice/tiny", "words")
    assert ran.code == 0, ran.err
    assert all(fault.over for fault in faults)


def test_hub_that_stays_down(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/tiny", files_of(tiny_checkpoint))
    hub.fail("*", "*", status=503, times=None)
    refused(shell("run", "text-classification", "--model", "alice/tiny", "words"), "503", "alice/tiny")
    ran = shell("run", "text-classification", "--model", "alice/tiny", "words", HF_ENDPOINT="http://127.0.0.1:9")
    refused(ran, "cannot be reached", "alice/tiny")


def test_branch_that_moves_during_the_run(shell: Pipe, hub: Hub, folder: Path, custom: str) -> None:
    evil = MARKER.replace("ran", "evil") + LENGTH_PIPELINE

    def move() -> None:
        if len(hub.commits("alice/length")) == 1:
            hub.commit("alice/length", {"length.py": evil})

    hub.fail("*", "/alice/length/resolve/*", call=move)
    ran = shell("run", "alice/length", "--trust-remote-code", "words")
    assert ran.code == 0, ran.err
    assert custom in ran.err and not (folder / "evil").exists()


RESOURCES = Path(__file__).parent / "resources"


@pytest.mark.parametrize("line", ["four", "five"])
def test_repository_that_plain_transformers_of_either_line_pushed(
    shell: Pipe, hub: Hub, tiny_checkpoint: Path, line: str
) -> None:
    """The guide's pipeline in v4 form; pushed/record.py says how it was pushed, compat/record.py gave the numbers."""
    files = {path.name: path.read_bytes() for path in (RESOURCES / "pushed" / line).iterdir()}
    hub.create("alice/pairs", {**files, "model.safetensors": (tiny_checkpoint / "model.safetensors").read_bytes()})
    expected = json.loads((RESOURCES / "compat" / "numbers.json").read_text())["results"]["pairs"]
    run = ["run", "alice/pairs", "--trust-remote-code", "The cat sleeps."]
    alone, pair = shell(*run), shell(*run, "--second-text", "A cat is asleep.")
    assert alone.code == pair.code == 0, alone.err + pair.err
    for ran, wanted in zip((alone, pair), expected):
        assert ran.rows[0]["label"] == wanted["label"]
        assert ran.rows[0]["logits"] == pytest.approx(wanted["logits"], abs=1e-4)


def test_custom_generate_is_code(shell: Pipe, hub: Hub, folder: Path) -> None:
    from pipesmith.pipelines.testing import tiny_model

    files = files_of(Path(tiny_model("AutoModelForCausalLM").path))
    generate = MARKER + "def generate(model, *args, **kwargs): return kwargs['input_ids']\n"
    hub.create("alice/chat", {**files, "custom_generate/generate.py": generate})
    refused(shell("run", "text-generation", "--model", "alice/chat", "words"), "custom_generate/generate.py")
    assert not (folder / "ran").exists()


def test_reference_to_itself_stays_at_its_commit(shell: Pipe, hub: Hub, folder: Path, tiny_checkpoint: Path) -> None:
    """As transformers writes it into what is pushed again: user/repo--module.Class."""
    files = files_of(
        tiny_checkpoint,
        model_type="bert2",
        auto_map={name: f"alice/own--code.{name}2" for name in ("AutoConfig", "AutoModelForSequenceClassification")},
    )
    code = """
    from transformers import BertConfig, BertForSequenceClassification
    class AutoConfig2(BertConfig): model_type = "bert2"
    class AutoModelForSequenceClassification2(BertForSequenceClassification): config_class = AutoConfig2
    """
    write(folder, {"code/code.py": code})
    first = hub.create("alice/own", {**files, "code.py": (folder / "code" / "code.py").read_bytes()})
    hub.commit("alice/own", {"code.py": "open('evil', 'w').close()\n" + (folder / "code" / "code.py").read_text()})
    run = ["run", "text-classification", "--model", "alice/own", "--revision", first, "--trust-remote-code", "words"]
    ran = shell(*run)
    assert ran.code == 0, ran.err
    assert ran.err.count("at commit") == 1 and first in ran.err
    assert not (folder / "evil").exists()


def test_pipeline_of_another_repository(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    pipelines = {"length": {**CUSTOM["length"], "impl": "bob/code--length.LengthPipeline"}}
    hub.create("alice/borrowed", files_of(tiny_checkpoint, custom_pipelines=pipelines))
    ran = shell("run", "alice/borrowed", "--trust-remote-code", "words")
    refused(ran, "bob/code", "pipe run bob/code")
    assert not hub.seen("*", "*code*")


def test_siblings_of_a_repository_are_listed_and_import_in_every_style(
    shell: Pipe, hub: Hub, tiny_checkpoint: Path
) -> None:
    source = "from . import one\nfrom .sub.two import TWO\nimport three\n" + LENGTH_PIPELINE
    code = {"length.py": source, "one.py": "", "sub/two.py": "TWO = 2\n", "sub/__init__.py": "", "three.py": ""}
    hub.create("alice/parts", {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), **code})
    refused(shell("run", "alice/parts", "words"), "length.py", "one.py", "sub/two.py", "three.py")
    ran = shell("run", "alice/parts", "--trust-remote-code", "words")
    assert ran.code == 0, ran.err
    lone = {"length.py": "import nowhere_at_all\n" + LENGTH_PIPELINE}
    hub.create("alice/lone", {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), **lone})
    refused(shell("run", "alice/lone", "--trust-remote-code", "words"), "pip install nowhere_at_all")


def test_odd_tokens_are_refused_and_never_shown(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/secret", files_of(tiny_checkpoint), private=True)
    run = ["run", "text-classification", "--model", "alice/secret", "words", "--token"]
    assert shell(*run, f"{hub.token('alice')}\n", user=None).code == 0
    for token in ("", "hf_s\u00e9cret", "hf_se cret"):
        ran = shell(*run, token, user=None)
        assert ran.code == 2 and "token" in ran.err and "cret" not in ran.err


def test_weights_that_never_arrived(shell: Pipe, hub: Hub, custom: str, tiny_checkpoint: Path) -> None:
    run = ["run", "alice/length", "--trust-remote-code", "words"]
    shell("run", "alice/length", "words")  # refused, with the small files in the cache
    refused(shell(*run, "--offline"), "weights", "not in the cache")
    hub.create("alice/adapter", {**files_of(tiny_checkpoint), "adapter_model.bin": b"x"})
    shell("run", "text-classification", "--model", "alice/adapter", "words")
    assert hub.seen("GET", "*model.safetensors")


def test_urls_of_downloads_are_not_shown(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/tiny", files_of(tiny_checkpoint))
    hub.fail("GET", "/download/*", drop=3000)
    ran = shell("run", "text-classification", "--model", "alice/tiny", "words")
    assert "signature" not in ran.err and "http" not in ran.err.replace(hub.endpoint, "")
