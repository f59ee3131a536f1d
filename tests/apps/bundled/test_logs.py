"""What the apps log: JSON, under the request's id, and no texts of requests unless asked for."""

import json
import time
from pathlib import Path

from support.local.asking import ask
from support.local.runner import Runner

SECRET = "xylophone quixotry"


def logged(runner: Runner) -> dict[str, str]:
    """Every log file of Ray and of the apps, by name."""
    folder = Path(runner.dashboard_option("--temp-dir")) / "session_latest" / "logs"
    return {path.name: path.read_text(errors="replace") for path in folder.rglob("*.*") if path.is_file()}


def test_prompts_are_not_logged(bundled: Runner) -> None:
    for path, field in (("generate", "prompt"), ("toxicity", "text"), ("analyze", "text")):
        assert ask(f"{bundled.url}/{path}", {field: SECRET}).status == 200
    assert ask(f"{bundled.url}/generate", {"prompt": SECRET, "temperature": -1}).status == 400
    assert ask(f"{bundled.url}/failing", {"fail": True, "text": SECRET}).status == 502
    time.sleep(1)
    assert [name for name, text in logged(bundled).items() if SECRET in text] == []


def test_prompts_are_logged_where_the_resource_says_so(bundled: Runner) -> None:
    assert ask(f"{bundled.url}/double", {"input": 4, "note": SECRET}).status == 400
    assert ask(f"{bundled.url}/double", {"input": 987654321012345}, X_Request_ID="to-be-found").status == 200
    deadline = time.monotonic() + 10
    lines: list[dict[str, str]] = []
    while not lines and time.monotonic() < deadline:
        text = "\n".join(text for name, text in logged(bundled).items() if name.startswith("replica_double_"))
        lines = [json.loads(line) for line in text.splitlines() if "987654321012345" in line]
    (line,) = lines
    assert line["request_id"] == "to-be-found"
    assert line["message"] == 'request {"input":987654321012345}'
    assert (line["application"], line["deployment"]) == ("double", "double_Batch")
