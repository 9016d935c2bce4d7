"""Helpers that transformers has moved, or that had gone by 4.57 already; a clone repository as people pushed with."""

import torch
import transformers.deepspeed
from huggingface_hub import Repository
from transformers import AdamW, Pipeline
from transformers.deepspeed import is_deepspeed_zero3_enabled
from transformers.modeling_utils import apply_chunking_to_forward, get_parameter_device
from transformers.utils import HUGGINGFACE_CO_RESOLVE_ENDPOINT


class HelpersPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors="pt")

    def _forward(self, model_inputs):
        assert not is_deepspeed_zero3_enabled() and not transformers.deepspeed.is_deepspeed_zero3_enabled()
        device = get_parameter_device(self.model)
        inputs = {name: tensor.to(device) for name, tensor in model_inputs.items()}
        states = self.model.base_model(**inputs).last_hidden_state
        return {"pooled": apply_chunking_to_forward(lambda chunk: chunk.tanh(), 1, 1, states).mean(1)}

    def postprocess(self, model_outputs):
        decay = AdamW([torch.nn.Parameter(torch.ones(1))]).defaults["weight_decay"]
        return {
            "pooled": model_outputs["pooled"][0, :4].tolist(),
            "decay": decay,
            "endpoint": HUGGINGFACE_CO_RESOLVE_ENDPOINT,
            "push": Repository.__name__,
        }
