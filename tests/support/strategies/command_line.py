"""Command lines, files, kubeconfigs and answers of a cluster, with something wrong in them."""

import json
import random
from typing import Any

import yaml

from llmpipeline.cli.init import starter

WORDS = (
    "", "-", "--", "-1", "0", "1", "65536", "9" * 40, "x", "chat", "llmp/chat", "../x", "a/b", "A", "é", "\u202e",
    "\udcff", "\x1b[2J", "a" * 5000, "a b", "a\nb", "*", "$HOME", "{}", "[", "%s", "None", "true", "1e9", "10m", "json",
    "spec.apps", "spec..apps", ".", "...", "spec.apps[", "Ready", "NewCluster", "http://x", "http://[", "bash",
    "/dev/null", "/nonexistent/x",
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 1.5, "", "x", "é\u202e", "a" * 300, [], {}, [[]], [None], {"": ""}, {"name": 3}, "\x00",
    "{{", "1e400", [{"name": None}], {"a": {"b": []}},
)  # fmt: skip
CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1", "insecure-skip-tls-verify": False}}],
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "ml"}}],
    "users": [
        {
            "name": "u",
            "user": {
                "token": "x",
                "username": "me",
                "password": "p",
                "client-certificate-data": "",
                "exec": {"command": "false", "apiVersion": "client.authentication.k8s.io/v1", "args": ["a"]},
                "auth-provider": {"name": "oidc", "config": {"id-token": "x.y.z"}},
            },
        }
    ],
    "current-context": "c",
}


def broken(text: str, chance: random.Random) -> bytes:
    """A file as an editor, a template or a download leaves it."""
    for _ in range(chance.randrange(1, 4)):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        kind = chance.randrange(9)
        if kind == 0:
            lines[at] = f" {lines[at]}"
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines.insert(at, chance.choice(lines))
        elif kind == 3:
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {json.dumps(chance.choice(JUNK))}"
        elif kind == 4:
            lines[at] = chance.choice(
                ("\t", "---", "&a [*a]", "<<: *x", "? [a]", "!!python/object:os.system x", "- ", "{{ x }}")
            )
        elif kind == 5:
            lines = lines[:at]
        elif kind == 6:
            cut = chance.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + chance.choice(WORDS) + lines[at][cut:]
        elif kind == 7:
            lines[at] = lines[at].replace(":", chance.choice((": :", "", ": |", ": >-", ": &a", ": *a", ": !x")), 1)
        else:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        text = "\n".join(lines)
    content = text.encode(chance.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace")
    if chance.random() < 0.1:
        at = chance.randrange(len(content) + 1)
        content = content[:at] + chance.randbytes(3) + content[at:]
    return content


def with_junk(value: Any, chance: random.Random) -> Any:
    """The value with something else in one place, or without it."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return chance.choice(JUNK)
    changed: Any = value.copy()
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    if chance.random() < 0.1:
        del changed[key]
    else:
        changed[key] = with_junk(value[key], chance)
    return changed


def pipeline() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(starter("chat"))
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AppsRunning",
        "message": "m",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    document["metadata"] |= {
        "namespace": "ml",
        "uid": "u1",
        "generation": 1,
        "resourceVersion": "5",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    document["status"] = {
        "observedGeneration": 1,
        "conditions": [condition],
        "apps": [{"name": "chat", "state": "RUNNING", "deployments": [{"name": "d", "state": "HEALTHY"}]}],
        "gpus": {"requested": 1, "maximum": 3},
        "rayService": {"name": "chat", "activeCluster": "chat-a"},
        "lastEdit": {"effect": "InPlace", "message": "m", "time": "2026-01-01T00:00:00Z"},
    }
    return document


def sound(path: str) -> Any:
    """What a cluster would answer, about: the rest is not there."""
    if path.endswith("/llmpipelines/chat"):
        return pipeline()
    if "/llmpipelines" in path:
        return {"kind": "LLMPipelineList", "metadata": {"continue": ""}, "items": [pipeline()]}
    if "/rayservices/chat" in path:
        owner = {"uid": "u1", "controller": True, "kind": "LLMPipeline", "name": "chat", "apiVersion": "x/v1"}
        metadata = {"name": "chat", "namespace": "ml", "uid": "u2", "ownerReferences": [owner], "annotations": {}}
        status = {
            "conditions": [{"type": "Ready", "status": "True", "reason": "NonZeroServeEndpoints", "message": ""}],
            "activeServiceStatus": {"rayClusterName": "chat-a", "applicationStatuses": {"chat": {"status": "RUNNING"}}},
        }
        return {"metadata": metadata, "spec": {"rayClusterConfig": {"workerGroupSpecs": []}}, "status": status}
    if "/rayclusters/chat-a" in path:
        owner = {"uid": "u2", "controller": True, "kind": "RayService", "name": "chat", "apiVersion": "ray.io/v1"}
        metadata = {"name": "chat-a", "namespace": "ml", "uid": "u3", "ownerReferences": [owner]}
        return {"metadata": metadata, "status": {"head": {"podName": "chat-head"}}}
    if "/version" in path:
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    return {"kind": "List", "metadata": {}, "items": []}


def body_of(path: str, chance: random.Random) -> tuple[int, str, bytes]:
    kind = chance.random()
    if kind < 0.6:
        return 200, "application/json", json.dumps(with_junk(sound(path), chance)).encode()
    if kind < 0.75:
        return 200, "application/json", json.dumps(sound(path)).encode()
    if kind < 0.85:
        junk = (
            b"",
            b"<html>log in</html>",
            b"[]",
            b"3",
            b"null",
            b"{",
            b"\xff\xfe",
            b"[" * 3000,
            b'"x"',
            b"k8s\x00\x0a",
        )
        return 200, "text/html", chance.choice(junk)
    status = chance.choice((301, 400, 401, 403, 404, 409, 410, 429, 500, 503))
    message = json.dumps({"kind": "Status", "message": chance.choice(("m", None, 3, "x" * 3000, "\x1b[2J"))})
    return status, "application/json", chance.choice((message.encode(), b"", b"<html>", b"[]", b"\xff"))
