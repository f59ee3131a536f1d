"""What scanners of Kubernetes manifests find in the chart, against what is accepted, each with its reason.

A finding is one check that fails on one object, however many of its containers it names. CustomResourceDefinitions are
left out of every chart. Exit code 1: a finding has no reason, or a reason has no finding any more.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from support.cache import AssetsError
from support.control_plane.assets import helm
from support.repository import ROOT as REPOSITORY

CHART: Final = REPOSITORY / "charts" / "llmpipeline-operator"
SWITCHES: Final = ("", "serviceMonitor.enabled=true,admissionPolicy.enabled=true")
RELEASE, NAMESPACE, KUBERNETES = "x", "system", "1.34.0"


class Finding(NamedTuple):
    """One check that fails on one object."""

    check: str
    kind: str
    name: str


@dataclass(frozen=True)
class Scanner:
    """A program that reads a folder with one object in each file, and how its JSON is read."""

    name: str
    version: str
    arguments: str
    read: Callable[[Any], Iterator[Finding]]
    takes_files: bool = False


def _checkov(report: Any) -> Iterator[Finding]:
    for failed in report["results"]["failed_checks"]:
        kind, _, name = failed["resource"].split(".", 2)
        yield Finding(failed["check_id"], kind, name)


def _trivy(report: Any) -> Iterator[Finding]:
    for result in report.get("Results") or ():
        kind, name = Path(result["Target"]).stem.split("_", 1)
        for found in result.get("Misconfigurations") or ():
            if found["Status"] == "FAIL":
                yield Finding(found["ID"], kind, name)


def _kube_linter(report: Any) -> Iterator[Finding]:
    for found in report.get("Reports") or ():
        thing = found["Object"]["K8sObject"]
        yield Finding(found["Check"], thing["GroupVersionKind"]["Kind"], thing["Name"])


def _polaris(report: Any) -> Iterator[Finding]:
    for thing in report["Results"]:
        pod = thing.get("PodResult") or {}
        for part in (thing, pod, *(pod.get("ContainerResults") or ())):
            for check, result in (part.get("Results") or {}).items():
                if not result["Success"] and result["Severity"] != "ignore":
                    yield Finding(check, thing["Kind"], thing["Name"])


KUBE_SCORE_OK: Final = 10  # 7 is "almost", 5 a warning, 1 critical


def _kube_score(report: Any) -> Iterator[Finding]:
    for thing in report:
        for check in thing["checks"] or ():
            if not check["skipped"] and check["grade"] < KUBE_SCORE_OK:
                name = thing["object_meta"]["name"]
                yield Finding(check["check"]["id"], thing["type_meta"]["kind"], name)


_CHECKOV: Final = "--framework kubernetes --skip-download --quiet --compact -o json -d"
SCANNERS: Final = (
    Scanner("checkov", "--version", _CHECKOV, _checkov),
    Scanner("trivy", "--version", "config --skip-check-update --quiet --format json", _trivy),
    Scanner("kube-linter", "version", "lint --format json", _kube_linter),
    Scanner("polaris", "version", "audit --format json --audit-path", _polaris),
    Scanner("kube-score", "version", "score --output-format json", _kube_score, takes_files=True),
)

# The kind Pod is that of `helm test`: it runs one command of the operator's image and ends.
NO_CPU_LIMIT: Final = (
    "A CPU limit stops a process although the node has idle cores, and this one renews the Lease by which it leads "
    "while it works on many pipelines. The request says its share; memory is limited."
)
TEST_NO_CPU_LIMIT: Final = "It runs for seconds, with the operator's resources; memory is limited."
DIGEST: Final = (
    "Who installs builds the image (docs/install.md), so that no digest is known beforehand. image.digest pins one."
)
PULL_POLICY: Final = (
    "The tag is the chart's version and none that moves like latest. Always would make each restart depend on the "
    "registry, and fail where the image was loaded onto the nodes (kind). The image holds no secret. image.pullPolicy "
    "sets another, image.digest does without trust in the tag."
)
TEST_PROBES: Final = (
    "It ends by itself, is sent no requests, and helm reads its exit code: a probe would decide nothing."
)
TEST_TOKEN: Final = (
    "It asks the API server as the operator's account, which is what is tested. The token is bound to the Pod, which "
    "helm deletes when the test has passed."
)
TEST_SPREAD: Final = "There is one such Pod, so that there is nothing to spread."
ANTI_AFFINITY: Final = (
    "topologySpreadConstraints over host names spread the replicas, and let both run where there is one node; this "
    "check reads podAntiAffinity alone. `affinity` takes a strict one."
)
PRIORITY: Final = (
    "Only the two system classes are on every cluster, and clusters may reject these outside kube-system. Pipelines go "
    "on serving while the operator is away. priorityClassName sets one."
)
INSTANCE: Final = (
    "app.kubernetes.io/instance is the release's name, as Helm's conventions have it, and here the release is x. Where "
    "its name has `llmpipeline` in it, as in docs/install.md, the operator has the same name and the check passes."
)
TEST_INSTANCE: Final = (
    "The test belongs to the operator's release, whose name the label says, and needs a name of its own in it."
)
OWN_TOKEN: Final = (
    "The Pod template has automountServiceAccountToken: false; the check looks for it in the Deployment's own spec and "
    "then at the path of the mount. What is mounted there, where clients look, is a projected token of one hour."
)
NETWORKING: Final = (
    "Pipelines ask for a NetworkPolicy and an Ingress, and the operator makes them: get, create, patch and delete by "
    "name, and no list. Services, endpoints and endpoint slices, which the check also names, it has no verb on."
)
REGISTRY: Final = (
    "The check trusts the registries of three cloud vendors. The default names none, as the images are not published: "
    "who installs builds them, pushes them where they like and names that in image.repository."
)
ACCEPTED: Final[dict[tuple[str, str, str], str]] = {
    ("checkov", "CKV_K8S_8", "Pod"): TEST_PROBES,
    ("checkov", "CKV_K8S_9", "Pod"): TEST_PROBES,
    ("checkov", "CKV_K8S_11", "Deployment"): NO_CPU_LIMIT,
    ("checkov", "CKV_K8S_11", "Pod"): TEST_NO_CPU_LIMIT,
    ("checkov", "CKV_K8S_15", "Deployment"): PULL_POLICY,
    ("checkov", "CKV_K8S_15", "Pod"): PULL_POLICY,
    ("checkov", "CKV_K8S_38", "Pod"): TEST_TOKEN,
    ("checkov", "CKV_K8S_43", "Deployment"): DIGEST,
    ("checkov", "CKV_K8S_43", "Pod"): DIGEST,
    ("trivy", "KSV-0011", "Deployment"): NO_CPU_LIMIT,
    ("trivy", "KSV-0011", "Pod"): TEST_NO_CPU_LIMIT,
    ("trivy", "KSV-0036", "Deployment"): OWN_TOKEN,
    ("trivy", "KSV-0036", "Pod"): TEST_TOKEN,
    ("trivy", "KSV-0056", "ClusterRole"): NETWORKING,
    ("trivy", "KSV-0125", "Deployment"): REGISTRY,
    ("trivy", "KSV-0125", "Pod"): REGISTRY,
    ("kube-linter", "no-anti-affinity", "Deployment"): ANTI_AFFINITY,
    ("polaris", "automountServiceAccountToken", "Pod"): TEST_TOKEN,
    ("polaris", "cpuLimitsMissing", "Deployment"): NO_CPU_LIMIT,
    ("polaris", "cpuLimitsMissing", "Pod"): TEST_NO_CPU_LIMIT,
    ("polaris", "livenessProbeMissing", "Pod"): TEST_PROBES,
    ("polaris", "metadataAndInstanceMismatched", "Deployment"): INSTANCE,
    ("polaris", "metadataAndInstanceMismatched", "Pod"): TEST_INSTANCE,
    ("polaris", "priorityClassNotSet", "Deployment"): PRIORITY,
    ("polaris", "priorityClassNotSet", "Pod"): PRIORITY,
    ("polaris", "pullPolicyNotAlways", "Deployment"): PULL_POLICY,
    ("polaris", "pullPolicyNotAlways", "Pod"): PULL_POLICY,
    ("polaris", "readinessProbeMissing", "Pod"): TEST_PROBES,
    ("polaris", "topologySpreadConstraint", "Pod"): TEST_SPREAD,
    ("kube-score", "container-image-pull-policy", "Deployment"): PULL_POLICY,
    ("kube-score", "container-image-pull-policy", "Pod"): PULL_POLICY,
    ("kube-score", "container-resources", "Deployment"): NO_CPU_LIMIT,
    ("kube-score", "container-resources", "Pod"): TEST_NO_CPU_LIMIT,
    ("kube-score", "deployment-has-host-podantiaffinity", "Deployment"): ANTI_AFFINITY,
}


def render(chart: Path, switches: str, folder: Path) -> None:
    """Write the chart's objects into the folder, each into a file named by its kind and name."""
    command = [str(helm()), "template", RELEASE, str(chart), "-n", NAMESPACE, "--kube-version", KUBERNETES]
    if switches:
        command += ["--set", switches]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{chart} does not render: {done.stderr.strip()}")
    for manifest in yaml.safe_load_all(done.stdout):
        if manifest and manifest["kind"] != "CustomResourceDefinition":
            about = manifest["metadata"]
            name = f"{manifest['kind']}_{about.get('namespace', '')}.{about['name']}.yaml"
            (folder / name).write_text(yaml.safe_dump(manifest, sort_keys=False))


def scan(scanner: Scanner, folder: Path) -> set[Finding]:
    """What one scanner finds; its exit code depends on the findings, so that only its output shows a failure."""
    given = sorted(folder.iterdir()) if scanner.takes_files else [folder]
    command = [scanner.name, *scanner.arguments.split(), *map(str, given)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        return set(scanner.read(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{' '.join(command)}: its output is not understood ({error!r})\n{done.stderr}") from error


def version(scanner: Scanner) -> str:
    """The version that the program prints."""
    done = subprocess.run([scanner.name, scanner.version], check=False, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    return found[0] if found else "?"


def findings(chart: Path, switches: tuple[str, ...], scanners: list[Scanner]) -> dict[str, set[Finding]]:
    """What each scanner finds in the chart, with any of the switches."""
    found: dict[str, set[Finding]] = {scanner.name: set() for scanner in scanners}
    for switch in switches:
        with tempfile.TemporaryDirectory() as name:
            render(chart, switch, Path(name))
            for scanner in scanners:
                found[scanner.name] |= scan(scanner, Path(name))
    return found


def judge(found: dict[str, set[Finding]]) -> int:
    """Print our findings with their reasons; how many have none, and how many reasons have no finding any more."""
    keys = {(tool, item.check, item.kind) for tool, items in found.items() for item in items}
    stale = [key for key in ACCEPTED if key[0] in found and key not in keys]
    for key in sorted(keys):
        print(f"{' '.join(key)}\n    {ACCEPTED.get(key, 'NO REASON')}")
    for key in stale:
        print(f"{' '.join(key)}\n    STALE: accepted, and no longer found")
    missing = [key for key in keys if key not in ACCEPTED]
    print(f"{len(keys)} kinds of finding, {len(missing)} without a reason, {len(stale)} stale reasons")
    return len(missing) + len(stale)


def main() -> int:
    """Scan, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: hack/scan.py kuberay=../kuberay/helm-chart/kuberay-operator",
    )
    parser.add_argument("charts", nargs="*", metavar="NAME=PATH", help="more charts, whose counts stand beside ours")
    given = parser.parse_args()
    if wrong := [item for item in given.charts if not re.fullmatch(r"[^=]+=.+", item)]:
        parser.error(f"{wrong[0]}: charts are given as NAME=PATH")
    scanners = [scanner for scanner in SCANNERS if shutil.which(scanner.name)]
    if absent := [scanner.name for scanner in SCANNERS if scanner not in scanners]:
        print(f"not found on PATH, and not run: {', '.join(absent)}")
    if not scanners:
        return 1
    ours = findings(CHART, SWITCHES, scanners)
    columns = {"ours": findings(CHART, SWITCHES[:1], scanners), "ours, all on": ours}
    for item in given.charts:
        name, _, path = item.partition("=")
        columns[name] = findings(Path(path), ("",), scanners)
    print(f"| scanner | version | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for scanner in scanners:
        counts = " | ".join(str(len(column[scanner.name])) for column in columns.values())
        print(f"| {scanner.name} | {version(scanner)} | {counts} |")
    return 1 if judge(ours) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssetsError as problem:
        sys.exit(str(problem))
