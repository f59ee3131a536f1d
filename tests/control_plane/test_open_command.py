"""`llmpipeline open` through a real API server: whose Pod it goes to, with which rights, and what it says.

Behind the API server are a fake kubelet, and a server in the place of Ray's that demands its token.
"""

import base64
import contextlib
import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from aiohttp import web

from support.control_plane import Admin, ApiError, ControlPlane, eventually
from support.control_plane import fake_kuberay as kuberay
from support.control_plane.fake_kubelet import FakeKubelet
from support.control_plane.quickstart import apply_sample

pytestmark = pytest.mark.usefixtures("operator")

TOKEN = "the-token-of-ray"
SECONDS = 90
RBAC = "rbac.authorization.k8s.io"
RIGHTS = {
    "pipelines": ("serving.llmpipeline.dev", ["llmpipelines"], ["get"]),
    "ray": ("ray.io", ["rayservices", "rayclusters"], ["get"]),
    "pods": ("", ["pods"], ["get", "list"]),
    "secrets": ("", ["secrets"], ["get"]),
    "forward": ("", ["pods/portforward"], ["get", "create"]),
}
_numbers = itertools.count(1)


class Running:
    """`llmpipeline open` in a process of its own, and what it prints."""

    def __init__(self, kubeconfig: Path, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "llmpipeline", "open", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        self.said: list[str] = []
        self._out: queue.Queue[str] = queue.Queue()
        self._threads = [
            threading.Thread(target=_read, args=(self.process.stdout, self._out.put)),
            threading.Thread(target=_read, args=(self.process.stderr, self.said.append)),
        ]
        for thread in self._threads:
            thread.start()

    def url(self) -> str:
        try:
            return self._out.get(timeout=SECONDS).strip()
        except queue.Empty:
            raise AssertionError("".join(self.said)) from None

    def printed(self) -> list[str]:
        return [self._out.get() for _ in range(self._out.qsize())]

    def wait_until_said(self, words: str) -> None:
        eventually(lambda: words in "".join(self.said), SECONDS, f"{words!r} among {self.said}")

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        for thread in self._threads:
            thread.join()
        return code


def _read(stream: Any, put: Callable[[str], None]) -> None:
    for line in stream:
        put(line)


@pytest.fixture
def start(control_plane: ControlPlane, namespace: str) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*arguments: str, user: str = "admin", name: str = "quickstart") -> Running:
        running = Running(control_plane.kubeconfig_of(user), name, "-n", namespace, "--port", "0", *arguments)
        started.append(running)
        return running

    yield begin
    for running in started:
        running.process.kill()
        running.end()


@pytest.fixture
def node(admin: Admin, tmp_path: Path) -> Iterator[FakeKubelet]:
    with FakeKubelet(admin, f"node-{next(_numbers)}", tmp_path) as kubelet:
        yield kubelet


def server(node: FakeKubelet, says: str | Callable[[web.Request], web.Response], token: str = "") -> int:
    """A server of this machine, in the place of one in a Pod; returns its port."""

    async def answer(request: web.Request) -> web.Response:
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return web.Response(status=401)
        return web.Response(text=f"{says} {request.path}") if isinstance(says, str) else says(request)

    async def begin() -> int:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    return int(node.run_in_background(begin))


def add_pod(
    admin: Admin, node: FakeKubelet, raycluster: dict[str, Any], name: str, *, uid: str = "", phase: str = "Running"
) -> str:
    """A Pod of the RayCluster, as KubeRay 1.7 makes it; another `uid` makes it somebody else's."""
    of = raycluster["metadata"]
    owner = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": of["name"], "uid": uid or of["uid"]}
    reference = {"secretKeyRef": {"name": of["name"], "key": "auth_token"}}
    variables = [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": reference},
    ]
    metadata = {
        "name": name,
        "namespace": of["namespace"],
        "labels": {"ray.io/cluster": of["name"], "ray.io/serve": "true"},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    container = {"name": "ray-head", "image": "x", "env": variables}
    spec = {"nodeName": node.name, "containers": [container], "terminationGracePeriodSeconds": 0}
    admin.create("v1", "pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    ready = [{"type": "Ready", "status": "True"}] if phase == "Running" else []
    kuberay.set_pod_status(admin, of["namespace"], name, {"phase": phase, "conditions": ready})
    return name


def name_head(admin: Admin, raycluster: dict[str, Any], pod: str) -> None:
    of = raycluster["metadata"]
    status = {"status": {"head": {"podName": pod, "serviceName": f"{of['name']}-head-svc"}}}
    admin.merge_patch("ray.io/v1", "rayclusters", of["namespace"], of["name"], status, "status")


def add_token(admin: Admin, raycluster: dict[str, Any], token: str = TOKEN) -> None:
    of = raycluster["metadata"]
    data = {"auth_token": base64.b64encode(token.encode()).decode()}
    metadata = {"name": of["name"], "namespace": of["namespace"]}
    admin.create("v1", "secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


@pytest.fixture
def raycluster(admin: Admin, namespace: str) -> Iterator[dict[str, Any]]:
    """The RayCluster of a pipeline that is ready, with Ray's token and without Pods."""
    apply_sample(admin, namespace)
    kuberay.make_ready(admin, namespace, "quickstart")
    made = kuberay.make_raycluster(admin, namespace, "quickstart")
    add_token(admin, made)
    yield made
    admin.delete_all("v1", "pods", namespace)


@pytest.fixture
def head(admin: Admin, node: FakeKubelet, raycluster: dict[str, Any]) -> str:
    """Its head Pod, which has the dashboard, and takes requests too."""
    pod = add_pod(admin, node, raycluster, f"{raycluster['metadata']['name']}-head-1")
    name_head(admin, raycluster, pod)
    node.forward(pod, 8265, server(node, "dashboard", TOKEN))
    node.forward(pod, 8000, server(node, "apps"))
    return pod


@pytest.fixture
def grant(admin: Admin, namespace: str) -> Callable[[set[str]], None]:
    """Gives alice rights in the namespace."""

    def give(which: set[str]) -> None:
        rules = [
            {"apiGroups": [group], "resources": resources, "verbs": verbs}
            for group, resources, verbs in (RIGHTS[name] for name in which)
        ]
        metadata = {"name": "alice", "namespace": namespace}
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
        admin.create(f"{RBAC}/v1", "roles", role)
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "alice"},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "alice"}],
        }
        admin.create(f"{RBAC}/v1", "rolebindings", binding)

    return give


def get(url: str, **headers: str) -> tuple[int, str]:
    answer = urllib3.request("GET", url, headers=headers, retries=False, timeout=SECONDS)
    return answer.status, answer.data.decode()


@pytest.mark.usefixtures("head")
def test_the_serving_port_and_its_routes(start: Callable[..., Running]) -> None:
    running = start()
    url = running.url()
    assert get(f"{url}/hello") == (200, "apps /hello")
    assert [line.split()[0] for line in running.printed()] == ["/", "/hello"]
    assert running.end() == 130


def test_the_dashboard_gets_the_token_which_is_not_shown(start: Callable[..., Running], head: str) -> None:
    running = start("--dashboard")
    url = running.url()
    assert get(f"{url}/api/version") == (200, "dashboard /api/version")
    assert get(url, Host="evil.example")[0] == 403
    assert running.end() == 130
    assert f"Pod {head} of RayCluster" in "".join(running.said)
    assert TOKEN not in "".join(running.said + running.printed())


def test_a_head_pod_that_is_replaced(
    admin: Admin,
    namespace: str,
    node: FakeKubelet,
    raycluster: dict[str, Any],
    head: str,
    start: Callable[..., Running],
) -> None:
    running = start("--dashboard")
    url = running.url()
    assert get(url)[0] == 200
    admin.delete("v1", "pods", namespace, head)
    running.wait_until_said(f"the head Pod {head} of RayCluster {raycluster['metadata']['name']} is gone")
    assert get(url)[0] == 502
    new = add_pod(admin, node, raycluster, f"{head}-new")
    node.forward(new, 8265, server(node, "new dashboard", TOKEN))
    name_head(admin, raycluster, new)
    assert get(url) == (200, "new dashboard /")
    assert f"the Pod {head} was replaced: forwarding to port 8265 of Pod {new}" in "".join(running.said)


@pytest.mark.usefixtures("head")
def test_two_clusters_during_an_update(
    admin: Admin, namespace: str, raycluster: dict[str, Any], node: FakeKubelet, start: Callable[..., Running]
) -> None:
    kuberay.start_upgrade(admin, namespace, "quickstart")
    running = start("--dashboard")
    url = running.url()
    old = raycluster["metadata"]["name"]
    running.wait_until_said(f"of RayCluster {old}, which takes the requests; an update is in progress")
    kuberay.finish_upgrade(admin, namespace, "quickstart")
    second = kuberay.make_raycluster(admin, namespace, "quickstart")
    add_token(admin, second, "another")
    pod = add_pod(admin, node, second, "second-head")
    name_head(admin, second, pod)
    node.forward(pod, 8265, server(node, "second", "another"))
    running.wait_until_said(f"forwarding to port 8265 of Pod {pod}")
    assert get(url) == (200, "second /")


@pytest.mark.parametrize(
    ("missing", "arguments", "says"),
    [
        ("pipelines", ["--dashboard"], 'cannot get resource "llmpipelines"'),
        ("ray", ["--dashboard"], 'cannot get resource "rayservices"'),
        ("pods", ["--dashboard"], 'cannot get resource "pods"'),
        ("pods", [], 'cannot list resource "pods"'),
        ("secrets", ["--dashboard"], 'cannot get resource "secrets"'),
        ("forward", ["--dashboard"], "the verbs get and create on pods/portforward in namespace"),
    ],
)
@pytest.mark.usefixtures("head")
def test_a_right_that_is_missing_is_named(
    missing: str, arguments: list[str], says: str, grant: Callable[[set[str]], None], start: Callable[..., Running]
) -> None:
    grant(set(RIGHTS) - {missing})
    # The authorizer learns of new roles after a moment.
    running = start(*arguments, user="alice")
    code, said = running.process.wait(SECONDS), ""
    for _ in range(20):
        said = _said(running)
        if says in said:
            break
        running = start(*arguments, user="alice")
        code = running.process.wait(SECONDS)
    assert (code, says in said) == (3, True), said


def _said(running: Running) -> str:
    running.end()
    return "".join(running.said)


@pytest.mark.usefixtures("head")
def test_without_the_right_to_secrets_the_serving_port_works(
    grant: Callable[[set[str]], None], start: Callable[..., Running], control_plane: ControlPlane, namespace: str
) -> None:
    grant(set(RIGHTS) - {"secrets"})
    alice = control_plane.client_of("alice")

    def may() -> bool:
        with contextlib.suppress(ApiError):
            return bool(alice.list("v1", "pods", namespace))
        return False

    eventually(may, 10, "alice to have her rights")
    assert get(f"{start(user='alice').url()}/hello") == (200, "apps /hello")


def test_a_pod_of_somebody_else_is_not_taken(
    admin: Admin, node: FakeKubelet, raycluster: dict[str, Any], start: Callable[..., Running]
) -> None:
    pod = add_pod(admin, node, raycluster, "trap", uid="somebody-else")
    name_head(admin, raycluster, pod)
    running = start("--dashboard")
    assert (running.process.wait(SECONDS), "the head Pod trap" in _said(running)) == (1, True)
    running = start()
    assert (running.process.wait(SECONDS), "takes requests" in _said(running)) == (1, True)


def test_what_is_not_there(admin: Admin, namespace: str, node: FakeKubelet, start: Callable[..., Running]) -> None:
    def ends(says: str, *arguments: str, name: str = "quickstart") -> None:
        running = start(*arguments, name=name)
        assert (running.process.wait(SECONDS), says in _said(running)) == (1, True), running.said

    ends(f"there is no pipeline nobody in namespace {namespace}", name="nobody")
    apply_sample(admin, namespace)
    ends("takes no requests yet")
    ends("takes no requests yet", "--dashboard")
    kuberay.make_initializing(admin, namespace, "quickstart")
    ends("takes no requests yet; `llmpipeline status quickstart")
    raycluster = kuberay.make_raycluster(admin, namespace, "quickstart")
    ends("has no head Pod yet", "--dashboard")
    pod = add_pod(admin, node, raycluster, "first", phase="Pending")
    name_head(admin, raycluster, pod)
    ends(f"the head Pod first of RayCluster {raycluster['metadata']['name']} is not running", "--dashboard")
    kuberay.set_pod_status(admin, namespace, pod, {"phase": "Running"})
    ends("there is no Secret", "--dashboard")
    add_token(admin, raycluster)
    running = start("--dashboard")
    running.url()
    running.wait_until_said("which takes no requests yet")
    kuberay.suspend(admin, namespace, "quickstart")
    ends("is suspended", "--dashboard")
    admin.delete_all("v1", "pods", namespace)


def test_the_pipeline_of_another_namespace(admin: Admin, namespace: str, control_plane: ControlPlane) -> None:
    apply_sample(admin, namespace)
    running = Running(control_plane.kubeconfig, "llmp/quickstart", "--port", "0")
    assert (running.process.wait(SECONDS), f"namespace {namespace}" in _said(running)) == (1, True)


@pytest.mark.usefixtures("head")
def test_a_port_where_nothing_listens(node: FakeKubelet, head: str, start: Callable[..., Running]) -> None:
    node.forward(head, 8000, 1)
    running = start()
    assert get(running.url())[0] == 502
    running.wait_until_said("error forwarding port 8000")


def test_a_port_in_use(start: Callable[..., Running]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = start("--port", str(taken.getsockname()[1]))
        assert (running.process.wait(SECONDS), "name another one with --port" in _said(running)) == (1, True)


def test_completion(admin: Admin, namespace: str, control_plane: ControlPlane) -> None:
    apply_sample(admin, namespace)
    environment = {
        **os.environ,
        "KUBECONFIG": str(control_plane.kubeconfig),
        "_LLMPIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"llmpipeline open -n {namespace} qu",
        "COMP_CWORD": "4",
    }
    script = "from llmpipeline.cli.main import main; main(prog_name='llmpipeline')"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "plain,quickstart"


def logs(control_plane: ControlPlane, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "llmpipeline", "logs", *arguments, "-n", namespace]
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)


def test_the_logs_of_replicas(node: FakeKubelet, head: str, control_plane: ControlPlane, namespace: str) -> None:
    """They come through the API server from Ray's dashboard, which demands its token."""
    node.forward(head, 8265, server(node, _dashboard, TOKEN))
    done = logs(control_plane, namespace, "llmp/quickstart", "hello")
    assert (done.returncode, done.stdout) == (0, "hello/Hello#a1  n1 serve/replica_hello_Hello_a1.log 100\n"), done
    done = logs(control_plane, namespace, "quickstart", "hallo")
    assert (done.returncode, "there is no app hallo; there are hello" in done.stderr) == (1, True)
    done = logs(control_plane, namespace, "nobody")
    assert (done.returncode, "there is no pipeline nobody" in done.stderr) == (1, True)
    node.forward(head, 8265, server(node, "somebody else", TOKEN))
    done = logs(control_plane, namespace, "quickstart")
    assert (done.returncode, "Ray's dashboard answers with something that is not JSON" in done.stderr) == (3, True)


def _dashboard(request: web.Request) -> web.Response:
    if request.path == "/api/serve/applications/":
        replica = {"replica_id": "a1", "node_id": "n1", "log_file_path": "/serve/replica_hello_Hello_a1.log"}
        deployments = {"Hello": {"status": "HEALTHY", "message": "", "replicas": [replica]}}
        app = {"status": "RUNNING", "message": "", "deployments": deployments}
        return web.json_response({"applications": {"hello": app}})
    asked = request.query
    return web.Response(text=f"{asked['node_id']} {asked['filename']} {asked['lines']}\n")
