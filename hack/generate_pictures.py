"""The pictures of the docs, as SVG. `make generate` writes them into docs/assets/pictures.

Each is a list of boxes and arrows, so that a change of a word is a change of one line here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_LINE: Final = 18
# Readable on the light and on the dark theme of the site: the background of a box comes with it.
_STYLE: Final = (
    "text{font:14px sans-serif;fill:#10302c}.small{font-size:12px}.label{fill:#4a7a74}"
    ".ours{fill:#b2dfdb}.theirs{fill:#e3f2fd}.user{fill:#fff3cd}.new{fill:#c8e6c9}.old{fill:#e0e0e0}.frame{fill:#fafafa}"
    "rect{stroke:#4a7a74;stroke-width:1.2;rx:6}path{stroke:#4a7a74;stroke-width:1.6;fill:none;marker-end:url(#tip)}"
)


@dataclass(frozen=True)
class Box:
    """A box with lines of text, the first of them bold; pixels from the left and upper edge."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    text: str

    def svg(self) -> str:
        """The elements."""
        lines = self.text.split("\n")
        first = (
            self.y + 20
            if self.kind.startswith("frame")
            else self.y + self.height / 2 - (len(lines) - 1) * _LINE / 2 + 5
        )
        at = self.x + self.width / 2
        words = "".join(
            f'<text x="{at:g}" y="{first + number * _LINE:g}" text-anchor="middle" class="{kind}">{escape(line)}</text>'
            for number, (line, kind) in enumerate(zip(lines, ("name", *["small"] * len(lines)), strict=False))
        )
        size = f'x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}"'
        return f'<rect {size} class="{self.kind}"/>{words}'


@dataclass(frozen=True)
class Arrow:
    """An arrow between two points, with a word at its middle."""

    x1: int
    y1: int
    x2: int
    y2: int
    text: str = ""

    def svg(self) -> str:
        """The elements."""
        x, y = (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2 - 6
        word = f'<text x="{x:g}" y="{y:g}" text-anchor="middle" class="small label">{escape(self.text)}</text>'
        return f'<path d="M{self.x1} {self.y1}L{self.x2} {self.y2}"/>{word if self.text else ""}'


@dataclass(frozen=True)
class Label:
    """A line of text."""

    x: int
    y: int
    text: str

    def svg(self) -> str:
        """The elements."""
        return f'<text x="{self.x}" y="{self.y}" class="small label">{escape(self.text)}</text>'


Picture = Sequence[Box | Arrow | Label]

FLOW: Final[Picture] = (
    Box(10, 30, 150, 80, "user", "LLMPipeline\nspec: what you want\nstatus: what works"),
    Box(240, 30, 150, 80, "ours", "operator\nchecks, renders,\nreports"),
    Box(470, 40, 150, 60, "theirs", "RayService\n+ policies, budget"),
    Box(700, 40, 150, 60, "theirs", "KubeRay\nmakes the Pods"),
    Arrow(160, 56, 238, 56, "watches"),
    Arrow(390, 70, 468, 70, "applies"),
    Arrow(620, 70, 698, 70, "watches"),
    Box(240, 170, 610, 130, "frame", "RayCluster"),
    Box(260, 205, 170, 75, "theirs", "head Pod\nRay's control plane,\nautoscaler"),
    Box(460, 205, 170, 75, "theirs", "worker Pod\nGPUs, Ray Serve's proxy,\nreplicas of your apps"),
    Box(660, 205, 170, 75, "theirs", "worker Pod\nGPUs, Ray Serve's proxy,\nreplicas of your apps"),
    Arrow(775, 100, 775, 168),
    Box(10, 205, 150, 60, "user", "clients\nPOST /v1/chat/…"),
    Arrow(160, 235, 238, 235, "Service"),
    Arrow(300, 168, 300, 112),
    Label(312, 146, "reads the state"),
    Arrow(240, 92, 162, 92, "status"),
)
UPDATE: Final[Picture] = (
    Label(10, 25, "In place (for example another model source): StartFirst, one replica"),
    Box(10, 40, 560, 36, "old", "old replica answers"),
    Box(250, 86, 320, 36, "theirs", "new replica starts and loads its model"),
    Box(570, 86, 270, 36, "new", "new replica answers"),
    Box(570, 40, 110, 36, "old", "drains"),
    Label(250, 142, "one more GPU is in use from here"),
    Label(570, 142, "... until the old one has drained"),
    Label(10, 185, "New cluster (for example another image): KubeRay runs two Ray clusters for a while"),
    Box(10, 200, 560, 36, "old", "old cluster answers"),
    Box(120, 246, 450, 36, "theirs", "new cluster: Pods, images, models"),
    Box(570, 246, 270, 36, "new", "new cluster answers"),
    Box(570, 200, 110, 36, "old", "drains"),
    Label(120, 302, "twice the GPUs from here"),
    Label(570, 302, "... until deletionDelaySeconds have passed"),
    Arrow(10, 325, 840, 325, "time"),
)
POD: Final[Picture] = (
    Box(10, 10, 410, 300, "frame", "head Pod"),
    Box(30, 45, 370, 60, "theirs", "container ray-head\nGCS (cluster state), dashboard; no replica by default"),
    Box(30, 120, 370, 60, "theirs", "container autoscaler\nadds and removes worker Pods; the only one with a token"),
    Box(30, 195, 370, 95, "frame", "volumes"),
    Box(45, 230, 160, 45, "ours", "model cache\na PersistentVolumeClaim"),
    Box(225, 230, 160, 45, "ours", "autoscaler token\nan hour, projected"),
    Box(440, 10, 410, 300, "frame", "worker Pod of a worker group"),
    Box(460, 45, 370, 145, "frame theirs", "container ray-worker"),
    Box(475, 90, 105, 85, "ours", "proxy\nHAProxy,\nport 8000"),
    Box(595, 90, 105, 85, "ours", "replica\nof a model:\nvLLM, its GPUs"),
    Box(715, 90, 100, 85, "ours", "replica\nof a graph's\nnode"),
    Box(460, 205, 370, 85, "frame", "volumes"),
    Box(475, 235, 160, 45, "ours", "model cache\nthe same claim"),
    Box(655, 235, 160, 45, "ours", "claims of pvc://\nread-only"),
)
_ALL: Final[dict[str, tuple[int, int, str, Picture]]] = {
    "flow": (860, 315, "From an LLMPipeline to Ray Pods", FLOW),
    "update": (850, 335, "An update in place and one with a new cluster, step by step", UPDATE),
    "pods": (860, 320, "What the head Pod and a worker Pod hold", POD),
}


def pictures() -> dict[str, str]:
    """Every picture by its file name."""
    return {f"{name}.svg": _picture(*picture) for name, picture in _ALL.items()}


def _picture(width: int, height: int, title: str, parts: Picture) -> str:
    tip = '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    defs = f'<defs>{tip}<path d="M0 0L8 4L0 8z" style="fill:#4a7a74;stroke:none;marker-end:none"/></marker></defs>'
    drawn = "\n".join(part.svg() for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{defs}\n"
        f'<rect x="0" y="0" width="{width}" height="{height}" style="fill:#fff;stroke:none"/>\n{drawn}\n</svg>\n'
    )
