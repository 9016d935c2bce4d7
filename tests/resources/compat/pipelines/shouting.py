"""A pipeline that inherits from one of a task that 5 has removed."""

from transformers import SummarizationPipeline
from transformers.pipelines.text2text_generation import ReturnType, Text2TextGenerationPipeline

assert issubclass(SummarizationPipeline, Text2TextGenerationPipeline)


class ShoutingPipeline(Text2TextGenerationPipeline):
    return_name = "shouted"

    def _sanitize_parameters(self, loud=None, **kwargs):
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if loud is not None:
            postprocess["loud"] = loud
        forward.setdefault("max_new_tokens", 4)
        return preprocess, forward, postprocess

    def postprocess(self, model_outputs, return_type=ReturnType.TEXT, loud=False, **kwargs):
        records = super().postprocess(model_outputs, return_type=return_type, **kwargs)
        return [{name: text.upper() if loud else text for name, text in record.items()} for record in records]
