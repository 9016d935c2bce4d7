"""The model, config and tokenizer that a user's pipeline is given, with the attributes that they had on 4.

They are set on these instances alone, and only those that the source of the user's modules names: a tokenizer that
nobody asks for `encode_plus` stays as it is. Not covered: parts that the user's code loads itself.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipesmith.pipelines.compat.classes import is_adapted, is_users
from pipesmith.pipelines.compat.saving import CONFIG_DEFAULTS, generation_parameters
from pipesmith.pipelines.compat.table import note


def adapt_parts(
    pipeline_class: type, model: Any, parts: Mapping[str, Any], model_kwargs: Mapping[str, Any] | None = None
) -> None:
    """Give the parts of a user's pipeline what they had on 4, before the pipeline is made of them.

    Args:
        pipeline_class: the user's class; nothing is done for classes of transformers, and on transformers 4.
        model: the live model.
        parts: the tokenizer and processors, by the names of the pipeline's arguments.
        model_kwargs: what the model was loaded with.
    """
    if not is_adapted(pipeline_class):
        return
    words = _words(pipeline_class) | _words(type(model))
    tokenizers = [part for name, part in parts.items() if name == "tokenizer"]
    tokenizers += [part.tokenizer for name, part in parts.items() if name == "processor" and hasattr(part, "tokenizer")]
    for tokenizer in tokenizers:
        _adapt_tokenizer(tokenizer, words)
    _adapt_model(model, words, (model_kwargs or {}).get("device_map"))


def _words(cls: type) -> set[str]:
    """Return all words in the source of the user's modules that a class comes from, their loaded siblings included."""
    packages = {_package(owner.__module__) for owner in cls.__mro__ if is_users(owner)}
    found: set[str] = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and _package(name) in packages and Path(file).is_file():
            found.update(re.findall(r"\w+", Path(file).read_text(encoding="utf-8", errors="replace")))
    return found


def _package(module: str) -> str:
    """Return what the modules of one user have in common; for code of a checkpoint, the folder it was copied to."""
    return module.rpartition(".")[0] if module.startswith("transformers_modules.") else module.partition(".")[0]


# ---- Tokenizers -------------------------------------------------------------------------------------------------


def _adapt_tokenizer(tokenizer: Any, words: set[str]) -> None:
    for name, method in (("encode_plus", _encode_plus), ("batch_encode_plus", _batch_encode_plus)):
        if name in words and not hasattr(tokenizer, name):
            setattr(tokenizer, name, functools.partial(method, tokenizer))
    if {"additional_special_tokens", "additional_special_tokens_ids"} & words:
        _supply_additional_tokens(tokenizer)
    for name in getattr(tokenizer, "SPECIAL_TOKENS_ATTRIBUTES", ()):
        if f"_{name}" in words and f"_{name}" not in vars(tokenizer):
            note("_pad_token")
            setattr(tokenizer, f"_{name}", tokenizer.special_tokens_map.get(name))


def _encode_plus(tokenizer: Any, text: Any, text_pair: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Encode one text or one pair. A tuple is a pair here, where `tokenizer((a, b))` takes it for two texts."""
    note("encode_plus")
    kwargs = {**_named(args), **kwargs}
    if not tokenizer.is_fast:
        text, text_pair = (_as_ids(tokenizer, part, kwargs) for part in (text, text_pair))
        return tokenizer(text, text_pair, **kwargs)
    batch = tokenizer([(text, text_pair) if text_pair else text], **kwargs)
    if kwargs.get("return_tensors") is not None or kwargs.get("return_overflowing_tokens"):
        return batch
    from transformers import BatchEncoding

    first = {name: value[0] if value and isinstance(value[0], list) else value for name, value in batch.items()}
    return BatchEncoding(first, batch.encodings)


def _as_ids(tokenizer: Any, part: Any, kwargs: Mapping[str, Any]) -> Any:
    """Read a list of strings as a slow tokenizer did on 4: as tokens, unless it is said to be words."""
    tokens = isinstance(part, (list, tuple)) and part and isinstance(part[0], str)
    return tokenizer.convert_tokens_to_ids(list(part)) if tokens and not kwargs.get("is_split_into_words") else part


def _batch_encode_plus(tokenizer: Any, batch_text_or_text_pairs: Any, *args: Any, **kwargs: Any) -> Any:
    """Encode several texts or pairs."""
    note("batch_encode_plus")
    if not isinstance(batch_text_or_text_pairs, (list, tuple)):
        raise TypeError(f"batch_text_or_text_pairs has to be a list or a tuple, not {batch_text_or_text_pairs!r}")
    return tokenizer(list(batch_text_or_text_pairs), **_named(args), **kwargs)


def _named(args: tuple[Any, ...]) -> dict[str, Any]:
    """Name the positional arguments that followed the texts on 4."""
    return dict(zip(("add_special_tokens", "padding", "truncation", "max_length", "stride"), args))


def _supply_additional_tokens(tokenizer: Any) -> None:
    if not hasattr(tokenizer, "additional_special_tokens"):
        note("additional_special_tokens")
        tokenizer.add_special_tokens = functools.partial(_add_special_tokens, tokenizer)
        _refresh_additional_tokens(tokenizer)


def _add_special_tokens(tokenizer: Any, *args: Any, **kwargs: Any) -> Any:
    added = type(tokenizer).add_special_tokens(tokenizer, *args, **kwargs)
    _refresh_additional_tokens(tokenizer)
    return added


def _refresh_additional_tokens(tokenizer: Any) -> None:
    tokenizer.additional_special_tokens = list(tokenizer.extra_special_tokens)
    tokenizer.additional_special_tokens_ids = list(tokenizer.extra_special_tokens_ids)


# ---- Models -----------------------------------------------------------------------------------------------------


# What every configuration had. Not those that were generation parameters: here they would be values for generate().
def _adapt_model(model: Any, words: set[str], device_map: Any) -> None:
    if "framework" in words and not hasattr(model, "framework"):
        model.framework = "pt"
    for name, value in CONFIG_DEFAULTS.items():
        if {"config", name} <= words and not hasattr(model.config, name):
            note("config.prefix")
            setattr(model.config, name, value)
    if device_map is not None and "hf_device_map" in words and not hasattr(model, "hf_device_map"):
        note("hf_device_map")
        model.hf_device_map = device_map if isinstance(device_map, Mapping) else {"": _device_name(model.device)}
    if "config" in words and {"generate", "_pipeline_calls_generate"} & words and _can_generate(model):
        model.generate = functools.partial(_generate, model, type(model).generate)


def _device_name(device: Any) -> Any:
    return device.index if device.index is not None else device.type


def _can_generate(model: Any) -> bool:
    return bool(getattr(model, "can_generate", lambda: False)()) and "generate" not in vars(model)


def _generate(model: Any, generate: Any, *args: Any, **kwargs: Any) -> Any:
    """Generate with generation parameters in model.config, which 5 refuses, treated as 4.57 treated them."""
    found = generation_parameters(model.config)
    if not found:
        return generate(model, *args, **kwargs)
    note("generation parameters of config")
    if _config_counts(model):
        for name, value in found.items():
            setattr(model.generation_config, name, value)
    for name in found:
        setattr(model.config, name, None)
    try:
        return generate(model, *args, **kwargs)
    finally:
        for name, value in found.items():
            setattr(model.config, name, value)


def _config_counts(model: Any) -> bool:
    """Tell whether 4.57 would take parameters from model.config: the checkpoint has no generation_config.json."""
    return bool(getattr(model.generation_config, "_from_model_config", False))
