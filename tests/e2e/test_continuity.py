"""What goes on while something is replaced: updates of a single replica, drained workers, dead heads, sleeping apps.

Real KubeRay, real Ray Pods, and requests from another Pod all the while.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmpipeline.render.pods import CONTAINER_SECURITY, POD_SECURITY
from support.e2e.installation import Images, note
from support.e2e.kubectl import CommandError, Kube, Manifest, is_pod_ready, until
from support.e2e.serving import Client, clusters, edited, gone, pipeline, ready, replicas, settings_of, summary, url

pytestmark = pytest.mark.usefixtures("needs_kuberay")

REQUESTS = 20_000
TINY: Manifest = {"resources": {"cpus": "50m"}}
STREAMS, STREAM_SECONDS = 8, 120
SLEEPERS, WAKES = 5, 100


def workers(most: int, least: int = 1) -> list[Manifest]:
    size = {"cpus": "500m", "memory": "2Gi"}
    return [{"name": "cpu", "resources": size, "minReplicas": least, "maxReplicas": most}]


@pytest.fixture(scope="module")
def single(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """One replica of each app, and room for one more."""
    code = {"importPath": "own_code:greet", "args": {"message": "one"}, "deployments": [{"name": "Greet", **TINY}]}
    apps = [{"name": "hello", "hello": {**TINY}}, {"name": "own", "custom": code}]
    kube.apply(pipeline("single", namespace, images.serve, apps, workers=workers(2)))
    ready(kube, "single", namespace)
    yield "single"
    gone(kube, "single", namespace)


@pytest.fixture(scope="module")
def pair(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """Two workers, two replicas on each of two apps, and streams."""
    streams = {"name": "Streams", "replicas": 2, "maxOngoingRequests": 100, "resources": {"cpus": "200m"}}
    apps = [
        {"name": "hello", "hello": {"replicas": 2, "resources": {"cpus": "200m"}}},
        {"name": "streams", "custom": {"importPath": "own_code:streams", "deployments": [streams]}},
    ]
    kube.apply(pipeline("pair", namespace, images.serve, apps, workers=workers(3, 2), drainSeconds=STREAM_SECONDS))
    ready(kube, "pair", namespace)
    yield "pair"
    gone(kube, "pair", namespace)


def test_an_update_of_a_single_replica_leaves_no_gap(kube: Kube, client: Client, single: str, namespace: str) -> None:
    """Its arguments change, so the replica restarts: the new one is up before the old one stops."""
    address = f"{url(single, namespace)}/own"

    def another(spec: Manifest) -> None:
        settings_of(spec, "own", "custom")["args"] = {"message": "two"}

    with client.load(address, at_least=REQUESTS) as result:
        time.sleep(10)
        edited(kube, single, namespace, another)
        until(lambda: client.ask(address)[1] == {"message": "two"}, 180, "the new replica")
        ready(kube, single, namespace)
        time.sleep(5)
    note(f"a single replica replaced under load: {summary(result)}")
    assert result["lost"] == {}
    assert result["messages"].keys() == {"one", "two"}


def test_a_change_of_a_setting_restarts_nothing(kube: Kube, client: Client, single: str, namespace: str) -> None:
    address = f"{url(single, namespace)}/hello"
    replica = client.ask(address)[1]["replica"]

    def another(spec: Manifest) -> None:
        settings_of(spec, "hello", "hello")["message"] = "Salut"

    edited(kube, single, namespace, another)
    until(lambda: client.ask(address)[1]["message"] == "Salut", 60, "the new message")
    assert client.ask(address)[1]["replica"] == replica


def test_a_drained_worker_cuts_no_stream(kube: Kube, client: Client, pair: str, namespace: str, tmp_path: Path) -> None:
    """Streams of two minutes on both workers; one of them is evicted, as `kubectl drain` does it."""
    (cluster,) = clusters(kube, namespace, pair)
    streams = client.start_streams(f"{url(pair, namespace)}/streams", STREAMS, STREAM_SECONDS)
    with client.load(f"{url(pair, namespace)}/hello", per_second=60) as result:
        time.sleep(5)
        pod = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type=worker")[0]["metadata"]["name"]
        began = time.monotonic()
        evict(kube, pod, namespace, tmp_path)
        until(lambda: kube.get("pod", pod, namespace) is None, 300, "the drained Pod to be gone")
        took = time.monotonic() - began
        found = streams()
    note(f"a worker drained in {took:.0f} s: streams {found}; load {summary(result)}")
    assert found == {"whole": STREAMS, "cut": {}, "lines": []}
    assert result["lost"] == {}


@pytest.fixture(scope="module")
def steady(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """Two workers, and Ray's state in a Redis of the cluster."""
    if not images.redis:
        pytest.skip("E2E_REDIS_IMAGE names no image: hack/kind.sh builds it with IMAGES='operator base redis'")
    kube.apply(*redis(namespace, images.redis))
    hello = {"name": "hello", "hello": {"replicas": 2, "resources": {"cpus": "200m"}}}
    document = pipeline("steady", namespace, images.serve, [hello], workers=workers(3, 2))
    document["spec"]["head"]["faultTolerance"] = {"redis": {"address": f"redis.{namespace}.svc:6379"}}
    kube.apply(document)
    ready(kube, "steady", namespace)
    yield "steady"
    gone(kube, "steady", namespace)


def redis(namespace: str, image: str) -> list[Manifest]:
    """One Redis, and its Service."""
    labels = {"app": "redis"}
    ports = [{"name": "redis", "port": 6379}]
    container = {"name": "redis", "image": image, "securityContext": CONTAINER_SECURITY}
    pod = {"containers": [container], "securityContext": POD_SECURITY, "automountServiceAccountToken": False}
    metadata = {"name": "redis", "namespace": namespace, "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
    ]


@pytest.fixture(scope="module")
def embedded(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """Two workers, and Ray's state in RocksDB on a volume of the head, which another head on that node mounts again."""
    node = next(it for it in kube.list("nodes") if not it["spec"].get("taints"))["metadata"]["name"]
    with rocksdb_enabled(kube):
        kube.apply(*volume(namespace, node, images.serve))
        until(lambda: (kube.get("pod", "rocks", "default") or {})["status"]["phase"] == "Succeeded", 60, "a folder")
        hello = {"name": "hello", "hello": {"replicas": 2, "resources": {"cpus": "200m"}}}
        document = pipeline("embedded", namespace, images.serve, [hello], workers=workers(3, 2))
        document["spec"]["head"] |= {
            "faultTolerance": {"rocksdb": {"claimName": "rocks"}},
            "nodeSelector": {"kubernetes.io/hostname": node},
        }
        kube.apply(document)
        ready(kube, "embedded", namespace)
        yield "embedded"
        gone(kube, "embedded", namespace)
    kube.delete("pod", "rocks", "default")
    kube.delete("pvc", "rocks", namespace)
    kube.delete("pv", f"{namespace}-rocks")


@contextmanager
def rocksdb_enabled(kube: Kube) -> Iterator[None]:
    """KubeRay with the gate of RocksDB, which is alpha."""
    (found,) = kube.list("deployments", "", "app.kubernetes.io/name=kuberay-operator")
    name, where = found["metadata"]["name"], found["metadata"]["namespace"]
    container = found["spec"]["template"]["spec"]["containers"][0]
    former, gate = container["args"], "GCSFaultToleranceEmbeddedStorage=true"
    gates = [f"{it},{gate}" if it.startswith("--feature-gates=") else it for it in former]
    path = "/spec/template/spec/containers/0/args"
    for args in (gates, former):
        patch = json.dumps([{"op": "replace", "path": path, "value": args}])
        kube.kubectl("patch", "deployment", name, "-n", where, "--type", "json", "-p", patch)
        kube.kubectl("rollout", "status", f"deployment/{name}", "-n", where, "--timeout=120s", seconds=150)
        if args is gates:
            yield


def volume(namespace: str, node: str, image: str) -> list[Manifest]:
    """A folder of a node that Ray's user may write, as a volume and its claim: kind's own volumes belong to root."""
    host = {"path": f"/var/lib/{namespace}-rocks", "type": "DirectoryOrCreate"}
    container = {
        "name": "main", "image": image, "command": ["chmod", "777", "/folder"], "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "folder", "mountPath": "/folder"}],
    }  # fmt: skip
    pod = {
        "restartPolicy": "Never", "nodeName": node, "containers": [container],
        "volumes": [{"name": "folder", "hostPath": host}],
    }  # fmt: skip
    name = f"{namespace}-rocks"
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {**common, "capacity": {"storage": "1Gi"}, "hostPath": host, "persistentVolumeReclaimPolicy": "Retain"}
    claim = {**common, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
    named = {"name": "rocks", "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rocks", "namespace": "default"}, "spec": pod},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": named, "spec": claim},
    ]


@pytest.mark.parametrize("store", ["steady", "embedded"], ids=["Redis", "RocksDB"])
@pytest.mark.parametrize("grace", [True, False], ids=["drained", "killed"])
def test_with_its_state_kept_a_head_that_goes_loses_no_request(
    kube: Kube, client: Client, request: pytest.FixtureRequest, namespace: str, store: str, grace: bool
) -> None:
    name = request.getfixturevalue(store)
    result = without_a_head(kube, client, name, namespace, grace)
    note(f"a head {'drained' if grace else 'killed'} under load, its state kept ({name}): {summary(result)}")
    assert result["lost"] == {}


def test_without_redis_a_killed_head_comes_back(kube: Kube, client: Client, pair: str, namespace: str) -> None:
    """Its state is gone, so the workers start again too: requests are lost, and how many is noted."""
    result = without_a_head(kube, client, pair, namespace, grace=False)
    note(f"a head killed under load, without a store of its state: {summary(result)}")
    assert result["asked"] > sum(result["lost"].values())


def without_a_head(kube: Kube, client: Client, pair: str, namespace: str, grace: bool) -> Manifest:
    """The load while the head is deleted and another one takes over."""
    (cluster,) = clusters(kube, namespace, pair)
    until(lambda: len(kube.list("pods", namespace, f"ray.io/cluster={cluster}")) == 3, 180, "both workers")
    (head,) = kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type=head")
    address = f"{url(pair, namespace)}/hello"
    how = ["--wait=false"] if grace else ["--force", "--grace-period=0", "--wait=false"]
    with client.load(address, at_least=REQUESTS if not grace else 0) as result:
        time.sleep(5)
        began = time.monotonic()
        kube.delete("pod", head["metadata"]["name"], namespace, *how)
        until(lambda: other_head(kube, namespace, pair, head["metadata"]["uid"]), 400, "another head")
        note(f"another head {time.monotonic() - began:.0f} s after the old one was {'drained' if grace else 'killed'}")
        ready(kube, pair, namespace, 400)
        time.sleep(10)
    return result


def test_sleeping_apps_wake(kube: Kube, client: Client, images: Images, namespace: str) -> None:
    """A request to an app without a replica waits for one and is answered, plain or as a stream."""
    scaling = {"minReplicas": 0, "maxReplicas": 1, "upscaleDelaySeconds": 0, "downscaleToZeroDelaySeconds": 2}
    scaling |= {"metricsIntervalSeconds": 1, "lookBackPeriodSeconds": 2}
    asleep = {"autoscaling": scaling, **TINY}
    streams = {"importPath": "own_code:streams", "deployments": [{"name": "Streams", **asleep}]}
    apps = [{"name": f"a{number}", "hello": {**asleep}} for number in range(SLEEPERS - 1)]
    apps.append({"name": "streams", "custom": streams})
    kube.apply(pipeline("sleepy", namespace, images.serve, apps, workers=workers(1)))
    ready(kube, "sleepy", namespace)
    addresses = [f"{url('sleepy', namespace)}/{app['name']}" for app in apps]
    answers: list[tuple[int, float]] = []
    for _ in range(WAKES // SLEEPERS):
        until(lambda: are_asleep(kube, namespace, "sleepy"), 180, "all apps to sleep", 2)
        answers += client.wake(addresses)
    seconds = sorted(took for _, took in answers)
    note(f"{len(answers)} wakes, {SLEEPERS} at a time: median {seconds[len(seconds) // 2]} s, longest {seconds[-1]} s")
    gone(kube, "sleepy", namespace)
    assert [status for status, _ in answers] == [200] * len(answers)


def are_asleep(kube: Kube, namespace: str, name: str) -> bool:
    """Whether no app has a replica, as far as Ray's dashboard answers."""
    try:
        return not any(replicas(kube, namespace, name).values())
    except CommandError:
        return False


def other_head(kube: Kube, namespace: str, name: str, former: str) -> bool:
    found = [
        pod
        for cluster in clusters(kube, namespace, name)
        for pod in kube.list("pods", namespace, f"ray.io/cluster={cluster},ray.io/node-type=head")
        if pod["metadata"]["uid"] != former
    ]
    return any(is_pod_ready(pod) for pod in found)


def evict(kube: Kube, pod: str, namespace: str, folder: Path) -> None:
    """As `kubectl drain` does it, so that a budget counts."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    file = folder / "eviction.json"
    file.write_text(json.dumps(body))
    kube.kubectl("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", "-f", str(file))
