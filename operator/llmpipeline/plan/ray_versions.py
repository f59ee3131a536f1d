"""What each minor version of Ray brings, as far as what is rendered depends on it."""

from typing import Final

Minor = tuple[int, int]

# The newest that was run here.
NEWEST_TESTED: Final[Minor] = (2, 60)

# Each with what it means for a pipeline. Sources: Ray's release notes and code, tried where the reference says so.
_HAPROXY: Final[Minor] = (2, 58)  # 2.56 knows the switches and lacks the binary
_PRIORITY: Final[Minor] = (2, 56)  # worker groups' priority, by autoscaler v2


def minor(version: str) -> Minor:
    """`2.60.0` -> (2, 60)."""
    major, second, *_ = version.split(".")
    return int(major), int(second)


def has_haproxy(version: str) -> bool:
    """Whether Ray brings its HAProxy along."""
    return minor(version) >= _HAPROXY
