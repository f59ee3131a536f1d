"""How Prometheus scrapes Ray Pods, and which labels that gives.

One source for the PodMonitor and for the configuration of a plain Prometheus.
"""

from typing import Any, Final

from llmpipeline import names
from llmpipeline.kuberay.conventions import LABEL_CLUSTER, METRICS_PORT_NAME

# From labels of a Pod to labels of its series. Ray's own dashboards tell clusters apart by `ray_io_cluster`.
TARGET_LABELS: Final = {
    names.LABEL_PIPELINE: "pipeline",
    LABEL_CLUSTER: "ray_io_cluster",
    "ray.io/node-type": "ray_node_type",
}
# From labels of Ray Serve and vLLM to ours; the sources stay, because Ray's own dashboards use them.
SERIES_LABELS: Final = {"application": "app", "ReplicaId": "replica"}


def target_relabelings() -> list[dict[str, Any]]:
    """What names the pipeline of a target, in the words of Prometheus' own configuration."""
    return [
        {"source_labels": [f"__meta_kubernetes_pod_label_{_as_label(pod_label)}"], "target_label": label}
        for pod_label, label in TARGET_LABELS.items()
    ]


def series_relabelings() -> list[dict[str, Any]]:
    """What names the app of a series, in the words of Prometheus' own configuration."""
    return [
        {"source_labels": [source], "regex": "(.+)", "target_label": label} for source, label in SERIES_LABELS.items()
    ]


def scrape_config() -> dict[str, Any]:
    """The job of a plain Prometheus in the cluster for all Ray Pods of pipelines."""
    pod = "__meta_kubernetes_pod"
    return {
        "job_name": "llmpipeline-ray",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {"source_labels": [f"{pod}_label_{_as_label(names.LABEL_PIPELINE)}"], "regex": ".+", "action": "keep"},
            {
                "source_labels": [f"{pod}_container_port_name"],
                "regex": METRICS_PORT_NAME,
                "action": "keep",
            },
            {"source_labels": [f"{pod}_phase"], "regex": "Succeeded|Failed", "action": "drop"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{pod}_name"], "target_label": "pod"},
            *target_relabelings(),
        ],
        "metric_relabel_configs": series_relabelings(),
    }


def operator_scrape_config(namespace: str) -> dict[str, Any]:
    """The job of a plain Prometheus in the cluster for the operator's replicas.

    Args:
        namespace: Where the operator is installed.
    """
    pod = "__meta_kubernetes_pod"
    return {
        "job_name": "llmpipeline-operator",
        # The metrics of a pipeline have its own namespace.
        "honor_labels": True,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
        "relabel_configs": [
            {
                "source_labels": [f"{pod}_label_app_kubernetes_io_name"],
                "regex": "llmpipeline-operator",
                "action": "keep",
            },
            {"source_labels": [f"{pod}_container_port_name"], "regex": "health", "action": "keep"},
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": [f"{pod}_name"], "target_label": "pod"},
        ],
    }


def _as_label(name: str) -> str:
    """A label of Kubernetes as Prometheus' discovery writes it."""
    return "".join(char if char.isalnum() else "_" for char in name)
