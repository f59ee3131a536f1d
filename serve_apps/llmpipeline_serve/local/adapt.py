"""What must change in a Serve config written for GPU nodes before one machine can run it.

Pure: a Serve config in, another one and what was changed out. The apps, routes, replicas and limits stay as they are.
"""

from typing import Any, NamedTuple

from pydantic import ValidationError

from llmpipeline_serve.contract.base import AppArgs
from llmpipeline_serve.contract.catalog import APPS
from llmpipeline_serve.contract.environment import CACHE_FOLDERS, CODE_FOLDER, DIRECT_STREAMING, PYTHON_PATH
from llmpipeline_serve.contract.models import EngineArgs
from llmpipeline_serve.contract.openai import IMPORT_PATH as OPENAI
from llmpipeline_serve.contract.openai import PREFILL_IMPORT_PATH
from llmpipeline_serve.local.adapt_bundled import Adaptation
from llmpipeline_serve.local.adapt_engine import Config
from llmpipeline_serve.local.adapt_openai import OpenAIAdaptation, on_this_machine, with_one_deployment
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.machine import Machine


class Adapted(NamedTuple):
    """A Serve config for this machine, and a sentence for each change."""

    serve_config: Config
    changes: list[str]
    has_cpu_engine: bool = False


class _AdaptedApp(NamedTuple):
    config: Config
    changes: list[str]
    has_engine: bool


def adapt(serve_config: Config, machine: Machine) -> Adapted:
    """Return the Serve config that this machine can run, and what differs from the one given.

    Raises:
        RunnerError: The arguments of a bundled app are not what it takes.
    """
    apps = [_application(app, machine) for app in serve_config.get("applications", [])]
    given = serve_config.get("http_options", {})
    http = {**given, "host": str(machine.host), "port": machine.port}
    changes = [change for app in apps for change in app.changes]
    if given.get("host") != http["host"] or given.get("port") != http["port"]:
        reach = "only this machine reaches" if machine.host.is_loopback else "other machines may reach, without a token"
        changes.insert(0, f"listens on {http['host']}:{http['port']}, which {reach}")
    made = {**serve_config, "http_options": http, "applications": [app.config for app in apps]}
    return Adapted(made, changes, not machine.gpus and any(app.has_engine for app in apps))


def _application(app: Config, machine: Machine) -> _AdaptedApp:
    app, changes = dict(app), []
    if app.get("deployments"):
        placed = [on_this_machine(deployment, app["name"], machine) for deployment in app["deployments"]]
        app["deployments"] = [_with_code(deployment.config, machine) for deployment in placed]
        changes += [change for deployment in placed for change in deployment.changes]
    if app.get("import_path") == PREFILL_IMPORT_PATH:
        app = with_one_deployment(app)
        changes.append(f"{app['name']}: prompts are read and answers written by the same replica")
    has_engine = app.get("import_path") == OPENAI
    if has_engine:
        openai = OpenAIAdaptation(machine)
        app["args"] = openai.adapted(app.get("args", {}), app["name"])
        changes += openai.changes
    elif (known := APPS.get(app["import_path"])) and "args" in app:
        args = _parsed(known.args, app["args"], f"app {app['name']}: args")
        has_engine = args.holds(EngineArgs)
        adaptation = Adaptation(machine)
        app["args"] = adaptation.adapted(args, app["name"]).written()
        if app.get("deployments"):
            app["deployments"] = [
                _with_settings(deployment, known.settings_of(args, deployment["name"]), adaptation, app["name"])
                for deployment in app["deployments"]
            ]
        changes += adaptation.changes
    if runtime_env := _runtime_env(app.get("runtime_env") or {}, machine, has_engine=has_engine):
        app["runtime_env"] = runtime_env
    return _AdaptedApp(app, changes, has_engine)


def _with_code(deployment: Config, machine: Machine) -> Config:
    """The deployment, with the code of ConfigMaps where it is on this machine."""
    options = deployment.get("ray_actor_options") or {}
    variables = (options.get("runtime_env") or {}).get("env_vars") or {}
    if CODE_FOLDER not in variables.get(PYTHON_PATH, ""):
        return deployment
    path = variables[PYTHON_PATH].replace(CODE_FOLDER, machine.code_folder)
    runtime_env = {**options["runtime_env"], "env_vars": {**variables, PYTHON_PATH: path}}
    return {**deployment, "ray_actor_options": {**options, "runtime_env": runtime_env}}


def _with_settings(deployment: Config, kind: type[AppArgs] | None, adaptation: Adaptation, app: str) -> Config:
    """The deployment with the settings in its `user_config` as this machine can run them."""
    if kind is None or deployment.get("user_config") is None:
        return deployment
    where = f"app {app}: {deployment['name']}: user_config"
    settings = _parsed(kind, deployment["user_config"], where)
    return {**deployment, "user_config": adaptation.adapted(settings, app).written()}


def _parsed(kind: type[AppArgs], given: Any, where: str) -> AppArgs:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in (where, *first["loc"]))
        raise RunnerError(f"{at}: {first['msg']}", exit_code=1) from error


def _runtime_env(given: Config, machine: Machine, *, has_engine: bool) -> Config:
    """The app's runtime environment: models are kept where this machine keeps them, and nothing is compiled on CPUs.

    The app's, and not a model's: Ray takes a model's instead of the app's, whose variables would be lost.
    """
    if not given.get("env_vars") and not has_engine:
        return given
    # Only HAProxy can pass a request to a model's replica past the ingress. On a laptop there is none: it would listen
    # with its metrics on all interfaces.
    unwanted = {*CACHE_FOLDERS} if machine.haproxy else {*CACHE_FOLDERS, DIRECT_STREAMING}
    variables = {key: value for key, value in given.get("env_vars", {}).items() if key not in unwanted}
    kept = {key: value for key, value in given.items() if key != "env_vars"}
    if variables:
        kept["env_vars"] = variables
    return _without_compiler(kept) if has_engine and not machine.gpus else kept


def _without_compiler(runtime_env: Config) -> Config:
    """Keep even the sampler from compiling C++ in the first request: 15 seconds, or an error without a compiler."""
    return {**runtime_env, "env_vars": {"TORCHDYNAMO_DISABLE": "1", **runtime_env.get("env_vars", {})}}
