"""Text generation as transformers 4's own pipelines did it: with the generation_config that Pipeline prepares."""

from transformers import GenerationConfig, Pipeline


class CallsGeneratePipeline(Pipeline):
    _pipeline_calls_generate = True
    _default_generation_config = GenerationConfig(max_new_tokens=7, no_repeat_ngram_size=2)

    def _sanitize_parameters(self, **kwargs):
        return {}, kwargs, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors=self.framework)

    def _forward(self, model_inputs, **generate_kwargs):
        if "generation_config" not in generate_kwargs:
            generate_kwargs["generation_config"] = self.generation_config
        return {"ids": self.model.generate(**model_inputs, **generate_kwargs)}

    def postprocess(self, model_outputs):
        return {"ids": model_outputs["ids"][0].tolist()}
