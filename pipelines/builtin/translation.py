"""Translate a text.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers
and the files beside it that it imports.
"""

from typing import Any

from .text2text_generation import Text2TextGenerationPipeline


class TranslationPipeline(Text2TextGenerationPipeline):
    """Translate a text.

    The task `translation_en_to_fr` names the languages as well. Up to 256 tokens with 4 beams, unless the model's
    configuration has a max_length or says something else for the task. A result has `translation_text`, or with
    return_tensors `translation_token_ids`.

    Args:
        src_lang (`str`, *optional*):
            The language of the text, as the tokenizer of a model for many languages calls it: en_XX.
        tgt_lang (`str`, *optional*):
            The language to translate into.
    """

    return_name = "translation"

    def _sanitize_parameters(
        self, src_lang: str | None = None, tgt_lang: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if src_lang is None and tgt_lang is None:
            named = self.task.split("_")
            if len(named) == 4:  # translation_en_to_fr
                src_lang, tgt_lang = named[1], named[3]
        if src_lang is not None:
            preprocess["src_lang"] = src_lang
        if tgt_lang is not None:
            preprocess["tgt_lang"] = tgt_lang
        return preprocess, forward, postprocess

    def preprocess(
        self, text: str, truncation: bool | str = False, src_lang: str | None = None, tgt_lang: str | None = None
    ) -> Any:
        build = getattr(self.tokenizer, "_build_translation_inputs", None)
        if build is None:  # the model knows one pair of languages
            return super().preprocess(text, truncation)
        return build(text, return_tensors="pt", truncation=truncation, src_lang=src_lang, tgt_lang=tgt_lang)

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:
        inputs = dict(model_inputs)
        first = inputs.pop("forced_bos_token_id", None)  # the code of the language
        if isinstance(first, list):  # of a batch
            if len(set(first)) > 1:
                raise ValueError("a batch is translated into one language")
            first = first[0]
        if first is not None:
            if "forced_bos_token_id" in generate_kwargs:
                raise TypeError("forced_bos_token_id is the code of the language already: give tgt_lang alone")
            generate_kwargs["forced_bos_token_id"] = first
        return super()._forward(inputs, **generate_kwargs)
