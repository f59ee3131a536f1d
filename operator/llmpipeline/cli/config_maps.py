"""The ConfigMaps that stand in a file next to a pipeline: a machine without a cluster takes them from there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from llmpipeline.cli.kubectl_yaml import UnreadableError, nodes_of, value_of

Files = dict[str, str]

_FILE: Final = re.compile(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]*")


def config_maps(file: str) -> dict[str, Files]:
    """The texts of each ConfigMap of a file, by its name. The file has been read before, so what is wrong is known."""
    try:
        documents = [value_of(node) for node in nodes_of(Path(file).read_text("utf-8-sig")) if node]
    except (OSError, ValueError, yaml.YAMLError, UnreadableError):
        return {}
    return dict(item for document in documents for item in _config_maps(document))


def _config_maps(document: Any) -> Iterator[tuple[str, Files]]:
    if not isinstance(document, dict):
        return
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _config_maps(item)
    metadata, data = document.get("metadata"), document.get("data")
    if document.get("kind") == "ConfigMap" and isinstance(metadata, dict) and isinstance(data, dict):
        # What Kubernetes takes as a key, and Python as a file with a module.
        texts = {key: text for key, text in data.items() if _FILE.fullmatch(str(key)) and isinstance(text, str)}
        yield str(metadata.get("name")), texts
