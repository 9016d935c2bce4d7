"""The journal of a run: what an unfinished output belongs to, so that `--resume` can go on with it.

A file of JSON lines beside the output. The first line says what the run is: inputs, parameters, model, code. A run that
is another may not go on: half of the rows would have been made with something else. Further lines say how far it is.
"""

from __future__ import annotations

import hashlib
import json
import operator
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import OutputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.partial import Partial, Whole, checksum

_BLOCK, _BLOCKS = 2**16, 2**14  # bytes, and how many blocks of them are read of a file larger than all of them: 1 GB
_OF_MODEL = (".json", ".py", ".safetensors", ".bin", ".h5", ".pt", ".txt", ".model", ".jinja")


@dataclass(frozen=True)
class Progress:
    """How far an unfinished run is.

    Args:
        skipped: rows that failed and were left out (`--on-error skip`).
        size: bytes of the output at the last note.
        checksum: CRC-32 of these bytes.
    """

    skipped: int = 0
    size: int = 0
    checksum: int = 0


class Journal:
    """A journal file.

    Args:
        path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Whole | None = None

    @property
    def is_begun(self) -> bool:
        """Whether it says what the run is; one that was killed while its model was loaded has not come so far."""
        return self.path.is_file() and b"\n" in self.path.read_bytes()

    def begin(self, run: Mapping[str, Any]) -> None:
        """Write what the run is, in place of what stood there."""
        self._open("wb")
        self._write({"run": run})

    def go_on(self) -> None:
        """Add to what is there, after its last whole line."""
        self._open("r+b", size=self.path.read_bytes().rfind(b"\n") + 1)

    def note(self, **what: Any) -> None:
        """Write down how far the run is; see `Progress`."""
        self._write(what)

    def close(self, *, remove: bool = False) -> None:
        """Close the file, or remove it: the run is complete."""
        if self._file is not None:
            self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _open(self, mode: str, size: int = 0) -> None:
        raw = self.path.open(mode, buffering=0)
        raw.truncate(size)
        raw.seek(size)
        self._file = Whole(raw, size)  # type: ignore[arg-type]  # without a buffer it is raw

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            error.filename = str(self.path)
            raise

    def read(self) -> tuple[dict[str, Any], Progress]:
        """Return what the run was, and how far it is.

        Raises:
            OutputError: there is no journal, or it is none.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be read, so nobody knows what the unfinished output belongs to.",
                hint="--force starts again.",
            ) from error
        lines = [line for line in data.split(b"\n")[:-1] if line]  # without half a line at the end
        try:
            first, *rest = (json.loads(line) for line in lines)
            run, found = dict(first["run"]), {"skipped": 0}
            for line in rest:
                found = {**found, **line, "skipped": found["skipped"] + line.get("skipped", 0)}
            return run, Progress(**{name: operator.index(value) for name, value in found.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(f"{self.path} is no journal of a run.", hint="--force starts again.") from error


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], output: Path) -> None:
    """Refuse to go on with a run that was another one.

    Raises:
        OutputError: names what has changed.
    """
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        what = f"{key}: {_short(before.get(key))} before, {_short(now.get(key))} now"
        more = f" (and {', '.join(changed[1:])})" if changed[1:] else ""
        raise OutputError(
            f"{output} cannot be resumed: what it was made from has changed. {what}{more}.",
            hint="Run it as it was to go on, or start again with --force.",
        )


def check_output(path: Path, partial: Partial, progress: Progress) -> None:
    """Refuse to go on with an output that is not as the run left it.

    Raises:
        OutputError: it was cut, or edited.
    """
    if partial.size < progress.size or checksum(path, progress.size) != progress.checksum:
        how = "is shorter than it was" if path.stat().st_size < progress.size else "was changed"
        raise OutputError(f"{path} {how} when the run stopped.", hint="--force starts again.")


def describe_files(files: Iterable[tuple[str, Path | None]]) -> list[list[Any]]:
    """Return what tells inputs from others: name, size and a hash of what is in it; of a folder, those of its files."""
    found: list[list[Any]] = []
    for name, path in files:
        inside = sorted(path.rglob("*")) if path is not None and path.is_dir() else [path]
        prints = [_print_of(file) for file in inside if file is not None and file.is_file()]
        found.append([name, *chain.from_iterable(prints)])
    return found


def describe_model(pipe: Any) -> dict[str, Any]:
    """Return what tells a loaded model from others: its commit, or its folder's files."""
    name = str(pipe.model.name_or_path)
    found = {"name": name, "dtype": str(pipe.model.dtype), "commit": getattr(pipe.model.config, "_commit_hash", None)}
    folder = Path(name)
    if folder.is_dir():
        files = sorted(file for file in folder.iterdir() if file.suffix in _OF_MODEL and file.is_file())
        found["files"] = [[file.name, *_print_of(file)] for file in files]
    return found


def describe_code(pipe: Any) -> dict[str, Any]:
    """Return what tells a pipeline's code from others: versions, and a hash of the files it was loaded from."""
    import transformers

    kind = type(pipe)
    found: dict[str, Any] = {"class": kind.__qualname__, "transformers": transformers.__version__}
    if not kind.__module__.startswith("transformers."):
        package = kind.__module__.rpartition(".")[0]
        files = {
            str(module.__file__)
            for name, module in list(sys.modules.items())
            if name == kind.__module__ or (package and name.startswith(f"{package}."))
            if getattr(module, "__file__", None)
        }
        found["files"] = [_hash(Path(file).read_bytes()) for file in sorted(files) if Path(file).is_file()]
    return found


def plain(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run is, as a journal gives it back."""
    found: dict[str, Any] = json.loads(json.dumps(to_plain(run)))
    return found


def _print_of(path: Path) -> tuple[int, str]:
    """Return a file's size, and a hash of what is in it; of a large one, of blocks spread over it."""
    size, found = path.stat().st_size, hashlib.sha256()
    step = max(_BLOCK, size // _BLOCKS)
    with path.open("rb") as stream:
        for start in (*range(0, size, step), max(0, size - _BLOCK)):
            stream.seek(start)
            found.update(stream.read(_BLOCK))
    return size, found.hexdigest()[:16]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"
