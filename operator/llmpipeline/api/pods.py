"""What a user may set of the Ray Pods beside their resources: where they run, and what KubeRay's schema has beyond."""

from typing import Annotated, Any, Literal

from pydantic import Field

from llmpipeline.api.base import Model, Rule, any_object, exactly_one
from llmpipeline.api.model_source import SecretKeyReference
from llmpipeline.api.run_code import run_code

LabelText = Annotated[str, Field(max_length=317)]


class Toleration(Model):
    """Lets Pods run on nodes with a matching taint."""

    rules = (
        Rule(
            cel="self.operator == 'Equal' || !has(self.value)",
            message="operator Exists takes no value",
            holds=lambda toleration: toleration.operator == "Equal" or toleration.value is None,
            at=("value",),
        ),
        Rule(
            cel="has(self.key) || self.operator == 'Exists'",
            message="a toleration without a key matches every taint: it needs operator Exists",
            holds=lambda toleration: toleration.key is not None or toleration.operator == "Exists",
            at=("operator",),
        ),
    )

    key: Annotated[str, Field(min_length=1, max_length=317)] | None = Field(
        default=None, description="The taint's key. Without a key, operator Exists tolerates every taint."
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="Equal: the taint must have this value. Exists: any value."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect. Default: all."
    )


class Placement(Model):
    """Where Pods run."""

    node_selector: dict[str, LabelText] | None = Field(
        default=None,
        max_length=32,
        description="Labels that a node must have, in addition to those of the accelerator type.",
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the Pods tolerate. Those of GPU and spot nodes are always tolerated."
    )


class PodSettings(Placement):
    """Where Pods run, and an overlay for all else."""

    pod_template: dict[str, Any] | None = any_object(
        "A part of a Pod template, {metadata, spec}, merged into the rendered one as a strategic merge "
        "patch: affinity, topologySpreadConstraints, volumes, sidecars. The Ray container is ray-head or "
        "ray-worker.",
        run_code("podTemplate"),
    )


class ConfigMapKeyReference(Model):
    """A key of a ConfigMap in the pipeline's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The ConfigMap's name.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key in the ConfigMap.")


class VariableSource(Model):
    """Where a Pod takes the value of an environment variable from when it starts."""

    rules = (exactly_one("secret_key_ref", "config_map_key_ref"),)

    secret_key_ref: SecretKeyReference | None = Field(
        default=None, description="The Secret that holds the value. The operator never reads it."
    )
    config_map_key_ref: ConfigMapKeyReference | None = Field(
        default=None,
        description="The ConfigMap that holds the value. The operator never reads it: Pods that run keep the value "
        "with which they started.",
    )


class EnvironmentVariable(Model):
    """An environment variable of every Ray Pod."""

    rules = (exactly_one("value", "value_from"),)

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = Field(
        description="The variable's name."
    )
    value: Annotated[str, Field(max_length=4096)] | None = Field(default=None, description="Its value.")
    value_from: VariableSource | None = Field(default=None, description="Where the Pod takes the value from.")
