"""`pipe push`, in turn: who may write, the live pipeline, the folder, the card, the proof, the commit, the proof again.

Each step is a file of its own beside this one.
"""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipesmith.pipelines.entries import PipelineEntry
from pipesmith.pipelines.errors import PipeError, PublishError
from pipesmith.pipelines.hub import hub_error, is_repo_id, retried
from pipesmith.pipelines.project import Project
from pipesmith.pipelines.publishing.card import CardFacts, render_card, tag_of
from pipesmith.pipelines.publishing.content import prove_content, write_content
from pipesmith.pipelines.publishing.example import Example
from pipesmith.pipelines.publishing.folder import SavedPipeline
from pipesmith.pipelines.publishing.remote import Remote, read_remote, require_name, require_writer
from pipesmith.pipelines.publishing.space import is_edited, write_space
from pipesmith.pipelines.publishing.tasks import (
    model_of,
    only_task,
    pipeline_tag,
    refuse_to_drop,
    signature_of,
    target_of,
)
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
from pipesmith.pipelines.targets import LoadOptions, Target

_CARD = "README.md"


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
    require_name(repo_id)
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
    targets = [target_of(name, loading, project) for name in options.tasks or (only_task(project),)]
    target = targets[0]
    entries = list({entry.task: entry for one in targets for entry in entries_of_class(one.entry)}.values())
    refuse_to_drop(repo_id, _remote_text(remote, "config.json", destination), entries)
    before = _remote_text(remote, _CARD, destination) or _card_of(model_of(target, loading))
    with _staging(options.output_dir) as staging:
        folder = Path(staging) / "folder"
        step(f"Loading {target.entry.task}")
        saved, examples = write_content(
            target, entries, loading, project, folder, example=options.example, skip_tests=options.skip_tests
        )
        facts = _card_facts(destination, options, loading, target, entries, saved, examples[0], before)
        card = _write_card(folder, facts, before, remote)
        step("Loading it in a fresh process with plain transformers")
        prove_content(folder, examples, saved)
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
    except PipeError as error:
        raise PublishError(f"It is uploaded as {published.commit}, but: {error.message}", hint=error.hint) from error
    if not options.space:
        return replace(done, published=published)
    step(f"Uploading the Space {repo_id}")
    return replace(
        done, published=published, space=_push_space(destination, target, saved, examples[0], published, step)
    )


def _write_card(folder: Path, facts: CardFacts, before: str | None, remote: Remote) -> str:
    """Write README.md, and return its text; of what is published with a tag already, it names that tag."""
    card, tag = render_card(facts, before), tag_of(before or "")
    is_tagged = tag and not facts.tag and render_card(replace(facts, tag=tag), before) == before
    if before and is_tagged and all(change.state == "same" for change in compare(folder, remote)):
        card = before
    (folder / _CARD).write_bytes(card.encode())
    return card


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
            signature_of(target.entry),
            saved.requirements,
            revision=published.commit,
            example=example.inputs,
            tasks=saved.tasks,
        )
        for file in sorted(folder.iterdir()) if "app.py" in there.files else ():
            text = _remote_text(there, file.name, space)
            if text is not None and is_edited(text):
                step(f"{file.name} of the Space was edited there and stays; delete it there to have it made anew.")
                file.unlink()
        return upload(folder, space, there, step)


def _staging(output_dir: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Make a folder to write into, on the file system of the output if there is one."""
    if output_dir is None:
        return tempfile.TemporaryDirectory(prefix="pipe-push-")
    parent = output_dir.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f".{output_dir.name}-", suffix=".part", dir=parent)


def _remote_text(remote: Remote, name: str, destination: Destination) -> str | None:
    """Return a small file of the repository; None if there is none."""
    if name not in remote.files:
        return None
    from huggingface_hub import hf_hub_download

    kind, token = remote.kind, destination.access.token
    try:
        file = retried(lambda: hf_hub_download(remote.repo_id, name, revision=remote.head, repo_type=kind, token=token))
    except Exception as error:  # the network's, the Hub's and the file system's errors have no common base
        raise hub_error(error, remote.repo_id, remote.head, destination.access) from error
    return _text(Path(file), f"{name} of {remote.repo_id}")


def _text(file: Path, name: str) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PublishError(f"{name} is not in UTF-8, as the Hub reads it.", hint="Save it as UTF-8.") from error


def _card_of(model: str) -> str | None:
    """Return the card of a checkpoint folder; that of somebody's repository stays theirs."""
    card = Path(model).expanduser() / _CARD
    return _text(card, str(card)) if card.is_file() else None


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
    model = model_of(target, loading)
    signatures = {entry.task: signature_of(entry) for entry in entries}
    is_folder = Path(model).expanduser().exists()
    return CardFacts(
        destination.repo_id,
        saved,
        example,
        signatures,
        pipeline_tag=pipeline_tag(target.entry, signatures[target.entry.task]),
        base_model=model if is_repo_id(model) and not is_folder and model != destination.repo_id else None,
        license=options.license,
        tag=destination.tag,
        is_tiny=not is_folder and model.partition(":")[0] == "tiny",
    )


def _diff(before: str | None, after: str) -> list[str]:
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), _CARD, _CARD, lineterm="")
    return list(lines)
