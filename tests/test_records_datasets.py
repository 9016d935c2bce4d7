"""Hugging Face data sets: folders by save_to_disk, and data sets and files of the Hub."""

from __future__ import annotations

import base64
import io
import json
import shutil
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.records.datasets import is_saved_dataset, open_dataset, open_hub_file, open_saved_dataset
from pipesmith.pipelines.records.record import ReadOptions

both_lines = pytest.mark.both_lines
OPTIONS = ReadOptions()
ROWS = [{"id": number, "text": f"Zeile „{number}“\n"} for number in range(7)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders written by save_to_disk: `one` in three files, `splits` and `empty`; not to be changed."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder = tmp_path_factory.mktemp("saved")
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(folder / "one", num_shards=3)
    splits = {"train": data, "test": data.select([4, 2])}
    datasets.DatasetDict(splits).save_to_disk(folder / "splits")
    data.select([]).save_to_disk(folder / "empty")
    return folder


@both_lines
def test_saved_folders_are_rows_in_order(saved: Path) -> None:
    reading = open_saved_dataset(saved / "one", None, OPTIONS)
    records = list(reading.records)
    assert [record.values for record in records] == ROWS
    assert [record.row for record in records] == list(range(1, 8))
    assert (reading.columns, reading.total) == (("id", "text"), 7)
    assert [record.values for record in open_saved_dataset(saved / "splits", "test", OPTIONS).records] == [
        ROWS[4],
        ROWS[2],
    ]
    empty = open_saved_dataset(saved / "empty", None, OPTIONS)
    assert (list(empty.records), empty.columns, empty.total) == ([], ("id", "text"), 0)
    assert [is_saved_dataset(saved / name) for name in ("one", "splits", ".")] == [True, True, False]


def test_a_split_is_chosen_by_its_name(saved: Path) -> None:
    cases = [
        ("splits", None, "has several splits: train, test.", "Choose one: --split train"),
        ("splits", "tst", "has no split 'tst'.", "Did you mean test?"),
        ("one", "train", "is one split, and not 'train'.", "Leave --split out."),
    ]
    for folder, split, message, hint in cases:
        with pytest.raises(InputError, match=message) as caught:
            open_saved_dataset(saved / folder, split, OPTIONS)
        assert caught.value.hint == hint


def test_damaged_folders_are_named(saved: Path, tmp_path: Path) -> None:
    def broken(name: str, change: Callable[[Path], object]) -> str:
        folder = tmp_path / name
        shutil.copytree(saved / "one", folder)
        change(folder)
        with pytest.raises(InputError) as caught:
            open_saved_dataset(folder, None, OPTIONS)
        return caught.value.message

    shard = "data-00001-of-00003.arrow"
    assert f"its file {shard} is missing" in broken("missing", lambda folder: (folder / shard).unlink())
    assert f"{shard} is cut short or damaged" in broken("cut", lambda folder: (folder / shard).write_bytes(b"\xff" * 9))
    assert "state.json is not what" in broken("json", lambda folder: (folder / "state.json").write_text("[1"))
    assert "_data_files" in broken("key", lambda folder: (folder / "state.json").write_text("{}"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("state.json", {"_data_files": None}, "_data_files is no list of names"),
        ("state.json", {"_data_files": [{"x": 1}]}, "_data_files is no list of names"),
        ("state.json", {"_data_files": [1]}, "_data_files is no list of names"),
        ("state.json", {"_data_files": {"filename": "x"}}, "_data_files is no list of names"),
        ("state.json", {"_data_files": [{"filename": "../one/data-00000-of-00003.arrow"}]}, "which is no plain name"),
        ("state.json", {"_data_files": [{"filename": "/etc/hostname"}]}, "which is no plain name"),
        ("state.json", {"_data_files": [{"filename": "x\n\ud800"}]}, "'x\\n\\ud800', which is no plain name"),
        ("state.json", [1], "_data_files cannot be read"),
        ("dataset_dict.json", {"splits": 5}, "splits is no list of names"),
        ("dataset_dict.json", {"splits": [["a"]]}, "splits is no list of names"),
        ("dataset_dict.json", {"splits": "train"}, "splits is no list of names"),
        ("dataset_dict.json", {"splits": ["../one"]}, "'../one', which is no plain name"),
        ("dataset_dict.json", {"splits": [".."]}, "'..', which is no plain name"),
        ("dataset_dict.json", {"splits": ["absent"]}, "absent/state.json is not what save_to_disk writes"),
    ],
    ids=str,
)
def test_names_that_lead_elsewhere_are_refused(
    saved: Path, tmp_path: Path, file: str, content: object, message: str
) -> None:
    shutil.copytree(saved / "one", tmp_path / "one")
    folder = tmp_path / "folder"
    shutil.copytree(saved / "one", folder)
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        open_saved_dataset(folder, None, OPTIONS)
    assert message in caught.value.message and "\n" not in caught.value.message


def test_an_empty_data_set_may_have_no_features(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "empty", tmp_path / "empty")
    for file, content in (("state.json", {"_data_files": []}), ("dataset_info.json", {"features": None})):
        (tmp_path / "empty" / file).write_text(json.dumps(content))
    reading = open_saved_dataset(tmp_path / "empty", None, OPTIONS)
    assert (list(reading.records), reading.columns) == ([], ())
    (tmp_path / "empty/dataset_info.json").write_text('{"features": 5}')
    with pytest.raises(InputError, match=r"dataset_info.json is not what .*: features is no object"):
        open_saved_dataset(tmp_path / "empty", None, OPTIONS)


# --- the Hub -------------------------------------------------------------------------------------------------------


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def png() -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (4, 4)).save(sink, "PNG")
    return sink.getvalue()


CONFIGS = """---
configs:
- config_name: english
  data_files: en.csv
- config_name: french
  data_files: fr.csv
---
"""
IMAGE_CARD = """---
dataset_info:
  features:
  - name: image
    dtype: image
  splits:
  - name: train
    num_examples: 1
---
"""

# Reads each of `names` ([name, split]) and leaves its rows, or its error, in `result`.
READ = """
    import base64
    from pipesmith.pipelines.errors import InputError
    from pipesmith.pipelines.hub import HubAccess
    from pipesmith.pipelines.records.datasets import open_dataset
    from pipesmith.pipelines.records.record import ReadOptions

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    result = []
    for name, split in NAMES:
        said = []
        try:
            access = HubAccess(token=TOKEN)
            options = ReadOptions(**OPTIONS)
            reading = open_dataset(name, split=split, access=access, options=options, notify=said.append)
            records = list(reading.records)
            result.append({
                "rows": [plain(record.values) for record in records if record.error is None],
                "errors": [record.error.message for record in records if record.error],
                "columns": reading.columns, "said": said,
            })
        except InputError as error:
            result.append({"message": error.message, "hint": error.hint})
"""


def read_all(hub_python: Callable[..., Any], *names: tuple[str, str | None], **options: Any) -> list[dict[str, Any]]:
    token = options.pop("token", None)
    read_options = options.pop("options", {})
    script = f"NAMES = {list(names)!r}\nTOKEN = {token!r}\nOPTIONS = {read_options!r}\n"
    answers: list[dict[str, Any]] = hub_python(script + textwrap.dedent(READ), **options)
    return answers


def test_data_sets_of_the_hub_are_streamed(hub: Hub, hub_python: Callable[..., Any]) -> None:
    """Read with a token that was given, one of them private: nobody is logged in."""
    image = png()
    first = hub.create("alice/rows", {"train.csv": "old\n1\n"}, kind="dataset")
    splits = {"data/train-00000-of-00001.parquet": parquet(ROWS), "data/test-00000-of-00001.parquet": parquet(ROWS[:2])}
    hub.commit("alice/rows", splits, delete=["train.csv"], kind="dataset")
    hub.create("alice/table", {"train.csv": "a,b\n1,x\n2,ü\n"}, kind="dataset")
    hub.create("alice/configs", {"README.md": CONFIGS, "en.csv": "a\n1\n", "fr.csv": "a\n2\n"}, kind="dataset")
    hub.create("alice/folder", {"train/one.png": image, "train/two.png": image}, kind="dataset", private=True)
    embedded = {"image": {"bytes": image, "path": "x.png"}}
    hub.create("alice/images", {"README.md": IMAGE_CARD, "data/train.parquet": parquet([embedded])}, kind="dataset")

    names: list[tuple[str, str | None]] = [
        ("hf://datasets/alice/rows", "train"),
        ("alice/rows", "test"),
        (f"hf://datasets/alice/rows@{first}", None),
        ("hf://datasets/alice/table", None),
        ("hf://datasets/alice/configs:french", None),
        ("hf://datasets/alice/images", "train"),
        ("hf://datasets/alice/folder", "train"),
    ]
    train, test, old, table, french, images, folder = read_all(hub_python, *names, user=None, token=hub.token("alice"))
    assert (train["rows"], train["columns"], train["said"]) == (ROWS, ["id", "text"], [])
    assert test["rows"] == ROWS[:2]
    assert old["rows"] == [{"old": 1}]
    assert (table["rows"], table["said"]) == (
        [{"a": 1, "b": "x"}, {"a": 2, "b": "ü"}],
        ["hf://datasets/alice/table: its split is train."],
    )
    assert french["rows"] == [{"a": 2}]
    encoded = base64.b64encode(image).decode()
    assert images["rows"] == [{"image": {"bytes": encoded, "path": "x.png"}}]
    assert [row["image"]["bytes"] for row in folder["rows"]] == [encoded, encoded]
    assert all(answer["errors"] == [] for answer in (train, test, old, table, french, images, folder))


MEDIA_CARD = """---
dataset_info:
  features:
  - name: id
    dtype: int64
  - name: image
    dtype: image
  - name: more
    list: image
  splits:
  - name: train
    num_examples: 1
---
"""


def test_files_beside_rows_come_from_the_hub_alone(hub: Hub, hub_python: Callable[..., Any], tmp_path: Path) -> None:
    image, secret = png(), tmp_path / "secret.png"
    secret.write_bytes(image)
    hub.create("alice/files", {"one.png": image, "two.zip": zipped({"b/two.png": image})}, kind="dataset")
    base = "hf://datasets/alice/files@main"
    fetched = [f"{base}/one.png", f"zip://b/two.png::{base}/two.zip"]
    kept = ["http://127.0.0.1:1/x.png", "https://example.invalid/x.png"]
    refused = [
        str(secret),
        secret.as_uri(),
        "secret.png",
        f"local://{secret}",
        f"zip://x.png::file://{secret}",
        f"simplecache::file://{secret}",
        f"hf://datasets/alice/files/one.png::file://{secret}",
        f"{base}/absent.png",
        f"zip://absent.png::{base}/two.zip",
        f"zip://x.png::{base}/one.png",
    ]
    paths = [*fetched, *kept, *refused]
    rows = [{"id": number, "image": {"bytes": None, "path": path}, "more": None} for number, path in enumerate(paths)]
    rows += [{"id": -1, "image": None, "more": [None, {"bytes": None, "path": path}]} for path in (paths[0], *refused)]
    # `datasets` knows the types of parquet, and of json nothing before it is read.
    hub.create("alice/typed", {"README.md": MEDIA_CARD, "train.parquet": media_rows(rows)}, kind="dataset")
    plain = "".join(json.dumps({"image": row["image"]}) + "\n" for row in rows if row["id"] >= 0)
    hub.create("alice/plain", {"train.jsonl": plain}, kind="dataset")

    names: list[tuple[str, str | None]] = [("alice/typed", "train"), ("alice/plain", "train")]
    typed, untyped = read_all(hub_python, *names, cwd=tmp_path)
    encoded = base64.b64encode(image).decode()
    good = [{"bytes": encoded, "path": path} for path in fetched] + [{"bytes": None, "path": path} for path in kept]
    assert [row["image"] for row in typed["rows"] if row["id"] >= 0] == good
    assert [row["more"] for row in typed["rows"] if row["id"] < 0] == [[None, good[0]]]
    assert [row["image"] for row in untyped["rows"]] == good
    assert (len(typed["errors"]), len(untyped["errors"])) == (2 * len(refused), len(refused))
    for said, path in zip(typed["errors"], (*refused, *refused)):
        assert path[:75] in said and ("is no file on the Hub" in said or "cannot be fetched" in said), said
    assert typed["errors"][0].startswith(f"alice/typed, row {len(good) + 1}: ")


def test_files_beside_rows_are_no_larger_than_a_row(hub: Hub, hub_python: Callable[..., Any]) -> None:
    large, small = bytes(5000), png()
    members = {"a.png": large, "b.png": small}
    hub.create("alice/zipped", {"train.zip": zipped(members)}, kind="dataset")
    hub.create("alice/loose", {f"train/{name}": data for name, data in members.items()}, kind="dataset")
    names: list[tuple[str, str | None]] = [("alice/zipped", "train"), ("alice/loose", "train")]
    for answer in read_all(hub_python, *names, options={"max_row_bytes": 1000}):
        assert [row["image"]["bytes"] for row in answer["rows"]] == [base64.b64encode(small).decode()]
        (message,) = answer["errors"]
        assert "row 1: the row is larger than 1,000 bytes" in message


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def media_rows(rows: list[dict[str, Any]]) -> bytes:
    file = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    sink = io.BytesIO()
    schema = pa.schema([("id", pa.int64()), ("image", file), ("more", pa.list_(file))])
    pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    return sink.getvalue()


def test_what_the_hub_refuses_is_a_sentence(hub: Hub, hub_python: Callable[..., Any], tmp_path: Path) -> None:
    hub.create("alice/rows", {"train.csv": "a\n1\n", "test.csv": "a\n1\n"}, kind="dataset")
    hub.create("alice/configs", {"README.md": CONFIGS, "en.csv": "a\n1\n", "fr.csv": "a\n2\n"}, kind="dataset")
    hub.create("alice/gated", {"train.csv": "a\n1\n"}, kind="dataset", gated="manual")
    hub.create("alice/script", {"script.py": "open('ran', 'w')"}, kind="dataset")
    hub.create("alice/broken", {"train.parquet": parquet(ROWS)[:-20]}, kind="dataset")
    hub.create("alice/here", {"train.csv": "a\n1\n"}, kind="dataset")
    hub.create("alice/private", {"train.csv": "a\n1\n"}, kind="dataset", private=True)
    (tmp_path / "alice/here").mkdir(parents=True)
    expected = {
        ("hf://datasets/alice/rows", None): ("has several splits: train, test.", "Choose one: --split train"),
        ("alice/rows", "tset"): ("alice/rows has no split 'tset'.", "Did you mean test?"),
        ("hf://datasets/alice/configs", "train"): (
            "has several configurations: english, french.",
            "Choose one: hf://datasets/alice/configs:english",
        ),
        ("hf://datasets/alice/configs:frensh", None): ("has no configuration frensh.", "Did you mean french?"),
        ("hf://datasets/alice/absent", None): ("There is no data set alice/absent on the Hub", "Check the name"),
        ("hf://datasets/alice/private", None): ("There is no data set alice/private on the Hub", "Check the name"),
        ("hf://datasets/alice/rows@nope", None): ("The data set alice/rows has no revision nope.", None),
        ("hf://datasets/alice/gated", None): (
            "The data set alice/gated is gated",
            "/datasets/alice/gated, then log in",
        ),
        ("hf://datasets/alice/script", None): ("is made by a script of its repository", "@refs%2Fconvert%2Fparquet"),
        ("hf://datasets/alice/broken", None): ("alice/broken cannot be fetched: ArrowInvalid", None),
        ("hf://datasets/alice/here", None): ("alice/here is a folder here as well", "Run in another folder"),
        ("hf://datasets/a/b/c/d", None): ("is no data set of the Hub", "Write hf://datasets/user/name"),
    }
    answers = read_all(hub_python, *expected, user="bob", cwd=tmp_path)
    for (name, _), answer, (message, hint) in zip(expected, answers, expected.values()):
        said = answer.get("message") or " ".join(answer["errors"])
        assert message in said, (name, answer)
        assert hint is None or hint in answer["hint"], (name, answer)
        assert "\n" not in said
    assert not (tmp_path / "ran").exists()


def test_one_file_of_a_repository(hub: Hub, hub_python: Callable[..., Any], tmp_path: Path) -> None:
    hub.create("alice/files", {"data/pairs.jsonl": '{"a": 1}\n'}, kind="dataset")
    asked = {"/data/pairs.jsonl": False, "@main/data/pairs.jsonl": True, "/data/pair.jsonl": False, "/other.csv": True}
    script = """
        from pipesmith.pipelines.errors import InputError
        from pipesmith.pipelines.hub import HubAccess
        from pipesmith.pipelines.records.datasets import open_hub_file

        result = []
        for path, offline in ASKED.items():
            try:
                with open_hub_file("hf://datasets/alice/files" + path, HubAccess(offline=offline)) as source:
                    result.append([source.name, source.stream().read().decode()])
            except InputError as error:
                result.append([error.message, error.hint])
    """
    online, offline, near, absent = hub_python(f"ASKED = {asked!r}\n" + textwrap.dedent(script), user="bob")
    assert online == ["hf://datasets/alice/files/data/pairs.jsonl", '{"a": 1}\n']
    assert offline == ["hf://datasets/alice/files@main/data/pairs.jsonl", '{"a": 1}\n']
    assert near == ["The data set alice/files has no file data/pair.jsonl.", "Did you mean data/pairs.jsonl?"]
    assert absent[0] == "hf://datasets/alice/files/other.csv is not in the cache, and the Hub may not be asked."


def test_without_the_hub_nothing_is_asked() -> None:
    for access in (HubAccess(offline=True), HubAccess()):  # HF_HUB_OFFLINE is set in the tests' own process
        with pytest.raises(InputError, match="lies on the Hub, which may not be asked") as caught:
            open_dataset("alice/rows", split="train", access=access, options=OPTIONS, notify=lambda text: None)
        assert "save_to_disk" in (caught.value.hint or "")
    with pytest.raises(InputError, match="not in the cache"):
        open_hub_file("hf://datasets/alice/rows/train.csv", HubAccess(offline=True))


def test_without_the_package_its_install_is_the_hint(hub: Hub, hub_python: Callable[..., Any]) -> None:
    (answer,) = read_all(
        lambda script, **options: hub_python(f"import sys; sys.modules['datasets'] = None\n{script}", **options),
        ("alice/rows", "train"),
    )
    assert answer["message"] == "alice/rows needs the package datasets, which is not installed."
    assert answer["hint"] == "pip install 'pipesmith[datasets]'"
    assert hub.requests == []
