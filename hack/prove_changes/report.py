"""Results as JSON lines, and from them the page of the documentation."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from prove_changes.rows import NotRun

Result = dict[str, Any]
_HEAD: Final = (
    "field", "change", "predicted", "seen", "requests", "lost", "longest gap (s)", "extra GPUs predicted/seen",
)  # fmt: skip
_WHOLE: Final[Result] = {
    "how": "", "derived": False, "requests": 0, "lost": 0, "errors": {}, "gap_before": 0.0, "gap": 0.0, "wrong": [],
    "settled": 0.0, "early": 0.0,
}  # fmt: skip
_PARTS: Final[dict[str, Result]] = {
    "predicted": {"restarts": "", "gpus_more": 0, "message": ""},
    "seen": {"restarted": [], "pods_gone": 0, "container_restarts": 0, "extra_gpus": 0},
}
_INTRODUCTION: Final = """\
# Measured effects of changes

This page is for teams that want to know how far they can trust `llmpipeline plan`. After reading it you know which
changes were made on a real cluster under load, and what was seen.

Each row is a change of one field from the [table of effects](updates.md#effect-of-each-field), made on a pipeline in a
kind cluster with KubeRay while 8 clients sent requests over kept-alive connections. `predicted` is the effect that the
operator's code computed before the change. `seen` is what the UIDs of the RayClusters and Pods, and the replica IDs of
Ray Serve, say afterwards. `lost` counts requests without a whole answer with status 200. `longest gap` is the longest
time without any answer, after the change and in brackets before it. Write this page again with `make prove-changes`.
"""
# Where the picture stands, seen from the page.
PICTURE: Final = "assets/pictures/gaps.svg"
_PICTURED: Final = "A dot for each change at its longest time without an answer, by effect."


def read(path: Path) -> dict[str, Result]:
    """The last result of each row."""
    if not path.exists():
        return {}
    results = (_whole(json.loads(line)) for line in path.read_text().splitlines() if line.strip())
    return {result["id"]: result for result in results}


def append(path: Path, result: Result) -> None:
    """Adds one result: a run that ends early loses nothing. What is empty or zero is left out, as most of it is."""
    with path.open("a") as lines:
        lines.write(json.dumps(_compact(result), separators=(",", ":"), ensure_ascii=False) + "\n")


def _compact(result: Result) -> Result:
    found = {key: _compact(value) if isinstance(value, dict) else value for key, value in result.items()}
    return {key: value for key, value in found.items() if value or key == "id"}


def _whole(result: Result) -> Result:
    """With what was left out. What failed has no `seen`, and nothing is added to it."""
    if "failed" in result:
        return {"how": "", "derived": False, **result}
    parts = {key: {**_PARTS[key], **result.get(key, {})} for key in _PARTS}
    return {**_WHOLE, **result, **parts}


def page(results: Iterable[Result], skipped: Sequence[NotRun], left: int, remark: str = "") -> str:
    """The page in Markdown.

    Args:
        results: What was measured, and what failed.
        skipped: Rows that cannot run.
        left: How many rows can run and have no result.
        remark: What to know of the machine.
    """
    known = sorted(results, key=lambda result: (result["field"], result["id"]))
    measured = [result for result in known if "failed" not in result]
    wrong = [result for result in measured if result["wrong"]]
    asked, lost = (sum(result[key] for result in measured) for key in ("requests", "lost"))
    times = [result["early"] for result in measured if result.get("early")]
    early = f" The status called {len(times)} changes finished too early, by up to {max(times):.0f} s." if times else ""
    by = ", ".join(sorted({f"`{_name(result)}`" for result in measured if result["lost"]}))
    lost_by = f"{lost:,} were lost, by changes of {by}" if lost else "none was lost"
    otherwise = f"{len(wrong)} {'change was' if len(wrong) == 1 else 'changes were'} not as predicted."
    sums = f"{len(measured)} changes were measured, with {asked:,} requests, of which {lost_by}."
    parts = [
        _INTRODUCTION,
        f"{sums} {otherwise}{early}\n",
        *((f"{remark}\n",) if remark else ()),
        f"![{_PICTURED}]({PICTURE})\n",
        *(("## Not as predicted\n", *(_line(result) for result in wrong), "") if wrong else ()),
        "## Every change\n",
        _table(_HEAD, [_cells(result) for result in measured]),
        "\n## Not measured\n",
        _table(("rows", "reason"), _reasons(known, skipped, left)),
    ]
    return "\n".join(parts)


def _line(result: Result) -> str:
    return f"- `{_name(result)}` ({result['id']}): {'; '.join(result['wrong'])}"


def _name(result: Result) -> str:
    return str(result["field"].removeprefix("spec."))


def _cells(result: Result) -> tuple[str, ...]:
    predicted, found = result["predicted"], result["seen"]
    change = ", ".join(filter(None, (result["how"], "derived groups" if result["derived"] else ""))) or "another value"
    restarts = f", restarts {predicted['restarts']}" if predicted["restarts"] else ""
    restarted = (
        f", restarted {', '.join(found['restarted'])}"
        if found["restarted"] and predicted["kind"] != "NewCluster"
        else ""
    )
    return (
        f"`{_name(result)}`", change, f"{predicted['kind']}{restarts}", f"{found['kind']}{restarted}",
        str(result["requests"]), str(result["lost"]), f"{result['gap']:.2f} ({result['gap_before']:.2f})",
        f"{predicted['gpus_more']}/{found['extra_gpus']}",
    )  # fmt: skip


def _reasons(known: Iterable[Result], skipped: Sequence[NotRun], left: int) -> list[tuple[str, ...]]:
    """How many rows did not run for each reason. Those alike to another are one reason."""
    reasons = ["the same documents as another row" if it.reason.startswith("the same") else it.reason for it in skipped]
    failed = ["the measurement failed" for result in known if "failed" in result]
    todo = ["nobody has run it yet"] * left
    return [(str(count), reason) for reason, count in Counter([*reasons, *failed, *todo]).most_common()]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
