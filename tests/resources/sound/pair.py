"""Classify a pair of texts."""

from typing import Any

import torch
from transformers import Pipeline


class PairPipeline(Pipeline):
    """Classify a pair of texts.

    Args:
        second_text (`str`, *optional*):
            The text to compare with.
        top_k (`int`, *optional*):
            How many labels to return, best first; the best alone if absent.
    """

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, second_text: str | None = None, top_k: int | None = None) -> Any:
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is at least 1, not {top_k}")
        preprocess = {} if second_text is None else {"second_text": second_text}
        postprocess = {} if top_k is None else {"top_k": top_k}
        return preprocess, {}, postprocess

    def preprocess(self, text: str, second_text: str | None = None) -> Any:
        return self.tokenizer(text, text_pair=second_text, return_tensors="pt")

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, top_k: int | None = None) -> Any:
        scores = torch.softmax(model_outputs.logits[0].float(), dim=-1).tolist()
        found = [{"label": self.model.config.id2label[number], "score": score} for number, score in enumerate(scores)]
        found.sort(key=lambda one: -one["score"])
        return found[0] if top_k is None else found[:top_k]
