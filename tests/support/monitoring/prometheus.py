"""A real Prometheus on the loopback, and what it is asked."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llmpipeline.monitoring import scraping
from support.child_process import Child, free_port
from support.control_plane.assets import PROMETHEUS, build_once

Labels = dict[str, str]


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def query(self, expression: str) -> list[tuple[Labels, float]]:
        """The series of an expression now, each with its value."""
        found = self._get("query", query=expression)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(item["metric"], float(item["value"][1])) for item in found["result"]]

    def lines(self, expression: str, seconds: float, step: float = 2) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """The series of an expression over the last seconds, each with its times and values."""
        now = time.time()
        found = self._get("query_range", query=expression, start=now - seconds, end=now, step=step)
        return [
            (item["metric"], [(moment, float(value)) for moment, value in item["values"]]) for item in found["result"]
        ]

    def names(self) -> set[str]:
        """The names of all metrics that it has."""
        return set(self._get("label/__name__/values"))

    def values(self, series: str, label: str) -> list[str]:
        """The values of a label, as a dashboard's variable has them."""
        found: list[str] = self._get(f"label/{label}/values", **{"match[]": series})
        return found

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, each with its health."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def _get(self, path: str, **parameters: Any) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters.get('query')}: {json.load(error)['error']}") from error


def ray_job(discovery: Path, labels: Mapping[str, str]) -> dict[str, Any]:
    """The job of a local Ray, whose targets are in a file of its own; the labels are those that Pods would give it."""
    return {
        "job_name": "llmpipeline-ray",
        "file_sd_configs": [{"files": [str(discovery)], "refresh_interval": "5s"}],
        "relabel_configs": [{"target_label": name, "replacement": value} for name, value in labels.items()],
        "metric_relabel_configs": scraping.series_relabelings(),
    }


def operator_job(*ports: int) -> dict[str, Any]:
    """The job of operators on this machine."""
    targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    return {"job_name": "llmpipeline-operator", "honor_labels": True, "static_configs": targets}


@contextmanager
def running(folder: Path, jobs: Sequence[Mapping[str, Any]], rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these jobs every three seconds, until the context is left."""
    binary, port = build_once(PROMETHEUS), free_port()
    config = {
        "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "3s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": list(jobs),
    }
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    options = [
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    child = Child([str(binary), *options], folder / "prometheus.log")
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        _wait(found, child)
        yield found
    finally:
        child.stop()


def _wait(found: Prometheus, child: Child) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert child.exit_code is None, child.log_tail()
        try:
            urllib.request.urlopen(f"{found.url}/-/ready", timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, child.log_tail()
            time.sleep(0.2)
        else:
            return
