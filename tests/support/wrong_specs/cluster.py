"""More rows of `bad_specs`: of the Ray cluster, of scaling, and of what is around the RayService."""

from typing import Any

from support.wrong_specs.specs import Case, Document, Edit


def spec(**fields: Any) -> Edit:
    return lambda document: document["spec"].update(fields)


def ray(**fields: Any) -> Edit:
    return lambda document: document["spec"]["ray"].update(fields)


def hello(**fields: Any) -> Edit:
    return lambda document: document["spec"]["apps"][0].update(hello=fields)


def scaling(**fields: Any) -> Edit:
    return hello(autoscaling={"maxReplicas": 4, **fields})


def model(**fields: Any) -> Edit:
    return lambda document: document["spec"]["apps"][1]["openai"]["models"][0].update(fields)


def group(**fields: Any) -> Edit:
    return spec(workers=[{"name": "g", "maxReplicas": 4, "accelerator": {"type": "L4", "count": 4}, **fields}])


def head(**fields: Any) -> Edit:
    return spec(head=fields)


def network(**fields: Any) -> Edit:
    return spec(network=fields)


def tracing(**fields: Any) -> Edit:
    return spec(monitoring={"tracing": {"endpoint": "http://otel:4318", **fields}})


def scale(**fields: Any) -> Edit:
    return spec(scale={"app": "hello", "replicas": 2, "maxReplicas": 4, **fields})


STEPS: Document = {"gatewayClassName": "istio"}
HELLO, SCALING, MODEL = "spec.apps[0].hello", "spec.apps[0].hello.autoscaling", "spec.apps[1].openai.models[0]"


def case(name: str, wrong: Edit, right: Edit, field: str, says: str, server_says: str = "") -> Case:
    return Case(name, wrong, right, field, says, server_says or says)


CLUSTER_CASES = [
    case(
        "a class that no class can be",
        spec(className="Standard"),
        spec(className="standard"),
        "spec.className",
        "does not match",
        "should match",
    ),
    case(
        "initial replicas beyond the bounds",
        scaling(initialReplicas=5),
        scaling(initialReplicas=4),
        f"{SCALING}.initialReplicas",
        "between minReplicas and maxReplicas",
    ),
    case(
        "initial replicas below one",
        scaling(initialReplicas=0),
        scaling(initialReplicas=0, minReplicas=0),
        f"{SCALING}.initialReplicas",
        "between minReplicas and maxReplicas",
    ),
    case(
        "a delay to zero that never comes",
        scaling(downscaleToZeroDelaySeconds=5),
        scaling(downscaleToZeroDelaySeconds=5, minReplicas=0),
        f"{SCALING}.downscaleToZeroDelaySeconds",
        "needs minReplicas 0",
    ),
    case(
        "looking back for less than one report",
        scaling(lookBackPeriodSeconds=5, metricsIntervalSeconds=5),
        scaling(lookBackPeriodSeconds=6, metricsIntervalSeconds=5),
        f"{SCALING}.lookBackPeriodSeconds",
        "above metricsIntervalSeconds",
    ),
    case(
        "a factor beyond reason",
        scaling(upscaleFactor=1001),
        scaling(upscaleFactor=0.5),
        f"{SCALING}.upscaleFactor",
        "less than or equal to 1000",
    ),
    case(
        "GPUs above one that are not whole",
        hello(resources={"gpus": "1500m"}),
        hello(resources={"gpus": "500m"}),
        f"{HELLO}.resources.gpus",
        "not a number of GPUs",
        "should match",
    ),
    case(
        "an accelerator without GPUs",
        hello(resources={"accelerator": {"type": "L4"}}),
        hello(resources={"accelerator": {"type": "L4"}, "gpus": "0.5"}),
        f"{HELLO}.resources.accelerator",
        "give gpus too",
    ),
    case(
        "an accelerator with no GPUs",
        hello(resources={"accelerator": {"type": "L4"}, "gpus": 0}),
        hello(resources={"accelerator": {"type": "L4"}, "gpus": 1}),
        f"{HELLO}.resources.accelerator",
        "give gpus too",
    ),
    case(
        "an accelerator as a text",
        hello(resources={"accelerator": "L4", "gpus": 1}),
        hello(resources={"accelerator": {"type": "L4"}, "gpus": 1}),
        f"{HELLO}.resources.accelerator",
        'must be an object with fields, not "L4"; write accelerator: {type: L4}',
        "must be of type object",
    ),
    case(
        "a partition outside the accelerator",
        hello(resources={"partition": "1g.10gb", "accelerator": {"type": "A100"}, "gpus": 1}),
        hello(resources={"accelerator": {"type": "A100", "partition": "1g.10gb"}, "gpus": 1}),
        f"{HELLO}.resources.partition",
        "partition is a field of accelerator",
        "unknown field",
    ),
    case(
        "TPUs of a deployment",
        hello(resources={"accelerator": {"type": "TPU-V6E"}, "gpus": 1}),
        hello(resources={"accelerator": {"type": "H100"}, "gpus": 1}),
        f"{HELLO}.resources.accelerator.type",
        "for TPUs use an openai app",
    ),
    case(
        "a partition of an AMD GPU",
        model(accelerator={"type": "MI300X", "partition": "1g.10gb"}),
        model(accelerator={"type": "H100", "partition": "1g.10gb"}),
        f"{MODEL}.accelerator.partition",
        "for NVIDIA GPUs",
    ),
    case(
        "a partition that KubeRay does not count",
        model(accelerator={"type": "A100", "partition": "1g.10gb+me"}),
        model(accelerator={"type": "A100", "partition": "1g.10gb"}),
        f"{MODEL}.accelerator.partition",
        "does not match",
        "should match",
    ),
    case(
        "a TPU without a topology",
        model(accelerator={"type": "TPU-V6E"}),
        model(accelerator={"type": "TPU-V6E", "topology": "2x4"}, tensorParallelSize=8),
        f"{MODEL}.accelerator.topology",
        "TPUs, and they alone",
    ),
    case(
        "a variable of nothing",
        ray(env=[{"name": "A"}]),
        ray(env=[{"name": "A", "value": ""}]),
        "spec.ray.env[0]",
        "exactly one of value and valueFrom",
    ),
    case(
        "a variable from nowhere",
        ray(env=[{"name": "A", "valueFrom": {}}]),
        ray(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]),
        "spec.ray.env[0].valueFrom",
        "exactly one of secretKeyRef and configMapKeyRef",
    ),
    case(
        "a variable twice",
        ray(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        ray(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
        "spec.ray.env[1].name",
        "duplicate name",
        "Duplicate value",
    ),
    case(
        "a toleration of every value",
        group(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
        group(tolerations=[{"key": "a", "operator": "Exists"}]),
        "spec.workers[0].tolerations[0].value",
        "takes no value",
    ),
    case(
        "a toleration of nothing in particular",
        group(tolerations=[{"value": "b"}]),
        group(tolerations=[{"operator": "Exists"}]),
        "spec.workers[0].tolerations[0].operator",
        "needs operator Exists",
    ),
    case(
        "two stores of the cluster's state",
        head(faultTolerance={"redis": {"address": "r:1"}, "rocksdb": {"size": "1Gi"}}),
        head(faultTolerance={"redis": {"address": "r:1"}}),
        "spec.head.faultTolerance",
        "exactly one of redis and rocksdb",
    ),
    case(
        "a volume that is and is not there",
        head(faultTolerance={"rocksdb": {"size": "1Gi", "claimName": "c"}}),
        head(faultTolerance={"rocksdb": {"size": "1Gi"}}),
        "spec.head.faultTolerance.rocksdb",
        "exactly one of size and claimName",
    ),
    case(
        "steps of no strategy",
        spec(upgrade={"incremental": STEPS}),
        spec(upgrade={"strategy": "Incremental", "incremental": STEPS}),
        "spec.upgrade.strategy",
        "go together",
    ),
    case(
        "a step beyond the surge",
        spec(
            upgrade={"strategy": "Incremental", "incremental": {**STEPS, "stepSizePercent": 60, "maxSurgePercent": 50}}
        ),
        spec(
            upgrade={"strategy": "Incremental", "incremental": {**STEPS, "stepSizePercent": 50, "maxSurgePercent": 50}}
        ),
        "spec.upgrade.incremental.stepSizePercent",
        "above maxSurgePercent",
    ),
    case(
        "a budget of less than nothing",
        spec(disruption={"minAvailableWorkers": -1}),
        spec(disruption={"minAvailableWorkers": 0}),
        "spec.disruption.minAvailableWorkers",
        "greater than or equal to 0",
    ),
    case(
        "no time to drain",
        spec(drainSeconds=0),
        spec(drainSeconds=1),
        "spec.drainSeconds",
        "greater than or equal to 1",
    ),
    case(
        "a day to drain",
        spec(drainSeconds=86_400),
        spec(drainSeconds=3600),
        "spec.drainSeconds",
        "less than or equal to 3600",
    ),
    case(
        "a peer that is nobody",
        network(policy={"serveFrom": [{"name": "a"}]}),
        network(policy={"serveFrom": [{"name": "a", "podLabels": {"a": "b"}}]}),
        "spec.network.policy.serveFrom[0]",
        "namespaceLabels, podLabels or both",
    ),
    case(
        "an address that is none",
        network(policy={"egressTo": [{"name": "a", "cidr": "everywhere"}]}),
        network(policy={"egressTo": [{"name": "a", "cidr": "0.0.0.0/0", "ports": [443]}]}),
        "spec.network.policy.egressTo[0].cidr",
        "does not match",
        "should match",
    ),
    *(
        case(
            f"a range of addresses that is none: {wrong}",
            network(policy={"egressTo": [{"name": "a", "cidr": wrong}]}),
            network(policy={"egressTo": [{"name": "a", "cidr": right}]}),
            "spec.network.policy.egressTo[0].cidr",
            "not an IP address range",
        )
        for wrong, right in (
            ("10.0.0.0/99", "10.0.0.0/32"),
            ("10.0.0/8", "10.0.0.0/8"),
            ("010.0.0.0/8", "10.1.2.3/8"),
            ("10.0.0.0/08", "10.0.0.0/0"),
            ("::ffff:10.0.0.0/104", "::/0"),
            ("2001:db8::/129", "2001:DB8::/128"),
        )
    ),
    case(
        "a route to no Gateway",
        network(httpRoute={"hostnames": ["a.example"]}),
        network(httpRoute={"gateway": {"name": "g"}, "hostnames": ["*.example"]}),
        "spec.network.httpRoute.gateway",
        "is required",
        "Required value",
    ),
    case(
        "a host that is none",
        network(ingress={"host": "Not a host"}),
        network(ingress={"host": "a.example"}),
        "spec.network.ingress.host",
        "does not match",
        "should match",
    ),
    case(
        "an objective for the first token of an app without tokens",
        lambda document: document["spec"]["apps"][0].update(objectives={"timeToFirstTokenP95Milliseconds": 500}),
        lambda document: document["spec"]["apps"][1].update(objectives={"timeToFirstTokenP95Milliseconds": 500}),
        "spec.apps[0].objectives.timeToFirstTokenP95Milliseconds",
        "only openai and generate apps have a time to first token",
    ),
    case(
        "an objective that allows every request to fail",
        lambda document: document["spec"]["apps"][0].update(objectives={"errorRatePercent": 100}),
        lambda document: document["spec"]["apps"][0].update(objectives={"errorRatePercent": 0.1}),
        "spec.apps[0].objectives.errorRatePercent",
        "less than or equal to 50",
    ),
    case(
        "an address of traces that is none",
        tracing(endpoint="otel:4318"),
        tracing(endpoint="https://[fd00::1]:4318/otlp"),
        "spec.monitoring.tracing.endpoint",
        "does not match",
        "should match",
    ),
    case(
        "an address of traces with the path in it",
        tracing(endpoint="http://otel:4318/v1/traces"),
        tracing(endpoint="http://otel:4318/v1"),
        "spec.monitoring.tracing.endpoint",
        "/v1/traces is added to it",
    ),
    *(
        case(
            f"a share of the requests that is none: {wrong}",
            tracing(samplingPercent=wrong),
            tracing(samplingPercent=right),
            "spec.monitoring.tracing.samplingPercent",
            says,
            server_says,
        )
        for wrong, right, says, server_says in (
            (0, 1, "greater than or equal to 1", "greater than or equal to 1"),
            (101, 100, "less than or equal to 100", "less than or equal to 100"),
        )
    ),
    case(
        "scaled beyond its bounds",
        scale(replicas=5),
        scale(replicas=4),
        "spec.scale.replicas",
        "between minReplicas and maxReplicas",
    ),
    case(
        "scaled between bounds that cross",
        scale(minReplicas=5, replicas=5),
        scale(minReplicas=2),
        "spec.scale.minReplicas",
        "must not be above maxReplicas",
    ),
    case(
        "more labels than a selector can have",
        group(nodeSelector={f"k{i}": "v" for i in range(33)}),
        group(nodeSelector={f"k{i}": "v" for i in range(32)}),
        "spec.workers[0].nodeSelector",
        "at most 32",
        "at most 32",
    ),
    case(
        "a podTemplate that is a text",
        group(podTemplate="spec"),
        group(podTemplate={"spec": {"priorityClassName": "high"}}),
        "spec.workers[0].podTemplate",
        "an object",
        "must be of type object",
    ),
    case(
        "a Ray version that KubeRay cannot read",
        ray(version="02.60.0"),
        ray(version="2.060.0"),
        "spec.ray.version",
        "does not match",
        "should match",
    ),
    case(
        "a storage class for a volume that is there",
        head(faultTolerance={"rocksdb": {"claimName": "c", "storageClassName": "fast"}}),
        head(faultTolerance={"rocksdb": {"size": "1Gi", "storageClassName": "fast"}}),
        "spec.head.faultTolerance.rocksdb.storageClassName",
        "it goes with size",
    ),
    case(
        "looking back for less than a report by default",
        scaling(lookBackPeriodSeconds=10),
        scaling(lookBackPeriodSeconds=11),
        f"{SCALING}.lookBackPeriodSeconds",
        "above metricsIntervalSeconds",
    ),
    case(
        "more CPUs than Ray can count",
        hello(resources={"cpus": 10**14 + 1}),
        hello(resources={"cpus": 10**14}),
        f"{HELLO}.resources.cpus",
        "more than any node has",
        "less than or equal to",
    ),
]
