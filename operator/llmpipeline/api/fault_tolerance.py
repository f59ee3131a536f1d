"""Where Ray's cluster state is kept, so that it outlives the head."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.base import Model, Rule, exactly_one
from llmpipeline.api.model_source import SecretKeyReference
from llmpipeline.api.quantity import Quantity
from llmpipeline.api.run_code import run_code


class Redis(Model):
    """Your own Redis."""

    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]+$", max_length=512)] = Field(
        description="Its address, like redis:6379 or rediss://redis.example:6380."
    )
    username: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="The user. Default: none."
    )
    password_secret_ref: SecretKeyReference | None = Field(
        default=None, description="The Secret that holds the password."
    )


class RocksDB(Model):
    """A volume of the head's own. It is alpha in KubeRay 1.7: its gate GCSFaultToleranceEmbeddedStorage must be on."""

    rules = (
        exactly_one("size", "claim_name"),
        Rule(
            cel="!(has(self.claimName) && has(self.storageClassName))",
            message="storageClassName is for the volume that KubeRay makes: it goes with size",
            holds=lambda volume: volume.claim_name is None or volume.storage_class_name is None,
            at=("storageClassName",),
        ),
    )

    size: Quantity | None = Field(default=None, description="Size of the volume that KubeRay creates, like 1Gi.")
    storage_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="Its storage class. Default: the cluster's default."
    )
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="An existing PersistentVolumeClaim, instead of one that KubeRay creates."
    )
    deletion_policy: Literal["DeleteWithCluster", "Retain"] | None = Field(
        default=None, description="What happens to the volume when the cluster is deleted. Default DeleteWithCluster."
    )


class FaultTolerance(Model):
    """One of the two stores."""

    rules = (exactly_one("redis", "rocksdb"),)

    redis: Redis | None = Field(
        default=None,
        description="Your own Redis.",
        # Ray reads its state from there, and pickled functions with it.
        json_schema_extra=run_code("head.faultTolerance.redis"),
    )
    rocksdb: RocksDB | None = Field(default=None, description="A volume of the head Pod (alpha in KubeRay 1.7).")
