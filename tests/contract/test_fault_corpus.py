"""The fault corpus is sound: what should reach the cluster does, and what the operator finds is found."""

import pytest

from llmpipeline import desired
from llmpipeline.conditions import Accepted, reasons
from llmpipeline.desired import Desired, Rejected
from support.e2e.corpus import Fault, corpus

CORPUS = corpus()
SPEC_REASONS = {Accepted.INVALID_SPEC.word, Accepted.DOES_NOT_FIT.word}


def test_there_are_enough() -> None:
    assert len(CORPUS) >= 40
    assert {fault.object for fault in CORPUS} >= {"spec", "head Pod", "worker Pod", "app", "Secret"}


@pytest.mark.parametrize("fault", CORPUS, ids=lambda fault: fault.name)
def test_it_reaches_who_should_find_it(fault: Fault) -> None:
    assert set(fault.reasons) <= {reason.word for reason in reasons()}
    document = fault.pipeline("ml", "registry.example/ray:1", changed=bool(fault.then))
    document["metadata"] |= {"uid": "u", "generation": 1}
    compiled = desired.compile(document)
    if SPEC_REASONS & set(fault.reasons):
        assert isinstance(compiled, Rejected)
        assert fault.cause.search(str(compiled.problems))
    else:
        assert isinstance(compiled, Desired), compiled
