"""The device of a model that was loaded with a device map, which needs accelerate."""

from transformers import Pipeline


class DeviceMapPipeline(Pipeline):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.first_device = str(next(iter(self.model.hf_device_map.values())))

    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        return self.tokenizer(text, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs):
        devices = {name: str(device) for name, device in self.model.hf_device_map.items()}
        return {"first": self.first_device, "map": devices, "logits": model_outputs.logits[0].tolist()}
