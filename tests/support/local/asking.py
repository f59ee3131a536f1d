"""How the apps' tests render apps and ask them."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

SMALL = {"cpus": "100m"}
HUB = {"huggingFace": {"repository": "nobody/nothing"}}


def node(name: str, *after: str, function: str, **fields: Any) -> dict[str, Any]:
    """A node of the user's own code in code/own_code.py."""
    code = {"importPath": f"own_code:{function}"}
    return {"name": name, "after": list(after), "custom": code, "resources": SMALL, **fields}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        assert self.json.keys() == {"error"}
        assert self.json["error"].keys() == {"type", "message", "field"}
        error: dict[str, Any] = self.json["error"]
        return error


def ask(url: str, body: Any = None, *, raw: bytes | None = None, method: str = "POST", **headers: str) -> Answer:
    """Ask and return the answer, whatever its status."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        url, data=data, method=method, headers={"Content-Type": "application/json", **named}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
