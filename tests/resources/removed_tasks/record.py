"""Record what transformers 4 returns for the tasks that 5 has removed, into results.json.

Run it in an environment with transformers 4.57, torch and pipesmith (its tiny models only are used: equal seeds give
equal weights on both lines):

    USE_TF=0 python tests/resources/removed_tasks/record.py

Each group of cases.json has a task, a tiny model, what is changed in its checkpoint and its tokenizer, what
`transformers.pipeline` is given, and the calls: positional and keyword arguments. An image is written
{"picture": [width, height, seed]}: noise. results.json holds the versions, the date, and for each group a hash of the
model's weights and the results, floats rounded to 7 decimals; of a call that raises, the type of the exception.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    import torch
    import transformers

    if not transformers.__version__.startswith("4."):
        sys.exit(f"This records transformers 4, and here is {transformers.__version__}.")
    groups = []
    for group in json.loads((HERE / "cases.json").read_text()):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = make_checkpoint(group, Path(folder) / "checkpoint")
            pipe = transformers.pipeline(group["task"], model=str(checkpoint), device="cpu", **group.get("init", {}))
            digest = weights_hash(checkpoint)
        prepare(pipe, group)
        groups.append({"weights": digest, "results": [result_of(pipe, *call) for call in group["calls"]]})
        print(group["task"], group["architecture"], len(group["calls"]), flush=True)
    versions = {module.__name__: module.__version__ for module in (torch, transformers)}
    head = {"date": datetime.date.today().isoformat(), "versions": versions}
    lines = ",\n".join(f"  {json.dumps(group)}" for group in groups)
    text = json.dumps(head)[:-1] + f', "groups": [\n{lines}\n]}}\n'
    (HERE / "results.json").write_text(text)


def make_checkpoint(group: dict[str, Any], folder: Path) -> Path:
    """Write the checkpoint of a group: a tiny model, with what it wants changed."""
    from pipesmith.pipelines.testing import tiny_model

    if group["architecture"] == "mbart":
        make_mbart(folder)
    else:
        shutil.copytree(tiny_model(group["model"], group["architecture"]).path, folder)
    if group["architecture"] == "t5":  # 4 and 5 differ in whether a tiny one has a head of its own
        content = json.loads((folder / "config.json").read_text())
        content.pop("scale_decoder_outputs", None)
        (folder / "config.json").write_text(json.dumps({**content, "tie_word_embeddings": True}))
    seed_weights(folder / "model.safetensors")
    for name in ("config", "generation_config"):
        if name in group:
            file = folder / f"{name}.json"
            content = json.loads(file.read_text()) if file.is_file() else {}
            file.write_text(json.dumps({**content, **group[name]}))
    return folder


def make_mbart(folder: Path) -> None:
    """Write a tiny mBART, whose tokenizer has codes of languages."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import MBartConfig, MBartForConditionalGeneration, MBartTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz.,?HT", "▁the", "▁a", "▁good", "▁day"]
    backend = Tokenizer(models.Unigram([(word, -float(place)) for place, word in enumerate(words)], unk_id=3))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = MBartTokenizerFast(tokenizer_object=backend, src_lang="en_XX", tgt_lang="ro_RO")
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers"), 2)
    sizes |= {f"{part}_{size}": value for part in ("encoder", "decoder") for size, value in WIDTHS.items()}
    config = MBartConfig(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=128, decoder_start_token_id=2, **sizes
    )
    MBartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def seed_weights(file: Path) -> None:
    """Write matrices of random numbers into a checkpoint, by their names alone: each line makes others of one seed."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    weights.pop("lm_head.weight", None)
    for name, tensor in weights.items():
        if tensor.dim() > 1 and tensor.is_floating_point():
            random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            weights[name] = torch.randn(tensor.shape, generator=random) * tensor[0].numel() ** -0.5
    save_file(weights, file, {"format": "pt"})


WIDTHS = {"attention_heads": 4, "ffn_dim": 64}


def prepare(pipe: Any, group: dict[str, Any]) -> None:
    """Set what a group wants of its tokenizer."""
    for name, value in group.get("tokenizer", {}).items():
        setattr(pipe.tokenizer, name, value)


def result_of(pipe: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Make a call; return its result as JSON values, or what it raises."""
    try:
        return plain(pipe(*read(args), **read(kwargs)))
    except Exception as error:
        return {"raises": type(error).__name__}


def read(value: Any) -> Any:
    """Make arguments of what cases.json holds."""
    if isinstance(value, dict) and list(value) == ["picture"]:
        import numpy as np
        from PIL import Image

        width, height, seed = value["picture"]
        return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))
    if isinstance(value, dict):
        return {key: read(item) for key, item in value.items()}
    return [read(item) for item in value] if isinstance(value, list) else value


def weights_hash(checkpoint: Path) -> str:
    """Hash a checkpoint's weights: their names, and their bytes as float32."""
    from safetensors.torch import load_file

    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(checkpoint / "model.safetensors").items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return a result as JSON values, with floats rounded to 7 decimals."""
    if isinstance(value, float):
        return round(value, 7)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
