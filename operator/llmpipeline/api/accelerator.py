"""Kinds of accelerator: what deployments, models and worker groups ask for, and GPU types that a class adds."""

import re
from typing import Annotated, Final, Self

from pydantic import Field, PrivateAttr

from llmpipeline.api.base import Model, Rule

# What is known of them is in `plan.capacity.accelerators`.
BUILT_IN: Final = (
    "T4", "V100", "A10G", "L4", "L40S", "A100", "H100", "H200", "B200", "GB200", "MI300X", "MI325X",
    "TPU-V5E", "TPU-V5P", "TPU-V6E",
)  # fmt: skip
_TPUS: Final = tuple(name for name in BUILT_IN if name.startswith("TPU"))
# In capitals, so that the names of derived worker groups, which have none, are of one type each.
TYPE_PATTERN: Final = r"^[A-Z0-9]+(-[A-Z0-9]+)*$"
AcceleratorType = Annotated[str, Field(pattern=TYPE_PATTERN, max_length=32)]
# How the slices of a GPU are named that KubeRay counts (its IsGPUResourceKey); a pipeline may ask for no others.
PARTITION: Final = r"[1-9]g\.[1-9][0-9]{0,2}gb"
Partition = Annotated[str, Field(pattern=f"^{PARTITION}$")]
_LIKE_A_SLICE: Final = re.compile(r"-[0-9]+G-[0-9]+GB$")
LabelValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)]
LabelValues = Annotated[tuple[LabelValue, ...], Field(min_length=1, max_length=32)]


def _sets_labels_alone(given: "GpuType") -> bool:
    others = (given.resource, given.ray_name, given.max_per_node, given.memory_gigabytes)
    return given.name in _TPUS and others == (None,) * len(others)


class GpuType(Model):
    """A type of GPU that pipelines of a class may name, or what is different of a built-in one."""

    rules = (
        Rule(
            cel=f"has(self.nodeLabels) && size(self.nodeLabels) > 0 || self.name in {list(BUILT_IN)}",
            message="give nodeLabels, by which nodes with this GPU are found",
            holds=lambda given: bool(given.node_labels) or given.name in BUILT_IN,
            at=("nodeLabels",),
        ),
        Rule(
            cel=f"!self.name.startsWith('TPU') || self.name in {list(_TPUS)} && !has(self.resource) && "
            "!has(self.rayName) && !has(self.maxPerNode) && !has(self.memoryGigabytes)",
            message=f"of TPUs a class can change the nodeLabels of {', '.join(_TPUS)}, and nothing else",
            holds=lambda given: not given.name.startswith("TPU") or _sets_labels_alone(given),
            at=("name",),
        ),
        Rule(
            cel="self.name != 'GPU' && !self.name.matches('-[0-9]+G-[0-9]+GB$')",
            message="this would be the name of another worker group: a MIG slice is the partition of a type",
            holds=lambda given: given.name != "GPU" and not _LIKE_A_SLICE.search(given.name),
            at=("name",),
        ),
    )

    name: AcceleratorType = Field(
        description="What pipelines write as accelerator.type, in capitals, like B300. With the name of a built-in "
        "type, what is given here takes the place of what is built in."
    )
    resource: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-zA-Z0-9._-]*gpu$", max_length=128)] | (
        None
    ) = Field(
        default=None,
        description="What the Pods ask Kubernetes for. It ends in gpu, because KubeRay counts no others as GPUs. "
        "Default: nvidia.com/gpu.",
    )
    node_labels: dict[str, LabelValues] | None = Field(
        default=None,
        max_length=16,
        description="The labels of nodes that have this GPU: for each label the values. One label with one of its "
        "values is enough. Only for a built-in type it may be left out.",
    )
    max_per_node: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="The most of these GPUs that a node has. A replica that needs more in one Pod is rejected. "
        "Default: 8.",
    )
    memory_gigabytes: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="The memory of one GPU. With it a model whose weights cannot fit is noticed before it starts.",
    )
    ray_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)] | None = (
        Field(default=None, description="Ray's accelerator type. Default: the name.")
    )


_PARTITION_OF_NVIDIA: Final = Rule(
    cel="!has(self.partition) || !self.type.startsWith('TPU') && !self.type.startsWith('MI')",
    message="partition is for NVIDIA GPUs",
    holds=lambda kind: kind.partition is None or not kind.type.startswith(("TPU", "MI")),
    at=("partition",),
)


class Gpu(Model):
    """The kind of GPU."""

    rules = (
        _PARTITION_OF_NVIDIA,
        Rule(
            cel="!self.type.startsWith('TPU')",
            message="a deployment takes GPUs: for TPUs use an openai app",
            holds=lambda kind: not kind.type.startswith("TPU"),
            at=("type",),
        ),
    )

    type: AcceleratorType = Field(
        description=f"The GPU's type: {', '.join(BUILT_IN)}, or one of spec.gpuTypes of the class. It selects the "
        "nodes and becomes Ray's accelerator_type."
    )
    partition: Partition | None = Field(
        default=None, description="The MIG slice of an NVIDIA GPU that counts as one GPU, like 1g.10gb."
    )
    # Not a field: no document can have it. It is filled in with what else the class says (`classes.resolve`).
    _given: GpuType | None = PrivateAttr(default=None)

    @property
    def given(self) -> GpuType | None:
        """What the class of the pipeline says of the type; None if it says nothing."""
        return self._given

    def with_type(self, given: GpuType) -> Self:
        """The same with what a class says of its type."""
        copy = self.model_copy()
        copy._given = given
        return copy


class Accelerator(Gpu):
    """The kind of GPU."""

    rules = (
        _PARTITION_OF_NVIDIA,
        Rule(
            cel="self.type.startsWith('TPU') == has(self.topology)",
            message="TPUs, and they alone, have a topology",
            holds=lambda kind: kind.type.startswith("TPU") == (kind.topology is not None),
            at=("topology",),
        ),
    )

    topology: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}(x[1-9][0-9]{0,2}){1,2}$", max_length=16)] | None = Field(
        default=None, description="The topology of a TPU slice, like 2x4."
    )


class OnAccelerator:
    """Marks a model whose GPUs are those of its `accelerator`, and no others."""
