"""What Ray Serve does with a new Serve config on a cluster that runs.

Read from Ray 2.60: `get_app_code_version`, `DeploymentVersion.requires_actor_restart` and the rollout in
`deployment_state.py`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

Config = dict[str, Any]
# What happens, and whether requests may fail for it.
Sentence = tuple[str, bool]

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


@dataclass(frozen=True, slots=True)
class Replaced:
    """A deployment whose replicas restart.

    Attributes:
        app: The application, as the new config has it.
        deployment: The deployment, as the new config has it; empty if the config names none of the app.
        whole: All deployments of the app restart.
    """

    app: Config
    deployment: Config
    whole: bool

    @property
    def starts_first(self) -> bool:
        """Whether a new replica starts before an old one stops."""
        return bool(self.deployment.get("max_surge_percent"))

    @property
    def may_be_one(self) -> bool:
        """Whether there may be a single replica, so that nothing answers while it is replaced."""
        scaling = self.deployment.get("autoscaling_config") or {}
        count = scaling.get("min_replicas", 1) if scaling else self.deployment.get("num_replicas", 1)
        return not isinstance(count, int) or count <= 1


def replaced(before: Config, after: Config) -> tuple[Replaced, ...]:
    """The deployments whose replicas Ray Serve replaces."""
    found: list[Replaced] = []
    for name in _changed(before, after):
        app = after["apps"][name]
        whole = _version(before["apps"][name]) != _version(app)
        chosen = None if whole else _restarting(before["apps"][name], app)
        deployments = [item for item in app.get("deployments", []) if chosen is None or item["name"] in chosen]
        found += [Replaced(app, item, whole) for item in deployments or ([{}] if whole else [])]
    return tuple(found)


def what_serve_does(before: Config, after: Config) -> Iterator[Sentence]:
    """One sentence for each thing that happens, apps of one fate together, each with whether requests may fail."""
    restarted = replaced(before, after)
    yield from _replacing(restarted)
    adjusted = [name for name in _changed(before, after) if name not in {item.app["name"] for item in restarted}]
    if adjusted:
        yield f"Ray Serve changes {_apps(adjusted)} in place; no replica restarts.", False
    yield from _comings_and_goings(before["apps"], after["apps"])


def _replacing(restarted: Sequence[Replaced]) -> Iterator[Sentence]:
    first = [item for item in restarted if item.starts_first]
    if first:
        message = (
            f"Ray Serve replaces the replicas of {_whose(first)} one by one: it starts each new one before it stops an "
            "old one, and requests go on. If there is no room for one more, the update waits."
        )
        yield message, False
    last = [item for item in restarted if not item.starts_first]
    if last:
        alone = any(item.may_be_one for item in last)
        end = ": if there is only one, nothing answers until the new one is up." if alone else "; the others answer."
        message = (
            f"Ray Serve restarts every replica of {_whose(last)}, a fifth at a time, and stops each old one before it "
            f"starts the new one{end}"
        )
        yield message, alone


def _comings_and_goings(old: Config, new: Config) -> Iterator[Sentence]:
    routes = {app.get("route_prefix"): name for name, app in new.items() if name not in old}
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    for name in removed:
        if heir := routes.get(old[name].get("route_prefix")):
            message = f"Ray Serve removes app {name} and adds app {heir} at the same route: requests to it fail until"
            yield f"{message} {heir} runs.", True
            added, removed = [it for it in added if it != heir], [it for it in removed if it != name]
    if added:
        yield f"Ray Serve adds {_apps(added)}.", False
    if removed:
        yield f"Ray Serve removes {_apps(removed)}: requests to it fail from then on.", True
    moved = [name for name in new if name in old and old[name].get("route_prefix") != new[name].get("route_prefix")]
    if moved:
        yield f"The route of {_apps(moved)} changes: requests to the old one fail from then on.", True


def _changed(before: Config, after: Config) -> list[str]:
    old, new = before["apps"], after["apps"]
    return [name for name in new if name in old and new[name] != old[name]]


def _whose(restarted: Sequence[Replaced]) -> str:
    """`apps a, b and model in app c`."""
    apps = list(dict.fromkeys(item.app["name"] for item in restarted if item.whole and _is_all(item, restarted)))
    parts: dict[str, list[str]] = {}
    for item in restarted:
        if item.app["name"] not in apps:
            parts.setdefault(item.app["name"], []).append(item.deployment["name"])
    named = [_apps(apps)] if apps else []
    return " and ".join([*named, *(f"{', '.join(names)} in {_apps([app])}" for app, names in parts.items())])


def _is_all(item: Replaced, restarted: Sequence[Replaced]) -> bool:
    """Whether all deployments that the config names of an app are among these."""
    of_app = [other for other in restarted if other.app["name"] == item.app["name"]]
    return len(of_app) >= len(item.app.get("deployments", []))


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
