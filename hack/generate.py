"""Writes what is generated from the models; with --check, says instead what is stale and exits 1."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml
from generate_monitoring import monitoring
from generate_pictures import pictures
from generate_reference import pages

from llmpipeline.api.admission import validations
from llmpipeline.api.crd import class_crd, crd
from llmpipeline.api.json_schema import class_spec_schema
from llmpipeline.cli.yaml_output import manifests_as_yaml
from llmpipeline.names import CLASS_PLURAL, GROUP, PLURAL, Manifest
from llmpipeline.rights import READ_CLASSES, READ_PODS, RIGHTS, Right
from support.control_plane.assets import helm

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Generated from operator/llmpipeline/api by `make generate`. Do not change it by hand.\n"


CHART = ROOT / "charts" / "llmpipeline-operator"
CHART_FILES = CHART / "files"
CRDS = ROOT / "manifests" / "crds"
NAMESPACE = "llmpipeline-system"
KEEP = {"helm.sh/resource-policy": "keep"}


def generated() -> dict[Path, str]:
    """Each generated file, with what should be in it."""
    pipelines, classes = crd(), class_crd()
    install = _install()
    return {
        **{ROOT / "docs" / "assets" / "pictures" / name: text for name, text in pictures().items()},
        ROOT / "manifests" / "install.yaml": HEADER.replace("operator/llmpipeline/api", "the chart") + install,
        CRDS / f"{PLURAL}.{GROUP}.yaml": HEADER + manifests_as_yaml([pipelines]),
        CRDS / f"{CLASS_PLURAL}.{GROUP}.yaml": HEADER + manifests_as_yaml([classes]),
        CHART_FILES / "crd.yaml": HEADER + manifests_as_yaml([_kept(pipelines)]),
        CHART_FILES / "crd-class.yaml": HEADER + manifests_as_yaml([_kept(classes)]),
        CHART_FILES / "rules.yaml": _rules(right for right in RIGHTS if right not in (*READ_PODS, *READ_CLASSES)),
        CHART_FILES / "read-classes.yaml": _rules(READ_CLASSES),
        CHART_FILES / "read-pods.yaml": _rules(READ_PODS),
        CHART / "values.schema.json": _values_schema(),
        CHART_FILES / "run-code.yaml": HEADER + yaml.safe_dump(validations(), sort_keys=False, width=118),
        **monitoring(),
        **pages(),
    }


def _kept(plain: Manifest) -> Manifest:
    """A CRD that outlives the chart."""
    return {**plain, "metadata": {**plain["metadata"], "annotations": KEEP}}


def _install() -> str:
    """The chart with its defaults, as one file that needs no helm: a namespace and all that is in it."""
    release = ["llmpipeline", str(CHART), "--namespace", NAMESPACE, "--kube-version", "1.34.0"]
    command = [str(helm()), "template", *release, "--no-hooks", "--set", "crds.enabled=false"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    documents = [item for item in yaml.safe_load_all(rendered) if item]
    namespace: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    return manifests_as_yaml([namespace, crd(), class_crd(), *documents])


def _values_schema() -> str:
    """The chart's schema as it is, with that of a class in it."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    generated = {"$comment": "Generated from operator/llmpipeline/api by `make generate`."}
    schema["properties"]["defaultClass"]["properties"]["spec"] = generated | class_spec_schema()
    return json.dumps(schema, indent=2) + "\n"


def _rules(rights: Iterable[Right]) -> str:
    """Rules of an RBAC role, as a part of its YAML."""
    rules = [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)} for right in rights
    ]
    header = HEADER.replace("api by", "rights.py by")
    return header + yaml.safe_dump(rules, sort_keys=False, default_flow_style=None)


def main() -> int:
    """Writes what is stale, or with --check names it and returns 1."""
    check = "--check" in sys.argv[1:]
    stale = {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)}: {'is stale; run make generate' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
