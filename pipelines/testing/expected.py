"""Outputs of a task's own model, recorded in tests/expected/<task>.json and compared with later.

Written by `pytest --slow --update-expected`; without a record such tests skip and say so.
"""

from __future__ import annotations

import json
import os
import unittest
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import ContractError
from pipesmith.pipelines.plain import to_plain

TOLERANCE = 1e-3  # of a number, absolute; what processors and versions differ by is less
_updating = False


def set_updating(updating: bool) -> None:
    """Choose whether outputs are recorded instead of compared."""
    global _updating
    _updating = updating


@dataclass(frozen=True)
class Expected:
    """The recorded outputs of a task, or the place for them.

    Args:
        file: where they stand.
        task: the task.
        framework: "pt" or "tf".
        model: the model that they are of, a repo_id, or a folder relative to the project.
        revision: its commit or tag; None for a folder.
        outputs: a plain value for each input; None if they are to be recorded.
    """

    file: Path
    task: str
    framework: str
    model: str
    revision: str | None
    outputs: Any = None

    def load(self) -> Any:
        """Return the pipeline that the outputs are of."""
        folder = self.file.parents[2] / self.model
        model = str(folder) if self.revision is None and folder.is_dir() else self.model
        if self.framework == "tf":
            import transformers

            return transformers.pipeline(self.task, model=model, revision=self.revision, framework="tf")
        from pipesmith.pipelines.loading import pipeline

        return pipeline(self.task, model=model, revision=self.revision)

    def check(self, outputs: Any) -> None:
        """Compare outputs with the recorded ones within 1e-3, or record them.

        Raises:
            ContractError: they differ; it names the first difference.
        """
        found = to_plain(outputs)
        if self.outputs is None:
            record = {"model": self.model, "revision": self.revision, "versions": _versions(), "outputs": found}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = self.file.with_name(f".{self.file.name}.part")
            part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(self.file)
            return
        difference = _difference(self.outputs, found, "outputs")
        if difference:
            raise ContractError(
                f"The outputs of {self.model} have drifted from {self.file}: {difference}.",
                hint="If that is what you want, record them again: pytest --slow --update-expected",
            )


def expected_outputs(task: str, *, framework: str = "pt") -> Expected:
    """Return the recorded outputs of a task, for its large tests.

    Args:
        task: the name of the project's task.
        framework: "pt" or "tf"; PyTorch's outputs are the ones that are recorded, TensorFlow's are held to them.

    Raises:
        unittest.SkipTest: there is no record, and none is to be written.
    """
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.targets import LoadOptions, resolve

    project = find_project()
    root = project.root if project else Path.cwd()
    file = root / "tests" / "expected" / f"{task}.json"
    if _updating and framework == "pt":
        model = resolve(task, LoadOptions(), project).model
        if model is None:
            raise unittest.SkipTest(f"{task} has no default model to record the outputs of: give its entry one")
        place = model.model if model.revision or not Path(model.model).is_dir() else os.path.relpath(model.model, root)
        return Expected(file, task, framework, place, model.revision)
    if not file.is_file():
        raise unittest.SkipTest(f"there is no {file}: pytest --slow --update-expected writes it")
    record = json.loads(file.read_text(encoding="utf-8"))
    return Expected(file, task, framework, record["model"], record["revision"], record["outputs"])


def _versions() -> dict[str, str]:
    found = {}
    for name in ("pipesmith", "transformers", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _difference(one: Any, other: Any, place: str) -> str:
    """Name the first difference of two plain values, "" if they are equal within the tolerance."""
    if _is_number(one) and _is_number(other):
        return "" if abs(one - other) <= TOLERANCE else f"{place} is {other}, not {one}"
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        pairs = [(one[key], other[key], f"{place}[{key!r}]") for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(a, b, f"{place}[{index}]") for index, (a, b) in enumerate(zip(one, other))]
    else:
        return "" if one == other else f"{place} is {other!r}, not {one!r}"
    return next(filter(None, (_difference(*pair) for pair in pairs)), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
