"""Code for two frameworks, as transformers 4's own pipelines were written."""

from typing import Optional, Union

import transformers
from transformers import (
    FlaxAutoModel,
    ModelCard,
    Pipeline,
    PreTrainedModel,
    TFAutoModelForSequenceClassification,
    TFPreTrainedModel,
    is_tf_available,
    is_torch_available,
)
from transformers.file_utils import is_tf_available as is_tf_available_too
from transformers.utils import is_flax_available
from transformers.utils import is_tf_available as is_tf_available_as_well

if is_tf_available():
    import tensorflow as tf
if is_torch_available():
    import torch


class BothFrameworksPipeline(Pipeline):
    def __init__(
        self,
        model: Union["PreTrainedModel", "TFPreTrainedModel"],
        framework: str,
        task: str,
        modelcard: Optional[ModelCard] = None,  # noqa: UP045 - as people wrote it
        **kwargs,
    ):
        super().__init__(model=model, framework=framework, task=task, modelcard=modelcard, **kwargs)
        assert not isinstance(model, (TFPreTrainedModel, TFAutoModelForSequenceClassification, FlaxAutoModel))
        assert self.modelcard is modelcard

    def _sanitize_parameters(self, scale=None):
        return {}, {}, {} if scale is None else {"scale": scale}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs, scale=1):
        if self.framework == "tf":
            probabilities = tf.math.softmax(model_outputs.logits, axis=-1)
        else:
            probabilities = torch.softmax(model_outputs.logits, dim=-1)
        with_tf = [
            is_tf_available(),
            is_tf_available_too(),
            is_tf_available_as_well(),
            is_flax_available(),
            transformers.is_tf_available(),
            transformers.utils.is_tf_available(),
        ]
        return {"scores": (probabilities[0] * scale).tolist(), "tensorflow": with_tf}
