"""The folder that a push publishes, but for its card: the pipeline with its code, and its examples with their outputs.

Here a live pipeline is run, in this process; `proof.py` runs the folder in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.engine.openmp import release_threads
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PipeError, PublishError
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.publishing.example import Example, example_inputs, with_paths, write_examples
from pipesmith.pipelines.publishing.folder import SavedPipeline, save_missing_parts, save_pipeline
from pipesmith.pipelines.publishing.proof import prove
from pipesmith.pipelines.targets import LoadOptions, Target
from pipesmith.pipelines.testing.contract import check_pipeline
from pipesmith.pipelines.user_code import describe, user_frame

# Checks of the contract that take a second, and that transformers' own classes never fail for those who inherit.
_QUICK_CHECKS = ("four-methods", "routes-parameters", "no-state")


def write_content(
    target: Target,
    entries: Sequence[PipelineEntry],
    loading: LoadOptions,
    project: Project | None,
    folder: Path,
    *,
    example: str | None,
    skip_tests: bool,
) -> tuple[SavedPipeline, list[Example]]:
    """Write the folder but for its card, and run an example of each task in this process.

    Args:
        target: the first task and its model.
        entries: every task that is published.
        loading: how the model is loaded.
        project: whose settings hold for the examples.
        folder: it must not exist.
        example: what the card shows: a text, a path or JSON; one that fits the task's type if None.
        skip_tests: whether the contract's quick checks are left out.

    Raises:
        PublishError: a task cannot be saved, fails on its example, or breaks the contract.
        PipeError: it cannot be loaded.
    """
    loading = replace(loading, device="cpu")
    pipes = [load(target, loading)]
    pipes += [load(replace(target, entry=entry, notes=()), replace(loading, notify=_nobody)) for entry in entries[1:]]
    for pipe, entry in zip(pipes, entries):
        if type(pipe).__module__.startswith("transformers."):
            raise PublishError(
                f"The class of {entry.task}, {type(pipe).__name__}, is transformers' own: it has that already.",
                hint="Upload the checkpoint alone: hf upload user/repo FOLDER",
            )
    folder.mkdir()
    try:
        saved = save_pipeline(pipes[0], entries, folder)
        for pipe in pipes[1:]:
            save_missing_parts(pipe, pipes[0], folder)
    except PipeError:
        raise
    except Exception as error:  # safetensors wraps a full disk in an error of its own
        raise PublishError(
            f"{target.entry.task} cannot be saved: {describe(error)}.{user_frame(error)}",
            hint=f"Is there room where it is put together, {folder.parent}? TMPDIR names another place.",
        ) from error
    required = [str(one) for one in saved.requirements if not one.is_optional]
    if required:
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in ["transformers", "torch", *required]))
    inputs = example_inputs(example, target.entry.type, folder, type(pipes[0]))
    examples = []
    for pipe, entry in zip(pipes, entries):
        settings = project.tasks.get(entry.task) if project else None
        shown = Example(entry.task, inputs, settings.parameters if settings else {})
        examples.append(_run(pipe, shown, folder))
        if not skip_tests:  # the last that is done with it: the checks make generation brief
            _check(pipe, shown, folder)
    write_examples(examples, folder)
    return saved, examples


def _nobody(text: str) -> None:
    """Hear what was said of the first task already."""


def _run(pipe: Any, example: Example, folder: Path) -> Example:
    from transformers import set_seed

    set_seed(0)
    try:
        output = to_plain(pipe(with_paths(example.inputs, folder), **example.parameters))
    except Exception as error:  # a user's code raises what it likes
        raise PublishError(
            f"{example.task} fails on the example {example.inputs!r}: {describe(error)}.{user_frame(error)}",
            hint="Name an input that it takes: --example TEXT, --example FILE or --example JSON",
        ) from error
    return replace(example, output=output, has_output=True)


def _check(pipe: Any, example: Example, folder: Path) -> None:
    """Refuse a pipeline that breaks the contract of pipelines, as far as it is quickly seen."""
    release_threads()  # the checks are forks
    inputs = [with_paths(example.inputs, folder)]
    for result in check_pipeline(pipe, examples=inputs, parameters=example.parameters, only=_QUICK_CHECKS):
        if result.outcome == "fail":
            where = f" ({result.location})" if result.location else ""
            raise PublishError(
                f"{example.task} breaks the contract of pipelines, {result.name}: {result.reason.rstrip('.')}{where}.",
                hint=f"{result.hint} To publish it as it is: --skip-tests",
            )


def prove_content(folder: Path, examples: Sequence[Example], saved: SavedPipeline) -> None:
    """Load the folder in a fresh process with plain transformers, and compare what comes out.

    Raises:
        PublishError: it does not load, or an output differs.
    """
    try:
        prove(str(folder), examples, absent=saved.packages, code=saved.code)
    except PublishError as error:
        supplied = ", ".join(compat.used())
        if supplied:  # pipe run supplies it, and a stranger's transformers does not
            hint = f"Here pipesmith supplied what transformers 5 has no more: {supplied}. pipe doctor shows the lines."
            raise PublishError(error.message, hint=hint) from error
        raise
