"""A pipeline with an app of every kind on a local Ray, and the load that makes each of its metrics appear."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse

from support.local.asking import HUB, SMALL, ask, node
from support.local.runner import Runner, as_in_pods, rendered
from support.local.runner import running as running_ray

NAMESPACE: Final = "ml"
PIPELINE: Final = "everything"
LABELS: Final = {"namespace": NAMESPACE, "pipeline": PIPELINE, "ray_io_cluster": "everything-abcde"}

_ROOM: Final = {"resources": SMALL}
_PROMPT: Final = "The quick brown fox jumps over the lazy dog and waits. "


def apps() -> list[dict[str, Any]]:
    """One app of each kind. Two of them fail now and then, one scales, and one has too small a KV cache."""
    scaling = {"minReplicas": 1, "maxReplicas": 2, "upscaleDelaySeconds": 2, "targetOngoingRequests": 1}
    nodes = [
        {"name": "clean", "preprocess": {}, **_ROOM},
        {"name": "label", "after": ["clean"], "classify": {"model": HUB}, **_ROOM},
        node("never", "clean", function="echo", when="request.never|default(false)"),
        node("falls", "clean", function="fail", fallback={"fallen": True}),
        node("breaks", "clean", function="fail", when="request.breaks|default(false)"),
    ]
    return [
        {"name": "hello", "hello": {**_ROOM, "autoscaling": scaling}},
        {"name": "hello-b", "hello": {**_ROOM, "message": "b"}},
        {
            "name": "split",
            "trafficSplit": {
                "variants": [
                    {"name": "old", "app": "hello", "weight": 50},
                    {"name": "new", "app": "flaky", "weight": 50},
                ],
                "shadow": [{"app": "hello-b", "percent": 50}],
                **_ROOM,
            },
        },
        {"name": "flaky", "custom": {"importPath": "flaky:build", "deployments": [{"name": "Flaky", **_ROOM}]}},
        {"name": "chat", "openai": {"models": [{"name": "one", "source": HUB, **_ROOM}]}},
        {"name": "write", "generate": {"model": HUB, **_ROOM}},
        {
            "name": "small",
            "custom": {"importPath": "small_cache:build", "deployments": [{"name": "Generate", **_ROOM}]},
        },
        {"name": "analyze", "graph": {"nodes": nodes, "ingress": _ROOM}},
        {"name": "batch", "batch": {"classify": {"model": HUB}, "batchWaitMilliseconds": 20, **_ROOM}},
    ]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Runner]:
    """The pipeline, all of whose apps run."""
    with running_ray(folder, *rendered(*apps()), cpus=32, env=as_in_pods()) as runner:
        yield runner


def discovery(runner: Runner) -> Path:
    """The file in which Ray says where its metrics are."""
    (session,) = {path.parent for path in runner.temporary.glob("llmp-*/prom_metrics_service_discovery.json")} or {
        path.parent
        for process in runner.left()
        for path in Path("/tmp").glob("llmp-*/prom_metrics_service_discovery.json")
        if str(path.parent) in " ".join(process.cmdline())
    }
    return session / "prom_metrics_service_discovery.json"


class Load:
    """Asks every app again and again, in threads, until it is stopped. What it is answered is the test's to know."""

    def __init__(self, runner: Runner) -> None:
        self._url = runner.url
        self._over = threading.Event()
        completion = {"model": "one", "prompt": _PROMPT, "max_tokens": 12}
        work: list[Callable[[], object]] = [
            lambda: self._ask("hello"),
            lambda: self._ask("split"),
            lambda: self._ask("chat/v1/completions", completion),
            lambda: self._ask("chat/v1/completions", {**completion, "stream": True}),
            lambda: self._ask("analyze", {"text": "A text."}),
            lambda: self._ask("analyze", {"text": "A text.", "fail": True}),
            lambda: self._ask("analyze", {"text": "A text.", "fail": True, "breaks": True}),
            lambda: self._ask("analyze", {"no": "text"}),
            lambda: self._leave("write", {"prompt": _PROMPT, "max_tokens": 200, "ignore_eos": True, "stream": True}),
            *[lambda: self._ask("batch", {"text": "A text."})] * 2,
            lambda: self._ask("write", {"prompt": _PROMPT, "max_tokens": 20}),
            *[lambda: self._ask("small", {"prompt": _PROMPT * 3, "max_tokens": 100, "ignore_eos": True})] * 5,
        ]
        self._threads = [threading.Thread(target=self._repeat, args=(one,), daemon=True) for one in work]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, one: Callable[[], object]) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                one()
            time.sleep(0.3)

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> None:
        ask(f"{self._url}/{path}", body, method="GET" if body is None else "POST")

    def _leave(self, path: str, body: dict[str, Any]) -> None:
        """Ask for a stream and go away before its end."""
        address = urlparse(self._url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        connection.request("POST", f"/{path}", json.dumps(body), {"Content-Type": "application/json"})
        connection.getresponse().read(20)
        connection.close()
