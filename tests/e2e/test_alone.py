"""One pipeline at a time on real KubeRay: the smallest, one that grows, one whose image is missing, one with models."""

import time
from collections.abc import Iterator

import pytest
import yaml

from llmpipeline.render.pods import CONTAINER_SECURITY
from support.e2e.installation import Images, note
from support.e2e.kubectl import LLMP, Kube, until
from support.e2e.serving import Client, answered, clusters, pipeline, ready, url
from support.repository import SAMPLES

pytestmark = pytest.mark.usefixtures("needs_kuberay")


@pytest.fixture(autouse=True)
def alone(kube: Kube, namespace: str, needs_kuberay: None) -> Iterator[None]:
    """Two cores hold one at a time: whatever a test left goes before the next one."""
    yield
    kube.delete(LLMP, "--all", namespace, "--cascade=foreground", seconds=300)


def test_the_hello_sample_answers(kube: Kube, client: Client, images: Images, namespace: str) -> None:
    document = yaml.safe_load((SAMPLES / "hello.yaml").read_text())
    document["metadata"]["namespace"] = namespace
    document["spec"]["ray"]["image"] = images.serve
    began = time.monotonic()
    kube.apply(document)
    until(lambda: client.ask(f"{url('hello', namespace)}/hello")[0] == 200, 300, "an answer")
    note(f"hello: kubectl apply to the first answer {time.monotonic() - began:.1f} s")
    ready(kube, "hello", namespace)
    status = (kube.get(LLMP, "hello", namespace) or {})["status"]
    assert status["url"] == url("hello", namespace)
    assert client.ask(f"{status['url']}/hello")[1]["message"] == "Hello from llmpipeline"
    (cluster,) = clusters(kube, namespace, "hello")

    began = time.monotonic()
    kube.delete(LLMP, "hello", namespace)
    until(lambda: not kube.list("pods", namespace, f"ray.io/cluster={cluster}"), 180, "the Ray Pods to be gone")
    until(lambda: not clusters(kube, namespace, "hello"), 60, "the RayCluster to be gone")
    kinds = "rayservices,services,networkpolicies,poddisruptionbudgets"
    until(lambda: not kube.list(kinds, namespace), 60, "what surrounded them to be gone")
    note(f"hello: deleted, and everything gone {time.monotonic() - began:.1f} s later")


def test_load_brings_workers_and_their_end_takes_them_away(
    kube: Kube, client: Client, images: Images, namespace: str
) -> None:
    scaling = {
        "minReplicas": 1, "maxReplicas": 2, "targetOngoingRequests": 2, "upscaleDelaySeconds": 2,
        "downscaleDelaySeconds": 5, "lookBackPeriodSeconds": 5, "metricsIntervalSeconds": 1,
    }  # fmt: skip
    batch = {
        "custom": {"importPath": "own_code:slow"}, "maxBatchSize": 1, "autoscaling": scaling,
        "resources": {"cpus": "600m"}, "maxOngoingRequests": 8, "maxQueuedRequests": 200,
    }  # fmt: skip
    workers = [{"name": "cpu", "resources": {"cpus": "600m", "memory": "1500Mi"}, "minReplicas": 1, "maxReplicas": 2}]
    autoscaler = {"idleTimeoutSeconds": 10, "resources": {"cpus": "100m", "memory": "512Mi"}}
    apps = [{"name": "slow", "batch": batch}]
    kube.apply(pipeline("grows", namespace, images.serve, apps, workers=workers, autoscaler=autoscaler))
    ready(kube, "grows", namespace)
    (cluster,) = clusters(kube, namespace, "grows")

    def running() -> int:
        pods = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type=worker")
        return sum(it["status"].get("phase") == "Running" and "deletionTimestamp" not in it["metadata"] for it in pods)

    assert running() == 1
    with client.load(f"{url('grows', namespace)}/slow", clients=6, per_second=100) as result:
        began = time.monotonic()
        until(lambda: running() == 2, 180, "a second worker Pod")
        note(f"load: a second worker Pod ran after {time.monotonic() - began:.1f} s")
        time.sleep(10)
    began = time.monotonic()
    until(lambda: running() == 1, 240, "the second worker Pod to go")
    note(f"load ended: the second worker Pod was gone after {time.monotonic() - began:.1f} s; {result}")
    assert result["lost"] == {}


def test_an_image_that_cannot_be_pulled_is_told(kube: Kube, client: Client, images: Images, namespace: str) -> None:
    document = pipeline("no-image", namespace, f"{images.serve}-of-nobody", [{"name": "hello", "hello": {}}])
    kube.apply(document)
    found = kube.wait_for("no-image", namespace, "Ready", "False", "PodsFailing", 120)
    assert "of-nobody" in found["message"]
    note(f"an image that cannot be pulled: {found['message'][:160]}")


def test_the_analyze_sample_with_real_models(kube: Kube, client: Client, images: Images, namespace: str) -> None:
    """Transformers in Ray Pods. Its models are tiny ones, made in each Pod before Ray starts."""
    if not images.cpu:
        pytest.skip("set E2E_CPU_IMAGE to an image with Transformers")
    document = yaml.safe_load((SAMPLES / "analyze.yaml").read_text())
    document["metadata"]["namespace"] = namespace
    spec = document["spec"]
    spec["ray"]["image"] = images.cpu
    for node in spec["apps"][0]["graph"]["nodes"]:
        node["resources"] = {"cpus": "100m"}
        for kind in ("classify", "summarize"):
            if kind in node:
                node[kind]["model"] = {"path": f"/models/tiny-{kind}"}
    spec["apps"][0]["graph"]["ingress"]["resources"] = {"cpus": "100m"}
    make = (
        "from pathlib import Path\n"
        "from llmpipeline_serve.local.tiny.make import make_tiny_models\n"
        "make_tiny_models(Path('/models'))"
    )
    mount = [{"name": "models", "mountPath": "/models"}]
    template = {
        "spec": {
            "initContainers": [
                {
                    "name": "models", "image": images.cpu, "command": ["python3", "-c", make], "volumeMounts": mount,
                    "securityContext": CONTAINER_SECURITY,
                }
            ],
            "containers": [{"name": "ray-worker", "volumeMounts": mount}],
            "volumes": [{"name": "models", "emptyDir": {}}],
        }
    }  # fmt: skip
    spec["workers"] = [
        {
            "name": "cpu",
            "resources": {"cpus": 1, "memory": "4Gi"},
            "minReplicas": 1,
            "maxReplicas": 1,
            "podTemplate": template,
        }
    ]
    spec["head"] = {"resources": {"cpus": "200m", "memory": "2Gi"}}
    began = time.monotonic()
    kube.apply(document)
    ready(kube, "analyze", namespace, 600)
    note(f"analyze with tiny models in Transformers: Ready {time.monotonic() - began:.1f} s after kubectl apply")
    answer = answered(client, f"{url('analyze', namespace)}/analyze", {"text": "A good day. " * 40})
    assert answer["original_length"] == 480
    assert answer["sentiment"]["label"] in ("POSITIVE", "NEGATIVE")
    assert isinstance(answer["summary"], str)
