"""`llmpipeline plan` on documents, against other documents or a fake of the cluster."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from llmpipeline import names
from llmpipeline.cli.main import main
from llmpipeline.cluster import client
from llmpipeline.cluster.errors import RequestRejected
from llmpipeline.names import Key, object_of
from support.pipelines import Document, desired_of, model, openai
from support.pipelines import pipeline as a_pipeline

Change = Callable[[Document], object]
UID = "uid-of-the-pipeline"


def pipeline(name: str = "reviews", *, namespace: str = "ml", most: int = 2) -> Document:
    scaling = {"minReplicas": 1, "maxReplicas": most, "targetOngoingRequests": 32}
    app = openai(model("qwen", autoscaling=scaling))
    return a_pipeline(app, name=name, namespace=namespace, ray={"image": "serve:2.60.0"})


def other_image(document: Document) -> None:
    document["spec"]["ray"]["image"] = "serve:other"


def more_replicas(document: Document) -> None:
    document["spec"]["apps"][0]["openai"]["models"][0]["autoscaling"]["maxReplicas"] = 8


def changed(*changes: Change) -> Document:
    document = pipeline()
    for change in changes:
        change(document)
    return document


def plan(tmp_path: Path, new: list[Document], old: list[Document] | None, *options: str) -> Result:
    for name, documents in (("new", new), ("old", old)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(documents or [], sort_keys=False))
    former = [] if old is None else ["--from", str(tmp_path / "old.yaml")]
    return CliRunner().invoke(main, ["plan", "-f", str(tmp_path / "new.yaml"), *former, *options])


class Cluster:
    """A fake: answers with what it was given."""

    def __init__(self, rayservices: dict[Key, Document], failure: Exception | None = None) -> None:
        self.rayservices, self.failure = rayservices, failure
        self.pipelines: dict[Key, Document] = {}
        self.objects: dict[tuple[str, Key], Document] = {}
        self.hidden: set[str] = set()
        self.unknown: set[str] = set()

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def rayservice(self, key: Key) -> Document | None:
        if self.failure:
            raise self.failure
        return self.rayservices.get(key)

    async def classes(self) -> tuple[Document, ...]:
        if self.failure:
            raise self.failure
        if names.CLASS_KIND in self.hidden:
            raise RequestRejected(403, "llmpipelineclasses is forbidden")
        return ()

    async def pipeline(self, key: Key) -> Document | None:
        if names.KIND in self.hidden:
            raise RequestRejected(403, "llmpipelines is forbidden")
        return self.pipelines.get(key)

    async def read(self, kind: str, key: Key) -> Document | None:
        if kind in self.hidden:
            raise RequestRejected(403, f"{kind} is forbidden")
        return self.objects.get((kind, key))

    async def knows(self, kind: str, _namespace: str) -> bool:
        return kind not in self.unknown


def runs(monkeypatch: pytest.MonkeyPatch, *documents: Document, failure: Exception | None = None) -> Cluster:
    """A cluster with these pipelines, and all that the operator has made for them."""
    cluster = Cluster({}, failure)
    for document in documents:
        owned = {**document, "metadata": {**document["metadata"], "uid": UID}}
        made, key = desired_of(owned), Key(document["metadata"]["namespace"], document["metadata"]["name"])
        cluster.rayservices[key], cluster.pipelines[key] = made.service, owned
        for manifest in made.companions:
            which = object_of(manifest)
            metadata = {**manifest["metadata"], "annotations": {names.ANNOTATION_DIGEST: digest(manifest)}}
            cluster.objects[which.kind, which.key] = {**manifest, "metadata": metadata}
    monkeypatch.setattr(client, "connect", lambda **_: cluster)
    return cluster


def digest(manifest: Document) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
