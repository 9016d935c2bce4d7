"""The tests' Hub, checked by clients not written here: huggingface_hub, npm's `@huggingface/hub`, transformers, git.

Each script runs in a process of its own (`hub_python`), since the clients read the environment at import.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hub import ClientError, Hub, Seen
from support import write

both_lines = pytest.mark.both_lines
Run = Callable[..., Any]
MEGABYTE = 2**20


def summaries(requests: list[Seen]) -> list[str]:
    return [str(request) for request in requests]


def fetch(url: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers, redirects followed."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder with a card, a small file in a sub-folder, and weights of 11 MB."""
    folder = write(
        tmp_path / "model",
        {
            "README.md": """
                ---
                license: apache-2.0
                pipeline_tag: text-classification
                tags: [demo]
                ---
                # A model
                """,
            "config.json": '{"model_type": "bert", "custom_pipelines": {"length": {}}}',
            "nested/deep/notes.txt": "small",
        },
    )
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * (11 * MEGABYTE // 256))
    return folder


# --- huggingface_hub: repositories and commits ---------------------------------------------------------------------


@both_lines
def test_upload_and_download_a_folder(hub: Hub, hub_python: Run, model_folder: Path) -> None:
    result = hub_python(
        f"""
        url = api.create_repo("alice/model")
        again = api.create_repo("alice/model", exist_ok=True)
        upload = api.upload_folder(repo_id="alice/model", folder_path={str(model_folder)!r})
        repeated = api.upload_folder(repo_id="alice/model", folder_path={str(model_folder)!r})
        info = api.model_info("alice/model", files_metadata=True)
        result = {{
            "urls": [url, again],
            "commits": [upload.oid, repeated.oid, info.sha],
            "files": api.list_repo_files("alice/model"),
            "sizes": {{each.rfilename: [each.size, each.lfs and each.lfs.sha256] for each in info.siblings}},
            "notes": open(api.hf_hub_download("alice/model", "nested/deep/notes.txt")).read(),
            "snapshot": api.snapshot_download("alice/model"),
        }}
        """
    )
    weights = (model_folder / "model.safetensors").read_bytes()
    files = {path.relative_to(model_folder).as_posix() for path in model_folder.rglob("*") if path.is_file()}
    assert result["urls"] == [f"{hub.endpoint}/alice/model"] * 2
    assert len(set(result["commits"])) == 1
    assert set(result["files"]) == {".gitattributes", *files}
    assert result["sizes"]["config.json"] == [58, None]
    assert result["sizes"]["model.safetensors"][0] == len(weights)
    assert result["notes"] == "small"
    assert {name: (Path(result["snapshot"]) / name).read_bytes() for name in hub.files("alice/model")} == hub.files(
        "alice/model"
    )
    assert len(hub.commits("alice/model")) == 2, "the first one and one upload"
    assert len(hub.seen("PUT", "/upload/*")) == 1


@both_lines
def test_commits_are_guarded_by_their_parent(hub: Hub, hub_python: Run) -> None:
    first = hub.create("alice/model", {"a.txt": "a", "folder/b.txt": "b", "folder/c.txt": "c"})
    result = hub_python(
        f"""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        add = CommitOperationAdd("a.txt", b"new")
        delete = [CommitOperationDelete("folder/", is_folder=True)]
        done = api.create_commit(
            "alice/model", [add, *delete], commit_message="Second", commit_description="Why", parent_commit={first!r}
        )
        api.delete_file("a.txt", "alice/model", commit_message="Third")
        log = api.list_repo_commits("alice/model")
        result = [done.oid, [[each.commit_id, each.title, each.authors] for each in log]]
        """
    )
    assert hub.commits("alice/model")[1] == result[0]
    assert [entry[0] for entry in result[1]] == hub.commits("alice/model")
    assert [entry[1] for entry in result[1]] == ["Third", "Second", "Upload files", "initial commit"]
    assert result[1][0][2] == ["alice"]
    assert set(hub.files("alice/model")) == {".gitattributes"}
    assert hub.files("alice/model", result[0])["a.txt"] == b"new"

    with pytest.raises(ClientError, match="A commit has happened since") as caught:
        hub_python(
            f"""
            from huggingface_hub import CommitOperationAdd

            api.create_commit(
                "alice/model", [CommitOperationAdd("x", b"x")], commit_message="Late", parent_commit={first!r}
            )
            """
        )
    assert "HfHubHTTPError" in caught.value.kinds
    assert hub.seen("POST", "*/commit/*")[-1].status == 412
    assert len(hub.commits("alice/model")) == 4


@both_lines
def test_branches_and_tags(hub: Hub, hub_python: Run) -> None:
    first = hub.create("alice/model", {"a.txt": "one"})
    hub.commit("alice/model", {"a.txt": "two"})
    result = hub_python(
        f"""
        def read(revision):
            return open(api.hf_hub_download("alice/model", "a.txt", revision=revision)).read()

        api.create_tag("alice/model", tag="v1", revision={first!r})
        api.create_branch("alice/model", branch="feature/x", revision="v1")
        api.upload_file(path_or_fileobj=b"three", path_in_repo="a.txt", repo_id="alice/model", revision="feature/x")
        api.create_tag("alice/model", tag="old")
        api.delete_tag("alice/model", tag="old")
        api.create_branch("alice/model", branch="old")
        api.delete_branch("alice/model", branch="old")
        refs = api.list_repo_refs("alice/model")
        repeated = []
        for create, name in ((api.create_tag, {{"tag": "v1"}}), (api.create_branch, {{"branch": "feature/x"}})):
            create("alice/model", **name, exist_ok=True)
            try:
                create("alice/model", **name)
            except Exception as error:
                repeated.append(error.response.status_code)
        result = {{
            "branches": {{each.name: each.target_commit for each in refs.branches}},
            "tags": {{each.name: each.target_commit for each in refs.tags}},
            "contents": [read(revision) for revision in ("v1", "main", "feature/x", {first!r})],
            "repeated": repeated,
        }}
        """
    )
    heads = {name: hub.commits("alice/model", name)[0] for name in ("main", "feature/x")}
    assert result["branches"] == heads
    assert result["tags"] == {"v1": first}
    assert result["contents"] == ["one", "two", "three", "one"]
    assert result["repeated"] == [409, 409]


@both_lines
def test_pull_requests(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model", {"a.txt": "one"})
    result = hub_python(
        """
        proposed = api.upload_file(
            path_or_fileobj=b"two", path_in_repo="a.txt", repo_id="alice/model", create_pr=True, commit_message="Better"
        )
        empty = api.create_pull_request("alice/model", title="To come")
        api.upload_file(
            path_or_fileobj=b"three", path_in_repo="a.txt", repo_id="alice/model", revision=empty.git_reference
        )
        refs = api.list_repo_refs("alice/model", include_pull_requests=True)
        result = {
            "url": proposed.pr_url,
            "revision": proposed.pr_revision,
            "refs": [each.ref for each in refs.pull_requests],
            "titles": [each.title for each in api.get_repo_discussions("alice/model")],
            "contents": [
                open(api.hf_hub_download("alice/model", "a.txt", revision=revision)).read()
                for revision in ("main", "refs/pr/1", "refs/pr/2")
            ],
        }
        """,
        user="bob",
    )
    assert result == {
        "url": f"{hub.endpoint}/alice/model/discussions/1",
        "revision": "refs/pr/1",
        "refs": ["refs/pr/1", "refs/pr/2"],
        "titles": ["Better", "To come"],
        "contents": ["one", "two", "three"],
    }
    assert len(hub.commits("alice/model")) == 2


@both_lines
def test_datasets_and_spaces(hub: Hub, hub_python: Run, tmp_path: Path) -> None:
    write(tmp_path / "data", {"train.csv": "a,b\n1,2\n", "part.parquet": "PAR1"})
    result = hub_python(
        f"""
        url = api.create_repo("alice/rows", repo_type="dataset", private=True)
        api.upload_folder(repo_id="alice/rows", folder_path={str(tmp_path / "data")!r}, repo_type="dataset")
        api.create_repo("alice/demo", repo_type="space", space_sdk="gradio")
        api.upload_file(path_or_fileobj=b"pass", path_in_repo="app.py", repo_id="alice/demo", repo_type="space")
        path = api.hf_hub_download("alice/rows", "part.parquet", repo_type="dataset")
        result = {{
            "url": url,
            "private": [
                api.dataset_info("alice/rows").private,
                api.update_repo_settings("alice/rows", private=False, repo_type="dataset"),
                api.dataset_info("alice/rows").private,
            ],
            "sdk": api.space_info("alice/demo").sdk,
            "content": open(path).read(),
            "exist": [api.repo_exists("alice/rows", repo_type=kind) for kind in ("model", "dataset", "space")],
        }}
        api.delete_repo("alice/demo", repo_type="space")
        """
    )
    assert result == {
        "url": f"{hub.endpoint}/datasets/alice/rows",
        "private": [True, None, False],
        "sdk": "gradio",
        "content": "PAR1",
        "exist": [False, True, False],
    }
    assert set(hub.files("alice/rows", kind="dataset")) == {".gitattributes", "train.csv", "part.parquet"}
    assert list(hub.repositories) == [("dataset", "alice/rows")]


@both_lines
def test_metadata_comes_from_the_files(hub: Hub, hub_python: Run, model_folder: Path) -> None:
    hub.create("alice/model", model_folder)
    hub.create("bob/other", private=True)
    result = hub_python(
        """
        info = api.model_info("alice/model")
        tree = api.list_repo_tree("alice/model", recursive=True, expand=True)
        result = {
            "info": [info.pipeline_tag, info.library_name, info.tags, info.card_data.license, info.config],
            "tree": {each.path: each.last_commit.title for each in tree},
            "top": [each.path for each in api.list_repo_tree("alice/model")],
            "paths": [each.path for each in api.get_paths_info("alice/model", ["config.json", "nested", "absent"])],
            "listed": [each.id for each in api.list_models(author="alice")] + [each.id for each in api.list_models()],
        }
        """
    )
    pipelines = {"model_type": "bert", "custom_pipelines": {"length": {}}}
    tags = ["transformers", "text-classification", "custom_code", "demo", "license:apache-2.0"]
    assert result["info"] == ["text-classification", "transformers", tags, "apache-2.0", pipelines]
    assert result["tree"][".gitattributes"] == "initial commit"
    assert result["tree"]["nested/deep"] == "Upload files"
    assert result["top"] == [".gitattributes", "README.md", "config.json", "model.safetensors", "nested"]
    assert result["paths"] == ["config.json", "nested"]
    assert result["listed"] == ["alice/model", "alice/model"]


@both_lines
def test_wrong_metadata_is_refused(hub: Hub, hub_python: Run, tmp_path: Path) -> None:
    hub.create("alice/model")
    write(tmp_path / "model", {"README.md": "---\ntags: demo\n---\n"})
    with pytest.raises(ClientError, match=r"Invalid metadata in README\.md") as caught:
        hub_python(f"api.upload_folder(repo_id='alice/model', folder_path={str(tmp_path / 'model')!r})")
    assert "ValueError" in caught.value.kinds


@both_lines
def test_large_files_in_parts_and_too_large_files(hub: Hub, hub_python: Run, model_folder: Path) -> None:
    hub.create("alice/model")
    hub.part_size = 5_000_000
    upload = f"api.upload_folder(repo_id='alice/model', folder_path={str(model_folder)!r})"
    hub_python(upload)
    assert hub.files("alice/model")["model.safetensors"] == (model_folder / "model.safetensors").read_bytes()
    assert [each.received for each in hub.seen("PUT", "/upload/*")] == [
        5_000_000,
        5_000_000,
        11 * MEGABYTE - 10_000_000,
    ]

    hub.lfs_limit = MEGABYTE
    (model_folder / "model.safetensors").write_bytes(b"x" * (MEGABYTE + 1))
    with pytest.raises(ClientError, match="larger than 1048576 bytes"):
        hub_python(upload)


# --- huggingface_hub: who may do what ------------------------------------------------------------------------------


@both_lines
def test_whoami_and_tokens(hub: Hub, hub_python: Run) -> None:
    hub.organization("acme", ["bob"])
    result = hub_python(
        """
        me = api.whoami()
        api.create_repo("acme/model")
        result = [me["name"], me["auth"]["accessToken"]["role"], [each["name"] for each in me["orgs"]]]
        """,
        user="bob",
    )
    assert result == ["bob", "write", ["acme"]]
    with pytest.raises(ClientError, match="Invalid user token") as caught:
        hub_python("api.whoami()", HF_TOKEN="hf_wrong")
    assert "HTTPError" in caught.value.kinds or "HfHubHTTPError" in caught.value.kinds
    assert [(each.user, each.status) for each in hub.seen("GET", "/api/whoami-v2")] == [("bob", 200), ("?", 401)]


@both_lines
@pytest.mark.parametrize("user, role, namespace", [("alice", "read", "alice"), ("bob", "write", "alice")])
def test_who_may_not_write(hub: Hub, hub_python: Run, user: str, role: str, namespace: str) -> None:
    hub.create(f"{namespace}/model", {"a.txt": "a"})
    result = hub_python(
        f"""
        def status(call, *args, **options):
            try:
                call(*args, **options)
            except Exception as error:
                return [error.response.status_code, "rights to" in str(error)]

        result = [
            status(api.create_repo, "{namespace}/new"),
            status(api.upload_file, path_or_fileobj=b"b", path_in_repo="a.txt", repo_id="{namespace}/model"),
            status(api.delete_repo, "{namespace}/model"),
            open(api.hf_hub_download("{namespace}/model", "a.txt")).read(),
        ]
        """,
        user=user,
        role=role,
    )
    assert result == [[403, True], [403, True], [403, True], "a"]


ERRORS = """
def kind(call, *args, **options):
    try:
        return call(*args, **options) and "done"
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]
"""


@both_lines
def test_errors_of_what_is_not_there(hub: Hub, hub_python: Run) -> None:
    hub.create("bob/private", {"a.txt": "a"}, private=True)
    hub.create("bob/public", {"a.txt": "a"})
    script = f"""{ERRORS}
result = {{
    "missing": kind(api.model_info, "bob/missing"),
    "private": kind(api.model_info, "bob/private"),
    "file of private": kind(api.hf_hub_download, "bob/private", "a.txt"),
    "one name": kind(api.model_info, "gpt2"),
    "other kind": kind(api.dataset_info, "bob/public"),
    "revision": kind(api.model_info, "bob/public", revision="v9"),
    "file at revision": kind(api.hf_hub_download, "bob/public", "a.txt", revision="v9"),
    "file": kind(api.hf_hub_download, "bob/public", "b.txt"),
    "folder": kind(lambda: list(api.list_repo_tree("bob/public", "nowhere"))),
}}
"""
    absent = ["RevisionNotFoundError", 404]
    shared = {"revision": absent, "file at revision": absent}
    for user, status in (("alice", 404), (None, 401)):
        result = hub_python(script, user=user)
        for name in ("missing", "private", "file of private", "one name", "other kind"):
            assert result.pop(name) == ["RepositoryNotFoundError", status], (user, name)
        for name in ("file", "folder"):
            kind, status_of_entry = result.pop(name)
            assert kind.endswith("EntryNotFoundError") and status_of_entry == 404
        assert result == shared
    assert hub_python(script, user="bob")["file of private"] == "done"


@both_lines
def test_gated_repositories(hub: Hub, hub_python: Run) -> None:
    hub.create("bob/gated", {"a.txt": "a", "model.bin": "weights"}, gated=True)
    hub.grant("bob/gated", "carol")
    script = f"""{ERRORS}
result = [
    api.model_info("bob/gated").gated,
    kind(api.hf_hub_download, "bob/gated", "a.txt"),
    kind(api.hf_hub_download, "bob/gated", "model.bin"),
    kind(api.auth_check, "bob/gated"),
]
"""
    for user, status in (("alice", 403), (None, 401)):
        assert hub_python(script, user=user) == ["auto", *[["GatedRepoError", status]] * 3]
    assert hub_python(script, user="carol")[1:3] == ["done", "done"]


@both_lines
def test_tokens_stay_with_the_hub(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model", {"model.bin": "weights", "a.txt": "a"}, private=True)
    hub_python("api.snapshot_download('alice/model')")
    assert {each.origin: each.user for each in hub.requests} == {"hub": "alice", "cdn": None}
    assert hub.token("alice") not in repr(hub.requests) + str([each.headers for each in hub.requests])
    url = f"{hub.cdn}{hub.seen('GET', '/download/*')[0].path}"
    assert fetch(url)[0] == 404, "a URL without its signature"


# --- downloads -----------------------------------------------------------------------------------------------------


@both_lines
def test_a_cached_snapshot_asks_once(hub: Hub, hub_python: Run, tmp_path: Path) -> None:
    commit = hub.create("alice/model", {"model.bin": "weights", "a.txt": "a"})
    home = tmp_path / "home"
    first = hub_python("result = api.snapshot_download('alice/model')", home=home)
    hub.requests.clear()
    assert hub_python("result = api.snapshot_download('alice/model')", home=home) == first
    assert first.endswith(commit)
    assert summaries(hub.requests) == ["GET /api/models/alice/model/revision/main 200"]


@pytest.mark.parametrize("name", ["a.txt", "model.bin"])
def test_ranges(hub: Hub, name: str) -> None:
    hub.create("alice/model", {name: "0123456789"})
    url = f"{hub.endpoint}/alice/model/resolve/main/{name}"
    assert fetch(url)[:2] == (200, b"0123456789")
    for asked, body, content_range in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ):
        status, got, headers = fetch(url, Range=asked)
        assert (status, got, headers["Content-Range"]) == (206, body, content_range)
    status, _, headers = fetch(url, Range="bytes=10-")
    assert (status, headers["Content-Range"]) == (416, "bytes */10")


# --- faults --------------------------------------------------------------------------------------------------------


def test_faults_are_chosen_by_method_path_and_count(hub: Hub) -> None:
    hub.create("alice/model", {"a.txt": "a"})
    fault = hub.fail("GET", "*/resolve/*/a.txt", skip=1, times=2, status=429, headers={"Retry-After": "7"})
    url = f"{hub.endpoint}/alice/model"
    assert fetch(f"{url}/raw/main/a.txt")[0] == 200
    answers = [fetch(f"{url}/resolve/main/a.txt") for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 429, 429, 200]
    assert answers[1][2]["Retry-After"] == "7"
    assert fault.hits == 2
    assert summaries(hub.seen("*", "*/raw/*")) == ["GET /alice/model/raw/main/a.txt 200"]


def not_of_hub_0(why: str) -> pytest.MarkDecorator:
    """Leave a test out where the client is the one that goes with transformers 4."""
    return pytest.mark.skipif(version("huggingface_hub").startswith("0."), reason=f"huggingface_hub 0.36: {why}")


UPLOAD_WEIGHTS = "api.upload_file(path_or_fileobj=b'weights', path_in_repo='model.bin', repo_id='alice/model')"
DOWNLOAD_WEIGHTS = "result = open(api.hf_hub_download('alice/model', 'model.bin')).read()"


@both_lines
def test_an_upload_that_fails_is_sent_again(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model")
    hub.fail("PUT", "/upload/*", status=500)
    hub_python(UPLOAD_WEIGHTS)
    assert [each.status for each in hub.seen("PUT", "/upload/*")] == [500, 200]
    assert hub.files("alice/model")["model.bin"] == b"weights"


@not_of_hub_0("it does not try again")
def test_other_requests_are_sent_again(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model")
    faults = [hub.fail("POST", "*/preupload/main", status=503), hub.fail("PUT", "/upload/*", drop="request")]
    hub_python(UPLOAD_WEIGHTS)
    assert [fault.hits for fault in faults] == [1, 1]
    assert hub.files("alice/model")["model.bin"] == b"weights"


@both_lines
def test_a_commit_that_fails_is_not_repeated(hub: Hub, hub_python: Run) -> None:
    first = hub.create("alice/model")
    hub.fail("POST", "*/commit/main", status=503)
    with pytest.raises(ClientError, match="503") as caught:
        hub_python(UPLOAD_WEIGHTS)
    assert "HfHubHTTPError" in caught.value.kinds
    assert hub.commits("alice/model") == [first]

    hub.fail("POST", "*/commit/main", drop="request")
    with pytest.raises(ClientError):
        hub_python(UPLOAD_WEIGHTS)
    assert hub.commits("alice/model") == [first]

    # The commit was made, and its answer lost.
    hub.fail("POST", "*/commit/main", drop="answer")
    with pytest.raises(ClientError):
        hub_python(UPLOAD_WEIGHTS)
    assert len(hub.commits("alice/model")) == 2
    assert [each.status for each in hub.seen("POST", "*/commit/main")] == [503, None, None]
    assert len(hub.seen("PUT", "/upload/*")) == 1, "the weights were there already"


@both_lines
def test_a_branch_that_moves_during_an_upload(hub: Hub, hub_python: Run) -> None:
    first = hub.create("alice/model", {"a.txt": "a"})
    hub.fail("POST", "*/preupload/main", call=lambda: hub.commit("alice/model", {"a.txt": "meanwhile"}))
    with pytest.raises(ClientError, match="A commit has happened since"):
        hub_python(
            f"""
            from huggingface_hub import CommitOperationAdd

            operations = [CommitOperationAdd("a.txt", b"late")]
            api.create_commit("alice/model", operations, commit_message="Late", parent_commit={first!r})
            """
        )
    assert hub.files("alice/model")["a.txt"] == b"meanwhile"


@both_lines
def test_a_branch_that_moves_during_a_download(hub: Hub, hub_python: Run) -> None:
    first = hub.create("alice/model", {"a.txt": "old", "b.txt": "old"})
    second = hub.commit("alice/model", {"a.txt": "new", "b.txt": "new"})
    hub.fail("GET", "*/revision/main", call=lambda: hub.move_branch("alice/model", first))
    script = """
    from pathlib import Path
    folder = Path(api.snapshot_download("alice/model"))
    result = [folder.name, (folder / "a.txt").read_text(), (folder / "b.txt").read_text()]
    """
    assert hub_python(script) == [second, "new", "new"], "a snapshot is of one commit"
    assert hub_python(script) == [first, "old", "old"]


@not_of_hub_0("it raises")
def test_a_download_that_breaks_off_is_resumed(hub: Hub, hub_python: Run, model_folder: Path) -> None:
    hub.create("alice/model", model_folder)
    # Later than the first 10 MB, which is how much the client reads at a time.
    size = 10 * MEGABYTE + 1000
    hub.fail("GET", "/download/*", drop=size)
    path = hub_python("result = api.hf_hub_download('alice/model', 'model.safetensors')")
    assert Path(path).read_bytes() == (model_folder / "model.safetensors").read_bytes()
    broken, resumed = hub.seen("GET", "/download/*")
    assert (broken.sent, resumed.status, resumed.sent) == (size, 206, MEGABYTE)


@not_of_hub_0("it asks again")
def test_a_download_that_is_refused(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model", {"model.bin": "weights"})
    hub.fail("GET", "/download/*", status=500)
    with pytest.raises(ClientError, match="500"):
        hub_python(DOWNLOAD_WEIGHTS)
    assert len(hub.seen("GET", "/download/*")) == 1, "raised at once"
    assert hub_python(DOWNLOAD_WEIGHTS) == "weights"


@both_lines
def test_slow_answers(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model", {"model.bin": "x" * 1000})
    hub.fail("HEAD", "*/resolve/*", delay=60)
    slow = hub.fail("GET", "/download/*", rate=2000)
    assert hub_python(DOWNLOAD_WEIGHTS, HF_HUB_ETAG_TIMEOUT="1") == "x" * 1000
    assert slow.hits == 1
    assert [each.status for each in hub.seen("HEAD")] == [None, 302], "asked again after a second"


@not_of_hub_0("it cannot compare checksums")
def test_a_tampered_download_is_found_by_its_checksum(hub: Hub, hub_python: Run) -> None:
    hub.create("alice/model", {"model.bin": "weights", "a.txt": "text"})
    hub.fail("GET", "/download/*", tamper=0)
    hub.fail("GET", "*/resolve/*/a.txt", tamper=3)
    result = hub_python(
        """
        from pathlib import Path
        folder = Path(api.snapshot_download("alice/model"))
        checked = api.verify_repo_checksums("alice/model", cache_dir=folder.parents[2])
        result = {
            "bytes": [list((folder / name).read_bytes()) for name in ("model.bin", "a.txt")],
            "mismatches": sorted(each["path"] for each in checked.mismatches),
        }
        """
    )
    assert bytes(result["bytes"][0]) == bytes([ord("w") ^ 0xFF]) + b"eights"
    assert bytes(result["bytes"][1]) == b"tex" + bytes([ord("t") ^ 0xFF])
    assert result["mismatches"] == ["a.txt", "model.bin"]


# --- git: ids ------------------------------------------------------------------------------------------------------


@both_lines
@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_ids_are_those_of_git(hub: Hub, tmp_path: Path) -> None:
    # Git sorts the folder `a` after `a.b` and `a.txt`, as if it were called `a/`.
    hub.create("alice/model", {"a.txt": "a", "a/x": "x", "a.b/y": "y", "deep/er/z.bin": "weights", "ü.txt": "ü"})
    repo = hub.repo("alice/model")

    def git(*args: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> str:
        environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path), **(variables or {})}
        done = subprocess.run(
            ["git", *args], cwd=tmp_path, input=stdin, env=environment, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    git("init", "--quiet")
    for commit in reversed(repo.log("main")):
        for path, file in commit.files.items():
            assert git("hash-object", "-w", "--stdin", stdin=file.blob) == file.blob_id
            git("update-index", "--add", "--cacheinfo", f"100644,{file.blob_id},{path}")
        assert git("write-tree") == commit.folders[""]
        parents = [argument for parent in commit.parents for argument in ("-p", parent)]
        identity = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in {
                "NAME": "alice",
                "EMAIL": "alice@users.noreply.example",
                "DATE": f"{int(commit.date.timestamp())} +0000",
            }.items()
        }
        assert git("commit-tree", commit.folders[""], *parents, "-m", commit.title, variables=identity) == commit.id


# --- transformers --------------------------------------------------------------------------------------------------


@both_lines
def test_transformers_loads_a_pipeline_from_it(hub: Hub, hub_python: Run, tiny_checkpoint: Path) -> None:
    hub_python(
        f"""
        api.create_repo("alice/tiny", private=True)
        api.upload_folder(repo_id="alice/tiny", folder_path={str(tiny_checkpoint)!r})
        """
    )
    uploads = len(hub.requests)
    result = hub_python(
        f"""
        from transformers import pipeline
        models = ["alice/tiny", {str(tiny_checkpoint)!r}]
        result = [pipeline("text-classification", model=model)("Good.") for model in models]
        """
    )
    assert result[0] == result[1]
    downloads = hub.requests[uploads:]
    assert {each.user for each in downloads if each.origin == "hub"} == {"alice"}
    assert [each.sent for each in downloads if each.path.endswith(".safetensors") and each.origin == "cdn"]
    assert not [each for each in downloads if each.status not in (200, 302, 404)]


# --- @huggingface/hub, the npm package -----------------------------------------------------------------------------

NODE_SCRIPT = """
import * as hf from "@huggingface/hub";

const options = { hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN };
const repo = "alice/js";
const text = async (path, revision) => (await hf.downloadFile({ ...options, repo, path, revision })).text();
const failure = async (promise) => { try { await promise; return null; } catch (error) { return error.statusCode; } };
const all = async (iterable) => { const list = []; for await (const each of iterable) list.push(each); return list; };
const weights = new Blob([new Uint8Array(11 * 2 ** 20).fill(7)]);

const result = {};
result.whoami = (await hf.whoAmI(options)).name;
await hf.createRepo({ ...options, repo, visibility: "private" });
result.exists = [await hf.repoExists({ ...options, repo }), await hf.repoExists({ ...options, repo: "alice/none" })];
const first = await hf.uploadFiles({
  ...options, repo, commitTitle: "First",
  files: [
    { path: "README.md", content: new Blob(["---\\ntags: [js]\\n---\\n"]) },
    { path: "model.bin", content: weights },
    { path: "folder/b.txt", content: new Blob(["b"]) },
  ],
});
result.commit = first.commit.oid;
result.stale = await failure(hf.commit({
  ...options, repo, title: "Stale", parentCommit: "0".repeat(40),
  operations: [{ operation: "delete", path: "folder/b.txt" }],
}));
const proposed = await hf.uploadFile({
  ...options, repo, file: { path: "folder/b.txt", content: new Blob(["proposed"]) }, isPullRequest: true,
});
result.pull = proposed.pullRequestUrl;
await hf.createBranch({ ...options, repo, branch: "next" });
await hf.deleteFile({ ...options, repo, path: "folder/b.txt", branch: "next" });
result.files = (await all(hf.listFiles({ ...options, repo, recursive: true }))).map((each) => [each.path, each.size]);
const next = await all(hf.listFiles({ ...options, repo, revision: "next", recursive: true }));
result.next = next.map((each) => each.path);
result.commits = (await all(hf.listCommits({ ...options, repo }))).map((each) => each.title);
result.info = (await hf.modelInfo({ ...options, name: repo, additionalFields: ["tags"] })).tags;
result.paths = (await hf.pathsInfo({ ...options, repo, paths: ["model.bin", "none"] })).map((each) => each.lfs.size);
result.file = [await text("folder/b.txt", "main"), await text("folder/b.txt", "refs/pr/1")];
result.range = await (await hf.downloadFile({ ...options, repo, path: "model.bin" })).slice(0, 3).text();
result.raw = (await (await hf.downloadFile({ ...options, repo, path: "model.bin", raw: true })).text()).split("\\n")[0];
const snapshot = await hf.snapshotDownload({ ...options, repo, cacheDir: process.env.HF_HUB_CACHE });
result.snapshot = snapshot.split("/").at(-1);
result.anonymous = await failure(hf.modelInfo({ hubUrl: options.hubUrl, name: repo }));
result.models = (await all(hf.listModels({ ...options, search: { owner: "alice" } }))).map((each) => each.name);
await hf.deleteRepo({ ...options, repo });
result.gone = await hf.repoExists({ ...options, repo });
console.log(JSON.stringify(result));
"""


@pytest.fixture
def node_client(tmp_path: Path) -> Path:
    """A folder where `@huggingface/hub` is installed."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("npm is not installed")
    folder = write(tmp_path / "node", {"package.json": '{"type": "module"}'})
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "@huggingface/hub@2"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("npm could not install @huggingface/hub within a minute")
    if done.returncode:
        pytest.skip(f"npm could not install @huggingface/hub: {done.stderr.strip()[-200:]}")
    return folder


# Slow, since it installs from the npm registry.
@pytest.mark.slow
def test_the_npm_client(hub: Hub, node_client: Path, tmp_path: Path) -> None:
    write(node_client, {"client.js": NODE_SCRIPT})
    environment = {**os.environ, **hub.environment(tmp_path / "home")}
    done = subprocess.run(
        ["node", "client.js"], cwd=node_client, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # The client writes to stdout as well.
    result = json.loads(done.stdout.splitlines()[-1])
    commits = hub.seen("POST", "/api/models/alice/js/commit/main")
    assert result == {
        "whoami": "alice",
        "exists": [True, False],
        "commit": result["snapshot"],
        "stale": 412,
        "pull": f"{hub.endpoint}/alice/js/discussions/1",
        "files": [
            [".gitattributes", result["files"][0][1]],
            ["README.md", 19],
            ["folder", 0],
            ["folder/b.txt", 1],
            ["model.bin", 11 * MEGABYTE],
        ],
        "next": [".gitattributes", "README.md", "model.bin"],
        "commits": ["First", "initial commit"],
        "info": ["js"],
        "paths": [11 * MEGABYTE],
        "file": ["b", "proposed"],
        "range": "\7\7\7",
        "raw": "version https://git-lfs.github.com/spec/v1",
        "snapshot": result["snapshot"],
        "anonymous": 401,
        "models": ["alice/js"],
        "gone": False,
    }
    assert [each.status for each in commits] == [200, 412, 200]
