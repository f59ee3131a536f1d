"""The shipped scrape configuration on a cluster: a Prometheus finds the operators and, with KubeRay, the Ray Pods."""

from collections.abc import Iterator

import pytest

from llmpipeline.kuberay.conventions import METRICS_PORT
from support.cache import AssetsError
from support.e2e import prometheus
from support.e2e.installation import NAMESPACE, Images, Installation, note
from support.e2e.kubectl import Kube, until
from support.e2e.prometheus import ClusterPrometheus
from support.e2e.serving import make_code, pipeline, ready


@pytest.fixture(scope="module")
def found(kube: Kube, installation: Installation, images: Images) -> Iterator[ClusterPrometheus]:
    try:
        with prometheus.running(kube, images.serve) as started:
            yield started
    except AssetsError as error:
        pytest.skip(str(error))


def test_every_operator_is_a_target_and_one_leads(found: ClusterPrometheus, installation: Installation) -> None:
    def up() -> bool:
        targets = found.targets("llmpipeline-operator")
        return len(targets) == 2 and all(it["health"] == "up" for it in targets)

    until(up, 60, "both operators to be scraped")
    until(
        lambda: found.query("sum by (namespace) (llmpipeline_leading)") == [({"namespace": NAMESPACE}, 1.0)],
        60,
        "one leader",
    )


def test_a_pipeline_has_its_own_namespace_in_the_operators_metrics(
    kube: Kube, found: ClusterPrometheus, images: Images, namespace: str
) -> None:
    kube.apply(pipeline("seen", namespace, images.serve, [{"name": "hello", "hello": {}}], suspend=True))
    expected = {"namespace": namespace, "pipeline": "seen", "reason": "Valid"}
    query = "sum by (namespace, pipeline, reason) (llmpipeline_accepted)"
    until(lambda: (expected, 1.0) in found.query(query), 60, "the pipeline's condition as a metric")


@pytest.mark.usefixtures("needs_kuberay")
def test_every_ray_pod_is_a_target(kube: Kube, found: ClusterPrometheus, images: Images, namespace: str) -> None:
    """What the PodMonitor selects, by the same labels and the same ports."""
    make_code(kube, namespace)
    app = {"name": "hello", "hello": {"resources": {"cpus": "100m"}}}
    kube.apply(pipeline("scraped", namespace, images.serve, [app]))
    ready(kube, "scraped", namespace)
    mine = f'namespace="{namespace}", pipeline="scraped"'
    until(
        lambda: (
            {labels["app"] for labels, _ in found.query(f"ray_serve_deployment_replica_healthy{{{mine}}}")} == {"hello"}
        ),
        120,
        "Ray Serve's metrics with our labels",
    )
    targets = [it for it in found.targets("llmpipeline-ray") if it["labels"].get("pipeline") == "scraped"]
    ports = {
        (it["labels"]["ray_node_type"], int(it["discoveredLabels"]["__address__"].rpartition(":")[2])) for it in targets
    }
    note(f"Prometheus in the cluster: targets of a pipeline {sorted(ports)}")
    assert {it["health"] for it in targets} == {"up"}
    assert ports == {("head", METRICS_PORT), ("worker", METRICS_PORT)}
    assert all(it["labels"]["ray_io_cluster"].startswith("scraped-") for it in targets)
