"""Classify a text."""

from typing import Any

import numpy as np
from transformers import Pipeline


class PlainPipeline(Pipeline):
    """Classify a text.

    Args:
        top_k (`int`, *optional*, defaults to `2`):
            How many labels to return, best first.
        max_length (`int`, *optional*):
            The most tokens to keep.
    """

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, top_k: int | None = None, max_length: int | None = None) -> Any:
        preprocess, postprocess = {}, {}
        if max_length is not None:
            preprocess["max_length"] = max_length
        if top_k is not None:
            postprocess["top_k"] = top_k
        return preprocess, {}, postprocess

    def preprocess(self, text: str, max_length: int | None = None) -> Any:
        return self.tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")

    def _forward(self, model_inputs: Any) -> Any:
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, model_outputs: Any, top_k: int = 2) -> list[dict[str, Any]]:
        logits = model_outputs["logits"][0].float().numpy()
        exponentials = np.exp(logits - logits.max())
        probabilities = exponentials / exponentials.sum()
        labels = self.model.config.id2label
        best = np.argsort(-probabilities, kind="stable")[:top_k]
        return [{"label": labels[int(index)], "score": float(probabilities[index])} for index in best]
