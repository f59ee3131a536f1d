"""Logs of Ray Serve's replicas, from Ray's dashboard: it knows which replica runs where, and reads files of any node.

Needs what `open --dashboard` needs, and no right to run anything in a Pod.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from llmpipeline.kuberay.service import HEALTHY
from llmpipeline.kuberay.text import last_words

# Every line, to Ray.
ALL: Final = -1
_SECONDS: Final = 30.0
_POLL_SECONDS: Final = "0.5"
_LONGEST_LINE: Final = 1024 * 1024
_FOLDER: Final = "serve/replica_"
_MOST_NODES: Final = 10_000


class NoLogs(Exception):
    """Ray's dashboard does not answer as expected; the text says why."""


@dataclass(frozen=True, slots=True, order=True)
class Replica:
    """A log file, and whose it is.

    Attributes:
        app: The app.
        name: The deployment and the replica, as messages name them.
        node: The node's ID.
        file: The file, below Ray's folder of logs.
    """

    app: str
    name: str
    node: str
    file: str


@dataclass(frozen=True, slots=True)
class App:
    """An app as Ray Serve has it: its state, what it says of it, and its replicas."""

    state: str
    message: str
    replicas: tuple[Replica, ...]


class RayLogs:
    """The part of a dashboard that has logs."""

    def __init__(self, session: ClientSession, url: str, headers: Mapping[str, str]) -> None:
        """Take a session, the dashboard's address, and the headers with its token."""
        self._session, self._url, self._headers = session, url, headers

    async def apps(self) -> dict[str, App]:
        """The apps by name.

        Raises:
            NoLogs: There is no answer of Ray Serve.
        """
        answer = await self._json("/api/serve/applications/")
        try:
            return {name: _app(name, said) for name, said in answer["applications"].items()}
        except (TypeError, LookupError, AttributeError) as error:
            raise NoLogs("Ray's dashboard does not answer as Ray Serve does") from error

    async def files(self, app: str) -> list[Replica]:
        """The files of an app's replicas, running or not, that are still on some node."""
        nodes = await self._json(
            f"/api/v0/nodes?limit={_MOST_NODES}&filter_keys=state&filter_predicates=%3D&filter_values=ALIVE"
        )
        found = []
        try:
            for node in [str(it["node_id"]) for it in nodes["data"]["result"]["result"]]:
                answer = await self._json(f"/api/v0/logs?node_id={quote(node)}&glob={quote(f'{_FOLDER}{app}_*')}")
                files = [str(file) for kind in answer["data"]["result"].values() for file in kind]
                found += [Replica(app, _named(app, file), node, file) for file in files if file.endswith(".log")]
        except (TypeError, LookupError, AttributeError) as error:
            raise NoLogs("Ray's dashboard does not list log files as expected") from error
        return sorted(found)

    async def lines(self, replica: Replica, tail: int, *, follow: bool) -> AsyncIterator[str]:
        """The last lines of a log, and with `follow` those that are written from now on.

        Raises:
            NoLogs: The log cannot be read, or the connection ended.
        """
        what = "stream" if follow else "file"
        query = f"node_id={quote(replica.node)}&filename={quote(replica.file)}&lines={tail}"
        url = f"{self._url}/api/v0/logs/{what}?{query}" + (f"&interval={_POLL_SECONDS}" if follow else "")
        rest = b""
        try:
            timeout = ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=None if follow else _SECONDS)
            async with self._session.get(url, headers=self._headers, timeout=timeout) as response:
                if response.status != 200:
                    raise NoLogs(f"the log of {replica.name} cannot be read: {_first(await response.text())}")
                async for piece in response.content.iter_any():
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line.decode(errors="replace")
                    if len(rest) > _LONGEST_LINE:
                        yield rest.decode(errors="replace")
                        rest = b""
        except (ClientError, OSError, TimeoutError) as error:
            raise NoLogs(f"the log of {replica.name} cannot be read: {error or type(error).__name__}") from error
        if rest:
            yield rest.decode(errors="replace")

    async def _json(self, path: str) -> Any:
        try:
            timeout = ClientTimeout(total=_SECONDS)
            async with self._session.get(f"{self._url}{path}", headers=self._headers, timeout=timeout) as response:
                body = await response.text(errors="replace")
                status = response.status
        except (ClientError, OSError, TimeoutError) as error:
            raise NoLogs(f"Ray's dashboard does not answer: {error or type(error).__name__}") from error
        if status != 200:
            raise NoLogs(f"Ray's dashboard answers with HTTP {status}: {_first(body)}")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise NoLogs("Ray's dashboard answers with something that is not JSON") from error


def _app(name: str, said: Any) -> App:
    replicas = [
        Replica(name, f"{name}/{deployment}#{replica['replica_id']}", replica["node_id"], replica["log_file_path"])
        for deployment, state in said["deployments"].items()
        for replica in state["replicas"]
        # While a replica starts, Ray Serve knows neither.
        if replica.get("node_id") and replica.get("log_file_path")
    ]
    files = tuple(sorted(Replica(it.app, it.name, it.node, it.file.lstrip("/")) for it in replicas))
    # The app's own message names the deployments alone.
    reasons = [
        f"{deployment}: {last_words(state['message'])}"
        for deployment, state in said["deployments"].items()
        if state.get("status") != HEALTHY and state.get("message")
    ]
    return App(str(said["status"]), "; ".join(reasons) or last_words(said.get("message") or ""), files)


def _named(app: str, file: str) -> str:
    """`serve/replica_APP_DEPLOYMENT_ID.log` as replicas are named."""
    deployment, _, replica = file.removeprefix(f"{_FOLDER}{app}_").removesuffix(".log").rpartition("_")
    return f"{app}/{deployment}#{replica}"


def _first(body: str) -> str:
    return next((line.strip()[:300] for line in body.splitlines() if line.strip()), "no reason given")
