"""The retrieval step of the sample, with a model that is a plain function; on real Ray: tests/apps/test_rag.py."""

import asyncio
import importlib.util
from typing import Any

import pytest

from llmpipeline_serve.contract.graph import CustomSettings
from llmpipeline_serve.graph.step import PythonStep
from support.pipelines import desired_of, sample
from support.repository import DOCS, SAMPLES

FILE = SAMPLES / "rag_search.py"


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The step, and a list of what was embedded."""
    spec = importlib.util.spec_from_file_location("rag_search", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    embedded: list[str] = []

    class Embedder:
        def __init__(self, name: str) -> None:
            assert name == "question"

        async def remote(self, text: str) -> dict[str, Any]:
            embedded.append(text)
            return {"embedding": [float("parcel" in text), float("refund" in text)]}

    monkeypatch.setattr(module.serve, "get_deployment_handle", Embedder)
    return module.Search(), embedded


def test_the_closest_come_first_and_each_is_embedded_once(search: Any) -> None:
    step, embedded = search
    documents = ["a parcel", "a refund", "a gift"]
    for _ in range(2):
        found = asyncio.run(step([0.0, 1.0], documents=documents, embedder="question", limit=1))
        assert found == {"passages": ["a refund"]}
    assert embedded == documents


def test_the_arguments_of_the_sample_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLES))
    (app,) = desired_of(sample("rag")).plan.applications
    (settings,) = [it["user_config"] for it in app.deployments if it["name"] == "search"]
    PythonStep("rag_search:Search").configure(CustomSettings.model_validate(settings))


def test_the_page_has_the_code() -> None:
    assert FILE.read_text() in (DOCS / "how-to" / "rag.md").read_text()
