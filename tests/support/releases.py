"""What each release rendered, kept as files, and what an upgrade of the operator would do to those pipelines."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from llmpipeline import desired
from llmpipeline.desired import Desired
from llmpipeline.effect import Effect, effect_of
from support.repository import ROOT, SAMPLES

RELEASES = ROOT / "tests" / "golden" / "releases"
CHANGELOG = ROOT / "CHANGELOG.md"
ROLL_OVER = "### Causes RayCluster roll-over"


def freeze(folder: Path) -> int:
    """Writes what is rendered now of each sample; returns how many there are."""
    folder.mkdir(parents=True)
    samples = sorted(SAMPLES.glob("*.yaml"))
    for sample in samples:
        pipelines = [item for item in yaml.safe_load_all(sample.read_text()) if item]
        documents = [part for item in pipelines for part in (item, _compiled(item).service)]
        (folder / sample.name).write_text(yaml.safe_dump_all(documents, sort_keys=False, width=120))
    return len(samples)


def upgrades(folder: Path) -> Iterator[tuple[str, Effect]]:
    """What this version would do to each pipeline of a release."""
    for file in sorted(folder.glob("*.yaml")):
        documents = list(yaml.safe_load_all(file.read_text()))
        for pipeline, service in zip(documents[::2], documents[1::2], strict=True):
            yield f"{file.stem}/{pipeline['metadata']['name']}", effect_of(service, _compiled(pipeline).service)


def declared_since(version: str, changelog: str) -> bool:
    """Whether the changelog declares a roll-over in a version that came after this one."""
    newer, found, _ = changelog.partition(f"\n## {version}")
    assert found, f"CHANGELOG.md has no heading for {version}"
    return any(re.split("\n#+ ", part)[0].strip() for part in newer.split(ROLL_OVER)[1:])


def _compiled(pipeline: dict[str, Any]) -> Desired:
    found = desired.compile(pipeline)
    assert isinstance(found, Desired), found
    return found
