"""Only what is ours: no object of somebody else is changed, taken over or deleted, whatever it is called."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmpipeline import names
from support.control_plane import Admin, ApiError, Manifest, OperatorProcess, eventually, install_crds
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES, settle
from support.control_plane.surroundings import OPTIONAL_CRDS, role_of_rights
from support.pipelines import HELLO
from support.pipelines import pipeline as document_of

NAME = "reviews"
KINDS = {names.RAY_SERVICE_KIND: (RAY, SERVICES), **{kind: (api, plural) for api, kind, plural in names.COMPANIONS}}
# A pipeline that has one of every kind.
EVERYTHING = {
    "disruption": {"minAvailableWorkers": 1},
    "network": {
        "policy": {"egress": "Closed"},
        "ingress": {"host": "a.example"},
        "httpRoute": {"gateway": {"name": "public"}},
    },
    "monitoring": {"podMonitor": {}, "prometheusRule": {}},
    "autoscaler": {},
}
# What somebody else might have made under the name: nothing in it contradicts what the operator would write.
THEIRS: dict[str, Manifest] = {
    "RayService": {"rayClusterConfig": {"headGroupSpec": {"template": {"spec": {"containers": []}}}}},
    "PodDisruptionBudget": {},
    "NetworkPolicy": {"podSelector": {}},
    "Ingress": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    "HTTPRoute": {},
    "PodMonitor": {"selector": {}},
    "PrometheusRule": {},
}

pytestmark = pytest.mark.usefixtures("optional_crds", "operator")


@pytest.fixture(scope="module")
def optional_crds(admin: Admin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of kinds that most clusters lack: not the real ones, which are megabytes, but with real objects of them."""
    import yaml

    file = tmp_path_factory.mktemp("crds") / "optional.yaml"
    file.write_text(yaml.safe_dump_all(OPTIONAL_CRDS))
    made = install_crds(admin, file)
    yield
    for name in made:
        admin.delete("apiextensions.k8s.io/v1", "customresourcedefinitions", None, name)


@pytest.fixture(scope="module")
def operator_role(admin: Admin) -> str:
    return str(admin.apply("rbac.authorization.k8s.io/v1", "clusterroles", role_of_rights())["metadata"]["name"])


@pytest.fixture(autouse=True)
def swept(admin: Admin, namespace: str) -> Iterator[None]:
    """Nothing here collects garbage."""
    yield
    admin.delete_all(API, PLURAL, namespace)
    for api_version, plural in KINDS.values():
        admin.delete_all(api_version, plural, namespace)


def asked_for(namespace: str, name: str = NAME, **spec: Any) -> Manifest:
    app = HELLO | {"objectives": {"latencyP99Milliseconds": 500}}
    return document_of(app, name=name, namespace=namespace, **copy.deepcopy(EVERYTHING | spec))


def theirs(kind: str, namespace: str, name: str = NAME, **metadata: Any) -> Manifest:
    api_version, _ = KINDS[kind]
    spec = copy.deepcopy(THEIRS[kind])
    if kind == "RayService":
        spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"] = [{"name": "ray-head"}]
    described = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": api_version, "kind": kind, "metadata": described, "spec": spec}


def found(admin: Admin, kind: str, namespace: str, name: str = NAME) -> Manifest | None:
    api_version, plural = KINDS[kind]
    return admin.find(api_version, plural, namespace, name)


def is_untouched(before: Manifest, after: Manifest | None) -> bool:
    """What the owner of an object cares about: that it is the same one, with its spec, owners and labels."""
    return after is not None and before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def applied(admin: Admin, namespace: str, name: str = NAME) -> Manifest:
    """The condition, of the newest generation; or nothing yet."""
    document = admin.get(API, PLURAL, namespace, name)
    for item in document.get("status", {}).get("conditions", []):
        if item["type"] == "Applied" and item["observedGeneration"] == document["metadata"]["generation"]:
            condition: Manifest = item
            return condition
    return {}


def wait_for_reason(admin: Admin, namespace: str, reason: str, name: str = NAME) -> str:
    def probe() -> bool:
        return applied(admin, namespace, name).get("reason") == reason

    eventually(probe, 15, f"Applied to have the reason {reason}: {applied(admin, namespace, name)}")
    return str(applied(admin, namespace, name)["message"])


def change(admin: Admin, namespace: str, patch: Manifest, name: str = NAME) -> None:
    admin.merge_patch(API, PLURAL, namespace, name, {"spec": patch})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", ["nobody", "a Deployment", "a pipeline in another namespace", "our labels"])
def test_a_namesake_is_neither_changed_nor_deleted(admin: Admin, namespace: str, kind: str, owner: str) -> None:
    """None of its fields conflicts with what the operator would apply, so server-side apply alone would take it."""
    metadata: Manifest = {}
    if owner == "a Deployment":
        metadata["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "0-1", "controller": True}
        ]
    if owner == "a pipeline in another namespace":
        metadata["ownerReferences"] = [
            {"apiVersion": API, "kind": "LLMPipeline", "name": "other", "uid": "0-2", "controller": True}
        ]
    if owner == "our labels":
        metadata["labels"] = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_PIPELINE: NAME}
    api_version, plural = KINDS[kind]
    before = admin.create(api_version, plural, theirs(kind, namespace, **metadata))

    admin.create(API, PLURAL, asked_for(namespace))
    reason = {"RayService": "NameTaken", "NetworkPolicy": "NetworkPolicyFailed"}.get(kind, "PartlyApplied")
    message = wait_for_reason(admin, namespace, reason)
    assert f"{kind} {NAME} exists" in message
    assert "rename this pipeline" in message
    assert is_untouched(before, found(admin, kind, namespace))

    change(admin, namespace, {"disruption": None, "network": None, "monitoring": None})
    eventually(lambda: applied(admin, namespace), 15, "the change")
    assert is_untouched(before, found(admin, kind, namespace)), "no longer wanted, and not ours to delete"
    admin.delete(API, PLURAL, namespace, NAME)
    settle()
    assert is_untouched(before, found(admin, kind, namespace))


def test_what_is_no_longer_wanted_is_deleted_and_what_is_changed_by_hand_comes_back(
    admin: Admin, namespace: str
) -> None:
    admin.create(API, PLURAL, asked_for(namespace))
    wait_for_reason(admin, namespace, "Applied")
    originals = {kind: found(admin, kind, namespace) for kind in KINDS}
    assert all(originals.values())
    for kind, (api_version, plural) in KINDS.items():
        admin.merge_patch(api_version, plural, namespace, NAME, {"metadata": {"labels": {names.LABEL_INSTANCE: "x"}}})
        original = originals[kind]
        assert original
        uid = original["metadata"]["uid"]

        def label_is_back(kind: str = kind) -> bool:
            live = found(admin, kind, namespace)
            return bool(live) and live["metadata"]["labels"][names.LABEL_INSTANCE] == NAME  # type: ignore[index]

        eventually(label_is_back, 10, f"the label of the {kind}")
        admin.delete(api_version, plural, namespace, NAME)

        def is_new(kind: str = kind, uid: str = uid) -> bool:
            live = found(admin, kind, namespace)
            return bool(live) and live["metadata"]["uid"] != uid  # type: ignore[index]

        eventually(is_new, 10, f"another {kind}")
    change(admin, namespace, {"disruption": None, "network": None, "monitoring": None})
    wait_for_reason(admin, namespace, "Applied")
    eventually(
        lambda: not [kind for kind in KINDS if kind != "RayService" and found(admin, kind, namespace)], 10, "none"
    )
    assert admin.list("networking.k8s.io/v1", "networkpolicies", namespace) == []
    assert found(admin, "RayService", namespace)


def test_pipelines_whose_names_extend_each_other_share_nothing(admin: Admin, namespace: str) -> None:
    for name in ("a", "a-head", "a-head-svc"):
        admin.create(API, PLURAL, asked_for(namespace, name))
        wait_for_reason(admin, namespace, "Applied", name)
    policies = admin.list("networking.k8s.io/v1", "networkpolicies", namespace)
    owners = {it["metadata"]["name"]: it["metadata"]["ownerReferences"][0]["name"] for it in policies}
    assert owners == {
        "a": "a", "a.head": "a", "a-head": "a-head", "a-head.head": "a-head",
        "a-head-svc": "a-head-svc", "a-head-svc.head": "a-head-svc",
    }  # fmt: skip
    for policy in policies:
        selected = policy["spec"]["podSelector"]["matchLabels"][names.LABEL_PIPELINE]
        assert selected == policy["metadata"]["ownerReferences"][0]["name"]


def test_the_objects_of_a_former_pipeline_are_left_to_the_garbage_collector(admin: Admin, namespace: str) -> None:
    admin.create(API, PLURAL, asked_for(namespace))
    wait_for_reason(admin, namespace, "Applied")
    before = {kind: found(admin, kind, namespace) for kind in KINDS}
    admin.delete(API, PLURAL, namespace, NAME)
    admin.create(API, PLURAL, asked_for(namespace))
    wait_for_reason(admin, namespace, "NetworkPolicyFailed")
    settle()
    for kind, manifest in before.items():
        assert manifest
        assert is_untouched(manifest, found(admin, kind, namespace))
    # The garbage collector of a real cluster does this, and the operator goes on.
    for api_version, plural in KINDS.values():
        admin.delete_all(api_version, plural, namespace)
    eventually(lambda: applied(admin, namespace).get("reason") == "Applied", 40, "the new pipeline to be applied")


def test_an_orphaned_rayservice_is_not_taken_over(admin: Admin, namespace: str) -> None:
    """As `kubectl delete --cascade=orphan` leaves it."""
    plain = document_of(name=NAME, namespace=namespace)
    admin.create(API, PLURAL, plain)
    wait_for_reason(admin, namespace, "Applied")
    admin.delete(API, PLURAL, namespace, NAME)
    admin.merge_patch(RAY, SERVICES, namespace, NAME, {"metadata": {"ownerReferences": None}})
    before = found(admin, "RayService", namespace)
    assert before
    admin.create(API, PLURAL, plain)
    wait_for_reason(admin, namespace, "NameTaken")
    assert is_untouched(before, found(admin, "RayService", namespace))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_over_by_hand_stays_with_its_new_owner(admin: Admin, namespace: str, kind: str) -> None:
    admin.create(API, PLURAL, asked_for(namespace))
    wait_for_reason(admin, namespace, "Applied")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "0-1", "controller": True}
    api_version, plural = KINDS[kind]
    taken = admin.merge_patch(api_version, plural, namespace, NAME, {"metadata": {"ownerReferences": [owner]}})
    reason = {"RayService": "NameTaken", "NetworkPolicy": "NetworkPolicyFailed"}.get(kind, "PartlyApplied")
    message = wait_for_reason(admin, namespace, reason)
    assert "belongs to Deployment web" in message
    change(admin, namespace, {"network": {"ingress": None, "policy": None, "httpRoute": None}, "monitoring": None})
    settle()
    assert is_untouched(taken, found(admin, kind, namespace))


def test_a_status_leads_to_no_raycluster_of_somebody_else(admin: Admin, namespace: str) -> None:
    """Who may write `rayservices/status` could name any RayCluster in it, of another namespace too."""
    other = admin.create_namespace(f"{namespace[:50]}-v")
    plain = document_of(name=NAME, namespace=namespace)
    admin.create(API, PLURAL, plain)
    wait_for_reason(admin, namespace, "Applied")
    service = found(admin, "RayService", namespace)
    assert service
    secret = {"type": "ReplicaFailure", "status": "True", "reason": "Secret", "message": "the victim's secret"}
    condition = {**secret, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    victims = []
    for where, name in ((other, "victim"), (namespace, "neighbour")):
        metadata = {"name": name, "namespace": where}
        # A cluster that the operator would patch: the same spec but for a bound.
        spec = copy.deepcopy(service["spec"]["rayClusterConfig"])
        spec["workerGroupSpecs"][0]["maxReplicas"] += 1
        admin.create(RAY, "rayclusters", {"apiVersion": RAY, "kind": "RayCluster", "metadata": metadata, "spec": spec})
        patch = {"status": {"conditions": [condition]}}
        victims.append(admin.merge_patch(RAY, "rayclusters", where, name, patch, "status"))
    for named in (f"../../{other}/rayclusters/victim", "neighbour", "%2e%2e/x", "a/b", "..", "x" * 300):
        kuberay.make_initializing(admin, namespace, NAME)
        name_cluster(admin, namespace, "pendingServiceStatus", named)
        settle(0.7)
        kuberay.make_ready(admin, namespace, NAME)
        name_cluster(admin, namespace, "activeServiceStatus", named)
        settle(0.7)
        assert "victim's secret" not in str(admin.get(API, PLURAL, namespace, NAME))
    for before in victims:
        after = admin.get(RAY, "rayclusters", before["metadata"]["namespace"], before["metadata"]["name"])
        assert is_untouched(before, after)
    admin.delete(RAY, "rayclusters", other, "victim")


def name_cluster(admin: Admin, namespace: str, side: str, name: str) -> None:
    patch = {"status": {side: {"rayClusterName": name}}}
    admin.merge_patch(RAY, SERVICES, namespace, NAME, patch, "status")


def test_without_its_network_policy_no_pod_starts(admin: Admin, namespace: str, deny: Callable[[str], None]) -> None:
    deny("networkpolicies")
    admin.create(API, PLURAL, asked_for(namespace))
    message = wait_for_reason(admin, namespace, "NetworkPolicyFailed")
    assert "No Ray Pod may start without its network policy" in message
    assert "not in this namespace" in message
    settle()
    assert found(admin, "RayService", namespace) is None


def test_a_live_pipeline_keeps_what_it_has_while_its_policy_fails(
    admin: Admin, namespace: str, deny: Callable[[str], None]
) -> None:
    admin.create(API, PLURAL, asked_for(namespace))
    wait_for_reason(admin, namespace, "Applied")
    before = {kind: found(admin, kind, namespace) for kind in ("RayService", "NetworkPolicy")}
    deny("networkpolicies")
    change(admin, namespace, {"network": {"policy": {"egress": "Open"}}, "ray": {"image": "other:1"}})
    wait_for_reason(admin, namespace, "NetworkPolicyFailed")
    for kind, manifest in before.items():
        assert manifest
        assert is_untouched(manifest, found(admin, kind, namespace))


def test_any_other_companion_that_fails_keeps_nothing_back(
    admin: Admin, namespace: str, deny: Callable[[str], None], broken_webhook: None
) -> None:
    deny("ingresses")
    admin.create(API, PLURAL, asked_for(namespace))
    message = wait_for_reason(admin, namespace, "PartlyApplied")
    assert "Ingress: " in message
    assert "not in this namespace" in message
    assert "PodDisruptionBudget: " in message
    assert "failed calling webhook" in message
    assert found(admin, "RayService", namespace)
    assert found(admin, "HTTPRoute", namespace)


@pytest.fixture
def deny(admin: Admin, namespace: str) -> Iterator[Callable[[str], None]]:
    """Has the API server reject every write of a resource in the namespace, as an admission policy would."""
    api, made = "admissionregistration.k8s.io/v1", []

    def of(plural: str) -> None:
        group, version = next(api_version.split("/") for api_version, p in KINDS.values() if p == plural)
        name = f"{namespace[:40]}-{plural}"
        rule = {"apiGroups": [group], "apiVersions": [version], "operations": ["*"], "resources": [plural]}
        spec = {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"request.namespace != '{namespace}'", "message": "not in this namespace"}],
        }
        policy = {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}
        bound = {"policyName": name, "validationActions": ["Deny"]}
        binding = {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}}
        admin.create(api, "validatingadmissionpolicies", policy)
        admin.create(api, "validatingadmissionpolicybindings", {**binding, "spec": bound})
        made.append(name)
        eventually(lambda: _is_denied(admin, namespace, plural), 20, "the policy to hold")

    yield of
    for name in made:
        admin.delete(api, "validatingadmissionpolicybindings", None, name)
        admin.delete(api, "validatingadmissionpolicies", None, name)
    for name in made:
        eventually(lambda name=name: not _is_denied(admin, namespace, name.rpartition("-")[2]), 20, "it to be over")


def _is_denied(admin: Admin, namespace: str, plural: str) -> bool:
    kind = next(kind for kind, (_, p) in KINDS.items() if p == plural)
    api_version, _ = KINDS[kind]
    try:
        admin.request("POST", f"/apis/{api_version}/namespaces/{namespace}/{plural}", {"dryRun": "All"},
                      theirs(kind, namespace, "probe"))  # fmt: skip
    except ApiError as error:
        return "not in this namespace" in str(error)
    return False


@pytest.fixture
def broken_webhook(admin: Admin, namespace: str) -> Iterator[None]:
    """A webhook for budgets that nobody answers."""
    api, plural = "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"
    hook = {
        "name": "down.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"apiGroups": ["policy"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    metadata = {"name": "down"}
    admin.create(
        api,
        plural,
        {"apiVersion": api, "kind": "ValidatingWebhookConfiguration", "metadata": metadata, "webhooks": [hook]},
    )
    settle(1)
    yield
    admin.delete(api, plural, None, "down")
    settle(1)


def test_foreign_objects_with_our_labels_say_nothing_of_the_operators_health(
    admin: Admin, namespace: str, operator: OperatorProcess
) -> None:
    """A RayService with our labels that no pipeline controls: whoever makes one must not be able to do anything."""
    metadata = {"labels": {names.LABEL_PIPELINE: "x"}}
    before = admin.create(RAY, SERVICES, theirs("RayService", namespace, "copy", **metadata))
    admin.create(API, PLURAL, document_of(name="copy", namespace=namespace))
    wait_for_reason(admin, namespace, "NameTaken", "copy")
    assert is_untouched(before, found(admin, "RayService", namespace, "copy"))
    assert operator.running
