"""Tiny models of every architecture: a small config by rules, its parts, and a trial before anything is kept.

`tiny_models.py` calls this for an architecture that its table does not name, or that the table cannot make for the
model class asked for.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

from pipesmith.pipelines.errors import MissingLibraryError, PipelineLoadError
from pipesmith.pipelines.testing.tiny_configs import Fields, read_fields, reduce_largest, set_vocabulary, shrink
from pipesmith.pipelines.testing.tiny_exceptions import EXCEPTIONS, IMAGE_PROCESSORS
from pipesmith.pipelines.testing.tiny_parts import (
    SAMPLE,
    feature_extractor_for,
    image_processor_for,
    missing_library,
    sample_images,
    strip_names,
    tokenizer_for,
)

MAX_PARAMETERS = 5_000_000  # counted before anything is allocated
LABELS = 3  # two are not saved, being the default, and some classes have another one
SOUND = ("input_values", "input_features")
REDUCTIONS = 12  # of the largest parameter, before a config is given up


def build(model_class: Any, architecture: str, prepare: Callable[[Any], None]) -> tuple[Any, dict[str, Any]]:
    """Make a tiny model of an architecture, and the parts that its main input needs.

    Args:
        model_class: a class of transformers, or an Auto class.
        architecture: in CONFIG_MAPPING.
        prepare: changes the weights in place, before the trial.

    Returns:
        The model, in eval mode, and its parts by kind: tokenizer, image_processor, feature_extractor; config, where
        another one than the model's own leads back to the model.

    Raises:
        MissingLibraryError: a library is missing.
        PipelineLoadError: the rules cannot make it; the message ends with the reason.
    """
    from transformers import CONFIG_MAPPING

    errors: list[Exception] = []
    for narrow in (True, False):
        try:
            model, parts = _attempt(model_class, CONFIG_MAPPING[architecture], narrow=narrow)
            prepare(model)
            _try_out(model, parts, asks="QuestionAnswering" in model_class.__name__)
            return model, parts
        except Exception as error:
            library = missing_library(error) if isinstance(error, ImportError) else None
            if library is not None:
                raise MissingLibraryError(architecture, library) from error
            errors.append(error)
    reason = " ".join(str(errors[0]).split())[:200]
    raise PipelineLoadError(
        f"No tiny {architecture} can be made: {type(errors[0]).__name__}: {reason}",
        hint="Name another architecture, or a small checkpoint.",
    ) from errors[0]


def _attempt(model_class: Any, config_class: Any, *, narrow: bool) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    asks = "QuestionAnswering" in model_class.__name__
    labels = 2 if asks else LABELS  # where an answer starts and ends
    fields = read_fields(config_class())
    shrink(fields, narrow=narrow)
    if "is_decoder" in fields.values and not fields.encoder_decoder:
        fields.set("is_decoder", model_class is AutoModelForCausalLM)
    settings, _ = EXCEPTIONS.get(config_class.model_type, ({}, ""))
    _apply(fields, settings)
    tokenizer = None
    sees_only = "Image" in model_class.__name__ and "Text" not in model_class.__name__
    if _reads_text(fields) and not (sees_only and config_class.model_type in IMAGE_PROCESSORS):
        tokenizer = tokenizer_for(config_class, ends_rows=_ends_rows(config_class))
        if model_class is AutoModelForMaskedLM and tokenizer.mask_token is None:
            tokenizer.add_special_tokens({"mask_token": "[MASK]"})
        set_vocabulary(fields, tokenizer)
        _apply(fields, {name: value for name, value in settings.items() if "id" in name or "vocab" in name})
    if hasattr(model_class, "_model_mapping"):
        mapped = model_class._model_mapping[config_class]
        if isinstance(mapped, (list, tuple)):  # from_config takes the one that the config names
            fields.values["architectures"] = [mapped[0].__name__]
            fields.changed.add("architectures")
    make = getattr(model_class, "from_config", None) or model_class._from_config
    for _ in range(REDUCTIONS):
        with torch.device("meta"):
            drawn = make(_config(fields, labels))
        parameters = sum(parameter.numel() for parameter in drawn.parameters())
        if parameters <= MAX_PARAMETERS or not reduce_largest(fields, drawn):
            break
    if parameters > MAX_PARAMETERS:
        raise ValueError(f"it has {parameters:,} parameters, more than {MAX_PARAMETERS:,}")
    model = make(_config(fields, labels)).eval()
    config = _config(fields, labels)
    parts = _parts(model_class, model, config, tokenizer)
    if hasattr(model_class, "_model_mapping") and type(model.config) not in model_class._model_mapping:
        parts["config"] = config  # the text part of a model has a config that the Auto class does not take
    return model, parts


def _config(fields: Fields, labels: int) -> Any:
    config = fields.config_class(**copy.deepcopy(fields.arguments()), num_labels=labels)
    if getattr(config, "id2label", ()) is None:  # PVT's
        config.id2label = {number: f"LABEL_{number}" for number in range(labels)}
        config.label2id = {label: number for number, label in config.id2label.items()}
    return config


def _apply(fields: Fields, settings: dict[str, Any]) -> None:
    """Set fields by path, such as `text_config.hidden_size`."""
    for path, value in settings.items():
        part = fields
        *parents, name = path.split(".")
        for parent in parents:
            part = part.nested[parent]
        part.values[name] = value
        part.changed.add(name)


def _reads_text(fields: Fields) -> bool:
    from transformers import TOKENIZER_MAPPING

    return fields.config_class in TOKENIZER_MAPPING or any(
        "vocab_size" in part.values or "src_vocab_size" in part.values for part in fields.tree()
    )


def _ends_rows(config_class: Any) -> bool:
    """Whether rows of an architecture end with a token: those of encoders do, those of decoders go on."""
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    )

    return (
        config_class in MODEL_FOR_MASKED_LM_MAPPING
        or config_class in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
        or config_class not in MODEL_FOR_CAUSAL_LM_MAPPING
    )


def _parts(model_class: Any, model: Any, config: Any, tokenizer: Any) -> dict[str, Any]:
    """Make the parts that the main input of a model needs, or the name of the class asked for."""
    main = _main_input(model)
    if "Image" in model_class.__name__ and "Text" not in model_class.__name__:
        seen = {"image_processor": image_processor_for(config)}
        if hasattr(config, "image_token_index"):  # ShieldGemma asks a text about an image
            seen["tokenizer"] = tokenizer
        return seen
    hears = re.search("CTC|Speech", model_class.__name__) is not None  # and writes: its pipeline wants both parts
    parts: dict[str, Any] = {}
    if tokenizer is not None and (hears or main not in ("pixel_values", *SOUND)):
        strip_names(tokenizer, model)
        parts["tokenizer"] = tokenizer
    if main == "pixel_values":
        parts["image_processor"] = image_processor_for(config)
    if hears or main in SOUND:
        parts["feature_extractor"] = feature_extractor_for(config, main)
    return parts


def _main_input(model: Any) -> str:
    """Name what a model reads; Wav2Vec2-BERT names its input after its parent's."""
    takes = inspect.signature(model.forward).parameters
    main = str(model.main_input_name)
    return "input_features" if main not in takes and "input_features" in takes else main


def _try_out(model: Any, parts: dict[str, Any], *, asks: bool) -> None:
    """Call a model once with what its parts make of two rows; of two pairs where it answers questions.

    Raises:
        Exception: whatever the model raises.
        ValueError: an output is not finite.
    """
    import numpy
    import torch

    if "tokenizer" in parts and _main_input(model) not in SOUND:
        tokenizer = parts["tokenizer"]
        tokenizer.padding_side = "right" if model.config.is_encoder_decoder or not model.can_generate() else "left"
        texts = SAMPLE
        if "image_processor" in parts:
            image = tokenizer.convert_ids_to_tokens(model.config.image_token_index) * model.config.mm_tokens_per_image
            texts = [image + text for text in SAMPLE]
        pairs = texts if asks else None
        inputs = tokenizer(texts, pairs, padding=True, return_tensors="pt")
        if "image_processor" in parts:
            inputs |= parts["image_processor"](images=sample_images(), return_tensors="pt")
        if "bbox" in inspect.signature(model.forward).parameters:
            inputs["bbox"] = torch.zeros((*inputs["input_ids"].shape, 4), dtype=torch.long)
    elif "image_processor" in parts:
        inputs = parts["image_processor"](images=sample_images(), return_tensors="pt")
    else:
        extractor = parts["feature_extractor"]
        waves = [numpy.sin(numpy.arange(16_000) / period).astype("float32") for period in (20, 3)]
        inputs = extractor(waves, sampling_rate=extractor.sampling_rate, return_tensors="pt")
    with torch.no_grad():
        if model.can_generate():
            model.generate(**inputs, max_new_tokens=3, do_sample=False)
            return
        output = model(**inputs)
    logits = output.logits if "logits" in output else output[0]
    if not torch.isfinite(logits).all():
        raise ValueError("its output is not finite")
