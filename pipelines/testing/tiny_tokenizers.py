"""Tokenizers made in memory: one function per family, each with a vocabulary of under 1,000 tokens.

Not trained on anything: a vocabulary is the special tokens, every single character or byte, and `WORDS`. So common
English words are one token, anything else is spelled, and no text fails. The classes are the architectures' own.
"""

from __future__ import annotations

import inspect
import json
import string
import tempfile
from pathlib import Path
from typing import Any

COMMON_WORDS = (
    "a about after all also an and any are as at be because been before but by can come could day did do down each "
    "even find first for from get give go good great had has have he her here him his how i if in into is it its just "
    "know like long look made make many may me more most movie much must my new no not now number of on one only or "
    "other our out over own part people place right said same see she small so some sound such take than that the "
    "their them then there these they thing this time to too two under up us use very want was water way we well were "
    "what when where which while who will with word work world would year you your "
    "bad cat dog hello image model photo picture question answer text true false yes"
)
WORDS = COMMON_WORDS.split()

CHARACTERS = string.digits + string.ascii_letters + string.punctuation
MODEL_MAX_LENGTH = 512  # tokens

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}{% endif %}{% endfor %}{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def wordpiece(class_name: str, **settings: Any) -> Any:
    """Make a lower-casing WordPiece tokenizer, as of BERT; a character outside ASCII is [UNK]."""
    characters = [character for character in CHARACTERS if not character.isupper()]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]"]  # [EMPTY]: an empty cell of a table, for TAPAS
    tokens = [*special, *characters, *(f"##{character}" for character in characters)]
    tokens += [word for word in WORDS if len(word) > 1]
    settings = {"model_max_length": MODEL_MAX_LENGTH, **settings}
    tokenizer_class = _fast_class(class_name)
    if takes_vocabulary(tokenizer_class):
        return tokenizer_class(vocab=numbered(tokens), **settings)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vocab.txt")
        file.write_text("\n".join(tokens) + "\n", encoding="utf-8")
        return tokenizer_class(vocab_file=str(file), **settings)


def byte_level_bpe(class_name: str, *, special: tuple[str, ...], last: tuple[str, ...] = (), **settings: Any) -> Any:
    """Make a byte-level BPE tokenizer, as of GPT-2: every text survives encoding and decoding.

    Args:
        class_name: a tokenizer class that takes `vocab.json` and `merges.txt`.
        special: tokens with the first ids.
        last: tokens with the last ids.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    space = "Ġ"  # how byte-level BPE writes a space
    merges = merges_of([space + word for word in WORDS])
    tokens = [*special, *sorted(ByteLevel.alphabet()), *(left + right for left, right in merges), *last]
    return _from_merges(class_name, tokens, merges, settings)


def end_of_word_bpe(class_name: str, *, special: tuple[str, ...], **settings: Any) -> Any:
    """Make a lower-casing BPE tokenizer that marks the end of a word, as of CLIP."""
    from tokenizers.pre_tokenizers import ByteLevel

    end = "</w>"
    alphabet = sorted(ByteLevel.alphabet())
    merges = merges_of([[*word[:-1], word[-1] + end] for word in WORDS])
    tokens = [*alphabet, *(letter + end for letter in alphabet), *(left + right for left, right in merges), *special]
    return _from_merges(class_name, tokens, merges, settings)


def unigram(class_name: str) -> Any:
    """Make a Unigram tokenizer with 10 sentinels, as of T5; a character outside ASCII is <unk>."""
    sentinels = [f"<extra_id_{number}>" for number in range(10)]
    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    scored += [(character, -6.0) for character in CHARACTERS]
    scored += [("▁" + word, -3.0) for word in WORDS]
    scored += [(sentinel, 0.0) for sentinel in reversed(sentinels)]
    settings = {"model_max_length": MODEL_MAX_LENGTH, "extra_ids": len(sentinels)}
    tokenizer_class = _fast_class(class_name)
    if takes_vocabulary(tokenizer_class):
        return tokenizer_class(vocab=scored, **settings)
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    backend = Tokenizer(models.Unigram(scored, unk_id=2, byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    backend.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
    )
    return tokenizer_class(tokenizer_object=backend, **settings)


def byte_fallback_bpe(class_name: str, *, special: tuple[str, ...] = (), **settings: Any) -> Any:
    """Make a BPE tokenizer that spells unknown characters as bytes, as of Llama: every text survives."""
    space = "▁"
    merges = merges_of([space + word for word in WORDS])
    tokens = ["<unk>", "<s>", "</s>", "<pad>", *special, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [space, *CHARACTERS, *(left + right for left, right in merges)]
    settings = {
        "model_max_length": MODEL_MAX_LENGTH,
        "pad_token": "<pad>",
        "legacy": False,
        "chat_template": CHAT_TEMPLATE,
        "additional_special_tokens": list(special),
        **settings,
    }
    tokenizer_class = _fast_class(class_name)
    if takes_vocabulary(tokenizer_class):
        return tokenizer_class(vocab=numbered(tokens), merges=merges, **settings)
    from tokenizers import Tokenizer, decoders, models, normalizers

    backend = Tokenizer(models.BPE(vocab=numbered(tokens), merges=merges, fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer_class(tokenizer_object=backend, **settings)


def letters(class_name: str, *, special: tuple[str, ...], delimiter: str = "|", **settings: Any) -> Any:
    """Make a tokenizer of single letters, as of Wav2Vec2 (upper case, words parted by "|") and VITS (lower case)."""
    import transformers

    alphabet = string.ascii_uppercase if delimiter == "|" else string.ascii_lowercase
    tokens = [*special, delimiter, *alphabet, "'"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vocab.json")
        file.write_text(json.dumps(numbered(tokens)), encoding="utf-8")
        return getattr(transformers, class_name)(vocab_file=str(file), model_max_length=MODEL_MAX_LENGTH, **settings)


def _fast_class(class_name: str) -> Any:
    """Find the class on the tokenizers library, `...Fast` in transformers 4; TAPAS has only one in Python."""
    import transformers

    return getattr(transformers, f"{class_name}Fast", None) or getattr(transformers, class_name)


def takes_vocabulary(tokenizer_class: Any) -> bool:
    """Whether a tokenizer class takes a vocabulary as an object, as in transformers 5; those of 4.57 read files."""
    return "vocab" in inspect.signature(tokenizer_class.__init__).parameters


def numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def merges_of(words: list[str] | list[list[str]]) -> list[tuple[str, str]]:
    """Give the merges that build each word from its left end, so that a prefix shared by two words is built once."""
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        prefix = word[0]
        for symbol in word[1:]:
            merges.setdefault((prefix, symbol))
            prefix += symbol
    return list(merges)


def _from_merges(class_name: str, tokens: list[str], merges: list[tuple[str, str]], settings: dict[str, Any]) -> Any:
    settings = {"model_max_length": MODEL_MAX_LENGTH, **settings}
    tokenizer_class = _fast_class(class_name)
    if takes_vocabulary(tokenizer_class):
        return tokenizer_class(vocab=numbered(tokens), merges=merges, **settings)
    with tempfile.TemporaryDirectory() as folder:
        vocab_file, merges_file = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab_file.write_text(json.dumps(numbered(tokens)), encoding="utf-8")
        merges_file.write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n", encoding="utf-8")
        return tokenizer_class(vocab_file=str(vocab_file), merges_file=str(merges_file), **settings)
