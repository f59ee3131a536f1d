"""Whether a watch still delivers: a process can be alive and hear nothing any more."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# A watch is at most some seconds behind a list. After this it does not deliver.
STALE_SECONDS: Final = 60.0


class Freshness(Generic[K]):
    """Compares what a watch told with what a list shows. Where nothing changes, a silent watch is not stale."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._versions: dict[K, str] = {}
        # Since when a list has shown what the watch has not told.
        self._behind: dict[K, float] = {}

    def told(self, key: K, version: str | None) -> None:
        """The watch told of an object's version; None: that it is gone."""
        self._behind.pop(key, None)
        if version is None:
            self._versions.pop(key, None)
        else:
            self._versions[key] = version

    def listed(self, versions: Mapping[K, str], looked_at: Callable[[K], bool] = lambda _: True) -> None:
        """A fresh list shows these versions, and no other objects among those that it would show."""
        now = self._clock()
        differing = {key for key, version in versions.items() if self._versions.get(key) != version}
        differing |= {key for key in self._versions.keys() - versions.keys() if looked_at(key)}
        self._behind = {key: self._behind.get(key, now) for key in differing}

    @property
    def is_stale(self) -> bool:
        """Whether the watch has been behind for too long."""
        return any(self._clock() - since > STALE_SECONDS for since in self._behind.values())
