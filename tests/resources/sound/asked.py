"""Answer a question about an image: the input is a dict."""

from typing import Any

from transformers import Pipeline


class AskedPipeline(Pipeline):
    """Answer a question about an image."""

    def _sanitize_parameters(self, top_k: int | None = None) -> Any:
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k is at least 1, not {top_k}")
        return {}, {}, {} if top_k is None else {"top_k": top_k}

    def preprocess(self, inputs: Any) -> Any:
        encoded = self.tokenizer(inputs["question"], return_tensors="pt", truncation=True)
        encoded.update(self.image_processor(inputs["image"], return_tensors="pt").to(self.dtype))
        return encoded

    def _forward(self, model_inputs: Any) -> Any:
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, outputs: Any, top_k: int = 1) -> Any:
        chances = outputs["logits"][0].float().sigmoid()
        best = chances.topk(min(top_k, len(chances)))
        labels = self.model.config.id2label
        return [{"answer": labels[n], "score": s} for s, n in zip(best.values.tolist(), best.indices.tolist())]
