"""The operator of the version before is upgraded to this one while a pipeline serves.

Needs E2E_BEFORE_IMAGE, which `BEFORE=<git revision> IMAGES="operator base before" hack/kind.sh cluster` makes, and
E2E_BEFORE, that revision. The two must render the same bytes, or the CHANGELOG declares a roll-over.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.e2e.installation import NAMESPACE, RELEASE, Images, Installation, note
from support.e2e.kubectl import CommandError, Kube, is_pod_ready, until
from support.e2e.serving import Client, clusters, edited, gone, pipeline, ready, settings_of, summary, url
from support.repository import CHART, ROOT

pytestmark = pytest.mark.usefixtures("needs_kuberay")

DEPLOYMENT = f"deployment/{RELEASE}"
SIDE_BY_SIDE_SECONDS = 60


@pytest.fixture
def before(kube: Kube, images: Images, installation: Installation, tmp_path: Path) -> Iterator[Installation]:
    """The operator of the version before, in the place of this one."""
    revision = os.environ.get("E2E_BEFORE", "")
    if not (images.before and revision):
        pytest.skip("there is no version before: set E2E_BEFORE and E2E_BEFORE_IMAGE")
    chart = str(CHART.relative_to(ROOT))
    archive = subprocess.run(["git", "archive", revision, chart], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", str(tmp_path)], input=archive, check=True)
    older = Installation(kube, images.before, tmp_path / chart)
    older.install(command="upgrade")
    until(lambda: len(ready_of(kube, images.before)) == 2, 120, "two operators of the version before")
    yield older
    with suppress(CommandError):  # it may not be paused
        kube.kubectl("rollout", "resume", DEPLOYMENT, "-n", NAMESPACE)
    installation.install(command="upgrade")


def ready_of(kube: Kube, image: str) -> list[str]:
    """The operators with an image that are ready."""
    return [
        pod["metadata"]["name"]
        for pod in kube.list("pods", NAMESPACE, "app.kubernetes.io/name=llmpipeline-operator")
        if pod["spec"]["containers"][0]["image"] == image and is_pod_ready(pod)
    ]


def running(kube: Kube, name: str, namespace: str) -> set[tuple[str, str]]:
    """What of a pipeline must not be made again: by kind, the UIDs of its Ray clusters and Pods."""
    pods = [
        pod for it in clusters(kube, namespace, name) for pod in kube.list("pods", namespace, f"ray.io/cluster={it}")
    ]
    services = [it for it in kube.list("rayservices", namespace) if it["metadata"]["name"] == name]
    found = {("RayService", it["metadata"]["uid"]) for it in services}
    found |= {("RayCluster", it["metadata"]["uid"]) for it in kube.list("rayclusters", namespace)}
    return found | {("Pod", pod["metadata"]["uid"]) for pod in pods}


def test_an_upgrade_changes_nothing_that_runs(
    kube: Kube, client: Client, images: Images, before: Installation, namespace: str
) -> None:
    kube.apply(pipeline("live", namespace, images.serve, [{"name": "hello", "hello": {"resources": {"cpus": "50m"}}}]))
    ready(kube, "live", namespace)
    found = running(kube, "live", namespace)
    address = f"{url('live', namespace)}/hello"

    def another(spec: dict[str, object]) -> None:
        settings_of(spec, "hello", "hello")["message"] = "Salut"

    with client.load(address, per_second=40) as result:
        Installation(kube, images.operator).install(command="upgrade", wait=False)
        kube.kubectl("rollout", "pause", DEPLOYMENT, "-n", NAMESPACE)
        until(lambda: ready_of(kube, images.operator) and ready_of(kube, images.before), 120, "both versions")
        time.sleep(SIDE_BY_SIDE_SECONDS / 2)
        assert edited(kube, "live", namespace, another) == "InPlace"
        until(lambda: client.ask(address)[1]["message"] == "Salut", 60, "the edit to work")
        time.sleep(SIDE_BY_SIDE_SECONDS / 2)
        versions = len(ready_of(kube, images.before)), len(ready_of(kube, images.operator))
        kube.kubectl("rollout", "resume", DEPLOYMENT, "-n", NAMESPACE)
        until(lambda: len(ready_of(kube, images.operator)) == 2, 120, "two operators of this version")
        until(lambda: not ready_of(kube, images.before), 60, "those of the version before to be gone")
        time.sleep(15)  # the new leader looks at every pipeline once
        ready(kube, "live", namespace)
    note(f"operator upgraded under load, {versions[0]} old and {versions[1]} new for a minute: {summary(result)}")
    assert result["lost"] == {}
    assert running(kube, "live", namespace) == found
    gone(kube, "live", namespace)
