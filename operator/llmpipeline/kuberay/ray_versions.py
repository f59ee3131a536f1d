"""What the minor versions of Ray bring, as far as what is rendered depends on it.

Of what changed between 2.56, the oldest that is taken, and 2.60, the newest that was run here, two things matter:
HAProxy, and updates that start before they stop (`max_surge_percent`, ray-project/ray#66267). Autoscaler v2, worker
groups' priorities and token authentication are in all of them, and are always said rather than left to a default: Ray
2.61 turns token authentication on by itself.
"""

from typing import Final

Minor = tuple[int, int]

NEWEST_TESTED: Final[Minor] = (2, 60)
# 2.56 and 2.57 know the switches and lack the binary.
_HAPROXY: Final[Minor] = (2, 58)
_SURGE: Final[Minor] = (2, 60)


def minor(version: str) -> Minor:
    """`2.60.0` -> (2, 60)."""
    major, second, *_ = version.split(".")
    return int(major), int(second)


def has_haproxy(version: str) -> bool:
    """Whether Ray brings its HAProxy along."""
    return minor(version) >= _HAPROXY


def has_surge(version: str) -> bool:
    """Whether Ray Serve can start a new replica before it stops an old one. An older one ignores the option."""
    return minor(version) >= _SURGE
