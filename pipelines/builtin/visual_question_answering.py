"""Answer a question about an image.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers
and the file generation.py alone.
"""

from typing import Any

from transformers import Pipeline
from transformers.image_utils import load_image
from transformers.pipelines.pt_utils import KeyDataset

from .generation import call_config, prepare_generation


class VisualQuestionAnsweringPipeline(Pipeline):
    """Answer a question about an image.

    The input is a dict of image and question, or an image alone with the parameter question. A model that classifies
    answers gives the best of those it knows, each with `score` and `answer`; one that writes gives an `answer` of up
    to 256 tokens.

    Args:
        question (`str`, *optional*):
            The question about an image that stands alone.
        top_k (`int`, *optional*, defaults to 5):
            How many answers, best first.
        padding (`bool`, *optional*, defaults to `False`):
            How the tokenizer pads the question.
        truncation (`bool`, *optional*, defaults to `False`):
            Cut a question that is longer than the model takes.
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
        if self.model.can_generate():
            prepare_generation(self, max_new_tokens=256)

    def _sanitize_parameters(
        self,
        question: str | None = None,
        top_k: int | None = None,
        padding: bool | str | None = None,
        truncation: bool | str | None = None,
        timeout: float | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if generate_kwargs and not self.model.can_generate():
            raise TypeError(
                f"{type(self.model).__name__} does not generate, so it takes no {', '.join(generate_kwargs)}"
            )
        preprocess: dict[str, Any] = {}
        if question is not None:
            preprocess["question"] = question
        if padding is not None:
            preprocess["padding"] = padding
        if truncation is not None:
            preprocess["truncation"] = truncation
        if timeout is not None:
            preprocess["timeout"] = timeout
        return preprocess, generate_kwargs, {} if top_k is None else {"top_k": top_k}

    def __call__(self, image: Any, question: Any = None, **kwargs: Any) -> Any:
        """Answer questions about images.

        Args:
            image: a path, a URL, a PIL image, a list or a data set of these, or what holds dicts of image and question.
            question: one question for all images, or several, each asked about every image.
            **kwargs: parameters.

        Returns:
            For one pair a list of dicts; for several a list of such lists, the images of the first question first.
        """
        if isinstance(image, KeyDataset) and question is not None:
            image = [image[number] for number in range(len(image))]
        if isinstance(question, str):
            kwargs["question"] = question
        elif question is not None:
            images = [image] if isinstance(image, (str, dict)) or not hasattr(image, "__len__") else image
            image = [{"image": one, "question": text} for text in question for one in images]
        if isinstance(image, list) and not image:
            return []
        call: Any = super().__call__
        return call(image, **kwargs)

    def preprocess(
        self,
        image: Any,
        question: str | None = None,
        padding: bool | str = False,
        truncation: bool | str = False,
        timeout: float | None = None,
    ) -> Any:
        if isinstance(image, dict):
            if question is None and "question" not in image:
                raise KeyError("question is missing: give question=, or a dict of image and question")
            image, question = image["image"], image.get("question", question)
        if question is None:
            raise TypeError("no question was asked: give question=, or a dict of image and question")
        model_inputs = self.tokenizer(question, padding=padding, truncation=truncation, return_tensors="pt")
        pixels = self.image_processor(images=load_image(image, timeout=timeout), return_tensors="pt")
        model_inputs.update(pixels.to(self.model.dtype))
        return model_inputs

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> Any:
        if not self.model.can_generate():
            return self.model(**model_inputs)
        given = call_config(self.generation_config, generate_kwargs)
        return self.model.generate(**model_inputs, **given)

    def postprocess(self, model_outputs: Any, top_k: int = 5) -> list[dict[str, Any]]:
        if self.model.can_generate():
            texts = [self.tokenizer.decode(sequence, skip_special_tokens=True) for sequence in model_outputs]
            return [{"answer": text.strip()} for text in texts]
        config = self.model.config
        best = model_outputs.logits[0].sigmoid().topk(min(top_k, config.num_labels))
        scores, labels = best.values.tolist(), best.indices.tolist()
        return [{"score": score, "answer": config.id2label[label]} for score, label in zip(scores, labels, strict=True)]
