"""Write a text from a text, with a model of encoder and decoder such as T5 or BART.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers
and the file generation.py alone.
"""

import enum
from typing import Any

from transformers import Pipeline

from .generation import call_config, prepare_generation


class ReturnType(enum.Enum):
    """What a result holds."""

    TENSORS = 0
    TEXT = 1


class Text2TextGenerationPipeline(Pipeline):
    """Write a text from a text.

    Up to 256 tokens with 4 beams, unless the model's configuration has a max_length or says something else for the
    task.

    Args:
        truncation (`bool`, *optional*, defaults to `False`):
            Cut a text that is longer than the model takes.
        return_tensors (`bool`, *optional*, defaults to `False`):
            Return the ids of tokens instead of text.
        return_text (`bool`, *optional*, defaults to `True`):
            Return text; return_tensors decides.
        return_type (`int`, *optional*):
            A ReturnType, for code that has one; return_tensors is the same.
        clean_up_tokenization_spaces (`bool`, *optional*, defaults to `False`):
            Remove spaces before punctuation that the tokenizer has put there.
        stop_sequence (`str`, *optional*):
            Stop at the first token of this text.
    """

    _load_tokenizer: Any = True
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False
    model: Any
    tokenizer: Any
    generation_config: Any

    return_name = "generated"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        prepare_generation(self, max_new_tokens=256, num_beams=4)

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: ReturnType | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: bool | str | None = None,
        stop_sequence: str | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess: dict[str, Any] = {}
        postprocess: dict[str, Any] = {}
        if truncation is not None:
            preprocess["truncation"] = truncation
        if return_type is None and return_tensors is not None:
            return_type = ReturnType.TENSORS if return_tensors else ReturnType.TEXT
        if return_type is not None:
            postprocess["return_type"] = ReturnType[return_type] if isinstance(return_type, str) else return_type
        if clean_up_tokenization_spaces is not None:
            postprocess["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        if stop_sequence is not None:
            generate_kwargs["eos_token_id"] = self.tokenizer.encode(stop_sequence, add_special_tokens=False)[0]
        return preprocess, generate_kwargs, postprocess

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Write a text for each one given.

        Returns:
            For a text a list of dicts, one for each sequence asked for; for a list of texts a list of such lists, or
            of the dicts themselves where each text has one. A dict has `generated_text` or `generated_token_ids`.
        """
        if isinstance(inputs, list) and not inputs:
            return []
        call: Any = super().__call__
        results = call(inputs, *args, **kwargs)  # transformers says that it ignores further arguments
        # The rows of a subclass may be no texts; it then finds lists, as on transformers 4.
        if isinstance(inputs, list) and all(isinstance(text, str) for text in inputs):
            return [result[0] for result in results] if all(len(result) == 1 for result in results) else results
        return results

    def preprocess(self, text: str, truncation: bool | str = False) -> Any:
        if not isinstance(text, str):
            raise TypeError(f"the input is a text, not {text!r}")
        return self._parse_and_tokenize(text, truncation=truncation)

    def _parse_and_tokenize(self, texts: Any, truncation: bool | str) -> Any:  # subclasses for 4 call it
        prefix = self.prefix or ""
        several = isinstance(texts, list)
        model_inputs = self.tokenizer(
            [prefix + text for text in texts] if several else prefix + texts,
            padding=several,
            truncation=truncation,
            return_tensors="pt",
        )
        model_inputs.pop("token_type_ids", None)  # generate() knows none
        return model_inputs

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Say whether an input goes with the lengths asked for; for subclasses, which may warn or raise here."""
        return True

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:
        given = call_config(self.generation_config, generate_kwargs)
        config = given["generation_config"]
        self.check_inputs(model_inputs["input_ids"].shape[-1], config.min_length, config.max_length)
        output_ids = self.model.generate(**model_inputs, **given)
        rows = model_inputs["input_ids"].shape[0]
        return {"output_ids": output_ids.reshape(rows, -1, output_ids.shape[-1])}

    def postprocess(
        self,
        model_outputs: Any,
        return_type: ReturnType = ReturnType.TEXT,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[dict[str, Any]]:
        sequences = model_outputs["output_ids"][0]
        if return_type is ReturnType.TENSORS:
            return [{f"{self.return_name}_token_ids": sequence} for sequence in sequences]
        texts = [
            self.tokenizer.decode(
                sequence, skip_special_tokens=True, clean_up_tokenization_spaces=clean_up_tokenization_spaces
            )
            for sequence in sequences
        ]
        return [{f"{self.return_name}_text": text} for text in texts]
