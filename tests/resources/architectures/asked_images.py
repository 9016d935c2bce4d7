"""Images and a question: ShieldGemma 2 classifies both together, transformers' own image classification one alone."""

from transformers import Pipeline


class AskedImagesPipeline(Pipeline):
    """Give the score of yes and no for an image."""

    _load_tokenizer = _load_image_processor = True
    _load_processor = _load_feature_extractor = False

    def _sanitize_parameters(self, question=None):
        return {} if question is None else {"question": question}, {}, {}

    def preprocess(self, image, question="is it good?"):
        config = self.model.config
        places = self.tokenizer.convert_ids_to_tokens(config.image_token_index) * config.mm_tokens_per_image
        inputs = self.tokenizer(places + question, return_tensors="pt")
        return {**inputs, **self.image_processor(images=image, return_tensors="pt")}

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        yes, no = model_outputs["probabilities"][0].tolist()
        return {"yes": yes, "no": no}
