"""Special tokens, by the names that a tokenizer had for them."""

from transformers import Pipeline


class SpecialTokensPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        before = list(self.tokenizer.additional_special_tokens)
        if "<mark>" not in before:
            self.tokenizer.add_special_tokens({"additional_special_tokens": ["<mark>", "<end>"]})
        for token in self.tokenizer.additional_special_tokens:
            text = text.replace(token, " ")
        inputs = self.tokenizer(text, return_tensors="pt")
        names = [self.tokenizer.additional_special_tokens, self.tokenizer.additional_special_tokens_ids]
        return {**inputs, "names": names, "pad": self.tokenizer._pad_token}

    def _forward(self, model_inputs):
        extra = {"names": model_inputs.pop("names"), "pad": model_inputs.pop("pad")}
        return {"logits": self.model(**model_inputs).logits, **extra}

    def postprocess(self, model_outputs):
        return {**model_outputs, "logits": model_outputs["logits"][0].tolist(), "pad": str(model_outputs["pad"])}
