"""What the API server says in an error, in JSON and in protobuf (`k8s.io/apimachinery/pkg/runtime/generated.proto`)."""

import json
from typing import Final

REASONS: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    504: "Timeout",
}
_MAGIC: Final = b"k8s\x00"


def status(code: int, message: str) -> bytes:
    """A Status in JSON."""
    content = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return json.dumps({**content, "reason": REASONS.get(code, ""), "code": code}).encode()


def error_event(code: int, message: str, *, protobuf: bool) -> bytes:
    """The event ERROR of a watch, framed as a watch is in that encoding."""
    if not protobuf:
        return b'{"type": "ERROR", "object": ' + status(code, message) + b"}\n"
    kind = _field(1, b"v1") + _field(2, b"Status")
    texts = {1: "", 2: "Failure", 3: message, 4: REASONS.get(code, "")}
    content = b"".join(_field(number, text.encode()) for number, text in texts.items()) + b"\x30" + _varint(code)
    unknown = _MAGIC + _field(1, kind) + _field(2, content) + _field(3, b"") + _field(4, b"")
    event = _field(1, b"ERROR") + _field(2, _field(1, unknown))
    return len(event).to_bytes(4) + event


def _field(number: int, content: bytes) -> bytes:
    """A field of the wire type that has a length: a text, bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))
