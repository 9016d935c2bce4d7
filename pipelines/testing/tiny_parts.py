"""Tokenizers, image processors and feature extractors for every architecture that the table does not name.

The architecture's own class where it can be made in memory, else a generic one that fits: which of the two it was is
told by the class's name. Nothing here is trained, and nothing is downloaded.
"""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from pipesmith.pipelines.testing.tiny_exceptions import IMAGE_PROCESSORS
from pipesmith.pipelines.testing.tiny_tokenizers import (
    CHARACTERS,
    CHAT_TEMPLATE,
    MODEL_MAX_LENGTH,
    WORDS,
    merges_of,
    numbered,
    takes_vocabulary,
)

SPECIAL = {
    "pad_token": "<pad>",  # the first, id 0, as most configs have it
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "[MASK]",  # as in the example inputs of fill-mask
}
SAMPLE = ["the cat is good", "a very good movie and a bad dog"]


# ---- Tokenizers -------------------------------------------------------------------------------------------------


def tokenizer_for(config_class: Any, *, ends_rows: bool) -> Any:
    """Make the tokenizer of an architecture: its own class where that works, else a generic fast one.

    Args:
        config_class: of the architecture.
        ends_rows: whether a generic one ends every row with the end-of-sequence token, as encoders expect.
    """
    for own in _own_classes(config_class):
        for make in (_from_vocabulary, _from_backend, _from_files, _from_nothing):
            try:
                tokenizer = _completed(make(own))
                if _is_sound(tokenizer):
                    return tokenizer
            except Exception:  # the class cannot be made this way: the next one, or the generic one, can
                continue
    return _completed(generic_tokenizer(ends_rows=ends_rows))


def generic_tokenizer(*, ends_rows: bool) -> Any:
    """Make a byte-level BPE tokenizer of no architecture's class: every text survives it."""
    from transformers import PreTrainedTokenizerFast

    backend = _byte_level_backend(list(SPECIAL.values()))
    from tokenizers.processors import TemplateProcessing

    end = [SPECIAL["eos_token"]] if ends_rows else []
    ids = [(token, backend.token_to_id(token)) for token in (SPECIAL["bos_token"], SPECIAL["eos_token"])]
    backend.post_processor = TemplateProcessing(
        single=[SPECIAL["bos_token"], "$A", *end],
        pair=[SPECIAL["bos_token"], "$A", SPECIAL["eos_token"], "$B", *end],
        special_tokens=ids,
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=MODEL_MAX_LENGTH, **SPECIAL)


def _own_classes(config_class: Any) -> list[Any]:
    """Return the architecture's tokenizer classes, the fast one first; the generic classes are left out."""
    from transformers import TOKENIZER_MAPPING

    try:
        found = TOKENIZER_MAPPING[config_class]
    except KeyError:
        return []
    except Exception:  # a class whose library is missing
        return []
    classes = [found] if not isinstance(found, (list, tuple)) else [found[1], found[0]]
    generic = ("TokenizersBackend", "PreTrainedTokenizerFast", "PythonBackend", "PreTrainedTokenizer")
    return [own for own in classes if own is not None and own.__name__ not in generic]


def _from_vocabulary(own: Any) -> Any:
    """Call a class of transformers 5 with a vocabulary; an instance without one tells which kind it wants."""
    if not takes_vocabulary(own):
        raise TypeError(own)
    empty = own()
    kind = type(empty._tokenizer.model).__name__
    special = list(dict.fromkeys([*sorted(empty.get_vocab(), key=empty.get_vocab().get), *empty.all_special_tokens]))
    settings = {"model_max_length": MODEL_MAX_LENGTH}
    if kind == "Unigram":
        pieces = [(token, 0.0) for token in special if len(token) > 1]
        pieces += [("▁", -4.0), *((character, -6.0) for character in CHARACTERS)]
        pieces += [("▁" + word, -3.0) for word in WORDS]
        return own(vocab=list(dict(pieces).items()), **settings)
    if kind == "BPE":
        space = "▁" if _marks_spaces(empty) else "Ġ"
        merges = merges_of([space + word for word in WORDS])
        tokens = [*special, *_alphabet(space), *(left + right for left, right in merges)]
        return own(vocab=numbered(tokens), merges=merges, **settings)
    return own(vocab=numbered([*special, *_words()]), **settings)


def _marks_spaces(tokenizer: Any) -> bool:
    return "▁" in str(tokenizer._tokenizer.normalizer) + str(tokenizer._tokenizer.pre_tokenizer)


def _alphabet(space: str) -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    if space == "Ġ":
        return sorted(ByteLevel.alphabet())
    return [*(f"<0x{byte:02X}>" for byte in range(256)), space, *CHARACTERS]


def _words() -> list[str]:
    lower = [character for character in CHARACTERS if not character.isupper()]
    return [*lower, *(f"##{character}" for character in lower), *(word for word in WORDS if len(word) > 1)]


def _from_backend(own: Any) -> Any:
    """Call a fast class of transformers 4, which takes a backend; the files of the slow one tell which kind."""
    if takes_vocabulary(own) or "tokenizer_object" not in _all_arguments(own):
        raise TypeError(own)
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    special = _special_tokens(own)
    files = (own.vocab_files_names or {}).get("vocab_file", "")
    if files == "vocab.txt":
        backend = Tokenizer(models.WordPiece(numbered([*special, *_words()]), unk_token=_unknown(special)))
        backend.normalizer = normalizers.BertNormalizer()
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
    elif "merges_file" in (own.vocab_files_names or {}):
        backend = _byte_level_backend(special)
    else:
        pieces = [(token, 0.0) for token in special]
        pieces += [
            ("▁", -4.0),
            *((character, -6.0) for character in CHARACTERS),
            *(("▁" + word, -3.0) for word in WORDS),
        ]
        backend = Tokenizer(models.Unigram(pieces, unk_id=special.index(_unknown(special)), byte_fallback=False))
        backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return own(tokenizer_object=backend, model_max_length=MODEL_MAX_LENGTH)


def _byte_level_backend(special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    merges = merges_of(["Ġ" + word for word in WORDS])
    tokens = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    backend = Tokenizer(models.BPE(vocab=numbered(tokens), merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _from_files(own: Any) -> Any:
    """Call a class in Python with files of a vocabulary, in the format that their names tell."""
    names = own.vocab_files_names or {}
    special = _special_tokens(own)
    if not names or any(name.endswith((".model", ".spm")) for name in names.values()):
        raise TypeError(own)
    with tempfile.TemporaryDirectory() as folder:
        arguments = {}
        for argument, name in names.items():
            file = Path(folder, name)
            if "merges" in argument:
                merges = merges_of([[*word[:-1], word[-1] + "</w>"] for word in WORDS])
                file.write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n", encoding="utf-8")
            elif argument in ("word_shape_file", "word_pronunciation_file"):  # a shape and a sound for each word
                file.write_text(json.dumps(dict.fromkeys([*special, *_words()], 1)), encoding="utf-8")
            elif name.endswith(".json"):
                merged = [
                    left + right for left, right in merges_of([[*word[:-1], word[-1] + "</w>"] for word in WORDS])
                ]
                letters = [*CHARACTERS, *(letter + "</w>" for letter in CHARACTERS)]
                tokens = [*special, "|", *letters, *merged, *WORDS]
                file.write_text(json.dumps(numbered(tokens)), encoding="utf-8")
            elif argument == "vocab_file":
                tokens = list(dict.fromkeys([*special, "</_>", "</n>", *_words(), *CHARACTERS]))
                file.write_text("\n".join(tokens) + "\n", encoding="utf-8")
            else:
                continue
            arguments[argument] = str(file)
        return own(**arguments, model_max_length=MODEL_MAX_LENGTH)


def _from_nothing(own: Any) -> Any:
    """Call a class that needs no vocabulary: it reads bytes or characters."""
    if own.vocab_files_names and "vocab_file" in inspect.signature(own.__init__).parameters:
        raise TypeError(own)
    return own(model_max_length=MODEL_MAX_LENGTH)


def _special_tokens(own: Any) -> list[str]:
    defaults = {
        name: getattr(parameter.default, "content", parameter.default)
        for name, parameter in inspect.signature(own.__init__).parameters.items()
        if name.endswith("_token")
    }
    found = [value for value in defaults.values() if isinstance(value, str)]
    found.sort(key=lambda token: token != defaults.get("pad_token"))  # the first, id 0, as most configs have it
    return list(dict.fromkeys([*found, *(SPECIAL.values() if not found else ())]))


def _unknown(special: list[str]) -> str:
    return next(token for token in special if "unk" in token.lower())


def _all_arguments(own: Any) -> set[str]:
    return {name for base in own.__mro__ for name in inspect.signature(base.__init__).parameters}


def _completed(tokenizer: Any) -> Any:
    """Give a tokenizer the padding token that every batch needs, a length, and a chat template."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is not None and tokenizer.eos_token_id is not None:
            tokenizer.pad_token = tokenizer.eos_token
        else:
            tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.model_max_length = min(tokenizer.model_max_length, MODEL_MAX_LENGTH)
    if getattr(tokenizer, "chat_template", None) is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _is_sound(tokenizer: Any) -> bool:
    """Whether two texts become a batch of known tokens."""
    rows = tokenizer(SAMPLE, padding=True)["input_ids"]
    plain = tokenizer(SAMPLE[0], add_special_tokens=False)["input_ids"]
    known = [number for number in plain if number != tokenizer.unk_token_id]
    return (
        len(rows[0]) == len(rows[1])
        and all(0 <= number < len(tokenizer) for row in rows for number in row)
        and 2 * len(known) > len(plain) >= 2
        and isinstance(tokenizer.decode(rows[0]), str)
    )


# ---- Images and sound -------------------------------------------------------------------------------------------


def image_processor_for(config: Any) -> Any:
    """Make the image processor of an architecture, on Pillow; where there is none or it needs torchvision, ViT's."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    named = IMAGE_PROCESSOR_MAPPING_NAMES.get(config.model_type)
    if isinstance(named, dict):
        names = [named.get("pil")]
    elif isinstance(named, (tuple, list)):
        names = [named[0]]
    else:
        names = [named]
    side = _side(config)
    settings, _ = IMAGE_PROCESSORS.get(config.model_type, ({}, ""))
    for name in [*names, "ViTImageProcessorPil", "ViTImageProcessor"]:
        try:
            processor = _image_processor(name, side, settings)
            processor(images=sample_images(), return_tensors="pt")
            return processor
        except Exception:  # needs a library that is missing, or wants more than a size
            continue
    raise ImportError("the image processor requires the torchvision library")


def sample_images() -> list[Any]:
    """Two images of noise, one wide and one high."""
    from PIL import Image

    return [Image.effect_noise(size, 50).convert("RGB") for size in ((64, 48), (48, 80))]


def _side(config: Any) -> int | None:
    """Return how large the images of a config are, in pixels of one side."""
    for part in (config, getattr(config, "vision_config", None), getattr(config, "backbone_config", None)):
        size = getattr(part, "image_size", None)
        if isinstance(size, (list, tuple)) and size:
            size = size[0]
        if isinstance(size, int) and size > 1:
            return size
    return None


def _image_processor(name: str | None, side: int | None, given: dict[str, Any]) -> Any:
    import transformers

    if name is None:
        raise ImportError
    own = getattr(transformers, name)
    default = own()
    if side is None or given:
        return own(**given)
    settings = {}
    for key in ("size", "crop_size"):
        value = getattr(default, key, None)
        if value is None:
            continue
        keys = [given for given in ("height", "width", "shortest_edge") if _get(value, given) is not None]
        if not keys:
            return default
        settings[key] = dict.fromkeys(keys, side)
    return own(**settings)


def _get(size: Any, key: str) -> Any:
    return size.get(key) if isinstance(size, dict) else getattr(size, key, None)


def feature_extractor_for(config: Any, main_input: str) -> Any:
    """Make the feature extractor of an architecture; one that gives waves or spectra where its own does not fit.

    Args:
        config: of the model.
        main_input: input_values or input_features, whichever the model takes.
    """
    from transformers import FEATURE_EXTRACTOR_MAPPING, SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

    try:
        own = FEATURE_EXTRACTOR_MAPPING[type(config)]
    except KeyError:
        own = Wav2Vec2FeatureExtractor
    if main_input not in own.model_input_names:
        own = SeamlessM4TFeatureExtractor if main_input == "input_features" else Wav2Vec2FeatureExtractor
    bins = getattr(config, "num_mel_bins", None)
    default = own()
    if isinstance(bins, int) and getattr(default, "feature_size", bins) not in (1, bins):
        return own(feature_size=bins)
    return default


def strip_names(tokenizer: Any, model: Any) -> None:
    """Let a tokenizer return what the model's forward takes, and nothing else."""
    parameters = inspect.signature(model.forward).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    names = [
        name
        for name in tokenizer.model_input_names
        if name in parameters or (takes_all and name != "token_type_ids")
    ]  # fmt: skip
    tokenizer.model_input_names = names
    tokenizer.init_kwargs["model_input_names"] = names


def missing_library(error: BaseException) -> str | None:
    """Return the library that an ImportError of transformers asks for."""
    match = re.search(r"requires the (?:following )?([\w-]+) library|[Nn]o module named '(\w+)", str(error))
    return (match.group(1) or match.group(2)).lower() if match else None
