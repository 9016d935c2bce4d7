"""Tasks written into a checkpoint folder: `custom_pipelines` in its config.json, and the code beside it.

The folder then loads with transformers alone: `transformers.pipeline(model=DIR, trust_remote_code=True)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipesmith.pipelines.checkpoint import Checkpoint, code_files, code_modules, read_checkpoint
from pipesmith.pipelines.entries import ModelClass, PipelineEntry
from pipesmith.pipelines.errors import PublishError, TaskConflictError, TaskNotFoundError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.publishing.closure import Closure, import_closure
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.staging import read_source, write_files


@dataclass(frozen=True)
class Written:
    """What was written into a checkpoint folder.

    Args:
        tasks: the tasks that it now brings.
        files: the names of the files that changed, config.json among them.
        closure: the code of the tasks that were added.
    """

    tasks: tuple[str, ...]
    files: tuple[str, ...]
    closure: Closure


def add_tasks(folder: Path, entries: Sequence[PipelineEntry]) -> Written:
    """Write tasks into a checkpoint folder, the code first and config.json last; its other tasks stay.

    Args:
        folder: the checkpoint.
        entries: the tasks; classes in files of the user's own.

    Raises:
        PublishError: code that cannot be published, or a file of that name that belongs to something else.
        TaskConflictError: the checkpoint has a task of this name and another class.
    """
    checkpoint = read_checkpoint(folder)
    sources = {entry.task: _source(entry) for entry in entries}
    closure = import_closure(list(dict.fromkeys(sources.values())))
    custom = dict(checkpoint.custom_pipelines)
    for entry in entries:
        assert isinstance(entry.pipeline_class, ClassReference)
        impl = f"{closure.modules[sources[entry.task]]}.{entry.pipeline_class.name}"
        held = custom.get(entry.task)
        if isinstance(held, dict) and held.get("impl") not in (None, impl):
            raise TaskConflictError(
                f"{folder / 'config.json'} has the task {entry.task} for {held['impl']}; now it is to be {impl}.",
                hint=f"First: pipe register --remove --task {entry.task} --checkpoint {folder}",
            )
        custom[entry.task] = task_info(entry, impl)
    texts = {folder / name: text for name, text in closure.files.items()}
    _check_places(checkpoint, set(sources), closure, texts)
    return _write(checkpoint, custom, texts, closure)


def task_info(entry: PipelineEntry, impl: str) -> dict[str, Any]:
    """Return what `custom_pipelines` says of a task.

    Args:
        entry: the task.
        impl: module.Class, of a file beside config.json.

    Raises:
        PublishError: it runs on a model class that transformers lacks.
    """
    return {"impl": impl, **_models(entry), "type": entry.type}


def remove_task(folder: Path, task: str) -> Written:
    """Take a task out of a checkpoint's config.json; the files of its code stay.

    Raises:
        TaskNotFoundError: the checkpoint has no such task.
    """
    checkpoint = read_checkpoint(folder)
    custom = dict(checkpoint.custom_pipelines)
    if task not in custom:
        raise TaskNotFoundError(
            f"{folder} brings no task {task}.",
            hint=near_miss(task, custom) or f"It brings {', '.join(custom) or 'none'}.",
        )
    del custom[task]
    return _write(checkpoint, custom, {}, Closure({}, {}, ()))


def _source(entry: PipelineEntry) -> Path:
    reference = entry.pipeline_class
    if not isinstance(reference, ClassReference) or reference.file is None:
        raise PublishError(
            f"The class of {entry.task} was not found in a file ({entry.place}).", hint="Name it as file.py:Class."
        )
    return reference.file.parent.resolve() / reference.file.name


def _models(entry: PipelineEntry) -> dict[str, list[str]]:
    """Return the model classes as `custom_pipelines` names them: those of transformers alone."""
    names = {"pt": [_name(model, entry) for model in entry.pt_model]}
    if entry.tf_model:
        names["tf"] = [_name(model, entry) for model in entry.tf_model]
    return names


def _name(model: ModelClass, entry: PipelineEntry) -> str:
    if isinstance(model, str):
        return model
    module = model.module if isinstance(model, ClassReference) else model.__module__
    name = model.name if isinstance(model, ClassReference) else model.__name__
    if (module or "").partition(".")[0] != "transformers":
        raise PublishError(
            f"{entry.place}: {entry.task} runs on {name}, which custom_pipelines cannot name: transformers lacks it.",
            hint="Name an Auto class (--pt-model AutoModel...), and the class itself in the auto_map of config.json.",
        )
    return name


def _check_places(checkpoint: Checkpoint, tasks: set[str], closure: Closure, texts: dict[Path, str]) -> None:
    """Refuse to write over a file that is not these tasks' code of before."""
    ours: set[Path] = set()
    theirs: dict[Path, str] = {}
    for task, info in checkpoint.custom_pipelines.items():
        module = str(info.get("impl", "")).rpartition("--")[2].partition(".")[0] if isinstance(info, dict) else ""
        for file in code_files(checkpoint.folder, [module] if module else []):
            if task in tasks:
                ours.add(file)
            else:
                theirs[file] = f"belongs to the task {task}"
    for file in code_files(checkpoint.folder, code_modules(checkpoint).get("", [])):
        theirs[file] = "is code of its model, tokenizer or processor"
    for file, text in texts.items():
        if not file.is_file() or read_source(file) == text:
            continue
        if file.resolve() in {source.resolve() for source in closure.modules}:
            raise PublishError(
                f"{file} lies in the checkpoint and would be rewritten.",
                hint="Keep your code in a folder of its own; its copy is written here.",
            )
        if file in theirs or file not in ours:
            raise PublishError(
                f"{file} is there already and differs; it {theirs.get(file, 'is not code of this task')}.",
                hint="Rename your file, or move that one away.",
            )


def _write(checkpoint: Checkpoint, custom: dict[str, Any], texts: dict[Path, str], closure: Closure) -> Written:
    config = {**checkpoint.config, "custom_pipelines": custom}
    if not custom:
        del config["custom_pipelines"]
    files = {file: text for file, text in texts.items() if not file.is_file() or read_source(file) != text}
    if config != checkpoint.config:
        files[checkpoint.folder / "config.json"] = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    write_files(files)
    return Written(tuple(custom), tuple(file.name for file in files), closure)
