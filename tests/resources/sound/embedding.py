"""Turn a text into a vector: the mean of its tokens' features."""

from typing import Any

from transformers import Pipeline


class EmbeddingPipeline(Pipeline):
    """Turn a text into a vector: the mean of its tokens' features.

    Args:
        normalize (`bool`, *optional*, defaults to `True`):
            Whether its length is 1.
    """

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, normalize: bool | None = None) -> Any:
        return {}, {} if normalize is None else {"normalize": normalize}, {}

    def preprocess(self, text: str) -> Any:
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, model_inputs: Any, normalize: bool = True) -> Any:
        features = self.model(**model_inputs).last_hidden_state
        mask = model_inputs["attention_mask"].unsqueeze(-1).to(features.dtype)
        vectors = (features * mask).sum(1) / mask.sum(1)
        if normalize:
            vectors = vectors / vectors.norm(dim=-1, keepdim=True)
        return {"vectors": vectors}

    def postprocess(self, model_outputs: Any) -> list[float]:
        return model_outputs["vectors"][0].float().tolist()
