"""Makes the changes of the effect table on a real cluster, and compares what happens with what was predicted.

    make prove-changes                                   every row that can run, on the cluster of KUBECONFIG
    make prove-changes ARGS="--list"                     which rows run, and why the others do not
    make prove-changes ARGS="--short"                    ten rows that cover every kind of effect
    make prove-changes ARGS="--only '^network'"          the rows whose name matches
    make prove-changes ARGS="--shard 2/8"                the second of eight parts, in a namespace of its own
    make prove-changes ARGS="--report-only"              write the page from the results that are there

`CLUSTER=prove WORKERS=2 hack/kind.sh up` makes such a cluster: two Ray clusters at a time need two worker nodes with
two cores each. Results are lines of JSON, one for each row. A row that has a result is not run again without --again,
so a run that was interrupted goes on. Exits with 1 if a row's effect, extra GPUs or lost requests are not as predicted.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prove_changes import report
from prove_changes.drive import Driver, Settings
from prove_changes.observe import abilities
from prove_changes.plot import plot
from prove_changes.rows import Abilities, Case, NotRun, back, cases, shard, short
from support.e2e.kubectl import CommandError, Kube
from support.effects.rows import rows
from support.repository import DOCS, HACK

RESULTS = HACK / "prove_changes" / "results.jsonl"
PAGE = DOCS / "prove-changes.md"


def main() -> int:
    """The command line."""
    arguments = _parser().parse_args()
    kube = Kube(Path(arguments.kubeconfig).expanduser())
    try:
        can = Abilities() if arguments.offline else abilities(kube)
    except CommandError as error:
        print(f"no cluster answers: name one by --kubeconfig, or list rows with --offline\n{error}", file=sys.stderr)
        return 2
    namespace = f"prove-{arguments.shard[0]}"
    runs, skipped = cases(rows(), can, arguments.image, namespace)
    chosen = list(_chosen(runs, arguments, namespace))
    if arguments.list:
        _print(chosen, [] if arguments.short else [row for row in skipped if re.search(arguments.only, row.id)])
        return 0
    if not arguments.report_only:
        settings = Settings(namespace, arguments.image, arguments.per_second, seconds=arguments.row_seconds)
        _run(Driver(kube, settings), can, chosen, arguments.results, again=arguments.again)
    found = report.read(arguments.results)
    if arguments.report:
        left = sum(case.id not in found for case in runs)
        picture = arguments.report.parent / report.PICTURE
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(plot(found.values()))
        arguments.report.write_text(report.page(found.values(), skipped, left, arguments.remark))
    mine = [found[case.id] for case in chosen if case.id in found]
    bad = [result for result in mine if result.get("wrong") or "failed" in result]
    for result in bad:
        print(f"{result['id']}: {result.get('failed') or '; '.join(result['wrong'])}")
    print(f"{len(mine) - len(bad)} of {len(chosen)} rows as predicted, {len(bad)} not, {len(skipped)} cannot run here")
    return 1 if bad else 0


def _run(driver: Driver, can: Abilities, chosen: Sequence[Case], results: Path, *, again: bool) -> None:
    """Every case that has no result yet. One that fails does not end the run."""
    known = {} if again else report.read(results)
    todo = [case for case in chosen if case.id not in known or "failed" in known[case.id]]
    if not todo:
        return
    driver.prepare(can)
    began = time.monotonic()
    for done, case in enumerate(todo, 1):
        result = driver.run(case)
        report.append(results, result)
        left = (time.monotonic() - began) / done * (len(todo) - done)
        verdict = result.get("failed") or "; ".join(result["wrong"]) or f"{case.kind}, {result['lost']} lost"
        print(f"{done}/{len(todo)} {case.id}: {verdict} ({result['seconds']} s; {left / 60:.0f} min left)",
              file=sys.stderr, flush=True)  # fmt: skip
    with suppress(CommandError, TimeoutError):
        driver.remove()


def _chosen(runs: Sequence[Case], arguments: argparse.Namespace, namespace: str) -> Iterator[Case]:
    if arguments.short:
        runs = short(runs)
    for case in shard([case for case in runs if re.search(arguments.only, case.id)], *arguments.shard):
        yield case
        if arguments.back and (other := back(case, namespace)):
            yield other


def _print(chosen: Sequence[Case], skipped: Sequence[NotRun]) -> None:
    for case in chosen:
        print(f"runs  {case.id}: {case.kind}, load at {case.route}")
    for row in skipped:
        print(f"not   {row.id}: {row.reason}")
    print(f"{len(chosen)} run, {len(skipped)} do not")


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text} is not like 2/8")
    return int(part), int(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("prove_changes", description=__doc__, formatter_class=_AS_WRITTEN)
    kubeconfig = os.environ.get("KUBECONFIG", "~/.kube/config")
    parser.add_argument("--kubeconfig", default=kubeconfig, help="of the cluster (default: KUBECONFIG)")
    parser.add_argument("--list", action="store_true", help="print what runs, and why the rest does not")
    parser.add_argument("--offline", action="store_true", help="with --list: do not ask the cluster what it has")
    parser.add_argument("--short", action="store_true", help="ten rows that cover every kind of effect")
    parser.add_argument("--only", default="", metavar="REGEX", help="the rows whose name matches")
    parser.add_argument("--shard", type=_part, default=(1, 1), metavar="N/M", help="the N-th of M parts")
    parser.add_argument("--again", action="store_true", help="run rows again that have a result")
    parser.add_argument("--back", action="store_true", help="measure the way back of each row too")
    parser.add_argument("--row-seconds", type=float, default=240, help="what a change may take (default 240)")
    parser.add_argument("--per-second", type=float, default=40, help="requests per second (default 40)")
    parser.add_argument("--image", default=Settings().image, help="the image of Ray")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines, read and written")
    parser.add_argument("--report", type=Path, default=None, metavar="FILE", help=f"write the page, like {PAGE.name}")
    parser.add_argument("--remark", default="", help="what the page says of the machine")
    parser.add_argument("--report-only", action="store_true", help="run nothing")
    return parser


_AS_WRITTEN = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
