"""The RayService.

The zero values (`numOfHosts`, `priority`, `scaleStrategy`) are those that KubeRay's own types write. KubeRay writes
the whole
RayService back when it adds its finalizer; what it would add is given from the start, so that its write changes
nothing of
ours and the next apply is no conflict.
"""

import json
from typing import Any

from llmpipeline import names
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.plan.types import Group, Plan
from llmpipeline.render.pods import head_template, labels, worker_template
from llmpipeline.render.serve_config import serve_config_text

Manifest = dict[str, Any]


def rayservice(pipeline: LLMPipeline, plan: Plan) -> Manifest:
    """The RayService of a pipeline, with its owner where the pipeline has a UID (one read from a cluster has)."""
    metadata: Manifest = {
        "name": pipeline.metadata.name,
        "namespace": pipeline.metadata.namespace,
        "labels": labels(pipeline),
    }
    if pipeline.metadata.uid:
        metadata["ownerReferences"] = [_owner(pipeline, pipeline.metadata.uid)]
    return {
        "apiVersion": names.RAY_API_VERSION,
        "kind": names.RAY_SERVICE_KIND,
        "metadata": metadata,
        "spec": {"serveConfigV2": serve_config_text(plan), "rayClusterConfig": _cluster(pipeline, plan)},
    }


def _owner(pipeline: LLMPipeline, uid: str) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": pipeline.metadata.name,
        "uid": uid,
        "controller": True,
    }


def _cluster(pipeline: LLMPipeline, plan: Plan) -> Manifest:
    authentication = {"Token": "token", "Disabled": "disabled"}[pipeline.spec.ray.authentication]
    cluster: Manifest = {"rayVersion": pipeline.spec.ray.version, "authOptions": {"mode": authentication}}
    if any(group.replicas[0] < group.replicas[1] for group in plan.groups):
        cluster["enableInTreeAutoscaling"] = True
    return cluster | {
        # No CPUs for Serve on the head: a replica there would take the control plane down with it.
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": head_template(pipeline, plan)},
        "workerGroupSpecs": [_group(pipeline, plan, group) for group in plan.groups],
    }


def _start_parameters(group: Group) -> dict[str, str]:
    """Tells Ray's autoscaler the accelerator type: it does not see a node's own before the node is there.

    Without it a bundle that asks for `accelerator_type:L4` never makes a group grow.
    """
    if not group.accelerator:
        return {}
    return {"resources": f"'{json.dumps({f'accelerator_type:{group.accelerator}': 1})}'"}


def _group(pipeline: LLMPipeline, plan: Plan, group: Group) -> Manifest:
    return {
        "groupName": group.name,
        "replicas": group.replicas[0],
        "minReplicas": group.replicas[0],
        "maxReplicas": group.replicas[1],
        "numOfHosts": 1,
        "priority": 0,
        "scaleStrategy": {},
        "rayStartParams": _start_parameters(group),
        "template": worker_template(pipeline, plan, group),
    }
