"""What is well formed and most likely means something else is said, in one sentence, and rejects nothing."""

from typing import Any

import pytest

from support import repository
from support.pipelines import HUB, Document, desired_of, model, openai, pipeline, sample, says

SERVE = "registry.example/llmpipeline/serve:2.60.0"
GPU, CPU, BASE = ({"image": f"{SERVE}-{variant}"} for variant in ("gpu", "cpu", "base"))
L4: Document = {"accelerator": {"type": "L4"}}
BARE: Document = {"accelerator": None}


def custom(**fields: Any) -> Document:
    return {"name": "mine", "custom": {"importPath": "steps:enrich", **fields}}


def said(text: str) -> Document:
    messages = [{"role": "system", "content": text}, {"conversation": "request.messages"}]
    return {"name": "ask", "graph": {"nodes": [{"name": "a", "generate": {"model": HUB, **L4, "messages": messages}}]}}


def prompt(text: str) -> Document:
    node = {"name": "answer", "generate": {"model": HUB, **L4, "prompt": text}}
    return {"name": "g", "graph": {"nodes": [node]}}


def split(*apps: str) -> Document:
    variants = [{"name": app, "app": app, "weight": 1} for app in apps]
    return {"name": "front", "routePrefix": "/", "trafficSplit": {"variants": variants}}


def hello(**resources: Any) -> Document:
    return {"name": "hello", "hello": {"resources": resources}}


def policy(**fields: Any) -> Document:
    return {"policy": {"egressTo": [{"name": "a", "cidr": "10.0.0.0/8"}], **fields}}


def containers(name: str, **fields: Any) -> Document:
    return {"podTemplate": {"spec": {"containers": [{"name": name, **fields}]}}}


def environment(name: str, **fields: Any) -> Document:
    return {**GPU, "env": [{"name": name, **fields}]}


SECRET: Document = {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        (
            pipeline(ray={"image": "rayproject/ray-llm:2.49.0-py311"}),
            pipeline(ray={"image": "rayproject/ray-llm:2.60.0-py311"}),
            "ray.version is 2.60.0, and the tag of ray.image says 2.49.0.",
        ),
        (
            pipeline(openai(model()), ray=BASE),
            pipeline(openai(model()), ray=GPU),
            f"spec.apps[0].openai.models[0].source is a model, and {SERVE}-base has no engine: use an image with",
        ),
        (
            pipeline(openai(model()), ray=CPU),
            pipeline(openai(model(**BARE)), ray=CPU),
            f"spec.apps[0].openai.models[0] asks for GPUs, and {SERVE}-cpu runs on CPUs: use an image with -gpu.",
        ),
        (
            pipeline(openai(model(**BARE), model("b", **BARE)), ray=GPU),
            pipeline(openai(model(**BARE, resources={"cpus": 8}), model("b")), ray=GPU),
            "spec.apps[0].openai.models[0] (and 1 more) has no accelerator and runs on CPUs: for a GPU give",
        ),
        (
            pipeline({"name": "g", "generate": {"model": HUB}}),
            pipeline({"name": "g", "generate": {"model": HUB, **L4}}),
            "spec.apps[0].generate has no accelerator and runs on CPUs",
        ),
        (
            pipeline(hello(memory=16)),
            pipeline(hello(memory="64Mi")),
            "spec.apps[0].hello.resources.memory is 16, which is in bytes: write a unit, like 16Gi.",
        ),
        (
            pipeline(openai(model(engine={"extra": {"max-num-seqs": 64, "maxNumSeqs": 64}}))),
            pipeline(openai(model(engine={"extra": {"max_num_seqs": 64, "a" * 50 + "-" + "b" * 50: 1}}))),
            "engine.extra.max-num-seqs (and 1 more): vLLM's names are in snake case here: write max_num_seqs.",
        ),
        (
            pipeline(openai(model(engine={"extra": {"maxNumSeqs": 64}}))),
            pipeline(openai(model(engine={"extra": {}}))),
            "engine.extra.maxNumSeqs: vLLM's names are in snake case here: write max_num_seqs.",
        ),
        (
            pipeline(prompt("Question: {request.text}")),
            pipeline(prompt('Answer with JSON like {"a": 1}: {{ request.text }}')),
            "nodes[0].generate.prompt has {request.text}, which the model gets as it stands: write {{request.text}}.",
        ),
        (
            pipeline(said("Use {found}")),
            pipeline(said("Use {{ request.text }}")),
            "generate.messages[0].content has {found}, which the model gets as it stands: write {{found}}.",
        ),
        (
            pipeline(openai(model(), name="a"), openai(model("n"), name="b"), split("a", "b")),
            pipeline(openai(model(), name="a"), openai(model(), name="b"), split("a", "b")),
            "The apps of spec.apps[2].trafficSplit have models of different names",
        ),
        (
            pipeline(ray=environment("HF_TOKEN", value="secret")),
            pipeline(ray=environment("HF_TOKEN", **SECRET)),
            "HF_TOKEN is in plain text for all who may read this pipeline",
        ),
        (
            pipeline(custom(runtimeEnv={"env_vars": {"HF_TOKEN": "secret"}})),
            pipeline(custom(runtimeEnv={"env_vars": {"HF_HOME": "/a"}})),
            "HF_TOKEN is in plain text",
        ),
        (
            pipeline(custom(runtimeEnv={"envVars": {}})),
            pipeline(custom(runtimeEnv={"env_vars": {}})),
            "custom.runtimeEnv.envVars: Ray's names are in snake case here: write env_vars.",
        ),
        (
            pipeline(custom(importPath="steps.py:enrich")),
            pipeline(custom(importPath="steps.pyx:enrich")),
            "custom.importPath names a file, and Python imports modules: write steps:enrich.",
        ),
        (
            pipeline(network=policy()),
            pipeline(network=policy(egress="Closed")),
            "network.policy.egressTo has no effect while network.policy.egress is Open",
        ),
        (
            pipeline(openai(model()), network={"policy": {"egress": "Closed"}}),
            pipeline(openai(model()), network=policy(egress="Closed")),
            "models[0].source cannot be downloaded: network.policy.egress is Closed.",
        ),
        (
            pipeline(openai(model()), network={"policy": {"egress": "Closed"}}),
            pipeline(
                openai(model()),
                network={"policy": {"egress": "Closed"}},
                ray={"env": [{"name": "HF_HUB_OFFLINE", "value": "1"}]},
            ),
            "If it is cached, set HF_HUB_OFFLINE.",
        ),
        (
            pipeline(head=containers("ray")),
            pipeline(head=containers("ray-head")),
            "spec.head.podTemplate adds a container ray without an image: Ray's container is ray-head here.",
        ),
        (
            pipeline(workerDefaults=containers("ray-head")),
            pipeline(workerDefaults=containers("ray", image="busybox")),
            "spec.workerDefaults.podTemplate adds a container ray-head without an image",
        ),
    ],
)
def test_a_slip(wrong: Document, right: Document, said: str) -> None:
    (note,) = desired_of(wrong).plan.notes
    assert said in note
    assert not desired_of(right).plan.notes


@pytest.mark.parametrize("name", sorted(file.stem for file in repository.SAMPLES.glob("*.yaml")))
def test_the_samples_have_none(name: str) -> None:
    notes = desired_of(sample(name)).plan.notes
    # It has groups of fixed size, which an update cannot outgrow.
    assert not [note for note in notes if name != "mixed-gpus" or "no room for one more replica" not in note]


@pytest.mark.parametrize(
    ("image", "is_named_so"),
    [
        ("x", True),
        ("a/b:1", True),
        ("registry.example:5000/Ray", False),
        ("registry.example:5000/ray_a/b--c:2.60.0-gpu", True),
        ("MyRegistry.io/a", True),
        ("localhost/a:1", True),
        ("[::1]:5000/a", True),
        ("a:b@sha256:" + "0" * 64, True),
        ("a@sha256:0", False),
        ("my image", False),
        ("REGISTRY/llmpipeline/serve:2.60.0-gpu", False),
        ("${REGISTRY}/x", False),
        ("$(R)/x", False),
        ("{{ .Values.image }}", False),
        ("a//b", False),
        ("a:", False),
        ("/a", False),
        ("a\n", False),
        ("a" * 400 + "!", False),
    ],
)
def test_the_name_of_an_image(image: str, is_named_so: bool) -> None:
    found = says(pipeline(ray={"image": image}))
    assert not found if is_named_so else f"spec.ray.image: no image can be named {image!r}; replace" in found[0]
