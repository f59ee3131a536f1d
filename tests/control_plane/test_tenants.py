"""Two tenants with the chart's rights: what one does never touches, and never shows, what is the other's.

The operator has the rights of the chart and more than either of them: every attack here is a way to have it do
something for alice that only bob, or nobody, may do. The oracle is that bob's objects keep UID, spec and owner, and
that nothing of them stands in what alice can read.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmpipeline import names
from support.control_plane import Admin, ApiError, ControlPlane, Manifest, OperatorProcess, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES, settle
from support.control_plane.surroundings import role_of_rights
from support.pipelines import pipeline as document_of

RBAC = "rbac.authorization.k8s.io/v1"
MARK = "bobs-secret-word"
OPTIONAL = ("HTTPRoute", "PodMonitor", "PrometheusRule")
KINDS = {
    (RAY, SERVICES), (RAY, "rayclusters"), (API, PLURAL),
    *((api, plural) for api, kind, plural in names.COMPANIONS if kind not in OPTIONAL),
}  # fmt: skip
NETWORK = {"policy": {"egress": "Closed"}, "ingress": {"host": f"{MARK}.example"}}

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture(scope="module")
def operator_role(admin: Admin) -> str:
    return str(admin.apply(RBAC, "clusterroles", role_of_rights())["metadata"]["name"])


@pytest.fixture(scope="module")
def tenant_role(admin: Admin) -> str:
    """The chart's role for authors, KubeRay's editor role, and status too, as `resources: ["*"]` has it."""
    rules = [
        {"apiGroups": [names.GROUP], "resources": [PLURAL, f"{PLURAL}/scale"], "verbs": ["*"]},
        {"apiGroups": [names.RAY_GROUP], "resources": ["*"], "verbs": ["*"]},
    ]
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "tenant"}, "rules": rules}
    admin.apply(RBAC, "clusterroles", role)
    return "tenant"


def lent(admin: Admin, user: str, namespace: str, role: str) -> None:
    metadata = {"name": user, "namespace": namespace}
    ref = {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": RBAC.partition("/")[0], "kind": "User", "name": user}
    binding = {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata, "roleRef": ref, "subjects": [subject]}
    admin.create(RBAC, "rolebindings", binding)


class Tenants:
    """Alice, who attacks, in her namespace; bob in his, with a pipeline that serves."""

    def __init__(self, admin: Admin, alice: Admin, ours: str, theirs: str) -> None:
        self.admin = admin
        self.alice = alice
        self.ours = ours
        self.theirs = theirs
        self.cluster = ""

    def serve(self) -> None:
        """Bob's pipeline, its companions and its RayCluster, which has an error that is nobody's business."""
        self.admin.create(API, PLURAL, document_of(name="victim", namespace=self.theirs, network=NETWORK))
        eventually(lambda: self.admin.find(RAY, SERVICES, self.theirs, "victim"), 15, "bob's RayService")
        kuberay.make_ready(self.admin, self.theirs, "victim")
        self.cluster = str(kuberay.make_raycluster(self.admin, self.theirs, "victim")["metadata"]["name"])
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "X", "message": MARK}
        condition = {**failure, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        patch = {"status": {"conditions": [condition]}}
        self.admin.merge_patch(RAY, "rayclusters", self.theirs, self.cluster, patch, "status")
        settle()

    def bobs(self) -> dict[tuple[str, str], Any]:
        """What bob has: of each object its UID, spec, owners and labels."""
        return {
            (plural, it["metadata"]["name"]): (
                it["metadata"]["uid"],
                it["spec"],
                it["metadata"].get("ownerReferences"),
                it["metadata"].get("labels"),
                it["metadata"].get("deletionTimestamp"),
            )
            for api, plural in KINDS
            for it in self.admin.list(api, plural, self.theirs)
        }

    def shown(self) -> str:
        """All that alice can read."""
        return str([self.alice.list(api, plural, self.ours) for api, plural in ((API, PLURAL), (RAY, SERVICES))])


@pytest.fixture
def tenants(control_plane: ControlPlane, admin: Admin, namespace: str, tenant_role: str) -> Iterator[Tenants]:
    theirs = admin.create_namespace(f"{namespace[:50]}-bob")
    lent(admin, "alice", namespace, tenant_role)
    lent(admin, "bob", theirs, tenant_role)
    alice = control_plane.client_of("alice")
    eventually(lambda: _may_list(alice, namespace), 10, "alice's rights")
    found = Tenants(admin, alice, namespace, theirs)
    found.serve()
    yield found
    for where in (namespace, theirs):
        for api, plural in KINDS:
            admin.delete_all(api, plural, where)


def _may_list(client: Admin, namespace: str) -> bool:
    try:
        client.list(API, PLURAL, namespace)
    except ApiError:
        return False
    return True


def own(tenants: Tenants, name: str = "mine", **spec: Any) -> Manifest:
    return document_of(name=name, namespace=tenants.ours, **spec)


def start(tenants: Tenants, name: str = "mine", **spec: Any) -> Manifest:
    """A pipeline of alice's, with its RayService."""
    tenants.alice.create(API, PLURAL, own(tenants, name, **spec))
    eventually(lambda: tenants.admin.find(RAY, SERVICES, tenants.ours, name), 15, "alice's RayService")
    return tenants.alice.get(RAY, SERVICES, tenants.ours, name)


def the_same_names(tenants: Tenants) -> None:
    start(tenants, "victim", network=NETWORK)
    tenants.alice.merge_patch(API, PLURAL, tenants.ours, "victim", {"spec": {"network": None}})
    settle()
    tenants.alice.delete(API, PLURAL, tenants.ours, "victim")


def a_status_that_names_another_cluster(tenants: Tenants) -> None:
    start(tenants)
    for side, write in (
        ("pendingServiceStatus", kuberay.make_initializing),
        ("activeServiceStatus", kuberay.make_ready),
    ):
        for path in (f"../../{tenants.theirs}/rayclusters/{tenants.cluster}", tenants.cluster, "..", "a%2fb"):
            write(tenants.alice, tenants.ours, "mine")
            patch = {"status": {side: {"rayClusterName": path}}}
            tenants.alice.merge_patch(RAY, SERVICES, tenants.ours, "mine", patch, "status")
            settle(0.7)


def an_owner_that_is_bobs(tenants: Tenants) -> None:
    victim = tenants.admin.get(API, PLURAL, tenants.theirs, "victim")
    owner = {"apiVersion": API, "kind": "LLMPipeline", "name": "victim", "uid": victim["metadata"]["uid"]}
    template = {"spec": {"containers": [{"name": "ray-head", "image": "evil"}]}}
    for name in ("victim", "other"):
        metadata = {
            "name": name,
            "namespace": tenants.ours,
            "labels": {names.LABEL_PIPELINE: "victim", names.LABEL_MANAGED_BY: names.MANAGED_BY},
            "ownerReferences": [{**owner, "controller": True}],
        }
        spec = {"rayClusterConfig": {"headGroupSpec": {"rayStartParams": {}, "template": template}}}
        service = {"apiVersion": RAY, "kind": "RayService", "metadata": metadata, "spec": spec}
        tenants.alice.create(RAY, SERVICES, service)
        kuberay.make_ready(tenants.alice, tenants.ours, name, ["x"])


def a_raycluster_of_her_own(tenants: Tenants) -> None:
    """Made to look as if it were that of bob's RayService."""
    service = tenants.admin.get(RAY, SERVICES, tenants.theirs, "victim")
    owner = {"apiVersion": RAY, "kind": "RayService", "name": "victim", "uid": service["metadata"]["uid"]}
    metadata = {"name": "x", "namespace": tenants.ours, "ownerReferences": [{**owner, "controller": True}]}
    config = copy.deepcopy(service["spec"]["rayClusterConfig"])
    tenants.alice.create(
        RAY, "rayclusters", {"apiVersion": RAY, "kind": "RayCluster", "metadata": metadata, "spec": config}
    )
    start(tenants)
    kuberay.make_ready(tenants.alice, tenants.ours, "mine")
    patch = {"status": {"activeServiceStatus": {"rayClusterName": "x"}}}
    tenants.alice.merge_patch(RAY, SERVICES, tenants.ours, "mine", patch, "status")


def a_status_of_her_own(tenants: Tenants) -> None:
    start(tenants)
    lie = {"url": "http://evil", "conditions": [], "observedGeneration": 99, "lastEdit": {"effect": "Unchanged"}}
    with pytest.raises(ApiError):
        tenants.alice.merge_patch(API, PLURAL, tenants.theirs, "victim", {"status": lie}, "status")
    tenants.alice.merge_patch(API, PLURAL, tenants.ours, "mine", {"spec": {"suspend": True}})


def a_pipeline_in_bobs_namespace(tenants: Tenants) -> None:
    document = own(tenants)
    document["metadata"]["namespace"] = tenants.theirs
    with pytest.raises(ApiError):
        tenants.alice.create(API, PLURAL, document)


def a_quick_succession(tenants: Tenants) -> None:
    """Made, taken apart by hand and made again while the operator works on it."""
    for _ in range(5):
        tenants.alice.create(API, PLURAL, own(tenants, "victim", network=NETWORK))
        tenants.alice.delete_all(RAY, SERVICES, tenants.ours)
        tenants.alice.delete(API, PLURAL, tenants.ours, "victim")


@pytest.mark.parametrize(
    "attack",
    [
        the_same_names,
        a_status_that_names_another_cluster,
        an_owner_that_is_bobs,
        a_raycluster_of_her_own,
        a_status_of_her_own,
        a_pipeline_in_bobs_namespace,
        a_quick_succession,
    ],
    ids=lambda attack: attack.__name__,
)
def test_alice_cannot(tenants: Tenants, operator: OperatorProcess, attack: Callable[[Tenants], None]) -> None:
    before = tenants.bobs()
    kinds = sorted(plural for plural, _ in before)
    policies = ["networkpolicies"] * 2  # of all Pods, and of the head
    assert kinds == ["ingresses", "llmpipelines", *policies, "rayclusters", "rayservices"]
    attack(tenants)
    settle(2)
    assert tenants.bobs() == before
    assert MARK not in tenants.shown().replace(f"{MARK}.example", ""), "the host that alice wrote herself"
    assert operator.running
    # And bob goes on as if nothing had been.
    tenants.admin.merge_patch(API, PLURAL, tenants.theirs, "victim", {"spec": {"suspend": True}})
    eventually(
        lambda: tenants.admin.get(RAY, SERVICES, tenants.theirs, "victim")["spec"].get("suspend"), 10, "bob's change"
    )


def test_in_one_namespace_alice_cannot_use_the_operator_on_what_she_may_not_write(
    control_plane: ControlPlane, admin: Admin, namespace: str
) -> None:
    """She may write pipelines, and nothing else here; an Ingress, a budget and a policy are bob's, by these names."""
    rules = [{"apiGroups": [names.GROUP], "resources": [PLURAL], "verbs": ["*"]}]
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "author"}, "rules": rules}
    admin.apply(RBAC, "clusterroles", role)
    lent(admin, "alice", namespace, "author")
    alice = control_plane.client_of("alice")
    eventually(lambda: _may_list(alice, namespace), 10, "alice's rights")
    backend = {"service": {"name": "x", "port": {"number": 1}}}
    theirs = (
        ("networking.k8s.io/v1", "Ingress", "ingresses", {"defaultBackend": backend}),
        ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", {"selector": {"matchLabels": {"a": "b"}}}),
    )
    made = []
    for api, kind, plural, spec in theirs:
        metadata = {"name": "web", "namespace": namespace}
        manifest = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
        made.append((api, plural, admin.create(api, plural, manifest)))
    everything = {"network": {"ingress": {"host": "a.example"}}, "disruption": {"minAvailableWorkers": 1}}
    alice.create(API, PLURAL, document_of(name="web", namespace=namespace, **everything))
    eventually(lambda: admin.find(RAY, SERVICES, namespace, "web"), 15, "the RayService")
    alice.merge_patch(API, PLURAL, namespace, "web", {"spec": {"network": None, "disruption": None}})
    settle(2)
    alice.delete(API, PLURAL, namespace, "web")
    settle()
    for api, plural, before in made:
        assert admin.get(api, plural, namespace, "web")["metadata"] == before["metadata"]
        admin.delete(api, plural, namespace, "web")
