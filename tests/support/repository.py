"""Where things are in the repository."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "llmpipeline-operator"
CRDS: Final = ROOT / "manifests" / "crds"
DOCS: Final = ROOT / "docs"
HACK: Final = ROOT / "hack"
SAMPLES: Final = ROOT / "manifests" / "samples"
