"""What Ray Serve does with a new Serve config on a cluster that runs.

Read from Ray 2.60: `get_app_code_version`, `DeploymentVersion.requires_actor_restart` and the rollout in
`deployment_state.py`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmpipeline.api.quantity import Range
from llmpipeline.plan.capacity.demand import surge_of
from llmpipeline_serve.contract import openai
from llmpipeline_serve.contract.catalog import APPS

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
        return self._replicas.minimum <= 1

    @property
    def more(self) -> int:
        """Replicas more than there are anyway, while they are replaced."""
        least, most = self._replicas
        # Of several, old ones may still finish their requests while the next new ones start.
        return least if least > 1 else surge_of(most)

    @property
    def _replicas(self) -> Range:
        """How many there may be. One, where somebody else has written no number."""
        if scaling := self.deployment.get("autoscaling_config"):
            given = (scaling.get("min_replicas", 1), scaling.get("max_replicas", 1))
        else:
            given = (self.deployment.get("num_replicas", 1),) * 2
        least, most = (count if isinstance(count, int) else 1 for count in given)
        return Range(least, most)


def replaced(before: Config, after: Config) -> tuple[Replaced, ...]:
    """The deployments whose replicas Ray Serve replaces: those that are there before and afterwards."""
    found: list[Replaced] = []
    for name in _changed(before, after):
        old, app = before["apps"][name], after["apps"][name]
        whole = _version(old) != _version(app)
        kept = _names(app) if is_users(app) else _names(old) & _names(app)
        chosen = kept if whole else set(_restarting(old, app))
        deployments = [item for item in app.get("deployments", []) if item["name"] in chosen]
        found += [Replaced(app, item, whole) for item in deployments]
        if whole and not _names(app):
            found.append(Replaced(app, {}, whole))
    return tuple(found)


def what_serve_does(before: Config, after: Config) -> Iterator[Sentence]:
    """One sentence for each thing that happens, apps of one fate together, each with whether requests may fail."""
    restarted, exchanged = replaced(before, after), other_deployments(before, after)
    yield from _replacing(restarted)
    yield from _exchanging(exchanged)
    yield from _unlisted(restarted)
    touched = {item.app["name"] for item in restarted} | {name for name, _, _ in exchanged}
    adjusted = [name for name in _changed(before, after) if name not in touched]
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


def _exchanging(exchanged: Sequence[tuple[str, list[str], list[str]]]) -> Iterator[Sentence]:
    """Deployments that Ray Serve deletes as soon as it has the new config, and those that have to start first."""
    for app, gone, come in exchanged:
        removes = f"removes {', '.join(gone)} of app {app} at once" if gone else ""
        starts = f"starts {', '.join(come)}{'' if gone else f' in app {app}'}" if come else ""
        until = f" or wait until {', '.join(come)} runs" if come else ""
        verb = f"fail{until}" if gone else f"wait until {', '.join(come)} runs"
        yield f"Ray Serve {' and '.join(filter(None, (removes, starts)))}: requests that need them {verb}.", True


def other_deployments(before: Config, after: Config) -> list[tuple[str, list[str], list[str]]]:
    """Of each app that changes the deployments that go, and those that come.

    Not of the user's own apps: their code names the deployments, and the config only has settings of some.
    """
    found = []
    for name in _changed(before, after):
        if is_users(after["apps"][name]):
            continue
        old, new = _names(before["apps"][name]), _names(after["apps"][name])
        if old != new and old | new:
            found.append((name, sorted(old - new), sorted(new - old)))
    return found


def _unlisted(restarted: Sequence[Replaced]) -> Iterator[Sentence]:
    """What cannot be said of the user's own apps, whose deployments nobody knows but those that are listed."""
    own = [item.app["name"] for item in restarted if item.whole and item.deployment and is_users(item.app)]
    if apps := list(dict.fromkeys(own)):
        message = f"Deployments of {_apps(apps)} that custom.deployments does not list stop an old replica first."
        yield message, False


def is_users(app: Config) -> bool:
    """Whether an application is the user's own code: neither bundled, nor Ray Serve LLM."""
    path = str(app.get("import_path"))
    return path not in APPS and path not in (openai.IMPORT_PATH, openai.PREFILL_IMPORT_PATH)


def _names(app: Config) -> set[str]:
    return {item["name"] for item in app.get("deployments", [])}


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
