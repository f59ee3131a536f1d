"""All that a status is judged by, and how a chain of verdicts is read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from llmpipeline.api.status import LastEdit
from llmpipeline.conditions import Verdict
from llmpipeline.desired import Desired, Rejected
from llmpipeline.kuberay.service import Observed


@dataclass(frozen=True, slots=True)
class Situation:
    """One pipeline at one moment.

    Attributes:
        desired: What the spec asks for, or why it cannot work.
        applied: How applying that went.
        observed: The RayService as it is; None if there is none.
        last_edit: What the change of the spec did that was just applied; None if there was none.
        now: The time, as RFC 3339.
        was_settled: The status has said of this generation that nothing is in progress.
    """

    desired: Desired | Rejected
    applied: Verdict
    observed: Observed | None = None
    last_edit: LastEdit | None = None
    now: str = ""
    was_settled: bool = False

    @property
    def routes(self) -> dict[str, str]:
        """The route of every app, by name: those of the spec or, if it cannot work, those that run."""
        if isinstance(self.desired, Desired):
            return {app.name: app.route for app in self.desired.pipeline.spec.apps}
        return self.observed.routes if self.observed else {}

    @property
    def asks_to_suspend(self) -> bool:
        """Whether the spec asks that nothing runs."""
        return isinstance(self.desired, Desired) and self.desired.pipeline.spec.suspend


# One thing that a condition may say; None if it is not so.
Check = Callable[[Situation], Verdict | None]
# In order of precedence; the last always says something.
Chain = tuple[Check, ...]


def first(chain: Chain, situation: Situation) -> Verdict:
    """The verdict of the first check that has one."""
    return next(verdict for check in chain if (verdict := check(situation)))


def of_service(check: Callable[[Situation, Observed], Verdict | None]) -> Check:
    """A check that is only made if there is a RayService."""

    @wraps(check)
    def made(situation: Situation) -> Verdict | None:
        return check(situation, situation.observed) if situation.observed else None

    return made
