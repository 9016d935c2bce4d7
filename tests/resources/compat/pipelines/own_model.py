"""A model class of its own that does not call post_init(), as many were published."""

from torch import nn
from transformers import BertConfig, BertModel, Pipeline, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PlainClassifier(PreTrainedModel):
    config_class = BertConfig

    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        outputs = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return SequenceClassifierOutput(logits=self.classifier(outputs.pooler_output))


class OwnModelPipeline(Pipeline):
    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        return {"model": type(self.model).__name__, "logits": model_outputs.logits[0].tolist()}
