"""The way from a pipeline to its plan: what has to run, as values. Not `llmpipeline plan`, which is in `effect`."""

from dataclasses import dataclass, replace

from llmpipeline.api.apps import App
from llmpipeline.api.pipeline import LLMPipeline, Spec
from llmpipeline.api.quantity import Range
from llmpipeline.plan.apps.application import Application, Setting
from llmpipeline.plan.apps.dispatch import planned
from llmpipeline.plan.apps.models import cache_variables
from llmpipeline.plan.capacity import groups, scale, surge
from llmpipeline.plan.capacity.demand import SURGE_PERCENT, Demand, Group
from llmpipeline.plan.capacity.fit import holds
from llmpipeline.plan.notes import notes


@dataclass(frozen=True, slots=True)
class Plan:
    """All that has to run.

    Attributes:
        applications: The applications of the Serve config, in the order of the spec.
        demands: What each deployment takes of the cluster.
        groups: The worker groups.
        head: What replicas may take of the head.
        notes: Sentences on what can work and may surprise.
    """

    applications: tuple[Application, ...]
    demands: tuple[Demand, ...]
    groups: tuple[Group, ...]
    head: Group
    notes: tuple[str, ...] = ()

    @property
    def fewest_workers(self) -> int:
        """Worker Pods that there always are."""
        return sum(group.fewest_pods for group in self.groups)

    @property
    def serves_without_head(self) -> bool:
        """Whether two workers always answer, so that the Service does not need the head.

        With one worker, or none, the proxy of the head holds the requests until there is a replica (again).
        """
        pairs = [group for group in self.groups if group.fewest_pods >= 2]
        several = [demand for demand in self.demands if demand.replicas.minimum >= 2]
        # In one group, so that Ray Serve can spread them over its Pods.
        return self.head.cpu_milli == 0 and any(holds(group, demand) for group in pairs for demand in several)

    @property
    def gpus(self) -> Range:
        """GPUs with every deployment at its minimum of replicas, and with every group at its maximum of Pods."""
        needed = sum(share.gpu_milli * item.replicas.minimum for item in self.demands for share in item.shares)
        fewest = sum(group.gpus * group.fewest_pods for group in self.groups)
        most = sum(group.gpus * group.most_pods for group in self.groups)
        return Range(max(-(-needed // 1000), fewest), most)


def make_plan(pipeline: LLMPipeline) -> Plan:
    """What has to run for this pipeline, whether or not it can work: see `checks`. The same pipeline gives the same."""
    spec = scale.with_scale(pipeline.spec)
    setting = Setting({app.name: app.route for app in spec.apps}, spec.ray)
    apps = [planned(app, setting) for app in spec.apps]
    demands = scale.with_range(spec, [demand for app in apps for demand in app.demands])
    head = groups.head_group(spec.head)
    given = groups.given(spec.workers)
    updates = surge.surge(demands, spec.ray.version, given, head)
    demands = surge.as_ray_can(demands, spec.ray.version)
    workers = given or groups.derived(demands, head)
    applications = [_with_cache(done.application, app, spec) for app, done in zip(spec.apps, apps, strict=True)]
    applications = [_with_updates(application, updates, spec.drain_seconds) for application in applications]
    return Plan(tuple(applications), demands, workers, head, tuple(notes(spec, workers, updates)))


def _with_updates(application: Application, updates: surge.Surge, drain_seconds: int) -> Application:
    """The application with how an update replaces replicas, and how long an old one may go on with its requests."""
    marked = {item.serve for item in updates.starts_first if item.app == application.name}
    deployments = tuple(
        {
            "graceful_shutdown_timeout_s": drain_seconds,
            **item,
            **({"max_surge_percent": SURGE_PERCENT} if item["name"] in marked else {}),
        }
        for item in application.deployments
    )
    return replace(application, deployments=deployments)


def _with_cache(application: Application, app: App, spec: Spec) -> Application:
    """The application with the folder of the model cache. The user's own environment variables come first."""
    variables = cache_variables(spec.ray.model_cache.path if spec.ray.model_cache else None)
    if not variables or not app.kind.may_load_models:
        return application
    environment = dict(application.runtime_env or {})
    users = environment.get("env_vars")
    if isinstance(users, dict):  # what else it may be is a problem (see `checks.runtime_env`)
        variables = variables | users
    return replace(application, runtime_env=environment | {"env_vars": variables})
