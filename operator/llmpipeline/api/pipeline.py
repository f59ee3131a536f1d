"""The root of the resource."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from llmpipeline.api.apps import App
from llmpipeline.api.base import Model, Rule, named_list
from llmpipeline.api.companions import Disruption, Monitoring, Network, Scale, Upgrade
from llmpipeline.api.defaults import DRAIN_SECONDS, LONGEST_DRAIN_SECONDS
from llmpipeline.api.name_types import ObjectName
from llmpipeline.api.ray_cluster import Autoscaler, Head, Ray, WorkerGroup, WorkerSettings
from llmpipeline.api.status import Status
from llmpipeline.names import LONGEST_NAME

_DNS_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_ROUTE = "(has({0}.routePrefix) ? {0}.routePrefix : '/' + {0}.name)"


def _routes_are_unique(spec: "Spec") -> bool:
    routes = [app.route for app in spec.apps]
    return len(set(routes)) == len(routes)


def _routes_are_apart(spec: "Spec") -> bool:
    routes = [app.route for app in spec.apps]
    return not any(inner.startswith(f"{outer}/") for outer in routes if outer != "/" for inner in routes)


class Spec(Model):
    """What to serve, and on what."""

    rules = (
        Rule(
            cel=f"self.apps.all(a, self.apps.exists_one(b, {_ROUTE.format('a')} == {_ROUTE.format('b')}))",
            message="two apps have the same routePrefix; give each its own",
            holds=_routes_are_unique,
            at=("apps",),
        ),
        Rule(
            cel=f"!self.apps.exists(a, {_ROUTE.format('a')} != '/' && self.apps.exists(b, "
            f"{_ROUTE.format('b')}.startsWith({_ROUTE.format('a')} + '/')))",
            message="an app's routePrefix lies inside another's; only / may hold others",
            holds=_routes_are_apart,
            at=("apps",),
        ),
    )

    class_name: ObjectName | None = Field(
        default=None,
        description="The LLMPipelineClass that fills in what this spec leaves out. Default: the class that is marked "
        "as default, or if none is, Ray 2.60.0 and the images llmpipeline/serve of that version.",
    )
    ray: Ray = Field(default_factory=Ray, description="The Ray version and image, and how Ray Pods start.")
    head: Head | None = Field(default=None, description="The Pod that runs Ray's control plane.")
    apps: tuple[App, ...] = named_list("What the pipeline serves: one or more apps.", least=1, most=32)
    workers: tuple[WorkerGroup, ...] = named_list(
        "The worker groups. Default: derived from what the apps need.", most=16
    )
    worker_defaults: WorkerSettings | None = Field(
        default=None,
        description="Settings of every worker group, derived ones included. A group's own settings take precedence.",
    )
    autoscaler: Autoscaler | None = Field(
        default=None,
        description="Settings of Ray's autoscaler, which always runs.",
    )
    upgrade: Upgrade | None = Field(
        default=None,
        description="How an update is done that needs a new Ray cluster. Default: a second cluster (NewCluster).",
    )
    drain_seconds: Annotated[int, Field(ge=1, le=LONGEST_DRAIN_SECONDS)] = Field(
        default=DRAIN_SECONDS,
        description="How long in-flight requests, like streams, may go on after their replica or Pod is asked to "
        "stop. It sets the grace period of the Pods, the time that Ray drains a node, and the default of "
        "gracefulShutdown.timeoutSeconds.",
    )
    disruption: Disruption | None = Field(
        default=None,
        description="What node drains and upgrades must leave running. Default: all workers but one, if there are "
        "always two or more.",
    )
    network: Network | None = Field(default=None, description="How the pipeline is reached, and by whom.")
    monitoring: Monitoring | None = Field(default=None, description="How the pipeline is monitored.")
    scale: Scale | None = Field(
        default=None, description="The deployment that kubectl scale, an HPA or KEDA scales. Default: none."
    )
    suspend: bool = Field(
        default=False, description="Whether to stop everything and release its GPUs. This resource stays."
    )


# The API server takes null for none and for the empty string, and templates of Helm produce it.
def _without_null(given: Any) -> Any:
    if isinstance(given, dict):
        return {key: "" if value is None else value for key, value in given.items()}
    return {} if given is None else given


Texts = Annotated[dict[str, str], BeforeValidator(_without_null)]


class Metadata(Model):
    """The part of the metadata that matters here; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str = "default"
    uid: str | None = None
    generation: int = 0
    labels: Texts = Field(default={})
    annotations: Texts = Field(default={})


class LLMPipeline(Model):
    """LLM models and apps, served by Ray on Kubernetes: one resource for the whole pipeline."""

    model_config = ConfigDict(extra="ignore")

    rules = (
        Rule(
            cel=f"size(self.metadata.name) <= {LONGEST_NAME} && "
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            message=f"the name may have at most {LONGEST_NAME} characters, lower-case letters, digits and dashes, and "
            "begins with a letter (KubeRay's rule)",
            holds=lambda pipeline: (
                len(pipeline.metadata.name) <= LONGEST_NAME and bool(_DNS_1035.fullmatch(pipeline.metadata.name))
            ),
            at=("metadata", "name"),
        ),
    )

    api_version: Literal["serving.llmpipeline.dev/v1alpha1"]
    kind: Literal["LLMPipeline"]
    metadata: Metadata
    spec: Spec = Field(description="What to serve, and on what. Written by you.")
    status: Annotated[Status, Field(description="What works and what does not. Written by the operator.")] | None = None
