"""Types that transformers' own pipelines show by the names of their parameters alone.

For files of transformers, and for what goes to its `generate`: a user's parameter that nothing describes is text.
Tuned on transformers 5.23.
"""

from __future__ import annotations

import re

from pipesmith.pipelines.signature.parameter_types import JSON_OBJECT, ParameterType

_INT, _FLOAT, _BOOL = ParameterType(("int",)), ParameterType(("float",)), ParameterType(("bool",))
_JSON, _TEXT = ParameterType(("json",)), ParameterType(("str",))

_BY_NAME: tuple[tuple[str, ParameterType], ...] = (
    (r"timeout|.*(threshold|_thresh|_ratio|_s|_area|_offset)", _FLOAT),
    (r".*_(kwargs|params)|parameters", JSON_OBJECT),
    (r"top_?k|num_.*|n_.*|.*_n|max_.*_(len|length|tokens)|max_length|stride|doc_stride|.*_per_.*|.*_factor", _INT),
    (
        r"return_(?!type).*|(is|do|load|use|skip|add|output|continue|handle|clean_up|align|ignore)_.*|sequential|multi_.*",
        _BOOL,
    ),
    (r"candidate_labels|targets", ParameterType(("str",), is_list=True)),
    (r"ignore_labels", ParameterType(("str",), is_list=True, is_scalar=False)),
    (r".*_penalty|penalty_.*", _FLOAT),
    (r".*_size", _INT),
    (r"low_memory", _BOOL),
    (r".*_config|.*_ids|constraints", _JSON),
    (r".*template|prefix|.*lang|delimiter|prompt", _TEXT),
    (r"padding|truncation", ParameterType(("bool", "str"))),
    (r"tools|documents", ParameterType(("json",), is_list=True, is_scalar=False)),
    (r"offset_mapping", _JSON),
)


def conventional_type(name: str) -> ParameterType | None:
    """Return the type that transformers gives parameters of this name, or None."""
    return next((kind for pattern, kind in _BY_NAME if re.fullmatch(pattern, name)), None)
