"""The RayService."""

from typing import Final

from llmpipeline import names
from llmpipeline.api.companions import Upgrade
from llmpipeline.api.pipeline import LLMPipeline
from llmpipeline.kuberay.conventions import INCREMENTAL, NEW_CLUSTER, NO_UPGRADE
from llmpipeline.names import Manifest
from llmpipeline.plan.plan import Plan
from llmpipeline.render.metadata import metadata
from llmpipeline.render.passed_on import to_pods, to_service
from llmpipeline.render.platform import DEFAULT, Platform
from llmpipeline.render.ray_cluster import ray_cluster
from llmpipeline.render.serve_config import serve_config_text

_STRATEGIES: Final = {"NewCluster": NEW_CLUSTER, "Incremental": INCREMENTAL, "None": NO_UPGRADE}


def rayservice(pipeline: LLMPipeline, plan: Plan, platform: Platform = DEFAULT) -> Manifest:
    """The RayService of a pipeline, with its owner where the pipeline has a UID (one read from a cluster has)."""
    passed = to_service(pipeline.metadata, platform)
    spec: Manifest = {}
    if pipeline.spec.suspend:
        spec["suspend"] = True
    if plan.serves_without_head:
        # Connections that end at the head are cut when it dies.
        spec["excludeHeadPodFromServeSvc"] = True
    if pipeline.spec.upgrade:
        spec |= _upgrade(pipeline.spec.upgrade)
    return {
        "apiVersion": names.RAY_API_VERSION,
        "kind": names.RAY_SERVICE_KIND,
        "metadata": metadata(pipeline, passed.labels, passed.annotations),
        "spec": {
            **spec,
            "serveConfigV2": serve_config_text(plan),
            "rayClusterConfig": ray_cluster(pipeline, plan, to_pods(pipeline.metadata, platform)),
        },
    }


def _upgrade(upgrade: Upgrade) -> Manifest:
    strategy: Manifest = {"type": _STRATEGIES[upgrade.strategy]}
    if steps := upgrade.incremental:
        strategy["clusterUpgradeOptions"] = {
            "maxSurgePercent": steps.max_surge_percent,
            "stepSizePercent": steps.step_size_percent,
            "intervalSeconds": steps.interval_seconds,
            "gatewayClassName": steps.gateway_class_name,
        }
    spec: Manifest = {"upgradeStrategy": strategy}
    if upgrade.deletion_delay_seconds is not None:
        spec["rayClusterDeletionDelaySeconds"] = upgrade.deletion_delay_seconds
    return spec
