"""What a change does, as a value."""

from dataclasses import dataclass
from typing import Final, Literal

from llmpipeline.api.quantity import Range

Kind = Literal[
    "Unchanged",  # nothing that runs changes
    "Ignored",  # KubeRay leaves the live service as it is, and says nothing
    "InPlace",  # Ray Serve, or KubeRay, changes what runs
    "LivePatch",  # KubeRay ignores it; the operator writes it into the live Ray cluster
    "AddWorkers",  # worker groups are added to the live Ray cluster
    "NewCluster",  # a second Ray cluster comes up and takes over
    "Suspend",  # everything is taken down
    "Resume",  # and comes up again
    "Create",  # there was nothing before
    "Delete",  # there is nothing afterwards
]

NOTHING: Final = Range(0, 0)
# Seconds after which KubeRay deletes a Ray cluster that it no longer needs, unless the RayService says otherwise.
DELETION_DELAY: Final = 60


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does.

    Attributes:
        kind: In one word, as the resource's status shows it.
        message: For a person: what happens to requests, GPUs and Pods.
        fields: The fields of the RayService that change.
        gpus_before: GPUs at the minimum and at the maximum number of Pods, before.
        gpus_after: The same afterwards.
        extra: Extra GPUs while it is carried out, by type; those that there may be at most.
        interrupts: Whether requests may fail, or wait until something has started.
    """

    kind: Kind
    message: str
    fields: tuple[str, ...] = ()
    gpus_before: Range = NOTHING
    gpus_after: Range = NOTHING
    extra: tuple[tuple[str, int], ...] = ()
    interrupts: bool = False

    @property
    def gpus_more(self) -> int:
        """Extra GPUs of all types."""
        return sum(count for _, count in self.extra)
