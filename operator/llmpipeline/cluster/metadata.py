"""The metadata of objects in protobuf, as the API server sends it (`PartialObjectMetadata`).

In JSON an object's managed fields repeat the nesting of its spec, so an object that nobody can decode in JSON has
metadata that nobody can. In protobuf they are bytes that are not looked into: neither the depth nor the content of any
object matters here. client-go's metadata client asks for the same encoding.

The messages are those of `k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto` and `pkg/runtime/generated.proto`, with
the fields that are used; all others are skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from llmpipeline.cluster.errors import Unreachable
from llmpipeline.names import Key

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf;as={};v=v1;g=meta.k8s.io"
_MAGIC: Final = b"k8s\x00"
# Of the frames of a watch: four bytes with the length of what follows.
_LENGTH_BYTES: Final = 4

_STRING, _BYTES, _BOOL, _INT32, _INT64 = (
    Field.TYPE_STRING,
    Field.TYPE_BYTES,
    Field.TYPE_BOOL,
    Field.TYPE_INT32,
    Field.TYPE_INT64,
)
# By message and field: its number, and its type or the message that it holds; a list of it if it is repeated.
_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, Any]]]] = {
    "Time": {},
    "Entry": {"key": (1, _STRING), "value": (2, _STRING)},
    "OwnerReference": {
        "kind": (1, _STRING),
        "name": (3, _STRING),
        "uid": (4, _STRING),
        "apiVersion": (5, _STRING),
        "controller": (6, _BOOL),
    },
    "ObjectMeta": {
        "name": (1, _STRING),
        "namespace": (3, _STRING),
        "uid": (5, _STRING),
        "resourceVersion": (6, _STRING),
        "generation": (7, _INT64),
        "deletionTimestamp": (9, "Time"),
        "labels": (11, ["Entry"]),
        "annotations": (12, ["Entry"]),
        "ownerReferences": (13, ["OwnerReference"]),
    },
    "PartialObjectMetadata": {"metadata": (1, "ObjectMeta")},
    "ListMeta": {"resourceVersion": (2, _STRING), "continue": (3, _STRING)},
    "PartialObjectMetadataList": {"metadata": (1, "ListMeta"), "items": (2, ["PartialObjectMetadata"])},
    "Unknown": {"raw": (2, _BYTES)},
    "RawExtension": {"raw": (1, _BYTES)},
    "WatchEvent": {"type": (1, _STRING), "object": (2, "RawExtension")},
    "Status": {"message": (3, _STRING), "code": (6, _INT32)},
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of an object without its content.

    Attributes:
        key: Namespace and name.
        uid: Its UID.
        version: Its resourceVersion.
        generation: Counts the versions of its spec; 0 for a kind that has none.
        deleted: Whether it is being deleted.
        controller: The owner that is its controller; None if it has none.
        texts: Of its labels and annotations, by which a change of them is known in this process; 0 if it has none.
    """

    key: Key
    uid: str
    version: str
    generation: int = 0
    deleted: bool = False
    controller: "Owner | None" = None
    texts: int = 0


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner reference."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: the objects, the version of the whole list, and what asks for the next part."""

    items: list[Metadata]
    version: str
    following: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """What a watch sends: ADDED, MODIFIED, DELETED, BOOKMARK, or ERROR with a code and a message."""

    type: str
    metadata: Metadata | None = None
    code: int = 0
    message: str = ""


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="metadata.proto", package="llmpipeline", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            repeated, one = isinstance(kind, list), kind[0] if isinstance(kind, list) else kind
            made = message.field.add(
                name=field_name,
                number=number,
                label=Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL,
                type=Field.TYPE_MESSAGE if isinstance(one, str) else one,
            )
            if isinstance(one, str):
                made.type_name = f".llmpipeline.{one}"
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"llmpipeline.{name}")) for name in _MESSAGES}


_CLASSES: Final = _classes()


def decode_object(raw: bytes) -> Metadata:
    """The metadata of one object."""
    return _metadata(_decode("PartialObjectMetadata", _unwrapped(raw)).metadata)


def decode_page(raw: bytes) -> Page:
    """The metadata of a part of a list."""
    page = _decode("PartialObjectMetadataList", _unwrapped(raw))
    items = [_metadata(item.metadata) for item in page.items]
    return Page(items, page.metadata.resourceVersion, getattr(page.metadata, "continue"))


@dataclass
class Frames:
    """Takes the bytes of a watch as they come, and gives whole events."""

    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[WatchEvent]:
        """The events that are complete with this chunk."""
        self._rest += chunk
        while len(self._rest) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._rest[:_LENGTH_BYTES])
            if len(self._rest) < end:
                return
            frame = bytes(self._rest[_LENGTH_BYTES:end])
            del self._rest[:end]
            yield _event(frame)


def _event(frame: bytes) -> WatchEvent:
    event = _decode("WatchEvent", frame)
    content = _unwrapped(event.object.raw)
    if event.type == "ERROR":
        status = _decode("Status", content)
        return WatchEvent(event.type, code=status.code, message=status.message)
    return WatchEvent(event.type, _metadata(_decode("PartialObjectMetadata", content).metadata))


def _metadata(found: Any) -> Metadata:
    owner = next((owner for owner in found.ownerReferences if owner.controller), None)
    return Metadata(
        key=Key(found.namespace, found.name),
        uid=found.uid,
        version=found.resourceVersion,
        generation=found.generation,
        deleted=found.HasField("deletionTimestamp"),
        controller=Owner(owner.apiVersion, owner.kind, owner.name, owner.uid) if owner else None,
        texts=_digest(found),
    )


def _digest(found: Any) -> int:
    if not (found.labels or found.annotations):
        return 0
    return hash(tuple(frozenset((it.key, it.value) for it in entries) for entries in (found.labels, found.annotations)))


def _unwrapped(raw: bytes) -> bytes:
    if not raw.startswith(_MAGIC):
        raise Unreachable("the API server does not answer with metadata in protobuf")
    content: bytes = _decode("Unknown", raw[len(_MAGIC) :]).raw
    return content


def _decode(message: str, raw: bytes) -> Any:
    try:
        return _CLASSES[message].FromString(raw)
    except DecodeError as error:
        raise Unreachable(f"the API server's answer is no {message}: {error}") from error
