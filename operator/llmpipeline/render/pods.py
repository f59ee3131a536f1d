"""The Pods of the head and of the worker groups. They have no probes and no /dev/shm: `kuberay` says why."""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.defaults import HEAD_CPU_MILLI, HEAD_MEMORY
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.pods import PodSettings, Toleration
from llmpipeline.api.quantity import ceil_units, milli
from llmpipeline.api.ray_cluster import WorkerSettings
from llmpipeline.kuberay.conventions import HEAD_CONTAINER, WORKER_CONTAINER
from llmpipeline.names import without_none
from llmpipeline.plan.capacity.demand import Group
from llmpipeline.plan.plan import Plan
from llmpipeline.render import nodes
from llmpipeline.render.drain import pod_grace_seconds
from llmpipeline.render.environment import variables
from llmpipeline.render.metadata import labels
from llmpipeline.render.passed_on import NOTHING, PassedOn
from llmpipeline.render.strategic_merge import merge
from llmpipeline.render.volumes import volumes

_HEAD_PORTS: Final = (("gcs", 6379), ("dashboard", 8265), ("serve", names.SERVE_PORT))
_TOKEN_VOLUME: Final = "autoscaler-token"
# What Kubernetes itself would mount in every container. Ray reads it again every minute, so it may expire in an hour.
_TOKEN: Final = {
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
}
_CONTAINERS: Final = ("initContainers", "containers")
_DEFAULT_POLICY: Final = {"terminationMessagePolicy": "FallbackToLogsOnError"}
# The user `ray` of Ray's images, and its group.
_USER, _GROUP = 1000, 100
POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _GROUP,
    "fsGroup": _GROUP,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def head_template(pipeline: LLMPipeline, plan: Plan, passed: PassedOn = NOTHING) -> dict[str, Any]:
    """The Pod that runs Ray's control plane and the autoscaler, which talks to the API server."""
    head = pipeline.spec.head
    wanted = head.resources if head else None
    cpu_milli = milli(wanted.cpus) if wanted and wanted.cpus is not None else HEAD_CPU_MILLI
    memory = ceil_units(wanted.memory) if wanted and wanted.memory is not None else HEAD_MEMORY
    container = _container(pipeline, plan, HEAD_CONTAINER, resources(cpu_milli, memory))
    container["ports"] = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _HEAD_PORTS]
    template = _template(pipeline, container, passed)
    template["spec"].setdefault("volumes", []).append({"name": _TOKEN_VOLUME, "projected": _TOKEN})
    return _with_last_words(_overlaid(template, head, []))


def worker_template(pipeline: LLMPipeline, plan: Plan, group: Group, passed: PassedOn = NOTHING) -> dict[str, Any]:
    """A Pod of one worker group."""
    gpus = {group.accelerator.resource if group.accelerator else "nvidia.com/gpu": group.gpus} if group.gpus else {}
    container = _container(pipeline, plan, WORKER_CONTAINER, resources(group.cpu_milli, group.memory, gpus))
    container["ports"] = [{"name": "serve", "containerPort": names.SERVE_PORT, "protocol": "TCP"}]
    template = _template(pipeline, container, passed)
    defaults, own = pipeline.spec.worker_defaults, group.given
    spot = _spot(defaults, own)
    if where := nodes.affinity(group.accelerator, spot=spot):
        template["spec"]["affinity"] = where
    template = _overlaid(template, defaults, nodes.tolerations(group.accelerator, spot=spot))
    return _with_last_words(_overlaid(template, own, []))


def autoscaler_token_mount() -> dict[str, Any]:
    """Where the autoscaler's container, and no other of the head, has its token."""
    return {"name": _TOKEN_VOLUME, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}


def resources(cpu_milli: int | None, memory: int | None, gpus: dict[str, int] | None = None) -> dict[str, Any]:
    """No CPU limit: the kernel would throttle an engine between two tokens although the node has idle cores."""
    hard = {} if memory is None else {"memory": _memory(memory)}
    hard |= {resource: str(count) for resource, count in (gpus or {}).items()}
    soft = {} if cpu_milli is None else {"cpu": _cpu(cpu_milli)}
    return {"limits": hard, "requests": {**soft, **hard}}


def _spot(defaults: WorkerSettings | None, own: WorkerSettings | None) -> bool:
    said = [settings.spot for settings in (own, defaults) if settings and settings.spot is not None]
    return said[0] if said else False


def _template(pipeline: LLMPipeline, container: dict[str, Any], passed: PassedOn) -> dict[str, Any]:
    ray = pipeline.spec.ray
    spec: dict[str, Any] = {
        # Without it Kubernetes ends the Pod after 30 s, in the middle of Ray's drain.
        "terminationGracePeriodSeconds": pod_grace_seconds(pipeline.spec.drain_seconds),
        # No code of an app gets a token of the API server.
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    if ray.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in ray.image_pull_secrets]
    if ray.service_account_name:
        spec["serviceAccountName"] = ray.service_account_name
    if ray.pod_security == "Restricted":
        spec["securityContext"] = POD_SECURITY
        container["securityContext"] = CONTAINER_SECURITY
    if mounted := tuple(volumes(pipeline.spec)):
        spec["volumes"] = [volume for volume, _ in mounted if volume]
        container["volumeMounts"] = [mount for _, mount in mounted]
    metadata: dict[str, Any] = {"labels": passed.labels | labels(pipeline)}
    if passed.annotations:
        metadata["annotations"] = passed.annotations
    return {"metadata": metadata, "spec": spec}


def _overlaid(
    template: dict[str, Any], settings: PodSettings | None, tolerated: list[dict[str, Any]]
) -> dict[str, Any]:
    """The template with what the user set of the Pods: where they run, and the overlay, which comes last."""
    spec = dict(template["spec"])
    tolerated = [*spec.get("tolerations", ()), *tolerated]
    if settings:
        tolerated += [_toleration(item) for item in settings.tolerations]
        if settings.node_selector:
            spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **settings.node_selector}
    if tolerated:
        spec["tolerations"] = tolerated
    changed = {**template, "spec": spec}
    return merge(changed, settings.pod_template) if settings and settings.pod_template else changed


def _with_last_words(template: dict[str, Any]) -> dict[str, Any]:
    """Why a container ended then stands in the Pod's status, which outlives it and needs no right to read logs."""
    spec = template["spec"]
    changed = {kind: [{**it, **_DEFAULT_POLICY, **it} for it in spec[kind]] for kind in _CONTAINERS if kind in spec}
    return {**template, "spec": {**spec, **changed}}


def _toleration(given: Toleration) -> dict[str, Any]:
    said = {"key": given.key, "operator": given.operator, "value": given.value, "effect": given.effect}
    return without_none(said)


def _container(pipeline: LLMPipeline, plan: Plan, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    ray = pipeline.spec.ray
    container: dict[str, Any] = {"name": name, "image": ray.image, "resources": wanted}
    if ray.image_pull_policy:
        container["imagePullPolicy"] = ray.image_pull_policy
    container["env"] = variables(pipeline, plan)
    return container


def _cpu(milli_cores: int) -> str:
    return f"{milli_cores // 1000}" if milli_cores % 1000 == 0 else f"{milli_cores}m"


def _memory(count: int) -> str:
    """In the largest unit that divides it; the API server keeps the string as it is."""
    for unit, size in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return str(count)
