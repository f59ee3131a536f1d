"""`llmpipeline logs`: what is read from Ray's dashboard, and how it is shown. Behind the API server: `control_plane`.

The dashboard is a server of this machine that answers as Ray 2.60 was seen to.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from click.testing import CliRunner

from llmpipeline.cli.log_following import Following
from llmpipeline.cli.log_lines import Line, after, in_order, parsed, printable
from llmpipeline.cli.logs import choose, show_once
from llmpipeline.cli.main import main
from llmpipeline.cli.ray_logs import NoLogs, RayLogs

TOKEN = "of-ray"


def line(message: str, second: int = 0, **fields: str) -> str:
    time = f"2026-01-01 00:00:{second:02},000"
    return json.dumps({"levelname": "INFO", "asctime": time, "message": message, **fields})


class Dashboard:
    """Apps, and files by their names."""

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}
        self.running: dict[str, list[str]] = {"chat": []}
        self.states: dict[str, Any] = {}
        self.streams = 0
        self.raw: str | None = None
        self._changed = asyncio.Condition()

    def start(self, app: str, replica: str, *lines: str) -> None:
        self.files[f"serve/replica_{app}_LLM_{replica}.log"] = list(lines)
        self.running.setdefault(app, []).append(replica)

    async def write(self, replica: str, *lines: str) -> None:
        name = next(name for name in self.files if name.endswith(f"_{replica}.log"))
        self.files[name] += lines
        async with self._changed:
            self._changed.notify_all()

    async def cut(self) -> None:
        self.streams += 1
        async with self._changed:
            self._changed.notify_all()

    async def apps(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, text="no token")
        if self.raw is not None:
            return web.Response(text=self.raw)
        applications = {name: self._app(name, replicas) for name, replicas in self.running.items()}
        return web.json_response({"applications": applications})

    def _app(self, name: str, replicas: list[str]) -> dict[str, Any]:
        found = [
            {"replica_id": it, "node_id": "n1", "log_file_path": f"/serve/replica_{name}_LLM_{it}.log"}
            for it in replicas
        ]
        starting = {"replica_id": "starts", "node_id": None, "log_file_path": None}
        deployments = {"LLM": {"status": "HEALTHY", "message": "", "replicas": [*found, starting]}}
        return {"status": "RUNNING", "message": "", "deployments": deployments, **self.states.get(name, {})}

    async def nodes(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": {"result": {"result": [{"node_id": "n1"}]}}})

    async def list(self, request: web.Request) -> web.Response:
        prefix = request.query["glob"].removesuffix("*")
        return web.json_response({"data": {"result": {"internal": [it for it in self.files if it.startswith(prefix)]}}})

    async def file(self, request: web.Request) -> web.StreamResponse:
        lines = self.files.get(request.query["filename"])
        if lines is None:
            return web.Response(status=500, text="A file is not found")
        first = max(0, len(lines) - int(request.query["lines"])) if request.query["lines"] != "-1" else 0
        if request.match_info["kind"] == "file":
            return web.Response(text="".join(f"{it}\n" for it in lines[first:]))
        response = web.StreamResponse()
        await response.prepare(request)
        round_ = self.streams
        while round_ == self.streams:
            await response.write("".join(f"{it}\n" for it in lines[first:]).encode())
            first = len(lines)
            async with self._changed:
                await self._changed.wait_for(lambda first=first: len(lines) > first or round_ != self.streams)
        return response


@pytest.fixture
def dashboard() -> Dashboard:
    return Dashboard()


@pytest.fixture
async def ray(dashboard: Dashboard) -> AsyncIterator[RayLogs]:
    application = web.Application()
    application.router.add_get("/api/serve/applications/", dashboard.apps)
    application.router.add_get("/api/v0/nodes", dashboard.nodes)
    application.router.add_get("/api/v0/logs", dashboard.list)
    application.router.add_get("/api/v0/logs/{kind}", dashboard.file)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield RayLogs(session, url, {"Authorization": f"Bearer {TOKEN}"})
    await runner.cleanup()


async def once(ray: RayLogs, app: str | None = None, tail: int = 100, *, previous: bool = False) -> list[str]:
    shown: list[Line] = []
    await show_once(ray, app, shown.append, tail, previous=previous)
    return [str(it.fields.get("message", it.raw)) for it in shown]


async def test_the_lines_of_all_replicas_in_the_order_of_their_times(ray: RayLogs, dashboard: Dashboard) -> None:
    dashboard.start("chat", "a", line("one", 1), "a traceback", line("four", 4))
    dashboard.start("chat", "b", line("two", 2), line("three", 3))
    dashboard.start("other", "c", line("five", 5))
    assert await once(ray) == ["one", "a traceback", "two", "three", "four", "five"]
    assert await once(ray, "chat", 1) == ["three", "four"]
    assert await once(ray, "chat", 0) == []
    assert len(await once(ray, "chat", -1)) == 5


async def test_replicas_that_ended(ray: RayLogs, dashboard: Dashboard) -> None:
    dashboard.start("chat", "a", line("runs"))
    dashboard.start("chat", "b", line("ended"))
    dashboard.start("chat-two", "c", line("of another app"))
    dashboard.running["chat"].remove("b")
    assert await once(ray, "chat", previous=True) == ["ended"]


async def test_an_app_that_fails_says_why(
    ray: RayLogs, dashboard: Dashboard, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = "failed:\nTraceback (most recent call last):\n  File x.py, line 1, in y\nRuntimeError: no \x1b[2Jmodel\n"
    deployment = {"status": "UNHEALTHY", "message": trace, "replicas": []}
    dashboard.states["chat"] = {"status": "DEPLOY_FAILED", "message": "failed", "deployments": {"LLM": deployment}}
    with pytest.raises(SystemExit) as ended:
        await once(ray, "chat")
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "app chat is DEPLOY_FAILED: LLM: RuntimeError: no model" in said
    assert "no replica of chat runs; --previous shows those that ended" in said


@pytest.mark.parametrize(("running", "says"), [({}, "has none yet"), ({"chat": [], "b": []}, "there are b, chat")])
async def test_an_app_that_is_not_there(
    ray: RayLogs, dashboard: Dashboard, running: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboard.running = running
    with pytest.raises(SystemExit):
        await once(ray, "chta")
    assert f"there is no app chta; {says}" in capsys.readouterr().err.replace("Ray Serve ", "")


@pytest.mark.parametrize(
    "raw", ["", "<html>", "[]", "3", '{"applications": 3}', '{"applications": {"a": {}}}', "[" * 5000]
)
async def test_answers_of_something_else(ray: RayLogs, dashboard: Dashboard, raw: str) -> None:
    dashboard.raw = raw
    with pytest.raises(NoLogs, match="Ray's dashboard"):
        await ray.apps()


async def test_a_wrong_token_and_a_file_that_is_gone(ray: RayLogs, dashboard: Dashboard) -> None:
    with pytest.raises(NoLogs, match="HTTP 401: no token"):
        await RayLogs(ray._session, ray._url, {}).apps()
    dashboard.start("chat", "a")
    dashboard.files.clear()
    with pytest.raises(NoLogs, match="the log of chat/LLM#a cannot be read: A file is not found"):
        await once(ray)


class Followed:
    """`--follow` beside the test."""

    def __init__(self, ray: RayLogs, tail: int = 2, app: str | None = None) -> None:
        self.shown: list[str] = []
        self.said: list[str] = []

        def show(line: Line) -> None:
            self.shown.append(str(line.fields.get("message", line.raw)))

        following = Following(lambda apps: choose(apps, app), show, tail, self.said.append, 0.05)
        self.task = asyncio.create_task(following.run(lambda: ray))

    async def until(self, *messages: str) -> None:
        async with asyncio.timeout(10):
            while self.shown != list(messages):
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def followed(ray: RayLogs, dashboard: Dashboard) -> AsyncIterator[Followed]:
    dashboard.start("chat", "a", "one", "two", "three")
    running = Followed(ray)
    await running.until("two", "three")
    yield running
    await running.end()


async def test_what_is_written_from_now_on(followed: Followed, dashboard: Dashboard) -> None:
    await dashboard.write("a", "four")
    await followed.until("two", "three", "four")


async def test_a_replica_that_comes_later_is_shown_from_its_beginning(followed: Followed, dashboard: Dashboard) -> None:
    dashboard.start("chat", "b", "1", "2", "3", "4")
    await followed.until("two", "three", "1", "2", "3", "4")


async def test_a_stream_that_breaks_loses_and_repeats_nothing(followed: Followed, dashboard: Dashboard) -> None:
    await dashboard.cut()
    await dashboard.write("a", "four", "five")
    await followed.until("two", "three", "four", "five")
    await dashboard.write("a", "six")
    await followed.until("two", "three", "four", "five", "six")


async def test_a_dashboard_that_is_away_is_asked_again(followed: Followed, dashboard: Dashboard) -> None:
    dashboard.raw = "<html>"
    await asyncio.sleep(0.3)
    dashboard.raw = None
    dashboard.start("chat", "b", "back")
    await followed.until("two", "three", "back")
    assert followed.said == ["Ray's dashboard answers with something that is not JSON; trying again"]


async def test_no_line_from_before(ray: RayLogs, dashboard: Dashboard) -> None:
    dashboard.start("chat", "a", "one", "two")
    running = Followed(ray, 0)
    await asyncio.sleep(0.3)
    await dashboard.write("a", "three")
    await running.until("three")
    await running.end()


async def test_it_ends_with_what_reads_it(ray: RayLogs, dashboard: Dashboard) -> None:
    def show(_line: Line) -> None:
        raise BrokenPipeError

    dashboard.start("chat", "a", "one")
    with pytest.raises(BrokenPipeError):
        async with asyncio.timeout(10):
            await Following(lambda apps: apps, show, 1, print, 0.05).run(lambda: ray)


# Lines


def test_a_line_for_people_and_one_for_programs() -> None:
    raw = line("asked \x1b[31m", 7, request_id="r1", exc_text="Traceback\n  File x\nValueError: y")
    shown = parsed("chat/LLM#a", raw)
    assert shown.as_text().splitlines() == [
        "2026-01-01 00:00:07,000  INFO   \x1b[0m  chat/LLM#a  asked [31m  [r1]",
        "    Traceback",
        "      File x",
        "    ValueError: y",
    ]
    assert json.loads(shown.as_json()) == json.loads(raw)
    assert parsed("r", "text\x07").as_text() == "r  text"
    assert json.loads(parsed("r", "text").as_json()) == {"replica": "r", "message": "text"}


@pytest.mark.parametrize("raw", ["", "[1]", "3", "{", "[" * 100_000, '{"asctime": 3, "levelname": [], "message": {}}'])
def test_any_line_is_shown(raw: str) -> None:
    assert printable(parsed("r", raw).as_text().replace("\n", "").replace("\x1b", ""))
    assert parsed("r", raw).as_json() is not None


def test_lines_of_one_replica_keep_their_order() -> None:
    lines = [parsed("a", line(str(number), 9 - number)) for number in range(9)]
    assert [it.fields["message"] for it in in_order([lines])] == [str(number) for number in range(9)]


@pytest.mark.parametrize(("last", "expected"), [(None, "abcb"), ("b", ""), ("a", "bcb"), ("z", "abcb")])
def test_what_is_new(last: str | None, expected: str) -> None:
    assert "".join(after(list("abcb"), last)) == expected


def test_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/does/not/exist")
    for arguments, code in ((["x", "-f", "-p"], 2), (["x", "--tail", "-2"], 2), (["../x"], 2), (["x"], 3)):
        assert CliRunner().invoke(main, ["logs", *arguments]).exit_code == code, arguments
