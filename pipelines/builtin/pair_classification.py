"""Classify a pair of texts: does the second say the same as the first?

The task of transformers' guide to custom pipelines, in one file that needs transformers alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import Pipeline


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits of shape (..., labels); each sums to 1 over the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


class PairClassificationPipeline(Pipeline):
    """Tell whether two texts are equivalent.

    The model takes the pair as one sequence, as any sequence-classification model that was trained on pairs does.

    Args:
        second_text (`str`, *optional*):
            The text to compare with; without it the text is classified alone.
        top_k (`int`, *optional*):
            How many labels to return, best first. Without it the best one is returned, with the logits.
        truncation (`bool`, *optional*, defaults to `False`):
            Cut a pair that is longer than the model takes; otherwise it is an error.
        max_length (`int`, *optional*):
            The most tokens to keep of a pair when truncation is on; as many as the model takes if absent.
    """

    _load_tokenizer: Any = True
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False
    model: Any
    tokenizer: Any

    def _sanitize_parameters(
        self,
        second_text: str | None = None,
        top_k: int | None = None,
        truncation: bool | None = None,
        max_length: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is at least 1, not {top_k}")
        preprocess = {"second_text": second_text, "truncation": truncation, "max_length": max_length}
        postprocess = {"top_k": top_k}
        return _given(preprocess), {}, _given(postprocess)

    def preprocess(
        self, text: str, second_text: str | None = None, truncation: bool = False, max_length: int | None = None
    ) -> Any:
        return self.tokenizer(
            text,
            text_pair=second_text,
            truncation=truncation,
            max_length=max_length,
            return_tensors=getattr(self, "framework", "pt"),  # transformers 5 has PyTorch alone, and no such attribute
        )

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any, top_k: int | None = None) -> dict[str, Any] | list[dict[str, Any]]:
        logits = _to_numpy(model_outputs.logits[0])
        probabilities = softmax(logits)
        labels = self.model.config.id2label
        best_first = np.argsort(-probabilities, kind="stable")
        if top_k is None:
            best = int(best_first[0])
            return {"label": labels[best], "score": float(probabilities[best]), "logits": logits.tolist()}
        return [{"label": labels[int(index)], "score": float(probabilities[index])} for index in best_first[:top_k]]


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given, so that the stage's own default stands."""
    return {name: value for name, value in parameters.items() if value is not None}


def _to_numpy(tensor: Any) -> NDArray[np.float32]:
    """Return a PyTorch or TensorFlow tensor as float32; numpy knows no bfloat16."""
    if hasattr(tensor, "float"):
        tensor = tensor.float()
    return np.asarray(tensor.numpy(), dtype=np.float32)
