"""What was seen to break in thirty pipelines of other people, and which shim or rule meets it.

A shim (`compat/table.py`) lets code run as it is under pipesmith; a rule says what to change, so that it runs without.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A thing that is gone, changed or easily missed.

    Args:
        what: in a few words.
        shims: names of `compat.SHIMS`.
        rules: codes of `RULES`.
    """

    what: str
    shims: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


# By the number of its row in the list of what was seen.
SEEN: dict[int, Row] = {
    1: Row("Pipeline.framework", ("framework",), ("PS101",)),
    2: Row("TF class names, is_tf_available", ("TensorFlow names", "is_tf_available"), ("PS102", "PS103")),
    3: Row("removed tasks: classes, modules, names", ("removed tasks",), ("PS104", "PS105")),
    4: Row(
        "moved and private helpers",
        ("modeling_utils", "deepspeed", "AdamW", "HUGGINGFACE_CO_RESOLVE_ENDPOINT"),
        ("PS106", "PS107"),
    ),
    5: Row("TruncationStrategy from tokenization_utils", ("tokenization_utils",), ("PS106",)),
    6: Row("requests comes with transformers no longer", (), ("PS118",)),
    7: Row("register_pipeline(tf_model=)", ("register_pipeline(tf_model=)",), ("PS108",)),
    8: Row('default={"pt": ...}', ('default={"pt": ...}',), ("PS109",)),
    9: Row("framework= and modelcard=", ("framework=", "modelcard=", "modelcard"), ("PS110", "PS101", "PS205")),
    10: Row(
        "encode_plus, batch_encode_plus, additional_special_tokens, _pad_token",
        ("encode_plus", "batch_encode_plus", "additional_special_tokens", "_pad_token"),
        ("PS111", "PS112"),
    ),
    11: Row("the name ModelCard", ("ModelCard",), ("PS107",)),
    12: Row(
        "generation parameters on model.config",
        ("generation parameters of config", "generation_config"),
        ("PS113", "PS124"),
    ),
    13: Row("a model without post_init()", ("all_tied_weights_keys",), ("PS114",)),
    14: Row("config.prefix", ("config.prefix",), ("PS115",)),
    15: Row("grouped_entities, ignore_subwords", ("grouped_entities",), ("PS116",)),
    16: Row("model.hf_device_map of one device", ("hf_device_map",), ("PS117",)),
    17: Row("huggingface_hub.Repository", ("Repository",), ("PS107",)),
    18: Row("internals of models, configs and processors", (), ("PS119", "PS121", "PS127")),
}
# Older than 5, and what else real code does, where a finding helps. The rest is met when a pipeline runs: results that
# are not JSON, inputs that are no texts, empty lists.
ALSO_SEEN: tuple[Row, ...] = (
    Row("chunks without is_last", (), ("PS125",)),
    Row("__init__ with further required arguments, or for one purpose", (), ("PS205", "PS214", "PS215")),
    Row("Pipeline.__init__ skipped", (), ("PS206",)),
    Row("sibling imports: relative, bare, by the package's name", (), ("PS201", "PS202", "PS203", "PS204")),
)
TRAPS: tuple[Row, ...] = (
    Row("from_pt=, from_tf=", (), ("PS120",)),
    Row("use_auth_token=", (), ("PS128",)),
    Row("apply_chat_template returns a dict", (), ("PS126",)),
    Row('SUPPORTED_TASKS[...]["impl"] is a dotted name', (), ("PS121",)),
    Row("safe_serialization=", ("safe_serialization=",), ("PS122",)),
    Row("push_to_hub takes keywords only", (), ("PS123",)),
    Row("processor and video_processor are not saved", (), ("PS207",)),
    Row("a class registered for two tasks saves the last one", (), ("PS208",)),
    Row("a subclass of a registered class saves empty custom_pipelines", (), ("PS209",)),
    Row("a class in __main__ is not copied", (), ("PS210", "PS213")),
    Row("the copy of imports is a pattern", (), ("PS201", "PS202", "PS203", "PS204")),
    Row("a custom model class cannot be named", (), ("PS211",)),
    Row("requirements.txt is ignored", (), ("PS212",)),
)
