"""The Pods of the head and of the worker groups.

No probes: KubeRay sets those that fit its own version and the Ray version (a health check over HTTP from Ray 2.53, the
serving proxy's on workers), and a second set here would only override them.
"""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.api.quantity import milli, whole
from llmpipeline.plan.accelerators import GPU_RESOURCE, PRODUCT_LABEL, PRODUCTS
from llmpipeline.plan.types import Group, Plan
from llmpipeline.render.environment import ray_variables

HEAD_CPU_MILLI: Final = 2000
HEAD_MEMORY: Final = 8 * 1024**3
_HEAD_PORTS: Final = (("gcs", 6379), ("dashboard", 8265), ("serve", names.SERVE_PORT))


def head_template(pipeline: LLMPipeline, plan: Plan) -> dict[str, Any]:
    """The Pod that runs Ray's control plane."""
    wanted = pipeline.spec.head.resources if pipeline.spec.head else None
    cpu_milli = milli(wanted.cpus) if wanted and wanted.cpus is not None else HEAD_CPU_MILLI
    memory = whole(wanted.memory) if wanted and wanted.memory is not None else HEAD_MEMORY
    container = _container(pipeline, plan, "ray-head", _resources(cpu_milli, memory, 0))
    container["ports"] = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in _HEAD_PORTS]
    return _template(pipeline, container)


def worker_template(pipeline: LLMPipeline, plan: Plan, group: Group) -> dict[str, Any]:
    """A Pod of one worker group."""
    container = _container(pipeline, plan, "ray-worker", _resources(group.cpu_milli, group.memory, group.gpus))
    container["ports"] = [{"name": "serve", "containerPort": names.SERVE_PORT, "protocol": "TCP"}]
    template = _template(pipeline, container)
    if group.accelerator:
        template["spec"]["affinity"] = _on_nodes_with(group.accelerator)
    return template


def labels(pipeline: LLMPipeline) -> dict[str, str]:
    """The labels of everything made for a pipeline."""
    return {
        names.LABEL_NAME: "llmpipeline",
        names.LABEL_INSTANCE: pipeline.metadata.name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_PIPELINE: pipeline.metadata.name,
    }


def _template(pipeline: LLMPipeline, container: dict[str, Any]) -> dict[str, Any]:
    ray = pipeline.spec.ray
    spec: dict[str, Any] = {"containers": [container]}
    if ray.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in ray.image_pull_secrets]
    if ray.service_account_name:
        spec["serviceAccountName"] = ray.service_account_name
    return {"metadata": {"labels": labels(pipeline)}, "spec": spec}


def _container(pipeline: LLMPipeline, plan: Plan, name: str, resources: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "image": pipeline.spec.ray.image, "resources": resources}
    variables = ray_variables(pipeline.spec.ray.version)
    secrets = dict.fromkeys(secret for app in plan.applications for secret in app.secrets)
    container["env"] = [
        *({"name": variable, "value": value} for variable, value in variables.items()),
        *(
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
            for variable, secret, key in secrets
        ),
    ]
    return container


def _resources(cpu_milli: int, memory: int, gpus: int) -> dict[str, Any]:
    """No CPU limit: the kernel would throttle an engine between two tokens although the node has idle cores."""
    hard = {"memory": _memory(memory)} | ({GPU_RESOURCE: str(gpus)} if gpus else {})
    cpu = f"{cpu_milli // 1000}" if cpu_milli % 1000 == 0 else f"{cpu_milli}m"
    return {"limits": hard, "requests": {"cpu": cpu, **hard}}


def _memory(count: int) -> str:
    """In the largest unit that divides it, for the API server keeps the text as it is given."""
    for unit, size in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
        if count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


def _on_nodes_with(accelerator: str) -> dict[str, Any]:
    expression = {"key": PRODUCT_LABEL, "operator": "In", "values": list(PRODUCTS[accelerator])}
    terms = [{"matchExpressions": [expression]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
