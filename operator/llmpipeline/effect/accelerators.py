"""GPUs by type, as a RayService has them: of its worker groups, and of one replica in its Serve config."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmpipeline.kuberay.cluster_spec import gpus_of_replica
from llmpipeline.names import Manifest
from llmpipeline.plan.apps.openai import deployment_name

# Type, like L4, to a number. The empty type is any, or one that the RayService does not name.
Gpus = Mapping[str, int]
ANY: Final = ""
_TYPE: Final = "accelerator_type:"


def of_groups(cluster: Manifest, bound: str) -> dict[str, int]:
    """GPUs of the worker groups at a number of Pods: `minReplicas`, `maxReplicas` or, as at a start, `replicas`.

    Args:
        cluster: In normal form.
        bound: The field that says how many.
    """
    found: dict[str, int] = {}
    for group in cluster.get("workerGroupSpecs", []):
        count = group[bound]
        if bound == "replicas":  # KubeRay keeps it within the bounds
            count = max(group["minReplicas"], min(count, group["maxReplicas"]))
        if more := count * gpus_of_replica(group):
            kind = _type_of_group(group)
            found[kind] = found.get(kind, 0) + more
    return found


def of_replica(app: Mapping[str, Any], deployment: Mapping[str, Any]) -> dict[str, float]:
    """GPUs that one replica takes.

    Args:
        app: The application of the Serve config.
        deployment: One of its deployments.
    """
    if bundles := _bundles_of_model(app, str(deployment.get("name"))):
        kinds = {key.removeprefix(_TYPE) for bundle in bundles for key in bundle if key.startswith(_TYPE)}
        count = sum(bundle.get("GPU", 0) + bundle.get("TPU", 0) for bundle in bundles)
        return {kinds.pop() if len(kinds) == 1 else ANY: count} if count else {}
    options = deployment.get("ray_actor_options") or {}
    count = options.get("num_gpus") or 0
    return {options.get("accelerator_type") or ANY: count} if count else {}


def total(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum of several."""
    found: dict[str, float] = {}
    for gpus in several:
        for kind, count in gpus.items():
            found[kind] = found.get(kind, 0) + count
    return found


def in_words(gpus: Gpus) -> str:
    """Like `1 L4 GPU and 2 H100 GPUs`; `no GPUs` for none."""
    named = [
        f"{count} {kind}{' ' if kind else ''}GPU{'' if count == 1 else 's'}" for kind, count in gpus.items() if count
    ]
    return " and ".join(named) or "no GPUs"


def _type_of_group(group: Mapping[str, Any]) -> str:
    """The type that the group's start parameters name, as they are rendered."""
    given = str((group.get("rayStartParams") or {}).get("resources") or "").strip("'")
    try:
        names = [key.removeprefix(_TYPE) for key in json.loads(given) if key.startswith(_TYPE)]
    except (ValueError, TypeError, AttributeError):
        return ANY
    return names[0] if len(names) == 1 else ANY


def _bundles_of_model(app: Mapping[str, Any], deployment: str) -> list[Mapping[str, Any]]:
    """The bundles of a replica of Ray Serve LLM. They stand in the arguments, by the model of the deployment's name."""
    args = app.get("args")
    if not isinstance(args, dict) or ":" not in deployment:
        return []
    configs = [*(args.get("llm_configs") or []), *(args.get(f"{kind}_config") for kind in ("prefill", "decode"))]
    for config in configs:
        model = str(((config or {}).get("model_loading_config") or {}).get("model_id"))
        if deployment.endswith(f":{deployment_name(model)}"):
            return list((config.get("placement_group_config") or {}).get("bundles") or [])
    return []
