"""How fast, how small and how quiet the operator is, on a real API server.

    python hack/bench/burst.py [--count 1000] [--out FILE]

1. Raw: server-side applies of a rendered RayService, made beforehand, 16 in flight. Before and after the rest, because
   the speed of a shared machine drifts.
2. Burst: as many new LLMPipelines, 16 in flight, until all RayServices exist and all statuses say Applied.
3. Idle: memory, and CPU over half a minute.
4. Restart: until it is ready, until it asks nothing more, and whether it changed anything, which it must not.

The operator runs as a user of its own, by which the audit log tells its requests apart. KubeRay is not there: this is
about our half. Everything is on one machine, so the API server, etcd, the operator and this program share its cores.
"""

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audit import AuditLog
from load import burst, named, raw_applies
from result import BurstResult, IdleResult, RestartResult, Result, quantile

from support.control_plane import ControlPlane, Manifest, OperatorProcess, install_crds
from support.kuberay.crds import kuberay_crds

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / "manifests" / "samples" / "quickstart.yaml"
NAMESPACE = "bench"
# The first requests to a new API server cost it many times what the later ones do.
WARM_UP = 300


class Benchmark:
    """The steps, in order, around one control plane and one operator."""

    def __init__(self, control_plane: ControlPlane, count: int, idle_seconds: float, limit_seconds: float) -> None:
        self._control_plane = control_plane
        self._admin = control_plane.admin()
        self._idle_seconds = idle_seconds
        self._limit_seconds = limit_seconds
        self._audit = AuditLog(control_plane.audit_log, "operator")
        log = control_plane.directory / "operator.log"
        self._operator = OperatorProcess(control_plane.kubeconfig_of("operator"), log)
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform()}
        crds = kuberay_crds()
        self._result = Result(count=count, machine=machine, kuberay_crds=crds.source)
        install_crds(self._admin, crds.directory)
        install_crds(self._admin, REPOSITORY / "manifests" / "crds")
        self._admin.bind("operator", "cluster-admin")
        self._admin.create_namespace(NAMESPACE)

    def run(self) -> Result:
        """All steps."""
        rayservice = rendered_rayservice()
        try:
            _say("warm-up")
            warm_up = self._admin.create_namespace("warm-up")
            asyncio.run(raw_applies(self._control_plane, named(rayservice, warm_up, WARM_UP)))
            self._raw(rayservice)
            self._operator.start()
            self._burst()
            self._idle()
            self._restart()
            self._operator.stop()
            self._raw(rayservice)
        finally:
            self._operator.kill()
        return self._result

    def _raw(self, rayservice: Manifest) -> None:
        count = self._result.count
        namespace = self._admin.create_namespace(f"raw-{len(self._result.raw_per_second)}")
        _say(f"raw: {count} server-side applies")
        seconds = asyncio.run(raw_applies(self._control_plane, named(rayservice, namespace, count)))
        self._result.raw_per_second.append(count / seconds)
        self._admin.delete_all("ray.io/v1", "rayservices", namespace)

    def _burst(self) -> None:
        count = self._result.count
        pipelines = named(yaml.safe_load(SAMPLE.read_text()), NAMESPACE, count)
        self._audit.mark()
        process = psutil.Process(self._operator.pid)
        cpu_before = cpu_seconds(process)
        _say(f"burst: {count} new pipelines")
        seen = asyncio.run(burst(self._control_plane, pipelines, self._limit_seconds))
        if len(seen.applied) < count:
            _say(f"not all is applied; the operator's log ends with:\n{self._operator.log[-4000:]}")
        cpu = cpu_seconds(process) - cpu_before
        seconds = max([*seen.rayservice.values(), *seen.applied.values(), *seen.created.values()])
        latencies = [at - seen.created[name] for name, at in seen.applied.items()]
        self._audit.wait_for_quiet()
        self._result.burst = BurstResult(
            created=len(seen.created),
            rayservices=len(seen.rayservice),
            applied=len(seen.applied),
            creates_per_second=count / max(seen.created.values()),
            seconds=seconds,
            rayservices_per_second=len(seen.rayservice) / seconds,
            latency_median_seconds=quantile(latencies, 0.5),
            latency_p99_seconds=quantile(latencies, 0.99),
            operator_cpu_seconds=cpu,
            writes=dict(self._audit.writes()),
            reads=dict(self._audit.reads()),
        )

    def _idle(self) -> None:
        _say(f"idle: {self._idle_seconds:.0f} s")
        process = psutil.Process(self._operator.pid)
        before, started = cpu_seconds(process), time.monotonic()
        time.sleep(self._idle_seconds)
        seconds = time.monotonic() - started
        memory = process.memory_full_info()
        self._result.idle = IdleResult(
            seconds=seconds,
            cpu_seconds=cpu_seconds(process) - before,
            resident_mib=memory.rss / 2**20,
            unique_mib=memory.uss / 2**20,
        )

    def _restart(self) -> None:
        _say("restart")
        resources = self._audit.written_resources()
        before = self._versions(resources)
        self._audit.mark()
        stopping = time.monotonic()
        exit_code = self._operator.stop(30)
        starting, starting_at = time.monotonic(), time.time()
        # What a stopping operator asks, such as giving up its lease, is no part of the start.
        self._audit.mark()
        self._operator.start(60)
        ready = time.monotonic()
        last_request = self._audit.wait_for_quiet()
        after = self._versions(resources)
        self._result.restart = RestartResult(
            stop_seconds=starting - stopping,
            exit_code=exit_code,
            ready_seconds=ready - starting,
            quiet_seconds=max(0.0, last_request - starting_at),
            writes=dict(self._audit.writes()),
            reads=dict(self._audit.reads()),
            objects=len(before),
            changed_objects=sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key)),
        )

    def _versions(self, resources: set[tuple[str, str]]) -> dict[str, str]:
        """The resourceVersion of every object of the kinds that the operator writes."""
        return {
            f"{plural}/{it['metadata']['name']}": it["metadata"]["resourceVersion"]
            for api_version, plural in resources
            for it in self._admin.list(api_version, plural, NAMESPACE)
        }


def rendered_rayservice() -> Manifest:
    """What the operator would apply for the sample."""
    command = [sys.executable, "-P", "-m", "llmpipeline", "render", "-f", str(SAMPLE)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    documents: list[Manifest] = [it for it in yaml.safe_load_all(output) if it]
    return next(it for it in documents if it["kind"] == "RayService")


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its living children."""
    times = [it.cpu_times() for it in [process, *process.children(recursive=True)]]
    return float(sum(it.user + it.system for it in times))


def main() -> int:
    """The command line; 1 if something was seen that must never be."""
    parser = argparse.ArgumentParser(description="Bursts, memory and restarts of the operator on a real API server.")
    parser.add_argument("--count", type=int, default=1000, help="pipelines (default 1000)")
    parser.add_argument("--out", type=Path, help="also write the result there, as JSON")
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--limit-seconds", type=float, default=300, help="the burst is given up after that")
    arguments = parser.parse_args()
    # As Ctrl-C does: stop what was started, then end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ControlPlane(audit=True) as control_plane:
        benchmark = Benchmark(control_plane, arguments.count, arguments.idle_seconds, arguments.limit_seconds)
        result = benchmark.run()
    print(result.as_table())
    if arguments.out:
        arguments.out.write_text(result.as_json() + "\n")
    return 1 if result.failures else 0


def _say(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
