"""README.md of a push: what its author wrote stays, its metadata too."""

from __future__ import annotations

import pytest

from pipesmith.pipelines.errors import PublishError
from pipesmith.pipelines.publishing.card import CardFacts, render_card
from pipesmith.pipelines.publishing.example import Example
from pipesmith.pipelines.publishing.folder import SavedPipeline

pytestmark = pytest.mark.both_lines


def rendered(existing: str | None, **facts: str) -> str:
    saved = SavedPipeline(("one", "no"), ("one.py",), (), ())
    named = {"pipeline_tag": "text-classification", **facts}
    return render_card(CardFacts("me/demo", saved, Example("one", "text", {}, [1]), {}, **named), existing)


def top_and_text(card: str) -> tuple[str, str]:
    _, top, text = card.split("---\n", 2)
    return top, text


ADDED = "library_name: transformers\npipeline_tag: text-classification\n"
TAGS = "tags:\n- one\n- 'no'\n- custom-pipeline\n"
# name -> metadata that is there, and metadata that it becomes
METADATA = {
    "none": ("", f"{ADDED}{TAGS}"),
    "kept to the letter": (
        "# by hand\nlanguage: no\nversion: 1.10  # not 1.1\nlibrary_name: peft\ndate: 2020-01-01\n",
        "# by hand\nlanguage: no\nversion: 1.10  # not 1.1\nlibrary_name: peft\ndate: 2020-01-01\n"
        f"pipeline_tag: text-classification\n{TAGS}",
    ),
    "tags below each other": (
        "tags:  # mine\n  - a  # first\n  - one # second\nlicense: mit\n",
        f"tags:  # mine\n  - a  # first\n  - one # second\n  - 'no'\n  - custom-pipeline\nlicense: mit\n{ADDED}",
    ),
    "tags in a row": ("tags: [a, one]\n", f"tags: [a, one, 'no', custom-pipeline]\n{ADDED}"),
    "no tags in a row": ("tags: []\n", f"tags: [one, 'no', custom-pipeline]\n{ADDED}"),
    "one tag": ("tags: a\n", f"tags: [a, one, 'no', custom-pipeline]\n{ADDED}"),
    "tags left out": ("tags:\nlicense: mit\n", f"tags: [one, 'no', custom-pipeline]\nlicense: mit\n{ADDED}"),
    "odd results": (
        "model-index:\n- name: a\n  results: 3\n",
        f"model-index:\n- name: a\n  results: 3\n{ADDED}{TAGS}",
    ),
    "in braces": ("{license: mit}\n", f"license: mit\n{ADDED}{TAGS}"),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_added_to(name: str) -> None:
    before, expected = METADATA[name]
    text = "    indented, and a rule\n\n---\n\n# Mine\n"
    card = rendered(f"---\n{before}---\n{text}" if before else text)
    top, below = top_and_text(card)
    assert top == expected
    assert below.lstrip("\n").startswith(text if before else text.lstrip())
    assert rendered(card) == card


@pytest.mark.parametrize("before", ["license: gpl\n", "license:\n- gpl\n- mit\n", "license: [gpl]\n", "license:\n"])
def test_licence_that_is_given_replaces_what_is_there(before: str) -> None:
    import yaml

    card = rendered(f"---\n{before}language: no\n---\n", license="apache-2.0")
    top, _ = top_and_text(card)
    assert yaml.safe_load(top)["license"] == "apache-2.0" and "language: no\n" in top
    kept, _ = top_and_text(rendered(f"---\n{before}---\n"))
    assert before in kept


def test_line_ends_stay() -> None:
    card = rendered("---\r\nlicense: mit\r\n---\r\n# Mine\r\n")
    assert card.count("\n") == card.count("\r\n") and card.startswith("---\r\nlicense: mit\r\n")
    assert rendered(card) == card


@pytest.mark.parametrize("before", ["license: [mit\n", "- a\n- b\n", "\nA rule above.\n\n"])
def test_metadata_that_is_none_is_refused(before: str) -> None:
    with pytest.raises(PublishError, match=r"metadata at the top of README\.md does not parse"):
        rendered(f"---\n{before}---\n# Mine\n")
