"""What one user asked of the API server, counted from its audit log."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True)
class Request:
    """One answered request."""

    verb: str
    api_version: str
    resource: str
    subresource: str
    status: int
    received: float

    @property
    def is_write(self) -> bool:
        """Whether it may have changed something that pipelines are made of."""
        return self.verb in WRITES and not self.is_heartbeat

    @property
    def is_heartbeat(self) -> bool:
        """Requests that go on for ever and say nothing about work: leadership and open watches."""
        return self.resource == "leases" or self.verb == "watch"

    @property
    def name(self) -> str:
        """Such as `patch llmpipelines/status`, or `409 patch rayservices` where it was refused."""
        what = f"{self.verb} {self.resource or 'no resource'}{'/' if self.subresource else ''}{self.subresource}"
        return what if self.status < 400 else f"{self.status} {what}"


class AuditLog:
    """Reads the requests of one user, from wherever `mark` was called last."""

    def __init__(self, path: Path, user: str) -> None:
        self._path = path
        self._user = user
        self._offset = 0

    def mark(self) -> None:
        """Forget what was logged up to now."""
        self._offset = self._path.stat().st_size

    def requests(self) -> Iterator[Request]:
        """The requests since the mark."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                # The last line may be half written.
                if line.endswith(b"\n") and (request := self._parse(line)):
                    yield request

    def _parse(self, line: bytes) -> Request | None:
        event = json.loads(line)
        if event["user"].get("username") != self._user or event["stage"] != "ResponseComplete":
            return None
        target = event.get("objectRef", {})
        return Request(
            verb=event["verb"],
            api_version="/".join(filter(None, [target.get("apiGroup"), target.get("apiVersion")])),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            status=event["responseStatus"]["code"],
            received=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
        )

    def writes(self) -> Counter[str]:
        """Writes by verb and resource, refused ones apart."""
        return Counter(it.name for it in self.requests() if it.is_write)

    def reads(self) -> Counter[str]:
        """Everything else but heartbeats."""
        return Counter(it.name for it in self.requests() if not it.is_write and not it.is_heartbeat)

    def written_resources(self) -> set[tuple[str, str]]:
        """API version and plural of everything that was written."""
        return {(it.api_version, it.resource) for it in self.requests() if it.is_write and it.resource != "events"}

    def wait_for_quiet(self, quiet_seconds: float = 5, limit_seconds: float = 120) -> float:
        """Wait until no work was asked for during `quiet_seconds`; returns the time of the last request.

        Raises:
            TimeoutError: if that does not happen.
        """
        deadline = time.time() + limit_seconds
        while True:
            last = max((it.received for it in self.requests() if not it.is_heartbeat), default=0.0)
            if time.time() - last > quiet_seconds:
                return last
            if time.time() > deadline:
                raise TimeoutError(f"{self._user} still sends requests after {limit_seconds} s: {self.writes()}")
            time.sleep(1)
