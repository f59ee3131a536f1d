"""What an edit of each field of `spec` does that is about the Ray cluster, or about what is around it."""

from collections.abc import Iterator
from typing import Any, Final

from support.effects.apps import RAY
from support.effects.edits import IN_PLACE, LIVE, NEW, Document, Edit, Kind, Row, edit, inside, row

_APPS: Final = [{"name": "app", "hello": {}}]
# Has room to grow.
GROUP: Final = {"name": "cpu", "minReplicas": 1, "maxReplicas": 4}

TOLERATION: Final = [
    edit("key", "a", "b", LIVE),
    edit("operator", "Equal", "Exists", LIVE),
    edit("value", "1", "2", LIVE),
    edit("effect", "NoSchedule", "NoExecute", LIVE),
]


def _tolerating(key: str) -> Document:
    return {"spec": {"tolerations": [{"key": key, "operator": "Exists"}]}}


PODS: Final = [
    edit("nodeSelector", {"disk": "fast"}, {"disk": "slow"}, NEW),
    edit("tolerations", [], [{"key": "a", "operator": "Exists"}], LIVE, how="one more"),
    edit("podTemplate", {"spec": {"priorityClassName": "low"}}, {"spec": {"priorityClassName": "high"}}, NEW),
    edit("podTemplate", _tolerating("a"), _tolerating("b"), LIVE, how="tolerations in it"),
]
WORKERS: Final = [*PODS, edit("spot", False, True, NEW), edit("idleTimeoutSeconds", 60, 90, NEW)]
RESOURCES: Final = [edit("resources.cpus", 2, 3, NEW), edit("resources.memory", "8Gi", "16Gi", NEW)]


def of_the_cluster() -> Iterator[Row]:
    """The rows of what is rendered into `rayClusterConfig`."""
    yield row("spec", _whole, {}, edit("className", "one", "other", NEW))
    yield from _of_ray()
    yield from _of_head()
    yield from _of_workers()
    defaults = {"workers": [GROUP]}
    yield from _of("workerDefaults", WORKERS, defaults)
    yield from _of_tolerations(
        "spec.workerDefaults.tolerations", lambda item: _spec(**defaults, workerDefaults={"tolerations": [item]})
    )
    autoscaler = [
        edit("idleTimeoutSeconds", 60, 90, NEW),
        edit("upscaling", "Default", "Conservative", NEW),
        edit("resources.cpus", "500m", 1, NEW),
        edit("resources.memory", "512Mi", "1Gi", NEW),
    ]
    yield from _of("autoscaler", autoscaler, defaults)


def around() -> Iterator[Row]:
    """The rows of how the pipeline is upgraded and suspended, and of the manifests beside the RayService."""
    incremental = {"gatewayClassName": "istio", "stepSizePercent": 10, "intervalSeconds": 30, "maxSurgePercent": 50}
    steps = {"strategy": "Incremental", "incremental": incremental}
    autoscaled = {"workers": [GROUP]}
    upgrade = [
        edit("strategy", "NewCluster", "None", IN_PLACE),
        Edit("strategy", {}, steps, IN_PLACE, how="to Incremental"),
        edit("incremental.gatewayClassName", "istio", "envoy", IN_PLACE, beside=steps),
        edit("incremental.stepSizePercent", 10, 20, IN_PLACE, beside=steps),
        edit("incremental.intervalSeconds", 30, 60, IN_PLACE, beside=steps),
        edit("incremental.maxSurgePercent", 50, 60, IN_PLACE, beside=steps),
        edit("deletionDelaySeconds", 60, 90, IN_PLACE),
    ]
    yield from _of("upgrade", upgrade, autoscaled)
    yield row("spec", _whole, {}, edit("suspend", False, True, "Suspend"))
    yield row("spec", _whole, {}, edit("suspend", True, False, "Resume", how="back"))
    yield row("spec", _whole, {}, edit("drainSeconds", 120, 300, NEW))
    yield from _of("disruption", [_beside("minAvailableWorkers", 1, 2)])
    yield from _of_network()
    monitor = [
        _beside("podMonitor", None, {}, how="given at all"),
        _beside("podMonitor.intervalSeconds", 30, 60),
        _beside("podMonitor.labels", {"release": "one"}, {"release": "other"}),
    ]
    yield from _of("monitoring", monitor)
    goal = {"apps": [{**_APPS[0], "objectives": {"latencyP99Milliseconds": 500}}]}
    rule = [
        _beside("prometheusRule", None, {}, how="given at all"),
        _beside("prometheusRule.labels", {"release": "one"}, {"release": "other"}),
    ]
    yield from _of("monitoring", rule, goal)
    traced = {"tracing": {"endpoint": "http://otel:4318"}}
    tracing = [
        edit("tracing.endpoint", "http://one:4318", "http://other:4318", NEW),
        edit("tracing.samplingPercent", 10, 20, NEW, beside=traced),
    ]
    yield from _of("monitoring", tracing)


def _of_ray() -> Iterator[Row]:
    plain = {"name": "A", "value": "1"}
    edits = [
        edit("version", "2.60.0", "2.61.0", NEW),
        edit("image", "registry.example/ray:2.60.0", "registry.example/ray:2.60.0-2", NEW),
        edit("imagePullPolicy", "IfNotPresent", "Always", NEW),
        edit("imagePullSecrets", [], [{"name": "one"}], NEW, how="one more"),
        edit("serviceAccountName", "one", "other", NEW),
        edit("modelCache.path", "/one", "/other", NEW, beside={"modelCache": {"claimName": "models"}}),
        edit("modelCache.claimName", "one", "other", NEW, beside={"modelCache": {"path": "/models"}}),
        edit("env", [], [plain], NEW, how="one more"),
        edit("authentication", "Token", "Disabled", NEW),
        edit("performance", "Optimized", "Plain", NEW),
        edit("podSecurity", "Restricted", "Unset", NEW),
    ]
    yield from _of("ray", edits)
    model = {"name": "app", "batch": {"classify": {"model": {"path": "/models/one"}}}}
    path = edit("modelCache.path", "/one", "/other", IN_PLACE, "app", how="without a claim")
    yield from _of("ray", [path], {"apps": [model]})
    yield row("spec.ray.imagePullSecrets", lambda item: _ray(imagePullSecrets=[item]), {}, edit("name", "a", "b", NEW))
    variable: list[tuple[Edit, Document]] = [
        (edit("name", "A", "B", NEW), plain),
        (edit("value", "1", "2", NEW), plain),
        *((it, {"name": "A"}) for source in ("secretKeyRef", "configMapKeyRef") for it in _key_of(source)),
    ]
    for one, base in variable:
        yield row("spec.ray.env", lambda item: _ray(env=[item]), base, one)


def _key_of(source: str) -> list[Edit]:
    keys = [
        edit("name", "one", "other", NEW, beside={"key": "k"}),
        edit("key", "one", "other", NEW, beside={"name": "s"}),
    ]
    return inside("valueFrom", inside(source, keys))


def _of_head() -> Iterator[Row]:
    redis, storage = {"redis": {"address": "redis:6379"}}, {"rocksdb": {"size": "1Gi"}}
    password = {"redis": {"address": "redis:6379", "passwordSecretRef": {"name": "one", "key": "one"}}}
    store = [
        edit("redis.address", "one:6379", "other:6379", NEW),
        edit("redis.username", "one", "other", NEW, beside=redis),
        edit("redis.passwordSecretRef.name", "one", "other", NEW, beside=password),
        edit("redis.passwordSecretRef.key", "one", "other", NEW, beside=password),
        edit("rocksdb.size", "1Gi", "2Gi", NEW),
        edit("rocksdb.storageClassName", "one", "other", NEW, beside=storage),
        edit("rocksdb.claimName", "one", "other", NEW),
        edit("rocksdb.deletionPolicy", "DeleteWithCluster", "Retain", NEW, beside=storage),
    ]
    head = [*PODS, *RESOURCES, edit("cpusForReplicas", 0, 1, NEW), *inside("faultTolerance", store)]
    yield from _of("head", head, {"workers": [GROUP]})
    yield from _of_tolerations("spec.head.tolerations", lambda item: _spec(head={"tolerations": [item]}))


def _of_workers() -> Iterator[Row]:
    other = {**GROUP, "name": "other"}
    tpus = {"accelerator": {"type": "TPU-V6E"}}
    edits = [
        *WORKERS,
        *RESOURCES,
        edit("name", "cpu", "renamed", NEW),
        edit("accelerator.type", "L4", "L40S", NEW),
        edit("accelerator.partition", "1g.10gb", "2g.20gb", NEW, beside={"accelerator": {"type": "A100"}}),
        edit("accelerator.topology", "2x4", "4x4", NEW, beside=tpus),
        edit("accelerator.count", 1, 2, NEW, beside={"accelerator": {"type": "L4"}}),
        edit("minReplicas", 1, 2, LIVE),
        edit("minReplicas", None, 1, LIVE, how="of a group of a fixed size"),
        edit("minReplicas", 1, 4, LIVE, how="to a group of a fixed size"),
        edit("maxReplicas", 4, 5, LIVE),
        edit("maxReplicas", 4, 3, LIVE, how="fewer"),
        edit("hosts", 1, 2, NEW),
        edit("priority", 0, 1, NEW),
    ]
    for one in edits:
        yield row("spec.workers", lambda item: _spec(workers=[item]), GROUP, one)
    yield from _of_tolerations(
        "spec.workers.tolerations", lambda item: _spec(workers=[{**GROUP, "tolerations": [item]}])
    )
    lists: list[tuple[list[Document], list[Document], Kind, str]] = [
        ([GROUP], [GROUP, other], "AddWorkers", "one more at the end"),
        ([GROUP], [other, GROUP], NEW, "one more before others"),
        ([GROUP, other], [GROUP], NEW, "one fewer"),
        ([GROUP, other], [other, GROUP], NEW, "another order"),
    ]
    for was, now, kind, how in lists:
        yield row("spec", _whole, {}, edit("workers", was, now, kind, how=how))


def _of_network() -> Iterator[Row]:
    peer = {"name": "a", "podLabels": {"a": "1"}}
    closed = {"policy": {"egress": "Closed"}}
    network = [
        _beside("policy", None, {}, how="given at all"),
        _beside("policy.serveFrom", [], [peer], how="one more"),
        _beside("policy.egress", "Open", "Closed"),
        _beside("policy.egressTo", [], [{"name": "a", "cidr": "10.0.0.0/8"}], beside=closed, how="one more"),
        _beside("httpRoute.gateway.name", "one", "other"),
        _beside("httpRoute.gateway.namespace", "one", "other", beside={"httpRoute": {"gateway": {"name": "g"}}}),
        _beside("httpRoute.gateway.sectionName", "one", "other", beside={"httpRoute": {"gateway": {"name": "g"}}}),
        _beside("httpRoute.hostnames", ["a.example"], ["b.example"], beside={"httpRoute": {"gateway": {"name": "g"}}}),
        _beside("ingress.className", "one", "other"),
        _beside("ingress.host", "a.example", "b.example"),
        _beside("ingress.tlsSecretName", "one", "other"),
        _beside("ingress.annotations", {"a": "1"}, {"a": "2"}),
    ]
    yield from _of("network", network)
    of_peer = [
        edit("name", "a", "b", "Nothing"),
        _beside("namespaceLabels", {"a": "1"}, {"a": "2"}),
        _beside("podLabels", {"a": "1"}, {"a": "2"}),
    ]
    for one in of_peer:
        yield row("spec.network.policy.serveFrom", lambda item: _policy(serveFrom=[item]), peer, one)
    destination = {"name": "a", "cidr": "10.0.0.0/8"}
    of_destination = [
        edit("name", "a", "b", "Nothing"),
        _beside("cidr", "10.0.0.0/8", "10.1.0.0/16"),
        _beside("ports", [443], [443, 8443]),
    ]
    for one in of_destination:
        path = "spec.network.policy.egressTo"
        yield row(path, lambda item: _policy(egress="Closed", egressTo=[item]), destination, one)


def _of_tolerations(path: str, place: Any) -> Iterator[Row]:
    bases = {"operator": {"key": "a"}}
    for one in TOLERATION:
        base = bases.get(one.field, {"key": "a", "operator": "Equal", "value": "1"})
        yield row(path, place, base, one)


def _of(block: str, edits: list[Edit], others: Document | None = None) -> Iterator[Row]:
    """The rows of a block of the spec; `others` is what the spec holds as well."""
    for one in edits:
        yield row(
            f"spec.{block}", lambda held: _spec(**(others or {}), **{block: held}), RAY if block == "ray" else {}, one
        )


def _beside(field: str, was: Any, now: Any, **more: Any) -> Edit:
    return edit(field, was, now, "Companions", **more)


def _spec(**held: Any) -> Document:
    return {"ray": RAY, "apps": _APPS, **held}


def _whole(held: Document) -> Document:
    return _spec(**held)


def _ray(**held: Any) -> Document:
    return _spec(ray={**RAY, **held})


def _policy(**held: Any) -> Document:
    return _spec(network={"policy": held})
