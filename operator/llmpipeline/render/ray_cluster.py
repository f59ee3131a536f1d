"""The Ray cluster in the RayService: `rayClusterConfig`. A change of it makes a second whole cluster.

The zero values (`numOfHosts`, `priority`, `scaleStrategy`) have their reason in `kuberay`.
"""

import json
from typing import Final

from llmpipeline.api.defaults import AUTOSCALER_CPU_MILLI, AUTOSCALER_MEMORY
from llmpipeline.api.fault_tolerance import FaultTolerance, Redis, RocksDB
from llmpipeline.api.pipeline import LLMPipeline, Spec
from llmpipeline.api.quantity import ceil_units, milli
from llmpipeline.api.ray_cluster import Autoscaler
from llmpipeline.kuberay.conventions import NO_PRIORITY, NO_SCALE_STRATEGY
from llmpipeline.names import Manifest, without_none
from llmpipeline.plan.capacity.demand import Group
from llmpipeline.plan.plan import Plan
from llmpipeline.render.passed_on import NOTHING, PassedOn
from llmpipeline.render.pods import (
    CONTAINER_SECURITY,
    autoscaler_token_mount,
    head_template,
    resources,
    worker_template,
)

_AUTHENTICATION: Final = {"Token": "token", "Disabled": "disabled"}


def ray_cluster(pipeline: LLMPipeline, plan: Plan, passed: PassedOn = NOTHING) -> Manifest:
    """The Ray cluster of a pipeline, whose Pods get these labels and annotations of it."""
    spec = pipeline.spec
    cluster: Manifest = {
        "rayVersion": spec.ray.version,
        "authOptions": {"mode": _AUTHENTICATION[spec.ray.authentication]},
        # Always on (ADR 26): to turn it on or off builds a new cluster, and an update needs Pods that come and go.
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": _autoscaler(spec),
    }
    if spec.head and spec.head.fault_tolerance:
        cluster["gcsFaultToleranceOptions"] = _fault_tolerance(spec.head.fault_tolerance)
    cpus = spec.head.cpus_for_replicas if spec.head else 0
    return cluster | {
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": str(cpus)},
            "template": head_template(pipeline, plan, passed),
        },
        "workerGroupSpecs": [_group(pipeline, plan, group, passed) for group in plan.groups],
    }


def _autoscaler(spec: Spec) -> Manifest:
    given = spec.autoscaler or Autoscaler()
    options: Manifest = {"version": "v2"}
    if spec.ray.pod_security == "Restricted":
        options["securityContext"] = CONTAINER_SECURITY
    if given.idle_timeout_seconds is not None:
        options["idleTimeoutSeconds"] = given.idle_timeout_seconds
    if given.upscaling:
        options["upscalingMode"] = given.upscaling
    cpus, memory = (given.resources.cpus, given.resources.memory) if given.resources else (None, None)
    options["volumeMounts"] = [autoscaler_token_mount()]
    options["resources"] = resources(
        AUTOSCALER_CPU_MILLI if cpus is None else milli(cpus),
        AUTOSCALER_MEMORY if memory is None else ceil_units(memory),
    )
    return options


def _fault_tolerance(given: FaultTolerance) -> Manifest:
    return _redis(given.redis) if given.redis else _rocksdb(given.rocksdb or RocksDB())


def _redis(redis: Redis) -> Manifest:
    options: Manifest = {"redisAddress": redis.address}
    if redis.username:
        options["redisUsername"] = {"value": redis.username}
    if secret := redis.password_secret_ref:
        options["redisPassword"] = {"valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
    return options


def _rocksdb(rocksdb: RocksDB) -> Manifest:
    storage = {
        "claimName": rocksdb.claim_name,
        "size": None if rocksdb.size is None else str(rocksdb.size),
        "storageClassName": rocksdb.storage_class_name,
        "deletionPolicy": rocksdb.deletion_policy,
    }
    return {"backend": "rocksdb", "storage": without_none(storage)}


def _group(pipeline: LLMPipeline, plan: Plan, group: Group, passed: PassedOn) -> Manifest:
    manifest: Manifest = {
        "groupName": group.name,
        "replicas": group.replicas.minimum,
        "minReplicas": group.replicas.minimum,
        "maxReplicas": group.replicas.maximum,
        "numOfHosts": group.hosts,
        "priority": group.given.priority if group.given else NO_PRIORITY,
        "scaleStrategy": dict(NO_SCALE_STRATEGY),
    }
    idle = [s.idle_timeout_seconds for s in (group.given, pipeline.spec.worker_defaults) if s]
    said = [seconds for seconds in idle if seconds is not None]
    if said:
        manifest["idleTimeoutSeconds"] = said[0]
    return manifest | {
        "rayStartParams": _start_parameters(group),
        "template": worker_template(pipeline, plan, group, passed),
    }


def _start_parameters(group: Group) -> dict[str, str]:
    """The accelerator type, which Ray's autoscaler needs: it does not see a node's own before the node is there.

    Without it a bundle that asks for `accelerator_type:L4` never makes a group grow.
    """
    if not group.accelerator:
        return {}
    return {"resources": f"'{json.dumps({f'accelerator_type:{group.accelerator.ray}': 1})}'"}
