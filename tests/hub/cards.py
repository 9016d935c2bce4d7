"""What the Hub reads from README.md's metadata and from config.json."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from hub.store import Commit

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_CONFIG_KEYS = ("architectures", "model_type", "auto_map", "custom_pipelines")


def read_card(text: str) -> tuple[dict[str, Any], list[str]]:
    """README.md's metadata, and what is wrong with it."""
    found = _FRONT_MATTER.match(text)
    if not found:
        return {}, []
    try:
        metadata = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as error:
        return {}, [f"Invalid YAML: {error}"]
    if not isinstance(metadata, dict):
        return {}, ["The metadata must be a mapping"]
    return metadata, [*_type_errors(metadata)]


def _type_errors(metadata: dict[str, Any]) -> list[str]:
    errors = [f'"{key}" must be a string' for key in ("pipeline_tag", "library_name") if not _is(metadata, key, str)]
    if not _is(metadata, "tags", list):
        errors.append('"tags" must be an array')
    return errors


def _is(metadata: dict[str, Any], key: str, expected: type) -> bool:
    return metadata.get(key) is None or isinstance(metadata[key], expected)


def describe(commit: Commit) -> dict[str, Any]:
    """The fields of a model's or dataset's information that come from its files."""
    readme = commit.files.get("README.md")
    card, _ = read_card(readme.content.decode(errors="replace")) if readme else ({}, [])
    config = _config(commit)
    library = card.get("library_name") or ("transformers" if "model_type" in config else None)
    pipeline_tag = card.get("pipeline_tag")
    custom = ["custom_code"] if "auto_map" in config or "custom_pipelines" in config else []
    licence = [f"license:{card['license']}"] if card.get("license") else []
    tags = [library, pipeline_tag, *custom, *(card.get("tags") or []), *licence]
    return {
        "tags": list(dict.fromkeys(tag for tag in tags if tag)),
        "pipeline_tag": pipeline_tag,
        "library_name": library,
        "cardData": card,
        "config": config,
    }


def _config(commit: Commit) -> dict[str, Any]:
    file = commit.files.get("config.json")
    try:
        config = json.loads(file.content) if file else {}
    except ValueError:
        return {}
    return {key: config[key] for key in _CONFIG_KEYS if key in config} if isinstance(config, dict) else {}
