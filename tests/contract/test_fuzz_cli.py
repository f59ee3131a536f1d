"""Whatever a user types, however broken the files are and whatever answers: a sentence and an exit code, no traceback.

LLMPIPELINE_FUZZ_SEED=random tries other cases than the ones that are always the same, and LLMPIPELINE_FUZZ_EXAMPLES
so many of each.
"""

import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from llmpipeline.cli import serve
from llmpipeline.cli.init import KINDS, starter
from llmpipeline.cli.main import main
from support.repository import SAMPLES
from support.strategies.command_line import CONFIG, WORDS, body_of, broken, sound, with_junk

CODES = {0, 1, 2, 3, 130}
SEED = os.environ.get("LLMPIPELINE_FUZZ_SEED", "1")
EXAMPLES = int(os.environ.get("LLMPIPELINE_FUZZ_EXAMPLES", 0))
COMMANDS = main.list_commands(click.Context(main))
# They serve until they are stopped, or take what the others take.
NOT_RUN = {"operator"}


def count(usual: int) -> int:
    return EXAMPLES or usual


def dice(name: str) -> random.Random:
    return random.Random(f"{SEED if SEED != 'random' else random.random()} {name}")


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is written elsewhere, no cluster is there, and nothing runs for longer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("LLMPIPELINE_PROMETHEUS", raising=False)
    monkeypatch.setattr(serve, "_become_runner", lambda _: None)


def check(*arguments: str, given: bytes | None = None, about: object = "") -> None:
    """Runs it, and says which case it was if it ends otherwise than it should."""
    before = os.environ["KUBECONFIG"]
    result = CliRunner().invoke(main, arguments, input=given)
    os.environ["KUBECONFIG"] = before  # --kubeconfig sets it for the process, which ends after a command
    case = f"{arguments!r}\n{about!r}\n{result.output[-2000:]}"
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(case) from result.exception
    assert result.exit_code in CODES, case
    assert "Traceback" not in result.output, case
    assert result.exit_code == 0 or result.output.strip(), case
    assert result.exit_code != 2 or "Error: " in result.stderr, case


def arguments_of(command: str, chance: random.Random) -> list[str]:
    """Options that there are, and others, with values that may be."""
    known = main.get_command(click.Context(main), command)
    options = [name for it in known.params for name in it.opts] if known else []
    made = []
    for _ in range(chance.randrange(6)):
        kind = chance.random()
        if kind < 0.5 and options:
            made.append(chance.choice(options))
        if kind > 0.2:
            made.append(chance.choice(WORDS))
        if kind > 0.95:
            made.append(f"--{chance.choice(WORDS)}")
    # It would wait for as long as it says.
    return [it for it in made if it != "--wait"]


def test_any_arguments() -> None:
    chance = dice("arguments")
    names = [*(it for it in COMMANDS if it not in NOT_RUN), *COMMANDS, "", "statsu", "-", "--"]
    for _ in range(count(1500)):
        command = chance.choice(names)
        arguments = [command, *arguments_of(command, chance)]
        if command in NOT_RUN:
            arguments.append("--no-such-option")
        check(*arguments, given=b"")


def documents() -> list[str]:
    return [*(starter(kind) for kind in KINDS), *(file.read_text() for file in sorted(SAMPLES.glob("*.yaml")))]


def test_any_file() -> None:
    chance = dice("files")
    texts = documents()
    file, old = Path("x.yaml"), Path("old.yaml")
    old.write_text(starter("chat"))
    commands = (("validate",), ("validate", "-o", "json"), ("render",), ("plan", "--from", str(old)), ("serve",))
    for _ in range(count(800)):
        content = broken(chance.choice(texts), chance)
        file.write_bytes(content)
        command = chance.choice(commands)
        if chance.random() < 0.1:
            check(*command, "-", given=content, about=content)
        else:
            check(*command, str(file), about=content)


def test_any_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = dice("kubeconfigs")
    commands = (
        ("status",),
        ("status", "x"),
        ("plan", "x.yaml"),
        ("doctor",),
        ("logs", "x"),
        ("open", "x", "--port", "0"),
    )
    Path("x.yaml").write_text(starter("chat"))
    for _ in range(count(300)):
        # One way to log in, else the first wins.
        config = json.loads(json.dumps(CONFIG))
        user = config["users"][0]["user"]
        for way in [it for it in user if it != "client-certificate-data" and chance.random() < 0.7]:
            del user[way]
        changed = with_junk(config, chance)
        text = yaml.safe_dump(changed).encode()
        Path("config").write_bytes(broken(text.decode(), chance) if chance.random() < 0.2 else text)
        options = chance.choice(((), (), ("--context", chance.choice(WORDS))))
        check(*chance.choice(commands), "--kubeconfig", "config", *options, about=changed)


# Answers


class Answers(BaseHTTPRequestHandler):
    """Answers with what `answer` makes."""

    protocol_version = "HTTP/1.1"
    answer: Callable[[str], tuple[int, str, bytes]]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, kind, body = type(self).answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status in (301, 302, 307):
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815  # the handler's own naming

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Answers], str]]:
    handler = type("Handler", (Answers,), {})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.handle_error = lambda *_: None  # type: ignore[method-assign]  # a connection that a command has dropped
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    yield handler, f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


COMMANDS_OF_CLUSTERS = (
    ("status",),
    ("status", "-A", "-o", "json"),
    ("status", "chat"),
    ("status", "chat", "-o", "json"),
    ("plan", "x.yaml"),
    ("plan", "x.yaml", "-o", "json"),
    ("doctor",),
    ("doctor", "-n", "ml"),
    ("logs", "chat"),
    ("open", "chat", "--port", "0"),
    ("open", "chat", "--dashboard", "--port", "0"),
)


def test_any_answer(server: tuple[type[Answers], str]) -> None:
    handler, url = server
    chance = dice("answers")
    Path("x.yaml").write_text(starter("chat"))
    config = json.loads(json.dumps(CONFIG))
    config["clusters"][0]["cluster"] = {"server": url}
    config["users"][0]["user"] = {"token": "x"}
    Path("config").write_text(yaml.safe_dump(config))
    said: list[tuple[str, tuple[int, str, bytes]]] = []

    def answer(path: str) -> tuple[int, str, bytes]:
        # Most are sound, so that commands come to what is asked later.
        made = (
            (200, "application/json", json.dumps(sound(path)).encode())
            if chance.random() < 0.5
            else body_of(path, chance)
        )
        said.append((path, made))
        return made

    handler.answer = staticmethod(answer)  # type: ignore[method-assign]
    for _ in range(count(100)):
        said.clear()
        check(*chance.choice(COMMANDS_OF_CLUSTERS), "--kubeconfig", "config", about=said)
