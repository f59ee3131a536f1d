"""What Ray Serve costs: the tokens per second of a rendered `openai` app, held against vLLM's own server.

Both serve the same tiny random model on this machine and get the same load in turns, so that whatever else the machine
does meanwhile hits both. The engine is next to free, which makes the framework's own cost as large as it gets: with a
real model, whose step takes ten times as long, the ratio is nearer to one.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llmpipeline_serve.local.tiny.llama import make_tiny_llama
from support.child_process import free_port
from support.local.runner import START_SECONDS, as_in_pods, rendered, running, sample_apps

STOP_SECONDS = 90
WARM_UP_REQUESTS = 64
# As the runner has them; without a compiler even the sampler must not compile.
VLLM_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True)
class Load:
    """What is asked: streamed completions, so many at once."""

    requests: int
    at_once: int
    tokens: int


@dataclass(frozen=True)
class Round:
    """One load on one server."""

    tokens_per_second: float
    first_token_ms: float
    """Median over the requests."""
    cpu_ms: float
    """CPU time of all the server's processes, for 1,000 tokens."""


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, the model's id, and the process that all of its processes are below."""

    name: str
    url: str
    model: str
    process: psutil.Process

    def cpu_seconds(self) -> dict[int, float]:
        """CPU time of each living process."""
        times = {}
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                spent = process.cpu_times()
            except psutil.Error:
                continue
            times[process.pid] = spent.user + spent.system
        return times


@dataclass
class Result:
    """All rounds: pairs, one on each server."""

    load: Load
    cores: int
    pairs: list[tuple[Round, Round]] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Our tokens per second as a share of vLLM's, the median over the pairs."""
        return statistics.median(ours.tokens_per_second / alone.tokens_per_second for alone, ours in self.pairs)

    @property
    def best_ratio(self) -> float:
        """The same of the best quarter of the rounds of each: what is left when nothing else runs here."""
        alone, ours = ([pair[side].tokens_per_second for pair in self.pairs] for side in (0, 1))
        return _best_quarter(ours) / _best_quarter(alone)

    def as_json(self) -> str:
        """Everything, for later comparison."""
        return json.dumps({**asdict(self), "ratio": self.ratio, "best_ratio": self.best_ratio}, indent=1)

    def as_table(self) -> str:
        """The main numbers, for people."""
        load = self.load
        said = f"{load.requests} streamed completions of {load.tokens} tokens, {load.at_once} at once"
        lines = [f"{said}; {len(self.pairs)} rounds in turns; {self.cores} cores", ""]
        lines.append(f"{'':<24}{'tokens/s':>10}{'best quarter':>14}{'first token':>13}{'CPU per 1,000':>15}")
        for side, name in enumerate(("vLLM's own server", "the rendered app")):
            rounds = [pair[side] for pair in self.pairs]
            rates = [it.tokens_per_second for it in rounds]
            first, cpu = (statistics.median(values) for values in _columns(rounds))
            lines.append(
                f"{name:<24}{statistics.median(rates):>10,.0f}{_best_quarter(rates):>14,.0f}"
                f"{first:>10,.0f} ms{cpu:>12,.0f} ms"
            )
        lines.append(f"{'ratio':<24}{self.ratio:>10.2f}{self.best_ratio:>14.2f}")
        return "\n".join(lines)


def measure(alone: Server, ours: Server, load: Load, rounds: int) -> Result:
    """Warm both up, then take turns; who begins alternates."""
    result = Result(load, psutil.cpu_count() or 1)
    for server in (alone, ours):
        asyncio.run(ask(server, Load(WARM_UP_REQUESTS, load.at_once, load.tokens)))
    for number in range(rounds):
        order = (alone, ours) if number % 2 == 0 else (ours, alone)
        done = {server.name: one_round(server, load) for server in order}
        result.pairs.append((done[alone.name], done[ours.name]))
    return result


def one_round(server: Server, load: Load) -> Round:
    """Ask one server, and look what that took."""
    before = server.cpu_seconds()
    started = time.perf_counter()
    first_tokens = asyncio.run(ask(server, load))
    seconds = time.perf_counter() - started
    spent = sum(now - before.get(pid, 0) for pid, now in server.cpu_seconds().items())
    tokens = load.requests * load.tokens
    return Round(tokens / seconds, statistics.median(first_tokens) * 1e3, spent * 1e6 / tokens)


async def ask(server: Server, load: Load) -> list[float]:
    """Seconds to the first token of each request.

    Raises:
        RuntimeError: An answer is an error, or not as long as asked for.
    """
    gate = asyncio.Semaphore(load.at_once)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=connector) as session:

        async def one() -> float:
            async with gate:
                return await _completion(session, server.model, load.tokens)

        return await asyncio.gather(*(one() for _ in range(load.requests)))


async def _completion(session: aiohttp.ClientSession, model: str, tokens: int) -> float:
    body = {
        "model": model,
        "prompt": "The quick brown fox",
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    started = time.perf_counter()
    first, tail = 0.0, b""
    async with session.post("/v1/completions", json=body) as response:
        async for chunk in response.content.iter_any():
            first = first or time.perf_counter() - started
            tail = (tail + chunk)[-600:]
        if response.status != 200 or b'"completion_tokens":%d' % tokens not in tail.replace(b": ", b":"):
            raise RuntimeError(f"{response.url} answered {response.status}: {tail.decode(errors='replace')}")
    return first


@contextmanager
def vllm_alone(folder: Path, model: str) -> Iterator[Server]:
    """The server that vLLM brings, with the runner's tiny model and the arguments that it gives to the engine."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", str(make_tiny_llama(folder / "tiny")), "--served-model-name", model]
    command += ["--max-model-len", "256", "--dtype", "bfloat16", "--enforce-eager"]
    with _process(command, folder / "vllm.log", VLLM_ENVIRONMENT) as process:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health", process, folder / "vllm.log")
        yield Server("vLLM", url, model, process)


@contextmanager
def rendered_app(folder: Path, model: str) -> Iterator[Server]:
    """The sample's apps as a cluster's Pods run them: the Serve config of the plan, and the environment of the Pods."""
    with running(folder, *rendered(*sample_apps("quickstart")), env=as_in_pods()) as runner:
        yield Server("app", runner.url, model, psutil.Process(runner.process.pid))


@contextmanager
def _process(command: list[str], log: Path, variables: dict[str, str]) -> Iterator[psutil.Process]:
    """A process of its own session, stopped as Ctrl-C does; what it does not end by itself is ended."""
    environment = {**os.environ, **variables}
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    process = psutil.Process(child.pid)
    below: list[psutil.Process] = []
    try:
        yield process
    finally:
        if child.poll() is None:
            below = process.children(recursive=True)
            child.send_signal(signal.SIGINT)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
        for left in psutil.wait_procs(below, timeout=5)[1]:
            left.kill()


def _wait(url: str, process: psutil.Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"{url} does not answer:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:]))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Tokens per second of the rendered app against vLLM's own server.")
    parser.add_argument("--requests", type=int, default=64, help="requests of a round (default 64)")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="tokens of an answer, at most 200 (default 64)")
    parser.add_argument("--rounds", type=int, default=16, help="rounds on each server (default 16)")
    parser.add_argument("-o", choices=("table", "json"), default="table", dest="output")
    arguments = parser.parse_args()
    # As Ctrl-C does: stop what was started, then end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load = Load(arguments.requests, arguments.at_once, arguments.tokens)
    model = _sample_model()
    with tempfile.TemporaryDirectory(prefix="llmp-b") as name:
        folder = Path(name)
        with vllm_alone(folder, model) as alone, rendered_app(folder, model) as ours:
            result = measure(alone, ours, load, arguments.rounds)
    print(result.as_json() if arguments.output == "json" else result.as_table())
    return 0


def _sample_model() -> str:
    (app,) = [app for app in sample_apps("quickstart") if "openai" in app]
    return str(app["openai"]["models"][0]["name"])


def _columns(rounds: list[Round]) -> tuple[list[float], list[float]]:
    return [it.first_token_ms for it in rounds], [it.cpu_ms for it in rounds]


def _best_quarter(rates: list[float]) -> float:
    best = sorted(rates)[-max(1, len(rates) // 4) :]
    return statistics.fmean(best)


if __name__ == "__main__":
    sys.exit(main())
