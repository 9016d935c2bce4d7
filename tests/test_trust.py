"""`pipe trust` and the gate: code that comes from elsewhere runs after consent, as it was read, or not at all.

Every file of code here leaves a file `ran` in the working directory when it is executed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub import Hub
from hub.server import HubServer
from support import LENGTH_PIPELINE, Ran, write
from warm import WarmPipe

Pipe = Callable[..., Ran]
pytestmark = pytest.mark.both_lines

MARKER = "open('ran', 'a').close()\n"
CUSTOM = {"length": {"impl": "length.LengthPipeline", "pt": ["AutoModelForSequenceClassification"], "type": "text"}}
MODEL = """
from transformers import BertConfig, BertForSequenceClassification
class Config(BertConfig): model_type = "bert2"
class Model(BertForSequenceClassification): config_class = Config
"""
AUTO_MAP = {"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"}
PARTS = ["pipeline", "helper", "config", "tokenizer", "model", "processor", "other", "task", "base"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the caches of these tests lie."""
    return tmp_path_factory.mktemp("trust-home")


@pytest.fixture(scope="module")
def warm(hub_server: HubServer, home: Path) -> Iterator[WarmPipe]:
    process = WarmPipe(hub_server.fresh().environment(home))
    yield process
    process.close()


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a test's configuration lies."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def shell(warm: WarmPipe, hub: Hub, folder: Path, scratch: Path) -> Pipe:
    """Run `pipe` in the working directory, with a configuration of its own; `answer` is typed at a terminal."""
    config = {"XDG_CONFIG_HOME": str(scratch / "config"), "XDG_CACHE_HOME": str(scratch / "cache")}

    def run(*args: object, **options: str) -> Ran:
        env = {**config, "HF_TOKEN": hub.token("alice")}
        return warm.run(*args, cwd=Path.cwd(), scratch=scratch, **{**env, **options})

    return run


@pytest.fixture
def lock(scratch: Path) -> Path:
    """The user's lock file."""
    return scratch / "config" / "pipesmith" / "trust.lock"


def files_of(checkpoint: Path, **config: object) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), **config}).encode()
    return files


@pytest.fixture
def custom(hub: Hub, tiny_checkpoint: Path) -> str:
    """The commit of alice/length, a checkpoint that brings the task `length`."""
    return hub.create(
        "alice/length",
        {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), "length.py": MARKER + LENGTH_PIPELINE},
    )


def refused(ran: Ran, *words: str, code: int = 1) -> None:
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, ran.err
    assert not Path("ran").exists()


def done(ran: Ran) -> None:
    assert ran.code == 0, ran.err
    assert Path("ran").exists()
    Path("ran").unlink()


def publish(hub: Hub, checkpoint: Path, part: str) -> str:
    """Make a repository one part of which is code; return how the part of the command before the text ends."""
    name = f"alice/evil-{part}"
    files = files_of(checkpoint)
    code = {"code.py": MARKER + MODEL}
    if part in ("pipeline", "helper", "task"):
        tasks = {"text-classification": CUSTOM["length"]} if part == "task" else CUSTOM
        helper = "from .helper import nothing\n" if part == "helper" else MARKER
        code = {"length.py": helper + LENGTH_PIPELINE, "helper.py": MARKER + "nothing = None\n"}
        files = files_of(checkpoint, custom_pipelines=tasks)
    elif part in ("config", "model"):
        maps = {**AUTO_MAP, "AutoConfig": "config.Config"} if part == "model" else AUTO_MAP
        files = files_of(checkpoint, model_type="bert2", auto_map=maps)
        code["config.py"] = MODEL
        if part == "model":
            code["code.py"] = MARKER + "from .config import Config, Model\n"
    elif part == "tokenizer":
        config = json.loads(files["tokenizer_config.json"])
        config |= {"auto_map": {"AutoTokenizer": [None, "code.Tokenizer"]}, "tokenizer_class": "Tokenizer"}
        files["tokenizer_config.json"] = json.dumps(config).encode()
        code = {"code.py": MARKER + "from transformers import PreTrainedTokenizerFast as Tokenizer\n"}
    elif part == "processor":
        files["preprocessor_config.json"] = b'{"auto_map": {"AutoProcessor": "code.Code"}, "processor_class": "Code"}'
        code = {"code.py": MARKER + "class Code: from_pretrained = classmethod(lambda *args, **kwargs: None)\n"}
    elif part == "other":
        hub.create("bob/code", code)
        files = files_of(
            checkpoint, model_type="bert2", auto_map={key: f"bob/code--{value}" for key, value in AUTO_MAP.items()}
        )
        code = {}
    else:
        hub.create("bob/base", {**files_of(checkpoint, model_type="bert2", auto_map=AUTO_MAP), **code})
        code = {"adapter_config.json": json.dumps({"base_model_name_or_path": "bob/base", "peft_type": "LORA"})}
    hub.create(name, {**files, **code})
    return name


@pytest.mark.parametrize("part", PARTS)
def test_nothing_executes_before_consent_nor_under_another_hash(
    shell: Pipe, hub: Hub, lock: Path, tiny_checkpoint: Path, part: str
) -> None:
    name = publish(hub, tiny_checkpoint, part)
    by_model = ["run", "text-classification", "--model", name, "words"]
    by_name = ["run", name, "words"]
    commands = [by_name] if part in ("pipeline", "helper", "task") else [by_name, by_model]
    for command in commands:
        refused(shell(*command), ".py", "bytes", f"pipe trust {name}")
    refused(shell(*commands[0], answer="n"), "Trust it?")
    assert shell("run", name, "--help").code == 0
    refused(shell("trust", name), "Nobody can be asked here", "--yes")
    assert not lock.exists()
    shown = shell("trust", name, "--yes")
    assert (
        shown.code == 0 and "MARKER" not in shown.err and "open('ran', 'a')" in shown.out and "files: open" in shown.out
    )
    assert not Path("ran").exists()
    if part not in ("processor", "base"):  # this processor is none, and peft is not here
        for command in commands:
            done(shell(*command))
    # One file is another one than was agreed to.
    marked = [line for line in lock.read_text().splitlines() if re.search(r'(code|length|helper)\.py" = ', line)]
    assert marked
    lock.write_text(lock.read_text().replace(marked[-1], marked[-1][:-9] + '01234567"'))
    for command in (*commands, [*commands[0], "--trust-remote-code"]):
        refused(shell(*command), "is not what was trusted", "differs", "+", f"pipe trust {name}")


def test_a_moved_branch_runs_what_was_trusted(shell: Pipe, hub: Hub, custom: str) -> None:
    assert shell("trust", "alice/length", "--yes").code == 0
    hub.commit("alice/length", {"length.py": "open('new', 'a').close()\n" + LENGTH_PIPELINE})
    for more in ([], ["--trust-remote-code"], ["--offline"]):
        ran = shell("run", "alice/length", "words", *more)
        done(ran)
        assert not Path("new").exists()
        if "--offline" not in more:
            assert "-open('ran', 'a').close()" in ran.err and "+open('new', 'a').close()" in ran.err
            assert custom in ran.err and "pipe trust alice/length" in ran.err
    ran = shell("run", "alice/length", "words", answer="n")
    assert "Trust it?" in ran.err and "+open('new', 'a').close()" in ran.err
    done(ran)
    assert not Path("new").exists()
    assert shell("run", "alice/length", "words", answer="y").code == 0
    assert Path("new").exists() and not Path("ran").exists()
    assert "moved" not in shell("run", "alice/length", "words").err
    # A revision that was not agreed to is another thing.
    refused(shell("run", "alice/length", "words", "--revision", custom), "is not what was trusted", "pipe trust")


def test_trust_of_a_moved_branch_shows_the_difference(shell: Pipe, hub: Hub, custom: str) -> None:
    first = shell("trust", "alice/length", answer="s\ny")
    assert first.code == 0 and first.err.count("class LengthPipeline") == 1 and custom in first.err
    assert "already" in shell("trust", "alice/length").err
    newer = hub.commit("alice/length", {"length.py": "import socket\n" + LENGTH_PIPELINE})
    ran = shell("trust", "alice/length", "--yes")
    assert "+import socket" in ran.out and "-open('ran', 'a').close()" in ran.out and newer in ran.err
    assert shell("run", "alice/length", "words").code == 0 and not Path("ran").exists()


def test_moved_code_of_another_repository(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    publish(hub, tiny_checkpoint, "other")
    assert shell("trust", "alice/evil-other", "--yes").code == 0
    hub.commit("bob/code", {"code.py": "open('new', 'a').close()\n" + MODEL})
    run = ("run", "text-classification", "--model", "alice/evil-other", "words")
    ran = shell(*run)
    done(ran)
    assert "bob/code has moved" in ran.err and "+open('new', 'a').close()" in ran.err
    assert not Path("new").exists()
    ran = shell(*run, answer="n")
    done(ran)
    assert ran.err.count("+open('new', 'a').close()") == 1
    done(shell(*run, "--offline"))
    hub.repo("bob/code").private = True
    ran = shell(*run)
    done(ran)
    assert "bob/code" in ran.err and "from the cache" in ran.err
    assert not Path("new").exists()


def test_a_changed_byte_in_a_cache_is_noticed(shell: Pipe, home: Path, custom: str) -> None:
    assert shell("trust", "alice/length", "--yes").code == 0
    done(shell("run", "alice/length", "words"))
    evil = "open('evil', 'a').close()\n"
    copies = list((home / "modules").rglob("length.py"))
    assert copies
    for copy in copies:
        copy.write_text(evil + copy.read_text())
    ran = shell("run", "alice/length", "words")
    assert not Path("evil").exists(), ran.err
    Path("ran").unlink(missing_ok=True)
    (file,) = (home / "hub" / "models--alice--length" / "snapshots").glob(f"{custom}/length.py")
    blob, before = file.resolve(), file.read_bytes()
    blob.write_text(evil + before.decode())
    try:
        for more in ([], ["--trust-remote-code"], ["--offline"]):
            refused(shell("run", "alice/length", "words", *more), "length.py", "rm ")
        assert not Path("evil").exists()
    finally:
        blob.write_bytes(before)


def test_a_file_that_the_commit_does_not_have_is_refused(
    shell: Pipe, hub: Hub, home: Path, tiny_checkpoint: Path
) -> None:
    code = f"{MARKER}try:\n    from .extra import nothing\nexcept ImportError:\n    pass\n{LENGTH_PIPELINE}"
    files = {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), "length.py": code.encode()}
    commit = hub.create("alice/optional", files)
    run = ("run", "alice/optional", "words")
    assert shell("trust", "alice/optional", "--yes").code == 0
    added = home / "hub" / "models--alice--optional" / "snapshots" / commit / "extra.py"
    assert added.parent.is_dir()
    added.write_text("open('evil', 'a').close()\nnothing = None\n")
    for more in ([], ["--trust-remote-code"]):
        refused(shell(*run, *more), "extra.py", "put into the cache", f"rm {added}")
    refused(shell("trust", "alice/optional", "--yes"), "extra.py", "put into the cache")
    assert not Path("evil").exists()


def test_weights_are_compared_if_wanted(shell: Pipe, hub: Hub, home: Path, tiny_checkpoint: Path) -> None:
    hub.create("alice/plain", files_of(tiny_checkpoint))
    run = ["run", "text-classification", "--model", "alice/plain", "words"]
    assert shell(*run, "--verify").code == 0
    (file,) = (home / "hub" / "models--alice--plain" / "snapshots").glob("*/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.resolve().write_bytes(content)
    assert shell(*run).code == 0
    refused(shell(*run, "--verify"), "model.safetensors", "rm ")


def test_pickles_of_a_repository_need_a_word(shell: Pipe, hub: Hub, tiny_checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(tiny_checkpoint / "model.safetensors"), tmp_path / "pytorch_model.bin")
    files = {name: content for name, content in files_of(tiny_checkpoint).items() if name != "model.safetensors"}
    hub.create("alice/pickled", {**files, "pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes()})
    run = ["run", "text-classification", "--model", "alice/pickled", "words"]
    refused(shell(*run), "pytorch_model.bin", "--allow-pickle")
    assert not hub.seen("GET", "*pytorch_model.bin")
    assert shell(*run, "--allow-pickle").code == 0


def test_a_cloned_project_trusts_nothing_until_it_is_accepted(shell: Pipe, folder: Path, custom: str) -> None:
    write(folder, {"mine/pyproject.toml": "[tool.pipe]\n"})
    os.chdir(folder / "mine")
    assert shell("trust", "alice/length", "--yes").code == 0
    assert custom in Path("pipe.lock").read_text()
    done(shell("run", "alice/length", "words"))
    shutil.copytree(folder / "mine", folder / "cloned")
    os.chdir(folder / "cloned")
    run = ["run", "alice/length", "words"]
    refused(shell(*run), "pipe trust --project", "PIPE_TRUST_PROJECT=1")
    refused(shell(*run, answer="n\nn"), "Accept this lock?")
    done(shell(*run, "--trust-project"))
    done(shell(*run, PIPE_TRUST_PROJECT="1"))
    assert "not accepted" in shell("trust", "--list").out
    refused(shell("trust", "--project"), "pipe trust --project --yes")
    assert shell("trust", "--project", answer="y").code == 0
    done(shell(*run))
    listed = json.loads(shell("trust", "--list", "--format", "json").out)
    assert [(one["name"], one["commits"], one["counts"]) for one in listed] == [
        ("alice/length", {"alice/length": custom}, True)
    ]
    with Path("pipe.lock").open("a") as file:
        file.write("# another line\n")
    refused(shell(*run), "pipe trust --project")


def test_revoke(shell: Pipe, custom: str) -> None:
    assert shell("trust", "alice/length", "--yes").code == 0
    done(shell("run", "alice/length", "words"))
    assert shell("trust", "alice/length", "--revoke").code == 0
    refused(shell("run", "alice/length", "words"), "pipe trust alice/length")
    refused(shell("trust", "alice/lenght", "--revoke"), "not trusted")
    assert "Nothing is trusted" in shell("trust", "--list").err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 2\n", ["newer pipesmith", "pip install --upgrade"]),
        ("version = 1\nwhat = 1\n", ["what", "not as `pipe trust` wrote it"]),
        ("version = 1\n[code.'alice/length'.files]\n'length.py' = 'abc'\n", ["abc", "length.py"]),
        ("version = 1\n[code.'alice/length']\ncommits = 3\n", ["commits"]),
        ("<<<<<<< HEAD\n", ["does not parse"]),
        ("", ["version"]),
    ],
)
def test_a_lock_that_was_edited_into_something_else(
    shell: Pipe, lock: Path, custom: str, text: str, words: list[str]
) -> None:
    lock.parent.mkdir(parents=True)
    lock.write_text(text)
    refused(shell("run", "alice/length", "--trust-remote-code", "words"), str(lock), *words)
    refused(shell("trust", "alice/length", "--yes"), str(lock))
    assert lock.read_text() == text


def test_a_repository_that_is_gone(shell: Pipe, hub: Hub, custom: str) -> None:
    assert shell("trust", "alice/length", "--yes").code == 0
    done(shell("run", "alice/length", "words"))
    for status in (401, 403, 404):
        fault = hub.fail("GET", "/api/models/alice/length*", status=status, times=None)
        ran = shell("run", "alice/length", "words")
        done(ran)
        assert custom in ran.err and "from the cache" in ran.err
        fault.times = 0


def test_a_branch_with_the_name_of_a_commit(shell: Pipe, hub: Hub, custom: str) -> None:
    name = "0123456789" * 4
    hub.repo("alice/length").refs[f"refs/heads/{name}"] = custom
    refused(shell("trust", f"alice/length@{name}", "--yes"), name, custom)
    refused(shell("run", "alice/length", "--revision", name, "--trust-remote-code", "words"), name)


def test_a_folder_is_pinned_by_hashes(shell: Pipe, folder: Path, custom_checkpoint: Path) -> None:
    model = Path(shutil.copytree(custom_checkpoint, folder / "model"))
    refused(shell("run", "./model", "words"), "length.py", "pipe trust")
    assert shell("trust", "./model", "--yes").code == 0
    done(shell("run", "./model", "words"))
    code = (model / "length.py").read_text()
    (model / "length.py").write_text(f"open('ran', 'a').close()  # changed\n{code}")
    for more in ([], ["--trust-remote-code"]):
        refused(shell("run", "./model", "words", *more), "+open('ran', 'a').close()  # changed")
    done(shell("run", "./model", "words", answer="y"))
    # What leads out of the folder is no code of it.
    (model / "length.py").rename(folder / "elsewhere.py")
    (model / "length.py").symlink_to(folder / "elsewhere.py")
    refused(shell("trust", "./model", "--yes"), "elsewhere.py", "leads out")


def test_imports_that_cannot_be_seen_never_run(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    source = "import importlib\nimportlib.import_module('.hid' + 'den', __package__)\n"
    code = {"length.py": source + LENGTH_PIPELINE, "hidden.py": MARKER}
    hub.create("alice/hiding", {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), **code})
    assert "importlib" in shell("trust", "alice/hiding", "--yes").out
    refused(shell("run", "alice/hiding", "words"), "hidden")


def test_names_that_need_no_consent(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    hub.create("alice/plain", files_of(tiny_checkpoint))
    assert "nothing to trust" in shell("trust", "alice/plain").err
    refused(shell("trust", "mine.py"), "needs no consent", "pipe run mine.py", code=2)
    refused(shell("trust", "nothing"), "user/repo", code=2)
    refused(shell("trust", "alice/nowhere"), "alice/nowhere")
    assert shell("trust").code == 2


def test_project_files_of_another_user_never_run(shell: Pipe, project: Path) -> None:
    if os.name != "posix" or os.getuid() != 0:
        pytest.skip("only root can give files away")
    name = next(path for path in project.rglob("*.py") if path.name != "__init__.py")
    name.write_text(MARKER + name.read_text())
    run = ["run", "length", "--model", "tiny", "words"]
    done(shell(*run))
    os.chown(name, 12345, 12345)
    refused(shell(*run), str(name.name), "another user", "chown")


def test_a_live_model_opens_no_way_around(shell: Pipe, folder: Path, custom_checkpoint: Path) -> None:
    from pipesmith.pipelines import pipeline
    from pipesmith.pipelines.errors import UntrustedCodeError
    from pipesmith.pipelines.testing import tiny_model

    live = pipeline("text-classification", tiny_model("AutoModelForSequenceClassification").path).model
    with pytest.raises(UntrustedCodeError, match=re.escape("length.py")):
        pipeline(str(custom_checkpoint), model=live)
    assert not Path("ran").exists()


def test_hints() -> None:
    from pipesmith.pipelines.trust.review import hints

    source = b"""
import os, subprocess as sp
from urllib.request import urlopen as fetch
import numpy as np

def run(self, eval_mode):
    fetch("http://example.com")
    sp.run(["ls"])
    key = os.environ["KEY"]
    self.model.eval()
    np.open_memmap, os.path.join("a", "b")
    exec("1"); open("file")
"""
    found = hints(source)
    assert list(found) == ["network", "subprocess", "files", "eval", "environment"]
    assert found["files"] == ["open (line 12)"] and found["eval"] == ["exec (line 12)"]
    assert found["environment"] == ["os.environ (line 9)"]
    assert hints(b"def broken(:") == {"eval": ["does not parse"]}
    assert hints(b"import torch\nclass A(torch.nn.Module): pass\n") == {}


def test_what_a_terminal_would_obey_is_shown_as_text(shell: Pipe, hub: Hub, tiny_checkpoint: Path) -> None:
    """Escapes that erase a line, returns, and marks that turn the order of letters would hide what the code does."""
    source = "# \x1b[2K\x1b[1A\rpass  # \u202e here\n" + LENGTH_PIPELINE
    hub.create("alice/hidden", {**files_of(tiny_checkpoint, custom_pipelines=CUSTOM), "length.py": source})
    ran = shell("trust", "alice/hidden", "--yes")
    assert "# \\x1b[2K\\x1b[1A\\rpass  # \\u202e here" in ran.out
    hub.commit("alice/hidden", {"length.py": source + "# \x1b[1A"})
    ran = shell("run", "alice/hidden", "words")
    assert ran.code == 0 and "+# \\x1b[1A" in ran.err and "\x1b" not in ran.err


def test_verify_asks_as_run_does(shell: Pipe, hub: Hub, custom: str) -> None:
    refused(shell("verify", "alice/length"), "length.py", "pipe trust alice/length")
    assert shell("trust", "alice/length", "--yes").code == 0
    hub.commit("alice/length", {"length.py": "open('new', 'a').close()\n" + LENGTH_PIPELINE})
    for more in ([], ["--trust-remote-code"]):
        refused(shell("verify", "alice/length", *more), "is not what was trusted", "+open('new', 'a').close()")
