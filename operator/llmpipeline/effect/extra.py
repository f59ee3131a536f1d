"""The extra GPUs that an update in place takes for a while."""

from math import ceil

from llmpipeline.effect import accelerators
from llmpipeline.effect.serve_config import parsed, replaced
from llmpipeline.kuberay.cluster_spec import normal_cluster
from llmpipeline.names import Manifest


def extra_of_update(old: Manifest, new: Manifest) -> dict[str, int]:
    """The GPUs that an update in place adds for a while, at most: for the replicas that start before others stop.

    Never more than the worker groups can still grow by.
    """
    before, after = (parsed(manifest["spec"].get("serveConfigV2")) for manifest in (old, new))
    if before is None or after is None:
        return {}
    surging = [item for item in replaced(before, after) if item.starts_first]
    wanted = accelerators.total(
        {kind: item.more * count for kind, count in accelerators.of_replica(item.app, item.deployment).items()}
        for item in surging
    )
    least, most = (accelerators.of_groups(normal_cluster(new), bound) for bound in ("minReplicas", "maxReplicas"))
    if accelerators.ANY in wanted:  # of any type, so of all that there are
        least, most = ({accelerators.ANY: sum(gpus.values())} for gpus in (least, most))
        wanted = {accelerators.ANY: sum(wanted.values())}
    grown = {kind: min(ceil(count), most.get(kind, 0) - least.get(kind, 0)) for kind, count in wanted.items()}
    return {kind: count for kind, count in grown.items() if count > 0}
