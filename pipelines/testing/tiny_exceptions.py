"""What no rule reaches: settings of single architectures, each with its reason.

Data only; `tiny_building.py` reads it.
"""

from __future__ import annotations

from typing import Any

# By architecture: fields of its config, a nested one after a dot, and the reason.
EXCEPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "bamba": ({"attn_layer_indices": [1]}, "the default has no attention layer, and a cache counts by those"),
    "bit": ({"num_groups": 4}, "the groups of its norms divide the widths"),
    "cohere_compass_text": (
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
        "one rotary setting for each kind of layer, and none by default",
    ),
    "cvt": ({"depth": [1, 2, 3]}, "stage n reads the n-th of its own drop rates, so it has n layers at least"),
    "blt": ({"use_cache": False}, "a cache asks how many layers it has, and it has three stacks of them"),
    "dbrx": (
        {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
        "its attention reads a field that its config class does not have, and always clips",
    ),
    "dots3_note_text": (
        {
            "swa_num_attention_heads": 4,
            "swa_num_key_value_heads": 4,
            "swa_q_lora_rank": 16,
            "swa_kv_lora_rank": 16,
            "swa_head_dim": 32,
            "swa_qk_nope_head_dim": 16,
            "swa_v_head_dim": 16,
        },
        "the sizes of its second kind of attention are no fields",
    ),
    "efficientnet": ({"hidden_dim": 1280}, "the width of its last layer is not taken from there"),
    "funnel": (
        {"block_sizes": [1, 1], "block_repeats": [1, 1]},
        "each block halves a text: three leave none of a word",
    ),
    "gpt_neo": ({"attention_types": [[["global", "local"], 1]]}, "kinds and their repeats in one list"),
    "granitemoehybrid": ({"layer_types": ["mamba", "attention"]}, "the default has no attention layer"),
    "hrm_text": (
        {"num_layers_per_stack": 2, "num_hidden_layers": 16},
        "layers are counted once a cycle: 2 layers, 2 outer cycles, 3 inner ones and one more",
    ),
    "jamba": ({"use_mamba_kernels": False}, "transformers 4 takes the kernels for granted, which want a GPU"),
    "layoutlmv3": (
        {"coordinate_size": 12, "shape_size": 8},
        "four coordinates and two shapes side by side are the width",
    ),
    "lfm2_moe": ({"layer_types": ["conv", "full_attention"]}, "the default names no layers"),
    "lilt": ({"hidden_size": 96, "intermediate_size": 192}, "six coordinates side by side are the width"),
    "mamba2": ({"num_heads": 8}, "heads and their size are twice the width"),
    "qwen4_exp_text": (
        {
            "indexer_n_heads": 2,
            "indexer_kv_heads": 1,
            "indexer_head_dim": 16,
            "indexer_budget": 64,
            "indexer_compress_ratio": 16,
        },
        "the indexer has no sizes by default",
    ),
    "recurrent_gemma": ({"num_hidden_layers": 3}, "each third layer is attention, and a cache counts by those"),
    "reformer": (
        {"axial_pos_embds_dim": [16, 48]},
        "two embeddings of positions side by side are the width",
    ),
    "xlnet": ({"use_mems_eval": False}, "a batch is taken apart by row, and memories are by layer"),
    "xlstm": (
        {"hidden_size": 128, "embedding_dim": 128},
        "half the width is a multiple of 64",
    ),
    "roc_bert": (
        {"enable_shape": False, "enable_pronunciation": False},
        "generation does not carry shapes and sounds along",
    ),
    "shieldgemma2": (
        {"mm_tokens_per_image": 49, "yes_token_index": 1, "no_token_index": 2},
        "the default pools 14 patches a side into 16; the two answers are no fields of its config class",
    ),
    "transfo-xl": ({"cutoffs": [100, 200]}, "the vocabulary is cut into parts by rank"),
    "vibevoice_asr": (
        {
            "acoustic_tokenizer_encoder_config.num_filters": 2,
            "semantic_tokenizer_encoder_config.num_filters": 2,
        },
        "filters double with each of seven stages",
    ),
    "xmod": ({"default_language": "en_XX"}, "without a language it has no adapter to use"),
    "zamba": (
        {
            "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
            "num_hidden_layers": 4,
            "use_mamba_kernels": False,
        },
        "hybrid layers share weights, so there are two; the kernels as for Jamba",
    ),
}
EXCEPTIONS["dots3_note"] = (
    {f"text_config.{name}": value for name, value in EXCEPTIONS["dots3_note_text"][0].items()},
    EXCEPTIONS["dots3_note_text"][1],
)
EXCEPTIONS["qwen4_exp"] = (
    {f"text_config.{name}": value for name, value in EXCEPTIONS["qwen4_exp_text"][0].items()},
    EXCEPTIONS["qwen4_exp_text"][1],
)

# By architecture: settings of its image processor, and the reason.
IMAGE_PROCESSORS: dict[str, tuple[dict[str, Any], str]] = {
    "imagegpt": (
        {"clusters": [[n / 255.5 - 1] * 3 for n in range(512)], "size": {"height": 32, "width": 32}},
        "a pixel is the nearest of 512 colours, which the class does not bring",
    ),
}
