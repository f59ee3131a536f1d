"""What has a cluster's nodes enforce NetworkPolicies where their network plugin does not.

kube-network-policies of the Kubernetes project decides, beside any plugin, about each new connection: the kernel queues
its first packet, and the program looks at the policies of both ends.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from support.cache import AssetsError
from support.control_plane.assets import KUBE_NETWORK_POLICIES, build_once
from support.e2e.kubectl import CommandError, Kube, Manifest, until

NAME = "e2e-network-policies"
# Where a node has the program.
INSTALLED = f"/usr/local/bin/{NAME}"
# Not that of another enforcer, which may be in the cluster too.
QUEUE = 4177
# The program diverts packets by itself, with nftables, but many kernels have no `queue` for nftables: then it says so
# and goes on. iptables reaches the same queue by NFQUEUE. Where both work, the program is asked twice, with one answer.
# With the bypass, a rule that is left over lets everything through.
DIVERSION = ["FORWARD", "-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", str(QUEUE),
             "--queue-bypass"]  # fmt: skip


@contextmanager
def enforcing(kube: Kube, image: str) -> Iterator[None]:
    """The nodes enforce for as long as the block takes. Of the image, which they have, nothing runs but its root.

    Raises:
        AssetsError: Something is missing that this needs.
    """
    if not shutil.which("docker"):
        raise AssetsError("there is no docker")
    nodes = [item["metadata"]["name"] for item in kube.list("nodes")]
    for node in nodes:
        _command("docker", "inspect", "--type", "container", node, why=f"the node {node} is not a container here")
    program = build_once(KUBE_NETWORK_POLICIES)  # for the nodes' architecture, which is this machine's
    with ExitStack() as undo:
        for node in nodes:
            undo.callback(_within, node, "rm", "-f", INSTALLED)
            # The program leaves its own table where the kernel took it, because nobody tells it to end in its own way.
            undo.callback(_within, node, "sh", "-c", "nft delete table inet kube-network-policies 2>/dev/null; true")
            _command("docker", "cp", str(program), f"{node}:{INSTALLED}")
        undo.callback(_remove, kube)
        kube.apply(*_manifests(image))
        kube.kubectl("rollout", "status", f"daemonset/{NAME}", "-n", NAME, "--timeout=120s", seconds=150)
        for node in nodes:
            _divert(node, undo)
        yield


def _manifests(image: str) -> list[Manifest]:
    """A namespace, a Pod on each node and what it may read."""
    where = {"name": NAME, "namespace": NAME}
    account = {"kind": "ServiceAccount", **where}
    rules = [
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": NAME}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME}, "roleRef": role,
            "subjects": [account],
        },
        _daemon_set(image),
    ]  # fmt: skip


def _daemon_set(image: str) -> Manifest:
    labels = {"app": NAME}
    node_name = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    arguments = [f"--nfqueue-id={QUEUE}", "--hostname-override=$(NODE)", "--metrics-bind-address=127.0.0.1:0"]
    container = {
        "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": [INSTALLED, *arguments],
        "env": [node_name], "volumeMounts": [{"name": "program", "mountPath": INSTALLED, "readOnly": True}],
        "securityContext": {"privileged": True, "runAsUser": 0},
    }  # fmt: skip
    spec = {
        "hostNetwork": True, "serviceAccountName": NAME, "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}], "containers": [container],
        "volumes": [{"name": "program", "hostPath": {"path": INSTALLED, "type": "File"}}],
    }  # fmt: skip
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NAME, "namespace": NAME},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }  # fmt: skip


def _remove(kube: Kube) -> None:
    kube.delete("clusterrole,clusterrolebinding", NAME)
    kube.delete("namespace", NAME)


def _divert(node: str, undo: ExitStack) -> None:
    """Once the program listens. Where iptables has no NFQUEUE, the program's own way may do, which shows later."""
    try:
        until(partial(_listens, node), 30, f"the enforcer to open its queue on {node}")
    except TimeoutError as error:
        raise AssetsError(str(error)) from error
    with suppress(CommandError):
        _within(node, "iptables", "-t", "mangle", "-I", *DIVERSION)
        undo.callback(_within, node, "iptables", "-t", "mangle", "-D", *DIVERSION)


def _listens(node: str) -> bool:
    """Whether the node's kernel knows the queue, which stands at the beginning of a line."""
    queues = _within(node, "cat", "/proc/net/netfilter/nfnetlink_queue")
    return any(line.split()[0] == str(QUEUE) for line in queues.splitlines())


def _within(node: str, *command: str) -> str:
    return _command("docker", "exec", node, *command)


def _command(*command: str, why: str = "") -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        if why:
            raise AssetsError(why)
        raise CommandError(f"{' '.join(command[:8])}: {done.stderr or done.stdout}")
    return done.stdout
