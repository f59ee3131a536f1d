"""What the runner on this machine gets of a pipeline, and what it does not get: a sentence each. Pure."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from llmpipeline.api.base import parts
from llmpipeline.api.graph import CodeSource
from llmpipeline.api.pods import VariableSource
from llmpipeline.desired import Desired
from llmpipeline.plan.apps.application import Application
from llmpipeline.render.environment import tracing_variables
from llmpipeline.render.serve_config import serve_config
from llmpipeline_serve.contract.environment import CACHE_FOLDERS

_LEAST_CPUS: Final = 8
# They name folders and addresses of the image or of the cluster.
_OF_THE_POD: Final = frozenset(
    {
        "HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PYTHONHOME", "PYTHONPATH", "RAY_ADDRESS", "TMPDIR",
        *CACHE_FOLDERS,
    }
)  # fmt: skip
# Fields of the spec that say nothing to one machine, as the file has them.
_OF_THE_CLUSTER: Final = {
    "head": "head",
    "workers": "workers",
    "worker_defaults": "workerDefaults",
    "autoscaler": "autoscaler",
    "upgrade": "upgrade",
    "disruption": "disruption",
    "network": "network",
    "suspend": "suspend",
}


class LocalJob(NamedTuple):
    """A job for the runner, and what differs from a cluster before Ray is started."""

    job: dict[str, Any]
    notes: list[str]


def chosen(desired: Desired, apps: Collection[str]) -> list[Application]:
    """The apps with these names, and those that they pass requests on to; all if no name is given.

    Raises:
        LookupError: There is no app of a name; the text is for the user.
    """
    by_name = {app.name: app for app in desired.pipeline.spec.apps}
    if unknown := [name for name in apps if name not in by_name]:
        raise LookupError(f"there is no app {unknown[0]}; there are {', '.join(by_name)}")
    if not apps:
        return list(desired.plan.applications)
    wanted = set(apps)
    for name in apps:
        if split := by_name[name].traffic_split:
            wanted |= {part.app for part in split.variants} | {part.app for part in split.shadow}
    return [app for app in desired.plan.applications if app.name in wanted]


def local_job(
    desired: Desired,
    shell: Mapping[str, str],
    *,
    apps: Collection[str] = (),
    tiny_models: bool = False,
    check: bool = False,
    host: str = "127.0.0.1",
    port: int = 8000,
    timeout: int = 0,
    code_folders: Collection[str] = (),
    config_maps: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> LocalJob:
    """The job, from the pipeline, the environment that Ray inherits, and the options of the command.

    `cpus` are Ray's logical ones: enough to place every replica, however few there are.

    Raises:
        LookupError: There is no app of a name.
    """
    plan = desired.plan
    applications = chosen(desired, apps)
    names = {app.name for app in applications}
    needed = sum(
        demand.replicas.minimum * sum(share.cpu_milli + 1000 * share.gpus for share in demand.shares)
        for demand in plan.demands
        if demand.app in names
    )
    config = serve_config(plan)
    config["applications"] = [app for app in config["applications"] if app["name"] in names]
    code = sorted({source.value.config_map for source in parts(desired.pipeline.spec, CodeSource)})
    variables, notes = _variables(desired, applications, shell, tiny_models=tiny_models)
    job = {
        "name": desired.metadata.name,
        "serve_config": config,
        "cpus": max(_LEAST_CPUS, -(-needed // 1000) + 2),
        "host": host,
        "port": port,
        "tiny_models": tiny_models,
        "check": check,
        "timeout": timeout,
        "code_folders": list(code_folders),
        "code": {name: dict(config_maps[name]) for name in code if name in config_maps},
        "variables": variables,
    }
    notes += [_without_code(name) for name in code if name not in config_maps]
    return LocalJob(job, [*_left_out(desired, apps, applications), *notes])


def _without_code(name: str) -> str:
    return f"ConfigMap {name} is not in the file: its modules must be in the current folder or next to the file"


def _left_out(desired: Desired, apps: Collection[str], applications: Sequence[Application]) -> list[str]:
    spec = desired.pipeline.spec
    notes = []
    if added := [app.name for app in applications if apps and app.name not in apps]:
        notes.append(f"{', '.join(added)}: served too, because a trafficSplit passes requests on to it")
    if unused := [name for field, name in _OF_THE_CLUSTER.items() if field in spec.model_fields_set]:
        notes.append(f"spec: {', '.join(unused)} left out, which only a cluster has")
    if spec.ray.model_cache:
        notes.append("spec.ray.modelCache: left out; models are kept in this user's caches")
    return notes


def _named(source: VariableSource) -> str:
    if secret := source.secret_key_ref:
        return f"key {secret.key} of Secret {secret.name}"
    chosen = source.config_map_key_ref
    return f"key {chosen.key} of ConfigMap {chosen.name}" if chosen else "nothing"


def _variables(
    desired: Desired, applications: Sequence[Application], shell: Mapping[str, str], *, tiny_models: bool
) -> tuple[dict[str, str], list[str]]:
    """The variables of the Ray Pods that make sense here, and a sentence for each that does not or that is missing."""
    variables, notes = tracing_variables(desired.pipeline), []
    for given in desired.pipeline.spec.ray.env:
        where = f"spec.ray.env: {given.name}"
        if given.name in _OF_THE_POD:
            notes.append(f"{where} left out, it names something of the Pod")
        elif given.value is not None:
            variables[given.name] = given.value
        elif given.value_from and given.name not in shell:
            source = _named(given.value_from)
            notes.append(f"{where} is not set: a cluster takes it from {source}; export {given.name}=... first")
    secrets = {} if tiny_models else {secret[0]: secret[1] for app in applications for secret in app.secrets}
    for variable, secret in secrets.items():
        if variable not in shell and variable not in variables:
            notes.append(f"{variable} is not set: a cluster takes it from Secret {secret}; export {variable}=... first")
    return variables, notes
