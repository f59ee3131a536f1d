"""Whether the spec is valid and its plan fits."""

from llmpipeline.conditions import Accepted, Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.problems import summarize
from llmpipeline.status.situation import Chain, Situation


def rejected(situation: Situation) -> Verdict | None:
    """The first problem gives the reason, and the message has several."""
    if not isinstance(situation.desired, Rejected):
        return None
    problems = situation.desired.problems
    return Verdict(problems[0].reason, summarize(problems))


def valid(situation: Situation) -> Verdict:
    """With what may surprise all the same."""
    notes = situation.desired.plan.notes if isinstance(situation.desired, Desired) else ()
    return Verdict(Accepted.VALID, " ".join(("The spec is valid.", *notes)))


ACCEPTED: Chain = (rejected, valid)
