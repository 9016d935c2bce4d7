"""A pipeline inside of a pipeline, made with the arguments that pipeline() took."""

from transformers import Pipeline, pipeline


class InnerPipeline(Pipeline):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.inner = pipeline(
            "text-classification", model=self.model, tokenizer=self.tokenizer, framework=self.framework, device="cpu"
        )

    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return {**self.tokenizer(text, return_tensors=self.framework), "inner": self.inner(text)}

    def _forward(self, model_inputs):
        inner = model_inputs.pop("inner")
        return {"logits": self.model(**model_inputs).logits, "inner": inner}

    def postprocess(self, model_outputs):
        return {"logits": model_outputs["logits"][0].tolist(), "inner": model_outputs["inner"]}
