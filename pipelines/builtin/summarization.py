"""Summarise a text, with a model of encoder and decoder such as BART or T5.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers
and the files beside it that it imports.
"""

from .text2text_generation import Text2TextGenerationPipeline


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Summarise a text.

    Up to 256 tokens with 4 beams, unless the model's configuration has a max_length or says something else for the
    task. A result has `summary_text`, or with return_tensors `summary_token_ids`.
    """

    return_name = "summary"
