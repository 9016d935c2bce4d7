"""Classify a text, with options whose empty values mean something."""

from typing import Any

from transformers import Pipeline


class OptionsPipeline(Pipeline):
    """Classify a text, with options whose empty values mean something."""

    _load_tokenizer = True
    _load_image_processor = False
    _load_feature_extractor = False
    _load_processor = False

    def _sanitize_parameters(self, top_k=None, return_all=None, prefix=None, threshold=None, names=None) -> Any:
        if top_k is not None and top_k <= 0:
            raise ValueError("top_k must be positive")
        given = {"top_k": top_k, "return_all": return_all, "threshold": threshold, "names": names}
        postprocess = {name: value for name, value in given.items() if value is not None}
        return {} if prefix is None else {"prefix": prefix}, {}, postprocess

    def preprocess(self, text: str, prefix: str = "this: ") -> Any:
        if prefix:
            text = prefix + text
        return self.tokenizer(text, return_tensors="pt", truncation=True)

    def _forward(self, model_inputs: Any) -> Any:
        return {"logits": self.model(**model_inputs).logits.cpu()}

    def postprocess(self, outputs: Any, top_k=None, return_all=True, threshold=0.1, names=None) -> Any:
        scores = outputs["logits"].softmax(-1)[0].tolist()
        labels = names or list(self.model.config.id2label.values())
        found = [{"label": label, "score": score} for label, score in zip(labels, scores) if score >= threshold]
        found.sort(key=lambda one: -one["score"])
        return found[:top_k] if return_all else found[:1]
