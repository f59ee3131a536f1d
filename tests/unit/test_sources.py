"""Short forms of a model's source: the same models as the long forms, and the volumes that pvc:// needs."""

from typing import Any

import pytest
import yaml

from llmpipeline.kuberay.conventions import HEAD_CONTAINER
from support.pipelines import HELLO, desired_of, model, pipeline


def rendered(source: dict[str, Any], **ray: Any) -> dict[str, Any]:
    chat = {"name": "chat", "routePrefix": "/chat", "openai": {"models": [model(source=source)]}}
    service: dict[str, Any] = desired_of(pipeline(HELLO, chat, ray=ray)).service
    return service


def llm_config(service: dict[str, Any]) -> Any:
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    return next(app for app in config["applications"] if app["name"] == "chat")["args"]["llm_configs"][0]


@pytest.mark.parametrize(
    ("uri", "long"),
    [
        ("hf://Qwen/Qwen3-8B", {"huggingFace": {"repository": "Qwen/Qwen3-8B"}}),
        ("hf://gpt2", {"huggingFace": {"repository": "gpt2"}}),
        ("hf://a/b@refs/pr/1", {"huggingFace": {"repository": "a/b", "revision": "refs/pr/1"}}),
    ],
)
def test_a_short_form_is_the_long_one(uri: str, long: dict[str, Any]) -> None:
    assert rendered({"uri": uri}) == rendered(long)


def pod_specs(service: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = service["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("pvc://models", "/mnt/claims/models"),
        ("pvc://models/", "/mnt/claims/models"),
        ("pvc://models/llama/8b", "/mnt/claims/models/llama/8b"),
    ],
)
def test_a_claim_is_mounted_in_every_pod(uri: str, folder: str) -> None:
    service = rendered({"uri": uri})
    assert llm_config(service)["model_loading_config"]["model_source"] == folder
    for spec in pod_specs(service):
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert volumes["model-models"]["persistentVolumeClaim"] == {"claimName": "models"}
        mounts = spec["containers"][0]["volumeMounts"]
        assert {"name": "model-models", "mountPath": "/mnt/claims/models", "readOnly": True} in mounts


def test_the_claim_of_the_cache_is_one_volume() -> None:
    """The kubelet can wait forever for a second volume of the same claim."""
    service = rendered({"uri": "pvc://models/a"}, modelCache={"path": "/models", "claimName": "models"})
    for spec in pod_specs(service):
        claims = [volume["persistentVolumeClaim"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
        assert claims == [{"claimName": "models"}]
        mounts = [mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == "model-cache"]
        assert [mount["mountPath"] for mount in mounts] == ["/models", "/mnt/claims/models"]


def test_the_longest_name_of_a_claim_is_a_volume() -> None:
    service = rendered({"uri": f"pvc://{'a' * 56}"})
    head = next(spec for spec in pod_specs(service) if spec["containers"][0]["name"] == HEAD_CONTAINER)
    assert max(len(volume["name"]) for volume in head["volumes"]) == 62


def test_a_variant_is_called_as_its_app() -> None:
    split = {"variants": [{"app": "chat", "weight": 9}, {"app": "hello", "weight": 1, "name": "small"}]}
    chat = {"name": "chat", "routePrefix": "/chat", "hello": {}}
    front = {"name": "front", "routePrefix": "/front", "trafficSplit": split}
    service = desired_of(pipeline({**HELLO, "routePrefix": "/hello"}, chat, front)).service
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    app = next(app for app in config["applications"] if app["name"] == "front")
    (settings,) = [it["user_config"] for it in app["deployments"] if "variants" in it.get("user_config", {})]
    assert [variant["name"] for variant in settings["variants"]] == ["chat", "small"]
