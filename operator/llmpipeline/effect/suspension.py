"""What starts and ends a service as a whole: its creation and deletion, `suspend`, and others who suspend it."""

from llmpipeline.api.quantity import Range
from llmpipeline.effect.outcome import NOTHING, Effect
from llmpipeline.kuberay.cluster_spec import gpus, normal_cluster
from llmpipeline.names import Manifest


def is_suspended(manifest: Manifest) -> bool:
    """Whether the spec asks that nothing runs."""
    return bool(manifest["spec"].get("suspend"))


def created(new: Manifest, after: Range) -> Effect:
    """A service that was not there before."""
    if is_suspended(new):
        return Effect("Create", "It is suspended: nothing starts until it is resumed.")
    message = "A Ray cluster starts; requests are answered as soon as every app runs."
    return Effect("Create", message, (), NOTHING, after)


def effect_of_deletion(old: Manifest) -> Effect:
    """What deleting a RayService does."""
    before = NOTHING if is_suspended(old) else gpus(normal_cluster(old))
    message = (
        "Its Ray cluster and its Services are deleted, and the GPUs are released when the Pods end: requests fail "
        "from then on."
    )
    return Effect("Delete", message, (), before, NOTHING, interrupts=not is_suspended(old))


def suspension(old: Manifest, new: Manifest, fields: tuple[str, ...], before: Range, after: Range) -> Effect:
    """A change of a service that is suspended before or afterwards."""
    if not is_suspended(new):
        message = "A new Ray cluster starts, from the current spec; requests are answered as soon as every app runs."
        return Effect("Resume", message, fields, NOTHING, after)
    if is_suspended(old):
        message = "It is suspended: nothing runs. The change takes effect when it is resumed."
        return Effect("Unchanged", message if fields else "Nothing changes.", fields)
    message = (
        "The Ray cluster and its Services are deleted, and the GPUs are released when the Pods end: requests fail "
        "until it is resumed."
    )
    return Effect("Suspend", message, fields, before, NOTHING, interrupts=True)


def held(holder: str, fields: tuple[str, ...]) -> Effect:
    """A change of a service that somebody else suspends: the operator leaves that as it is."""
    message = f"{holder} suspends it: nothing runs. The change takes effect when {holder} lets it start."
    return Effect("Unchanged", message if fields else "Nothing changes.", fields)
