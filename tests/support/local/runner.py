"""The local runner as a subprocess, as a person starts it: for tests and benchmarks on real Ray Serve."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from llmpipeline.render.environment import LATENCY_BUCKETS, ray_variables
from llmpipeline.render.serve_config import serve_config
from support.child_process import free_port
from support.pipelines import RAY_VERSION, desired_of, pipeline, sample
from support.repository import ROOT, SAMPLES

# With nothing in the page cache, importing vLLM alone takes minutes.
START_SECONDS = 700
STOP_SECONDS = 60
# As it is rendered.
LOGGING = {"encoding": "JSON"}

SAMPLE = SAMPLES / "quickstart.yaml"
CODE = Path(__file__).resolve().parent / "code"


def sample_apps(name: str) -> list[dict[str, Any]]:
    """Return the apps of a sample, as the resource has them."""
    apps: list[dict[str, Any]] = sample(name)["spec"]["apps"]
    return apps


def rendered(*apps: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the applications of the Serve config that the operator renders for these apps of a pipeline."""
    applications: list[dict[str, Any]] = serve_config(desired_of(pipeline(*apps)).plan)["applications"]
    return applications


def as_in_pods() -> dict[str, str]:
    """Return the variables of a cluster's Ray Pods, with HAProxy's own ports apart from any other's on this machine."""
    return (
        ray_variables(RAY_VERSION)
        | LATENCY_BUCKETS
        | {
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
            # A loaded machine may take longer than the five seconds after which HAProxy would be given up.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
            # Half a minute where a cluster's load balancers must hear of it; here nobody has to.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        }
    )


class Runner:
    """The runner as a subprocess in a process group of its own, as a shell would start it."""

    def __init__(
        self,
        temporary: Path,
        *apps: dict[str, Any],
        port: int = 0,
        check: bool = False,
        cpus: int = 8,
        env: Mapping[str, str] | None = None,
        code: Path = CODE,
        file: Path = SAMPLE,
    ) -> None:
        """Start it.

        Args:
            temporary: The folder for all that it writes.
            apps: Applications of a Serve config. Without any it is `llmpipeline serve` with a file.
            port: Where to serve; 0 takes a free one.
            check: Whether to ask each app a question and stop.
            cpus: Ray's logical CPUs, which need not exist.
            env: Variables of Ray and all below it, as a cluster's Pods have them.
            code: A folder of Python modules that the apps may import.
            file: What `llmpipeline serve` serves if no applications are given.
        """
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.temporary = temporary
        options = ["--tiny-models", "--port", str(self.port)]
        command = ["llmpipeline", "serve", "-f", str(file), *options]
        if apps:
            command = ["support.local.in_pods", json.dumps(dict(env))] if env else ["llmpipeline_serve.local"]
        search_path = os.pathsep.join(map(str, (ROOT / "serve_apps", ROOT / "operator", ROOT / "tests", code)))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": search_path, "TMPDIR": str(temporary)},
            start_new_session=True,
        )
        assert self.process.stdin
        if apps:
            self.process.stdin.write(json.dumps(self._job(list(apps), check=check, cpus=cpus)))
        self.process.stdin.close()
        self.out: list[str] = []
        self.err: list[str] = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=lambda s=stream, to=lines: to.extend(s), daemon=True).start()
        self.descendants: set[psutil.Process] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def _job(self, apps: list[dict[str, Any]], *, check: bool, cpus: int) -> dict[str, Any]:
        config = {"http_options": {"host": "0.0.0.0", "port": 8000}, "logging_config": LOGGING, "applications": apps}
        rest = {"name": "test", "cpus": cpus, "port": self.port, "tiny_models": True, "check": check}
        return {"serve_config": config, **rest}

    def _watch(self) -> None:
        """Remember every process that ever was below the runner."""
        while self.process.poll() is None:
            try:
                # A new set each time: another thread may be going through the old one.
                self.descendants = self.descendants | set(psutil.Process(self.process.pid).children(recursive=True))
            except psutil.NoSuchProcess:
                return
            time.sleep(0.1)

    def wait_for(self, text: str) -> None:
        """Return when the runner has said this on standard error; fail where it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not any(text in line for line in self.err):
            assert self.process.poll() is None, "".join(self.err)
            assert time.monotonic() < deadline, "".join(self.err)
            time.sleep(0.2)

    def ctrl_c(self) -> None:
        """Signal the whole process group, which is what a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def left(self) -> list[psutil.Process]:
        """Return the processes that ever were below the runner and still run."""
        return [p for p in self.descendants if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def dashboard_option(self, name: str) -> str:
        """Return an option of the command that Ray's dashboard runs as."""
        commands = (process.cmdline() for process in self.left())
        dashboard = next(command for command in commands if any("dashboard/dashboard.py" in word for word in command))
        return next(word.partition("=")[2] for word in dashboard if word.startswith(f"{name}="))

    def put(self, *apps: dict[str, Any]) -> None:
        """Replace the Serve config of a running runner, by the call that KubeRay makes after an edit."""
        http = {"host": "127.0.0.1", "port": self.port}
        self._serve_api("PUT", {"http_options": http, "logging_config": LOGGING, "applications": list(apps)})

    def applications(self) -> dict[str, Any]:
        """Return what Serve says about its applications, by name."""
        applications: dict[str, Any] = json.loads(self._serve_api("GET"))["applications"]
        return applications

    def _serve_api(self, method: str, config: dict[str, Any] | None = None) -> bytes:
        port, token = self._dashboard
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/serve/applications/",
            method=method,
            data=None if config is None else json.dumps(config).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            content: bytes = response.read()
            return content

    @cached_property
    def _dashboard(self) -> tuple[str, str]:
        """The port of Ray's dashboard and its token, as the dashboard's own process was given them."""
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                if "dashboard/dashboard.py" in " ".join(process.cmdline()):
                    return self.dashboard_option("--port"), process.environ()["RAY_AUTH_TOKEN"]
        raise AssertionError("Ray's dashboard does not run")

    def end(self) -> None:
        """Whatever a test did, leave nothing behind: ours are the runner and what we saw below it."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
        for process in self.left():
            process.kill()


@contextlib.contextmanager
def running(temporary: Path, *apps: dict[str, Any], **options: Any) -> Iterator[Runner]:
    """A runner all of whose apps run, ended when the context is left; `options` are the Runner's."""
    runner = Runner(temporary, *apps, **options)
    try:
        runner.wait_for("Ctrl-C stops it")
        yield runner
    finally:
        runner.end()
