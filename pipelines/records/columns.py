"""Which column of a file is the input, and which are parameters of its row.

The left side of a mapping is a parameter's name, or `input` for the first parameter of `preprocess` (its own name works
too), or `input.KEY` for a key of an input that is a dict.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipesmith.pipelines.errors import InputError, ParameterError
from pipesmith.pipelines.names import near_miss

if TYPE_CHECKING:
    from pipesmith.pipelines.records.record import Record
    from pipesmith.pipelines.signature import Parameter, Signature

INPUT = "input"

# Names that need no mapping, the likeliest first.
_FILES = ("file", "path", "file_name", "filename", "file_path", "filepath", "url", "bytes")
_INPUT_NAMES = {
    "text": (
        *("text", "sentence", "input", "inputs", "prompt", "content", "sentence1", "text1", "text_a", "premise"),
        *("question1", "question", "query", "document", "article", "review", "comment"),
    ),
    "image": ("image", "images", "img", "image_path", "image_url", *_FILES),
    "audio": ("audio", "speech", "wav", "audio_path", "audio_url", *_FILES),
    "video": ("video", "clip", "video_path", "video_url", *_FILES),
}
_LISTS = {"candidate_labels"}  # in one cell
# Two texts that belong together, and what the second parameter of a pipeline for pairs is called.
_PAIRS = (
    *(("text", "text_pair"), ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b")),
    *(("premise", "hypothesis"), ("question1", "question2"), ("question", "context"), ("query", "passage")),
)
_SECOND = ("second_text", "text_pair", "text2", "text_b", "sentence2", "hypothesis", "question2", "context", "passage")
# Keys of the dict that a pipeline of transformers takes, each with the columns that serve it.
_KEYS_OF_CLASS: dict[str, dict[str, tuple[str, ...]]] = {
    "QuestionAnsweringPipeline": {"question": ("question",), "context": ("context",)},
    "TableQuestionAnsweringPipeline": {"table": ("table",), "query": ("query", "question")},
    "VisualQuestionAnsweringPipeline": {"image": _INPUT_NAMES["image"], "question": ("question",)},
    "DocumentQuestionAnsweringPipeline": {"image": _INPUT_NAMES["image"], "question": ("question",)},
    "ZeroShotObjectDetectionPipeline": {"image": _INPUT_NAMES["image"], "candidate_labels": ("candidate_labels",)},
    "ImageTextToTextPipeline": {"images": _INPUT_NAMES["image"], "text": ("text", "prompt", "question")},
}
_OPTIONAL_KEYS = {"DocumentQuestionAnsweringPipeline": ("word_boxes",)}
# Keys of a dict that a pipeline of anybody takes, if its preprocess has no parameter for the second.
_KEYS_OF_ANY = (("question", "context"), ("image", "question"), ("table", "query"))


@dataclass(frozen=True)
class ColumnMap:
    """Columns of a row to the input and the parameters of its call.

    Args:
        input: the column that is the input; None if `keys` has several, or if the whole row is the input.
        keys: key of a dict input to column.
        parameters: parameter to column.
        types: what the text of a parameter becomes.
        rest: whether the input is a dict of all columns that are no parameters.
        is_fixed: whether every row has the columns that were looked at; else a row may bring a parameter of its own.
        unasked: parameters that a column of their name may set.
        has_nulls: whether the format tells an empty text from nothing at all; csv does not.
    """

    input: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Parameter] = field(default_factory=dict)
    rest: bool = False
    has_nulls: bool = True
    is_fixed: bool = True
    unasked: frozenset[str] = frozenset()

    def __str__(self) -> str:
        parts = [f"{INPUT} = {self.input}"] if self.input is not None else []
        parts += [f"{INPUT}.{key} = {column}" for key, column in self.keys.items()]
        parts += [f"{INPUT} = the whole row"] if self.rest else []
        parts += [f"{parameter} = {column}" for parameter, column in self.parameters.items()]
        return ", ".join(parts)

    def inputs(self, record: Record) -> Any:
        """Return what `preprocess` is given for a row.

        Raises:
            InputError: the row lacks the column, or its cell is null.
        """
        values = record.values
        if self.rest:
            taken = set(self.parameters.values())
            return {column: value for column, value in values.items() if column not in taken}
        if self.keys:
            return {key: _labels(key, self._cell(record, column)) for key, column in self.keys.items()}
        assert self.input is not None
        return self._cell(record, self.input)

    def call_parameters(self, record: Record) -> dict[str, Any]:
        """Return the parameters of a row's own call. A null cell gives none, nor an empty one where there are no nulls.

        Raises:
            InputError: a cell does not have its parameter's type.
        """
        found: dict[str, Any] = {}
        parameters = self.parameters
        if not self.is_fixed and not self.unasked.isdisjoint(record.values):
            late = {name: name for name in record.values if name in self.unasked and name not in parameters}
            parameters = {**late, **parameters}
        for parameter, column in parameters.items():
            value = record.values.get(column)
            if value is not None and (value != "" or self.has_nulls):
                found[parameter] = self._typed(parameter, column, value, record)
        return found

    def _cell(self, record: Record, column: str) -> Any:
        value = record.values.get(column)
        if value is None:
            missing = "is null" if column in record.values else "is missing"
            raise InputError(
                f"{place(record)}: the column {column!r}, which is the input, {missing}.",
                hint="Fill it, or map another column: --column input=COLUMN",
            )
        return value

    def _typed(self, parameter: str, column: str, value: Any, record: Record) -> Any:
        value = _labels(parameter, value)
        known = self.types.get(parameter)
        if known is None or not known.type.kinds:
            return value
        try:
            if isinstance(value, str) and known.type.kinds != ("str",):
                return known.type.parse_many([value])
            if isinstance(value, float) and known.type.kinds == ("int",):
                if not value.is_integer():
                    raise ValueError("an integer")
                return int(value)  # a table program makes a column with an empty cell float
        except ValueError as error:
            raise InputError(
                f"{place(record)}: {value!r} in column {column!r} is not what {parameter} takes: {known.type}.",
                hint=f"It becomes the parameter {parameter} of its row; --column {parameter}= leaves it alone.",
            ) from error
        return value


def _labels(name: str, value: Any) -> Any:
    """Return labels that stand in one cell as a list: JSON, or text with commas."""
    if name not in _LISTS or not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with suppress(ValueError):
            return json.loads(value)
    return [label.strip() for label in value.split(",") if label.strip()]


def place(record: Record) -> str:
    """Write where a row stands: its file, its number, and its line where it has one."""
    line = f", line {record.line}" if record.line is not None else ""
    return f"{record.file}, row {record.row}{line}"


def parse_mapping(texts: Iterable[str]) -> dict[str, str]:
    """Read `--column NAME=COLUMN`; an empty right side keeps a column from being mapped to NAME unasked.

    Raises:
        ParameterError: there is no "=", or a name is given twice.
    """
    mapping: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ParameterError(f"--column {text!r} is not NAME=COLUMN.", hint="For example --column input=sentence1")
        if name in mapping:
            raise ParameterError(f"--column gives {name} twice: {mapping[name]!r} and {column!r}.")
        mapping[name] = column
    return mapping


def map_columns(
    columns: Sequence[str],
    signature: Signature | None,
    kind: str,
    mapping: Mapping[str, str],
    *,
    given: Iterable[str] = (),
    where: str = "The input",
) -> ColumnMap:
    """Decide which column is what.

    Args:
        columns: those of the file, or of its first row.
        signature: the task's; None if its class is not known before it runs.
        kind: the task's type: text, image, audio, video or multimodal.
        mapping: what the user has mapped: left side to column.
        given: parameters that the command line sets: columns of their names are not taken unasked.
        where: the file, for messages.

    Raises:
        ParameterError: the left side of a mapping is no parameter.
        InputError: a mapped column does not exist, or no column can be told to be the input.
    """
    return _Mapper(columns, signature, kind, given, where).map(mapping)


class _Mapper:
    def __init__(
        self, columns: Sequence[str], signature: Signature | None, kind: str, given: Iterable[str], where: str
    ) -> None:
        self._where = where
        self._columns = list(columns)
        self._parameters = {one.name: one for one in signature.parameters} if signature else {}
        self._any_parameter = signature is None or signature.unknown_parameters != "refused"
        self._signature = signature
        self._kind = kind
        self._given = set(given)
        self._taken: set[str | None] = set()
        of_input = signature.input.name if signature and signature.input else None
        self._input_name = of_input if of_input not in self._parameters else None

    def map(self, mapping: Mapping[str, str]) -> ColumnMap:
        inputs: dict[str, str] = {}  # "" is the input itself
        parameters: dict[str, str] = {}
        for name, column in mapping.items():
            key = self._input_key(name)
            if key is None and name not in self._parameters and not self._any_parameter:
                known = [INPUT, *self._parameters]
                raise ParameterError(
                    f"--column {name}={column}: the task has no parameter {name}.",
                    hint=near_miss(name, known) or f"The left side is one of {', '.join(known)}, or input.KEY.",
                )
            if key is not None and key in inputs:
                raise ParameterError(
                    f"--column maps {INPUT}{'.' if key else ''}{key} twice: {inputs[key]!r} and {column!r}."
                )
            if column:
                (parameters if key is None else inputs)[name if key is None else key] = self._existing(name, column)
        if "" in inputs and len(inputs) > 1:
            raise ParameterError(
                "--column maps both the input and keys of it.",
                hint="Give input=COLUMN, or input.KEY=COLUMN for every key.",
            )
        parameters = {**self._unasked_parameters(mapping, inputs), **parameters}
        if inputs:
            return self._made(inputs, parameters)
        return self._guessed(parameters)

    def _input_key(self, name: str) -> str | None:
        """Return the key of the input that a left side means, "" for the input itself, None for a parameter."""
        head, _, key = name.partition(".")
        if head == INPUT or (self._input_name is not None and head == self._input_name):
            return key
        return None

    def _existing(self, name: str, column: str) -> str:
        if column not in self._columns:
            raise InputError(
                f"{self._where} has no column {column!r}, which --column {name}={column} names.",
                hint=near_miss(column, self._columns) or f"There are {_listed(self._columns)}.",
            )
        return column

    def _unasked_parameters(self, mapping: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, str]:
        """Return the columns that are named like a parameter, are not used otherwise and not set already."""
        self._taken = {*mapping, *self._given, self._input_name, *inputs.values(), *mapping.values()}
        return {name: name for name in self._parameters if name in self._columns and name not in self._taken}

    def _guessed(self, parameters: dict[str, str]) -> ColumnMap:
        """Find the input among the columns that are no parameters."""
        free = [column for column in self._columns if column not in parameters.values()]
        keys = self._keys(free)
        if keys:
            return self._made(keys, parameters)
        named = self._input_name if self._input_name in free else None
        likely = [name for name in _INPUT_NAMES.get(self._kind, ()) if name in free]
        if self._kind not in _INPUT_NAMES:
            likely = [name for names in _INPUT_NAMES.values() for name in names if name in free]
        takes_json = self._signature is not None and self._signature.input and self._signature.input.takes_json
        if named is None and takes_json and free:
            return self._made({}, parameters)
        first = named or (likely[0] if likely else None) or (free[0] if len(free) == 1 else None)
        if first is None:
            raise InputError(
                f"{self._where}: no column can be told to be the input: there are {_listed(self._columns)}.",
                hint=f"Say which: --column {INPUT}={free[0] if free else 'COLUMN'}",
            )
        second = self._second(first, free, parameters)
        if second is None:
            return self._made({"": first}, parameters)
        if second[0] is None:
            return self._made({"text": first, "text_pair": second[1]}, parameters)
        return self._made({"": first}, {**parameters, second[0]: second[1]})

    def _keys(self, free: Sequence[str]) -> dict[str, str]:
        """Return the columns of a dict input, where the task is known to take one or several columns say so."""
        name = self._class_of_preprocess()
        found: dict[str, str] = {}
        for key, names in _KEYS_OF_CLASS.get(name, {}).items():
            match = next((one for one in names if one in free), None)
            if match is not None:
                found[key] = match
        if name in _KEYS_OF_CLASS:
            more = {key: key for key in _OPTIONAL_KEYS.get(name, ()) if key in free}
            return {**found, **more} if len(found) == len(_KEYS_OF_CLASS[name]) else {}
        for keys in _KEYS_OF_ANY:
            joint = all(key in free for key in keys) and not set(_SECOND) & set(self._parameters)
            if joint and not set(keys) & {*self._parameters, self._input_name} and not name:
                return {key: key for key in keys}
        return {}

    def _second(self, first: str, free: Sequence[str], parameters: Mapping[str, str]) -> tuple[str | None, str] | None:
        """Return the parameter and the column of a pair's second text; the parameter is None for a key of a dict."""
        column = next((second for one, second in _PAIRS if one == first and second in free), None)
        if column is None:
            return None
        parameter = next((name for name in _SECOND if name in self._parameters), None)
        if parameter is not None and parameter not in parameters and parameter not in self._given:
            return parameter, column
        if parameter is None and self._class_of_preprocess() == "TextClassificationPipeline":
            return None, column
        return None

    def _class_of_preprocess(self) -> str:
        """Return the class of transformers whose preprocess the task runs, "" if it is a user's own."""
        if self._signature is None:
            return ""
        place = self._signature.method_places.get("preprocess")
        if place is not None and "transformers/pipelines" not in place[0].as_posix():
            return ""
        return self._signature.transformers_base or self._signature.class_name

    def _made(self, inputs: Mapping[str, str], parameters: Mapping[str, str]) -> ColumnMap:
        keys = {key: column for key, column in inputs.items() if key}
        unasked = set(self._parameters) - self._taken - set(inputs.values())
        return ColumnMap(
            input=inputs.get(""),
            keys=keys,
            parameters=parameters,
            types=self._parameters,
            rest=not inputs,
            unasked=frozenset(unasked),
        )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() else repr(name) for name in columns[:12])
    return f"{shown}, ... ({len(columns)} columns)" if len(columns) > 12 else shown or "none"
