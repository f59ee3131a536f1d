"""What is known of each type of accelerator, as data.

Sources: Ray's names, ray.util.accelerators; `nvidia.com/gpu.product`, NVIDIA's GPU feature discovery;
`amd.com/gpu.product-name`, AMD's node labeller; `cloud.google.com/gke-accelerator` and `gke-tpu-accelerator`, GKE's
documentation; `karpenter.k8s.aws/instance-gpu-name`, Karpenter's instance types. The labels were not seen on real
nodes here: where a cluster has others, `spec.gpuTypes` of a class names them. Gigabytes are of the largest variant,
from the data sheets of NVIDIA, AMD and Google Cloud.
"""

from dataclasses import dataclass, field, replace
from math import prod
from typing import Final

from llmpipeline.api.accelerator import Accelerator, Gpu, GpuType

NVIDIA_RESOURCE: Final = "nvidia.com/gpu"
PRODUCT_LABEL: Final = "nvidia.com/gpu.product"
AMD_LABEL: Final = "amd.com/gpu.product-name"
GKE_LABEL: Final = "cloud.google.com/gke-accelerator"
KARPENTER_LABEL: Final = "karpenter.k8s.aws/instance-gpu-name"
GKE_TPU_LABEL: Final = "cloud.google.com/gke-tpu-accelerator"
GKE_TOPOLOGY_LABEL: Final = "cloud.google.com/gke-tpu-topology"

# Ray's rule (ray/_private/accelerators/tpu.py): these TPUs have up to eight chips in one host, all others four.
_EIGHT_CHIP_HOSTS: Final = frozenset({"TPU-V5E", "TPU-V6E"})
_CHIPS_PER_HOST: Final = 4


@dataclass(frozen=True, slots=True)
class AcceleratorFacts:
    """What is known of one type.

    Attributes:
        ray: Ray's name of it.
        resource: What the Pods ask Kubernetes for.
        labels: The node labels that name it, any of which is enough: label to values.
        gigabytes: Its memory; None if that is not known.
        most_per_node: The most of them that nodes on the market have.
        in_ray_llm: Ray Serve LLM knows Ray's name of it. It rejects a model on any other.
    """

    ray: str
    resource: str
    labels: dict[str, tuple[str, ...]]
    gigabytes: int | None = None
    most_per_node: int = 8
    in_ray_llm: bool = True


def _nvidia(
    ray: str, gigabytes: int, products: tuple[str, ...], gke: tuple[str, ...], karpenter: str, most: int = 8
) -> AcceleratorFacts:
    labels = {PRODUCT_LABEL: products, GKE_LABEL: gke, KARPENTER_LABEL: (karpenter,) if karpenter else ()}
    known = {label: values for label, values in labels.items() if values}
    return AcceleratorFacts(ray, NVIDIA_RESOURCE, known, gigabytes, most)


def _amd(ray: str, gigabytes: int, product: str) -> AcceleratorFacts:
    return AcceleratorFacts(ray, "amd.com/gpu", {AMD_LABEL: (product,)}, gigabytes)


def _tpu(ray: str, gigabytes: int, *gke: str) -> AcceleratorFacts:
    return AcceleratorFacts(ray, "google.com/tpu", {GKE_TPU_LABEL: gke}, gigabytes)


TYPES: Final[dict[str, AcceleratorFacts]] = {
    "T4": _nvidia("T4", 16, ("Tesla-T4",), ("nvidia-tesla-t4",), "t4"),
    "V100": _nvidia("V100", 32, ("Tesla-V100-SXM2-16GB", "Tesla-V100-SXM2-32GB"), ("nvidia-tesla-v100",), "v100"),
    "A10G": _nvidia("A10G", 24, ("NVIDIA-A10G",), (), "a10g"),
    "L4": _nvidia("L4", 24, ("NVIDIA-L4",), ("nvidia-l4",), "l4"),
    "L40S": _nvidia("L40S", 48, ("NVIDIA-L40S",), (), "l40s"),
    "A100": _nvidia(
        "A100",
        80,
        ("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-PCIE-40GB", "NVIDIA-A100-80GB-PCIe"),
        ("nvidia-tesla-a100", "nvidia-a100-80gb"),
        "a100",
        16,
    ),
    "H100": _nvidia(
        "H100",
        96,
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe", "NVIDIA-H100-NVL"),
        ("nvidia-h100-80gb", "nvidia-h100-mega-80gb"),
        "h100",
    ),
    "H200": _nvidia("H200", 141, ("NVIDIA-H200", "NVIDIA-H200-NVL"), ("nvidia-h200-141gb",), "h200"),
    "B200": _nvidia("B200", 192, ("NVIDIA-B200",), ("nvidia-b200",), "b200"),
    "GB200": _nvidia("GB200", 192, ("NVIDIA-GB200",), ("nvidia-gb200",), "", 4),
    "MI300X": _amd("AMD-Instinct-MI300X-OAM", 192, "AMD_Instinct_MI300X_OAM"),
    "MI325X": _amd("AMD-Instinct-MI325X-OAM", 256, "AMD_Instinct_MI325X_OAM"),
    "TPU-V5E": _tpu("TPU-V5LITEPOD", 16, "tpu-v5-lite-podslice", "tpu-v5-lite-device"),
    "TPU-V5P": _tpu("TPU-V5P", 95, "tpu-v5p-slice"),
    "TPU-V6E": _tpu("TPU-V6E", 32, "tpu-v6e-slice"),
}


@dataclass(frozen=True, slots=True)
class AcceleratorKind:
    """One kind of accelerator that a pipeline asks for.

    Attributes:
        type: Its name in the resource.
        facts: What is known of the type. One type has the same everywhere in a pipeline.
        partition: The slice of it that counts as one GPU, like `1g.10gb`.
        topology: The layout of a TPU slice, like `2x4`.
    """

    type: str
    facts: AcceleratorFacts = field(compare=False, repr=False)
    partition: str | None = None
    topology: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.type, self.partition, self.topology) if part)

    @property
    def ray(self) -> str:
        """Ray's accelerator type. A slice has its own name because Ray cannot distinguish it from the whole GPU."""
        return f"{self.facts.ray}-MIG-{self.partition}" if self.partition else self.facts.ray

    @property
    def is_tpu(self) -> bool:
        """Whether Ray counts it as TPU rather than GPU."""
        return self.topology is not None

    @property
    def ray_resource(self) -> str:
        """What Ray counts it as."""
        return "TPU" if self.is_tpu else "GPU"

    @property
    def resource(self) -> str:
        """What the Pods ask Kubernetes for."""
        return f"nvidia.com/mig-{self.partition}" if self.partition else self.facts.resource

    @property
    def slug(self) -> str:
        """For the names of derived worker groups."""
        return str(self).lower().replace(" ", "-").replace(".", "-")

    @property
    def chips(self) -> int:
        """Chips of a TPU slice."""
        return prod(int(size) for size in (self.topology or "1").split("x"))

    @property
    def hosts(self) -> int:
        """Hosts of a TPU slice, each a Pod; 1 for all else."""
        return self.chips // self.chips_per_host if self.is_tpu else 1

    @property
    def chips_per_host(self) -> int:
        """Chips in each host of a TPU slice."""
        one_host = (self.type in _EIGHT_CHIP_HOSTS and self.chips <= 8) or self.chips < _CHIPS_PER_HOST
        return self.chips if one_host else _CHIPS_PER_HOST


def facts_of(name: str, given: GpuType | None = None) -> AcceleratorFacts:
    """What is known of a type: what a class gives of it, and for the rest what is built in."""
    if not given:
        return TYPES[name]
    known = TYPES.get(name) or AcceleratorFacts(name, NVIDIA_RESOURCE, {}, in_ray_llm=False)
    # In the order of their names: the API server gives back the fields of an object in an order of its own.
    labels = {label: given.node_labels[label] for label in sorted(given.node_labels)} if given.node_labels else None
    return replace(
        known,
        ray=given.ray_name or known.ray,
        resource=given.resource or known.resource,
        labels=labels or known.labels,
        gigabytes=given.memory_gigabytes or known.gigabytes,
        most_per_node=given.max_per_node or known.most_per_node,
        in_ray_llm=known.in_ray_llm and given.ray_name in (None, known.ray),
    )


def accelerator_of(accelerator: Gpu) -> AcceleratorKind:
    """The kind of accelerator that is asked for."""
    topology = accelerator.topology if isinstance(accelerator, Accelerator) else None
    facts = facts_of(accelerator.type, accelerator.given)
    return AcceleratorKind(accelerator.type, facts, accelerator.partition, topology)
