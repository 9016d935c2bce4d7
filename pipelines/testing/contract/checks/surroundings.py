"""What belongs to the caller: its inputs, and the process around the pipeline."""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path
from typing import Any

from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.testing.contract.comparing import difference, shown
from pipesmith.pipelines.testing.contract.results import Verdict, check, fail, not_applicable, warn
from pipesmith.pipelines.testing.contract.subject import Subject, line_of_call

# What a call may leave changed, and the functions that do it.
_SETTINGS = {
    "the working directory": ("chdir",),
    "torch's default dtype": ("set_default_dtype", "set_default_tensor_type"),
    "whether torch computes gradients": ("set_grad_enabled",),
    "torch's number of threads": ("set_num_threads",),
    "the environment": ("putenv",),
}
_SEEDING = ("manual_seed", "seed", "set_seed", "enable_full_determinism")


@check(
    "input-unchanged",
    why="Rows are the caller's: one that a call has changed gives something else in the next call, or fails.",
    hint='Read with inputs["key"] or inputs.get("key"); before a pop() or an assignment copy: inputs = dict(inputs).',
)
def input_unchanged(subject: Subject) -> Verdict | None:
    """Look at each input after its row has run."""
    rows = subject.rows()
    before = copy.deepcopy([row.inputs for row in rows])
    subject.results(rows)
    report = warn if subject.is_transformers_own else fail
    for row, kept in zip(rows, before):
        if not _equal(kept, row.inputs):
            found = difference(to_plain(kept), to_plain(row.inputs))
            where = f" at {found.path}" if found is not None and found.path else ""
            return report(
                f"the input of row {row.number} is changed by its call{where}",
                at=subject.place("preprocess"),
                expected=found.expected if found else shown(kept),
                got=found.got if found else "other values",
            )
    return None


def _equal(one: Any, other: Any) -> bool:
    """Compare inputs: dicts and lists by what they hold, arrays and images by all of their values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_equal, one, other))
    if hasattr(one, "shape") and one.shape != other.shape:
        return False
    found = one == other
    return bool(found.all()) if hasattr(found, "all") else bool(found)


@check(
    "process-untouched",
    why="A pipeline is a guest in its caller's process: a seed, a directory or a dtype that it sets, and files that it "
    "leaves open, are felt by all other code there.",
    hint="Put back what a call has to change (a torch.Generator of your own instead of a seed, absolute paths instead "
    "of chdir), and open files with `with`.",
)
def process_untouched(subject: Subject) -> Verdict | None:
    """Call it, and look at the process before and after: settings, random numbers, open files."""
    if subject.is_transformers_own:
        return not_applicable("the class is one of transformers'")
    before = _settings()
    subject.native("dataset", subject.inputs[:2])
    after = _settings()
    for what, value in before.items():
        if after[what] != value:
            report = warn if what == "the environment" else fail
            return report(
                f"a call changes {what}",
                at=line_of_call(subject, *_SETTINGS[what]) or subject.place(),
                expected=shown(value) if what != "the environment" else "",
                got=shown(after[what]) if what != "the environment" else "",
            )
    return _seeded(subject) or _left_open(subject)


def _settings() -> dict[str, Any]:
    import torch

    values = [str(Path.cwd()), str(torch.get_default_dtype()), torch.is_grad_enabled(), torch.get_num_threads()]
    return dict(zip(_SETTINGS, [*values, dict(os.environ)]))


def _seeded(subject: Subject) -> Verdict | None:
    """Seed twice, differently, and look whether the same random numbers follow a call."""
    import numpy as np
    import torch

    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        subject.native("dataset", subject.inputs[:1])
        found.append({"torch": torch.rand(4).tolist(), "numpy": np.random.rand(4).tolist(), "random": random.random()})
    for library, drawn in found[0].items():
        if drawn == found[1][library]:
            return fail(
                f"a call seeds the random numbers of {library} for the whole process",
                at=line_of_call(subject, *_SEEDING) or subject.place(),
                expected="the caller's own seed stays",
                got="the same numbers after every call",
            )
    return None


def _left_open(subject: Subject) -> Verdict | None:
    """Look for files that are opened with every row and not closed; one that is kept is the author's choice."""
    counts = []
    for _ in range(2):
        subject.native("dataset", subject.inputs[:2])
        counts.append(_open_files())
    if len(counts[1]) < len(counts[0]) + 2:
        return None
    name = next(one for one in counts[1] if counts[1].count(one) > counts[0].count(one))
    return fail(
        f"files stay open: {len(counts[1]) - len(counts[0])} more after two rows",
        at=line_of_call(subject, "open") or subject.place("preprocess"),
        expected="files closed when they have been read",
        got=Path(name).name,
    )


def _open_files() -> list[str]:
    """Return the regular files that are open here; none where the system does not tell."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return []
    return [str(one.readlink()) for one in folder.iterdir() if one.is_file()]
