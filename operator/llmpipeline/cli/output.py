"""Results as text."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from llmpipeline.cli.documents import Found
from llmpipeline.problems import format_path


def wants_colour(environment: Mapping[str, str] = os.environ) -> bool | None:
    """False where NO_COLOR is set; None leaves it to whether the output is a terminal."""
    return False if environment.get("NO_COLOR") else None


class _Dumper(yaml.SafeDumper):
    """Readable YAML: texts of several lines as blocks, no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def manifests_as_yaml(manifests: Sequence[dict[str, Any]]) -> str:
    """Manifests as YAML documents, in the order of their fields."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def problems_as_json(problems: Iterable[Found]) -> str:
    """Problems as a JSON list of objects with file, line, field, message, remedy and reason."""
    return json.dumps(
        [
            {
                "file": found.file,
                "line": found.line,
                "field": format_path(found.problem.path),
                "message": found.problem.message,
                "remedy": found.problem.remedy,
                "reason": found.problem.reason,
            }
            for found in problems
        ],
        indent=2,
        ensure_ascii=False,
    )
