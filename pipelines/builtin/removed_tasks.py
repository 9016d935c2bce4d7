"""The tasks that transformers 5 removed, with the default models that they had; transformers 4 has its own."""

from pipesmith.pipelines.registry import PIPELINE_REGISTRY

PIPELINE_REGISTRY.register_pipeline(
    "question-answering",
    pipeline_class="question_answering.QuestionAnsweringPipeline",
    pt_model="AutoModelForQuestionAnswering",
    default=("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
    type="text",
)
PIPELINE_REGISTRY.register_pipeline(
    "summarization",
    pipeline_class="summarization.SummarizationPipeline",
    pt_model="AutoModelForSeq2SeqLM",
    default=("sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    type="text",
)
PIPELINE_REGISTRY.register_pipeline(
    "translation",  # and translation_en_to_fr, for any two languages
    pipeline_class="translation.TranslationPipeline",
    pt_model="AutoModelForSeq2SeqLM",
    type="text",
)
PIPELINE_REGISTRY.register_pipeline(
    "text2text-generation",
    pipeline_class="text2text_generation.Text2TextGenerationPipeline",
    pt_model="AutoModelForSeq2SeqLM",
    default=("google-t5/t5-base", "a9723ea"),
    type="text",
)
PIPELINE_REGISTRY.register_pipeline(
    "visual-question-answering",
    pipeline_class="visual_question_answering.VisualQuestionAnsweringPipeline",
    pt_model="AutoModelForVisualQuestionAnswering",
    default=("dandelin/vilt-b32-finetuned-vqa", "d0a1f6a"),
    type="multimodal",
)
PIPELINE_REGISTRY.register_pipeline(
    "image-to-text",
    pipeline_class="image_to_text.ImageToTextPipeline",
    pt_model="AutoModelForImageTextToText",  # which has taken over the models of AutoModelForVision2Seq
    default=("ydshieh/vit-gpt2-coco-en", "5bebf1e"),
    type="image",
)
