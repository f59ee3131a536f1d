"""The dashboard of one pipeline: what its users feel, and whether there is enough of it."""

from typing import Final

from dashboards.board import APPS, CHOICE, IN_APPS, PIPELINE, WINDOW, Board, Section, lines
from llmpipeline.monitoring import objectives, queries
from llmpipeline.monitoring.alerts import ERROR_OBJECTIVE

_DEPLOYMENT: Final = "{{app}} {{deployment}}"

_REQUESTS: Final = Section(
    "Requests",
    (
        lines(
            "Requests",
            "reqps",
            "HTTP requests by app. What a traffic split passes on counts for its variant too.",
            (queries.requests(APPS, WINDOW), "{{app}}"),
        ),
        lines(
            "Failed requests",
            "percentunit",
            "Share of answers with a status of 500 or above. A stream that breaks off later is not among them.",
            (queries.error_ratio(APPS, WINDOW), "{{app}}"),
            (f"{ERROR_OBJECTIVE}{IN_APPS}", "{{app}} objective"),
        ),
        lines(
            "Answers by status",
            "reqps",
            "503: no replica, or too many requests wait. 504: the time limit of the app.",
            (queries.requests(APPS, WINDOW, "status_code"), "{{status_code}}"),
        ),
        lines(
            "Latency",
            "s",
            "Until the last byte of the answer. Of streams that is their whole length.",
            *(
                (queries.latency(number, APPS, WINDOW), f"{{{{app}}}} p{number * 100:g}")
                for number in (0.5, 0.95, 0.99)
            ),
            (f"{objectives.LATENCY_OBJECTIVE}{IN_APPS}", "{{app}} objective for p99"),
        ),
    ),
)
_LOAD: Final = Section(
    "Load",
    (
        lines(
            "Requests that wait",
            "short",
            "They wait for a replica that is free. The number per caller is bounded by maxQueuedRequests.",
            (queries.queued(APPS), _DEPLOYMENT),
        ),
        lines(
            "Requests in replicas",
            "short",
            "In-flight requests. autoscaling.targetOngoingRequests is per replica.",
            (f"sum by (app, deployment) (ray_serve_replica_processing_queries{IN_APPS})", _DEPLOYMENT),
        ),
        lines(
            "Time in a deployment",
            "s",
            "p95 of one call of a deployment, without the time in the queue. With direct streaming an openai model "
            "has calls of its own API alone.",
            (
                (
                    "histogram_quantile(0.95, sum by (app, deployment, le) (rate("
                    f"ray_serve_deployment_processing_latency_ms_bucket{IN_APPS}[{WINDOW}]))) / 1000"
                ),
                _DEPLOYMENT,
            ),
        ),
        lines(
            "Failed calls of deployments",
            "reqps",
            "Exceptions in the code of a deployment. Empty while there is none.",
            (
                f"sum by (app, deployment) (rate(ray_serve_deployment_error_counter_total{IN_APPS}[{WINDOW}]))",
                _DEPLOYMENT,
            ),
        ),
    ),
)
_REPLICAS: Final = Section(
    "Replicas",
    (
        lines(
            "Replicas asked and healthy",
            "short",
            "Asked above healthy for long: the Pods or their GPUs are not there, or replicas fail to start.",
            (queries.replicas_asked(APPS), f"{_DEPLOYMENT} asked"),
            (queries.replicas_healthy(APPS), f"{_DEPLOYMENT} healthy"),
        ),
        lines(
            "Why autoscaling decides so",
            "short",
            "All in-flight and waiting requests, divided by the target for one replica, is the number of replicas "
            "wanted. It is asked for after upscaleDelaySeconds or downscaleDelaySeconds. Empty without autoscaling.",
            (
                f"sum by (app, deployment) (ray_serve_autoscaling_total_requests{IN_APPS})",
                f"{_DEPLOYMENT} requests",
            ),
            (
                f"max by (app, deployment) (ray_serve_autoscaling_target_ongoing_requests{IN_APPS})",
                f"{_DEPLOYMENT} target for a replica",
            ),
            (
                f"max by (app, deployment) (ray_serve_autoscaling_desired_replicas{IN_APPS})",
                f"{_DEPLOYMENT} replicas wanted",
            ),
        ),
        lines(
            "Starts of replicas",
            "short",
            "In ten minutes, in Ray clusters that are older. Without a change or scaling they mean that replicas die.",
            (f"sum by (app, deployment) ({queries.replicas_started(APPS, '10m')})", _DEPLOYMENT),
        ),
        lines(
            "Time to start a replica",
            "s",
            "Mean. Most of it is the model: fetch brings its files to the node, load reads them.",
            (
                (
                    "sum by (app, deployment) (ray_serve_replica_initialization_latency_ms_sum"
                    f"{IN_APPS}) / sum by (app, deployment) (ray_serve_replica_initialization_latency_ms_count"
                    f"{IN_APPS}) / 1000"
                ),
                _DEPLOYMENT,
            ),
            (
                (
                    f"sum by (app, deployment, model, step) (ray_llmpipeline_model_load_seconds_sum{IN_APPS}) / "
                    f"sum by (app, deployment, model, step) (ray_llmpipeline_model_load_seconds_count{IN_APPS})"
                ),
                "{{app}} {{deployment}} {{step}} {{model}}",
            ),
        ),
    ),
)
_NODES: Final = Section(
    "Ray Pods",
    (
        lines(
            "GPUs",
            "short",
            "Held by the Ray Pods, and those of them that replicas have. Held without use costs money.",
            (queries.gpus(PIPELINE), "held"),
            (queries.gpus(PIPELINE, "USED"), "used"),
        ),
        lines(
            "Use of GPUs",
            "percent",
            "As the driver reports it. Empty without GPUs.",
            (
                f"avg by (GpuIndex, instance) (ray_node_gpus_utilization{{{PIPELINE.pipeline}}})",
                "{{instance}} GPU {{GpuIndex}}",
            ),
        ),
        lines(
            "Memory",
            "percentunit",
            "Of each Pod's limit. At 0.95 Ray kills workers.",
            (
                f"ray_node_mem_used{{{PIPELINE.pipeline}}} / ray_node_mem_total{{{PIPELINE.pipeline}}}",
                "{{instance}}",
            ),
        ),
        lines(
            "CPU",
            "percent",
            "Of each Pod.",
            (f"ray_node_cpu_utilization{{{PIPELINE.pipeline}}}", "{{instance}}"),
        ),
    ),
)

BOARD: Final = Board(
    "pipeline",
    "llmpipeline / pipeline",
    "Requests, latencies, queues and replicas of one pipeline.",
    (_REQUESTS, _LOAD, _REPLICAS, _NODES),
    CHOICE,
)
