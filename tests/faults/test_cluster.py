"""What happens to the cluster: its API server, a namespace, KubeRay, the operator's rights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llmpipeline import names
from support.control_plane import Manifest, install_crds
from support.control_plane.surroundings import RBAC, role_of_rights
from support.faults.ground import Course, Ground, survive
from support.faults.scenario import KINDS, Scenario, Step
from support.kuberay.crds import kuberay_crds

CRDS = ("apiextensions.k8s.io/v1", "customresourcedefinitions", None)


@contextmanager
def restarted(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """Killed, as where a node fails, or in another batch stopped."""
    kill = scenarios[0].seed % 2 == 0
    yield [lambda: ground.control_plane.restart_apiserver(kill=kill)]


def test_the_api_server(ground: Ground) -> None:
    survive(ground, Course("the API server is killed, or stopped, and started", restarted))


@contextmanager
def namespace_deleted(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """There is no namespace controller here: the test deletes what is in it, in any order, as that one would."""
    yield ()
    for scenario in scenarios:
        ground.admin.delete("v1", "namespaces", None, scenario.namespace)
        kinds = [(names.API_VERSION, names.PLURAL), *KINDS]
        scenario.random.shuffle(kinds)
        for api, plural in kinds:
            ground.admin.delete_all(api, plural, scenario.namespace)
        for pipeline in scenario.pipelines:
            pipeline.alive = False


def test_a_namespace_is_deleted(ground: Ground) -> None:
    survive(ground, Course("the namespace is deleted", namespace_deleted))


@contextmanager
def without_kuberay(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    """With the CRD all RayServices go."""
    for pipeline in [it for scenario in scenarios for it in scenario.pipelines]:
        pipeline.lost = True
    ground.admin.delete(*CRDS, f"{names.RAY_SERVICE_PLURAL}.{names.RAY_GROUP}")
    try:
        yield ()
    finally:
        install_crds(ground.admin, kuberay_crds().directory)


def test_kuberay_goes_and_comes(ground: Ground) -> None:
    survive(ground, Course("KubeRay's CRD is deleted and installed", without_kuberay))


@contextmanager
def without_rights(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    role = str(role_of_rights()["metadata"]["name"])
    ground.admin.unbind("operator", role)
    try:
        yield [ground.proxy.drop_watches]
    finally:
        ground.admin.bind("operator", role)


def test_all_rights_are_taken_away(ground: Ground) -> None:
    survive(ground, Course("all rights are taken away and given back", without_rights))


def role_without(resource: str, verb: str) -> Manifest:
    role = role_of_rights()
    for rule in role["rules"]:
        if rule["resources"] == [resource]:
            rule["verbs"] = [it for it in rule["verbs"] if it != verb]
    return role


@contextmanager
def without_one_right(ground: Ground, scenarios: Sequence[Scenario]) -> Iterator[Sequence[Step]]:
    resource = ("rayservices", "networkpolicies")[scenarios[0].seed % 2]
    ground.admin.apply(f"{RBAC}/v1", "clusterroles", role_without(resource, "patch"))
    try:
        yield ()
    finally:
        ground.admin.apply(f"{RBAC}/v1", "clusterroles", role_of_rights())


def test_one_right_is_taken_away(ground: Ground) -> None:
    survive(ground, Course("the right to patch one kind goes and comes", without_one_right))
