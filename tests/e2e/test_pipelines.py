"""Pipelines on real KubeRay: real Ray Pods answer over the Service, edited, hurt, scaled and deleted."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from installation import SAMPLES, Images, Installation, note
from kubectl import LLMP, Kube, Manifest, until
from serving import Client, code_volume, make_code, url

pytestmark = pytest.mark.usefixtures("needs_kuberay")

REQUESTS = 20_000
LIGHT = {"cpus": "200m"}


@pytest.fixture(scope="module")
def client(kube: Kube, installation: Installation, images: Images, namespace: str, kuberay: str) -> Iterator[Client]:
    if kuberay:
        pytest.skip(kuberay)
    make_code(kube, namespace)
    pod = Client(kube, namespace, images.serve)
    pod.start()
    yield pod
    kube.delete("pod", Client.name, namespace, "--grace-period=1")


def pipeline(name: str, namespace: str, image: str, apps: list[Manifest], **spec: Any) -> Manifest:
    """One with small Pods, as many fit on two cores, and with the tests' own code in them."""
    return {
        "apiVersion": "serving.llmpipeline.dev/v1alpha1",
        "kind": "LLMPipeline",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "ray": {
                "version": "2.60.0",
                "image": image,
                "environment": [{"name": "PYTHONPATH", "value": "/code"}],
            },
            "head": {"resources": {"cpus": "200m", "memory": "2Gi"}, "podTemplate": code_volume("ray-head")},
            "workerDefaults": {"podTemplate": code_volume("ray-worker")},
            "workers": [
                {"name": "cpu", "resources": {"cpus": "500m", "memory": "2Gi"}, "minReplicas": 1, "maxReplicas": 1}
            ],
            "apps": apps,
            **spec,
        },
    }


def clusters(kube: Kube, namespace: str, name: str) -> list[str]:
    """The Ray clusters of a pipeline."""
    chosen = kube.list("rayclusters", namespace, f"ray.io/originated-from-cr-name={name}")
    return [item["metadata"]["name"] for item in chosen]


def ray_pod(kube: Kube, namespace: str, name: str, kind: str) -> str:
    (cluster,) = clusters(kube, namespace, name)
    (pod,) = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type={kind}")
    return str(pod["metadata"]["name"])


def ready(kube: Kube, name: str, namespace: str, seconds: float = 300) -> None:
    kube.wait_for(name, namespace, "Ready", "True", "AppsRunning", seconds)
    kube.wait_for(name, namespace, "Progressing", "False", "Settled", seconds)


def answered(client: Client, address: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
    """The body of the answer. HAProxy in the Pods may learn of a new route a second or two after Ray has called the app
    RUNNING (docs/limits.md)."""

    def ask() -> list[Any]:
        status, found = client.ask(address, body, headers)
        return [found] if status == 200 else []

    return until(ask, 15, f"{address} to answer")[0]


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
    left = kube.list("rayservices,services,networkpolicies,poddisruptionbudgets", namespace)
    assert [item["metadata"]["name"] for item in left] == []
    note(f"hello: deleted, and everything gone {time.monotonic() - began:.1f} s later")


@pytest.fixture(scope="module")
def many(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """A graph with light nodes, a batch, two greetings and a split over them, in one Pod of one core."""
    nodes = [
        {"name": "clean", "preprocess": {}},
        {"name": "count", "after": ["clean"], "custom": {"importPath": "own_code:count"}},
        {"name": "sentiment", "after": ["clean"], "custom": {"importPath": "own_code:praise"}},
    ]
    for node in nodes:
        node["resources"] = {"cpus": "50m"}
    output = {"words": "count.words", "sentiment": "sentiment.label", "language": "clean.language"}
    variants = [
        {"name": "stable", "app": "greeting", "weight": 90},
        {"name": "candidate", "app": "other", "weight": 10},
    ]
    tiny = {"resources": {"cpus": "50m"}}
    apps = [
        {"name": "analyze", "graph": {"nodes": nodes, "output": output, "ingress": tiny}},
        {"name": "shout", "batch": {"custom": {"importPath": "own_code:shout"}, "maxBatchSize": 16, **tiny}},
        {"name": "greeting", "hello": {"message": "Hello", "replicas": 2, **tiny}},
        {"name": "other", "hello": {"message": "Good day", **tiny}},
        {"name": "front", "trafficSplit": {"variants": variants, "sticky": {"header": "X-User"}, **tiny}},
    ]
    began = time.monotonic()
    kube.apply(pipeline("many", namespace, images.serve, apps))
    ready(kube, "many", namespace)
    note(f"a graph, a batch, a split and two greetings: Ready {time.monotonic() - began:.1f} s after kubectl apply")
    yield "many"
    kube.delete(LLMP, "many", namespace)
    until(lambda: not clusters(kube, namespace, "many"), 180, "the Ray cluster to be gone")


def test_a_graph_answers(client: Client, many: str, namespace: str) -> None:
    answer = answered(client, f"{url(many, namespace)}/analyze", {"text": "This is a good day for all of us."})
    assert answer == {"words": 9, "sentiment": "POSITIVE", "language": "en"}


def test_a_batch_answers(client: Client, many: str, namespace: str) -> None:
    assert answered(client, f"{url(many, namespace)}/shout", {"input": "quiet"}) == {"output": "QUIET"}


def test_a_split_answers_and_keeps_to_its_user(client: Client, many: str, namespace: str) -> None:
    def ask(user: str) -> str:
        return str(answered(client, f"{url(many, namespace)}/front", {}, {"X-User": user})["message"])

    assert {ask("somebody") for _ in range(5)} in ({"Hello"}, {"Good day"})


def edited(kube: Kube, name: str, namespace: str, change: Any) -> str:
    """Applies a change of the spec; returns what the status says that it did."""
    found = kube.get(LLMP, name, namespace)
    assert found
    document = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    document["metadata"] = {"name": name, "namespace": namespace}
    change(document["spec"])
    kube.apply(document)

    def effect() -> str:
        now = kube.get(LLMP, name, namespace) or {}
        last = now.get("status", {}).get("lastEdit", {})
        return str(last["effect"]) if last.get("observedGeneration") == now["metadata"]["generation"] else ""

    return until(effect, 60, "the edit to be looked at")


def test_edits_in_place_and_to_a_new_cluster_lose_no_request(
    kube: Kube, client: Client, many: str, namespace: str
) -> None:
    """Under load all the while: another greeting, then another variable, which takes a second Ray cluster."""
    (former,) = clusters(kube, namespace, many)

    def other_greeting(spec: Manifest) -> None:
        next(app for app in spec["apps"] if app["name"] == "greeting")["hello"]["message"] = "Salut"

    def other_variable(spec: Manifest) -> None:
        spec["ray"]["environment"].append({"name": "CHANGED", "value": "yes"})

    address = f"{url(many, namespace)}/greeting"
    with client.load(address, at_least=REQUESTS) as result:
        began = time.monotonic()
        assert edited(kube, many, namespace, other_greeting) == "InPlace"
        until(lambda: client.ask(address)[1].get("message") == "Salut", 120, "the new greeting")
        note(f"an edit in place: the first new answer {time.monotonic() - began:.1f} s after kubectl apply")
        ready(kube, many, namespace)
        assert clusters(kube, namespace, many) == [former]

        began = time.monotonic()
        assert edited(kube, many, namespace, other_variable) == "NewCluster"
        until(
            lambda: (kube.get(LLMP, many, namespace) or {})["status"]["rayService"]["activeCluster"] != former,
            300,
            "a switch",
        )
        note(f"an edit to a new cluster: switched {time.monotonic() - began:.1f} s after kubectl apply")
        until(lambda: former not in clusters(kube, namespace, many), 180, "the old cluster to be gone")
        ready(kube, many, namespace)
    note(f"load over both edits and the end of the old cluster: {result}")
    assert result["asked"] >= REQUESTS
    assert result["lost"] == {}


@pytest.mark.parametrize("kind", ["worker", "head"])
def test_a_killed_pod_comes_back(kube: Kube, client: Client, many: str, namespace: str, kind: str) -> None:
    pod = ray_pod(kube, namespace, many, kind)
    address = f"{url(many, namespace)}/greeting"
    with client.load(address, per_second=50) as result:
        began = time.monotonic()
        kube.delete("pod", pod, namespace, "--force", "--grace-period=0", "--wait=false")
        until(lambda: ray_pods_are_back(kube, namespace, many, pod), 300, "another Pod")
        until(lambda: client.ask(address)[0] == 200, 300, "an answer")
        took = time.monotonic() - began
        ready(kube, many, namespace)
    note(f"{kind} Pod killed: answers again after {took:.1f} s; load: {result}")
    assert result["messages"]


def ray_pods_are_back(kube: Kube, namespace: str, name: str, former: str) -> bool:
    """Whether a head and a worker run in a cluster, and neither is the one that was killed."""
    pods = [
        pod for it in clusters(kube, namespace, name) for pod in kube.list("pods", namespace, f"ray.io/cluster={it}")
    ]
    running = {it["metadata"]["labels"]["ray.io/node-type"] for it in pods if it["status"].get("phase") == "Running"}
    return running == {"head", "worker"} and former not in {it["metadata"]["name"] for it in pods}


def test_load_brings_workers_and_their_end_takes_them_away(
    kube: Kube, client: Client, images: Images, namespace: str
) -> None:
    scaling = {
        "minReplicas": 1, "maxReplicas": 2, "targetOngoingRequests": 2, "upscaleDelaySeconds": 2,
        "downscaleDelaySeconds": 5, "lookBackPeriodSeconds": 5, "metricsIntervalSeconds": 1,
    }  # fmt: skip
    batch = {
        "custom": {"importPath": "own_code:slow"}, "maxBatchSize": 1, "autoscaling": scaling,
        "resources": {"cpus": "400m"}, "maxOngoingRequests": 8, "maxQueuedRequests": 200,
    }  # fmt: skip
    workers = [{"name": "cpu", "resources": {"cpus": "400m", "memory": "1500Mi"}, "minReplicas": 1, "maxReplicas": 2}]
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
    kube.delete(LLMP, "grows", namespace)
    until(lambda: not clusters(kube, namespace, "grows"), 180, "the Ray cluster to be gone")


def test_an_image_that_cannot_be_pulled_is_told(kube: Kube, client: Client, images: Images, namespace: str) -> None:
    document = pipeline(
        "no-image", namespace, f"{images.serve}-of-nobody", [{"name": "hello", "hello": {"resources": LIGHT}}]
    )
    kube.apply(document)
    found = kube.wait_for("no-image", namespace, "Ready", "False", "PodsFailing", 120)
    assert "of-nobody" in found["message"]
    note(f"an image that cannot be pulled: {found['message'][:160]}")
    kube.delete(LLMP, "no-image", namespace)


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
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
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
    kube.delete(LLMP, "analyze", namespace)
