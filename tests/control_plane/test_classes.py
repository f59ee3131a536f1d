"""Classes on a real API server: who gets which, and that a change reaches one pipeline after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmpipeline import names
from support.control_plane import Admin, ApiError, ControlPlane, OperatorProcess, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.quickstart import API, PLURAL, RAY, SERVICES, settle
from support.control_plane.surroundings import role_of_rights
from support.pipelines import model

pytestmark = pytest.mark.usefixtures("operator", "no_classes")

CLASSES = names.CLASS_PLURAL
RBAC = "rbac.authorization.k8s.io/v1"
Document = dict[str, Any]
B300: Document = {"name": "B300", "nodeLabels": {"nvidia.com/gpu.product": ["NVIDIA-B300"]}}


@pytest.fixture(scope="module")
def operator_role(admin: Admin) -> str:
    """The rights of the chart, and no more."""
    return str(admin.apply(RBAC, "clusterroles", role_of_rights())["metadata"]["name"])


def class_of(name: str, *, default: bool = False, **spec: Any) -> Document:
    annotations = {names.ANNOTATION_DEFAULT_CLASS: "true"} if default else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": API, "kind": names.CLASS_KIND, "metadata": metadata, "spec": spec}


def ray(tag: str, **more: Any) -> Document:
    images = {"cpu": f"registry.example/ray:{tag}-cpu", "gpu": f"registry.example/ray:{tag}-gpu"}
    return {"version": "2.60.0", "images": images, **more}


@pytest.fixture
def no_classes(admin: Admin) -> Iterator[None]:
    yield
    for item in admin.list(API, CLASSES, None):
        admin.delete(API, CLASSES, None, item["metadata"]["name"])


@pytest.fixture
def make(admin: Admin, namespace: str) -> Any:
    """Creates the smallest pipeline."""

    def made(name: str, **spec: Any) -> Document:
        document = {
            "apiVersion": API,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"apps": [{"name": "hello", "hello": {}}], **spec},
        }
        return admin.create(API, PLURAL, document)

    return made


class Pipelines:
    """What is seen of the pipelines of a namespace."""

    def __init__(self, admin: Admin, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace

    def condition(self, name: str, kind: str) -> Document:
        status = self.admin.get(API, PLURAL, self.namespace, name).get("status", {})
        return next((item for item in status.get("conditions", ()) if item["type"] == kind), {})

    def wait(self, name: str, kind: str, status: str, reason: str = "") -> Document:
        def probe() -> Document | None:
            found = self.condition(name, kind)
            return found if found.get("status") == status and reason in ("", found["reason"]) else None

        found = eventually(probe, 20, f"{name}: {kind}={status} {reason}")
        assert found
        return found

    def service(self, name: str) -> Document:
        return self.admin.get(RAY, SERVICES, self.namespace, name)

    def image(self, name: str) -> str:
        head = self.service(name)["spec"]["rayClusterConfig"]["headGroupSpec"]
        image: str = head["template"]["spec"]["containers"][0]["image"]
        return image

    def wait_image(self, name: str, image: str) -> None:
        eventually(lambda: self.image(name) == image, 20, f"{name} with {image}")

    def run(self, *names_: str) -> None:
        for name in names_:
            self.wait(name, "Applied", "True")
            kuberay.make_ready(self.admin, self.namespace, name)
        for name in names_:
            self.wait(name, "Ready", "True")

    def roll(self, name: str) -> None:
        kuberay.start_upgrade(self.admin, self.namespace, name)
        self.wait(name, "Reconciling", "True", "Upgrading")

    def rolled(self, name: str) -> None:
        kuberay.finish_upgrade(self.admin, self.namespace, name)
        self.wait(name, "Ready", "True")


@pytest.fixture
def pipelines(admin: Admin, namespace: str) -> Pipelines:
    return Pipelines(admin, namespace)


def change(admin: Admin, name: str, tag: str) -> None:
    admin.merge_patch(API, CLASSES, None, name, {"spec": {"ray": ray(tag)}})


def test_without_a_class_there_are_built_in_defaults(make: Any, pipelines: Pipelines) -> None:
    made = make("small")
    pipelines.wait("small", "Applied", "True")
    assert pipelines.image("small") == "llmpipeline/serve:2.60.0-cpu"
    # Nothing of it is written into the object: neither the CRD nor the operator fills it in there.
    assert pipelines.admin.get(API, PLURAL, pipelines.namespace, "small")["spec"] == made["spec"]
    assert "ray" not in made["spec"]


def test_the_default_class_and_a_named_one(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("usual")))
    admin.create(API, CLASSES, class_of("special", ray=ray("special")))
    make("a")
    make("b", className="special")
    pipelines.wait("a", "Applied", "True")
    pipelines.wait("b", "Applied", "True")
    assert pipelines.image("a") == "registry.example/ray:usual-cpu"
    assert pipelines.image("b") == "registry.example/ray:special-cpu"
    record = json.loads(pipelines.service("b")["metadata"]["annotations"][names.ANNOTATION_CLASS])
    assert (record["name"], record["byDefault"]) == ("special", False)


def test_two_default_classes(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    admin.create(API, CLASSES, class_of("one", default=True))
    admin.create(API, CLASSES, class_of("other", default=True))
    make("torn")
    make("decided", className="one")
    said = pipelines.wait("torn", "Accepted", "False", "SeveralDefaultClasses")["message"]
    assert "one, other" in said
    pipelines.wait("decided", "Applied", "True")
    admin.delete(API, CLASSES, None, "other")
    pipelines.wait("torn", "Applied", "True")


def test_a_class_that_comes_later(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    make("early", className="later")
    said = pipelines.wait("early", "Accepted", "False", "ClassNotFound")["message"]
    assert "there is no LLMPipelineClass later" in said
    assert admin.find(RAY, SERVICES, pipelines.namespace, "early") is None
    admin.create(API, CLASSES, class_of("later", ray=ray("later")))
    pipelines.wait("early", "Applied", "True")
    assert pipelines.image("early") == "registry.example/ray:later-cpu"


def test_a_gpu_type_that_the_class_gets_later(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    """A name that nobody knows is stored, and runs as soon as the class has it; it goes on when the class loses it."""
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("v1")))
    make("new-gpu", apps=[{"name": "chat", "openai": {"models": [model(accelerator={"type": "B300"})]}}])
    said = pipelines.wait("new-gpu", "Accepted", "False", "InvalidSpec")["message"]
    assert "models[0].accelerator.type: there is no GPU type B300; the known types are T4," in said
    assert "an administrator can add it to spec.gpuTypes of class usual" in said
    assert admin.find(RAY, SERVICES, pipelines.namespace, "new-gpu") is None
    # Two labels in an order that the API server does not keep.
    labels = {"z.example/gpu": ["b300"], "a.example/gpu": ["b300", "b300-sxm"]}
    admin.merge_patch(API, CLASSES, None, "usual", {"spec": {"gpuTypes": [{**B300, "nodeLabels": labels}]}})
    pipelines.run("new-gpu")
    before = pipelines.service("new-gpu")
    (group,) = before["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert group["groupName"] == "b300-x1"
    affinity = group["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [term["matchExpressions"][0]["key"] for term in terms] == ["a.example/gpu", "z.example/gpu"]
    admin.merge_patch(API, CLASSES, None, "usual", {"spec": {"gpuTypes": None}})
    pipelines.wait("new-gpu", "Accepted", "False", "InvalidSpec")
    assert pipelines.service("new-gpu")["spec"] == before["spec"]
    # And back: nothing was lost, so nothing is built a second time.
    admin.merge_patch(API, CLASSES, None, "usual", {"spec": {"gpuTypes": [{**B300, "nodeLabels": labels}]}})
    pipelines.wait("new-gpu", "Ready", "True")
    assert pipelines.service("new-gpu")["spec"] == before["spec"]


def test_other_labels_of_a_type_reach_one_pipeline_after_the_other(
    admin: Admin, make: Any, pipelines: Pipelines
) -> None:
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("v1"), gpuTypes=[B300]))
    apps = [{"name": "chat", "openai": {"models": [model(accelerator={"type": "B300"})]}}]
    for name in ("a", "b"):
        make(name, apps=apps)
    pipelines.run("a", "b")
    other = {**B300, "nodeLabels": {"example.com/gpu": ["b300"]}}
    admin.merge_patch(API, CLASSES, None, "usual", {"spec": {"gpuTypes": [other]}})

    def changed() -> list[str]:
        return [name for name in ("a", "b") if "example.com/gpu" in json.dumps(pipelines.service(name)["spec"])]

    (first,) = eventually(changed, 20, "one with the new labels")
    (second,) = {"a", "b"} - {first}
    pipelines.wait(second, "Applied", "True", "ClassRolloutWaiting")
    pipelines.roll(first)
    pipelines.rolled(first)
    eventually(lambda: len(changed()) == 2, 20, "the other one too")


@pytest.mark.parametrize("named", [True, False])
def test_a_running_service_survives_its_class(admin: Admin, make: Any, pipelines: Pipelines, named: bool) -> None:
    admin.create(API, CLASSES, class_of("gone", default=not named, ray=ray("v1")))
    make("runs", **({"className": "gone"} if named else {}))
    pipelines.run("runs")
    before = pipelines.service("runs")
    admin.delete(API, CLASSES, None, "gone")
    pipelines.wait("runs", "Accepted", "False", "ClassNotFound")
    pipelines.wait("runs", "Available", "True")
    settle()
    after = pipelines.service("runs")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    # And it is as before once the class is back.
    admin.create(API, CLASSES, class_of("gone", default=not named, ray=ray("v1")))
    pipelines.wait("runs", "Ready", "True")
    assert pipelines.service("runs")["spec"] == before["spec"]


def test_a_change_reaches_one_pipeline_after_the_other(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("v1")))
    for name in ("a", "b"):
        make(name)
    make("own", ray={"version": "2.60.0", "image": "registry.example/own:1"})
    pipelines.run("a", "b", "own")
    change(admin, "usual", "v2")
    new = "registry.example/ray:v2-cpu"
    first = eventually(lambda: next((it for it in ("a", "b") if pipelines.image(it) == new), None), 20, "one of them")
    second = "b" if first == "a" else "a"
    assert first
    said = pipelines.wait(second, "Applied", "True", "ClassRolloutWaiting")["message"]
    assert f"{pipelines.namespace}/{first}" in said
    assert pipelines.condition(second, "Ready")["status"] == "True", "it runs, with the class as it was"
    assert pipelines.image("own") == "registry.example/own:1"
    pipelines.roll(first)
    settle()
    assert pipelines.image(second) != new
    pipelines.rolled(first)
    pipelines.wait_image(second, new)
    eventually(lambda: names.LABEL_ROLLOUT not in pipelines.service(first)["metadata"]["labels"], 20, "no mark")
    pipelines.roll(second)
    pipelines.rolled(second)
    pipelines.wait(second, "Applied", "True", "Applied")
    eventually(lambda: names.LABEL_ROLLOUT not in pipelines.service(second)["metadata"]["labels"], 20, "no mark")


def test_one_that_fails_stops_the_rollout_until_the_class_is_right(
    admin: Admin, make: Any, pipelines: Pipelines, operator: OperatorProcess
) -> None:
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("v1")))
    for name in ("a", "b", "c"):
        make(name)
    pipelines.run("a", "b", "c")
    change(admin, "usual", "bad")
    bad = "registry.example/ray:bad-cpu"
    first = eventually(lambda: next((it for it in "abc" if pipelines.image(it) == bad), None), 20, "one of them")
    assert first
    others = [name for name in "abc" if name != first]
    kuberay.start_upgrade(admin, pipelines.namespace, first, app_status="DEPLOY_FAILED")
    pipelines.wait(first, "Ready", "False", "AppsFailed")
    # A restart forgets nothing, and an edit of one that waits is carried out without the change of the class.
    operator.restart()
    pipelines.wait(others[0], "Applied", "True", "ClassRolloutWaiting")
    edit = {"spec": {"apps": [{"name": "hello", "hello": {"message": "edited"}}]}}
    admin.merge_patch(API, PLURAL, pipelines.namespace, others[0], edit)
    eventually(lambda: "edited" in pipelines.service(others[0])["spec"]["serveConfigV2"], 20, "the edit")
    said = pipelines.wait(others[1], "Applied", "True", "ClassRolloutWaiting")["message"]
    assert pipelines.namespace + "/" + first in said
    assert {pipelines.image(name) for name in others} == {"registry.example/ray:v1-cpu"}
    # The class as it was: the one that failed goes back, and nothing is left to do for the others.
    change(admin, "usual", "v1")
    pipelines.wait_image(first, "registry.example/ray:v1-cpu")
    kuberay.make_ready(admin, pipelines.namespace, first)
    for name in "abc":
        pipelines.wait(name, "Applied", "True", "Applied")
    assert {pipelines.image(name) for name in others} == {"registry.example/ray:v1-cpu"}


def test_an_image_that_the_class_does_not_allow(admin: Admin, make: Any, pipelines: Pipelines) -> None:
    admin.create(API, CLASSES, class_of("strict", default=True, ray=ray("v1"), allowedImages=["registry.example/ok/*"]))
    make("good", ray={"version": "2.60.0", "image": "registry.example/ok/ray:1"})
    make("bad", ray={"version": "2.60.0", "image": "docker.example/ray:1"})
    pipelines.wait("good", "Applied", "True")
    said = pipelines.wait("bad", "Accepted", "False", "ImageNotAllowed")["message"]
    assert "registry.example/ok/*" in said
    pipelines.wait("bad", "Stalled", "True", "ImageNotAllowed")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"ray": {"version": "2.60.0"}}, "version and images go together"),
        ({"ray": {**ray("x"), "version": "2.40.0"}}, "or newer is needed"),
        ({"allowedImages": ["a b"]}, "should match"),
        ({"rays": {}}, "unknown field"),
        ({"gpuTypes": [{"name": "B300"}]}, "give nodeLabels"),
        ({"gpuTypes": [{"name": "B300", "nodeLabels": {}}]}, "give nodeLabels"),
        ({"gpuTypes": [{"name": "B300", "nodeLabels": {"a/b": []}}]}, "should have at least 1 items"),
        ({"gpuTypes": [{**B300, "name": "b300"}]}, "should match"),
        ({"gpuTypes": [{**B300, "name": "GPU"}]}, "the name of another worker group"),
        ({"gpuTypes": [{**B300, "name": "H100-1G-10GB"}]}, "the name of another worker group"),
        ({"gpuTypes": [{**B300, "name": "TPU-V7"}]}, "of TPUs a class can change"),
        ({"gpuTypes": [{**B300, "name": "TPU-V6E", "maxPerNode": 4}]}, "of TPUs a class can change"),
        ({"gpuTypes": [{**B300, "resource": "example.com/card"}]}, "should match"),
        ({"gpuTypes": [B300, B300]}, "Duplicate value"),
    ],
)
def test_the_api_server_rejects_wrong_classes(admin: Admin, spec: Document, says: str) -> None:
    with pytest.raises(ApiError, match=says):
        admin.create(API, CLASSES, class_of("wrong", **spec))


def test_a_name_that_no_label_can_have(admin: Admin) -> None:
    with pytest.raises(ApiError, match="lower-case letters, digits and dashes"):
        admin.create(API, CLASSES, class_of("a.b"))


# Rights


@pytest.mark.parametrize("user", ["operator", "alice"])
def test_nobody_but_an_administrator_writes_classes(
    admin: Admin, control_plane: ControlPlane, namespace: str, user: str
) -> None:
    """The operator with the rights of the chart, and a tenant with all rights on pipelines in the own namespace."""
    admin.create(API, CLASSES, class_of("usual"))
    if user == "alice":
        rules = [{"apiGroups": [names.GROUP], "resources": ["*"], "verbs": ["*"]}]
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
        metadata = {"name": "tenant", "namespace": namespace}
        admin.create(RBAC, "roles", {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": rules})
        binding = {"kind": "RoleBinding", "metadata": metadata, "roleRef": ref, "subjects": subjects}
        admin.create(RBAC, "rolebindings", {"apiVersion": RBAC, **binding})
    client = control_plane.client_of(user)
    if user == "operator":
        assert [it["metadata"]["name"] for it in client.list(API, CLASSES)] == ["usual"]
    writes = (
        lambda: client.create(API, CLASSES, class_of("mine")),
        lambda: client.merge_patch(API, CLASSES, None, "usual", {"spec": {"allowedImages": ["*"]}}),
        lambda: client.delete(API, CLASSES, None, "usual"),
    )
    for write in writes:
        with pytest.raises(ApiError, match="forbidden"):
            write()


def test_an_operator_that_may_not_read_classes(
    control_plane: ControlPlane, admin: Admin, namespace: str, tmp_path: Path, operator: OperatorProcess, make: Any
) -> None:
    """As with watchNamespaces: pipelines that say all run, and the others say what they lack."""
    rules = [rule for rule in role_of_rights()["rules"] if CLASSES not in rule["resources"]]
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "without-classes"}, "rules": rules}
    admin.apply(RBAC, "clusterroles", role)
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "without-classes"}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}]
    binding = {"metadata": {"name": "bob", "namespace": namespace}, "roleRef": ref, "subjects": subjects}
    admin.create(RBAC, "rolebindings", {"apiVersion": RBAC, "kind": "RoleBinding", **binding})
    kubeconfig = control_plane.kubeconfig_of("bob")
    alone = OperatorProcess(kubeconfig, tmp_path / "operator.log", arguments=["--namespace", namespace])
    pipelines = Pipelines(admin, namespace)
    operator.stop()
    try:
        alone.start()
        make("short")
        make("whole", ray={"version": "2.60.0", "image": "registry.example/own:1"})
        pipelines.wait("whole", "Applied", "True")
        said = pipelines.wait("short", "Accepted", "False", "ClassesUnreadable")["message"]
        assert "set ray.version and ray.image" in said
        assert alone.log.count("LLMPipelineClass cannot be watched") <= 1
    finally:
        alone.kill()
        operator.start()


# What a change costs, before it is applied


def plan(control_plane: ControlPlane, tmp_path: Path, *documents: Document, options: tuple[str, ...] = ()) -> Any:
    (tmp_path / "files.yaml").write_text(yaml.safe_dump_all(documents))
    command = [sys.executable, "-P", "-m", "llmpipeline", "plan", "-o", "json", *options]
    ended = subprocess.run(
        [*command, "-f", str(tmp_path / "files.yaml")],
        env={**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, {it["name"]: it for it in json.loads(ended.stdout)}


def test_the_plan_of_a_class(
    admin: Admin, make: Any, pipelines: Pipelines, control_plane: ControlPlane, tmp_path: Path
) -> None:
    admin.create(API, CLASSES, class_of("usual", default=True, ray=ray("v1")))
    admin.create(API, CLASSES, class_of("other", ray=ray("v1")))
    make("a")
    make("gpu", apps=[{"name": "chat", "openai": {"models": [model()]}}])
    make("elsewhere", className="other")
    own = {"version": "2.60.0", "image": "registry.example/own:1"}
    make("own", ray=own)
    for name in ("a", "gpu", "elsewhere", "own"):
        pipelines.wait(name, "Applied", "True")
    where = ("-n", pipelines.namespace)
    code, found = plan(control_plane, tmp_path, class_of("usual", default=True, ray=ray("v2")), options=where)
    assert code == 0
    effects = {name: (it["effect"], it["gpus"]["extraByType"]) for name, it in found.items()}
    assert effects == {"a": ("NewCluster", {}), "gpu": ("NewCluster", {"L4": 1}), "own": ("Unchanged", {})}
    assert "one pipeline after the other" in found["a"]["message"]
    assert [it["field"] for it in found["a"]["reasons"]] == ["ray.image"]
    strict = class_of("usual", default=True, ray=ray("v1"), allowedImages=["none/*"])
    _, found = plan(control_plane, tmp_path, strict, options=where)
    assert (found["own"]["effect"], found["a"]["effect"]) == ("Ignored", "Unchanged")
    assert "no longer accepted" in found["own"]["message"]
    # A pipeline is planned with the class that the cluster has, or that the files have in its place.
    document = admin.get(API, PLURAL, pipelines.namespace, "a")
    mine = {"apiVersion": API, "kind": names.KIND, "metadata": {"name": "a", "namespace": pipelines.namespace}}
    _, found = plan(control_plane, tmp_path, {**mine, "spec": document["spec"]})
    assert {name: it["effect"] for name, it in found.items()} == {"a": "Unchanged"}
    later = tmp_path / "class.yaml"
    later.write_text(yaml.safe_dump(class_of("usual", default=True, ray=ray("v3"))))
    _, found = plan(control_plane, tmp_path, {**mine, "spec": document["spec"]}, options=("--class", str(later)))
    assert {name: it["effect"] for name, it in found.items()} == {"a": "NewCluster"}
