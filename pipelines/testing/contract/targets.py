"""From a name or a live pipeline to the subject of the checks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import ContractError, PipelineLoadError
from pipesmith.pipelines.hub import is_repo_id
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.project import find_project
from pipesmith.pipelines.signature import Signature, read_signature
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.targets import LoadOptions, Target, resolve
from pipesmith.pipelines.testing.contract.subject import Subject, write_briefly


def is_checkpoint(name: str) -> bool:
    """Tell whether a name is a checkpoint folder or a repository, which bring their own weights."""
    return Path(name).expanduser().is_dir() or is_repo_id(name)


def unloaded(name: str, options: LoadOptions) -> tuple[Subject, Target]:
    """Find what a name means and read its source; nothing is loaded.

    Raises:
        PipeError: see `targets.resolve`.
    """
    target = resolve(name, options, find_project(), to_run=True)
    reference = target.entry.pipeline_class
    signature = None
    if isinstance(reference, ClassReference) and reference.file is not None:
        signature = read_signature(reference)
    return Subject(name, target.entry, signature), target


def loaded(subject: Subject, target: Target, options: LoadOptions) -> Subject:
    """Load it: a checkpoint with its own weights, anything else with a tiny random model unless one is named.

    Raises:
        PipeError: see `loading.load`.
    """
    options = replace(options, device="cpu", dtype="float32")
    project = find_project()
    settings = project.tasks.get(target.entry.task) if project else None
    if settings and settings.parameters:
        subject = replace(subject, parameters={**settings.parameters, **subject.parameters})
    if options.model is None and not is_checkpoint(subject.task):
        try:
            pipe = load(target, replace(options, model="tiny"))
        except PipelineLoadError:
            if target.model is None:
                raise
            pipe = load(target, options)  # its model class is the user's own: no tiny one can be made
    else:
        pipe = load(target, options)
    write_briefly(pipe)
    return replace(subject, pipe=pipe, init=options.init)


def of_live(pipe: Any, parameters: Mapping[str, Any]) -> Subject:
    """Return the subject of a live pipeline.

    Raises:
        ContractError: it does not run on the processor.
    """
    if getattr(pipe.device, "type", "cpu") != "cpu":
        raise ContractError(
            f"{type(pipe).__name__} is on {pipe.device}; its checks run in forks, which share no accelerator.",
            hint="Load it with device='cpu'.",
        )
    entry = PipelineEntry(pipe.task or "live", type(pipe), (type(pipe.model).__name__,), type=_kind(pipe))
    write_briefly(pipe)
    return Subject(entry.task, entry, _signature(type(pipe)), pipe, parameters=dict(parameters))


def _signature(pipeline_class: type[Any]) -> Signature | None:
    try:
        file = inspect.getsourcefile(pipeline_class)
    except TypeError:  # made in a shell
        return None
    if file is None or not Path(file).is_file():
        return None
    return read_signature(ClassReference(pipeline_class.__name__, Path(file)))


def _kind(pipe: Any) -> str:
    if getattr(pipe, "tokenizer", None) is not None:
        return "text"
    if getattr(pipe, "image_processor", None) is not None:
        return "image"
    return "audio" if getattr(pipe, "feature_extractor", None) is not None else "multimodal"
