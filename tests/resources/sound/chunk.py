"""Classify a long text, piece by piece."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers.pipelines.base import ChunkPipeline


class ChunkedPipeline(ChunkPipeline):
    """Classify a long text, piece by piece.

    Args:
        piece (`int`, *optional*, defaults to `8`):
            How many tokens a piece has.
    """

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, piece: int | None = None) -> Any:
        return {} if piece is None else {"piece": piece}, {}, {}

    def preprocess(self, text: str, piece: int = 8) -> Iterator[dict[str, Any]]:
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces = [tokens[start : start + piece] for start in range(0, max(len(tokens), 1), piece)]
        for number, one in enumerate(pieces):
            ids = [self.tokenizer.cls_token_id, *one, self.tokenizer.sep_token_id]
            encoded = self.tokenizer.pad({"input_ids": [ids]}, return_tensors="pt")
            yield {"is_last": number == len(pieces) - 1, **encoded}

    def _forward(self, model_inputs: Any) -> Any:
        is_last = model_inputs.pop("is_last")
        logits = self.model(**model_inputs).logits
        return {"is_last": is_last, "logits": logits}

    def postprocess(self, model_outputs: Any) -> Any:
        scores = [torch.softmax(one["logits"][0].float(), dim=-1).tolist() for one in model_outputs]
        return {"pieces": scores, "mean": torch.tensor(scores).mean(0).tolist()}
