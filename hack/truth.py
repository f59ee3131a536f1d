"""Makes each fault of tests/e2e/faults on a real cluster, and prints how soon the status named its cause.

    make truth                                    on the cluster of KUBECONFIG, which has KubeRay and the operator
    make truth ARGS="--only quota import-error"   some of them
    make truth ARGS="--at-once 8"                 more at a time, if the machine has the cores

`hack/kind.sh up` makes such a cluster. A line for each fault: seconds from the fault until the condition Ready named
its cause, and in brackets how long after a component of the cluster had said it; then whether a condition of the
RayService names it, which is all that KubeRay alone would report. Exits with 1 if fewer than 95 % are named in time, or
if Ready is true for one of them.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from support.e2e.corpus import Fault, corpus
from support.e2e.kubectl import CommandError, Kube
from support.e2e.truth import Grade, grade

AT_LEAST = 0.95


def _graded(kube: Kube, fault: Fault, image: str) -> Grade:
    try:
        return grade(kube, fault, image)
    except (CommandError, TimeoutError) as error:
        return Grade(fault, instead=str(error).splitlines()[0])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Whether each fault's cause is named.")
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT", help="these faults alone")
    parser.add_argument("--at-once", type=int, default=4, help="faults at a time, at most 8 (default 4)")
    parser.add_argument("--image", default="llmpipeline/serve:2.60.0-base", help="the image of Ray")
    arguments = parser.parse_args()
    kube = Kube(Path(os.environ.get("KUBECONFIG", "~/.kube/config")).expanduser())
    chosen = [fault for fault in corpus() if not arguments.only or fault.name in arguments.only]
    grades: list[Grade] = []
    with ThreadPoolExecutor(min(arguments.at_once, 8)) as pool:
        for done in as_completed([pool.submit(_graded, kube, fault, arguments.image) for fault in chosen]):
            grades.append(done.result())
            print(grades[-1], flush=True)
    good, success = sum(it.is_good for it in grades), [it.fault.name for it in grades if it.success]
    print(
        f"{good} of {len(grades)} named within 30 s; KubeRay's own conditions name {sum(it.kuberay for it in grades)}; "
        f"success reported for {', '.join(success) or 'none'}"
    )
    return 0 if good >= AT_LEAST * len(grades) and not success else 1


if __name__ == "__main__":
    sys.exit(main())
