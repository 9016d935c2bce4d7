"""The upload of a folder as one commit, over HTTP: interrupted, repeated, moved under it, proposed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import write

Python = Callable[..., Any]
pytestmark = pytest.mark.both_lines

SCRIPT = """
from pathlib import Path
from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.publishing.remote import read_remote
from pipesmith.pipelines.publishing.upload import Destination, upload
result = {{"notes": [], "error": None}}
destination = Destination("alice/demo", **{options!r})
try:
    remote = read_remote("alice/demo", destination.revision, destination.access)
    made = upload(Path({folder!r}), destination, remote, result["notes"].append)
    result.update(commit=made.commit, is_new=made.is_new, pull_request=made.pull_request)
except PipeError as error:
    result["error"] = error.message
"""


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A folder of a small file, one in a sub-folder, and weights, which are LFS."""
    folder = write(tmp_path / "content", {"config.json": "{}", "code/length.py": "LENGTH = 1\n"})
    (folder / "model.safetensors").write_bytes(os.urandom(100_000))
    return folder


@pytest.fixture
def upload(hub_python: Python, content: Path) -> Python:
    def run(**options: Any) -> Any:
        return hub_python(SCRIPT.format(folder=str(content), options=options))

    return run


def names(hub: Hub, revision: str = "main") -> set[str]:
    return set(hub.files("alice/demo", revision)) - {".gitattributes"}


ALL = {"config.json", "code/length.py", "model.safetensors"}


def test_faults_that_pass_make_one_commit_and_send_nothing_twice(hub: Hub, upload: Python, content: Path) -> None:
    faults = [
        hub.fail("POST", "/api/repos/create", status=503),
        hub.fail("PUT", "/upload/*", drop="request"),
        hub.fail("POST", "*/commit/*", status=503),
        hub.fail("POST", "*/commit/*", drop="request"),
        hub.fail("GET", "/api/models/*", skip=1, status=502),
    ]
    made = upload(tag="v1")
    assert made["error"] is None and made["is_new"] and made["notes"]
    assert all(fault.over for fault in faults)
    assert len(hub.commits("alice/demo")) == 2 and names(hub) == ALL
    assert len([put for put in hub.seen("PUT") if put.status == 200]) == 1
    assert hub.repo("alice/demo").refs["refs/tags/v1"] == made["commit"]
    asked = len(hub.seen("POST"))
    again = upload()
    assert not again["is_new"] and again["commit"] == made["commit"]
    assert len(hub.commits("alice/demo")) == 2
    assert len(hub.seen("POST")) == asked


def test_commit_whose_answer_is_lost_is_recognised(hub: Hub, upload: Python) -> None:
    hub.fail("POST", "*/commit/*", drop="answer")
    made = upload()
    assert made["error"] is None
    assert [made["commit"]] == hub.commits("alice/demo")[:1] and len(hub.commits("alice/demo")) == 2


def test_killed_before_the_commit_and_repeated(hub: Hub, upload: Python, content: Path, tmp_path: Path) -> None:
    arrived = threading.Event()
    fault = hub.fail("POST", "*/commit/*", delay=1, status=503, call=None)
    script = SCRIPT.format(folder=str(content), options={})
    environment = {**os.environ, **hub.environment(tmp_path / "home")}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    while not fault.hits and process.poll() is None:
        arrived.wait(0.05)
    process.kill()
    process.wait()
    assert fault.hits and len(hub.commits("alice/demo")) == 1
    made = upload()
    assert made["error"] is None and names(hub) == ALL and len(hub.commits("alice/demo")) == 2
    assert len(hub.seen("PUT")) == 1


# Where `pipe push` is killed, and how many commits the repository has by then: an empty one has one.
KILLED = {
    "before anything is sent": ("POST", "*/preupload/*", "before", 1),
    "half-way through the weights": ("PUT", "*", "before", 1),
    "after the weights": ("PUT", "*", "call", 1),
    "before the commit": ("POST", "*/commit/*", "before", 1),
    "after the commit": ("POST", "*/commit/*", "call", 2),
    "while it is loaded back": ("GET", "/download/*", "before", 2),
}
# Weights that no buffer of the network holds, 19 MB.
WEIGHTS = """
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
BertForSequenceClassification(BertConfig(vocab_size=150_000, **sizes)).save_pretrained({folder!r})
AutoTokenizer.from_pretrained({tiny!r}).save_pretrained({folder!r})
result = None
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", KILLED)
def test_pipe_push_is_killed_and_repeated(
    hub: Hub, hub_python: Python, project: Path, tiny_checkpoint: Path, moment: str
) -> None:
    """The real command, ended by SIGKILL."""
    hub_python(WEIGHTS.format(folder=str(project / "model"), tiny=str(tiny_checkpoint)))
    command = [str(Path(sys.executable).with_name("pipe")), "push", "alice/demo", "--model", "model"]
    environment = {**os.environ, **hub.environment(project / "home")}
    process = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True)
    method, path, when, commits = KILLED[moment]
    kill: Any = {when: process.kill}
    fault = hub.fail(method, path, drop="request" if when == "before" else None, **kill)
    _, said = process.communicate(timeout=300)
    assert fault.hits and process.returncode == -9, said
    assert len(hub.commits("alice/demo")) == commits
    subprocess.run(command, cwd=project, env=environment, check=True, timeout=300)
    assert len(hub.commits("alice/demo")) == 2
    assert [seen.status for seen in hub.seen("PUT") if seen.status] == [200]
    script = "from transformers import pipeline\nresult = pipeline(model='alice/demo', trust_remote_code=True)('word')"
    assert hub_python(script, PYTHONPATH="")["length"]


def test_somebody_elses_commit_is_not_written_over(hub: Hub, upload: Python) -> None:
    hub.create("alice/demo", {"config.json": "[]"})
    hub.fail("POST", "*/preupload/*", call=lambda: hub.commit("alice/demo", {"config.json": "[1]"}))
    made = upload()
    assert "another commit" in made["error"] and hub.commits("alice/demo")[0] in made["error"]
    assert hub.files("alice/demo")["config.json"] == b"[1]" and names(hub) == {"config.json"}


def test_only_changes_are_sent_and_old_weights_go(hub: Hub, upload: Python, content: Path) -> None:
    old = {"model-00001-of-00002.safetensors": b"x", "model.safetensors.index.json": "{}", "notes.txt": "mine"}
    same = {"code/length.py": (content / "code/length.py").read_bytes()}
    hub.create("alice/demo", {**old, **same, "config.json": "[]"})
    assert upload()["error"] is None
    assert names(hub) == ALL | {"notes.txt"}
    assert hub.files("alice/demo")["config.json"] == b"{}"
    assert not hub.seen("GET", "*length.py")


def test_pull_request_is_opened_once_and_a_branch_can_be_named(hub: Hub, upload: Python) -> None:
    hub.create("alice/demo", {"config.json": "[]"})
    hub.fail("POST", "*/commit/*", drop="answer")
    made = upload(create_pr=True)
    assert made["error"] is None and made["pull_request"]
    again = upload(create_pr=True)
    assert again["commit"] == made["commit"] and again["is_new"] is False
    assert len(hub.repo("alice/demo").pulls) == 1 and names(hub) == {"config.json"}
    assert names(hub, "refs/pr/1") == ALL
    hub.repo("alice/demo").refs["refs/heads/next"] = hub.commits("alice/demo")[0]
    assert upload(revision="next")["error"] is None
    assert names(hub, "next") == ALL and names(hub) == {"config.json"}


def test_what_the_hub_refuses_is_a_sentence(hub: Hub, upload: Python) -> None:
    hub.lfs_limit = 1000
    made = upload()
    assert "larger than 1000 bytes" in made["error"] and "http" not in made["error"]
    hub.lfs_limit = 10**9
    hub.fail("POST", "*/commit/*", status=403)
    assert "may not write to alice/demo" in upload()["error"]
    hub.fail("POST", "*/commit/*", status=503, times=None)
    assert "503" in upload()["error"]
