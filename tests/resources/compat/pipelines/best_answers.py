"""A pipeline that inherits from question answering, and takes both texts in one."""

import transformers
from transformers import SquadExample
from transformers.data.processors.squad import SquadExample as SameExample
from transformers.pipelines.question_answering import QuestionAnsweringArgumentHandler

assert SquadExample is SameExample


class BestAnswersPipeline(transformers.QuestionAnsweringPipeline):
    def __call__(self, text, **kwargs):
        question, context = text.split("|")
        (example,) = QuestionAnsweringArgumentHandler()(question=question, context=context)
        assert isinstance(example, SquadExample)
        assert self.create_sample(question, context).question_text == example.question_text
        return super().__call__([example], **kwargs)

    def postprocess(self, model_outputs, **kwargs):
        return {"framework": self.framework, "best": super().postprocess(model_outputs, **kwargs)}
