"""What Ray Serve does with a new Serve config on a cluster that runs.

Read from Ray 2.60: `get_app_code_version`, `DeploymentVersion.requires_actor_restart` and the rollout in
`deployment_state.py`.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

Config = dict[str, Any]

# A difference in one of these restarts every replica of the app: to Ray Serve they are its version.
_VERSION: Final = ("import_path", "runtime_env", "args", "autoscaling_policy")
_VERSION_OF_DEPLOYMENT: Final = ("request_router_config", "deployment_actors")
# One of these restarts the replicas of its deployment.
_RESTARTS: Final = (
    "ray_actor_options",
    "placement_group_bundles",
    "placement_group_strategy",
    "placement_group_bundle_label_selector",
    "placement_group_fallback_strategy",
    "max_replicas_per_node",
    "gang_scheduling_config",
)
# Ray Serve reads these when it starts, and never again.
AT_START: Final = ("http_options", "grpc_options", "proxy_location")


def parsed(text: Any) -> Config | None:
    """A Serve config with its applications by name under `apps`; None where it is not JSON, as others may write it."""
    try:
        config = json.loads(text or "{}")
        apps = {app["name"]: app for app in config.pop("applications", [])}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return {**config, "apps": apps}


def what_serve_does(before: Config, after: Config) -> Iterator[str]:
    """One sentence for each thing that happens, apps of one fate together."""
    old, new = before["apps"], after["apps"]
    both = [name for name in new if name in old and new[name] != old[name]]
    restarted = [name for name in both if _version(old[name]) != _version(new[name])]
    parts = {name: _restarting(old[name], new[name]) for name in both if name not in restarted}
    replaced = [_apps(restarted)] if restarted else []
    replaced += [f"{', '.join(deployments)} in {_apps([name])}" for name, deployments in parts.items() if deployments]
    adjusted = [name for name, deployments in parts.items() if not deployments]
    if replaced:
        yield (
            f"Ray Serve restarts every replica of {' and '.join(replaced)}, a fifth at a time, and stops each old one "
            "before it starts the new one: if there is only one, nothing answers until the new one is up."
        )
    if adjusted:
        yield f"Ray Serve changes {_apps(adjusted)} in place; no replica restarts."
    if added := [name for name in new if name not in old]:
        yield f"Ray Serve adds {_apps(added)}."
    if removed := [name for name in old if name not in new]:
        yield f"Ray Serve removes {_apps(removed)}: requests to it fail from then on."


def at_start(before: Config, after: Config) -> list[str]:
    """What differs of that which only a new Ray cluster takes."""
    return [f"spec.serveConfigV2.{key}" for key in AT_START if before.get(key) != after.get(key)]


def _apps(app_names: list[str]) -> str:
    return f"app{'s' if len(app_names) > 1 else ''} {', '.join(app_names)}"


def _version(app: Config) -> list[Any]:
    deployments = app.get("deployments", [])
    # Of each deployment that scales one entry, a policy or none: so a first autoscaling is a new version as well.
    scaling = [item["autoscaling_config"] for item in deployments if item.get("autoscaling_config") is not None]
    policies = [config.get("policy") for config in scaling]
    others = [item[key] for item in deployments for key in _VERSION_OF_DEPLOYMENT if key in item]
    return [*(app.get(key) for key in _VERSION), policies, others]


def _restarting(before: Config, after: Config) -> list[str]:
    """The deployments of an app whose replicas restart."""
    old, new = ({item["name"]: item for item in app.get("deployments", [])} for app in (before, after))
    return [
        name
        for name, item in new.items()
        if name in old and any(item.get(key) != old[name].get(key) for key in _RESTARTS)
    ]
