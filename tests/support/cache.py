"""What is built or fetched once and kept between runs."""

import os
import sys
from pathlib import Path


class AssetsError(RuntimeError):
    """Something that tests need is missing and cannot be made."""


def user_cache() -> Path:
    """The folder of this project in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmpipeline"


def say(message: str) -> None:
    """A line of progress, apart from the results."""
    print(f"test kit: {message}", file=sys.stderr, flush=True)
