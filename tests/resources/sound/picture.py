"""Classify an image."""

from typing import Any

import torch
from transformers import Pipeline


class PicturePipeline(Pipeline):
    """Classify an image.

    Args:
        threshold (`float`, *optional*, defaults to `0.0`):
            The least score of a label that is returned.
    """

    _load_tokenizer = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, threshold: float | None = None) -> Any:
        return {}, {}, {} if threshold is None else {"threshold": threshold}

    def preprocess(self, image: Any) -> Any:
        return self.image_processor(image, return_tensors="pt").to(self.model.dtype)

    def _forward(self, model_inputs: Any) -> Any:
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, model_outputs: Any, threshold: float = 0.0) -> list[dict[str, Any]]:
        scores = torch.softmax(model_outputs["logits"][0].float(), dim=-1).tolist()
        labels = self.model.config.id2label
        return [{"label": labels[n], "score": score} for n, score in enumerate(scores) if score >= threshold]
