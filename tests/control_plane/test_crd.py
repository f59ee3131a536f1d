"""The CRD on a real API server: every rule accepts and refuses."""

import pytest

from support.control_plane import Admin, ApiError
from support.wrong_specs.cluster import CLUSTER_CASES
from support.wrong_specs.specs import CASES, Case, sample

API, PLURAL = "serving.llmpipeline.dev/v1alpha1", "llmpipelines"


def test_the_sample_is_accepted(admin: Admin, namespace: str) -> None:
    document = sample()
    document["metadata"]["namespace"] = namespace
    stored = admin.create(API, PLURAL, document)
    assert stored["spec"]["ray"]["authentication"] == "Token"


@pytest.mark.parametrize("case", [*CASES, *CLUSTER_CASES], ids=lambda case: case.name)
def test_accepted_when_right_and_refused_when_wrong(case: Case, admin: Admin, namespace: str) -> None:
    right, wrong = sample(), sample()
    case.right(right)
    case.wrong(wrong)
    for document in (right, wrong):
        document["metadata"]["namespace"] = namespace
    with pytest.raises(ApiError) as refused:
        admin.create(API, PLURAL, wrong)
    assert refused.value.status in (400, 422)
    assert case.server_says in str(refused.value)
    admin.create(API, PLURAL, right)


def test_explain_has_a_description_for_every_field(admin: Admin) -> None:
    crd = admin.get("apiextensions.k8s.io/v1", "customresourcedefinitions", None, f"{PLURAL}.{API.split('/')[0]}")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare: list[str] = []

    def walk(node: dict[str, object], where: str) -> None:
        for name, child in node.get("properties", {}).items():  # type: ignore[attr-defined]
            if not child.get("description"):
                bare.append(f"{where}.{name}")
            walk(child, f"{where}.{name}")
            walk(child.get("items", {}), f"{where}.{name}")

    walk({"properties": {"spec": schema["properties"]["spec"], "status": schema["properties"]["status"]}}, "")
    assert bare == []
