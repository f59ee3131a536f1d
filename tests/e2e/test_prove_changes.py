"""The short form of `make prove-changes`: one change of each kind on real KubeRay, under load, as predicted."""

import sys
from collections.abc import Iterator

import pytest

from support.e2e.installation import Images, Installation, note
from support.e2e.kubectl import Kube
from support.effects.rows import rows
from support.repository import HACK

sys.path.insert(0, str(HACK))

from prove_changes.drive import Driver, Settings
from prove_changes.rows import Abilities, Case, cases, short

NAMESPACE = "e2e-prove-changes"
CASES = short(cases(rows(), Abilities(), Images().serve, NAMESPACE)[0])


@pytest.fixture(scope="module")
def driver(kube: Kube, installation: Installation, images: Images, kuberay: str) -> Iterator[Driver]:
    if kuberay:
        pytest.skip(kuberay)
    driver = Driver(kube, Settings(NAMESPACE, images.serve))
    driver.prepare(Abilities())
    yield driver
    driver.remove()
    kube.delete("namespace", NAMESPACE, seconds=300)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_change_does_what_was_predicted(driver: Driver, case: Case) -> None:
    result = driver.run(case)
    assert "failed" not in result, result["failed"]
    note(
        f"{case.id}: {result['seen']['kind']}, {result['requests']} requests, {result['lost']} lost, "
        f"longest gap {result['gap']} s"
    )
    assert result["wrong"] == [], result
