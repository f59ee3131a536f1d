"""Builds what a release consists of into dist/: `make release`.

Of the last commit, whatever the working tree holds, and with its time: the same commit gives the same bytes, which
SHA256SUMS says. Nothing is published; docs/publish.md is about that.

    hack/release.py              wheels, chart, CRD, manifests, schema, krew plugin, release notes, SHA256SUMS
    hack/release.py --images     and the images as OCI archives, by docker buildx

RELEASE_URL is where the files will be downloaded from, and HOME_URL where the project is; the krew manifest and the
chart name them.
"""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DIST: Final = ROOT / "dist"
CHART: Final = "charts/llmpipeline-operator"
PACKAGES: Final = ("operator", "serve_apps")
MANIFESTS: Final = (
    "manifests/install.yaml",
    "manifests/crds/llmpipelines.serving.llmpipeline.dev.yaml",
    "manifests/crds/llmpipelineclasses.serving.llmpipeline.dev.yaml",
)
SUMS: Final = "SHA256SUMS"
# Tag of each image, its Dockerfile and its target.
IMAGES: Final = {
    "operator": ("operator/Dockerfile", ""),
    "serve-base": ("serve_apps/Dockerfile", "base"),
    "serve-cpu": ("serve_apps/Dockerfile", "cpu"),
    "serve-gpu": ("serve_apps/Dockerfile", "gpu"),
}


def main() -> int:
    """Builds all; the exit code is 1 if something is inconsistent."""
    url, home = (os.environ.get(name, "").rstrip("/") for name in ("RELEASE_URL", "HOME_URL"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        epoch = checkout(source)
        version = version_of(source)
        if problem := inconsistency(source, version):
            print(f"release: {problem}", file=sys.stderr)
            return 1
        clean(DIST)
        build_wheels(source, DIST, epoch)
        (DIST / f"llmpipeline-operator-{version}.tgz").write_bytes(chart_archive(source / CHART, epoch, home))
        for manifest in MANIFESTS:
            shutil.copyfile(source / manifest, DIST / Path(manifest).name)
        (DIST / "llmpipeline.schema.json").write_text(schema(source))
        write_plugin(source, DIST, version, epoch, url, home)
        (DIST / "RELEASE_NOTES.md").write_text(release_notes((source / "CHANGELOG.md").read_text(), version))
        if "--images" in sys.argv[1:]:
            build_images(source, DIST / "images", version, epoch)
    (DIST / SUMS).write_text(sums(DIST))
    print("".join(f"{path.relative_to(ROOT)}\n" for path in files(DIST)), end="")
    report(url and home)
    return 0


def report(urls: str) -> None:
    """Says what is not in it."""
    if git("status", "--porcelain"):
        print("release: the working tree has changes, which are not in it", file=sys.stderr)
    if not urls:
        print("release: set RELEASE_URL and HOME_URL; the krew manifest and the chart lack them", file=sys.stderr)
    if not (DIST / "sbom").is_dir():
        print("release: no SBOMs; `make images sbom release` has those of the images", file=sys.stderr)


# What it is made of


def git(*arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def checkout(to: Path) -> int:
    """The files of the last commit; returns its time."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extractall(to, filter="data")
    return int(git("log", "-1", "--format=%ct"))


def version_of(source: Path) -> str:
    """The version of the operator's package."""
    found = re.search(r'^version = "(.+)"', (source / "operator/pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def inconsistency(source: Path, version: str) -> str:
    """Where another version stands; empty: nowhere."""
    wanted = {
        "serve_apps/pyproject.toml": f'version = "{version}"',
        "operator/llmpipeline/__init__.py": f'__version__ = "{version}"',
        f"{CHART}/Chart.yaml": f"\nversion: {version}\nappVersion: {version}\n",
    }
    wrong = [file for file, text in wanted.items() if text not in (source / file).read_text()]
    return f"operator/pyproject.toml has version {version}, and {', '.join(wrong)} another" if wrong else ""


def clean(dist: Path) -> None:
    """Removes what a release before left, and keeps the SBOMs, which are made apart."""
    dist.mkdir(exist_ok=True)
    for path in dist.iterdir():
        if path.name != "sbom":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# What is built


def build_wheels(source: Path, dist: Path, epoch: int) -> None:
    """The wheels of both packages."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    for package in PACKAGES:
        shutil.copyfile(source / "LICENSE", source / package / "LICENSE")
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
        subprocess.run(command, cwd=source / package, env=environment, check=True, stdout=subprocess.DEVNULL)


def chart_archive(chart: Path, epoch: int, home: str) -> bytes:
    """The chart as `helm package` would write it, but for the times, which helm takes from the clock."""
    contents = {
        f"{chart.name}/{path.relative_to(chart)}": path.read_bytes()
        for path in sorted(chart.rglob("*"))
        if path.is_file()
    }
    metadata = f"{chart.name}/Chart.yaml"
    if home:
        contents[metadata] += f"home: {home}\nsources:\n- {home}\n".encode()
    # Helm reads it first.
    return tar_gz({metadata: contents.pop(metadata), **contents}, epoch)


def tar_gz(contents: Mapping[str, bytes], epoch: int, mode: int = 0o644) -> bytes:
    """Files as an archive that depends on nothing else."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), epoch, mode
            archive.addfile(entry, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=epoch) as compressed:
        compressed.write(plain.getvalue())
    return packed.getvalue()


def schema(source: Path) -> str:
    """The JSON Schema of the resource, as `llmpipeline schema` prints it."""
    script = "import json; from llmpipeline.api.json_schema import json_schema; print(json.dumps(json_schema()))"
    paths = os.pathsep.join(str(source / package) for package in PACKAGES)
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.dumps(json.loads(printed), indent=2, ensure_ascii=False) + "\n"


def write_plugin(source: Path, dist: Path, version: str, epoch: int, url: str, home: str) -> None:
    """The archive of the kubectl plugin, and its manifest for krew."""
    contents = {
        "kubectl-llmp": (source / "hack/krew/kubectl-llmp").read_bytes(),
        "LICENSE": (source / "LICENSE").read_bytes(),
    }
    archive = tar_gz(contents, epoch, 0o755)
    (dist / f"kubectl-llmp-{version}.tar.gz").write_bytes(archive)
    values = {
        "VERSION": version,
        "SHA256": hashlib.sha256(archive).hexdigest(),
        "URL": url or "@URL@",
        "HOME": home or "@HOME@",
    }
    text = (source / "hack/krew/llmp.yaml").read_text().partition("apiVersion:")
    (dist / "krew-llmp.yaml").write_text(re.sub(r"@([A-Z0-9]+)@", lambda found: values[found[1]], "".join(text[1:])))


def release_notes(changelog: str, version: str) -> str:
    """The part of the changelog on this version; before there is one, what is not released."""
    sections = re.split(r"^## +(.+?) *$", changelog, flags=re.MULTILINE)[1:]
    by_title = dict(zip(sections[::2], sections[1::2], strict=True))
    title = next((it for it in by_title if re.split(r"[\s\[\]]+", it.strip("[]"))[0] == version), "Unreleased")
    return f"# llmpipeline {version}\n\n{by_title[title].strip()}\n"


def build_images(source: Path, to: Path, version: str, epoch: int) -> None:
    """The images as OCI archives, with the commit's time for every file; what pip downloads is pinned by hashes."""
    to.mkdir(parents=True, exist_ok=True)
    for name, (dockerfile, target) in IMAGES.items():
        archive = to / f"{name}-{version}.oci.tar"
        output = f"type=oci,dest={archive},rewrite-timestamp=true"
        options = [
            "--build-arg",
            f"SOURCE_DATE_EPOCH={epoch}",
            "--build-arg",
            f"VERSION={version}",
            "--provenance=false",
        ]
        stage = ["--target", target] if target else []
        command = ["docker", "buildx", "build", "-f", dockerfile, *options, *stage, "--output", output, "."]
        subprocess.run(command, cwd=source, check=True)


def files(dist: Path) -> list[Path]:
    """All files of the release."""
    return sorted(path for path in dist.rglob("*") if path.is_file())


def sums(dist: Path) -> str:
    """As `sha256sum --check` reads them."""
    found = ((path.relative_to(dist), path.read_bytes()) for path in files(dist) if path.name != SUMS)
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in found)


if __name__ == "__main__":
    sys.exit(main())
