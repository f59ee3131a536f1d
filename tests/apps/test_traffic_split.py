"""trafficSplit on real Ray Serve: two copies of an awkward app behind it, and the sample."""

import asyncio
import hashlib
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from support.local.runner import Runner, as_in_pods, rendered, running, sample_apps
from support.repository import ROOT

SAMPLE = ROOT / "manifests" / "samples" / "traffic-split.yaml"
PAGE = ROOT / "docs" / "apps" / "traffic-split.md"
SMALL = {"cpus": "100m"}
TEN_MEGABYTES = random.Random(0).randbytes(10_000_000)
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]


def variant(name: str) -> dict[str, Any]:
    """An app of tests/shared/split_variant.py."""
    return {"name": name, "custom": {"importPath": "split_variant:build", "args": {"name": name}}}


def split(name: str, weights: dict[str, int], **fields: Any) -> dict[str, Any]:
    variants = [{"name": f"the-{app}", "app": app, "weight": weight} for app, weight in weights.items()]
    return {"name": name, "trafficSplit": {"variants": variants, "resources": SMALL, **fields}}


def pipeline_apps(weights: dict[str, int]) -> list[dict[str, Any]]:
    """The sample's apps and ours, as the operator renders them."""
    return rendered(
        *sample_apps("traffic-split"),
        variant("a"),
        variant("b"),
        split("ab", weights, sticky={"header": "X-User"}, overrideHeader="X-Pick"),
        split("hasty", {"a": 1}, timeoutSeconds=1, sticky={"cookie": "session"}, shadow=[{"app": "b", "percent": 100}]),
    )


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    temporary = tmp_path_factory.mktemp("split")
    with running(temporary, *pipeline_apps({"a": 90, "b": 10}), env=as_in_pods()) as started:
        yield started


def edit(runner: Runner, weights: dict[str, int]) -> None:
    """An edit of the weights, as KubeRay sends it."""
    apps = pipeline_apps(weights)
    for app in apps:
        if "port" in app["args"]:
            # What the runner did to the Serve config that it was started with.
            app["args"]["port"] = runner.port
    runner.put(*apps)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that does nothing by itself."""
    timeout = aiohttp.ClientTimeout(total=30)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=jar, timeout=timeout) as session:
        yield session


def wait_until(holds: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


async def seen(client: aiohttp.ClientSession, url: str, app: str = "a") -> list[str]:
    async with client.get(f"{url}/{app}/seen") as answer:
        notes: list[str] = await answer.json()
        return notes


async def until_seen(client: aiohttp.ClientSession, url: str, note: str, times: int, app: str = "a") -> None:
    async with asyncio.timeout(10):
        while (await seen(client, url, app)).count(note) < times:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("method", METHODS)
async def test_a_request_reaches_the_variant_as_it_was(
    runner: Runner, client: aiohttp.ClientSession, method: str
) -> None:
    path = "/about/x%2Fy%20z/%C3%A9?q=a%20b&c&q=%2B"
    headers = [("X-Request-ID", "mine"), ("Cookie", "a=1; session=2"), ("X-Thing", "é"), ("X-Thing", "2")]
    answers = []
    for app in ("a", "ab"):
        sent = {**({"data": b"\x00\xff"} if method not in ("GET", "HEAD") else {})}
        picked = [*headers, ("X-Pick", "the-a")]
        async with client.request(method, f"{runner.url}/{app}{path}", headers=picked, **sent) as answer:
            body = await answer.read()
            shown = json.loads(body) if body else {}
            if shown:
                # `connection` is between two neighbours: whether the one before the variant closes is no part of it.
                shown["headers"] = [pair for pair in shown["headers"] if pair[0] != "connection"]
            answers.append((answer.status, answer.headers["X-Seen-Method"], answer.headers["X-Request-ID"], shown))
    direct, passed = answers
    if method != "HEAD":
        passed[3]["headers"].remove(["x-llmpipeline-split", "ab"])
        assert passed[3]["path"] == "/about/x%2Fy%20z/%C3%A9"
    assert passed == direct


@pytest.mark.parametrize("path", ["headers", "redirect", "status/204", "status/304", "status/418", "status/500", "no"])
async def test_an_answer_comes_back_as_it_was(runner: Runner, client: aiohttp.ClientSession, path: str) -> None:
    async def ask(app: str) -> tuple[int, list[Any], bytes]:
        headers = {"X-Pick": "the-a", "X-Request-ID": "mine"}
        url = f"{runner.url}/{app}/{path}"
        async with client.get(url, headers=headers, allow_redirects=False) as answer:
            # `connection` is between two neighbours: whether one of them closes is no part of the answer.
            own = (b"date", b"x-variant", b"connection")
            kept = [pair for pair in answer.raw_headers if pair[0] not in own]
            return answer.status, kept, await answer.read()

    assert await ask("ab") == await ask("a")


async def test_the_answer_names_the_variant(runner: Runner, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{runner.url}/ab/headers", headers={"X-Pick": "the-b"}) as answer:
        assert answer.headers.getall("X-Variant") == ["the-b"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_both_ways(runner: Runner, client: aiohttp.ClientSession, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(TEN_MEGABYTES), 300_000):
            yield TEN_MEGABYTES[start : start + 300_000]

    async with client.post(f"{runner.url}/ab/echo", data=pieces() if chunked else TEN_MEGABYTES) as answer:
        assert answer.status == 200
        assert hashlib.sha256(await answer.read()).digest() == hashlib.sha256(TEN_MEGABYTES).digest()


async def test_events_arrive_one_by_one(runner: Runner, client: aiohttp.ClientSession) -> None:
    at = []
    async with client.get(f"{runner.url}/ab/events?count=4&gap=0.5") as answer:
        assert answer.content_type == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data"):
                at.append(time.monotonic())
    assert len(at) == 4
    assert all(0.2 < later - earlier < 1.5 for earlier, later in itertools.pairwise(at))


async def test_an_answer_that_breaks_off_breaks_off(runner: Runner, client: aiohttp.ClientSession) -> None:
    for app in ("a", "ab"):
        async with client.get(f"{runner.url}/{app}/broken") as answer:
            assert answer.status == 200
            assert await answer.content.readexactly(5) == b"half "
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


async def test_too_slow(runner: Runner, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{runner.url}/hasty/slow?seconds=9") as answer:
        assert answer.status == 504
        assert (await answer.json())["error"]["type"] == "timeout"
        assert answer.headers["X-Variant"] == "the-a"


@pytest.mark.parametrize("path", ["events?count=100&gap=0.1", "slow?seconds=60"])
async def test_the_variant_hears_when_the_client_leaves(
    runner: Runner, client: aiohttp.ClientSession, path: str
) -> None:
    note = f"{path.partition('?')[0]} cut off"
    before = (await seen(client, runner.url)).count(note)
    headers = {"X-Pick": "the-a"}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), client.get(f"{runner.url}/ab/{path}", headers=headers) as answer:
            await answer.read()
    await until_seen(client, runner.url, note, before + 1)


async def test_an_unknown_variant_is_refused(runner: Runner, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{runner.url}/ab/about", headers={"X-Pick": "the-c"}) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == {
            "type": "invalid_request",
            "message": "X-Pick: no variant of this name; there are the-a, the-b",
            "field": "X-Pick",
        }


async def test_a_loop_ends(runner: Runner, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{runner.url}/ab/about", headers={"X-LLMPipeline-Split": "front"}) as answer:
        assert answer.status == 508


async def who_answers(client: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
    async with client.get(url, headers=headers) as answer:
        assert answer.status == 200
        await answer.read()
        return answer.headers["X-Variant"]


async def by_user(client: aiohttp.ClientSession, runner: Runner, users: int) -> dict[int, str]:
    url = f"{runner.url}/ab/status/200"
    answers = await asyncio.gather(*(who_answers(client, url, {"X-User": f"user-{user}"}) for user in range(users)))
    return dict(enumerate(answers))


async def test_a_user_stays_and_a_change_of_weights_moves_few(runner: Runner, client: aiohttp.ClientSession) -> None:
    first = await by_user(client, runner, 150)
    assert await by_user(client, runner, 150) == first
    await change_weights(runner, client, {"a": 60, "b": 40})
    second = await by_user(client, runner, 150)
    moved = {user for user in first if first[user] != second[user]}
    assert moved
    assert all(second[user] == "the-b" for user in moved)
    await change_weights(runner, client, {"a": 90, "b": 10})
    assert await by_user(client, runner, 150) == first


async def change_weights(runner: Runner, client: aiohttp.ClientSession, weights: dict[str, int]) -> None:
    """An edit of the weights; returns when its effect is seen."""
    await asyncio.to_thread(edit, runner, weights)
    # The shares of a deck are exact, and this many are two decks of each of the weights here.
    async with asyncio.timeout(30):
        while True:
            answers = [await who_answers(client, f"{runner.url}/ab/status/200", {}) for _ in range(20)]
            if abs(answers.count("the-b") / 20 - weights["b"] / 100) <= 0.1:
                return


def replicas(runner: Runner, app: str) -> set[str]:
    deployment = runner.applications()[app]["deployments"]["TrafficSplit"]
    return {replica["replica_id"] for replica in deployment["replicas"]}


async def test_a_change_of_weights_under_load_loses_nothing(runner: Runner, client: aiohttp.ClientSession) -> None:
    counts: Counter[str] = Counter()
    stop = asyncio.Event()

    async def load(number: int) -> None:
        while not stop.is_set():
            method, path = ("POST", "echo") if number % 2 else ("GET", "events?count=3&gap=0.05")
            data = b"x" * 1000 if number % 2 else None
            async with client.request(method, f"{runner.url}/ab/{path}", data=data) as answer:
                body = await answer.read()
                whole = body == (data or b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
                counts["whole" if answer.status == 200 and whole else f"lost {answer.status}"] += 1

    before = replicas(runner, "ab")
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(load(number))
        for b in (50, 0, 100, 10):
            await asyncio.to_thread(edit, runner, {"a": 100 - b, "b": b})
            await asyncio.sleep(1.5)
        stop.set()
    assert set(counts) == {"whole"}
    assert counts["whole"] > 200
    assert replicas(runner, "ab") == before
    wait_until(lambda: runner.applications()["ab"]["status"] == "RUNNING")


async def test_the_shares_are_the_weights(runner: Runner, client: aiohttp.ClientSession) -> None:
    url = f"{runner.url}/ab/status/200"
    answers = Counter(await asyncio.gather(*(who_answers(client, url, {}) for _ in range(100))))
    # The first and the last deck may be dealt in part.
    assert abs(answers["the-b"] - 10) <= 2


async def test_a_cookie_stands_for_the_user(runner: Runner, client: aiohttp.ClientSession) -> None:
    headers = {"Cookie": "other=x; session=me"}
    assert await who_answers(client, f"{runner.url}/hasty/status/200", headers) == "the-a"


async def test_copies_go_to_the_shadow(runner: Runner, client: aiohttp.ClientSession) -> None:
    before = (await seen(client, runner.url, "b")).count("about true")
    async with client.post(f"{runner.url}/hasty/about", data=b"copy me") as answer:
        assert (await answer.json())["name"] == "a"
    await until_seen(client, runner.url, "about true", before + 1, "b")
    async with client.post(f"{runner.url}/hasty/about", data=bytes(2_000_000)) as answer:
        assert answer.status == 200
        await answer.read()
    async with client.get(f"{runner.url}/hasty/about") as answer:
        await answer.read()
    await until_seen(client, runner.url, "about true", before + 2, "b")
    assert (await seen(client, runner.url, "b")).count("about true") == before + 2


async def test_a_new_replica_decides_as_the_old(runner: Runner, client: aiohttp.ClientSession) -> None:
    first = await by_user(client, runner, 50)
    before = replicas(runner, "ab")
    (replica,) = runner.applications()["ab"]["deployments"]["TrafficSplit"]["replicas"]
    psutil.Process(replica["pid"]).kill()
    async with asyncio.timeout(60):
        while replicas(runner, "ab") == before or not await answers(client, f"{runner.url}/ab/status/200"):
            await asyncio.sleep(0.3)
    assert await by_user(client, runner, 50) == first


async def answers(client: aiohttp.ClientSession, url: str) -> bool:
    """Whether an app answers; until Serve's proxy knows a new replica, it answers 404 or 503 in its place, or waits."""
    try:
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=5)) as answer:
            return answer.status == 200
    except (TimeoutError, aiohttp.ClientError):
        return False


async def test_prometheus_sees_each_variant(runner: Runner, client: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{exporter(runner)}/metrics"
    wanted = {
        "ray_llmpipeline_split_requests_total",
        "ray_llmpipeline_split_errors_total",
        "ray_llmpipeline_split_first_byte_seconds_bucket",
        "ray_llmpipeline_split_latency_seconds_count",
        "ray_llmpipeline_split_shadow_requests_total",
    }
    async with asyncio.timeout(45):
        while True:
            async with client.get(url, headers={"Accept-Encoding": "identity"}) as answer:
                lines = [line for line in (await answer.text()).splitlines() if "llmpipeline_split" in line]
            if wanted <= {line.partition("{")[0] for line in lines}:
                break
            await asyncio.sleep(1)
    (hasty,) = [line for line in lines if "split_errors_total{" in line and 'application="hasty"' in line]
    assert 'variant="the-a"' in hasty
    assert float(hasty.rpartition(" ")[2]) >= 1


def exporter(runner: Runner) -> int:
    """The port on which the node answers Prometheus."""
    session = Path(runner.dashboard_option("--temp-dir")) / "session_latest"
    (file,) = session.glob("metrics_export_port_*")
    return int(file.read_text())


async def test_the_page(runner: Runner, client: aiohttp.ClientSession) -> None:
    """The requests on the docs page are answered as it says."""
    asked = re.findall(r"\$ curl -s (.*)\n(\{.*\})\n", PAGE.read_text())
    assert asked
    for command, shown in asked:
        url, *options = command.replace("localhost:8000", f"127.0.0.1:{runner.port}").split(" -H ")
        headers = dict(option.strip("'").split(": ") for option in options)
        async with client.get(f"http://{url}", headers=headers) as answer:
            got, expected = await answer.json(), json.loads(shown)
        assert got.keys() == expected.keys()
        assert {**got, "replica": ""} == {**expected, "replica": ""} if "replica" in got else got == expected
