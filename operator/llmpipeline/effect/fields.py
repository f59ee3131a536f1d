"""Which field of an LLMPipeline a field of its Ray cluster comes from, and how to change it at less cost."""

import re
from dataclasses import dataclass
from typing import Final

from llmpipeline_serve.contract import environment as shared

# Remedies: one for each kind of cause.
TOGETHER: Final = "make such changes together: one new cluster then has all of them"
GIVE_WORKERS: Final = "give workers explicitly with room in them, then changes of apps do not change the cluster"
ROOM: Final = "leave it as it is, and append a group of the new size at the end of workers: that is AddWorkers"
OUR_CHANGE: Final = "llmpipeline changed what it renders: see Causes RayCluster roll-over in CHANGELOG"
APPEND: Final = "append the group at the end of workers, then it is AddWorkers"
KEEP_NAME: Final = "keep the name of the group, because to KubeRay another name is another group"
KEEP_ORDER: Final = "keep the order of workers"
SHRINK: Final = "keep the group with minReplicas 0 until another change needs a new cluster, then its idle Pods stop"
UNDO: Final = "undo it if it is not needed now"
NEW_KIND: Final = "leave it as it is, and append a group of the new kind at the end of workers: that is AddWorkers"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a field of the Ray cluster comes from.

    Attributes:
        field: Of the LLMPipeline's spec; with `{group}`, of a worker group. Empty: none, llmpipeline decides it.
        remedy: What to do instead.
        derived: The field if worker groups are derived from the apps; empty: the same one.
        derived_remedy: What to do instead then.
    """

    field: str
    remedy: str = TOGETHER
    derived: str = ""
    derived_remedy: str = ""


_TRACING: Final = "|".join(
    (
        shared.TRACING_EXPORTER,
        shared.TRACING_RATIO,
        shared.OTLP_ENDPOINT,
        shared.OTEL_SERVICE_NAME,
        shared.OTEL_RESOURCE,
    )
)
_APPS_GPU: Final = "apps[].accelerator"
_IN_WORKERS: Final = "workers[{group}]"

# The first that matches counts. Paths begin at the Ray cluster; a worker group's, at the group.
CLUSTER: Final = (
    (r"rayVersion", Origin("ray.version")),
    (r"authOptions", Origin("ray.authentication")),
    (r"autoscalerOptions\.idleTimeoutSeconds", Origin("autoscaler.idleTimeoutSeconds")),
    (r"autoscalerOptions\.upscalingMode", Origin("autoscaler.upscaling")),
    (r"autoscalerOptions\.resources", Origin("autoscaler.resources")),
    (r"autoscalerOptions\.securityContext", Origin("ray.podSecurity")),
    (r"gcsFaultToleranceOptions", Origin("head.faultTolerance")),
)
HEAD: Final = (
    (r"rayStartParams\.num-cpus", Origin("head.cpusForReplicas")),
    (r"template\.spec\.containers\[ray-head\]\.resources", Origin("head.resources")),
    (r"template\.spec\.nodeSelector", Origin("head.nodeSelector")),
)
GROUP: Final = (
    (r"numOfHosts", Origin(f"{_IN_WORKERS}.hosts", ROOM, _APPS_GPU, GIVE_WORKERS)),
    (r"priority", Origin(f"{_IN_WORKERS}.priority")),
    (r"idleTimeoutSeconds", Origin(f"{_IN_WORKERS}.idleTimeoutSeconds", derived="workerDefaults.idleTimeoutSeconds")),
    (r"rayStartParams", Origin(f"{_IN_WORKERS}.accelerator", NEW_KIND, _APPS_GPU, GIVE_WORKERS)),
    (
        r"template\.spec\.containers\[ray-worker\]\.resources\.\w+\[",  # extended resources have a slash in their name
        Origin(f"{_IN_WORKERS}.accelerator", ROOM, _APPS_GPU, GIVE_WORKERS),
    ),
    (
        r"template\.spec\.containers\[ray-worker\]\.resources",
        Origin(f"{_IN_WORKERS}.resources", ROOM, "apps[].resources", GIVE_WORKERS),
    ),
    (r"template\.spec\.nodeSelector", Origin(f"{_IN_WORKERS}.nodeSelector", derived="workerDefaults.nodeSelector")),
)
SPOT: Final = Origin(f"{_IN_WORKERS}.spot", derived="workerDefaults.spot")
# Of the Pods of the head and of the worker groups.
PODS: Final = (
    (r"template\.spec\.terminationGracePeriodSeconds", Origin("drainSeconds")),
    (r"template\.spec\.imagePullSecrets", Origin("ray.imagePullSecrets")),
    (r"template\.spec\.serviceAccountName", Origin("ray.serviceAccountName")),
    (r"template\.spec\.(containers\[ray-(head|worker)\]\.)?securityContext", Origin("ray.podSecurity")),
    (
        r"template\.spec\.(containers\[ray-(head|worker)\]\.)?volume(Mount)?s\[model-cache\]",
        Origin("ray.modelCache"),
    ),
    (r"template\.spec\.(containers\[ray-(head|worker)\]\.)?volume(Mount)?s\[model-.+\]", Origin("apps[].uri")),
    (
        r"template\.spec\.(containers\[ray-(head|worker)\]\.)?volume(Mount)?s\[code-",
        Origin("apps[].graph.nodes[].custom.code"),
    ),
    (r"template\.spec\.volumes\[autoscaler-token\]", Origin("")),
    (r"template\.spec\.automountServiceAccountToken", Origin("")),
    (r"template\.spec\.containers\[ray-(head|worker)\]\.image$", Origin("ray.image")),
    (r"template\.spec\.containers\[ray-(head|worker)\]\.imagePullPolicy", Origin("ray.imagePullPolicy")),
    (r"template\.spec\.containers\[ray-(head|worker)\]\.env \(order\)", Origin("ray.env (order)", UNDO)),
)
_ENVIRONMENT: Final = re.compile(r"template\.spec\.containers\[ray-(?:head|worker)\]\.env\[(\w+)\]")
_VARIABLES: Final = (
    (r"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", Origin("drainSeconds")),
    (_TRACING, Origin("monitoring.tracing")),
    (shared.HUB_TOKEN, Origin("apps[].tokenSecretRef")),
    (r"RAY_worker_niceness|RAY_SERVE_ENABLE_HA_PROXY|RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S", Origin("ray.performance")),
)
Table = tuple[tuple[str, Origin], ...]


def origin_of(path: str, *tables: Table) -> Origin | None:
    """Where the field at this path comes from; None if no table has it."""
    if variable := _ENVIRONMENT.match(path):
        name = variable[1]
        return _first(name, _VARIABLES) or Origin(f"ray.env[{name}]")
    return next((found for table in tables if (found := _first(path, table))), None)


def _first(text: str, table: Table) -> Origin | None:
    return next((origin for pattern, origin in table if re.match(pattern, text)), None)
