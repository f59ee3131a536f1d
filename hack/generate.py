"""Writes what is generated from the models; with --check, says instead what is stale and exits 1."""

import sys
from pathlib import Path

from llmpipeline.api.crd import crd
from llmpipeline.cli.output import manifests_as_yaml
from llmpipeline.names import GROUP, PLURAL

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Generated from operator/llmpipeline/api by `make generate`. Do not edit.\n"


def generated() -> dict[Path, str]:
    """Each generated file, with what should be in it."""
    return {ROOT / "manifests" / "crds" / f"{PLURAL}.{GROUP}.yaml": HEADER + manifests_as_yaml([crd()])}


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
