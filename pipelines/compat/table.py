"""The one table of what compat supplies, and the record of what this process really used of it."""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Shim:
    """One thing of transformers 4 that code written for it finds on transformers 5 too.

    Args:
        name: what `--verbose` calls it.
        four: what transformers 4 had.
        five: what the code finds on 5 instead.
        applied: how: to the `import`s of the user's modules, to the user's `class`, or to the `instance`s it is given.
    """

    name: str
    four: str
    five: str
    applied: Literal["import", "class", "instance"]


_ROWS = (
    # imports.py
    Shim(
        "TensorFlow names", "TFAutoModel, FlaxBertModel, TF_MODEL_MAPPING", "classes that fail on use; None", "import"
    ),
    Shim("is_tf_available", "is_tf_available, is_flax_available", "return False", "import"),
    Shim("ModelCard", "transformers.ModelCard", "a class that fails on use", "import"),
    Shim("Repository", "huggingface_hub.Repository", "a class that fails on use", "import"),
    Shim(
        "removed tasks",
        "SummarizationPipeline, QuestionAnsweringPipeline and others, SquadExample, pipeline('summarization')",
        "pipesmith's built-in pipelines of these tasks",
        "import",
    ),
    Shim("AdamW", "transformers.AdamW", "torch's, with transformers 4's defaults", "import"),
    Shim(
        "HUGGINGFACE_CO_RESOLVE_ENDPOINT",
        "transformers.utils.HUGGINGFACE_CO_RESOLVE_ENDPOINT",
        "huggingface_hub's ENDPOINT",
        "import",
    ),
    Shim(
        "modeling_utils",
        "apply_chunking_to_forward, get_parameter_device and others of transformers.modeling_utils",
        "those of transformers.pytorch_utils; the device of the first parameter",
        "import",
    ),
    Shim(
        "tokenization_utils",
        "TruncationStrategy and others of transformers.tokenization_utils",
        "those of transformers.tokenization_utils_base",
        "import",
    ),
    Shim("deepspeed", "transformers.deepspeed", "transformers.integrations.deepspeed", "import"),
    Shim("register_pipeline(tf_model=)", "an argument of PIPELINE_REGISTRY", "left out", "import"),
    Shim('default={"pt": ...}', "(repo, revision) or repo for a framework", 'default={"model": ...}', "import"),
    # classes.py
    Shim("framework", "framework of a pipeline and of a model", '"pt", settable', "class"),
    Shim("modelcard", "Pipeline.modelcard", "None, settable", "class"),
    Shim("framework=", "an argument of Pipeline.__init__ and pipeline()", 'taken out; refused unless "pt"', "class"),
    Shim("modelcard=", "an argument of Pipeline.__init__ and pipeline()", "taken out", "class"),
    Shim(
        "generation_config",
        "Pipeline.generation_config, where _pipeline_calls_generate",
        "the model's, with what the pipeline was made with",
        "class",
    ),
    Shim("safe_serialization=", "an argument of Pipeline.save_pretrained", "taken out", "class"),
    Shim("grouped_entities", "grouped_entities, ignore_subwords", "aggregation_strategy", "class"),
    Shim("all_tied_weights_keys", "not needed", "{} for a model class that does not call post_init()", "class"),
    # instances.py
    Shim("encode_plus", "tokenizer.encode_plus: a tuple is a pair", "a batch of one, unpacked", "instance"),
    Shim("batch_encode_plus", "tokenizer.batch_encode_plus", "tokenizer(list)", "instance"),
    Shim("additional_special_tokens", "the tokenizer's tokens and their ids", "extra_special_tokens", "instance"),
    Shim("_pad_token", "tokenizer._pad_token, ._eos_token, ...", "the token, or None", "instance"),
    Shim("config.prefix", "config.prefix, .task_specific_params, .torchscript", "None, None, False", "instance"),
    Shim("hf_device_map", "set for every device_map=", "set for a map of one device as well", "instance"),
    Shim(
        "generation parameters of config",
        "used, but ignored if the checkpoint has a generation_config.json that was not made from config.json",
        "the same, where 5 raises",
        "instance",
    ),
)
SHIMS = {shim.name: shim for shim in _ROWS}
_used: dict[str, None] = {}


def note(name: str) -> None:
    """Record that a shim of the table was used."""
    _used[SHIMS[name].name] = None


def used() -> tuple[str, ...]:
    """Return the names of the shims that this process has used, in the order of their first use."""
    return tuple(_used)


@functools.cache
def needed() -> bool:
    """Tell whether this is transformers 5 or later; on 4 nothing here does anything."""
    try:
        return int(importlib.metadata.version("transformers").partition(".")[0]) >= 5
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
