"""Where Ray's cluster state is kept, so that it outlives the head."""

from typing import Annotated, Literal

from pydantic import Field

from llmpipeline.api.model import Model, Rule, exactly_one
from llmpipeline.api.models import SecretKeyReference
from llmpipeline.api.quantity import Quantity


class Redis(Model):
    """A Redis of yours."""

    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]+$", max_length=512)] = Field(
        description="Where it is, like redis:6379 or rediss://redis.example:6380."
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

    size: Quantity | None = Field(default=None, description="Size of the volume that KubeRay makes, like 1Gi.")
    storage_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="Its storage class. Default: the cluster's default."
    )
    claim_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="An existing PersistentVolumeClaim, instead of one that KubeRay makes."
    )
    deletion_policy: Literal["DeleteWithCluster", "Retain"] | None = Field(
        default=None, description="What becomes of the volume with the cluster. Default DeleteWithCluster."
    )


class FaultTolerance(Model):
    """One of the two stores."""

    rules = (exactly_one("redis", "rocksdb"),)

    redis: Redis | None = Field(default=None, description="A Redis of yours.")
    rocksdb: RocksDB | None = Field(default=None, description="A volume of the head's own (alpha in KubeRay 1.7).")
