"""What a pipeline that generates starts from, as transformers 4 put it together: for the tasks that 5 removed.

Not a pipeline: the files beside it import what is here.
"""

import copy
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig
from transformers.pipelines.base import load_assistant_model

_CONFIG: Any = GenerationConfig  # it has no types
GENERATION_PARAMETERS = {*vars(_CONFIG()), "generation_config", "assistant_model", "assistant_tokenizer"}


def prepare_generation(pipe: Any, **defaults: Any) -> None:
    """Give a pipeline its `prefix`, its assistant, and its `generation_config` with what it was made with.

    What comes later wins: what the model's own configuration says, the defaults, arguments of the pipeline, the
    `task_specific_params` of the model's config. Arguments that say nothing about generation stay what they are,
    parameters of each call.

    Args:
        pipe: a live pipeline whose model generates.
        **defaults: generation parameters of the task; `max_new_tokens` gives way to any `max_length`.
    """
    config = _CONFIG(**defaults)
    given = config.update(**pipe._forward_params)
    pipe.assistant_model, pipe.assistant_tokenizer = load_assistant_model(
        pipe.model, given.pop("assistant_model", None), given.pop("assistant_tokenizer", None)
    )
    if pipe.assistant_model is not None:
        given["assistant_model"] = pipe.assistant_model
    if pipe.assistant_tokenizer is not None:
        given |= {"tokenizer": pipe.tokenizer, "assistant_tokenizer": pipe.assistant_tokenizer}
    pipe._forward_params = given
    own = pipe.model.generation_config.to_diff_dict()
    for name in own.keys() - {"transformers_version"}:
        if getattr(config, name, None) is None:  # a model may hand the whole on to one that it contains
            setattr(config, name, own[name])
    if config.max_length not in (None, 20) and config.max_new_tokens == defaults["max_new_tokens"]:
        config.max_new_tokens = None  # 20 is the max_length of models of transformers 4 that say nothing
    specific = dict((getattr(pipe.model.config, "task_specific_params", None) or {}).get(pipe.task) or {})
    pipe.prefix = specific.pop("prefix", getattr(pipe.model.config, "prefix", None))
    config.update(**specific)
    if config.pad_token_id is None:
        config.pad_token_id = pipe.tokenizer.pad_token_id
    pipe.generation_config = config


def call_config(config: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `generate` is given: a copy of a configuration with a call's parameters in it, and others.

    Args:
        config: the pipeline's; a `generation_config` among the parameters takes its place.
        parameters: those of the call.
    """
    others = dict(parameters)
    config = copy.deepcopy(others.pop("generation_config", None) or config)
    return {**config.update(**others), "generation_config": config}
