"""What the apps are doing, a line for each change."""

import os
import sys
import time
from typing import Any

from llmpipeline_serve.local.failure import reason

# What is waited for is said once in full; then, in ever longer steps, that it is waited for still.
_REMIND_SECONDS = 15
_LONGEST_STEP_SECONDS = 240
_COLOURS = {"RUNNING": "\x1b[32m", "DEPLOY_FAILED": "\x1b[31m", "UNHEALTHY": "\x1b[31m"}


class Progress:
    """Prints to standard error what changed since the last look, and every now and then what is waited for."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._said_at = self._started
        self._shown: dict[str, str] = {}
        self._reminded: list[str] = []
        self._step = _REMIND_SECONDS

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        self._said_at = time.monotonic()
        print(f"{self._said_at - self._started:4.0f} s  {text}", file=sys.stderr, flush=True)

    def show(self, apps: dict[str, Any]) -> None:
        """Print a line for every app that changed."""
        for name, app in apps.items():
            line = describe(app)
            if self._shown.get(name) != line:
                self._shown[name] = line
                self.say(_coloured(line, app["status"]))
        if time.monotonic() - self._said_at >= self._step:
            self._remind(waiting_for(apps) or ["waiting for the proxy to learn the routes"])

    def _remind(self, lines: list[str]) -> None:
        """Prints what is new of what is waited for; if nothing is, a short line, and the next one later."""
        new = [line for line in lines if line not in self._reminded]
        for line in new:
            self.say(line)
        self._step = _REMIND_SECONDS if new else min(2 * self._step, _LONGEST_STEP_SECONDS)
        if not new:
            self.say(f"still {lines[0].partition(' (')[0].partition(': its ')[0]}")
        self._reminded = lines


def describe(app: dict[str, Any]) -> str:
    """Return an app's state, and how many replicas of each deployment run."""
    deployments = ", ".join(f"{d['name']} {_running(d)} replicas" for d in app["deployments"].values())
    return f"{app['name']}  {app['status']}  {deployments}".rstrip()


def waiting_for(apps: dict[str, Any]) -> list[str]:
    """Return a sentence for each deployment that does not run yet, or for its app while it has none."""
    said = []
    for app in apps.values():
        if app["status"] == "RUNNING":
            continue
        late = [d for d in app["deployments"].values() if d["status"] != "HEALTHY"]
        for deployment in late:
            states = ", ".join(sorted({replica["state"] for replica in deployment["replicas"]})) or "no replica yet"
            message = f": {reason(deployment['message'])}" if deployment["message"] else ""
            said.append(f"waiting for {app['name']}: {deployment['name']} ({states}){message}")
        if not late:
            said.append(f"waiting for {app['name']}: its code is being imported")
    return said


def _running(deployment: dict[str, Any]) -> str:
    running = sum(replica["state"] == "RUNNING" for replica in deployment["replicas"])
    return f"{running}/{deployment['target_num_replicas']}"


def _coloured(line: str, status: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stderr.isatty() or status not in _COLOURS:
        return line
    return line.replace(status, f"{_COLOURS[status]}{status}\x1b[0m", 1)
