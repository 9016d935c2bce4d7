"""Hugging Face data sets as rows: folders by `save_to_disk`, data sets of the Hub, and single files of them.

Saved folders are Arrow files and are read as such; the library `datasets` is needed for what lies on the Hub alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import InputError
from pipesmith.pipelines.hub import HubAccess
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.records.arrow.rows import reading, reason
from pipesmith.pipelines.records.dataset_names import FILE_URL, URL, Place, failure, is_offline, place_of
from pipesmith.pipelines.records.record import Reading, ReadOptions, Record
from pipesmith.pipelines.records.source import Source

_STATE = "state.json"
_SPLITS = "dataset_dict.json"
_INFO = "dataset_info.json"
_BATCH_ROWS = 256


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
        path /= chosen_split(split, _read_json(path / _SPLITS, "splits"), str(path))
    elif split is not None and split != _read_json(path / _STATE, "_split"):
        raise InputError(f"{path} is one split, and not {split!r}.", hint="Leave --split out.")
    files = [path / str(file["filename"]) for file in _read_json(path / _STATE, "_data_files")]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise InputError(f"{path} is not complete: its file {missing.name} is missing.", hint="Save or copy it again.")
    if not files:
        return Reading(iter(()), tuple(_read_json(path / _INFO, "features")), total=0)
    schema, total = _schema_and_total(files)
    return reading(_saved_batches(files), schema, str(path), options, total=total)


def open_dataset(
    name: str, *, split: str | None, access: HubAccess, options: ReadOptions, notify: Callable[[str], None]
) -> Reading:
    """Open a data set of the Hub; its rows come over the network while they are read.

    Images, audio and videos are {"bytes", "path"}, as they lie in it. A loading script of the data set never runs.

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
        return reading(_streamed_batches(stream, place, access), None, name, options)
    stream = stream.decode(False)
    opened = reading(_streamed_batches(stream, place, access), stream.features.arrow_schema, name, options)
    media = [column for column, feature in stream.features.items() if hasattr(feature, "decode")]
    return replace(opened, records=_with_bytes(opened.records, media, access)) if media else opened


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is not what save_to_disk writes: {key} cannot be read from it ({reason(error)}).",
            hint="Save or copy the data set again.",
        ) from error


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


def _with_bytes(records: Iterator[Record], columns: list[str], access: HubAccess) -> Iterator[Record]:
    """Fetch media that a data set holds as files beside its rows."""
    import fsspec

    for record in records:
        for column in columns:
            value = record.values.get(column)
            if value and value["bytes"] is None and "://" in str(value["path"]):
                try:
                    with fsspec.open(value["path"], hf={"token": access.token}) as file:
                        record.values[column] = {**value, "bytes": file.read()}
                except Exception as error:  # as above
                    record.error = InputError(
                        f"{record.file}, row {record.row}: {value['path']} cannot be fetched ({reason(error)})."
                    )
        yield record
