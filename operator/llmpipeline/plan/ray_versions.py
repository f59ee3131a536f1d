"""What a Ray version brings, as far as what is rendered depends on it."""

from typing import Final

_HAPROXY: Final = (2, 58)


def has_haproxy(version: str) -> bool:
    """Whether Ray brings its HAProxy along in a version like `2.60.0`: 2.56 knows the switches and lacks the binary."""
    return tuple(int(part) for part in version.split(".")[:2]) >= _HAPROXY
