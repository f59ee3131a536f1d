"""Pipelines on real KubeRay: real Ray Pods answer over the Service, edited and hurt under load."""

import time
from collections.abc import Iterator

import pytest

from support.e2e.installation import Images, note
from support.e2e.kubectl import LLMP, Kube, Manifest, until
from support.e2e.serving import Client, answered, clusters, edited, pipeline, ready, settings_of, url

pytestmark = pytest.mark.usefixtures("needs_kuberay")

REQUESTS = 20_000


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


def ray_pod(kube: Kube, namespace: str, name: str, kind: str) -> str:
    (cluster,) = clusters(kube, namespace, name)
    (pod,) = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type={kind}")
    return str(pod["metadata"]["name"])


def test_edits_in_place_and_to_a_new_cluster_lose_no_request(
    kube: Kube, client: Client, many: str, namespace: str
) -> None:
    """Under load all the while: another greeting, then another variable, which takes a second Ray cluster."""
    (former,) = clusters(kube, namespace, many)

    def other_greeting(spec: Manifest) -> None:
        settings_of(spec, "greeting", "hello")["message"] = "Salut"

    def other_variable(spec: Manifest) -> None:
        spec["ray"]["env"].append({"name": "CHANGED", "value": "yes"})

    address = f"{url(many, namespace)}/greeting"
    with client.load(address, at_least=REQUESTS) as result:
        began = time.monotonic()
        assert edited(kube, many, namespace, other_greeting) == "InPlace"
        until(lambda: "Salut" in str(client.ask(address)[1]), 120, "the new greeting")
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


def ray_pods_are_back(kube: Kube, namespace: str, name: str, former: str) -> bool:
    """Whether a head and a worker run in a cluster, and neither is the one that was killed."""
    pods = [
        pod for it in clusters(kube, namespace, name) for pod in kube.list("pods", namespace, f"ray.io/cluster={it}")
    ]
    running = {it["metadata"]["labels"]["ray.io/node-type"] for it in pods if it["status"].get("phase") == "Running"}
    return running == {"head", "worker"} and former not in {it["metadata"]["name"] for it in pods}
