"""Types of GPUs that a class adds or changes, from the class to the Pods, and types that nobody knows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from llmpipeline import desired
from llmpipeline.api.accelerator import BUILT_IN
from llmpipeline.classes import check
from llmpipeline.classes.choose import Classes
from llmpipeline.cli.main import main
from llmpipeline.cli.plan_classes import by_the_class
from llmpipeline.desired import Desired, Rejected
from llmpipeline.effect import effect_of
from llmpipeline.effect.reasons import reasons
from llmpipeline.plan.capacity.accelerators import TYPES
from support.pipelines import Document, class_of, model, openai, pipeline

LABEL = "nvidia.com/gpu.product"
B300: Document = {"name": "B300", "nodeLabels": {LABEL: ["NVIDIA-B300"]}}
AT = "spec.apps[0].openai.models[0].accelerator"


def chat(kind: str, **fields: Any) -> Document:
    accelerator = {"type": kind, **fields.pop("accelerator", {})}
    return openai(model("a", accelerator=accelerator, **fields))


def part(kind: str, gpus: Any = 1, **fields: Any) -> Document:
    wanted = {"gpus": gpus, "accelerator": {"type": kind}}
    return {"name": "part", "hello": {"resources": wanted, **fields}}


def compiled(document: Document, *types: Document, **more: Any) -> Desired | Rejected:
    return desired.compile(document, classes=Classes((class_of(gpuTypes=list(types)),) if types else (), **more))


def made(document: Document, *types: Document) -> Desired:
    found = compiled(document, *types)
    assert isinstance(found, Desired), [str(problem) for problem in found.problems]
    return found


def problems(document: Document, *types: Document, **more: Any) -> list[str]:
    found = compiled(document, *types, **more)
    assert isinstance(found, Rejected)
    return [str(problem) for problem in found.problems]


def groups(found: Desired) -> list[Document]:
    worker_groups: list[Document] = found.service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return worker_groups


def selected(group: Document) -> list[tuple[str, list[str]]]:
    """The labels of nodes of which any one with any of its values is enough."""
    affinity = group["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    expressions = [expression for term in terms for expression in term["matchExpressions"]]
    assert len(expressions) == len(terms)
    assert {expression["operator"] for expression in expressions} == {"In"}
    return [(expression["key"], expression["values"]) for expression in expressions]


def serve_config(found: Desired) -> Document:
    config: Document = yaml.safe_load(found.service["spec"]["serveConfigV2"])
    return config


def test_the_built_in_types_are_the_same_everywhere() -> None:
    assert tuple(TYPES) == BUILT_IN


# From the class to the Pods


def test_a_type_of_the_class_reaches_the_pods() -> None:
    labels = {"b.example/gpu": ["b300", "b300-sxm"], "a.example/gpu": ["b300"]}
    given = {"name": "B300", "resource": "example.com/gpu", "nodeLabels": labels}
    found = made(pipeline(chat("B300", tensorParallelSize=4)), given)
    (group,) = groups(found)
    assert group["groupName"] == "b300-x4"
    assert selected(group) == [("a.example/gpu", ["b300"]), ("b.example/gpu", ["b300", "b300-sxm"])]
    pod = group["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["example.com/gpu"] == "4"
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    tolerated = {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert tolerated in pod["tolerations"]
    assert json.loads(group["rayStartParams"]["resources"].strip("'")) == {"accelerator_type:B300": 1}
    assert found.plan.gpus.minimum == 4


def test_the_order_of_the_labels_does_not_matter() -> None:
    """The API server gives back the fields of an object in an order of its own."""
    one = {"name": "B300", "nodeLabels": {"a/b": ["1"], "c/d": ["2"]}}
    other = {"name": "B300", "nodeLabels": {"c/d": ["2"], "a/b": ["1"]}}
    document = pipeline(chat("B300"))
    assert made(document, one).service["spec"] == made(document, other).service["spec"]
    assert str(made(document, one).service["spec"]) == str(made(document, other).service["spec"])


@pytest.mark.parametrize(
    "app",
    [
        part("B300"),
        {"name": "a", "generate": {"model": {"path": "/m"}, "accelerator": {"type": "B300"}}},
        {
            "name": "a",
            "graph": {
                "nodes": [
                    {
                        "name": "a",
                        "generate": {
                            "model": {"path": "/m"},
                            "accelerator": {"type": "B300"},
                            "prompt": "{{ request.text }}",
                        },
                    }
                ]
            },
        },
        {"name": "a", "custom": {"importPath": "a:b", "deployments": [{"name": "B", **part("B300")["hello"]}]}},
    ],
)
def test_wherever_a_type_may_be_named(app: Document) -> None:
    (group,) = groups(made(pipeline(app), {**B300, "rayName": "NVIDIA-B300"}))
    assert selected(group) == [(LABEL, ["NVIDIA-B300"])]
    found = made(pipeline(app), {**B300, "rayName": "NVIDIA-B300"})
    assert "'accelerator_type': 'NVIDIA-B300'" in str(serve_config(found)["applications"])


def test_a_type_of_the_class_in_a_worker_group() -> None:
    workers = [{"name": "b", "maxReplicas": 1, "accelerator": {"type": "B300", "count": 2}}]
    (group,) = groups(made(pipeline(chat("B300", tensorParallelSize=2), workers=workers), B300))
    assert selected(group) == [(LABEL, ["NVIDIA-B300"])]
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_parts_of_a_type_of_the_class_share_a_pod() -> None:
    (group,) = groups(made(pipeline(part("B300", "500m", replicas=4)), B300))
    assert (group["groupName"], group["minReplicas"]) == ("b300-x1", 2)


def test_a_slice_of_a_type_of_the_class() -> None:
    document = pipeline(chat("B300", accelerator={"partition": "1g.36gb"}))
    (group,) = groups(made(document, B300))
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.36gb"] == "1"
    amd = {"name": "INSTINCT", "resource": "amd.com/gpu", "nodeLabels": {"a/b": ["c"]}}
    document = pipeline(chat("INSTINCT", accelerator={"partition": "1g.36gb"}))
    assert problems(document, amd) == [f"{AT}.partition: partition is for NVIDIA GPUs; INSTINCT is amd.com/gpu"]


@pytest.mark.parametrize(("most", "strategy"), [(None, "STRICT_PACK"), (4, "PACK"), (16, "STRICT_PACK")])
def test_how_many_a_node_has(most: int | None, strategy: str) -> None:
    given = B300 | ({"maxPerNode": most} if most else {})
    found = made(pipeline(chat("B300", tensorParallelSize=4, pipelineParallelSize=2)), given)
    (config,) = serve_config(found)["applications"][0]["args"]["llm_configs"]
    assert config["placement_group_config"]["strategy"] == strategy


def test_more_than_a_node_has() -> None:
    document = pipeline(chat("B300", tensorParallelSize=8, placement="StrictPack"))
    made(document, B300)
    (problem,) = problems(document, {**B300, "maxPerNode": 4})
    assert "one replica needs 8 B300 GPUs on one node" in problem


def test_bundles_name_a_type_as_ray_does_and_an_engine_gets_none() -> None:
    """Ray Serve LLM rejects a name that is not in its list (tests/apps/test_engine_arguments.py)."""
    given = {**B300, "name": "X9000", "rayName": "Nobody-X9000"}
    (config,) = serve_config(made(pipeline(chat("X9000")), given))["applications"][0]["args"]["llm_configs"]
    assert config["placement_group_config"]["bundles"] == [{"GPU": 1, "accelerator_type:Nobody-X9000": 0.001}]
    assert "accelerator_type" not in config


def test_a_class_changes_a_built_in_type() -> None:
    plain = pipeline(chat("L4"), part("MI300X"))
    of_l4, of_amd = groups(made(plain, {"name": "L4", "nodeLabels": {"example.com/gpu": ["l4"]}}))
    assert selected(of_l4) == [("example.com/gpu", ["l4"])]
    assert selected(of_amd) == [("amd.com/gpu.product-name", ["AMD_Instinct_MI300X_OAM"])]
    of_l4, of_amd = groups(made(plain, {"name": "MI300X", "nodeLabels": {"a/b": ["c"]}}))
    assert selected(of_amd) == [("a/b", ["c"])]
    assert of_amd["template"]["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"
    # What the class says nothing of is as it was.
    assert of_l4 == groups(made(plain))[0]
    (config,) = serve_config(made(plain, {"name": "L4", "maxPerNode": 2}))["applications"][0]["args"]["llm_configs"]
    assert config["accelerator_type"] == "L4"


def test_labels_of_tpus_can_be_changed() -> None:
    document = pipeline(chat("TPU-V6E", accelerator={"topology": "2x4"}, tensorParallelSize=8))
    (group,) = groups(made(document, {"name": "TPU-V6E", "nodeLabels": {"example.com/tpu": ["v6e"]}}))
    affinity = group["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(it["key"], it["values"]) for it in term["matchExpressions"]] == [
        ("example.com/tpu", ["v6e"]),
        ("cloud.google.com/gke-tpu-topology", ["2x4"]),
    ]


def test_a_class_without_types_changes_nothing() -> None:
    document = pipeline(chat("L4"))
    unused = made(document, B300).service["spec"]["rayClusterConfig"]
    assert unused == made(document).service["spec"]["rayClusterConfig"]


@pytest.mark.parametrize(("memory", "fits"), [(None, True), (288, True), (100, False)])
def test_weights_against_the_memory_of_the_class(memory: int | None, fits: bool) -> None:
    given = B300 | ({"memoryGigabytes": memory} if memory else {})
    found = made(pipeline(chat("B300", source={"uri": "hf://meta-llama/Llama-3.3-70B-Instruct"})), given)
    said = [note for note in found.plan.notes if "cannot fit" in note]
    assert (said == []) == fits
    assert fits or "1 B300 has 100 GB" in said[0]


def test_memory_of_a_built_in_type_can_be_changed() -> None:
    """A100 has 80 GB, but in this cluster all have 40."""
    document = pipeline(chat("A100", source={"uri": "hf://a/b-30B"}))
    assert not [note for note in made(document).plan.notes if "cannot fit" in note]
    assert [note for note in made(document, {"name": "A100", "memoryGigabytes": 40}).plan.notes if "cannot fit" in note]


@pytest.mark.parametrize(
    "change", [{"nodeLabels": {"x/y": ["b300"]}}, {"rayName": "Of-Ray"}, {"resource": "example.com/gpu"}]
)
@pytest.mark.parametrize("workers", [[], [{"name": "b", "maxReplicas": 1, "accelerator": {"type": "B300"}}]])
def test_a_plan_of_the_class_names_its_types(change: Document, workers: list[Document]) -> None:
    document = pipeline(chat("B300"), **({"workers": workers} if workers else {}))
    before, after = made(document, B300), made(document, B300 | change)
    assert effect_of(before.service, after.service).kind == "NewCluster"
    found = reasons(before.service, after.service, is_derived=not workers)
    assert [reason.field for reason in by_the_class(found)] == ["gpuTypes"]


# Types that nobody knows


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("NVIDIA-L4", "L4"), ("A100-80GB", "A100"), ("MI300", "MI300X"), ("TPU-V6", "TPU-V6E"), ("A10", "A10G")],
)
def test_an_unknown_type_that_is_like_a_known_one(kind: str, meant: str) -> None:
    fields = {"accelerator": {"topology": "1x1"}} if kind.startswith("TPU") else {}
    (problem,) = problems(pipeline(chat(kind, **fields)))
    assert problem.startswith(f"{AT}.type: there is no GPU type {kind}; did you mean {meant}? The known types are T4,")


@pytest.mark.parametrize("kind", ["B300", "L5", "RTX4090", "H20"])
def test_another_gpu_is_no_misspelled_one(kind: str) -> None:
    (problem,) = problems(pipeline(chat(kind)))
    assert problem == (
        f"{AT}.type: there is no GPU type {kind}; the known types are {', '.join(BUILT_IN)}; "
        "an administrator can add it to spec.gpuTypes of a class"
    )


def test_the_class_that_may_get_it_is_named() -> None:
    (problem,) = problems(pipeline(chat("B301")), B300)
    assert "TPU-V6E, B300; an administrator can add it to spec.gpuTypes of class usual" in problem


def test_every_place_is_named() -> None:
    workers = [{"name": "b", "maxReplicas": 1, "accelerator": {"type": "B300"}}]
    said = problems(pipeline(chat("B300"), part("B300"), workers=workers))
    assert [problem.partition(":")[0] for problem in said] == [
        f"{AT}.type",
        "spec.apps[1].hello.resources.accelerator.type",
        "spec.workers[0].accelerator.type",
    ]


def test_offline_another_class_may_have_it() -> None:
    (problem,) = problems(pipeline(chat("B300")), is_partial=True)
    assert problem.endswith("if spec.gpuTypes of a class has it, name the file of that class with --class")
    (problem,) = problems(pipeline(chat("B300"), className="fast"), B300, is_partial=True)
    assert problem.endswith("name the file of that class with --class")


def test_without_the_right_to_read_classes() -> None:
    (problem,) = problems(pipeline(chat("B300")), unread="forbidden")
    assert "ask an administrator for the right to read classes" in problem


def test_two_types_that_are_one_to_ray() -> None:
    given = {"name": "L4-24GB", "nodeLabels": {"a/b": ["c"]}, "rayName": "L4"}
    made(pipeline(chat("L4-24GB")), given)
    (problem,) = problems(pipeline(chat("L4-24GB"), part("L4")), given)
    assert "Ray cannot distinguish L4 from L4-24GB: it knows both as L4" in problem


def test_the_command_line_names_the_class(tmp_path: Path) -> None:
    file, of_class = tmp_path / "pipeline.yaml", tmp_path / "class.yaml"
    file.write_text(yaml.safe_dump(pipeline(chat("B300"))))
    of_class.write_text(yaml.safe_dump(class_of(gpuTypes=[B300])))
    without = CliRunner().invoke(main, ["validate", str(file)])
    assert without.exit_code == 1
    assert "name the file of that class with --class" in without.output
    assert CliRunner().invoke(main, ["validate", str(file), str(of_class)]).exit_code == 0
    rendered = CliRunner().invoke(main, ["render", str(file), "--class", str(of_class)])
    assert "accelerator_type:B300" in rendered.output


# A class by itself

LABELS: Document = {"nodeLabels": {"a/b": ["c"]}}
WRONG: list[tuple[Document, str]] = [
    ({"name": "B300"}, "spec.gpuTypes[0].nodeLabels: give nodeLabels"),
    ({"name": "B300", "nodeLabels": {}}, "spec.gpuTypes[0].nodeLabels: give nodeLabels"),
    ({"name": "B300", "nodeLabels": {"a/b": []}}, "spec.gpuTypes[0].nodeLabels.a/b: is empty"),
    ({"name": "B300", "nodeLabels": {"a/b": "c"}}, "spec.gpuTypes[0].nodeLabels.a/b: must be a list"),
    ({"name": "B300", "nodeLabels": {"a/b": ["c d"]}}, "spec.gpuTypes[0].nodeLabels.a/b[0]: "),
    ({"name": "B300", "nodeLabels": {"a b": ["c"]}}, "spec.gpuTypes[0].nodeLabels.a b: 'a b' cannot be a key"),
    ({"name": "b300", **LABELS}, "spec.gpuTypes[0].name: "),
    ({"name": "B300'\"", **LABELS}, "spec.gpuTypes[0].name: "),
    ({"name": "GPU", **LABELS}, "spec.gpuTypes[0].name: this would be the name of another worker group"),
    ({"name": "H100-1G-10GB", **LABELS}, "spec.gpuTypes[0].name: this would be the name of another worker group"),
    ({"name": "TPU-V7", **LABELS}, "spec.gpuTypes[0].name: of TPUs a class can change the nodeLabels of TPU-V5E"),
    ({"name": "TPU-V6E", "maxPerNode": 4, **LABELS}, "spec.gpuTypes[0].name: of TPUs a class can change"),
    ({"name": "B300", "resource": "example.com/card", **LABELS}, "KubeRay counts those that end in gpu"),
    ({"name": "B300", "rayName": "a'b", **LABELS}, "spec.gpuTypes[0].rayName: "),
    ({"name": "B300", "maxPerNode": 0, **LABELS}, "spec.gpuTypes[0].maxPerNode: "),
    ({"name": "B300", "memoryGigabytes": 0, **LABELS}, "spec.gpuTypes[0].memoryGigabytes: "),
    ({"name": "B300", "memory": 288, **LABELS}, "spec.gpuTypes[0].memory: unknown field; known here: name, resource"),
]


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_a_wrong_type_of_a_class(given: Document, says: str) -> None:
    (problem,) = check.problems(class_of(gpuTypes=[given]))
    assert says in str(problem)
    # And no pipeline runs with such a class.
    (said,) = problems(pipeline(chat("L4")), given)
    assert said.startswith("spec.className: LLMPipelineClass usual is invalid")


def test_two_types_of_one_name() -> None:
    (problem,) = check.problems(class_of(gpuTypes=[B300, B300]))
    assert str(problem).startswith("spec.gpuTypes[1].name: duplicate name")


def test_no_pipeline_can_bring_a_type_of_its_own() -> None:
    document = pipeline(chat("B300", accelerator={"_given": B300}))
    (problem,) = problems(document)
    assert problem.startswith(f"{AT}._given: unknown field")
