"""Text generation that sets its parameters on model.config, and reads a prefix there."""

from transformers import Pipeline


class GenerationPipeline(Pipeline):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        assert self.modelcard is None
        self.model.config.max_length = 14
        self.model.config.no_repeat_ngram_size = 1
        self.prefix = self.model.config.prefix or ""

    def _sanitize_parameters(self, **kwargs):
        return {}, kwargs, {}

    def preprocess(self, text):
        return self.tokenizer(self.prefix + text, return_tensors=self.framework)

    def _forward(self, model_inputs, **generate_kwargs):
        return {"ids": self.model.generate(**model_inputs, do_sample=False, **generate_kwargs)}

    def postprocess(self, model_outputs):
        config = self.model.config
        return {"ids": model_outputs["ids"][0].tolist(), "config": [config.max_length, config.no_repeat_ngram_size]}
