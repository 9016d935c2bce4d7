"""Token classification of a page: BROS wants the box of every token, which transformers' own pipeline does not give."""

from transformers import Pipeline


class BoxedTokensPipeline(Pipeline):
    """Give the best label of every token of a page."""

    _load_tokenizer = True
    _load_processor = _load_image_processor = _load_feature_extractor = False

    def _sanitize_parameters(self):
        return {}, {}, {}

    def preprocess(self, text):
        inputs = self.tokenizer(text, return_tensors="pt", truncation=True)
        length = inputs["input_ids"].shape[1]
        inputs["bbox"] = inputs["input_ids"].new_tensor([[[n, 0, n + 1, 1] for n in range(length)]])
        return inputs

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        best = model_outputs["logits"][0].argmax(-1).tolist()
        return [self.model.config.id2label[number] for number in best]
