"""Say what is in an image.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers,
torch and the file generation.py alone.
"""

from typing import Any

import torch
from transformers import Pipeline
from transformers.image_utils import load_image

from .generation import GENERATION_PARAMETERS, call_config, prepare_generation


class ImageToTextPipeline(Pipeline):
    """Write a caption for an image.

    Up to 256 tokens, unless the model's configuration has a max_length.

    Args:
        max_new_tokens (`int`, *optional*):
            How many tokens to write at most.
        generate_kwargs (`dict`, *optional*):
            Further parameters of generate().
        prompt (`str`, *optional*):
            What the caption starts with, or is asked for, where the model takes such a text.
        timeout (`float`, *optional*):
            How long a URL may take, in seconds; as long as it likes unless you say.
    """

    _load_tokenizer: Any = True
    _load_image_processor: Any = True
    _load_feature_extractor: Any = False
    _load_processor: Any = False
    model: Any
    tokenizer: Any
    image_processor: Any
    generation_config: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        prepare_generation(self, max_new_tokens=256)

    def _sanitize_parameters(
        self,
        max_new_tokens: int | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        prompt: str | None = None,
        timeout: float | None = None,
        **parameters: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess: dict[str, Any] = {}
        if prompt is not None:
            preprocess["prompt"] = prompt
        if timeout is not None:
            preprocess["timeout"] = timeout
        unknown = [name for name in parameters if name not in GENERATION_PARAMETERS]
        if unknown:
            raise TypeError(f"{type(self).__name__} takes no {', '.join(unknown)}; generate_kwargs are passed on")
        forward = {**parameters, **(generate_kwargs or {})}
        if max_new_tokens is not None:
            if "max_new_tokens" in forward:
                raise ValueError("max_new_tokens is given twice: by itself, and in generate_kwargs")
            forward["max_new_tokens"] = max_new_tokens
        return preprocess, forward, {}

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Write a caption for each image.

        Args:
            inputs: a path, a URL, a PIL image, or a list of these.
            **kwargs: parameters.

        Returns:
            For an image a list of dicts with `generated_text`; for a list of images a list of such lists.
        """
        if inputs is None:
            raise ValueError("no image was given")
        if isinstance(inputs, list) and not inputs:
            return []
        call: Any = super().__call__
        return call(inputs, **kwargs)

    def preprocess(self, image: Any, prompt: str | None = None, timeout: float | None = None) -> Any:
        image = load_image(image, timeout=timeout)
        kind = self.model.config.model_type
        if prompt is not None and (not isinstance(prompt, str) or kind == "vision-encoder-decoder"):
            raise ValueError(f"a {kind} model takes no prompt" if isinstance(prompt, str) else "a prompt is one text")
        header = {"header_text": prompt} if kind == "pix2struct" and prompt is not None else {}  # drawn into the image
        model_inputs = self.image_processor(images=image, return_tensors="pt", **header).to(self.model.dtype)
        if prompt is None or header:
            return model_inputs
        if kind == "git":  # it goes on after a text that has a start and no end
            ids = [self.tokenizer.cls_token_id, *self.tokenizer(prompt, add_special_tokens=False).input_ids]
            model_inputs["input_ids"] = torch.tensor([ids])
        else:
            model_inputs.update(self.tokenizer(prompt, return_tensors="pt"))
        return model_inputs

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> Any:
        given = call_config(self.generation_config, generate_kwargs)
        return self.model.generate(**model_inputs, **given)

    def postprocess(self, model_outputs: Any) -> list[dict[str, Any]]:
        texts = [self.tokenizer.decode(sequence, skip_special_tokens=True) for sequence in model_outputs]
        return [{"generated_text": text} for text in texts]
