"""Changes that cannot come up, come too soon or go back: what ran before goes on answering, and the status says why.

Real KubeRay, real Ray Pods, and requests from another Pod all the while.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from support.e2e.installation import Images, note
from support.e2e.kubectl import Kube, Manifest, until
from support.e2e.serving import (
    Client,
    apply_change,
    clusters,
    edited,
    gone,
    pipeline,
    ready,
    replicas,
    settings_of,
    summary,
    url,
)

pytestmark = pytest.mark.usefixtures("needs_kuberay")

NAME = "steadfast"
Change = Callable[[Manifest], None]


@pytest.fixture(scope="module")
def own(kube: Kube, client: Client, images: Images, namespace: str) -> Iterator[str]:
    """The address of an app that says "one" until its arguments change."""
    deployments = [{"name": "Greet", "replicas": 2, "resources": {"cpus": "50m"}}]
    code = {"importPath": "own_code:greet", "args": {"message": "one"}, "deployments": deployments}
    kube.apply(pipeline(NAME, namespace, images.serve, [{"name": "own", "custom": code}]))
    ready(kube, NAME, namespace)
    yield f"{url(NAME, namespace)}/own"
    gone(kube, NAME, namespace)


def says(message: str) -> Change:
    """Restarts the replicas."""

    def change(spec: Manifest) -> None:
        settings_of(spec, "own", "custom")["args"] = {"message": message}

    return change


def of_count(count: int, message: str) -> Change:
    """Fewer or more replicas, and others."""

    def change(spec: Manifest) -> None:
        says(message)(spec)
        settings_of(spec, "own", "custom")["deployments"][0]["replicas"] = count

    return change


def with_image(image: str) -> Change:
    def change(spec: Manifest) -> None:
        spec["ray"]["image"] = image

    return change


def with_variable(text: str) -> Change:
    """Needs a new Ray cluster."""

    def change(spec: Manifest) -> None:
        others = [it for it in spec["ray"]["env"] if it["name"] != "CHANGED"]
        spec["ray"]["env"] = [*others, *([{"name": "CHANGED", "value": text}] if text else [])]

    return change


def said(client: Client, address: str) -> str:
    status, body = client.ask(address)
    return str(body["message"]) if status == 200 else ""


def test_a_change_in_place_that_never_comes_up(kube: Kube, client: Client, own: str, namespace: str) -> None:
    """Its replicas raise. The old ones stay, the status says both, and going back restarts nothing."""
    before = replicas(kube, namespace, NAME)
    with client.load(own, per_second=40) as result:
        assert edited(kube, NAME, namespace, says("")) == "InPlace"
        stalled = kube.wait_for(NAME, namespace, "Stalled", "True", "AppsFailed", 240)
        assert "there is no message to say" in stalled["message"]
        kube.wait_for(NAME, namespace, "Available", "True", "ServingOldVersion")
        kube.wait_for(NAME, namespace, "Ready", "False", "AppsFailed")
        assert said(client, own) == "one"
        edited(kube, NAME, namespace, says("one"))
        ready(kube, NAME, namespace)
    note(f"a change in place that never comes up, and back: {summary(result)}")
    assert result["lost"] == {}
    assert replicas(kube, namespace, NAME) == before


def test_a_new_cluster_that_never_comes_up(
    kube: Kube, client: Client, images: Images, own: str, namespace: str
) -> None:
    """Its image does not exist. The old cluster serves, the status names the image, and going back is one apply.

    KubeRay then makes another cluster, though the old one has all that is asked: `plan` says so.
    """
    with client.load(own, per_second=40) as result:
        assert edited(kube, NAME, namespace, with_image("llmpipeline/serve:none")) == "NewCluster"
        found = kube.wait_for(NAME, namespace, "Reconciling", "True", "Upgrading", 120)
        until(lambda: "llmpipeline/serve:none" in about(kube, namespace), 120, "the image to be named")
        kube.wait_for(NAME, namespace, "Available", "True", "ServingOldCluster")
        assert said(client, own) == "one"
        edited(kube, NAME, namespace, with_image(images.serve))
        until(lambda: len(clusters(kube, namespace, NAME)) == 1, 400, "the cluster without an image to be gone")
        ready(kube, NAME, namespace)
        assert said(client, own) == "one"
    note(f"a new cluster that never comes up, and back: {summary(result)} ({found['reason']})")
    assert result["lost"] == {}


def about(kube: Kube, namespace: str) -> str:
    return " ".join(it["message"] for it in kube.conditions(NAME, namespace).values())


@pytest.mark.parametrize(
    ("there", "back"),
    [(says("two"), says("one")), (with_variable("two"), with_variable(""))],
    ids=["in place", "new cluster"],
)
def test_there_and_back_at_once(
    kube: Kube, client: Client, own: str, namespace: str, there: Change, back: Change
) -> None:
    """The way back comes while the way there is being gone."""
    with client.load(own, per_second=40) as result:
        edited(kube, NAME, namespace, there)
        time.sleep(3)
        edited(kube, NAME, namespace, back)
        until(lambda: len(clusters(kube, namespace, NAME)) == 1, 400, "one cluster")
        ready(kube, NAME, namespace)
        until(lambda: said(client, own) == "one", 60, "the old answer")
    note(f"there and back at once: {summary(result)}")
    assert result["lost"] == {}


def test_a_change_in_the_middle_of_a_change(kube: Kube, client: Client, own: str, namespace: str) -> None:
    """A second new cluster is asked for while the first comes up; then arguments change while that one comes up."""
    (former,) = clusters(kube, namespace, NAME)
    with client.load(own, per_second=40) as result:
        edited(kube, NAME, namespace, with_variable("first"))
        until(lambda: len(clusters(kube, namespace, NAME)) == 2, 60, "the first new cluster")
        edited(kube, NAME, namespace, with_variable("second"))
        time.sleep(3)
        edited(kube, NAME, namespace, says("three"))
        until(lambda: said(client, own) == "three", 400, "the last version")
        until(lambda: len(clusters(kube, namespace, NAME)) == 1, 300, "one cluster")
        ready(kube, NAME, namespace)
    note(f"a change in the middle of a change: {summary(result)}")
    assert clusters(kube, namespace, NAME) != [former]
    assert result["lost"] == {}
    assert set(result["messages"]) == {"one", "three"}


def test_fewer_replicas_during_an_update(kube: Kube, client: Client, own: str, namespace: str) -> None:
    with client.load(own, per_second=40) as result:
        edited(kube, NAME, namespace, says("four"))
        time.sleep(1)
        edited(kube, NAME, namespace, of_count(1, "four"))
        ready(kube, NAME, namespace)
        until(lambda: said(client, own) == "four", 60, "the last version")
        until(lambda: [len(it) for it in replicas(kube, namespace, NAME).values()] == [1], 120, "one replica", 2)
    note(f"fewer replicas during an update: {summary(result)}")
    assert result["lost"] == {}


def test_a_quota_that_allows_the_pipeline_once_and_not_twice(
    kube: Kube, client: Client, own: str, namespace: str
) -> None:
    """Pods of the second cluster cannot be made. The first serves, the status names the quota, and more room helps."""
    (former,) = clusters(kube, namespace, NAME)
    with client.load(own, per_second=40) as result:
        pods = len([pod for pod in kube.list("pods", namespace) if pod["status"].get("phase") == "Running"])
        kube.apply(quota(namespace, pods))
        edited(kube, NAME, namespace, with_variable("third"))
        until(lambda: "exceeded quota" in about(kube, namespace), 120, "the quota to be named")
        kube.wait_for(NAME, namespace, "Available", "True", "ServingOldCluster")
        assert former in clusters(kube, namespace, NAME)
        kube.delete("resourcequota", "once", namespace)
        until(lambda: former not in clusters(kube, namespace, NAME), 400, "the second cluster to have taken over")
        ready(kube, NAME, namespace)
    note(f"a quota that allows it once and not twice, then more room: {summary(result)}")
    assert result["lost"] == {}


def quota(namespace: str, pods: int) -> Manifest:
    metadata = {"name": "once", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": str(pods)}}}


def test_a_rejected_change_leaves_everything_as_it_is(kube: Kube, client: Client, own: str, namespace: str) -> None:
    """One that passes the schema and cannot work: a split over an app that is not there."""
    before, uid = replicas(kube, namespace, NAME), (kube.get("rayservice", NAME, namespace) or {})["metadata"]["uid"]

    def broken(spec: Manifest) -> None:
        variants = [{"name": name, "app": name, "weight": 50} for name in ("own", "nobody")]
        spec["apps"].append({"name": "front", "trafficSplit": {"variants": variants}})

    apply_change(kube, NAME, namespace, broken)
    kube.wait_for(NAME, namespace, "Accepted", "False", "InvalidSpec")
    kube.wait_for(NAME, namespace, "Available", "True")
    apply_change(kube, NAME, namespace, lambda spec: spec["apps"].pop())
    ready(kube, NAME, namespace)
    assert replicas(kube, namespace, NAME) == before
    assert (kube.get("rayservice", NAME, namespace) or {})["metadata"]["uid"] == uid
