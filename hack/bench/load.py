"""What the benchmark itself asks of the API server: raw applies, bursts of pipelines, and what comes of them."""

import asyncio
import copy
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.dynamic import DynamicClient

from support.control_plane import ControlPlane, Manifest

IN_FLIGHT = 16
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass
class Burst:
    """When things happened, in seconds since the first create was sent."""

    created: dict[str, float] = field(default_factory=dict)
    rayservice: dict[str, float] = field(default_factory=dict)
    applied: dict[str, float] = field(default_factory=dict)


def named(manifest: Manifest, namespace: str, count: int) -> list[Manifest]:
    """Copies of a manifest, each with a name of its own; without labels, so that an operator takes no notice."""
    copies = []
    for number in range(count):
        one = copy.deepcopy(manifest)
        one["metadata"] = {"name": f"bench-{number:05}", "namespace": namespace}
        copies.append(one)
    return copies


async def raw_applies(control_plane: ControlPlane, manifests: list[Manifest]) -> float:
    """Seconds that one server-side apply of each manifest takes, with the client library that the operator uses."""
    async with _dynamic_client(control_plane) as dynamic:
        resource = await dynamic.resources.get(api_version=manifests[0]["apiVersion"], kind=manifests[0]["kind"])

        async def apply(manifest: Manifest) -> None:
            await dynamic.server_side_apply(resource, body=manifest, field_manager="bench", force_conflicts=False)

        started = time.monotonic()
        await _each(manifests, apply)
        return time.monotonic() - started


async def burst(control_plane: ControlPlane, pipelines: list[Manifest], limit_seconds: float) -> Burst:
    """Create the pipelines and wait until each has its RayService and says Applied.

    What is missing in the result had not happened within the limit.
    """
    seen = Burst()
    example = pipelines[0]
    path = f"/apis/{example['apiVersion']}/namespaces/{example['metadata']['namespace']}/llmpipelines"
    rayservices = f"/apis/ray.io/v1/namespaces/{example['metadata']['namespace']}/rayservices"
    async with _session(control_plane) as session, _dynamic_client(control_plane) as dynamic:
        resource = await dynamic.resources.get(api_version=example["apiVersion"], kind=example["kind"])
        started = time.monotonic()

        async def create(manifest: Manifest) -> None:
            await dynamic.create(resource, body=manifest)
            seen.created[manifest["metadata"]["name"]] = time.monotonic() - started

        watches = asyncio.gather(
            _watch(session, path, "application/json", len(pipelines), seen.applied, started, _is_applied),
            _watch(session, rayservices, METADATA_ONLY, len(pipelines), seen.rayservice, started, lambda _: True),
        )
        await _each(pipelines, create)
        with suppress(TimeoutError):
            await asyncio.wait_for(watches, limit_seconds)
    return seen


async def _each(manifests: list[Manifest], action: Callable[[Manifest], Awaitable[None]]) -> None:
    """Do it for all of them, IN_FLIGHT at a time."""
    remaining = iter(manifests)

    async def worker() -> None:
        for manifest in remaining:
            await action(manifest)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def _watch(
    session: aiohttp.ClientSession,
    path: str,
    accept: str,
    count: int,
    seen: dict[str, float],
    started: float,
    wanted: Callable[[Manifest], bool],
) -> None:
    """Note when each object is first as wanted, until `count` are; the namespace is new, so all come as events."""
    headers = {"Accept": accept}
    async with session.get(path, params={"watch": "1", "resourceVersion": "0"}, headers=headers) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise RuntimeError(f"the watch of {path} ended: {event['object']}")
            if wanted(event["object"]):
                seen.setdefault(event["object"]["metadata"]["name"], time.monotonic() - started)
            if len(seen) == count:
                return


def _is_applied(pipeline: Manifest) -> bool:
    conditions = pipeline.get("status", {}).get("conditions", [])
    return any(it["type"] == "Applied" and it["status"] == "True" for it in conditions)


@asynccontextmanager
async def _session(control_plane: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    context = ssl.create_default_context(cafile=str(control_plane.certificate_authority))
    async with aiohttp.ClientSession(
        control_plane.url,
        headers={"Authorization": f"Bearer {control_plane.token}"},
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=None),
        # One event is one line, and a line may not be longer than the buffer.
        read_bufsize=2**21,
    ) as session:
        yield session


@asynccontextmanager
async def _dynamic_client(control_plane: ControlPlane) -> AsyncIterator[Any]:
    configuration = client.Configuration()
    file = str(control_plane.kubeconfig)
    await config.load_kube_config(config_file=file, client_configuration=configuration)
    # The library's own cache is a file in the temporary directory, shared by all servers of the same address.
    cache = control_plane.directory / "discovery.json"
    async with client.ApiClient(configuration) as api_client:
        yield await DynamicClient(api_client, cache_file=cache)
