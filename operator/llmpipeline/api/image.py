"""Names of images, as the kubelet reads them.

Source: https://github.com/distribution/reference/blob/v0.6.0/regexp.go and normalize.go
"""

import re
from dataclasses import dataclass
from typing import Final

_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY: Final = rf"(?:{_HOST}(?:\.{_HOST})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?:(?P<registry>{_REGISTRY})/)??(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?"
)
# The image of the Ray Pods that this repository builds, and what its tags end with.
_OURS: Final = "llmpipeline/serve"


@dataclass(frozen=True, slots=True)
class Image:
    """An image's name.

    Attributes:
        path: Where it is in its registry.
        tag: Its tag; empty if it has none.
    """

    path: str
    tag: str

    @property
    def variant(self) -> str:
        """`base`, `cpu` or `gpu` of an image that this repository builds; empty for every other one."""
        variant = self.tag.rpartition("-")[2]
        is_ours = f"/{self.path}".endswith(f"/{_OURS}")
        return variant if is_ours and variant in ("base", "cpu", "gpu") else ""


def image_of(text: str) -> Image | None:
    """The name in its parts; nothing if no image can have it.

    A registry in capitals without a dot or a port, like `REGISTRY/serve`, is a placeholder that was left in.
    """
    match = _IMAGE.fullmatch(text)
    if not match:
        return None
    registry = match["registry"] or ""
    is_host = "." in registry or ":" in registry or registry in ("", "localhost")
    return Image(match["path"], match["tag"] or "") if is_host else None
