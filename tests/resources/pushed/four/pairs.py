"""A pair of texts, in the form of transformers 4's guide: whatever the framework, and logits that come out as numpy."""

import numpy as np
from transformers import Pipeline


class PairsPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        preprocess_kwargs = {}
        if "second_text" in kwargs:
            preprocess_kwargs["second_text"] = kwargs["second_text"]
        return preprocess_kwargs, {}, {}

    def preprocess(self, text, second_text=None):
        return self.tokenizer(text, text_pair=second_text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        logits = model_outputs.logits[0].numpy()
        best = int(np.argmax(logits))
        return {"label": self.model.config.id2label[best], "logits": logits.tolist()}
