"""The model card of a published folder: metadata that the Hub reads, and a part that each push renews.

What people have written around that part stays as it is. The text is a template, `templates/model_card.md.jinja`.
"""

from __future__ import annotations

import platform
import pprint
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.publishing.example import Example
from pipesmith.pipelines.publishing.folder import SavedPipeline
from pipesmith.pipelines.publishing.metadata import renewed
from pipesmith.pipelines.signature.model import Signature

_BEGIN = "<!-- pipe push writes from here -->"
_END = "<!-- to here; write above or below -->"


@dataclass(frozen=True)
class CardFacts:
    """What a card says.

    Args:
        repo_id: user/repo.
        saved: the tasks, their code and what that needs.
        example: an input with its output.
        signatures: the parameters by task.
        pipeline_tag: the task of the Hub's own list that comes nearest; None if none does.
        base_model: the repository of the weights, if they come from one.
        license: its short name on the Hub, such as apache-2.0; None leaves what the card has.
        tag: what the commit is tagged with.
        is_tiny: whether the weights are random.
    """

    repo_id: str
    saved: SavedPipeline
    example: Example
    signatures: Mapping[str, Signature]
    pipeline_tag: str | None = None
    base_model: str | None = None
    license: str | None = None
    tag: str | None = None
    is_tiny: bool = False


def render_card(facts: CardFacts, existing: str | None) -> str:
    """Return the text of README.md.

    Args:
        facts: what it says.
        existing: the README.md that is there already; its text stays, but for the part that pipe push wrote.

    Raises:
        PublishError: the metadata of the existing one is not YAML, or of the two lines around the part one is gone.
    """
    from huggingface_hub import ModelCard

    part = f"{_BEGIN}\n{_template(facts).strip()}\n{_END}"
    line_break = "\r\n" if existing and "\r\n" in existing else "\n"
    text = existing.replace("\r\n", "\n") if existing is not None else f"# {facts.repo_id.partition('/')[2]}\n"
    try:
        card = ModelCard(text, ignore_metadata_errors=True)
    except Exception as error:  # the YAML parser's errors are of many kinds
        raise PublishError(
            f"The metadata at the top of README.md does not parse: {str(error).partition(chr(10))[0]}.",
            hint="Mend the lines between the two ---.",
        ) from error
    head, begin, rest = card.text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if end:
        body = f"{head}{part}{tail}"
    elif begin or _END in card.text:
        raise PublishError(
            f'README.md lacks "{_END if begin else _BEGIN}", one of the two lines between which its text is renewed.',
            hint=f'Put it back, or remove "{_BEGIN if begin else _END}" as well.',
        )
    else:
        body = f"{card.text.rstrip()}\n\n{part}"
    lines = text[: len(text) - len(card.text)].strip().removeprefix("---").removesuffix("---").strip("\n")
    top = f"---\n{_metadata(lines, card.data, facts)}\n---\n" + ("" if lines else "\n")
    return f"{top}{body if lines else body.lstrip()}".rstrip().replace("\n", line_break) + line_break


def tag_of(card: str) -> str | None:
    """Return the tag that the part written by pipe push names."""
    part = card.partition(_BEGIN)[2].partition(_END)[0]
    match = re.search(r'revision="([^"]+)", trust_remote_code=True\)', part)
    return match[1] if match else None


def _metadata(lines: str, data: Any, facts: CardFacts) -> str:
    """Add what the metadata lacks; what its author chose stays, but for a licence that is given now."""
    values = {
        "library_name": data.library_name or "transformers",
        "license": facts.license or data.license,
        "pipeline_tag": data.pipeline_tag or facts.pipeline_tag,
        "base_model": data.base_model or facts.base_model,
    }
    changed = {key: value for key, value in values.items() if value and value != getattr(data, key)}
    held = [data.tags] if isinstance(data.tags, str) else data.tags or []
    tags = [tag for tag in dict.fromkeys([*facts.saved.tasks, "custom-pipeline"]) if tag not in held]
    return renewed(lines, changed, {"tags": tags} if tags else {})


def _template(facts: CardFacts) -> str:
    import jinja2

    text = resources.files("pipesmith.templates").joinpath("model_card.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    needed = [one.distribution for one in facts.saved.requirements if not one.is_optional]
    return environment.from_string(text).render(
        about=list(dict.fromkeys(one.doc for one in facts.signatures.values() if one.doc)),
        is_tiny=facts.is_tiny,
        example=_example(facts),
        tasks=facts.saved.tasks,
        code=facts.saved.code,
        tag=facts.tag,
        history=f"https://huggingface.co/{facts.repo_id}/commits/main",
        packages=["transformers", "torch", *needed],
        requirements=needed,
        tables=_tables(facts.signatures),
        versions=[f"{name} {version(name)}" for name in ("transformers", "torch")]
        + [f"Python {platform.python_version()}"],
    )


def _tables(signatures: Mapping[str, Signature]) -> dict[str, list[dict[str, str]]]:
    """Return the rows of the parameters, by the tasks that have them."""
    tasks: dict[tuple[Path, str], list[str]] = {}
    for task, signature in signatures.items():
        tasks.setdefault((signature.file, signature.class_name), []).append(task)
    found: dict[str, list[dict[str, str]]] = {}
    for names in tasks.values():
        rows = [
            {
                "name": one.name,
                "type": _cell(str(one.type)),
                "default": f"`{_cell(one.default)}`" if one.default is not None else "",
                "doc": _cell(one.doc),
            }
            for one in signatures[names[0]].parameters
            if one.group == "task"
        ]
        if rows:
            title = "Parameters of " + ", ".join(f"`{name}`" for name in names)
            found[title if len(tasks) > 1 else "Parameters"] = rows
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _example(facts: CardFacts) -> Mapping[str, Any]:
    """Return the example as Python code, and its output as a reader would print it."""
    example = facts.example
    task = [repr(example.task)] if len(facts.saved.tasks) > 1 else []
    inputs = _source(example.inputs, facts.repo_id)
    sound = example.inputs.get("sound") if isinstance(example.inputs, dict) else None
    given = [inputs, *(f"{name}={value!r}" for name, value in example.parameters.items())]
    shown = pprint.pformat(_rounded(example.output), width=100, compact=True, sort_dicts=False).splitlines()
    pinned = [f'revision="{facts.tag}"'] if facts.tag else []
    return {
        "arguments": ", ".join([*task, f'model="{facts.repo_id}"', *pinned]),
        "call": f"pipe({', '.join(given)})",
        "sound": f"hf_hub_download({facts.repo_id!r}, {sound!r})" if sound else None,
        "needs_file": bool(sound) or "hf_hub_download(" in inputs,
        "output": shown if len(shown) <= 20 else [*shown[:19], "..."],
    }


def _source(value: Any, repo_id: str) -> str:
    if isinstance(value, dict) and set(value) == {"file"}:
        return f"hf_hub_download({repo_id!r}, {value['file']!r})"
    if isinstance(value, dict) and set(value) == {"sound"}:
        return '{"raw": sound, "sampling_rate": rate}'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_source(item, repo_id)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_source(item, repo_id) for item in value) + "]"
    return repr(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]
    return value
