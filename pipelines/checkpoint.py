"""A checkpoint folder, read without loading it: its config, its weights, and the code that it brings along.

Not a loader: `loading.py` asks here what would go wrong, or what would run, before transformers is asked to do it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipesmith.pipelines.compat.table import needed
from pipesmith.pipelines.entries import PipelineEntry, Place, default_model
from pipesmith.pipelines.errors import PipelineLoadError, TaskNotFoundError
from pipesmith.pipelines.hub import Snapshot, is_repo_id
from pipesmith.pipelines.source import ClassReference, module_file, parse

_TORCH_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
_OTHER_WEIGHTS = {"tf_model.h5": "TensorFlow", "tf_model.h5.index.json": "TensorFlow", "flax_model.msgpack": "Flax"}
# The files that name classes of code beside them, in an `auto_map`.
_CODE_CONFIGS = (
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
    "feature_extractor_config.json",
    "generation_config.json",
)
_AGAIN = "Download the checkpoint again, or save it again with save_pretrained()."
_CUSTOM_GENERATE = "custom_generate/generate.py"
# What an architecture's name ends with, and the task that its head is for; the longest ending counts.
_TASK_OF_ENDING = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "ForPreTraining": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForQuestionAnswering": "question-answering",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForSemanticSegmentation": "image-segmentation",
    "ForUniversalSegmentation": "image-segmentation",
    "ForImageSegmentation": "image-segmentation",
    "ForInstanceSegmentation": "image-segmentation",
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForVideoClassification": "video-classification",
    "ForDepthEstimation": "depth-estimation",
    "ForZeroShotObjectDetection": "zero-shot-object-detection",
}


@dataclass(frozen=True)
class Checkpoint:
    """A local checkpoint folder and the content of its config.json.

    Args:
        folder: where the files lie.
        config: what config.json holds.
        snapshot: the repository that the folder is a snapshot of, if it is one.
    """

    folder: Path
    config: dict[str, Any]
    snapshot: Snapshot | None = None

    @property
    def name(self) -> str:
        """What people call it: the folder, or a repository at a commit."""
        return str(self.snapshot or self.folder)

    @property
    def repo_id(self) -> str:
        """The repository's name, "" if it is none."""
        return self.snapshot.repo_id if self.snapshot else ""

    @property
    def base_model(self) -> str | None:
        """The repository that adapter weights build on, if it is none of its own."""
        file = self.folder / "adapter_config.json"
        name = _read_object(file).get("base_model_name_or_path") if file.is_file() else None
        return name if isinstance(name, str) and name != self.repo_id and is_repo_id(name) else None

    @property
    def names_itself(self) -> bool:
        """Whether it names its own code by its repository's name, as what was pushed again does."""
        return bool(self.repo_id) and any(
            reference.startswith(f"{self.repo_id}--") for reference in _code_references(self, None)
        )

    @property
    def custom_pipelines(self) -> dict[str, dict[str, Any]]:
        """Return what config.json says of pipelines of its own, by task."""
        custom = self.config.get("custom_pipelines")
        return custom if isinstance(custom, dict) else {}

    @property
    def architectures(self) -> list[str]:
        """Return the names of the model classes that the weights were saved from."""
        names = self.config.get("architectures")
        return [str(name) for name in names] if isinstance(names, list) else []


def read_checkpoint(folder: Path, snapshot: Snapshot | None = None) -> Checkpoint:
    """Read a checkpoint folder's config.json.

    Args:
        folder: the folder.
        snapshot: the repository that it is a snapshot of, if it is one.

    Raises:
        PipelineLoadError: no such folder, no config.json, or one that is not a JSON object.
    """
    if not folder.exists():
        raise PipelineLoadError(f"There is no folder {folder}.", hint="Check the path: it is a checkpoint's folder.")
    if not folder.is_dir():
        raise PipelineLoadError(f"{folder} is a file, not a checkpoint folder.", hint="Give the folder it lies in.")
    file = folder / "config.json"
    if not file.is_file():
        raise PipelineLoadError(
            f"{snapshot or folder} is no checkpoint: it holds no config.json.",
            hint="A checkpoint folder is what save_pretrained() writes: config.json, weights and a tokenizer.",
        )
    return Checkpoint(folder, _read_object(file), snapshot)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PipelineLoadError(f"{file}:{error.lineno} is not valid JSON: {error.msg}.", hint=_AGAIN) from error
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineLoadError(f"{file} cannot be read: {error}.", hint=_AGAIN) from error
    if not isinstance(content, dict):
        raise PipelineLoadError(f"{file} holds {type(content).__name__}, not a JSON object.", hint=_AGAIN)
    return content


def holds_weights(checkpoint: Checkpoint) -> bool:
    """Tell whether a folder holds weights of PyTorch or of another framework."""
    return any((checkpoint.folder / name).exists() for name in (*_TORCH_WEIGHTS, *_OTHER_WEIGHTS))


def framework_of_weights(checkpoint: Checkpoint) -> str:
    """Return "tf" for a folder whose weights are TensorFlow's alone, else "pt"."""
    tensors = checkpoint.folder / "model.safetensors"
    if tensors.exists():
        return "tf" if _safetensors_format(tensors) == "tf" else "pt"
    if any((checkpoint.folder / name).exists() for name in _TORCH_WEIGHTS):
        return "pt"
    return "tf" if any((checkpoint.folder / name).exists() for name in _OTHER_WEIGHTS if name[0] == "t") else "pt"


def check_weights(checkpoint: Checkpoint, framework: str = "pt") -> None:
    """Refuse a folder without weights for a framework, or with a damaged header, before a model starts at random.

    Args:
        checkpoint: the folder.
        framework: "pt", or "tf", which takes PyTorch's as well.

    Raises:
        PipelineLoadError: no weights, weights of another framework, or a safetensors file cut short.
    """
    folder = checkpoint.folder
    if framework == "tf" and framework_of_weights(checkpoint) == "tf":
        return
    if not any((folder / name).exists() for name in _TORCH_WEIGHTS):
        for name, framework in _OTHER_WEIGHTS.items():
            if (folder / name).exists():
                _refuse_framework(folder / name, framework)
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise PipelineLoadError(
            f"{checkpoint.name} holds no weights: neither {_TORCH_WEIGHTS[0]} nor {_TORCH_WEIGHTS[2]}.",
            hint=f"It holds {present}. Save the model there with save_pretrained(), or download its weights.",
        )
    for file in sorted(folder.glob("*.safetensors")):
        if _safetensors_format(file) in ("tf", "flax"):
            _refuse_framework(file, {"tf": "TensorFlow", "flax": "Flax"}[_safetensors_format(file) or "tf"])


def _refuse_framework(file: Path, framework: str) -> None:
    if framework == "TensorFlow" and not needed():
        raise PipelineLoadError(f"{file} holds TensorFlow weights.", hint="Run them as such: --framework tf")
    raise PipelineLoadError(
        f"{file} holds {framework} weights, which transformers 5 cannot load.",
        hint="Convert them once with transformers 4: AutoModel.from_pretrained(DIR, "
        f"{'from_tf' if framework == 'TensorFlow' else 'from_flax'}=True).save_pretrained(NEW_DIR).",
    )


def _safetensors_format(file: Path) -> str | None:
    """Return the framework named in a safetensors file's header (8 bytes of length, then JSON)."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        size = file.stat().st_size
        if length > size - 8:
            raise PipelineLoadError(
                f"{file} is damaged: its header says more bytes than the {size:,} it has.", hint=_AGAIN
            )
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise PipelineLoadError(f"{file} is damaged: its header is not JSON.", hint=_AGAIN) from error
    ends = [item["data_offsets"][1] for name, item in header.items() if name != "__metadata__"]
    if ends and 8 + length + max(ends) > size:
        missing = 8 + length + max(ends) - size
        raise PipelineLoadError(f"{file} is cut short: {missing:,} bytes are missing.", hint=_AGAIN)
    found = header.get("__metadata__", {}).get("format")
    return str(found) if found else None


def code_modules(checkpoint: Checkpoint, task: str | None = None) -> dict[str, list[str]]:
    """Name the modules that loading a checkpoint would run: what an `auto_map` or the task's pipeline names.

    Args:
        checkpoint: the folder.
        task: the custom pipeline that would be loaded from it; None if the class comes from elsewhere.

    Returns:
        Module names by the repository that holds them; "" is the checkpoint itself.
    """
    found: dict[str, list[str]] = {}
    for reference in _code_references(checkpoint, task):
        repo_id, _, name = reference.rpartition("--")  # user/repo--module.Class: code of another repository
        modules = found.setdefault("" if repo_id == checkpoint.repo_id else repo_id, [])
        if name.partition(".")[0] not in modules:
            modules.append(name.partition(".")[0])
    if (checkpoint.folder / _CUSTOM_GENERATE).is_file():  # transformers 4 runs that of a folder without asking
        found.setdefault("", []).append(_CUSTOM_GENERATE.removesuffix(".py"))
    return found


def code_files(folder: Path, modules: Iterable[str]) -> list[Path]:
    """List the files that hold modules of a folder, and what these import from beside them."""
    found: dict[Path, None] = {}
    for module in sorted(modules):
        _add_with_imports(folder / f"{module}.py", folder, found)
    return list(found)


def _code_references(checkpoint: Checkpoint, task: str | None) -> Iterator[str]:
    info = checkpoint.custom_pipelines.get(task) if task is not None else None
    if isinstance(info, dict):
        yield str(info.get("impl", ""))
    for name in _CODE_CONFIGS:
        file = checkpoint.folder / name
        if not file.is_file():
            continue
        content = checkpoint.config if name == "config.json" else _read_object(file)
        for auto_map in _auto_maps(content):
            for value in auto_map.values():
                for reference in value if isinstance(value, (list, tuple)) else (value,):
                    if isinstance(reference, str):
                        yield reference


def _auto_maps(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the `auto_map` of a configuration and of those within it, as models of several parts have."""
    if isinstance(content, dict):
        if isinstance(content.get("auto_map"), dict):
            yield content["auto_map"]
        for value in content.values():
            yield from _auto_maps(value)


def _add_with_imports(file: Path, root: Path, found: dict[Path, None]) -> None:
    """Add a file, the packages around it, and what it imports relatively or by the bare name of a file beside it."""
    if file in found:
        return
    found[file] = None
    if not file.is_file():
        return
    for folder in file.parents:
        if folder == root or not folder.is_relative_to(root):
            break
        if (folder / "__init__.py").is_file():
            _add_with_imports(folder / "__init__.py", root, found)
    try:
        tree = parse(file)
    except PipelineLoadError:  # it will say so itself when it is run
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level > len(file.parents):
                continue
            folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            named = [module_file(folder)] if node.module else []
            named += [module_file(folder / alias.name) for alias in node.names]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            within = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""  # `from a import b` may run a.b
            named = []
            for name in (within + alias.name for alias in node.names):
                parts = name.split(".")  # `import a.b` runs a, too
                for base in dict.fromkeys((file.parent, root)):
                    named += [module_file(base.joinpath(*parts[:end])) for end in range(1, len(parts) + 1)]
        else:
            continue
        for imported in named:
            if imported is not None:
                _add_with_imports(imported, root, found)


def checkpoint_entry(checkpoint: Checkpoint, task: str | None) -> PipelineEntry | list[str]:
    """Find out what a checkpoint folder runs: an entry of its own, or names of tasks registered elsewhere.

    Args:
        checkpoint: the folder.
        task: the task asked for; needed if the folder brings several.

    Returns:
        The entry that the folder brings, or the tasks that it may be for, likeliest first.

    Raises:
        TaskNotFoundError: the task cannot be told.
    """
    custom = checkpoint.custom_pipelines
    if task is None and len(custom) > 1:
        raise TaskNotFoundError(
            f"{checkpoint.name} brings {len(custom)} tasks: {', '.join(custom)}.", hint="Name one with --task."
        )
    name = task or next(iter(custom), None)
    if name is not None and name in custom:
        return _custom_entry(checkpoint, name)
    return [name] if name is not None else _guess_tasks(checkpoint)


def _custom_entry(checkpoint: Checkpoint, task: str) -> PipelineEntry:
    info = checkpoint.custom_pipelines[task]
    if not isinstance(info, dict):
        raise PipelineLoadError(
            f"{checkpoint.folder / 'config.json'}: custom_pipelines.{task} is {info!r}, not an object.",
            hint=_AGAIN,
        )
    reference = str(info.get("impl", ""))
    repo_id, _, reference = reference.rpartition("--")
    module, _, name = reference.rpartition(".")
    if repo_id not in ("", checkpoint.repo_id):
        raise PipelineLoadError(
            f"{checkpoint.name} names a pipeline of another repository, {repo_id}, which is not loaded from here.",
            hint=f"Run that repository: pipe run {repo_id} --model {checkpoint.repo_id or checkpoint.folder}",
        )
    if not module.isidentifier():
        raise PipelineLoadError(
            f"{checkpoint.folder / 'config.json'}: custom_pipelines.{task}.impl names no class: {info.get('impl')!r}.",
            hint=_AGAIN,
        )
    return PipelineEntry(
        task,
        ClassReference(name, checkpoint.folder / f"{module}.py"),
        pt_model=_names(info.get("pt")),
        tf_model=_names(info.get("tf")),
        default=default_model(info.get("default")),
        type=str(info.get("type") or "multimodal"),
        place=Place(checkpoint.folder / "config.json", 1),
        origin="checkpoint",
    )


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _guess_tasks(checkpoint: Checkpoint) -> list[str]:
    """Tell the task of a checkpoint without code of its own: its card's pipeline_tag, then its architecture's head."""
    guesses = []
    card = checkpoint.folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace")[:20_000]
        match = re.match(r"---\n.*?^pipeline_tag:\s*[\"']?([\w-]+).*?^---", head, flags=re.MULTILINE | re.DOTALL)
        if match:
            guesses.append(match[1])
    guesses += tasks_of_models(checkpoint.architectures)
    if not guesses:
        known = ", ".join(checkpoint.architectures) or "none"
        raise TaskNotFoundError(
            f"The task of {checkpoint.name} cannot be told from its architectures ({known}).",
            hint="Name it: pipe run DIR --task TASK. `pipe list` shows the tasks.",
        )
    return guesses


def tasks_of_models(names: Iterable[str]) -> list[str]:
    """Return the tasks of transformers that model classes are for, told from how their names end."""
    found = []
    for name in names:
        endings = [ending for ending in _TASK_OF_ENDING if name.endswith(ending)]
        if endings:
            found.append(_TASK_OF_ENDING[max(endings, key=len)])
    return found
