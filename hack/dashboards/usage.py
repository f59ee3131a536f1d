"""The dashboard of usage: what each team, pipeline and app took in the time that is shown."""

from typing import Final

from dashboards.board import Board, Section, Variable, table
from llmpipeline.monitoring import usage
from llmpipeline.monitoring.queries import Scope

_SCOPE: Final = Scope('namespace=~"$namespace"')
_RANGE: Final = "$__range"

BOARD: Final = Board(
    "usage",
    "llmpipeline / usage",
    "Requests, tokens and GPU hours in the time that is shown, to divide costs among teams.",
    (
        Section(
            "In the time that is shown",
            (
                table(
                    "GPU hours by pipeline",
                    usage.gpu_hours(_SCOPE, _RANGE),
                    "GPUs that the Ray Pods held, used or not.",
                ),
                table("Requests by app", usage.requests(_SCOPE, _RANGE), "HTTP requests, whatever their answer."),
                table(
                    "Tokens by app",
                    usage.tokens(_SCOPE, _RANGE),
                    "Of prompts (in) and generated (out), as the engine counts them: those of aborted requests too.",
                    width=24,
                ),
            ),
        ),
    ),
    (Variable("namespace", "ray_serve_deployment_replica_healthy", several=True),),
)
