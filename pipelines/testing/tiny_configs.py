"""Configs made small by rules, for every architecture that `tiny_table.py` does not name.

A rule looks at the names and the default values of a config's fields, never at which architecture it is: what no rule
reaches stands in `tiny_exceptions.py`. Only arguments of the config class are set; what the class computes from them
stays its own business.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

HEADS, KEY_VALUE_HEADS, HEAD_SIZE = 4, 2, 16
WIDTH = HEADS * HEAD_SIZE
LAYERS = 2
EXPERTS = 4
POSITIONS = 512
STAGE_WIDTH = 16  # a stage of an image model is not made narrower

# The first pattern that a field's whole name matches gives its size; a value that is smaller already stays.
SIZES: tuple[tuple[str, int], ...] = (
    # heads, and the size of one
    (r"(\w+_)?(num_key_value_heads|num_kv_heads|kv_n_heads|n_head_kv|num_query_groups)", KEY_VALUE_HEADS),
    (r"(mamba_(n|num)|n_mamba|ssm_num)_heads", 2 * WIDTH // HEAD_SIZE),  # a Mamba layer is twice as wide
    (r"linear_num_\w+_heads|linear_num_heads|index_n_heads", KEY_VALUE_HEADS),
    (r"(\w+_)?(attention_heads|num_heads|n_heads?|num_attn_heads)", HEADS),
    (r"qk_head_dim", 2 * HEAD_SIZE),  # the part with rotary positions and the part without
    (r"(\w+_)?(head_dim|head_size|headdim|d_head|d_kv|dim_head|kv_channels|head_dim_\w+)", HEAD_SIZE),
    (r"rotary_dim", HEAD_SIZE // 2),
    (r"(\w+_)?lora_rank|gated_norm_rank|\w+_lowrank|time_step_rank|mamba_dt_rank", HEAD_SIZE),
    # inner widths
    (
        r"(\w+_)?(intermediate_size(_\w+)?|intermediate_dim|ffn_dim|ffn_hidden_size|d_ff|dff|n_inner|dim_ff"
        r"|feed_forward_size|mlp_dim|mlp_hidden_size|hidden_dim_ff|d_inner|mlp_hidden_dim)",
        2 * WIDTH,
    ),
    # widths
    (
        r"(\w+_)?(hidden_size(_\w+)?|d_model|n_embd|emb_dim|embed_dim|embedding_size|embedding_dim|dim|hidden_dim"
        r"|input_size|output_size|d_embed|width|proj_size|projection_size|projection_dim|proj_dim|proj_codevector_dim"
        r"|output_dim|d_latents|lru_width|emb_size|output_hidden_size|attention_width)",
        WIDTH,
    ),
    # experts
    (r"num_experts_per_(tok|token)|moe_topk|moe_top_k|moe_k|num_selected_experts|top_k_experts", KEY_VALUE_HEADS),
    (r"(num|n|moe_num|num_local|n_routed|num_routed|\w+_num)_?(local_|routed_)?experts", EXPERTS),
    (r"n_group|topk_group|num_expert_group|topk_groups|n_groups_moe", 1),
    (r"first_k_dense_replace|num_dense_layers|moe_layer_start_index", 1),
    # layers
    (r"(\w+_)?layer_period|interleave_moe_layer_step|sliding_window_pattern|\w+_every_n_layers|layer_group_size", 2),
    (r"(\w+_)?layer_offset", 1),
    (r"num_kv_shared_layers|num_nextn_predict_layers|num_mtp_layers", 0),
    # vocabularies beside the text's, windows
    (r"\w*hash\w*_vocab(_size)?|\w*hash_buckets|ngram_vocab_size_base", 100),
    (r"entity_vocab_size|pronunciation_vocab_size|shape_vocab_size", 100),
    (r"sliding_window(_size)?|attention_window_size|attention_chunk_size|max_window_layers", 128),
)
# Some classes leave these to be given, with None as the default.
UNSET: dict[str, int] = {
    "head_dim": HEAD_SIZE,
    "num_key_value_heads": HEADS,
    "num_experts_per_tok": KEY_VALUE_HEADS,
    "n_routed_experts": EXPERTS,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
}
LAYER_COUNT = re.compile(
    r"(\w+_)?(n|num)_(\w+_)?layers?|(\w+_)?(encoder|decoder)_layers|n_layers?|num_hidden_layers|num_layers"
    r"|depth|num_blocks|num_hidden_groups|num_self_attends_per_block|num_layers_per_stack|num_encoder_blocks"
)
NO_LAYER_COUNT = re.compile(
    r"max_window_layers|num_kv_shared_layers|num_adapter_layers|num_dense_layers|num_feat_extract_layers"
    r"|num_(nextn_predict|mtp)_layers|num_sparse_\w+|num_lstm_layers|num_encoder_blocks|(\w+_)?every_n_layers"
)
LAYER_INDICES = re.compile(
    r"\w+(_ids|_idxs|_idx|_indexes|_indices|_list)|(cross_attention|full_attn|mlp_only|moe)_layers"
)
STAGE_DEPTHS = re.compile(r"depths?|layer_depths|layers|num_blocks|num_block_repeats|stage_numb_of_layers")
STAGE_LISTS = re.compile(
    r"depths?|hidden_sizes|embed_dims?|dims|layer_depths|layers|num_blocks|stage_\w+|\w+_hidden_sizes"
)
LAYER_WIDTHS = re.compile(r"(conv|tdnn)_dim")
STAGE_WIDTHS = re.compile(
    r"(\w+_)?(hidden_sizes?|embed_dims?|embedding_size|dims|stem_channels|stem_width|channels|hidden_dim|num_filters"
    r"|encoder_hidden_sizes|decoder_hidden_size|projection_dim|hidden_channels|stem_hidden_channels|sizes)"
)
INPUT_CHANNELS = re.compile(r"(num|in|image|input|audio)_?(input_)?channels|chan(nel)?s_in")
POSITION_COUNT = re.compile(
    r"max_(\w+_)?position_embeddings|n_positions|n_ctx|max_(\w+_)?positions|max_seq_len|context_length"
)
TOKEN_ID = re.compile(r"(\w+_)?(token_ids?|token_index|(bos|eos|pad|sep|cls|unk|mask)_(id|index))")
VOCABULARY = re.compile(r"(\w+_)?vocab_size(_\w+)?")
OTHER_VOCABULARY = re.compile(
    r"(type|entity|pronunciation|shape|task_type|token_type)_vocab_size(s)?|unit_hifi_gan_vocab_size"
)


@dataclass
class Fields:
    """The arguments of one config class with their default values, and those of the configs nested in it.

    Args:
        config_class: of this config.
        values: by argument, None included.
        nested: by argument.
        encoder_decoder: whether a decoder writes what an encoder has read.
        changed: the arguments that a rule has set.
    """

    config_class: Any
    values: dict[str, Any]
    nested: dict[str, Fields]
    encoder_decoder: bool = False
    changed: set[str] = field(default_factory=set)

    def set(self, name: str, value: Any) -> None:
        if name in self.values and self.values[name] != value:
            self.values[name] = value
            self.changed.add(name)

    def tree(self) -> list[Fields]:
        """This config and all that are nested in it."""
        return [self, *(inner for nested in self.nested.values() for inner in nested.tree())]

    def arguments(self) -> dict[str, Any]:
        """What to call the config class with; a nested one in full: its class has other defaults than its parent."""
        given = {name: self.values[name] for name in self.changed}
        for name, nested in self.nested.items():
            full = {key: value for key, value in nested.values.items() if value is not None}
            given[name] = {**full, **nested.arguments(), "model_type": nested.config_class.model_type}
        return given


def read_fields(config: Any) -> Fields:
    """Read the arguments of a config's class from an instance; a property is no argument and is left alone."""
    arguments = inspect.signature(type(config).__init__).parameters
    values, nested = {}, {}
    for name, value in vars(config).items():
        if name in INHERITED or (name not in arguments and name not in INHERITED_IDS):
            continue
        if hasattr(value, "to_dict"):
            nested[name] = read_fields(value)
        else:
            values[name] = value
    return Fields(type(config), values, nested, bool(getattr(config, "is_encoder_decoder", False)))


# arguments of every config in transformers 4, which its classes do not name
INHERITED_IDS = {"bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id"}
# arguments of every config, which say nothing about its size
INHERITED = {
    "architectures", "chunk_size_feed_forward", "dtype", "id2label", "label2id", "name_or_path", "output_attentions",
    "output_hidden_states", "problem_type", "return_dict", "torch_dtype", "transformers_version",
}  # fmt: skip


def shrink(fields: Fields, *, narrow: bool = True) -> None:
    """Make a config and those nested in it small, in place.

    Args:
        fields: of a default config.
        narrow: whether widths and heads are made smaller; else layers, experts and lists only.
    """
    for part in fields.tree():
        _cut_layers(part)
        if narrow and _has_stages(part):
            _narrow_stages(part)
        for name, value in list(part.values.items()):
            if value is None and name in UNSET:
                part.set(name, UNSET[name])
            if LAYER_WIDTHS.fullmatch(name) and isinstance(value, (list, tuple)):
                part.set(name, [min(n, WIDTH) for n in value])
            if not isinstance(value, int) or isinstance(value, bool):
                continue
            size = _size(name, value, part, narrow=narrow)
            if size is not None:
                part.set(name, size)
        if narrow:
            _fit_heads(part)
            _fit_rotary(part)


def _size(name: str, value: int, part: Fields, *, narrow: bool) -> int | None:
    """Return the size that the first fitting pattern gives a field; None if it stays."""
    if name == "max_source_positions" and "num_mel_bins" in part.values:
        return None  # the feature extractor gives as many
    if POSITION_COUNT.fullmatch(name) and not _has_rotary(part) and value > 2 * POSITIONS:
        return POSITIONS
    if part.changed and name in part.changed:
        return None
    for pattern, size in SIZES:
        if re.fullmatch(pattern, name):
            is_width = size >= HEAD_SIZE or "head" in name
            if is_width and (not narrow or (_has_stages(part) and STAGE_WIDTHS.fullmatch(name))):
                return None
            return size if value > size else None
    return None


def _has_rotary(part: Fields) -> bool:
    return any("rope" in name and value is not None for name, value in part.values.items())


# ---- Layers -----------------------------------------------------------------------------------------------------


def _cut_layers(part: Fields) -> None:
    """Keep two layers, or the first of each kind where lists name the kinds; a stage keeps one layer."""
    for name, value in list(part.values.items()):
        if STAGE_DEPTHS.fullmatch(name) and isinstance(value, (list, tuple)) and all(isinstance(n, int) for n in value):
            part.set(name, [1] * len(value))
        if re.fullmatch(r"(width|depth)_coefficient", name):
            part.set(name, 1.0)
    counts = {
        name: value
        for name, value in part.values.items()
        if isinstance(value, int) and not isinstance(value, bool) and LAYER_COUNT.fullmatch(name)
        and not NO_LAYER_COUNT.fullmatch(name)
    }  # fmt: skip
    kept_by_count = {count: _kept_layers(part, count) for count in set(counts.values()) if count > LAYERS}
    for name, count in counts.items():
        if count in kept_by_count:
            part.set(name, len(kept_by_count[count]))
    for count, kept in kept_by_count.items():
        for name, value in _lists_of(part, count).items():
            cut = [value[index] for index in kept]
            part.set(name, "".join(cut) if isinstance(value, str) else cut)
    for name, value in list(part.values.items()):
        if (
            re.fullmatch(r"layers?_(block_)?types?", name)
            and isinstance(value, (list, tuple))
            and not counts
            and len(value) > LAYERS
        ):
            part.set(name, [value[index] for index in _kept_layers(part, len(value))])  # the count is a property
    if not kept_by_count:
        return
    most = max(kept_by_count)
    last = len(kept_by_count[most]) - 1
    for name, value in list(part.values.items()):
        if not LAYER_INDICES.fullmatch(name) or not isinstance(value, (list, tuple)) or name in part.changed:
            continue
        if value and all(isinstance(index, int) and -most <= index <= most for index in value):
            part.set(name, sorted({min(index, last) for index in value}))


def _lists_of(part: Fields, count: int) -> dict[str, Any]:
    """Find the lists, and strings of one letter a layer, that say something about each layer."""
    return {
        name: value
        for name, value in part.values.items()
        if (isinstance(value, (list, tuple)) or (isinstance(value, str) and "pattern" in name)) and len(value) == count
    }


def _kept_layers(part: Fields, count: int) -> list[int]:
    """Choose the layers that stay: the first of each kind, at least two."""
    lists = _lists_of(part, count)
    kinds: dict[Any, int] = {}
    for index in range(count):
        kinds.setdefault(tuple(str(value[index]) for value in lists.values()), index)
    kept = sorted(kinds.values())[:8]
    return kept if len(kept) >= LAYERS else sorted({*kept, *range(LAYERS)})[:LAYERS]


# ---- Stages -----------------------------------------------------------------------------------------------------


def _has_stages(part: Fields) -> bool:
    """Whether the widths are lists, one number a stage, as in image models that halve the image several times."""
    return any(
        isinstance(value, (list, tuple)) and len(value) > 1 and all(isinstance(n, int) for n in value)
        for name, value in part.values.items()
        if STAGE_LISTS.fullmatch(name)
    )


def _narrow_stages(part: Fields) -> None:
    """Divide all widths by one power of two: they are multiples of each other in ways that no field tells."""
    widths = {
        name: value
        for name, value in part.values.items()
        if STAGE_WIDTHS.fullmatch(name) and not INPUT_CHANNELS.fullmatch(name) and "depth" not in name
    }
    numbers = [n for value in widths.values() for n in _numbers(value) if n >= STAGE_WIDTH]
    factor = 1
    while factor < 8 and all(n % (factor * 2) == 0 and n // (factor * 2) >= STAGE_WIDTH // 2 for n in numbers):
        factor *= 2
    if "num_groups" in part.values:
        part.set("num_groups", 4)
    for name, value in widths.items():
        if isinstance(value, (list, tuple)):
            part.set(name, [n // factor if isinstance(n, int) and n >= STAGE_WIDTH else n for n in value])
        elif isinstance(value, int) and not isinstance(value, bool) and value >= STAGE_WIDTH:
            part.set(name, value // factor)


def _numbers(value: Any) -> list[int]:
    found = value if isinstance(value, (list, tuple)) else [value]
    return [n for n in found if isinstance(n, int) and not isinstance(n, bool)]


# ---- Heads ------------------------------------------------------------------------------------------------------


def _fit_heads(part: Fields) -> None:
    """Keep a head's queries, keys and values as they were to each other: equal numbers stay equal."""
    fresh = read_fields(part.config_class()) if part.config_class.model_type else part
    was, now = fresh.values, part.values
    for heads, key_value_heads in (("num_attention_heads", "num_key_value_heads"), ("n_head", "n_head_kv")):
        if key_value_heads in now and was.get(heads) == was.get(key_value_heads) and now[key_value_heads]:
            part.set(key_value_heads, now[heads])


def _fit_rotary(part: Fields) -> None:
    """Cut the lists in the rotary settings to the size of a small head."""
    heads = part.values.get("num_attention_heads")
    width = part.values.get("head_dim") or HEAD_SIZE
    if part.values.get("qk_rope_head_dim"):
        width = part.values["qk_rope_head_dim"]
    if not isinstance(heads, int) or not isinstance(width, int):
        return
    for name, value in list(part.values.items()):
        if isinstance(value, dict) and "rope" in name:
            part.set(name, _fitted_rotary(value, width))


def _fitted_rotary(settings: dict[str, Any], width: int) -> dict[str, Any]:
    half = int(width * (settings.get("partial_rotary_factor") or 1)) // 2
    fitted: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            fitted[name] = _fitted_rotary(value, width)
        elif name in ("long_factor", "short_factor"):
            fitted[name] = value[:half]
        elif name == "mrope_section":
            parts = [max(1, n * half // sum(value)) for n in value]
            parts[0] += half - sum(parts)
            fitted[name] = parts
        else:
            fitted[name] = value
    return fitted


# ---- Vocabulary -------------------------------------------------------------------------------------------------


def set_vocabulary(fields: Fields, tokenizer: Any) -> None:
    """Give the text's vocabularies the tokenizer's size, and every special token an id inside it.

    A token that the tokenizer does not have is added to it under the field's name.
    """
    for part in fields.tree():
        values = part.values
        before = dict(values)
        for name, value in before.items():
            if not TOKEN_ID.fullmatch(name) or isinstance(value, bool):
                continue
            own = _own_id(name, tokenizer)
            if own is not None and re.fullmatch(
                r"(bos|eos|pad|unk|mask|sep|cls)_(token_id|id|index|token_index)", name
            ):
                part.set(name, own)
            elif name == "decoder_start_token_id":
                part.set(name, _decoder_start(before, tokenizer))
            elif value is not None and own is not None:
                part.set(name, own)
            elif isinstance(value, int) and value >= 0:
                part.set(name, _added(name, tokenizer))
            elif isinstance(value, (list, tuple)) and value:
                part.set(name, [tokenizer.eos_token_id])
        for name in ("suppress_tokens", "begin_suppress_tokens"):
            part.set(name, None)
    if fields.encoder_decoder and "decoder_start_token_id" not in fields.values:
        fields.values["decoder_start_token_id"] = int(tokenizer.pad_token_id)
        fields.changed.add("decoder_start_token_id")
    size = len(tokenizer)
    for part in fields.tree():
        for name, value in list(part.values.items()):
            if not VOCABULARY.fullmatch(name) or OTHER_VOCABULARY.fullmatch(name):
                continue
            if isinstance(value, int) or name == "vocab_size":
                part.set(name, size)


def _own_id(name: str, tokenizer: Any) -> int | None:
    """Return the id of the tokenizer's own token that a field means: forced_eos_token_id means eos."""
    for kind in ("bos", "eos", "pad", "unk", "mask", "sep", "cls"):
        if re.fullmatch(rf"(forced_|\w+_)?{kind}_(token_ids?|token_index|id|index)", name):
            number = getattr(tokenizer, f"{kind}_token_id", None)
            return int(number) if number is not None else None
    return None


def _decoder_start(values: dict[str, Any], tokenizer: Any) -> int:
    start = values.get("decoder_start_token_id")
    for kind in ("eos", "bos"):
        number = getattr(tokenizer, f"{kind}_token_id", None)
        if start is not None and start == values.get(f"{kind}_token_id") and number is not None:
            return int(number)
    return int(tokenizer.pad_token_id)


def _added(name: str, tokenizer: Any) -> int:
    token = f"<{re.sub('_token_(id|index)$', '', name)}>"
    tokenizer.add_tokens([token], special_tokens=True)
    return int(tokenizer.convert_tokens_to_ids(token))


# ---- Parameters -------------------------------------------------------------------------------------------------


def reduce_largest(fields: Fields, model: Any) -> bool:
    """Divide by 8 a field that gives the largest parameter one of its dimensions.

    Args:
        fields: of the config that the model was made from.
        model: on the meta device.

    Returns:
        Whether there was one.
    """
    largest = max(model.parameters(), key=lambda parameter: parameter.numel())
    for size in sorted(largest.shape, reverse=True):
        for part in fields.tree():
            for name, value in part.values.items():
                if isinstance(value, int) and not isinstance(value, bool) and value == size and size >= 64:
                    if VOCABULARY.fullmatch(name) and not OTHER_VOCABULARY.fullmatch(name):
                        continue
                    part.set(name, max(value // 8, 8))
                    return True
    return False
