"""The page of concepts says what its sample does; what runs of it is asked in tests/apps/bundled."""

import re

import yaml

from support.pipelines import desired_of, sample
from support.repository import DOCS, SAMPLES

PAGE = (DOCS / "concepts.md").read_text()
_FENCE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def test_the_page_shows_lines_of_the_sample() -> None:
    lines = [line.strip() for line in (SAMPLES / "concepts.yaml").read_text().splitlines()]
    shown = [line.strip() for block in _FENCE.findall(PAGE) for line in block.splitlines()]
    assert len(shown) > 20
    missing = [line for line in shown if not any(line == known.split("#")[0].strip() for known in lines)]
    assert missing == []


def test_the_model_is_packed_strictly_into_one_pod() -> None:
    service = desired_of(sample("concepts")).service
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    chat = next(app for app in config["applications"] if app["name"] == "chat")
    placement = chat["args"]["llm_configs"][0]["placement_group_config"]
    assert (placement["strategy"], len(placement["bundles"])) == ("STRICT_PACK", 2)
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "2"
