"""Hugging Face data sets as rows: folders by `save_to_disk`, data sets of the Hub, and single files of them.

Saved folders are Arrow files and are read as such; the library `datasets` is needed for what lies on the Hub alone.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.records.arrow.rows import reading, reason
from pipesmith.pipelines.records.dataset_names import FILE_URL, URL, Place, failure, is_offline, place_of
from pipesmith.pipelines.records.media.urls import is_url
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record
from pipesmith.pipelines.records.source import Source
from pipesmith.pipelines.records.text import too_large

_STATE = "state.json"
_SPLITS = "dataset_dict.json"
_INFO = "dataset_info.json"
_BATCH_ROWS = 256
# The paths that `datasets` gives to files beside rows. Other chains of protocols that fsspec knows lead anywhere.
_FILE_ON_HUB = re.compile(r"(?:zip://(?P<member>.+?)::)?(?P<file>hf://.+)")


def is_saved_dataset(path: Path) -> bool:
    """Tell whether a folder was written by `save_to_disk` of a Dataset or a DatasetDict."""
    return (path / _STATE).is_file() or (path / _SPLITS).is_file()


def open_saved_dataset(path: Path, split: str | None, options: ReadOptions) -> Reading:
    """Open a folder that `save_to_disk` wrote.

    Args:
        path: the folder.
        split: which of its splits; None if there is one alone.
        options: how rows are read.

    Raises:
        InputError: the split is missing, unknown, or not said; a file is missing or damaged.
    """
    if (path / _SPLITS).is_file():
        path /= chosen_split(split, _read_names(path / _SPLITS, "splits"), str(path))
    elif split is not None and split != _read_json(path / _STATE, "_split"):
        raise InputError(f"{path} is one split, and not {split!r}.", hint="Leave --split out.")
    files = [path / name for name in _read_names(path / _STATE, "_data_files", of_each="filename")]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise InputError(f"{path} is not complete: its file {missing.name} is missing.", hint="Save or copy it again.")
    if not files:
        features = _read_json(path / _INFO, "features") or {}
        if not isinstance(features, dict):
            raise _not_saved(path / _INFO, "features is no object with the types of columns")
        return Reading(iter(()), tuple(features), total=0)
    schema, total = _schema_and_total(files)
    return reading(_saved_batches(files), schema, str(path), options, total=total)


def open_dataset(
    name: str, *, split: str | None, access: HubAccess, options: ReadOptions, notify: Callable[[str], None]
) -> Reading:
    """Open a data set of the Hub; its rows come over the network while they are read.

    Images, audio and videos are {"bytes", "path"}, as they lie in it; those that are files beside the rows are fetched
    if they lie on the Hub. One with an http(s) path keeps that alone; any other path, of this machine or of another
    protocol, makes a bad row. A loading script of the data set never runs.

    Args:
        name: hf://datasets/user/name, the same with @revision and :config, or user/name.
        split: which split; None if there is one alone.
        access: to the Hub.
        options: how rows are read.
        notify: told which split it is if none was asked for.

    Raises:
        InputError: the data set, its split or the package `datasets` is not there, or the Hub cannot be reached.
    """
    place = place_of(URL, name)
    if is_offline(access):
        raise InputError(
            f"{name} lies on the Hub, which may not be asked.",
            hint="Save it to a folder while online: datasets.load_dataset(...).save_to_disk(FOLDER)",
        )
    splits = _streams(place, access)
    chosen = chosen_split(split, list(splits), name)
    if split is None:
        notify(f"{name}: its split is {chosen}.")
    stream = splits[chosen]
    if not stream.features:  # known when the data is read: of csv and json
        opened = reading(_streamed_batches(stream, place, access), None, name, options)
    else:
        stream = stream.decode(False)
        opened = reading(_streamed_batches(stream, place, access), stream.features.arrow_schema, name, options)
    return replace(opened, records=_with_files(opened.records, access, options))


def open_hub_file(url: str, access: HubAccess) -> Source:
    """Fetch one file of a data set's repository into huggingface_hub's cache, and open it.

    Args:
        url: hf://datasets/user/name/path, or hf://datasets/user/name@revision/path.
        access: to the Hub.

    Raises:
        InputError: there is no such file, or the Hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download

    place = place_of(FILE_URL, url)
    try:
        path = hf_hub_download(
            place.repo_id,
            place.path,
            repo_type="dataset",
            revision=place.revision,
            token=access.token,
            local_files_only=is_offline(access),
        )
    except Exception as error:  # the network's, the Hub's and the file system's errors have no common base
        raise failure(error, place, access) from error
    return Source(url, Path(path))


def chosen_split(split: str | None, splits: list[str], name: str) -> str:
    """Return the split to read: the one that was asked for, or the only one.

    Raises:
        InputError: there is no such split, or there are several and none was asked for.
    """
    listed = ", ".join(splits) or "none"
    if split is None and len(splits) != 1:
        raise InputError(
            f"{name} has several splits: {listed}.", hint=f"Choose one: --split {(splits or ['train'])[0]}"
        )
    if split is not None and split not in splits:
        raise InputError(f"{name} has no split {split!r}.", hint=near_miss(split, splits) or f"It has {listed}.")
    return split or splits[0]


def _read_json(file: Path, key: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _not_saved(file, f"{key} cannot be read from it ({reason(error)})") from error


def _read_names(file: Path, key: str, *, of_each: str | None = None) -> list[str]:
    """Read names of files or folders beside a file; `of_each` is the key that each has it under.

    Raises:
        InputError: there are none, or one could lead out of the folder.
    """
    names = _read_json(file, key)
    if isinstance(names, list) and of_each is not None:
        names = [one.get(of_each) if isinstance(one, dict) else None for one in names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _not_saved(file, f"{key} is no list of names")
    for name in names:
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise _not_saved(file, f"{key} holds {name!r:.80}, which is no plain name")
    return names


def _not_saved(file: Path, why: str) -> InputError:
    return InputError(f"{file} is not what save_to_disk writes: {why}.", hint="Save or copy the data set again.")


def _schema_and_total(files: list[Path]) -> tuple[Any, int]:
    """Look through the files of a saved data set. They are mapped, so this reads where rows are and not the rows."""
    import pyarrow
    from pyarrow import ipc

    schema, total = None, 0
    for file in files:
        try:
            with pyarrow.memory_map(str(file)) as data, ipc.open_stream(data) as reader:
                schema = schema or reader.schema
                total += sum(batch.num_rows for batch in reader)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(
                f"{file} is cut short or damaged ({reason(error)}).", hint="Save or copy the data set again."
            ) from error
    return schema, total


def _saved_batches(files: list[Path]) -> Iterator[Any]:
    import pyarrow
    from pyarrow import ipc

    for file in files:
        with pyarrow.memory_map(str(file)) as data, ipc.open_stream(data) as reader:
            yield from reader


def _streams(place: Place, access: HubAccess) -> dict[str, Any]:
    """Return the streaming splits of a data set, by name."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"{place.name} needs the package datasets, which is not installed.",
            hint="pip install 'pipesmith[datasets]'",
        ) from error
    from huggingface_hub import HfApi

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    api = HfApi(token=access.token)
    try:
        info = api.dataset_info(place.repo_id, revision=place.revision)
        api.auth_check(info.id, repo_type="dataset")
        if Path(info.id).exists():
            raise InputError(
                f"{info.id} is a folder here as well, which datasets would read instead of {place.name}.",
                hint="Run in another folder, or name the folder itself.",
            )
        where = {"revision": info.sha, "token": access.token}
        try:
            return dict(datasets.load_dataset(info.id, place.config, streaming=True, **where))
        except ValueError:  # of a configuration that is unknown, or was to be chosen
            configs = datasets.get_dataset_config_names(info.id, **where)
            if place.config in configs or (len(configs) == 1 and place.config is None):
                raise
            raise _no_config(place, configs) from None
    except Exception as error:  # as above
        raise failure(error, place, access) from error


def _no_config(place: Place, configs: list[str]) -> InputError:
    listed = ", ".join(configs)
    if place.config is None:
        return InputError(
            f"{place.name} has several configurations: {listed}.",
            hint=f"Choose one: hf://datasets/{place.repo_id}:{configs[0]}",
        )
    return InputError(
        f"{place.name} has no configuration {place.config}.",
        hint=near_miss(place.config, configs) or f"It has {listed}.",
    )


def _streamed_batches(stream: Any, place: Place, access: HubAccess) -> Iterator[Any]:
    try:
        for table in stream.with_format("arrow").iter(_BATCH_ROWS):
            yield from table.to_batches()
    except Exception as error:  # as above, and those of every format that a data set can be in
        raise failure(error, place, access) from error


def _with_files(records: Iterator[Record], access: HubAccess, options: ReadOptions) -> Iterator[Record]:
    """Fetch media that a data set holds as files beside its rows."""
    files = _Files(access, options)
    for record in records:
        if record.error is None:
            try:
                record.values = files.of_row(record.values)
            except _FileError as error:
                record.error = InputError(f"{record.file}, row {record.row}: {error}.", hint=error.hint)
        yield record


class _FileError(Exception):
    """A file of a row cannot be had.

    Args:
        what: the end of a sentence that begins with file and row.
        hint: how to mend it.
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint


class _Files:
    """Fetches the files of rows, whose paths were written by whoever made the data set.

    A path leads to a repository of the Hub, or into a zip archive in one, as `datasets` writes those of folders of
    images. It may not lead to a file of this machine, or to an address in its network.

    Args:
        access: to the Hub.
        options: how rows are read: the files of a row together may not be larger than a row.
    """

    def __init__(self, access: HubAccess, options: ReadOptions) -> None:
        self._access = access
        self._options = options
        self._room = 0
        self._archive: tuple[str, zipfile.ZipFile] | None = None  # the last one: its table of contents is read once

    def of_row(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return a row with the bytes of its files.

        Raises:
            _FileError: one cannot be fetched, may not be, or is too large.
        """
        self._room = self._options.max_row_bytes
        return {column: self._filled(value) for column, value in values.items()}

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):  # its items have one type
            first = next((item for item in value if item is not None), None)
            return [self._filled(item) for item in value] if isinstance(first, (dict, list)) else value
        if not isinstance(value, dict):
            return value
        if value.keys() != {"bytes", "path"}:
            return {key: self._filled(item) for key, item in value.items()}
        path = value["path"]
        if value["bytes"] is not None or not isinstance(path, str) or is_url(path):
            return value  # a URL is fetched where it is used, and only if it leads to no private address
        return {**value, "bytes": self._fetched(path)}

    def _fetched(self, path: str) -> bytes:
        found = _FILE_ON_HUB.fullmatch(path) if path.isprintable() else None
        if found is None:
            raise _FileError(
                f"{path!r:.80} is no file on the Hub",
                "A data set of the Hub may name files on the Hub and URLs, and no files of this machine.",
            )
        try:
            size, data = self._read(found["file"], found["member"])
        except Exception as error:  # as above
            raise _FileError(f"{path} cannot be fetched ({reason(error)})") from error
        if size > self._room:
            large = too_large(self._options)
            raise _FileError(large.what, large.hint)
        self._room -= size
        return data

    def _read(self, name: str, member: str | None) -> tuple[int, bytes]:
        """Return the size of a file, and its bytes if there is room for them."""
        if member is None:
            with self._open(name) as file:
                data = b"" if file.size > self._room else bytes(file.read())
            return max(file.size, len(data)), data
        if self._archive is None or self._archive[0] != name:
            self._archive = name, zipfile.ZipFile(self._open(name))
        with self._archive[1].open(member) as packed:
            data = packed.read(self._room + 1)  # an archive may lie about the size
        return len(data), data

    def _open(self, name: str) -> Any:
        from huggingface_hub import HfFileSystem

        return HfFileSystem(token=self._access.token).open(name)
