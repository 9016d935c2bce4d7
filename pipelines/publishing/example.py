"""An input to show a task with: what its user gives, else a sentence, a picture or a sound made here.

The example stands in the card with its real output, and in `example.json`, which `pipe verify` reads.
"""

from __future__ import annotations

import json
import mimetypes
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import PublishError

EXAMPLES_FILE = "example.json"
_SENTENCE = "The company acquired its competitor last year."
_RATE = 16_000  # Hz
_OF_FFMPEG = (
    "AudioClassificationPipeline",
    "AutomaticSpeechRecognitionPipeline",
    "ZeroShotAudioClassificationPipeline",
)


@dataclass(frozen=True)
class Example:
    """A task's input and what came out of it.

    Args:
        task: the task.
        inputs: a JSON value, in which {"file": name} stands for the path of a file of the folder, and {"sound": name}
            for its sound as transformers' own audio pipelines take it: they read files with ffmpeg alone.
        parameters: of the call.
        output: as plain JSON values; None if it was not run.
        has_output: whether it was run.
    """

    task: str
    inputs: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    has_output: bool = False


def example_inputs(given: str | None, kind: str, folder: Path, pipeline_class: type) -> Any:
    """Return the inputs of the example, with {"file": name} for each file, which is put into the folder.

    Args:
        given: what --example says: a text, a path, or a JSON object or list; None for one that fits the task's type.
        kind: text, audio, image, video or multimodal.
        folder: where the repository's files are collected.
        pipeline_class: what takes the input.

    Raises:
        PublishError: the JSON does not parse, or the type is one for which nothing can be made here.
    """
    if given is None:
        return _heard(_made(kind, folder), kind, pipeline_class)
    try:
        value = json.loads(given) if given.lstrip().startswith(("{", "[", '"')) else given
    except json.JSONDecodeError as error:
        raise PublishError(f"--example does not parse as JSON: {error.msg}.", hint="Quote it: '{...}'.") from error
    return _heard(_copied(value, kind, folder), kind, pipeline_class)


def _heard(value: Any, kind: str, pipeline_class: type) -> Any:
    is_read_with_ffmpeg = any(owner.__name__ in _OF_FFMPEG for owner in pipeline_class.__mro__)
    is_file = isinstance(value, dict) and set(value) == {"file"}
    return {"sound": value["file"]} if kind == "audio" and is_file and is_read_with_ffmpeg else value


def _copied(value: Any, kind: str, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item, kind, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item, kind, folder) for item in value]
    if not isinstance(value, str) or len(value) > 1000 or (kind == "text" and not _is_media(value)):
        return value
    file = Path(value).expanduser()
    if not file.is_file():
        return value
    name, count = f"example-{file.name}", 2
    while (folder / name).exists():
        name, count = f"example-{count}-{file.name}", count + 1
    shutil.copyfile(file, folder / name)
    return {"file": name}


def _is_media(name: str) -> bool:
    """Tell whether a name is that of a picture, a sound or a video: no text ends like that."""
    return (mimetypes.guess_type(name)[0] or "").partition("/")[0] in ("image", "audio", "video")


def _made(kind: str, folder: Path) -> Any:
    if kind == "image":
        from PIL import Image

        Image.merge("RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L")]).save(
            folder / "example.png"
        )
        return {"file": "example.png"}
    if kind == "audio":
        import numpy as np
        import soundfile

        soundfile.write(folder / "example.wav", np.sin(np.arange(_RATE) / 20).astype("float32"), _RATE)
        return {"file": "example.wav"}
    if kind == "video":
        raise PublishError("A video task needs an example to be shown with.", hint="Name one: --example clip.mp4")
    return _SENTENCE


def with_paths(value: Any, folder: Path) -> Any:
    """Return inputs with paths in the place of {"file": name}, and sounds in that of {"sound": name}."""
    if isinstance(value, dict) and set(value) == {"file"}:
        return str(folder / value["file"])
    if isinstance(value, dict) and set(value) == {"sound"}:
        import soundfile

        sound, rate = soundfile.read(folder / value["sound"], dtype="float32")
        return {"raw": sound, "sampling_rate": rate}
    if isinstance(value, dict):
        return {key: with_paths(item, folder) for key, item in value.items()}
    return [with_paths(item, folder) for item in value] if isinstance(value, list) else value


def write_examples(examples: list[Example], folder: Path) -> None:
    """Write the examples where `pipe verify` finds them."""
    content = [
        {"task": one.task, "inputs": one.inputs, "parameters": dict(one.parameters), "output": one.output}
        for one in examples
    ]
    (folder / EXAMPLES_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_examples(file: Path) -> list[Example]:
    """Read the examples of a repository.

    Raises:
        PublishError: the file is not what `write_examples` writes.
    """
    try:
        return [
            Example(one["task"], one["inputs"], one["parameters"], one["output"], True)
            for one in json.loads(file.read_text(encoding="utf-8"))
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(f"{file.name} of the repository does not hold examples as pipe push writes them.") from error
