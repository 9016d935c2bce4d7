"""`pipe push`, in turn: who may write, the live pipeline, the folder, the card, the proof, the commit, the proof again.

Each step is a file of its own beside this one.
"""

from __future__ import annotations

import difflib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines import compat
from pipesmith.pipelines.checkpoint import tasks_of_models
from pipesmith.pipelines.declarations import transformers_declarations
from pipesmith.pipelines.engine.openmp import release_threads
from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.hub import hub_error, is_repo_id, retried
from pipesmith.pipelines.listing import list_tasks
from pipesmith.pipelines.loading import load
from pipesmith.pipelines.plain import to_plain
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.publishing.card import CardFacts, license_of, render_card
from pipesmith.pipelines.publishing.example import Example, example_inputs, with_paths, write_examples
from pipesmith.pipelines.publishing.folder import SavedPipeline, save_missing_parts, save_pipeline
from pipesmith.pipelines.publishing.proof import prove
from pipesmith.pipelines.publishing.remote import Remote, read_remote, require_writer
from pipesmith.pipelines.publishing.space import write_space
from pipesmith.pipelines.publishing.upload import (
    Change,
    Destination,
    Published,
    check_destination,
    compare,
    upload,
)
from pipesmith.pipelines.publishing.verify import verify
from pipesmith.pipelines.registry import entries_of_class
from pipesmith.pipelines.signature import Signature, read_signature
from pipesmith.pipelines.source import ClassReference
from pipesmith.pipelines.targets import LoadOptions, Target, entry_of_transformers_class, model_names, resolve
from pipesmith.pipelines.testing.contract import check_pipeline
from pipesmith.pipelines.user_code import describe, user_frame

_CARD = "README.md"
# Checks of the contract that take a second, and that transformers' own classes never fail for those who inherit.
_QUICK_CHECKS = ("four-methods", "routes-parameters", "no-state")


@dataclass(frozen=True)
class PushOptions:
    """What is published, and how.

    Args:
        tasks: tasks, file.py or file.py:Class, that run on one model; the project's own if there are none.
        example: what the card shows: a text, a path or JSON; one that fits the task's type if None.
        license: its short name on the Hub.
        output_dir: a folder to write instead of publishing.
        dry_run: whether to stop before the upload.
        skip_tests: whether to publish what breaks the contract of pipelines.
        space: whether to publish a Space of the same name that runs it.
    """

    tasks: tuple[str, ...] = ()
    example: str | None = None
    license: str | None = None
    output_dir: Path | None = None
    dry_run: bool = False
    skip_tests: bool = False
    space: bool = False


@dataclass(frozen=True)
class Push:
    """What a push did, or would do.

    Args:
        repo_id: user/repo.
        tasks: the tasks that are published.
        changes: its files.
        card_diff: how README.md changes, as lines of a diff.
        published: the commit; None if nothing was uploaded.
        space: the commit of its Space.
    """

    repo_id: str
    tasks: tuple[str, ...]
    changes: Sequence[Change]
    card_diff: Sequence[str] = field(default=())
    published: Published | None = None
    space: Published | None = None

    @property
    def summary(self) -> str:
        """What was done, in a sentence."""
        if self.published is None:
            return f"{self.repo_id} is as it was."
        if not self.published.is_new:
            return f"{self.repo_id} holds all of it already, at {self.published.commit}; it loads."
        where = self.published.pull_request or self.repo_id
        space = (
            f" The Space {self.repo_id} runs it; of a private model, give it a secret HF_TOKEN." if self.space else ""
        )
        return f"Published {', '.join(self.tasks)} as {where}, commit {self.published.commit}; it loads.{space}"

    @property
    def loading_lines(self) -> list[str]:
        """The two lines that anyone needs."""
        task = f'"{self.tasks[0]}", ' if len(self.tasks) > 1 else ""
        commit = f', revision="{self.published.commit}"' if self.published else ""
        return [
            "from transformers import pipeline",
            f'pipe = pipeline({task}model="{self.repo_id}"{commit}, trust_remote_code=True)',
        ]


def push(
    destination: Destination,
    options: PushOptions,
    loading: LoadOptions,
    project: Project | None,
    step: Callable[[str], None] = lambda text: None,
) -> Push:
    """Publish a task as a repository that plain transformers loads, proved before and after the upload.

    Args:
        destination: the repository.
        options: what is published.
        loading: the model, and how it is loaded.
        project: where tasks are looked up.
        step: told what is being done.

    Raises:
        PublishError: nothing was uploaded, unless its message says otherwise.
        PipeError: the task or the model cannot be loaded, or the Hub cannot be asked.
    """
    repo_id, access = destination.repo_id, destination.access
    remote = Remote(repo_id)
    if options.space and (options.output_dir is not None or destination.create_pr):
        raise PublishError(
            "--space publishes: it goes with neither --output-dir nor --create-pr.", hint="Leave it out."
        )
    if options.output_dir is None:
        if not options.dry_run:
            require_writer(repo_id, access, create_pr=destination.create_pr)
        remote = read_remote(repo_id, destination.revision, access)
        check_destination(destination, remote)
    elif options.output_dir.exists() and (options.output_dir.is_file() or any(options.output_dir.iterdir())):
        raise PublishError(
            f"{options.output_dir} is there already, and not empty.",
            hint=f"rm -r {options.output_dir}, or name another.",
        )
    targets = [_target(name, loading, project) for name in options.tasks or (_only_task(project),)]
    target = targets[0]
    entries = list({entry.task: entry for one in targets for entry in entries_of_class(one.entry)}.values())
    _refuse_to_drop(remote, entries, destination)
    with _staging(options.output_dir) as staging:
        folder = Path(staging) / "folder"
        step(f"Loading {target.entry.task}")
        saved, examples = _stage(target, entries, options, loading, project, folder)
        before = _remote_text(remote, _CARD, destination) or _card_of(_model(target, loading))
        facts = _card_facts(destination, options, loading, target, entries, saved, examples[0], before)
        card = render_card(facts, before)
        (folder / _CARD).write_text(card, encoding="utf-8")
        step("Loading it in a fresh process with plain transformers")
        _prove(folder, examples, saved)
        changes = compare(folder, remote)
        done = Push(repo_id, saved.tasks, changes, _diff(before, card))
        if options.output_dir is not None:
            options.output_dir.parent.mkdir(parents=True, exist_ok=True)
            if options.output_dir.is_dir():
                options.output_dir.rmdir()  # it is empty
            folder.rename(options.output_dir)
            return done
        if options.dry_run:
            return done
        step(f"Uploading to {repo_id}")
        published = upload(folder, destination, remote, step)
    step("Loading it back from the Hub into an empty cache")
    try:
        loading = LoadOptions(access=access)
        verify(repo_id, published.commit, loading, is_own=True, examples=examples, absent=saved.packages)
    except PublishError as error:
        raise PublishError(f"It is uploaded as {published.commit}, but: {error.message}", hint=error.hint) from error
    if not options.space:
        return replace(done, published=published)
    step(f"Uploading the Space {repo_id}")
    return replace(
        done, published=published, space=_push_space(destination, target, saved, examples[0], published, step)
    )


def _push_space(
    destination: Destination,
    target: Target,
    saved: SavedPipeline,
    example: Example,
    published: Published,
    step: Callable[[str], None],
) -> Published:
    access = destination.access
    there = read_remote(destination.repo_id, None, access, "space")
    space = Destination(destination.repo_id, "space", private=destination.private, access=access)
    with _staging(None) as staging:
        folder = Path(staging) / "space"
        write_space(
            folder,
            destination.repo_id,
            target.entry.task,
            target.entry.type,
            _signature(target.entry),
            saved.requirements,
            revision=published.commit,
            example=example.inputs,
            tasks=saved.tasks,
        )
        return upload(folder, space, there, step)


def _staging(output_dir: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Make a folder to write into, on the file system of the output if there is one."""
    if output_dir is None:
        return tempfile.TemporaryDirectory(prefix="pipe-push-")
    parent = output_dir.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f".{output_dir.name}-", suffix=".part", dir=parent)


def _target(name: str, loading: LoadOptions, project: Project | None) -> Target:
    target = resolve(name, loading, project, to_run=True)
    entry = target.entry
    if entry.origin == "transformers":
        raise PublishError(
            f"{entry.task} is transformers' own: whoever has transformers has its code.",
            hint="Upload the checkpoint alone: hf upload user/repo FOLDER",
        )
    if loading.model is None and target.model is None:
        raise PublishError(
            f"{entry.task} has no model to be published with.",
            hint=f"Give --model FOLDER, user/repo or tiny, or its entry a default={{...}} ({entry.place}).",
        )
    return target


def _only_task(project: Project | None) -> str:
    """Name the project's task, if all of its tasks are of one class."""
    if project is None:
        raise PublishError(
            "There is no project here.", hint="Name what to publish: --task TASK or --task file.py:Class"
        )
    own = [task for task in list_tasks(project)[0] if task.entry.origin == "project"]
    if not own:
        raise PublishError(f"{project.registry_file} registers no task.", hint="pipe new-task, or --task file.py:Class")
    if len({str(task.entry.pipeline_class) for task in own}) > 1:
        names = ", ".join(task.entry.task for task in own)
        raise PublishError(
            f"The project has the tasks {names}.",
            hint=f"Name one: --task {own[0].entry.task}, or several that run on one model.",
        )
    return own[0].entry.task


def _refuse_to_drop(remote: Remote, entries: Sequence[PipelineEntry], destination: Destination) -> None:
    """Refuse to take away a task that the repository brings: config.json is written anew."""
    try:
        config = json.loads(_remote_text(remote, "config.json", destination) or "{}")
    except ValueError:
        return
    there = config.get("custom_pipelines") if isinstance(config, dict) else None
    names = {getattr(entry.pipeline_class, "name", "") for entry in entries}
    for task, info in (there or {}).items():
        impl = str(info.get("impl")) if isinstance(info, dict) else ""
        if task not in [entry.task for entry in entries] and impl.rpartition(".")[2] not in names:
            raise PublishError(
                f"{remote.repo_id} brings the task {task} ({impl}) too, which this push would take away.",
                hint=f"Publish both: --task {entries[0].task} --task {task}; or use a repository for each.",
            )


def _stage(
    target: Target,
    entries: Sequence[PipelineEntry],
    options: PushOptions,
    loading: LoadOptions,
    project: Project | None,
    folder: Path,
) -> tuple[SavedPipeline, list[Example]]:
    """Write the folder, and run an example of each task in this process."""
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
    except PublishError:
        raise
    except Exception as error:  # safetensors wraps a full disk in an error of its own
        raise PublishError(
            f"{target.entry.task} cannot be saved: {describe(error)}.{user_frame(error)}",
            hint=f"Is there room where it is put together, {folder.parent}? TMPDIR names another place.",
        ) from error
    required = [str(one) for one in saved.requirements if not one.is_optional]
    if required:
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in ["transformers", "torch", *required]))
    inputs = example_inputs(options.example, target.entry.type, folder, type(pipes[0]))
    examples = []
    for pipe, entry in zip(pipes, entries):
        settings = project.tasks.get(entry.task) if project else None
        example = Example(entry.task, inputs, settings.parameters if settings else {})
        examples.append(_run(pipe, example, folder))
        if not options.skip_tests:  # the last that is done with it: the checks make generation brief
            _check(pipe, example, folder)
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


def _prove(folder: Path, examples: Sequence[Example], saved: SavedPipeline) -> None:
    try:
        prove(str(folder), examples, absent=saved.packages, code=saved.code)
    except PublishError as error:
        supplied = ", ".join(compat.used())
        if supplied:  # pipe run supplies it, and a stranger's transformers does not
            hint = f"Here pipesmith supplied what transformers 5 has no more: {supplied}. pipe doctor shows the lines."
            raise PublishError(error.message, hint=hint) from error
        raise


def _remote_text(remote: Remote, name: str, destination: Destination) -> str | None:
    """Return a small file of the repository; None if there is none."""
    if name not in remote.files:
        return None
    from huggingface_hub import hf_hub_download

    token = destination.access.token
    try:
        file = retried(lambda: hf_hub_download(remote.repo_id, name, revision=remote.head, token=token))
    except Exception as error:  # the network's, the Hub's and the file system's errors have no common base
        raise hub_error(error, remote.repo_id, remote.head, destination.access) from error
    return Path(file).read_text(encoding="utf-8")


def _card_of(model: str) -> str | None:
    """Return the card of a checkpoint folder; that of somebody's repository stays theirs."""
    card = Path(model).expanduser() / _CARD
    return card.read_text(encoding="utf-8") if card.is_file() else None


def _model(target: Target, loading: LoadOptions) -> str:
    return loading.model or (target.model.model if target.model else "")


def _card_facts(
    destination: Destination,
    options: PushOptions,
    loading: LoadOptions,
    target: Target,
    entries: Sequence[PipelineEntry],
    saved: SavedPipeline,
    example: Example,
    before: str | None,
) -> CardFacts:
    model = _model(target, loading)
    signatures = {entry.task: _signature(entry) for entry in entries}
    is_folder = Path(model).expanduser().exists()
    return CardFacts(
        destination.repo_id,
        saved,
        example,
        signatures,
        pipeline_tag=_pipeline_tag(target.entry, signatures[target.entry.task]),
        base_model=model if is_repo_id(model) and not is_folder and model != destination.repo_id else None,
        license=options.license or license_of(before),
        tag=destination.tag,
        is_tiny=not is_folder and model.partition(":")[0] == "tiny",
    )


def _signature(entry: PipelineEntry) -> Signature:
    reference = entry.pipeline_class
    assert isinstance(reference, ClassReference)  # a command's entries are read from source
    return read_signature(reference)


def _pipeline_tag(entry: PipelineEntry, signature: Signature) -> str | None:
    """Return the task of transformers that comes nearest: the Hub knows no others."""
    if entry.task in [other.task for other in transformers_declarations().entries]:
        return entry.task
    base = entry_of_transformers_class(signature.transformers_base)
    if base is not None:
        return base.task
    return next(iter(tasks_of_models(model_names(entry.pt_model).split(", "))), None)


def _diff(before: str | None, after: str) -> list[str]:
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), _CARD, _CARD, lineterm="")
    return list(lines)
