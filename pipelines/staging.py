"""Text files written whole: staged beside their places and renamed, so that none is ever half written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipesmith.pipelines.errors import ScaffoldError


def read_source(file: Path) -> str:
    """Read a text as it is, line ends included; "" if there is no file.

    Raises:
        ScaffoldError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ScaffoldError(f"{file} is not UTF-8.", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ScaffoldError(
            f"{file} cannot be read: {error.strerror}.", hint="Check the path and its rights."
        ) from error


def write_files(files: Mapping[Path, str]) -> None:
    """Write files: all are staged before the first is renamed, and they are renamed in their order.

    Folders are made, links are followed, and a file's rights stay.

    Raises:
        ScaffoldError: a place cannot be written; nothing has changed then, unless it is the renaming that failed.
    """
    staged: list[tuple[Path, Path]] = []
    place = Path()
    try:
        for place, text in files.items():
            target = place.resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{os.getpid()}.part")
            staged.append((draft, target))
            with draft.open("wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            if target.exists():
                shutil.copymode(target, draft)
        for draft, place in staged:
            draft.replace(place)
    except OSError as error:
        raise ScaffoldError(
            f"{place} cannot be written: {error.strerror or error}.", hint="Check the folder, its rights and the disk."
        ) from error
    finally:
        for draft, _ in staged:
            draft.unlink(missing_ok=True)
