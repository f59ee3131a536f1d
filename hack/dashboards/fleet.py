"""The dashboard of all pipelines, from the operator's metrics: what a platform team looks at first."""

from typing import Final

from dashboards.board import Board, Section, Variable, lines, number, table

_ALL: Final = '{namespace=~"$namespace"}'


def _count(condition: str, truth: int) -> str:
    """How many pipelines have the condition so; 0 and not nothing if there is none."""
    return f"(count(max by (namespace, pipeline) (llmpipeline_{condition}{_ALL}) == {truth}) or vector(0))"


_NOW: Final = Section(
    "Now",
    (
        number("Pipelines", f"count(group by (namespace, pipeline) (llmpipeline_accepted{_ALL})) or vector(0)"),
        number("Ready", _count("ready", 1), "Requests are answered as the spec asks now."),
        number("Not available", _count("available", 0), "Nobody answers, or nobody knows whether somebody does."),
        number("Changing", _count("reconciling", 1), "Something is still moving."),
        number("Stalled", _count("stalled", 1), "They wait for a person."),
        number("Rejected", _count("accepted", 0), "Their spec cannot work; what ran before goes on."),
        table(
            "Pipelines that are not ready, and why",
            f"max by (namespace, pipeline, reason) (llmpipeline_ready{_ALL}) == 0",
            "llmpipeline status NAME -n NAMESPACE says more. Each reason is explained in docs/how-to/troubleshoot.md.",
        ),
        lines(
            "Problems by reason",
            "short",
            "Pipelines that are not ready, by the reason of the condition that matters most.",
            (f"count by (reason) (max by (namespace, pipeline, reason) (llmpipeline_ready{_ALL}) == 0)", "{{reason}}"),
        ),
    ),
)
_HELD: Final = 'sum by (namespace) (ray_resources{namespace=~"$namespace", Name="GPU"})'
_GPUS: Final = Section(
    "GPUs",
    (
        lines(
            "GPUs asked and held",
            "short",
            "Requested: every deployment at its minimum of replicas. Maximum: every worker group at its maximum. Held: "
            "what the Ray Pods have, which needs their metrics.",
            (f"sum(max by (namespace, pipeline) (llmpipeline_gpus_requested{_ALL}))", "requested"),
            (f"sum(max by (namespace, pipeline) (llmpipeline_gpus_maximum{_ALL}))", "maximum"),
            (f"sum({_HELD})", "held"),
        ),
        lines("GPUs held by namespace", "short", "Empty without metrics of Ray Pods.", (_HELD, "{{namespace}}")),
        lines(
            "GPUs requested by pipeline",
            "short",
            "The ten that ask for most.",
            (
                f"topk(10, max by (namespace, pipeline) (llmpipeline_gpus_requested{_ALL}) > 0)",
                "{{namespace}}/{{pipeline}}",
            ),
        ),
        lines(
            "Requests by pipeline",
            "reqps",
            "The ten with most. What a traffic split passes on counts twice.",
            (
                (
                    "topk(10, sum by (namespace, pipeline) (rate(ray_serve_num_http_requests_total"
                    '{namespace=~"$namespace", app!=""}[$__rate_interval])))'
                ),
                "{{namespace}}/{{pipeline}}",
            ),
        ),
    ),
)

BOARD: Final = Board(
    "fleet",
    "llmpipeline / fleet",
    "All pipelines: which are ready, why others are not, and the GPUs that they ask for and hold.",
    (_NOW, _GPUS),
    (Variable("namespace", "llmpipeline_accepted", several=True),),
)
