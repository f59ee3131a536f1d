"""Deploys a Serve config through the REST call that KubeRay makes, and follows it until every app runs."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.failure import reason
from llmpipeline_serve.local.progress import Progress, waiting_for
from llmpipeline_serve.local.ray_session import RaySession

_FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
_POLL_SECONDS = 0.5
# The first call starts Serve's controller and proxy, which takes a minute where nothing is in the page cache yet.
_PUT_SECONDS = 300
_GET_SECONDS = 60


@dataclass(frozen=True)
class Deployer:
    """Serve's REST API on one Ray."""

    session: RaySession

    def put(self, serve_config: dict[str, Any]) -> None:
        """Ask Serve to run these applications, and no others."""
        try:
            self._call("PUT", _PUT_SECONDS, serve_config)
        except urllib.error.HTTPError as error:
            raise RunnerError(f"Ray Serve rejects the config: {reason(error.read().decode())}", exit_code=1) from error

    def details(self) -> dict[str, Any]:
        """Return what Serve says about its applications, by name."""
        applications: dict[str, Any] = json.loads(self._call("GET", _GET_SECONDS))["applications"]
        return applications

    def _call(self, method: str, seconds: float, body: object = None) -> bytes:
        request = urllib.request.Request(
            f"{self.session.dashboard}/api/serve/applications/",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.session.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=seconds) as response:
            content: bytes = response.read()
            return content


def wait_until_running(deployer: Deployer, names: list[str], url: str, progress: Progress, limit: float) -> None:
    """Return when every app runs and the proxy knows its route; raise if one fails, or if the limit is over.

    The limit is in seconds since the start that `progress` counts from; 0 is none.
    """
    while True:
        apps = deployer.details()
        progress.show(apps)
        if broken := [apps[name] for name in names if name in apps and apps[name]["status"] in _FAILED]:
            raise RunnerError("\n".join(_failure(app) for app in broken), exit_code=1)
        if all(apps.get(name, {}).get("status") == "RUNNING" for name in names) and _routed(url, names):
            return
        if limit and progress.seconds >= limit:
            late = waiting_for(apps) or ["waiting for the proxy to learn the routes"]
            raise RunnerError("\n".join([f"not every app runs after {limit:g} s; raise --timeout", *late]), exit_code=1)
        time.sleep(_POLL_SECONDS)


def _failure(app: dict[str, Any]) -> str:
    said = [f"app {app['name']} is {app['status']}: {reason(app['message'])}"]
    for deployment in app["deployments"].values():
        if deployment["status"] in _FAILED and deployment["message"]:
            said.append(f"app {app['name']}: deployment {deployment['name']}: {reason(deployment['message'])}")
    return "\n".join(said)


def _routed(url: str, names: list[str]) -> bool:
    """Whether the proxy, which hears of routes from the controller, has heard of every app's."""
    try:
        with urllib.request.urlopen(f"{url}/-/routes", timeout=5) as response:
            return set(names) <= set(json.load(response).values())
    except (OSError, ValueError):
        return False
