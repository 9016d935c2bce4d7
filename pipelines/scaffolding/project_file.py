"""The pyproject.toml that makes a folder a project: text in, text out, what is there stays."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pipesmith.pipelines.errors import ProjectError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = "[tool.pipe]\n"
_PYTEST = """[tool.pytest.ini_options]
pythonpath = ["{}"]
testpaths = ["tests"]
"""


def with_project(text: str, file: Path, source: str = ".") -> str:
    """Return a pyproject.toml with `[tool.pipe]`, and with pytest's `pythonpath` unless pytest is set up already.

    Args:
        text: what stands there, "" for a new file.
        file: where, for messages.
        source: the folder that tests import the pipelines from.

    Raises:
        ProjectError: it does not parse.
    """
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{file} does not parse: {error}.", hint="Mend it and run again.") from error
    added = [] if "pipe" in tool else [_TABLE]
    pytest = tool.get("pytest", {})
    if "ini_options" not in pytest:
        added.append(_PYTEST.format(source))
    elif "pythonpath" not in pytest["ini_options"]:
        line = f'\\g<0>pythonpath = ["{source}"]\n'
        text = re.sub(r"(?m)^\[tool\.pytest\.ini_options\][^\n]*\n?", line, text, count=1)
    return "\n".join([text if text.endswith("\n") or not text else f"{text}\n"][: bool(text)] + added)
