"""What KubeRay would reject, or what would quietly not work: said when the resource is checked, each with its field."""

from typing import Any

import pytest

from llmpipeline.names import LABEL_PIPELINE
from support.pipelines import desired_of, pipeline, plan_of, says

NODE = {"name": "n", "http": {"url": "http://a"}}
ROCKSDB = {"faultTolerance": {"rocksdb": {"size": "1Gi"}}}


def problems(**spec: Any) -> list[str]:
    return says(pipeline(*spec.pop("apps", ()), **spec))


def head(spec: Any, **more: Any) -> dict[str, Any]:
    return {"head": {"podTemplate": {"spec": spec}, **more}}


def ray_head(**fields: Any) -> dict[str, Any]:
    return head({"containers": [{"name": "ray-head", **fields}]}, **ROCKSDB)


def custom(**environment: Any) -> dict[str, Any]:
    return {"apps": [{"name": "a", "custom": {"importPath": "a:b", "runtimeEnv": environment}}]}


def variable(name: str) -> dict[str, Any]:
    return {"ray": {"env": [{"name": name, "value": "1"}]}}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (variable("RAY_REDIS_ADDRESS"), "env[0].name: RAY_REDIS_ADDRESS is not for users"),
        (variable("RAY_gcs_storage"), "use head.faultTolerance.rocksdb"),
        (variable("RAY_gcs_storage_path"), "use head.faultTolerance.rocksdb"),
        ({"head": {"cpusForReplicas": 3}}, "head.cpusForReplicas: the head has 2 CPUs, fewer than 3"),
        (head({"restartPolicy": "Always"}), "podTemplate.spec.restartPolicy: Ray's autoscaler needs"),
        (
            head({"terminationGracePeriodSeconds": 600}),
            "podTemplate.spec.terminationGracePeriodSeconds: the grace period must be longer than Ray's drain",
        ),
        (variable("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"), "use spec.drainSeconds"),
        (
            {"apps": [{"name": "a", "hello": {"gracefulShutdown": {"timeoutSeconds": 121}}}]},
            "hello.gracefulShutdown.timeoutSeconds: is above spec.drainSeconds, which is 120",
        ),
        (head({"$patch": "replace"}), "podTemplate.spec.$patch: spec cannot be replaced"),
        ({"head": {"podTemplate": {"metadata": {"$patch": "delete"}}}}, "metadata cannot be replaced or deleted"),
        ({"head": {"podTemplate": {"metadata": {"labels": None}}}}, "metadata.labels: the operator selects Pods by"),
        ({"head": {"podTemplate": {"metadata": {"labels": {LABEL_PIPELINE: "b"}}}}}, "the operator selects Pods by"),
        ({"head": {"podTemplate": {"$patch": "replace"}}}, "podTemplate.$patch: a Pod template has only metadata"),
        ({"head": {"podTemplate": {"spec": None}}}, "podTemplate.spec: must be an object"),
        (head({"containers": None}), "podTemplate.spec.containers: must be a list of objects"),
        (head({"containers": [{"image": "x"}]}), "containers[0]: a container needs a name"),
        (head({"containers": [{"$patch": "replace"}]}), "containers[0].$patch: it would replace the Ray container too"),
        (head({"containers": [{"name": "a", "$patch": "replace"}]}), "it would replace the Ray container too"),
        (ray_head(**{"$patch": "delete"}), "the Ray container cannot be replaced or deleted"),
        (ray_head(image="x"), "containers[0].image: image of the Ray container has a field; use ray.image"),
        (ray_head(env=[{"name": "REDIS_PASSWORD"}]), "containers[0].env[0].name: REDIS_PASSWORD is not for users"),
        (ray_head(volumeMounts=[{"name": "a", "mountPath": "/data/gcs"}]), "volumeMounts[0]: KubeRay mounts a volume"),
        (ray_head(volumeMounts=[{"name": "gcs-storage", "mountPath": "/a"}]), "volumeMounts[0]: KubeRay mounts a"),
        (head({"volumes": [{"name": "gcs-storage"}]}, **ROCKSDB), "volumes[0].name: KubeRay adds a volume gcs-storage"),
        (
            {"head": ROCKSDB, "ray": {"modelCache": {"path": "/data/gcs", "claimName": "c"}}},
            "ray.modelCache.path: KubeRay keeps Ray's state in /data/gcs",
        ),
        (head({"$setElementOrder/containers": []}), "this directive is not supported here"),
        (head({"volumes": [{"name": "a", "$retainKeys": ["name"]}]}), "volumes[0].$retainKeys: this directive is not"),
        (head({"securityContext": {"$patch": "merge"}}), "securityContext.$patch: $patch is replace or delete"),
        (custom(env_vars=None), "custom.runtimeEnv.env_vars: must be an object"),
        (custom(env_vars={"A": 1}), "runtimeEnv.env_vars.A: an environment variable must be a string"),
        (custom(working_dir="./here"), "runtimeEnv.working_dir: Ray Serve takes only a URI here"),
        (custom(working_dir="local:///a.zip"), "runtimeEnv.working_dir: Ray Serve takes only a URI here"),
        (custom(py_modules="s3://a/b.zip"), "runtimeEnv.py_modules: must be a list of URIs"),
        (custom(py_modules=["s3://a/b.zip", "/b"]), "runtimeEnv.py_modules[1]: Ray Serve takes only a URI here"),
        (
            {"apps": [{"name": "a", "graph": {"nodes": [NODE], "ingress": {"maxBodySize": 0}}}]},
            "graph.ingress.maxBodySize: no request would be short enough",
        ),
    ],
)  # fmt: skip
def test_refused(spec: dict[str, Any], says: str) -> None:
    (problem,) = problems(**spec)
    assert says in problem


@pytest.mark.parametrize(
    "spec",
    [
        head({"securityContext": {"$patch": "replace", "runAsUser": 7}, "volumes": [{"name": "a", "emptyDir": {}}]}),
        head({"containers": [{"name": "side", "image": "x"}, {"name": "ray-head", "env": [{"name": "A"}]}]}),
        head({"volumes": [{"name": "gcs-storage", "emptyDir": {}}]}),
        {"head": {"podTemplate": {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}}}},
        {"head": ROCKSDB, "ray": {"modelCache": {"path": "/data/gcs"}}},
        custom(env_vars={"A": "1"}, working_dir="https://a/b.zip", py_modules=["local:///opt/code"], pip=["a"]),
        custom(working_dir=None),
    ],
)
def test_accepted(spec: dict[str, Any]) -> None:
    assert problems(**spec) == []


def test_more_pods_than_kuberay_counts_to() -> None:
    model = {"source": {"path": "/m"}, "accelerator": {"type": "H100"}, "placement": "StrictSpread", "replicas": 10_000}
    models = [{**model, "name": f"m{i}", "tensorParallelSize": 64, "pipelineParallelSize": 64} for i in range(16)]
    apps = [{"name": f"a{i}", "openai": {"models": models}} for i in range(4)]
    assert any("Pods of group h100-x1" in problem for problem in problems(apps=apps))


def test_a_group_of_a_fixed_size_may_have_a_priority() -> None:
    """KubeRay rejects one without the autoscaler, which therefore runs for a fixed group too."""
    group = {"name": "g", "maxReplicas": 4, "priority": 5, "accelerator": {"type": "L4"}}
    cluster = desired_of(pipeline(workers=[group])).service["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["workerGroupSpecs"][0]["priority"] == 5


def test_an_engine_without_statistics_exports_none() -> None:
    """Ray refuses a model that is to be measured and not to be."""
    model = {"name": "m", "source": {"path": "/m"}, "engine": {"extra": {"disable_log_stats": True}}}
    (app,) = plan_of(pipeline({"name": "a", "openai": {"models": [model]}})).applications
    assert app.args["llm_configs"][0]["log_engine_metrics"] is False


def test_what_is_null_is_as_if_left_out() -> None:
    """The API server drops nulls, so `render` must show the same without one."""
    app = {"name": "a", "generate": {"model": {"path": "/m"}, "sampling": {"temperature": None, "topK": 3}}}
    (deployment,) = plan_of(pipeline(app)).applications[0].deployments
    assert deployment["user_config"] == {"sampling": {"top_k": 3}}
