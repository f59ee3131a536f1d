"""Environment variables of every Ray Pod, head and workers alike: Ray reads them when a node starts."""

from typing import Final

from llmpipeline.plan.ray_versions import has_haproxy

# Ray runs its workers, and so every replica and engine, at nice 15. In a Pod there is nothing that they should yield
# to but Ray's own daemons, which then starve them where the CPUs are few.
_ALWAYS: Final = {"RAY_worker_niceness": "0"}
# HAProxy in the place of Serve's Python proxy; docs/measurements.md has the figures.
_HAPROXY: Final = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # When replicas come or go, a new HAProxy takes over. The old one keeps the streams that it carries for so long;
    # by default it is killed after two minutes, in the middle of an answer.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "3600",
}


def ray_variables(version: str) -> dict[str, str]:
    """The variables for a Ray version, like `2.60.0`."""
    return _ALWAYS | (_HAPROXY if has_haproxy(version) else {})
