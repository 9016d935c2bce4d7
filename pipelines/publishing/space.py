"""A Space for a published task: a page with a field for the input and one for each parameter.

Its folder is `app.py`, `requirements.txt` and a README.md whose metadata tells the Hub how to start it. Each ends with
a line that holds its checksum: so the next push knows whether somebody has edited it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipesmith.pipelines.publishing.requirements import Requirement
from pipesmith.pipelines.signature import Parameter, Signature

# By a task's type: the field for its input.
_FIELDS = {
    "text": 'gr.Textbox(lines=3, label="Input", value={example})',
    "image": 'gr.Image(type="filepath", label="Input")',
    "audio": 'gr.Audio(type="filepath", label="Input")',
    "video": 'gr.Video(label="Input")',
}
_MADE = re.compile(r"^(?:#|<!--) pipe push renews this file until somebody edits it: (\w+)(?: -->)?\n?", re.MULTILINE)
_JSON_FIELD = 'gr.Textbox(lines=5, label="Input (JSON)", value={example})'


def write_space(
    folder: Path,
    model: str,
    task: str,
    kind: str,
    signature: Signature,
    requirements: Sequence[Requirement] = (),
    *,
    revision: str | None = None,
    example: Any = None,
    tasks: Sequence[str] = (),
) -> None:
    """Write the files of a Space.

    Args:
        folder: where to; it must not exist.
        model: user/repo.
        task: what it runs.
        kind: text, audio, image, video or multimodal.
        signature: the task's parameters.
        requirements: the packages that its code needs.
        revision: the commit of the repository.
        example: an input that stands in the field.
        tasks: all tasks of the repository; the page names one if there are several.
    """
    import jinja2

    is_json = kind not in _FIELDS or not (example is None or isinstance(example, str) or kind != "text")
    parameters = [_field(one) for one in signature.parameters if one.group == "task" and not one.required]
    shown = json.dumps(example) if is_json else example if isinstance(example, str) else ""
    arguments = [repr(task)] if len(tasks) > 1 else []
    arguments += [f"model={model!r}"] + ([f"revision={revision!r}"] if revision else [])
    text = resources.files("pipesmith.templates").joinpath("space_app.py.jinja").read_text(encoding="utf-8")
    app = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True).from_string(text)
    folder.mkdir(parents=True)
    _write(
        folder / "app.py",
        app.render(
            tasks=task,
            repo_id=model,
            arguments=", ".join(arguments),
            inputs="json.loads(inputs)" if is_json else "inputs",
            needs_json=is_json or any("json." in one["value"] for one in parameters),
            component=(_JSON_FIELD if is_json else _FIELDS[kind]).replace("{example}", repr(shown)),
            parameters=parameters,
            title=repr(task),
            description=repr(signature.doc),
        ),
    )
    needed = [str(one) for one in requirements if not one.is_optional]
    # The line that it was tried with: transformers 4 and 5 read different code.
    lines = [f"transformers=={version('transformers')}", "torch", *needed]
    _write(folder / "requirements.txt", "".join(f"{line}\n" for line in lines))
    _write(folder / "README.md", _readme(model, task))


def is_edited(text: str) -> bool:
    """Tell whether a file of a Space is not as `write_space` wrote it."""
    made = _MADE.search(text)
    return made is None or made[1] != _digest(_MADE.sub("", text))


def _write(file: Path, text: str) -> None:
    text = f"{text.rstrip()}\n"
    begin, end = ("<!--", " -->") if file.suffix == ".md" else ("#", "")
    line = f"{begin} pipe push renews this file until somebody edits it: {_digest(text)}{end}\n"
    file.write_text(text + line, encoding="utf-8")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _readme(model: str, task: str) -> str:
    # gradio 6 needs huggingface_hub 1 or later, which transformers 4 does not take.
    sdk_version = "sdk_version: 5.49.1\n" if version("transformers").startswith("4.") else ""
    return (
        f"---\ntitle: {json.dumps(task)}\nsdk: gradio\n{sdk_version}app_file: app.py\nmodels:\n- {model}\n---\n\n"
        f"Runs [{model}](https://huggingface.co/{model}). Made by `pipe push --space`.\n"
    )


def _field(parameter: Parameter) -> dict[str, str]:
    """Return a parameter's field, and the Python expression for the value that it gives."""
    name, default, kinds = parameter.name, parameter.default_value, parameter.type.kinds
    rest = f"label={name!r}, info={parameter.doc!r}, value={default!r}"
    if parameter.type.choices and not parameter.type.is_list:
        return {"name": name, "value": name, "component": f"gr.Dropdown({list(parameter.type.choices)!r}, {rest})"}
    if kinds == ("bool",):
        return {"name": name, "value": name, "component": f"gr.Checkbox({rest})"}
    if kinds == ("int",) and not parameter.type.is_list:
        return {"name": name, "value": name, "component": f"gr.Number({rest}, precision=0)"}
    if kinds == ("float",) and not parameter.type.is_list:
        return {"name": name, "value": name, "component": f"gr.Number({rest})"}
    if kinds == ("str",) and not parameter.type.is_list:
        return {"name": name, "value": name, "component": f"gr.Textbox({rest})"}
    shown = "" if default is None else json.dumps(default)
    return {
        "name": name,
        "value": f"json.loads({name}) if {name} else None",
        "component": f"gr.Textbox(label={name + ' (JSON)'!r}, info={parameter.doc!r}, value={shown!r})",
    }
