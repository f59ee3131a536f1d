"""What applying a RayService over another one does: to requests, to GPUs, and for how long."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from llmpipeline.api.quantity import Range
from llmpipeline.effect import accelerators
from llmpipeline.effect.differences import Difference, differences
from llmpipeline.effect.extra import extra_of_update
from llmpipeline.effect.outcome import DELETION_DELAY, Effect, Kind
from llmpipeline.effect.serve_config import at_start, parsed, what_serve_does
from llmpipeline.effect.suspension import created, held, is_suspended, suspension
from llmpipeline.kuberay.cluster_spec import appended_groups, gpus, is_new_cluster, normal_cluster
from llmpipeline.kuberay.conventions import INCREMENTAL, NO_UPGRADE, serve_service
from llmpipeline.kuberay.gateway import gateway_name
from llmpipeline.kuberay.normal_form import normal_form
from llmpipeline.kuberay.service import observe
from llmpipeline.kuberay.suspension import suspended_by, without_foreign_suspension
from llmpipeline.names import FIELD_MANAGER, GROUP, Manifest


class _Part(NamedTuple):
    """One of the things that a change does."""

    kind: Kind
    message: str
    interrupts: bool = False


# Of several parts the one that weighs most names the effect.
_WEIGHT: Final[tuple[Kind, ...]] = ("Unchanged", "Ignored", "InPlace", "LivePatch", "AddWorkers")
_INITIALIZING_TIMEOUT: Final = "ray.io/initializing-timeout"
_BOUNDS: Final = ("minReplicas", "maxReplicas")
_ADDED: Final = (
    "KubeRay adds the worker groups {} to the live Ray cluster; requests go on. It also rewrites the other groups: the "
    "autoscaler starts again from the RayService's replicas, but no Pod is deleted for it."
)
_BOUNDED: Final = "The operator writes the bounds of worker group {} into the live Ray cluster; no Pod restarts."
_TOLERATED: Final = (
    "The operator writes tolerations into the live Ray cluster, for Pods created from now on; delete a pending "
    "Pod to have it created again."
)


def effect_of(old: Manifest | None, new: Manifest) -> Effect:
    """What applying `new` does.

    Args:
        old: The RayService as it is, rendered or as read; None where there is none.
        new: The RayService as rendered.
    """
    after = gpus(normal_cluster(new))
    if old is None:
        return created(new, after)
    holder, old = "" if observe(old).ready else suspended_by(old), without_foreign_suspension(old)
    fields = tuple(difference.field for difference in changes(old, new))
    before = gpus(normal_cluster(old))
    if holder:
        return held(holder, fields)
    if is_suspended(old) or is_suspended(new):
        return suspension(old, new, fields, before, after)
    if is_new_cluster(old, new):
        return _new_cluster(old, new, fields, before, after)
    parts = [*_of_cluster(old, new), *_of_serve(old, new), *_of_service(old, new), *_of_metadata(old, new)]
    kinds: list[Kind] = ["Unchanged", *(part.kind for part in parts)]
    extra = extra_of_update(old, new)
    sentences = [part.message for part in parts]
    if extra:
        sentences.append(f"It needs {accelerators.in_words(extra)} more while a new replica loads and an old one ends.")
    return Effect(
        kind=max(kinds, key=_WEIGHT.index),
        message=" ".join(sentences) or ("Nothing that runs changes." if fields else "Nothing changes."),
        fields=fields,
        gpus_before=before,
        gpus_after=after,
        extra=tuple(extra.items()),
        interrupts=any(part.interrupts for part in parts),
    )


def changes(old: Manifest, new: Manifest) -> tuple[Difference, ...]:
    """The fields of a RayService that a change touches, those of the Serve config by app."""
    return differences(_comparable(without_foreign_suspension(old), new), _comparable(new, new))


def _comparable(manifest: Manifest, new: Manifest) -> Manifest:
    """What is compared of a RayService: of labels and annotations only ours, because others set more."""
    metadata = {}
    for kind in ("labels", "annotations"):
        ours = {*(new["metadata"].get(kind) or {}), *_owned(manifest, kind)}
        texts = {key: text for key, text in (manifest["metadata"].get(kind) or {}).items() if key in ours}
        if texts:
            metadata[kind] = texts
    spec = normal_form(manifest["spec"])
    config = parsed(spec.get("serveConfigV2"))
    return {"metadata": metadata, "spec": spec if config is None else {**spec, "serveConfigV2": config}}


def _owned(manifest: Manifest, kind: str) -> Iterator[str]:
    """The labels or annotations of a RayService that the operator has set: all, of one that is rendered."""
    metadata = manifest["metadata"]
    if "resourceVersion" not in metadata and "managedFields" not in metadata:
        yield from metadata.get(kind) or {}
        return
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER:
            fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{kind}") or {}
            keys = (key.removeprefix("f:") for key in fields if key.startswith("f:"))
            # Those of its own domain are notes, which nobody renders.
            yield from (key for key in keys if not key.startswith(f"{GROUP}/"))


def _new_cluster(old: Manifest, new: Manifest, fields: tuple[str, ...], before: Range, after: Range) -> Effect:
    upgrade = new["spec"].get("upgradeStrategy") or {}
    if upgrade.get("type") == NO_UPGRADE:
        message = (
            "KubeRay leaves the Ray cluster as it is because the upgrade strategy is None: the change waits until the "
            "strategy is another, or until the RayService is deleted and created again."
        )
        others = [*_of_serve(old, new), *_of_service(old, new)]
        texts = (message, *(part.message for part in others))
        interrupts = any(part.interrupts for part in others)
        return Effect("Ignored", " ".join(texts), fields, before, before, interrupts=interrupts)
    cluster = normal_cluster(new)
    delay = new["spec"].get("rayClusterDeletionDelaySeconds")
    seconds = DELETION_DELAY if delay is None else delay
    kept = f"it is deleted {seconds} s after the switch, and its Pods finish the requests in flight."
    if upgrade.get("type") == INCREMENTAL:
        # KubeRay starts it without `replicas`, and keeps minReplicas whatever maxSurgePercent is.
        more = accelerators.of_groups(cluster, "minReplicas")
        message = f"KubeRay creates a second Ray cluster ({_more(more)} while both run). {_steps(upgrade)} Then {kept}"
    else:
        more = accelerators.of_groups(cluster, "replicas")
        message = (
            f"KubeRay creates a second Ray cluster ({_more(more)} while both run) and moves requests to it as soon as "
            f"every app runs there. Until then the old cluster answers, as before the change; {kept}"
        )
    return Effect("NewCluster", message, fields, before, after, tuple(more.items()))


def _steps(upgrade: dict[str, Any]) -> str:
    options = upgrade.get("clusterUpgradeOptions") or {}
    step, interval = options.get("stepSizePercent", 100), options.get("intervalSeconds", 0)
    surge = options.get("maxSurgePercent", 100)
    return (
        f"Its replicas start {surge} % at a time and requests move to it through the Gateway, {step} % every "
        f"{interval} s, so in at least {-(-100 // max(step, 1)) * interval} s; the old cluster answers the rest."
    )


def _more(gpus: accelerators.Gpus) -> str:
    return f"{accelerators.in_words(gpus)} more"


def _of_cluster(old: Manifest, new: Manifest) -> Iterator[_Part]:
    """What changes in the Ray cluster if no new one is created."""
    before, after = normal_cluster(old), normal_cluster(new)
    groups = list(zip(before.get("workerGroupSpecs", []), after.get("workerGroupSpecs", []), strict=False))
    # With appended groups KubeRay rewrites the whole live cluster, and the operator has nothing left to patch.
    appended = appended_groups(old, new)
    kind: Kind = "AddWorkers" if appended else "LivePatch"
    if appended:
        yield _Part(kind, _ADDED.format(", ".join(appended)))
    bounded = [group["groupName"] for was, group in groups if any(was[bound] != group[bound] for bound in _BOUNDS)]
    if bounded and not appended:
        yield _Part(kind, _BOUNDED.format(", ".join(bounded)))
    if any(group["maxReplicas"] < was["maxReplicas"] for was, group in groups):
        first = "idle ones first" if after.get("enableInTreeAutoscaling") else "idle or not"
        message = f"Pods above a new maximum are stopped at once, {first}, with the requests on them."
        yield _Part(kind, message, interrupts=True)
    if _of_pods(before, "tolerations") != _of_pods(after, "tolerations"):
        yield _Part(kind, _TOLERATED)
    waiting = [] if appended else _waiting_in_cluster(before, after, groups)
    if waiting:
        yield _Part("Ignored", _about_waiting(waiting))


def _about_waiting(fields: list[str]) -> str:
    return f"On a live service KubeRay ignores {', '.join(fields)}; it takes effect in the next Ray cluster."


def _of_pods(cluster: Manifest, key: str) -> list[Any]:
    groups = (cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", []))
    return [group["template"]["spec"].get(key) for group in groups]


def _waiting_in_cluster(before: Manifest, after: Manifest, groups: list[tuple[Manifest, Manifest]]) -> list[str]:
    waiting = ["spec.rayClusterConfig.suspend"] if before.get("suspend") != after.get("suspend") else []
    if _of_pods(before, "schedulingGates") != _of_pods(after, "schedulingGates"):
        waiting.append("schedulingGates")
    differing = [{key for key in ("replicas", *_BOUNDS) if was[key] != group[key]} for was, group in groups]
    if {"replicas"} in differing:
        waiting.append("replicas, which the autoscaler sets")
    return waiting


def _of_serve(old: Manifest, new: Manifest) -> Iterator[_Part]:
    texts = [manifest["spec"].get("serveConfigV2") for manifest in (old, new)]
    if texts[0] == texts[1]:
        return
    before, after = (parsed(text) for text in texts)
    if before is None or after is None:
        yield _Part("InPlace", "KubeRay passes the new Serve config to Ray Serve, which changes the apps in place.")
        return
    for sentence, interrupts in what_serve_does(before, after):
        yield _Part("InPlace", sentence, interrupts)
    if {**before, "apps": 0} != {**after, "apps": 0}:
        waiting = at_start(before, after)
        at_once = _Part("InPlace", "Ray Serve applies its settings at once.")
        yield _Part("Ignored", _about_waiting(waiting)) if waiting else at_once


def _of_service(old: Manifest, new: Manifest) -> Iterator[_Part]:
    """The settings of the RayService apart from the cluster and the Serve config."""
    before, after = normal_form(old["spec"]), normal_form(new["spec"])
    if before.get("rayClusterDeletionDelaySeconds") != after.get("rayClusterDeletionDelaySeconds"):
        yield _Part("InPlace", "The deletion delay applies from the next new Ray cluster on.")
    if before.get("excludeHeadPodFromServeSvc") != after.get("excludeHeadPodFromServeSvc"):
        verb = "removes the head Pod from" if after.get("excludeHeadPodFromServeSvc") else "adds the head Pod to"
        yield _Part("InPlace", f"KubeRay {verb} the serving Service at once; no Pod restarts.")
    if before.get("upgradeStrategy") != after.get("upgradeStrategy"):
        yield _Part(
            "InPlace", _about_strategy(before.get("upgradeStrategy", {}), after.get("upgradeStrategy", {}), new)
        )
    # KubeRay writes the Service only when it points it to another Ray cluster.
    if before.get("serveService") != after.get("serveService"):
        yield _Part("Ignored", _about_waiting(["spec.serveService"]))


def _about_strategy(before: dict[str, Any], after: dict[str, Any], new: Manifest) -> str:
    text = "The upgrade strategy applies from the next update on."
    name = new["metadata"]["name"]
    gateway, service = f"Gateway {gateway_name(name)}", f"Service {serve_service(name)}"
    if before.get("type") == NO_UPGRADE != after.get("type"):
        text = "Changes of the Ray cluster that waited under the upgrade strategy None now create a new one."
    if after.get("type") == INCREMENTAL != before.get("type"):
        text += f" KubeRay creates the {gateway} and its HTTPRoute at once. {_moved(gateway, service)}"
    if before.get("type") == INCREMENTAL != after.get("type"):
        text += f" KubeRay creates the {service} at once. {_moved(service, gateway)}"
    if before.get("type") == INCREMENTAL == after.get("type") and _gateway_class(before) != _gateway_class(after):
        text += f" The {gateway} gets its other class at once."
    return text


def _gateway_class(strategy: dict[str, Any]) -> str:
    return str((strategy.get("clusterUpgradeOptions") or {}).get("gatewayClassName"))


def _moved(to: str, left: str) -> str:
    """KubeRay 1.7.0 leaves what the other strategy made as it is, and looks at it no more."""
    return (
        f"Send requests to the {to} from now on: a {left} that is there stays at the present Ray cluster, and answers "
        "no more when the next update deletes that."
    )


def _of_metadata(old: Manifest, new: Manifest) -> Iterator[_Part]:
    before, after = (_comparable(manifest, new)["metadata"] for manifest in (old, new))
    if before == after:
        return
    timeouts = [metadata.get("annotations", {}).get(_INITIALIZING_TIMEOUT) for metadata in (before, after)]
    if timeouts[0] != timeouts[1]:
        yield _Part("InPlace", "The initializing timeout applies at once, to a service that has not been ready yet.")
    yield _Part("Unchanged", "KubeRay copies labels and annotations only to Ray clusters that it creates from now on.")
