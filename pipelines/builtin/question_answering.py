"""Answer a question with a piece of a text.

A task of transformers 4 that 5 has removed: the same call, the same parameters, the same results. Needs transformers,
torch and numpy alone, and a fast tokenizer: the others do not say which characters a token stands for.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers.pipelines.base import ArgumentHandler, ChunkPipeline

_NEVER = -10_000.0  # the logit of a token that no answer starts or ends with
_FORM = 'write question="...", context="...", or a dict of these'
_WORD = re.compile(r"[^ \t\r\n\u202f]+")


@dataclass
class SquadExample:
    """A question and the text that holds its answer; the other fields are those of a row of SQuAD."""

    qas_id: str | None
    question_text: str
    context_text: str
    answer_text: str | None = None
    start_position_character: int | None = None
    title: str | None = None
    answers: list[Any] = field(default_factory=list)
    is_impossible: bool = False

    @property
    def doc_tokens(self) -> list[str]:
        """The words of the context, as white space parts it."""
        return _WORD.findall(self.context_text)

    @property
    def char_to_word_offset(self) -> list[int]:
        """For each character of the context the number of its word, from 0; white space counts to the word before."""
        starts = {word.start() for word in _WORD.finditer(self.context_text)}
        return [*accumulate((place in starts for place in range(len(self.context_text))), initial=-1)][1:]

    @property
    def start_position(self) -> int:
        """The number of the answer's first word; 0 without an answer."""
        return self._word_of(0)

    @property
    def end_position(self) -> int:
        """The number of the answer's last word; 0 without an answer."""
        return self._word_of(len(self.answer_text or "") - 1)

    def _word_of(self, place: int) -> int:
        if self.start_position_character is None or self.is_impossible:
            return 0
        words = self.char_to_word_offset
        return words[min(self.start_position_character + place, len(words) - 1)]


class QuestionAnsweringArgumentHandler(ArgumentHandler):
    """Turns the arguments of a call into examples."""

    def normalize(self, item: Any) -> SquadExample:
        """Return an example for a dict of question and context.

        Raises:
            KeyError, ValueError: a part is missing, None or empty, or it is no dict.
        """
        if isinstance(item, SquadExample):
            return item
        if not isinstance(item, dict):
            raise ValueError(f"{item!r} is no question with its context: {_FORM}")
        for name in ("question", "context"):
            if name not in item:
                raise KeyError(f"{name} is missing: {_FORM}")
            if item[name] is None or item[name] == "":
                raise ValueError(f"{name} is {'None' if item[name] is None else 'empty'}")
            if not isinstance(item[name], str):
                raise ValueError(f"{name} is {item[name]!r}, which is no text")
        return SquadExample(None, item["question"], item["context"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return a list of examples; a data set or a generator as it is.

        Args:
            *args: a question and its context, or examples and dicts of these, one by one or as a list; the question
                and the context of a dict may be lists.
            **kwargs: `question` and `context`, each one or a list; `X` or `data` as the one positional argument.
        """
        inputs: Any = list(args)
        if len(args) == 1:
            inputs = args[0]
        elif len(args) == 2 and all(isinstance(arg, str) for arg in args):
            inputs = [{"question": args[0], "context": args[1]}]
        elif not args and ("X" in kwargs or "data" in kwargs):
            inputs = kwargs.get("X", kwargs.get("data"))
        elif not args:
            inputs = self._pairs(kwargs.get("question"), kwargs.get("context"))
        if isinstance(inputs, (GeneratorType, Dataset)):
            return inputs
        if isinstance(inputs, (dict, SquadExample)):
            inputs = [inputs]
        if isinstance(inputs, str) or not hasattr(inputs, "__iter__"):
            raise ValueError(f"{inputs!r} is no question with its context: {_FORM}")
        return [self.normalize(pair) for item in inputs for pair in self._expanded(item)]

    def _expanded(self, item: Any) -> list[Any]:
        if isinstance(item, dict) and (isinstance(item.get("question"), list) or isinstance(item.get("context"), list)):
            return self._pairs(item.get("question"), item.get("context"))
        return [item]

    def _pairs(self, question: Any, context: Any) -> list[Any]:
        if question is None or context is None:
            raise ValueError(f"there is no {'question' if question is None else 'context'}: {_FORM}")
        questions = question if isinstance(question, list) else [question]
        contexts = context if isinstance(context, list) else [context] * len(questions)
        if len(questions) != len(contexts):
            raise ValueError(f"{len(questions)} questions do not go with {len(contexts)} contexts")
        return [{"question": one, "context": other} for one, other in zip(questions, contexts, strict=False)]


class QuestionAnsweringPipeline(ChunkPipeline):
    """Answer a question with a piece of a text.

    The input is a dict of question and context, or a question alone with the parameter context. A text that is too
    long for the model is read in parts that overlap.

    Args:
        context (`str`, *optional*):
            The text that holds the answer to a question that stands alone.
        top_k (`int`, *optional*, defaults to 1):
            How many answers, best first; with 1 the result is one dict.
        doc_stride (`int`, *optional*):
            Tokens that the parts of a long text share; 128, or half a part if that is less. Where a long question
            leaves no room for them, half of the room.
        max_answer_len (`int`, *optional*, defaults to 15):
            The most tokens of an answer.
        max_seq_len (`int`, *optional*):
            The most tokens of question and part together; 384, or what the model takes if that is less.
        max_question_len (`int`, *optional*):
            Taken, and without effect with a fast tokenizer, as in transformers 4.
        handle_impossible_answer (`bool`, *optional*, defaults to `False`):
            Whether no answer, an empty text, may be the answer.
        align_to_words (`bool`, *optional*, defaults to `True`):
            Widen answers to whole words, where the tokenizer knows words.
        padding (`str`, *optional*):
            How the tokenizer pads question and part: do_not_pad, or max_length.
        topk (`int`, *optional*):
            The old name of top_k.
    """

    _load_tokenizer: Any = True
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_processor: Any = False
    model: Any
    tokenizer: Any

    default_input_names: Any = "question,context"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args_parser = QuestionAnsweringArgumentHandler()
        super().__init__(*args, **kwargs)

    @staticmethod
    def create_sample(question: Any, context: Any) -> Any:
        """Return the example of a question and its context, or a list of examples for lists of both."""
        if isinstance(question, list):
            return [SquadExample(None, *pair) for pair in zip(question, context, strict=False)]
        return SquadExample(None, question, context)

    def _sanitize_parameters(
        self,
        context: str | None = None,
        padding: str | bool | None = None,
        topk: int | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        top_k = topk if top_k is None else top_k
        for name, value in (("top_k", top_k), ("max_answer_len", max_answer_len)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        preprocess = {
            "context": context,
            "padding": padding,
            "doc_stride": doc_stride,
            "max_seq_len": max_seq_len,
            "max_question_len": max_question_len,
        }
        postprocess = {
            "top_k": top_k,
            "max_answer_len": max_answer_len,
            "handle_impossible_answer": handle_impossible_answer,
            "align_to_words": align_to_words,
        }
        return _given(preprocess), {}, _given(postprocess)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer questions: `pipe(question="...", context="...")`.

        Args:
            *args: see `QuestionAnsweringArgumentHandler`; or a question, or a data set of them, with `context=`.
            **kwargs: `question` and `context`, each one or a list, and parameters.

        Returns:
            For a question a dict of score, start, end (characters of the context) and answer, or a list of `top_k`
            dicts; for several questions a list of these.
        """
        call: Any = super().__call__
        if len(args) == 1 and isinstance(args[0], (str, Dataset, GeneratorType)):
            return call(args[0], **kwargs)  # a context among the parameters belongs to every question
        examples = self._args_parser(*args, **kwargs)
        if isinstance(examples, list) and not examples:
            return []
        parameters = {name: kwargs[name] for name in kwargs if name not in ("question", "context", "X", "data")}
        one = isinstance(examples, list) and len(examples) == 1
        return call(examples[0] if one else examples, **parameters)

    def preprocess(
        self,
        question: Any,
        context: str | None = None,
        padding: str | bool = "do_not_pad",
        doc_stride: int | None = None,
        max_question_len: int = 64,
        max_seq_len: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        if isinstance(question, str):
            question = {"question": question, "context": context}
        example = self._args_parser.normalize(question)
        if not self.tokenizer.is_fast:
            raise ValueError(f"{type(self.tokenizer).__name__} is no fast tokenizer, which question-answering needs")
        max_seq_len = min(self.tokenizer.model_max_length, 384) if max_seq_len is None else max_seq_len
        doc_stride = min(max_seq_len // 2, 128) if doc_stride is None else doc_stride
        if doc_stride > max_seq_len:
            raise ValueError(f"doc_stride ({doc_stride}) is more than max_seq_len ({max_seq_len})")
        place = self._place_of_context()
        texts = (example.question_text, example.context_text)
        most = max_seq_len - self.tokenizer.num_special_tokens_to_add(pair=True)
        room = most - len(self.tokenizer(example.question_text, add_special_tokens=False)["input_ids"])
        if 0 < room <= doc_stride < most:  # the tokenizer would panic
            doc_stride = room // 2
        encoded = self.tokenizer(
            texts[1 - place],
            texts[place],
            padding=padding,
            truncation="only_second" if place else "only_first",
            max_length=max_seq_len,
            stride=doc_stride,
            return_token_type_ids=True,
            return_overflowing_tokens=True,
        )
        kept = [name for name in encoded if name in (*self.tokenizer.model_input_names, "token_type_ids")]
        count = len(encoded["input_ids"])
        for part in range(count):
            ids = torch.tensor([encoded["input_ids"][part]])
            # Where the context comes first, transformers 4 finds answers in the question too; results are to be its.
            mask = torch.tensor([[bool(place) and sequence != 1 for sequence in encoded.sequence_ids(part)]])
            if self.tokenizer.cls_token_id is not None:  # where models say that there is no answer
                mask &= ids != self.tokenizer.cls_token_id
            yield {
                "example": example,
                "is_last": part == count - 1,
                **{name: torch.tensor([encoded[name][part]]) for name in kept},
                "p_mask": mask,  # true for what cannot be in an answer
                "encoding": encoded[part],
            }

    def _place_of_context(self) -> int:
        """Return which of the two texts of a pair the context is: a model that is padded on the left has it first."""
        return int(self.tokenizer.padding_side == "right")

    def _forward(self, inputs: Any) -> dict[str, Any]:
        model_inputs = {name: inputs[name] for name in self.tokenizer.model_input_names if name in inputs}
        if "use_cache" in inspect.signature(self.model.forward).parameters:
            model_inputs["use_cache"] = False  # a decoder's, which would be in the outputs
        output = self.model(**model_inputs)
        return {"start": output["start_logits"], "end": output["end_logits"], **inputs}

    def postprocess(
        self,
        model_outputs: Any,
        top_k: int = 1,
        handle_impossible_answer: bool = False,
        max_answer_len: int = 15,
        align_to_words: bool = True,
    ) -> Any:
        answers: dict[str, dict[str, Any]] = {}  # by their text: what is found twice counts twice
        no_answer = 1_000_000.0
        spans = 2 * top_k + 10 if align_to_words else top_k  # several may be the same words
        for part in model_outputs:
            allowed = ~part["p_mask"].numpy().astype(bool)
            if part.get("attention_mask") is not None:
                allowed &= part["attention_mask"].numpy().astype(bool)
            start, end = _probabilities(part["start"], allowed), _probabilities(part["end"], allowed)
            no_answer = min(no_answer, float(start[0] * end[0]))
            start[0] = end[0] = 0.0
            padding = 0  # before the text
            if self.tokenizer.padding_side == "left":
                padding = int((part["input_ids"] == self.tokenizer.pad_token_id).sum())
            text = part["example"].context_text
            for first, last, score in _best_spans(start, end, allowed[0], spans, max_answer_len):
                begin, stop = self.get_indices(
                    part["encoding"], first - padding, last - padding, self._place_of_context(), align_to_words
                )
                answer = text[begin:stop]
                known = answers.setdefault(
                    answer.lower(), {"score": 0.0, "start": begin, "end": stop, "answer": answer}
                )
                known["score"] += score
        found = list(answers.values())
        if handle_impossible_answer:
            found.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
        best = sorted(found, key=lambda answer: -answer["score"])[:top_k]
        return best[0] if len(best) == 1 else best

    def get_indices(self, enc: Any, s: int, e: int, sequence_index: int, align_to_words: bool) -> tuple[int, int]:
        """Return where in the context the span of two tokens, or of the words that they are in, starts and ends.

        Args:
            enc: the `tokenizers.Encoding` of question and part.
            s: the span's first token.
            e: its last token.
            sequence_index: which of the two texts the context is.
            align_to_words: whether the words count.
        """
        if align_to_words:
            words = [enc.token_to_word(token) for token in (s, e) if token >= 0]
            if len(words) == 2 and None not in words:
                spans = [enc.word_to_chars(word, sequence_index=sequence_index) for word in words]
                if None not in spans:
                    return spans[0][0], spans[1][1]
        return enc.offsets[s][0], enc.offsets[e][1]

    def get_answer(self, answers: list[dict[str, Any]], target: str) -> dict[str, Any] | None:
        """Return the answer of a text, whatever its case; None if there is none."""
        return next((answer for answer in answers if answer["answer"].lower() == target.lower()), None)

    def span_to_answer(self, text: str, start: int, end: int) -> dict[str, Any]:
        """Return the words between two tokens of a text, as a dict of answer, start and end (characters)."""
        words, begin, stop, token, place = [], 0, 0, 0, 0
        for word in text.split(" "):
            if token > end:
                break
            if token >= start:
                words.append(word)
            begin = place if token == start else begin
            stop = place + len(word) if token == end else stop
            token += len(self.tokenizer.tokenize(word))
            place += len(word) + 1
        return {"answer": " ".join(words), "start": begin, "end": min(stop, len(text))}


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given, so that the stage's own default stands."""
    return {name: value for name, value in parameters.items() if value is not None}


def _probabilities(logits: Any, allowed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the probability of each token of one part; what is not allowed has next to none."""
    scores = np.where(allowed, logits.float().numpy(), np.float32(_NEVER))[0]
    scores = np.exp(scores - scores.max())
    return np.asarray(scores / scores.sum())


def _best_spans(
    start: NDArray[np.float32], end: NDArray[np.float32], allowed: NDArray[np.bool_], count: int, longest: int
) -> Iterator[tuple[int, int, float]]:
    """Yield the first and last token of the likeliest spans with their probabilities, best first.

    Where there are fewer than `count`, spans of probability 0 follow, in an order that numpy decides.
    """
    # A span does not end before it starts, nor after its longest.
    scores = np.tril(np.triu(np.outer(start, end)), longest - 1).ravel()
    if count == 1:
        order = np.array([scores.argmax()])
    else:
        order = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
        order = order[np.argsort(-scores[order])]
    possible = {0, *np.flatnonzero(allowed).tolist()}
    for place in order.tolist():
        first, last = divmod(place, len(end))
        if first in possible and last in possible:
            yield first, last, float(scores[place])
