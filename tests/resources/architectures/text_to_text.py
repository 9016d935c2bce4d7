"""Text written for a text, by a model with an encoder and a decoder: transformers 5 has no such pipeline any more."""

from transformers import Pipeline


class TextToTextPipeline(Pipeline):
    """Write a text for each text."""

    _load_tokenizer = True
    _load_processor = _load_image_processor = _load_feature_extractor = False

    def _sanitize_parameters(self, max_new_tokens=None):
        return {}, {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors="pt", truncation=True)

    def _forward(self, model_inputs, max_new_tokens=20):
        return {"ids": self.model.generate(**model_inputs, max_new_tokens=max_new_tokens, do_sample=False)}

    def postprocess(self, model_outputs):
        return {"text": self.tokenizer.decode(model_outputs["ids"][0], skip_special_tokens=True)}
