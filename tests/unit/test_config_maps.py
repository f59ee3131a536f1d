"""Code of a step in a ConfigMap: what is rendered for a cluster, and what one machine takes from the file."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llmpipeline.cli.config_maps import config_maps
from llmpipeline.cli.local_job import local_job
from llmpipeline_serve.local.adapt import adapt
from llmpipeline_serve.local.job import Job
from llmpipeline_serve.local.machine import Machine
from support.pipelines import Document, desired_of, pipeline

MOUNT = {"name": "code-mine", "mountPath": "/etc/llmpipeline/code/mine", "readOnly": True}


def with_code(*names: str, **custom: Any) -> Document:
    steps = [
        {"name": f"step{index}", "custom": {"importPath": "a:b", "code": {"configMap": name}, **custom}}
        for index, name in enumerate(names)
    ]
    return pipeline({"name": "app", "graph": {"nodes": steps}})


def pods_of(document: Document) -> list[Document]:
    cluster = desired_of(document).service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def environment(document: Document) -> Any:
    (app,) = desired_of(document).plan.applications
    return app.deployments[1]["ray_actor_options"].get("runtime_env")


def test_every_ray_pod_mounts_it_read_only() -> None:
    pods = pods_of(with_code("mine", "mine"))
    assert len(pods) == 2
    for pod in pods:
        assert [it for it in pod["volumes"] if "configMap" in it] == [
            {"name": "code-mine", "configMap": {"name": "mine"}}
        ]
        assert pod["containers"][0]["volumeMounts"] == [MOUNT]


def test_the_order_of_the_nodes_does_not_change_the_pods() -> None:
    assert pods_of(with_code("mine", "yours")) == pods_of(with_code("yours", "mine"))


def test_only_that_node_can_import_it() -> None:
    found = environment(with_code("mine"))
    assert found == {"env_vars": {"PYTHONPATH": "/etc/llmpipeline/code/mine:${PYTHONPATH}"}}
    given = {"env_vars": {"A": "1", "PYTHONPATH": "/mine"}, "pip": ["x"]}
    assert environment(with_code("mine", runtimeEnv=given)) == {
        "env_vars": {"A": "1", "PYTHONPATH": "/etc/llmpipeline/code/mine:/mine"},
        "pip": ["x"],
    }
    plain = {"name": "a", "custom": {"importPath": "a:b"}}
    assert environment(pipeline({"name": "app", "graph": {"nodes": [plain]}})) is None


FILE = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: mine}, data: {a.py: "x = 1", ../b.py: "y", .c: "z", d: 3}}
- {apiVersion: v1, kind: ConfigMap, metadata: 3, data: {}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: none}}
- 3
---
apiVersion: v1
kind: Secret
metadata: {name: mine}
data: {a.py: secret}
---
"""


def test_what_is_taken_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(FILE)
    assert config_maps(str(file)) == {"mine": {"a.py": "x = 1"}}
    assert config_maps("-") == config_maps(str(tmp_path)) == {}


def test_what_the_runner_gets() -> None:
    job, notes = local_job(desired_of(with_code("mine", "other")), {}, config_maps={"mine": {"a.py": ""}, "more": {}})
    assert job["code"] == {"mine": {"a.py": ""}}
    assert notes == [
        "ConfigMap other is not in the file: its modules must be in the current folder or next to the file"
    ]
    loopback = IPv4Address("127.0.0.1")
    machine = Machine(loopback, 8000, 0, haproxy=False, tiny_models=None, code_folder="/tmp/x/code")
    adapted = adapt(job["serve_config"], machine).serve_config
    options = adapted["applications"][0]["deployments"][1]["ray_actor_options"]
    assert options["runtime_env"]["env_vars"] == {"PYTHONPATH": "/tmp/x/code/mine:${PYTHONPATH}"}


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ""])
def test_a_job_writes_nowhere_else(name: str) -> None:
    job, _ = local_job(desired_of(with_code("mine")), {}, config_maps={"mine": {name: ""}})
    with pytest.raises(ValidationError):
        Job.model_validate(job)
