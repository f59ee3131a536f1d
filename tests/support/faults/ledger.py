"""The writes that reached the API server."""

import json
import threading
from dataclasses import dataclass

from support.faults.exchange import Exchange, Target


@dataclass(frozen=True)
class Write:
    """One write.

    Attributes:
        target: Of what.
        method: How.
        status: The answer's.
        effective: Whether the object changed by it, by its resourceVersion before and afterwards.
    """

    target: Target
    method: str
    status: int
    effective: bool

    def __str__(self) -> str:
        target = self.target
        what = "/".join(part for part in (target.plural, target.name, target.subresource) if part)
        return f"{self.method} {what} {self.status}{'' if self.effective else ' (no change)'}"


class Ledger:
    """Counts writes, and knows of each object the version that was last seen. Of any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: list[Write] = []
        self._versions: dict[tuple[str, str, str], str] = {}

    def note(self, exchange: Exchange, status: int, body: bytes) -> None:
        """An answer to a read or write of one object."""
        target = exchange.target
        which = target[:3]
        version = _version(body) if status < 300 else ""
        with self._lock:
            before = self._versions.get(which)
            if version:
                self._versions[which] = version
            if exchange.kind == "write":
                effective = status < 300 and (exchange.request.method == "DELETE" or version != before)
                self._writes.append(Write(target, exchange.request.method, status, effective))

    @property
    def mark(self) -> int:
        """How many writes there were so far."""
        with self._lock:
            return len(self._writes)

    def since(self, mark: int, namespace: str = "") -> list[Write]:
        """The writes after a mark, in one namespace or in all."""
        with self._lock:
            return [it for it in self._writes[mark:] if namespace in ("", it.target.namespace)]


def _version(body: bytes) -> str:
    try:
        return str(json.loads(body)["metadata"]["resourceVersion"])
    except (ValueError, KeyError, TypeError):
        return ""
