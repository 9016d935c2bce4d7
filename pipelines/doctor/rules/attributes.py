"""Rules about attributes that pipelines, tokenizers, models and configs had."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pipesmith.pipelines.compat.gone import PIN, REMOVED_METHODS
from pipesmith.pipelines.doctor.edits import Replace
from pipesmith.pipelines.doctor.finding import Hit, hit, rule
from pipesmith.pipelines.doctor.source_file import SourceFile
from pipesmith.pipelines.doctor.walk import Scope

# Parameters of generate() that transformers 4's configs had. Not those that some models declare as their own.
_GENERATION = {
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
    "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "max_new_tokens", "min_new_tokens",
}  # fmt: skip

_SPECIAL_TOKENS = {f"additional_special_tokens{end}": f"extra_special_tokens{end}" for end in ("", "_ids")} | {
    f"_{kind}_token": f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
}
# What every config of 4 had.
_CONFIG_DEFAULTS = {"prefix": "None", "task_specific_params": "None", "torchscript": "False"}
_CONFIG_DEFAULTS |= {"finetuning_task": "None", "tie_encoder_decoder": "False", "use_bfloat16": "False"}


def _own(file: SourceFile, name: str) -> Iterator[tuple[ast.Attribute, Scope]]:
    """Yield the reads of `self.NAME`, unless the author expects that it may lack."""
    for node, scope in file.attributes.get(name, ()):
        is_read = _name(node.value) == "self" and isinstance(node.ctx, ast.Load)
        if is_read and not scope.guarded and scope.cls is not None:
            yield node, scope


def _of_model_config(file: SourceFile, name: str) -> Iterator[ast.Attribute]:
    """Yield `model.config.NAME` and `self.model.config.NAME`."""
    for node, scope in file.attributes.get(name, ()):
        config = node.value
        if isinstance(config, ast.Name):
            is_config = config.id in file.model_configs
        else:
            is_config = isinstance(config, ast.Attribute) and config.attr == "config" and _name(config.value) == "model"
        if is_config and not scope.guarded and file.is_about_transformers(scope):
            yield node


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@rule(
    "PS101",
    "pipeline-attribute",
    "Pipelines of transformers 5 have no {name}: this is an AttributeError.",
    "Write {instead}, or just {value} if you need no TensorFlow.",
    safe=True,
    words=("framework", "modelcard"),
)
def pipeline_attribute(file: SourceFile) -> Iterator[Hit]:
    """self.framework and self.modelcard, in a pipeline class that does not set them."""
    for name, value in (("framework", '"pt"'), ("modelcard", "None")):
        for node, scope in _own(file, name):
            assert scope.cls is not None
            if file.is_pipeline(scope.cls) and not file.defines(scope.cls, name):
                instead = f'getattr(self, "{name}", {value})'
                yield hit(node, Replace(file.span(node), instead), name=name, instead=instead, value=value)


@rule(
    "PS124",
    "generation-config-attribute",
    "Pipelines of transformers 5 have no generation_config: this is an AttributeError.",
    "Pass the parameters to generate() in _forward, or copy self.model.generation_config and change the copy.",
    words=("generation_config",),
)
def generation_config_attribute(file: SourceFile) -> Iterator[Hit]:
    """self.generation_config, in a pipeline class that does not set it."""
    for node, scope in _own(file, "generation_config"):
        assert scope.cls is not None
        if file.is_pipeline(scope.cls) and not file.defines(scope.cls, "generation_config"):
            yield hit(node)


@rule(
    "PS112",
    "special-token-attribute",
    "Tokenizers of transformers 5 have no {name}.",
    "Use {instead}; 4.57 has {old}: getattr(tokenizer, ...) with both, where code runs on both.",
    words=_SPECIAL_TOKENS,
)
def special_token_attribute(file: SourceFile) -> Iterator[Hit]:
    """additional_special_tokens and the like, and private names such as _pad_token, of a tokenizer."""
    for name, instead in _SPECIAL_TOKENS.items():
        for node, scope in file.attributes.get(name, ()):
            if "tok" not in _name(node.value).lower() or scope.guarded or not isinstance(node.ctx, ast.Load):
                continue
            if file.is_about_transformers(scope):
                yield hit(
                    node,
                    mend=f"Use {instead}, which 4.57 has as well." if name.startswith("_") else None,
                    name=name,
                    instead=instead,
                    old=name,
                )


@rule(
    "PS113",
    "generation-in-config",
    "{name} is a parameter of generate(): transformers 5 has none on model.config, and one set there is an error.",
    "Use model.generation_config.{name}, or pass it to generate(). 4.57 ignored model.config if the checkpoint has a "
    "generation_config.json of its own, so results may change.",
    words=_GENERATION,
    beside=".config",
)
def generation_in_config(file: SourceFile) -> Iterator[Hit]:
    """model.config.max_length and other parameters of generate()."""
    for name in file.attributes.keys() & _GENERATION:
        for node in _of_model_config(file, name):
            yield hit(node, name=name)


@rule(
    "PS115",
    "config-default",
    "Configs of transformers 5 have no {name}: this is an AttributeError.",
    "Write {instead}",
    safe=True,
    words=_CONFIG_DEFAULTS,
    beside=".config",
)
def config_default(file: SourceFile) -> Iterator[Hit]:
    """model.config.prefix and others, which every config of 4 had."""
    for name, value in _CONFIG_DEFAULTS.items():
        for node in _of_model_config(file, name):
            if isinstance(node.ctx, ast.Load):
                instead = f'getattr({ast.unparse(node.value)}, "{name}", {value})'
                yield hit(node, Replace(file.span(node), instead), name=name, instead=instead)


@rule(
    "PS117",
    "device-map-attribute",
    "transformers 5 does not set hf_device_map for a map of one device.",
    'Write getattr(model, "hf_device_map", {{"": model.device}}).',
    words=("hf_device_map",),
)
def device_map_attribute(file: SourceFile) -> Iterator[Hit]:
    """model.hf_device_map."""
    for node, scope in file.attributes.get("hf_device_map", ()):
        is_read = _name(node.value) == "model" and isinstance(node.ctx, ast.Load)
        if is_read and not scope.guarded and file.is_about_transformers(scope):
            yield hit(node)


@rule(
    "PS119",
    "model-internals",
    "transformers 5 has removed {name}, which models and tokenizers inherited.",
    f"Copy it from transformers 4.57 into your class, or run with transformers 4: {PIN}",
    words=REMOVED_METHODS,
)
def model_internals(file: SourceFile) -> Iterator[Hit]:
    """Methods that classes of models inherited from transformers 4, called on self."""
    for name in sorted(REMOVED_METHODS & file.attributes.keys()):
        for node, scope in _own(file, name):
            assert scope.cls is not None
            if file.is_model(scope.cls) and not file.defines(scope.cls, name):
                yield hit(node, name=name)


@rule(
    "PS121",
    "task-class-by-name",
    'In transformers 5 SUPPORTED_TASKS[task]["impl"] of its own tasks is a dotted name, and no class.',
    'Import the class: getattr(transformers, name.rpartition(".")[2]) if it is a string.',
    words=("SUPPORTED_TASKS",),
)
def task_class_by_name(file: SourceFile) -> Iterator[Hit]:
    """`SUPPORTED_TASKS[...]["impl"]`."""
    for node, scope in file.subscripts:
        outer = node.slice
        if not isinstance(outer, ast.Constant) or outer.value != "impl" or not isinstance(node.value, ast.Subscript):
            continue
        if not scope.guarded and file.dotted(node.value.value).endswith(".SUPPORTED_TASKS"):
            yield hit(node)
