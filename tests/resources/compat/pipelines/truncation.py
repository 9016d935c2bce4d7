"""TruncationStrategy, from where transformers 4's own pipelines import it."""

from transformers import Pipeline
from transformers.tokenization_utils import TruncationStrategy


class TruncationPipeline(Pipeline):
    def _sanitize_parameters(self, truncation=TruncationStrategy.ONLY_FIRST, **kwargs):
        return {"truncation": truncation}, {}, {}

    def preprocess(self, text, truncation=TruncationStrategy.DO_NOT_TRUNCATE):
        return self.tokenizer(text, "the second", truncation=truncation, max_length=12, return_tensors="pt")

    def _forward(self, model_inputs):
        return {"logits": self.model(**model_inputs).logits, "ids": model_inputs["input_ids"]}

    def postprocess(self, model_outputs):
        return {"ids": model_outputs["ids"][0].tolist(), "logits": model_outputs["logits"][0].tolist()}
