"""The journal of a run: what an unfinished output belongs to, so that `--resume` can go on with it.

A file of JSON lines beside the output. The first line says what the run is: inputs, parameters, model, code. A run that
is another may not go on: half of the rows would have been made with something else. Further lines say how far it is.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import OutputError
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.records.partial import Partial, checksum

_SAMPLE = 2**16  # bytes at either end of a file that tell it from others
_WEIGHTS = (".safetensors", ".bin", ".h5", ".pt")


@dataclass(frozen=True)
class Progress:
    """How far an unfinished run is.

    Args:
        skipped: rows that failed and were left out (`--on-error skip`).
        window: rows that the engine sorts together at most; None if it had not begun.
        size: bytes of the output at the last note.
        checksum: CRC-32 of these bytes.
    """

    skipped: int = 0
    window: int | None = None
    size: int = 0
    checksum: int = 0


class Journal:
    """A journal file.

    Args:
        path: the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def begin(self, run: Mapping[str, Any]) -> None:
        """Write what the run is, in place of what stood there."""
        self._file = self.path.open("w", encoding="utf-8", buffering=1)
        self._file.write(json.dumps({"run": run}) + "\n")

    def go_on(self) -> None:
        """Add to what is there."""
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def note(self, **what: Any) -> None:
        """Write down how far the run is; see `Progress`."""
        self._file.write(json.dumps(what) + "\n")

    def close(self, *, remove: bool = False) -> None:
        """Close the file, or remove it: the run is complete."""
        if self._file is not None:
            self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def read(self) -> tuple[dict[str, Any], Progress]:
        """Return what the run was, and how far it is.

        Raises:
            OutputError: there is no journal, or it is none.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be read, so nobody knows what the unfinished output belongs to.",
                hint="--force starts again.",
            ) from error
        lines = [line for line in text.split("\n")[:-1] if line]  # without half a line at the end
        try:
            first, *rest = (json.loads(line) for line in lines)
            run = first["run"]
            found: dict[str, Any] = {}
            for line in rest:
                found = {**found, **line, "skipped": found.get("skipped", 0) + line.get("skipped", 0)}
            return run, Progress(**found)
        except (ValueError, KeyError, TypeError) as error:
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
    """Return what tells files from others: name, size and a hash of both ends."""
    return [[name, *_print_of(path)] if path is not None and path.is_file() else [name] for name, path in files]


def describe_model(pipe: Any) -> dict[str, Any]:
    """Return what tells a loaded model from others: its commit, or its folder's files."""
    name = str(pipe.model.name_or_path)
    found = {"name": name, "dtype": str(pipe.model.dtype), "commit": getattr(pipe.model.config, "_commit_hash", None)}
    folder = Path(name)
    if folder.is_dir():
        files = sorted(file for file in folder.iterdir() if file.suffix in (".json", *_WEIGHTS) and file.is_file())
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
    size = path.stat().st_size
    with path.open("rb") as stream:
        ends = stream.read(_SAMPLE)
        if size > _SAMPLE:
            stream.seek(max(_SAMPLE, size - _SAMPLE))
            ends += stream.read()
    return size, _hash(ends)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"
