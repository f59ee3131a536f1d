"""The longest time without an answer after each change, as a picture in SVG."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

Result = Mapping[str, Any]
# The effects from above to below: kind, whether replicas restart (in place alone), and how the picture names it.
_ROWS: Final = (
    ("Companions", False, "companion objects"),
    ("InPlace", False, "in place, nothing restarts"),
    ("InPlace", True, "in place, replicas restart"),
    ("LivePatch", False, "live patch"),
    ("AddWorkers", False, "one more worker group"),
    ("NewCluster", False, "new Ray cluster"),
)
_LEFT, _WIDTH, _ROW = 210, 600, 44
# Readable on the light and on the dark theme of the site: the background comes with it.
_STYLE: Final = (
    "rect{fill:#fafafa;stroke:#4a7a74;rx:6}text{font:13px sans-serif;fill:#10302c}.axis{fill:#4a7a74;font-size:12px}"
    "line{stroke:#b0c4c1}.dot{fill:#00796b;fill-opacity:.45}.usual{stroke:#e65100;stroke-width:2}"
)


def plot(results: Iterable[Result]) -> str:
    """The picture: a line for each effect, a dot for each change, at the seconds of its longest gap."""
    measured = [result for result in results if "failed" not in result]
    rows = [(label, found) for kind, restarts, label in _ROWS if (found := _of(measured, kind, restarts))]
    most = max((int(result["gap"]) + 1 for _, found in rows for result in found), default=1)
    height = _ROW * len(rows) + 66
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 850 {height}" role="img">',
            f"<style>{_STYLE}</style>",
            f'<rect x="1" y="1" width="848" height="{height - 2}"/>',
            *_axis(most, height),
            *(part for number, (label, found) in enumerate(rows) for part in _line(label, found, number, most)),
            "</svg>\n",
        )
    )


def _of(measured: Sequence[Result], kind: str, restarts: bool) -> list[Result]:
    return [
        it
        for it in measured
        if it["predicted"]["kind"] == kind and (kind != "InPlace" or bool(it["predicted"]["restarts"]) == restarts)
    ]


def _axis(most: int, height: int) -> Iterable[str]:
    step = max(1, most // 6)
    for second in range(0, most + 1, step):
        x = _at(second, most)
        yield f'<line x1="{x}" y1="14" x2="{x}" y2="{height - 48}"/>'
        yield f'<text x="{x}" y="{height - 32}" text-anchor="middle" class="axis">{second} s</text>'
    text = "longest time without any answer; the orange line is the median of the same rows before the change"
    yield f'<text x="425" y="{height - 12}" text-anchor="middle" class="axis">{text}</text>'


def _line(label: str, found: Sequence[Result], number: int, most: int) -> Iterable[str]:
    y = 14 + _ROW * number + _ROW // 2
    yield f'<text x="{_LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(label)} ({len(found)})</text>'
    before = _at(sorted(result["gap_before"] for result in found)[len(found) // 2], most)
    yield f'<line x1="{before}" y1="{y - 15}" x2="{before}" y2="{y + 15}" class="usual"/>'
    for index, result in enumerate(found):
        yield f'<circle cx="{_at(result["gap"], most)}" cy="{y - 9 + index * 7 % 19}" r="4" class="dot"/>'


def _at(seconds: float, most: int) -> float:
    return round(_LEFT + seconds / most * _WIDTH, 1)
