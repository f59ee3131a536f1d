"""Metadata in protobuf: what of it is read, and how a watch comes in pieces."""

import pytest

from llmpipeline.cluster import metadata
from llmpipeline.cluster.errors import Unreachable
from llmpipeline.cluster.metadata import Frames, Metadata, Owner, Page, WatchEvent, decode_object, decode_page
from llmpipeline.names import Key


def message(name: str, /, **fields: object) -> bytes:
    content: bytes = metadata._CLASSES[name](**fields).SerializeToString()
    return content


def wrapped(content: bytes) -> bytes:
    return b"k8s\x00" + message("Unknown", raw=content)


def described(name: str, version: str = "3", **fields: object) -> dict[str, object]:
    return {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": version, **fields}


def frame(kind: str, content: bytes) -> bytes:
    event = message("WatchEvent", type=kind, object={"raw": wrapped(content)})
    return len(event).to_bytes(4) + event


OWNERS = [
    {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"},
    {"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "2", "controller": True},
]


def test_an_object() -> None:
    fields = described("a", generation=4, deletionTimestamp={}, ownerReferences=OWNERS)
    assert decode_object(wrapped(message("PartialObjectMetadata", metadata=fields))) == Metadata(
        Key("ns", "a"), "uid-a", "3", 4, deleted=True, controller=Owner("x/v1", "X", "x", "2")
    )


def test_a_page() -> None:
    items = [{"metadata": described("a")}, {"metadata": described("b", "4")}]
    page = message("PartialObjectMetadataList", metadata={"resourceVersion": "9", "continue": "more"}, items=items)
    assert decode_page(wrapped(page)) == Page(
        [Metadata(Key("ns", "a"), "uid-a", "3"), Metadata(Key("ns", "b"), "uid-b", "4")], "9", "more"
    )


def test_managed_fields_of_any_depth_are_not_looked_into() -> None:
    """Field 17 of ObjectMeta, with the JSON of its field 7 in field 1: bytes that may be anything."""
    deep = b'{"f:a":' * 20_000
    inner = b"\x0a" + _length(deep) + deep
    entry = b"\x3a" + _length(inner) + inner
    fields = message("ObjectMeta", **described("a")) + b"\x8a\x01" + _length(entry) + entry
    raw = wrapped(b"\x0a" + _length(fields) + fields)
    assert decode_object(raw) == Metadata(Key("ns", "a"), "uid-a", "3")


def _length(content: bytes) -> bytes:
    """A length as protobuf writes it: seven bits a byte."""
    left, written = len(content), bytearray()
    while left > 127:
        written.append(left & 127 | 128)
        left >>= 7
    return bytes((*written, left))


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_a_watch_comes_in_pieces_of_any_size(size: int) -> None:
    stream = (
        frame("ADDED", message("PartialObjectMetadata", metadata=described("a")))
        + frame("BOOKMARK", message("PartialObjectMetadata", metadata={"resourceVersion": "8"}))
        + frame("ERROR", message("Status", code=410, message="too old"))
    )
    frames = Frames()
    events = [event for start in range(0, len(stream), size) for event in frames.feed(stream[start : start + size])]
    assert events == [
        WatchEvent("ADDED", Metadata(Key("ns", "a"), "uid-a", "3")),
        WatchEvent("BOOKMARK", Metadata(Key("", ""), "", "8")),
        WatchEvent("ERROR", code=410, message="too old"),
    ]


@pytest.mark.parametrize("raw", [b'{"kind":"PartialObjectMetadata"}', b"", b"k8s\x00\xff\xff\xff"])
def test_what_is_no_protobuf_is_a_fault_of_the_server(raw: bytes) -> None:
    with pytest.raises(Unreachable):
        decode_object(raw)
