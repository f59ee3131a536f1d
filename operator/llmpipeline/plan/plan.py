"""The way from a pipeline to its plan."""

from dataclasses import replace

from llmpipeline.api.apps import App
from llmpipeline.api.pipeline import LLMPipeline, Spec
from llmpipeline.plan import checks, fit, groups, scale
from llmpipeline.plan.apps import application
from llmpipeline.plan.models import cache_variables, downloads
from llmpipeline.plan.notes import notes
from llmpipeline.plan.types import Application, Plan


def make_plan(pipeline: LLMPipeline) -> Plan:
    """What has to run for this pipeline; with problems, why it cannot. The same pipeline gives the same plan."""
    spec = scale.with_scale(pipeline.spec)
    routes = {app.name: app.route for app in spec.apps}
    planned = [application(app, routes, spec.ray) for app in spec.apps]
    demands = scale.with_range(spec, [demand for _, wanted in planned for demand in wanted])
    head = groups.head_group(spec.head)
    workers = groups.given(spec.workers) if spec.workers else groups.derived(demands, head)
    problems = [
        *checks.problems(spec),
        *scale.problems(pipeline.spec, demands),
        *(fit.misfits(demands, workers, head) if spec.workers else fit.too_large(demands)),
        *fit.too_many(workers),
    ]
    applications = [
        _with_cache(application, app, spec) for app, (application, _) in zip(spec.apps, planned, strict=True)
    ]
    return Plan(tuple(applications), demands, workers, head, tuple(problems), tuple(notes(spec, workers)))


def _with_cache(planned: Application, app: App, spec: Spec) -> Application:
    """The application, told where models are kept. The user's own environment variables come first."""
    variables = cache_variables(spec.ray.model_cache.path if spec.ray.model_cache else None)
    if not variables or not downloads(app):
        return planned
    environment = dict(planned.runtime_env or {})
    users = environment.get("env_vars")
    if isinstance(users, dict):  # what else it may be is a problem (see `runtime_env`)
        variables = variables | users
    return replace(planned, runtime_env=environment | {"env_vars": variables})
