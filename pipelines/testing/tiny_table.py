"""The table of tiny models: which architecture stands for a model class, and how each one is made small.

Data only; `tiny_models.py` reads it. Sizes are a hidden size of 32, 2 layers, 4 heads, 512 positions and a vocabulary
of under 1,000 tokens wherever nothing forbids it, so that a model has well under a million parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipesmith.pipelines.testing.tiny_tokenizers import (
    CHAT_TEMPLATE,
    byte_fallback_bpe,
    byte_level_bpe,
    end_of_word_bpe,
    letters,
    unigram,
    wordpiece,
)

# Which architecture stands for an Auto class unless another one is asked for.
ARCHITECTURE_OF = {
    "AutoModelForAudioClassification": "wav2vec2",
    "AutoModelForAudioFrameClassification": "wav2vec2",
    "AutoModelForCausalLM": "gpt2",
    "AutoModelForCTC": "wav2vec2",
    "AutoModelForDecision": "jev",
    "AutoModelForDepthEstimation": "depth_anything",
    "AutoModelForDocumentQuestionAnswering": "layoutlm",
    "AutoModelForImageClassification": "vit",
    "AutoModelForImageSegmentation": "detr",
    "AutoModelForImageTextToText": "llava",
    "AutoModelForImageToImage": "swin2sr",
    "AutoModelForKeypointMatching": "superglue",
    "AutoModelForMaskedLM": "bert",
    "AutoModelForMaskedImageModeling": "vit",
    "AutoModelForMaskGeneration": "sam",
    "AutoModelForMultimodalLM": "qwen2_audio",
    "AutoModelForMultipleChoice": "bert",
    "AutoModelForNextSentencePrediction": "bert",
    "AutoModelForObjectDetection": "yolos",
    "AutoModelForPreTraining": "bert",
    "AutoModelForQuestionAnswering": "bert",
    "AutoModelForSemanticSegmentation": "segformer",
    "AutoModelForSeq2SeqLM": "t5",
    "AutoModelForSequenceClassification": "bert",
    "AutoModelForSpeechSeq2Seq": "whisper",
    "AutoModelForTableQuestionAnswering": "tapas",
    "AutoModelForTextEncoding": "bert",
    "AutoModelForTextToWaveform": "vits",
    "AutoModelForTokenClassification": "bert",
    "AutoModelForVideoClassification": "videomae",
    "AutoModelForVision2Seq": "blip",
    "AutoModelForVisualQuestionAnswering": "vilt",
    "AutoModelForZeroShotImageClassification": "clip",
    "AutoModelForZeroShotObjectDetection": "owlvit",
}

# Tasks for which another one does. AutoModel takes every architecture, so what it is for decides: the task if it is
# listed here, else its modality. The multimodal one is CLIP's sort: two encoders whose outputs are compared.
ARCHITECTURE_OF_TASK = {
    "feature-extraction": "bert",  # transformers 4.57 calls it multimodal
    "image-to-text": "blip",
    "zero-shot-audio-classification": "clap",
}
BASE_ARCHITECTURE_OF_MODALITY = {
    "text": "bert",
    "audio": "wav2vec2",
    "image": "vit",
    "video": "videomae",
    "multimodal": "clip",
}


@dataclass(frozen=True)
class Part:
    """An image processor, a feature extractor or a processor: its class, and what differs from the class's defaults."""

    class_name: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Architecture:
    """How one architecture is made tiny.

    Args:
        sizes: arguments of its config class; a nested dict is a nested config.
        tokenizer: makes its tokenizer; vocabulary size and ids of special tokens in the config follow from it.
        text_config: the nested config that holds the vocabulary; None for the config itself.
        token_ids: further fields that hold the id of a token, in the config with the vocabulary.
        own_token_ids: the same in the config itself, where the vocabulary is in a nested one.
        detector: the layer of a detector whose last class is "no object", by the end of its name; that class is made
            unlikely and the others sure, since a detector reports only what it is sure of.
        generation: what generation_config.json says beside that.
        image_processor: for an architecture that sees images or video.
        feature_extractor: for one that hears audio.
        processor: what joins the parts, where the architecture has such a class.
        library: what its tokenizer needs beside transformers.
    """

    sizes: dict[str, Any]
    tokenizer: Callable[[], Any] | None = None
    text_config: str | None = None
    token_ids: dict[str, str] = field(default_factory=dict)
    own_token_ids: dict[str, str] = field(default_factory=dict)
    detector: str | None = None
    generation: dict[str, Any] = field(default_factory=dict)
    image_processor: Part | None = None
    feature_extractor: Part | None = None
    processor: Part | None = None
    library: str | None = None


# Sizes that many config classes share. Images are squares of 32 pixels in patches of 8, or of 64 where a model shrinks
# its input several times.
ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TEXT = {**ENCODER, "max_position_embeddings": 512}
VISION = {**ENCODER, "image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}
LARGE_SQUARE = {"height": 64, "width": 64}
CROPPED = {"size": {"shortest_edge": 32}, "crop_size": SQUARE}

roberta_tokenizer = partial(
    byte_level_bpe, "RobertaTokenizer", special=("<s>", "<pad>", "</s>", "<unk>"), last=("<mask>",)
)
clip_tokenizer = partial(end_of_word_bpe, "CLIPTokenizer", special=("<|startoftext|>", "<|endoftext|>"))
whisper_tokenizer = partial(
    byte_level_bpe,
    "WhisperTokenizer",
    special=(),
    last=(
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ),
    pad_token="<|endoftext|>",
    model_max_length=448,
)

ARCHITECTURES = {
    # Text
    "bert": Architecture(TEXT, partial(wordpiece, "BertTokenizer")),
    "distilbert": Architecture(
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 512},
        partial(wordpiece, "DistilBertTokenizer"),
    ),
    "roberta": Architecture(
        {**TEXT, "max_position_embeddings": 514, "type_vocab_size": 1},  # positions are counted from 2
        roberta_tokenizer,
    ),
    "gpt2": Architecture(
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
        partial(byte_level_bpe, "GPT2Tokenizer", special=("<|endoftext|>", "<|pad|>"), pad_token="<|pad|>"),
    ),
    "llama": Architecture({**TEXT, "num_key_value_heads": 2}, partial(byte_fallback_bpe, "LlamaTokenizer")),
    "jev": Architecture(
        {"hidden_size": 32, "text_config": {**TEXT, "num_key_value_heads": 2, "model_type": "llama"}},
        partial(byte_fallback_bpe, "LlamaTokenizer"),
        text_config="text_config",
    ),
    "t5": Architecture(
        # with tied embeddings a random decoder repeats the token that it was given, the padding
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "tie_word_embeddings": False},
        partial(unigram, "T5Tokenizer"),
        token_ids={"decoder_start_token_id": "<pad>"},
    ),
    "bart": Architecture(
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 512,
        },
        partial(byte_level_bpe, "BartTokenizer", special=("<s>", "<pad>", "</s>", "<unk>"), last=("<mask>",)),
        token_ids={"decoder_start_token_id": "</s>", "forced_eos_token_id": "</s>"},
    ),
    "layoutlm": Architecture(TEXT, partial(wordpiece, "LayoutLMTokenizer")),
    "tapas": Architecture(TEXT, partial(wordpiece, "TapasTokenizer"), library="pandas"),
    # Images and video
    "vit": Architecture(VISION, image_processor=Part("ViTImageProcessor", {"size": SQUARE})),
    "yolos": Architecture(
        {**VISION, "image_size": [64, 64], "num_detection_tokens": 8},
        detector="class_labels_classifier.layers.2",
        image_processor=Part("YolosImageProcessor", {"size": LARGE_SQUARE}),
    ),
    "detr": Architecture(
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 8,  # width and heads together are a multiple of 8 in the segmentation head
            "decoder_attention_heads": 8,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "num_queries": 8,
            "use_timm_backbone": False,
            "use_pretrained_backbone": False,
            "backbone": None,
            "backbone_config": {
                "model_type": "resnet",
                "embedding_size": 16,
                "hidden_sizes": [16, 16, 32, 32],
                "depths": [1, 1, 1, 1],
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
            },
        },
        detector="class_labels_classifier",
        image_processor=Part("DetrImageProcessor", {"size": LARGE_SQUARE}),
    ),
    "segformer": Architecture(
        {
            "hidden_sizes": [16, 16, 32, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 4, 4],
            "decoder_hidden_size": 32,
        },
        image_processor=Part("SegformerImageProcessor", {"size": LARGE_SQUARE}),
    ),
    "depth_anything": Architecture(
        {
            "backbone": None,
            "backbone_config": {
                **VISION,
                "model_type": "dinov2",
                "num_hidden_layers": 4,
                "mlp_ratio": 2,
                "out_indices": [1, 2, 3, 4],
                "apply_layernorm": True,
                "reshape_hidden_states": False,
            },
            "patch_size": 8,
            "reassemble_hidden_size": 32,
            "neck_hidden_sizes": [16, 16, 32, 32],
            "fusion_hidden_size": 16,
            "head_hidden_size": 16,
            "depth_estimation_type": "metric",  # the relative one ends in a ReLU, which may be zero everywhere
            "max_depth": 10,  # metres
        },
        image_processor=Part("DPTImageProcessor", {"size": SQUARE}),
    ),
    "sam": Architecture(
        {
            "vision_config": {
                **VISION,
                "image_size": 64,
                "mlp_dim": 64,
                "output_channels": 32,
                "num_pos_feats": 16,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
            "prompt_encoder_config": {"hidden_size": 32, "image_size": 64, "patch_size": 8},
            "mask_decoder_config": {
                "hidden_size": 32,
                "mlp_dim": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "iou_head_hidden_dim": 32,
            },
        },
        image_processor=Part(
            "SamImageProcessor",
            {
                "size": {"longest_edge": 64},
                "pad_size": LARGE_SQUARE,
                "mask_size": {"longest_edge": 32},
                "mask_pad_size": SQUARE,
            },
        ),
        processor=Part("SamProcessor"),
    ),
    "superglue": Architecture(
        {
            "hidden_size": 32,
            "keypoint_encoder_sizes": [16],
            "gnn_layers_types": ["self", "cross"],
            "num_attention_heads": 4,
            "keypoint_detector_config": {
                "model_type": "superpoint",
                "encoder_hidden_sizes": [16, 16, 32, 32],
                "decoder_hidden_size": 32,
                "descriptor_decoder_dim": 32,
                "max_keypoints": 50,
            },
        },
        image_processor=Part("SuperGlueImageProcessor", {"size": LARGE_SQUARE}),
    ),
    "swin2sr": Architecture(
        {
            "image_size": 32,
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 4,
            "upscale": 2,
        },
        image_processor=Part("Swin2SRImageProcessor"),
    ),
    "videomae": Architecture(
        {
            **VISION,
            "num_frames": 4,
            "tubelet_size": 2,
            "decoder_num_attention_heads": 4,
            "decoder_hidden_size": 32,
            "decoder_num_hidden_layers": 1,
            "decoder_intermediate_size": 64,
        },
        image_processor=Part("VideoMAEImageProcessor", CROPPED),
    ),
    # Audio: 16,000 samples a second, CLAP 48,000
    "wav2vec2": Architecture(
        {
            **ENCODER,
            "conv_dim": [32, 32, 32],
            "conv_kernel": [10, 8, 4],
            "conv_stride": [10, 8, 4],  # a frame is 320 samples, 20 ms, as in the large ones
            "num_feat_extract_layers": 3,
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 2,
            "classifier_proj_size": 32,
            # with layer norm and an attention mask, padding a batch does not change a row
            "feat_extract_norm": "layer",
            "do_stable_layer_norm": True,
        },
        partial(letters, "Wav2Vec2CTCTokenizer", special=("<pad>", "<s>", "</s>", "<unk>")),
        feature_extractor=Part("Wav2Vec2FeatureExtractor", {"return_attention_mask": True}),
        processor=Part("Wav2Vec2Processor"),
    ),
    "whisper": Architecture(
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "num_mel_bins": 16,
            "classifier_proj_size": 32,
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
        },
        whisper_tokenizer,
        token_ids={"decoder_start_token_id": "<|startoftranscript|>"},
        generation={"is_multilingual": False},
        feature_extractor=Part("WhisperFeatureExtractor", {"feature_size": 16}),
        processor=Part("WhisperProcessor"),
    ),
    "vits": Architecture(
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 64,
            "flow_size": 32,
            "spectrogram_bins": 32,
            "upsample_initial_channel": 32,
            "prior_encoder_num_flows": 2,
            "prior_encoder_num_wavenet_layers": 2,
            "posterior_encoder_num_wavenet_layers": 2,
            "duration_predictor_filter_channels": 32,
            # the same text gives the same sound
            "use_stochastic_duration_prediction": False,
            "noise_scale": 0.0,
            "noise_scale_duration": 0.0,
        },
        partial(letters, "VitsTokenizer", special=("<pad>", "<unk>"), delimiter=" ", phonemize=False),
    ),
    # Several modalities
    "clip": Architecture(
        {
            "text_config": {**TEXT, "projection_dim": 32},
            "vision_config": {**VISION, "projection_dim": 32},
            "projection_dim": 32,
        },
        clip_tokenizer,
        text_config="text_config",
        image_processor=Part("CLIPImageProcessor", CROPPED),
        processor=Part("CLIPProcessor"),
    ),
    "owlvit": Architecture(
        {
            "text_config": {**TEXT, "max_position_embeddings": 16},
            "vision_config": {**VISION, "image_size": 64, "patch_size": 16},
            "projection_dim": 32,
        },
        partial(clip_tokenizer, model_max_length=16),
        text_config="text_config",
        image_processor=Part("OwlViTImageProcessor", {"size": LARGE_SQUARE, "crop_size": LARGE_SQUARE}),
        processor=Part("OwlViTProcessor"),
    ),
    "clap": Architecture(
        {
            "text_config": {**TEXT, "max_position_embeddings": 514, "projection_dim": 32},
            "audio_config": {
                "hidden_size": 32,
                "patch_embeds_hidden_size": 16,
                "depths": [1, 1],
                "num_attention_heads": [4, 4],
                "num_hidden_layers": 2,
                "num_mel_bins": 16,
                "spec_size": 64,
                "window_size": 4,
                "projection_dim": 32,
            },
            "projection_dim": 32,
        },
        roberta_tokenizer,
        text_config="text_config",
        # 10 s in steps of 1,920 samples are 250 frames: the model takes 64 x 64 / 16 = 256
        feature_extractor=Part(
            "ClapFeatureExtractor", {"feature_size": 16, "hop_length": 1920, "truncation": "rand_trunc"}
        ),
        processor=Part("ClapProcessor"),
    ),
    "blip": Architecture(
        {
            "text_config": {**TEXT, "encoder_hidden_size": 32},
            "vision_config": VISION,
            "projection_dim": 32,
            "image_text_hidden_size": 32,
        },
        partial(wordpiece, "BertTokenizer"),
        text_config="text_config",
        token_ids={"bos_token_id": "[CLS]", "eos_token_id": "[SEP]", "sep_token_id": "[SEP]"},
        image_processor=Part("BlipImageProcessor", {"size": SQUARE}),
        processor=Part("BlipProcessor"),
    ),
    "vilt": Architecture(
        {**VISION, "max_position_embeddings": 512},
        partial(wordpiece, "BertTokenizer"),
        image_processor=Part("ViltImageProcessor", {"size": {"shortest_edge": 32}, "size_divisor": 8}),
        processor=Part("ViltProcessor"),
    ),
    "qwen2_audio": Architecture(
        {
            "text_config": {**TEXT, "num_key_value_heads": 2, "model_type": "qwen2"},
            "audio_config": {
                "model_type": "qwen2_audio_encoder",
                "d_model": 32,
                "encoder_layers": 2,
                "encoder_attention_heads": 4,
                "encoder_ffn_dim": 64,
                "num_mel_bins": 16,
            },
        },
        partial(
            byte_level_bpe,
            "Qwen2Tokenizer",
            special=("<|endoftext|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"),
            additional_special_tokens=["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"],
        ),
        text_config="text_config",
        own_token_ids={"audio_token_index": "<|AUDIO|>"},
        feature_extractor=Part("WhisperFeatureExtractor", {"feature_size": 16}),
        processor=Part("Qwen2AudioProcessor"),
    ),
    "llava": Architecture(
        {
            "text_config": {**TEXT, "num_key_value_heads": 2, "model_type": "llama"},
            "vision_config": {**VISION, "projection_dim": 32, "model_type": "clip_vision_model"},
        },
        partial(byte_fallback_bpe, "LlamaTokenizer", special=("<image>",)),
        text_config="text_config",
        own_token_ids={"image_token_index": "<image>"},
        image_processor=Part("CLIPImageProcessor", CROPPED),
        processor=Part(
            "LlavaProcessor",
            {
                "patch_size": 8,
                "vision_feature_select_strategy": "default",
                "num_additional_image_tokens": 1,
                "chat_template": CHAT_TEMPLATE,
            },
        ),
    ),
}
