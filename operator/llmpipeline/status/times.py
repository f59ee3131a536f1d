"""Times in a status. They are input: somebody else may have written them."""

from datetime import datetime


def seconds_between(since: str, now: str) -> float | None:
    """Seconds from one time to another, both as RFC 3339; None if one of them is no time."""
    try:
        return (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return None
