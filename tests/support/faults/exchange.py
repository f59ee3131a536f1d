"""One request to the API server and its answer, as the proxy sees them."""

import asyncio
from typing import Any, Literal, NamedTuple

from aiohttp import web

# What a request is. Leases are of leader election: they are neither read nor write here.
Kind = Literal["watch", "list", "get", "write", "lease", "other"]

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Of the path, what stands before the resource: /api/v1 or /apis/GROUP/VERSION.
_ROOTS = {"api": 2, "apis": 3}


class Target(NamedTuple):
    """What a path names. A collection has no name; what is cluster-wide has no namespace."""

    namespace: str
    plural: str
    name: str
    subresource: str


def target_of(path: str) -> Target:
    """The target of a path of the API; all empty where it is none of a resource."""
    parts = [part for part in path.split("/") if part]
    rest = parts[_ROOTS[parts[0]] :] if parts and parts[0] in _ROOTS else []
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "", "")[:3]
    return Target(namespace, plural, name, subresource)


class Exchange:
    """A request that is being answered.

    Attributes:
        request: As aiohttp has it.
        body: What was sent with it.
        target: What its path names.
        kind: What it is.
        muted: Nothing of the answer is passed on any more, and the connection stays open.
        task: What answers it.
    """

    def __init__(self, request: web.Request, body: bytes) -> None:
        self.request = request
        self.body = body
        self.target = target_of(request.path)
        self.kind = _kind(request, self.target)
        self.muted = False
        self.task: asyncio.Task[web.StreamResponse] | None = None
        self.lifted = asyncio.Event()

    @property
    def transport(self) -> Any:
        """The connection of the client; None if it is gone."""
        return self.request.transport


def _kind(request: web.Request, target: Target) -> Kind:
    if target.plural == "leases":
        return "lease"
    if request.method in _WRITES:
        # Events are beside the state of a pipeline: they may be lost, and count as no write of it.
        return "other" if target.plural == "events" else "write"
    if request.query.get("watch") in ("true", "1"):
        return "watch"
    if not target.plural:
        return "other"
    return "get" if target.name else "list"
