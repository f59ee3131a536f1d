"""`python -m llmpipeline_serve.local`: reads a job, serves it until Ctrl-C, and leaves nothing behind."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from pydantic import ValidationError

from llmpipeline_serve.contract.environment import HAPROXY
from llmpipeline_serve.local import processes, ray_session
from llmpipeline_serve.local.adapt import adapt
from llmpipeline_serve.local.ask import AppError, ask, how_to_ask
from llmpipeline_serve.local.deploy import Deployer, wait_until_running
from llmpipeline_serve.local.errors import RunnerError
from llmpipeline_serve.local.job import Job
from llmpipeline_serve.local.machine import Machine
from llmpipeline_serve.local.progress import Progress
from llmpipeline_serve.local.ray_session import RaySession
from llmpipeline_serve.local.system_libraries import require_for_cpu_engine

_INTERRUPTED = 130
# Ray's own processes end within a second of ray.shutdown(); an engine core takes a few.
_PATIENCE_SECONDS = 8


def main() -> int:
    """Run the job on standard input; return the exit code."""
    _interrupt_on_signals()
    try:
        job = Job.model_validate_json(sys.stdin.read())
        ray_session.check_port(job.port)
    except ValidationError as error:
        for problem in error.errors():
            print(": ".join(["job", *map(str, problem["loc"]), problem["msg"]]), file=sys.stderr)
        return 2
    except RunnerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    processes.adopt_orphans()
    runner = Runner(job, ray_session.temporary_folder())
    try:
        return runner.run()
    finally:
        processes.end(runner.known, _PATIENCE_SECONDS if runner.stopped else 0)


class Runner:
    """One job's way from start to stop."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self._apps = job.serve_config.applications
        self._folder = folder
        self._url = job.url
        self._progress = Progress()
        self._session: RaySession | None = None
        self._deployed = False
        self._ready = False
        self.stopped = False
        """Whether Ray was shut down in order, so that its processes are about to end by themselves."""
        self.known: set[psutil.Process] = set()

    def run(self) -> int:
        """Serve the job and stop; return the exit code."""
        try:
            return self._serve()
        except RunnerError as error:
            print(error, file=sys.stderr)
            if self._deployed and (self._folder / "session_latest").exists():
                print(f"full logs: {ray_session.keep_logs(self._folder)}/serve", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            return 0 if self._ready else _INTERRUPTED
        finally:
            self._stop()

    def _serve(self) -> int:
        job = self._job
        self._progress.say(f"{job.name}: starting Ray with {job.cpus} logical CPUs")
        self._session = session = ray_session.start(job, self._folder)
        _interrupt_on_signals()
        tiny_models = _tiny_models(self._folder) if job.tiny_models else None
        haproxy = os.environ.get(HAPROXY) == "1"
        code = _written(job.code, self._folder / "code")
        machine = Machine(
            job.host, job.port, session.gpus, haproxy=haproxy, tiny_models=tiny_models, code_folder=str(code)
        )
        adapted = adapt(job.serve_dict, machine)
        if adapted.has_cpu_engine:
            require_for_cpu_engine()
        for change in adapted.changes:
            self._progress.say(change)
        deployer = Deployer(session)
        self._progress.say("starting Serve")
        deployer.put(adapted.serve_config)
        self._deployed = True
        wait_until_running(deployer, [app.name for app in self._apps], self._url, self._progress, job.timeout)
        self._progress.say("every app runs")
        if job.check:
            return self._check()
        self._ready = True
        print("\n".join(line for app in self._apps for line in how_to_ask(app, self._url)), flush=True)
        self._progress.say("Ctrl-C stops it")
        _sleep_forever()

    def _check(self) -> int:
        failed = False
        for app in self._apps:
            try:
                for line in ask(app, self._url):
                    print(line, flush=True)
            except AppError as error:
                print(error, file=sys.stderr, flush=True)
                failed = True
        return int(failed)

    def _stop(self) -> None:
        """Stop Serve, then Ray. A second Ctrl-C leaves it at that: what runs is then ended by force."""
        try:
            self.known = processes.descendants()
            self._progress.say("stopping")
            if self._session:
                ray_session.stop(serving=self._deployed)
                self.stopped = True
        except KeyboardInterrupt:
            self._progress.say("stopping at once")


def _tiny_models(folder: Path) -> dict[str, str]:
    """Make them. What they are written with is not in every image."""
    try:
        from llmpipeline_serve.local.tiny.make import make_tiny_models
    except ImportError as error:
        remedy = "install llmpipeline-kuberay[local], or use the image whose tag ends in -cpu"
        raise RunnerError(f"tiny models need {error.name}, which is not installed here: {remedy}", 3) from error
    return make_tiny_models(folder)


def _written(code: dict[str, dict[str, str]], folder: Path) -> Path:
    """Write what a cluster would mount, and return where."""
    for name, files in code.items():
        (folder / name).mkdir(parents=True)
        for file, text in files.items():
            (folder / name / file).write_text(text)
    return folder


def _interrupt_on_signals() -> None:
    """Make SIGTERM and SIGINT a KeyboardInterrupt. Ray replaces the handler of SIGTERM when it starts."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _sleep_forever() -> NoReturn:
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
