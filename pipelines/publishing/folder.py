"""A live pipeline as a folder that plain transformers loads: what `save_pretrained` writes, and what it leaves out.

transformers' own `save_pretrained` saves neither the processor nor the video processor, forgets all but one task of a
class, and copies the imports that a regular expression sees. Here it saves the weights and the parts; the code comes
from `closure.py`, and config.json names it. Not here: the card and the example (`publish.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipesmith.pipelines.compat.saving import saving
from pipesmith.pipelines.entries import ModelClass, PipelineEntry
from pipesmith.pipelines.errors import ParameterError, PublishError
from pipesmith.pipelines.publishing.checkpoints import task_info
from pipesmith.pipelines.publishing.closure import Closure, import_closure
from pipesmith.pipelines.publishing.requirements import Requirement
from pipesmith.pipelines.source import ClassReference

# A pipeline's parts: the Auto class that loads each, and the file whose `auto_map` names its class.
_PARTS = {
    "tokenizer": ("AutoTokenizer", "tokenizer_config.json"),
    "feature_extractor": ("AutoFeatureExtractor", "preprocessor_config.json"),
    "image_processor": ("AutoImageProcessor", "preprocessor_config.json"),
    "video_processor": ("AutoVideoProcessor", "video_preprocessor_config.json"),
    "processor": ("AutoProcessor", "processor_config.json"),
}
_SAVED_BY_TRANSFORMERS = ("tokenizer", "feature_extractor", "image_processor")


@dataclass(frozen=True)
class SavedPipeline:
    """What was written into a folder.

    Args:
        tasks: the tasks that it brings.
        code: the names of its Python files.
        requirements: the packages that these need beside transformers, torch and numpy.
        packages: the packages of the user's own that the code was taken out of.
    """

    tasks: tuple[str, ...]
    code: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    packages: tuple[str, ...]


def save_pipeline(
    pipe: Any, entries: Sequence[PipelineEntry], save_directory: Any, *args: Any, **kwargs: Any
) -> SavedPipeline:
    """Write a live pipeline with its code into a folder that `transformers.pipeline(model=FOLDER)` loads.

    Args:
        pipe: the pipeline.
        entries: its task and the others that the folder is to bring.
        save_directory: the folder; it need not exist.
        *args, **kwargs: further arguments of the class's `save_pretrained`.

    Raises:
        PublishError: its code cannot be published; names the line.
        ParameterError: `push_to_hub` is asked for, which transformers does before the code is there.
    """
    if kwargs.pop("push_to_hub", False):
        raise ParameterError("save_pretrained writes a folder.", hint="pipe push user/repo, or pipe.push_to_hub(...)")
    code = _Code(pipe, entries)  # before anything is written: it may be refused
    folder = Path(save_directory)
    if folder.is_file():
        raise PublishError(f"{folder} is a file, not a folder.", hint="Name another one.")
    with saving(pipe.model), _without_copies(pipe):
        type(pipe).save_pretrained(pipe, save_directory, *args, **kwargs)
        for part in _unsaved(pipe):
            part.save_pretrained(save_directory)
    code.write(folder)
    return SavedPipeline(tuple(entry.task for entry in entries), tuple(code.files), code.requirements, code.packages)


def save_missing_parts(pipe: Any, saved: Any, folder: Path) -> None:
    """Save those parts of a pipeline that another one, saved already, has not."""
    with _without_copies(pipe):
        for name in _PARTS:
            if getattr(pipe, name, None) is not None and getattr(saved, name, None) is None:
                getattr(pipe, name).save_pretrained(folder)


def _unsaved(pipe: Any) -> Iterator[Any]:
    """Yield the parts that transformers does not save; what is in a processor also alone, where 4.57 looks for it."""
    for name in _PARTS:
        part = getattr(pipe, name, None)
        if part is not None and name not in _SAVED_BY_TRANSFORMERS:
            yield part
            yield from (
                getattr(part, inner)
                for inner in _PARTS
                if inner != "processor" and hasattr(vars(part).get(inner), "save_pretrained")
            )


@contextmanager
def _without_copies(pipe: Any) -> Iterator[None]:
    """Keep transformers from copying code by its regular expression: its classes forget how they were registered."""
    parts = [getattr(pipe, name, None) for name in _PARTS]
    inner = [value for part in parts if part is not None for value in vars(part).values()]
    objects = [pipe, pipe.model, pipe.model.config, *parts, *inner]
    held: list[tuple[type, str, Any]] = []
    for owner in dict.fromkeys(owner for one in objects for owner in type(one).__mro__):
        for name in ("_registered_impl", "_auto_class"):
            if vars(owner).get(name) is not None:
                held.append((owner, name, vars(owner)[name]))
    for owner, name, _ in held:
        if name == "_registered_impl":
            delattr(owner, name)
        else:
            setattr(owner, name, None)
    try:
        yield
    finally:
        for owner, name, value in held:
            setattr(owner, name, value)


class _Code:
    """The Python files of a folder, and what its configuration files say of them."""

    def __init__(self, pipe: Any, entries: Sequence[PipelineEntry]) -> None:
        self._entries = [entry for entry in entries if not _is_of_transformers(_class_of(entry, pipe))]
        self._sources = {entry.task: _source_of(_class_of(entry, pipe), pipe) for entry in self._entries}
        # The parts with classes of their own: configuration file, Auto class -> file, class.
        self._parts: list[tuple[str, str, Path, str, Any]] = []
        model_class, config_class = type(pipe.model), type(pipe.model.config)
        if not _is_of_transformers(model_class):
            for auto_class in _auto_classes(model_class, entries):
                self._parts.append(("config.json", auto_class, *_source_of(model_class, pipe), None))
        if not _is_of_transformers(config_class):
            self._parts.append(("config.json", "AutoConfig", *_source_of(config_class, pipe), None))
        for name, (auto_class, config) in _PARTS.items():
            part = getattr(pipe, name, None)
            if part is not None and not _is_of_transformers(type(part)):
                self._parts.append((config, auto_class, *_source_of(type(part), pipe), part))
        roots = dict.fromkeys(
            [*(file for file, _ in self._sources.values()), *(file for _, _, file, _, _ in self._parts)]
        )
        self._closure = import_closure(list(roots)) if roots else Closure({}, {}, ())
        self._model_names = [*_auto_classes(model_class, entries)] if not _is_of_transformers(model_class) else []

    @property
    def files(self) -> list[str]:
        return list(self._closure.files)

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        return self._closure.requirements

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of the user's packages that the files come from."""
        found: dict[str, None] = {}
        required = {one.module for one in self.requirements}
        for file in self._closure.modules:
            for folder in file.parents:
                if not (folder / "__init__.py").is_file():
                    break
                found[folder.name] = None
        return tuple(name for name in found if name not in required)

    def write(self, folder: Path) -> None:
        """Write the files, and name them in the configuration files of the folder."""
        for name, text in self._closure.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        maps: dict[str, dict[str, Any]] = {"config.json": {}}
        for config, auto_class, file, name, part in self._parts:
            reference: Any = self._reference(file, name)
            if auto_class == "AutoTokenizer":
                reference = [None, reference] if getattr(part, "is_fast", False) else [reference, None]
            maps.setdefault(config, {})[auto_class] = reference
        for config, auto_map in maps.items():
            _edit(folder / config, auto_map, self._custom_pipelines() if config == "config.json" else None)

    def _reference(self, file: Path, name: str) -> str:
        return f"{self._closure.modules[file]}.{name}"

    def _custom_pipelines(self) -> dict[str, Any]:
        found = {}
        for entry in self._entries:
            names = tuple(dict.fromkeys([*_names(entry.pt_model), *self._model_names]))
            named = replace(entry, pt_model=names, tf_model=tuple(_names(entry.tf_model)))
            found[entry.task] = task_info(named, self._reference(*self._sources[entry.task]))
        return found


def _class_of(entry: PipelineEntry, pipe: Any) -> Any:
    """Return an entry's class: the live one, or where that of another task of the same checkpoint is written."""
    reference, live = entry.pipeline_class, type(pipe)
    return live if not isinstance(reference, ClassReference) or reference.name == live.__name__ else reference


def _is_of_transformers(found: Any) -> bool:
    return isinstance(found, type) and found.__module__.partition(".")[0] in ("transformers", "tokenizers", "torch")


def _source_of(found: Any, pipe: Any) -> tuple[Path, str]:
    """Return the file that defines a class, and the class's name there.

    Of code that the model's folder brings, transformers runs copies, one for each part: the file is the folder's.
    """
    if isinstance(found, ClassReference):
        assert found.file is not None
        return found.file, found.name
    file = getattr(sys.modules.get(found.__module__), "__file__", None)
    if found.__module__ == "__main__":
        raise PublishError(
            f"{found.__name__} is written in {f'the script {file}' if file else 'an interactive session'}, "
            "which nobody else can import.",
            hint="Move the class to a file of its own, and import it from there.",
        )
    if "." in found.__qualname__:
        raise PublishError(
            f"{found.__qualname__} ({file}) is defined inside a function or a class.",
            hint="Define it at the top of a file of its own.",
        )
    if file is None or not file.endswith(".py"):
        raise PublishError(f"The source of {found.__name__} ({found.__module__}) was not found.")
    brought = Path(str(pipe.model.name_or_path)) / Path(file).name
    is_copy = found.__module__.startswith("transformers_modules.") and brought.is_file()
    if is_copy and brought.read_bytes() == Path(file).read_bytes():
        return brought.absolute(), found.__name__
    return Path(file).absolute(), found.__name__


def _auto_classes(model_class: type, entries: Sequence[PipelineEntry]) -> list[str]:
    """Name the Auto classes that load a model class of the user's own: config.json cannot name it for a pipeline."""
    registered = getattr(model_class, "_auto_class", None)
    named = [name for entry in entries for name in _names(entry.pt_model) if name.startswith("AutoModel")]
    return list(dict.fromkeys(named)) or [registered or "AutoModel"]


def _names(models: Sequence[ModelClass]) -> list[str]:
    """Return the names of the model classes that transformers has."""
    return [
        model if isinstance(model, str) else getattr(model, "__name__", "")
        for model in models
        if isinstance(model, str) or _is_of_transformers(model)
    ]


def _edit(file: Path, auto_map: Mapping[str, Any], custom_pipelines: Mapping[str, Any] | None) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for key, value in (("auto_map", auto_map), ("custom_pipelines", custom_pipelines)):
        if value is None:
            continue
        content.pop(key, None)
        if value:
            content[key] = value
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
