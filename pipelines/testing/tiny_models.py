"""Tiny random models, made offline, with the tokenizer or the processors that fit them.

A tiny model has the code of its architecture and the shape of its inputs and outputs, and knows nothing: its results
are random, yet depend on the input and on the weights. `tiny_table.py` says how the common architectures are made;
`tiny_building.py` makes all others by rules. Not here: a user's own model classes, TensorFlow weights.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib.util
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipesmith.pipelines.errors import MissingLibraryError, PipelineLoadError
from pipesmith.pipelines.testing.tiny_table import (
    ARCHITECTURE_OF,
    ARCHITECTURE_OF_TASK,
    ARCHITECTURES,
    BASE_ARCHITECTURE_OF_MODALITY,
    Architecture,
    Part,
)

MAX_PARAMETERS = 1_000_000  # of an architecture in the table, counted before anything is allocated
CLASSES = ("AutoModel", *ARCHITECTURE_OF)


@dataclass(frozen=True)
class TinyModel:
    """A tiny random model on disk; its parts are loaded when they are asked for.

    Args:
        path: the checkpoint folder, which every Auto class and `transformers.pipeline(task, model=path)` loads.
        model_class: the name of the class in transformers that `model` is loaded with.
        model_type: the architecture, such as bert.
        seed: of the weights.
    """

    path: Path
    model_class: str
    model_type: str
    seed: int

    @functools.cached_property
    def model(self) -> Any:
        """The model, in eval mode, float32, on the CPU."""
        return self._load(self.model_class)

    @functools.cached_property
    def tf_model(self) -> Any:
        """The same weights in TensorFlow, where transformers has it: version 4."""
        import transformers
        from transformers.modeling_tf_pytorch_utils import load_pytorch_model_in_tf2_model

        model = getattr(transformers, f"TF{self.model_class}").from_config(self.model.config)
        return load_pytorch_model_in_tf2_model(model, self.model, allow_missing_keys=True)  # reads no safetensors

    @functools.cached_property
    def tokenizer(self) -> Any:
        """The tokenizer; None for an architecture without text."""
        return self._load("AutoTokenizer") if self._holds("tokenizer") else None

    @functools.cached_property
    def image_processor(self) -> Any:
        """The image processor; None for an architecture that sees nothing."""
        return self._load("AutoImageProcessor") if self._holds("image_processor") else None

    @functools.cached_property
    def feature_extractor(self) -> Any:
        """The feature extractor; None for an architecture that hears nothing."""
        return self._load("AutoFeatureExtractor") if self._holds("feature_extractor") else None

    @functools.cached_property
    def processor(self) -> Any:
        """The processor that joins the parts; None for an architecture that has none."""
        return self._load("AutoProcessor") if self._holds("processor") else None

    @property
    def parts(self) -> dict[str, Any]:
        """The tokenizer and the processors, by the names under which a pipeline takes them."""
        return {
            "tokenizer": self.tokenizer,
            "image_processor": self.image_processor,
            "feature_extractor": self.feature_extractor,
            "processor": self.processor,
        }

    def _holds(self, kind: str) -> bool:
        """Whether there is a part of that kind: the table says so, or its file in the checkpoint."""
        if self.model_type in ARCHITECTURES:
            return getattr(ARCHITECTURES[self.model_type], kind) is not None
        if kind == "tokenizer":
            return (self.path / "tokenizer_config.json").is_file()
        settings = self.path / "preprocessor_config.json"
        return settings.is_file() and f"{kind}_type" in json.loads(settings.read_text(encoding="utf-8"))

    def _load(self, auto_class: str) -> Any:
        import transformers

        with _random_state(self.seed), without_bars():
            return getattr(transformers, auto_class).from_pretrained(self.path)


def tiny_model(
    model_class: str | type,
    model_type: str | None = None,
    *,
    seed: int = 0,
    directory: str | os.PathLike[str] | None = None,
    modality: str | None = None,
    task: str | None = None,
) -> TinyModel:
    """Make a tiny random model with the tokenizer or processors that fit it, offline, or find it in the cache.

    The architecture is, in this order: `model_type`; that of a concrete class such as BertForSequenceClassification;
    the one that the table names for `task`; for AutoModel the one for `modality` (text if that is not given either);
    the one that it names for the Auto class.

    Args:
        model_class: a model class of transformers or its name, `"AutoModelForCausalLM"` or `"GPT2LMHeadModel"`.
        model_type: an architecture by the name that config.json gives it, such as gpt2.
        seed: of the weights: equal seeds give equal bits; the caller's random numbers are not disturbed.
        directory: where checkpoint folders are kept; by default the user's cache folder, by transformers version.
        modality: what the model is to take: text, audio, image, video or multimodal; a task's `type`.
        task: what the model is for.

    Raises:
        PipelineLoadError: no such class, no such architecture, the architecture has no model of that class, no
            small one can be made, or the folder cannot be written.
        MissingLibraryError: the architecture needs a library that is not installed; its `library` names it.
    """
    name = _class_name(model_class)
    architecture = _choose_architecture(name, model_type, modality, task)
    root = Path(directory) if directory is not None else _cache_folder()
    folder = root / _recipe_key() / f"{name}-{architecture}-{seed}"
    if not (folder / "config.json").is_file():
        _build_in_place(folder, name, architecture, seed)
    return TinyModel(folder, name, architecture, seed)


def tiny_architectures(model_class: str | type) -> list[str]:
    """List the architectures that a class in an Auto mapping takes, by the names that config.json gives them.

    Args:
        model_class: such as `"AutoModelForCausalLM"`; a class of one architecture gives that one.

    Raises:
        PipelineLoadError: transformers has no such class.
    """
    import transformers

    found = getattr(transformers, _class_name(model_class))
    if getattr(found, "config_class", None) is not None:
        return [found.config_class.model_type]
    mapping = found._model_mapping
    return [name for name in mapping._model_mapping if name in mapping._config_mapping]


# ---- Choosing ---------------------------------------------------------------------------------------------------


def _class_name(model_class: str | type) -> str:
    """Check that a model class is one of this transformers, and return its name there."""
    import transformers

    if not isinstance(model_class, str) and not model_class.__module__.startswith("transformers."):
        raise PipelineLoadError(
            f"{model_class.__module__}.{model_class.__name__} is not a class of transformers: "
            "tiny models are made of the architectures in their table only.",
            hint="Make a small checkpoint of the class with save_pretrained and name that folder as the model.",
        )
    name = model_class.removeprefix("transformers.") if isinstance(model_class, str) else model_class.__name__
    if name.startswith(("TF", "Flax")):
        raise PipelineLoadError(
            f"{name} is not a PyTorch class, and tiny models have PyTorch weights only.",
            hint=f"Name {name.removeprefix('TF').removeprefix('Flax')}.",
        )
    if _is_model_class(getattr(transformers, name, None)):
        return name
    known = [other for other in dir(transformers) if other.startswith("AutoModel") or "For" in other]
    raise PipelineLoadError(
        f"transformers {transformers.__version__} has no model class {name}.",
        hint=_nearest(name, [*CLASSES, *known]) or f"The table holds {', '.join(CLASSES)}.",
    )


def _is_model_class(found: Any) -> bool:
    from transformers import PreTrainedModel

    return isinstance(found, type) and (issubclass(found, PreTrainedModel) or hasattr(found, "_model_mapping"))


def _choose_architecture(name: str, model_type: str | None, modality: str | None, task: str | None) -> str:
    """Name the architecture; the docstring of `tiny_model` says in which order."""
    import transformers

    own_config = getattr(getattr(transformers, name), "config_class", None)
    if model_type is not None:
        chosen = model_type
    elif own_config is not None:
        chosen = own_config.model_type
    elif task in ARCHITECTURE_OF_TASK and _has(ARCHITECTURE_OF_TASK[task], name):
        chosen = ARCHITECTURE_OF_TASK[task]
    elif name == "AutoModel":
        chosen = _base_architecture(modality or "text")
    elif name in ARCHITECTURE_OF:
        chosen = ARCHITECTURE_OF[name]
    else:
        raise PipelineLoadError(
            f"No tiny architecture is known for {name}.", hint=f"The table holds {', '.join(CLASSES)}."
        )
    if chosen not in transformers.CONFIG_MAPPING:
        near = _nearest(chosen, [*ARCHITECTURES, *transformers.CONFIG_MAPPING.keys()])
        raise PipelineLoadError(
            f"There is no architecture {chosen}.", hint=near or f"The common ones are {', '.join(ARCHITECTURES)}."
        )
    if not _has(chosen, name):
        known = tiny_architectures(name)
        common = [other for other in known if other in ARCHITECTURES]
        others = f" and {len(known) - len(common)} others" if len(known) > len(common) else ""
        raise PipelineLoadError(
            f"{chosen} has no {name} in transformers {transformers.__version__}.",
            hint=f"With that class: {', '.join(common or known[:5])}{others}.",
        )
    return chosen


def _base_architecture(modality: str) -> str:
    if modality not in BASE_ARCHITECTURE_OF_MODALITY:
        raise PipelineLoadError(
            f"{modality} is not a modality.", hint=f"It is one of {', '.join(BASE_ARCHITECTURE_OF_MODALITY)}."
        )
    return BASE_ARCHITECTURE_OF_MODALITY[modality]


def _has(architecture: str, name: str) -> bool:
    """Whether this transformers has a model of that class for that architecture."""
    import transformers

    if architecture not in transformers.CONFIG_MAPPING:
        return False
    config_class = transformers.CONFIG_MAPPING[architecture]
    model_class = getattr(transformers, name)
    own_config = getattr(model_class, "config_class", None)
    return bool(own_config is config_class if own_config is not None else config_class in model_class._model_mapping)


def _nearest(name: str, names: list[str]) -> str | None:
    near = list(dict.fromkeys(difflib.get_close_matches(name, names, n=3, cutoff=0.6)))
    return f"Did you mean {' or '.join(near)}?" if near else None


# ---- Building ---------------------------------------------------------------------------------------------------


def _build_in_place(folder: Path, name: str, architecture: str, seed: int) -> None:
    """Build beside the folder and rename: a reader, or a second process that builds, never sees half a checkpoint."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError as error:
        raise PipelineLoadError(
            f"{folder.parent} cannot be written, so the tiny model cannot be kept: {error.strerror}.",
            hint="Set XDG_CACHE_HOME, or pass directory=, to name a folder that can.",
        ) from error
    try:
        _save(unfinished, name, architecture, seed)
        unfinished.chmod(0o755)  # mkdtemp makes a private folder
        try:
            unfinished.rename(folder)
        except OSError as error:
            # else another process was first: equal seeds give equal bits, so its folder is as good
            if not (folder / "config.json").is_file():
                raise PipelineLoadError(
                    f"{folder} is in the way of a tiny model: {error.strerror}.", hint=f"rm -r {folder}"
                ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _save(folder: Path, name: str, architecture: str, seed: int) -> None:
    """Write config, weights, tokenizer and processors into an empty folder."""
    model, parts = (_from_table if architecture in ARCHITECTURES else _from_rules)(name, architecture, seed)
    goes_on = model.can_generate() and not model.config.is_encoder_decoder
    if "tokenizer" in parts and goes_on and (name not in ("AutoModelForCTC", "AutoModelForSpeechSeq2Seq")):
        # a decoder goes on after the last token of a row, so a batch is padded on the left; sound is on the right
        parts["tokenizer"].padding_side = parts["tokenizer"].init_kwargs["padding_side"] = "left"
    with without_bars():
        model.save_pretrained(folder)
        for part in parts.values():
            part.save_pretrained(folder)


def _from_table(name: str, architecture: str, seed: int) -> tuple[Any, dict[str, Any]]:
    recipe = ARCHITECTURES[architecture]
    if recipe.library is not None and importlib.util.find_spec(recipe.library) is None:
        raise MissingLibraryError(architecture, recipe.library)
    parts = _parts(recipe)
    return _model(name, architecture, _config(architecture, recipe, parts.get("tokenizer")), seed), parts


def _from_rules(name: str, architecture: str, seed: int) -> tuple[Any, dict[str, Any]]:
    import torch
    import transformers

    from pipesmith.pipelines.testing.tiny_building import build

    with _random_state(seed), torch.device("cpu"), without_bars():
        return build(getattr(transformers, name), architecture, _strengthen)


def _parts(recipe: Architecture) -> dict[str, Any]:
    """Make the tokenizer and the processors; the processor that joins them comes last."""
    parts = {
        "tokenizer": recipe.tokenizer() if recipe.tokenizer else None,
        "image_processor": _make(recipe.image_processor),
        "feature_extractor": _make(recipe.feature_extractor),
    }
    parts = {kind: part for kind, part in parts.items() if part is not None}
    if recipe.processor is not None:
        parts["processor"] = _make(recipe.processor, **parts)
    return parts


def _make(part: Part | None, **joined: Any) -> Any:
    """Make an image processor, a feature extractor or a processor; transformers 5 names those on Pillow `...Pil`."""
    import transformers

    if part is None:
        return None
    on_pillow = getattr(transformers, f"{part.class_name}Pil", None)  # the others need torchvision
    return (on_pillow or getattr(transformers, part.class_name))(**part.settings, **joined)


def _config(architecture: str, recipe: Architecture, tokenizer: Any) -> Any:
    """Make the config: the table's sizes, and what follows from the tokenizer."""
    from transformers import AutoConfig

    if tokenizer is None:
        return AutoConfig.for_model(architecture, **recipe.sizes)
    vocabulary = {"vocab_size": len(tokenizer)}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if getattr(tokenizer, name) is not None:
            vocabulary[name] = getattr(tokenizer, name)
    vocabulary |= _ids(recipe.token_ids, tokenizer)
    if recipe.text_config is None:
        return AutoConfig.for_model(architecture, **recipe.sizes, **vocabulary)
    sizes = {**recipe.sizes, **_ids(recipe.own_token_ids, tokenizer)}
    sizes[recipe.text_config] = {**sizes[recipe.text_config], **vocabulary}
    return AutoConfig.for_model(architecture, **sizes)


def _ids(tokens: dict[str, str], tokenizer: Any) -> dict[str, int]:
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in tokens.items()}


def _model(name: str, architecture: str, config: Any, seed: int) -> Any:
    """Make the model with seeded weights, after counting its parameters without allocating any."""
    import torch
    import transformers

    recipe = ARCHITECTURES[architecture]
    model_class = getattr(transformers, name)
    make = getattr(model_class, "from_config", None) or model_class._from_config
    with _random_state(seed), torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in make(config).parameters())
    if parameters > MAX_PARAMETERS:
        raise PipelineLoadError(
            f"A tiny {architecture} as {name} would have {parameters:,} parameters, more than {MAX_PARAMETERS:,}."
        )
    with _random_state(seed), torch.device("cpu"):
        model = make(config)
        _strengthen(model)
        if recipe.detector is not None:
            _sharpen(model, recipe.detector)
    for setting, value in recipe.generation.items() if model.can_generate() else ():
        setattr(model.generation_config, setting, value)
    return model


def _strengthen(model: Any) -> None:
    """Give every weight matrix a spread of 1 / sqrt(inputs): a layer's outputs are about as large as its inputs.

    With the usual spread of 0.02 a small model answers nearly the same to every input; with a large one it saturates;
    with queries that are all zero it finds the same object many times.
    """
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2 or parameter[0].numel() < 2:  # biases, norms, gates
                continue
            wanted = parameter[0].numel() ** -0.5
            spread = parameter.std().item()
            if spread > 0:
                parameter.mul_(wanted / spread)
            elif not parameter.any():
                parameter.normal_(0, wanted)


def _sharpen(model: Any, layer: str) -> None:
    """Make a detector sure of what it sees: its last class, "no object", never wins and the others differ widely."""
    import torch

    with torch.no_grad():
        for name, module in model.named_modules():
            if name.endswith(layer):
                module.weight.mul_(8)
                module.bias[-1] = -100.0


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Switch off transformers' progress bars: a tiny model is there at once."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed the random numbers of Python, numpy and torch's CPU, and put the caller's back afterwards."""
    import numpy
    import torch

    python_state, numpy_state = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            numpy.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)


# ---- Keeping ----------------------------------------------------------------------------------------------------


def _cache_folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("pipesmith") / "tiny"


@functools.cache
def _recipe_key() -> str:
    """Name what a checkpoint depends on beside its arguments: transformers' version, and the source of its making."""
    import transformers

    digest = hashlib.sha256()
    for module in sorted(Path(__file__).parent.glob("tiny_*.py")):
        digest.update(module.read_bytes())
    return f"{transformers.__version__}/{digest.hexdigest()[:12]}"
