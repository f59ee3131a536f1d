"""Copies what a Python application needs to run into an empty tree: no shell, no package manager, nothing else.

Runs while the image is built, on the build stage's own Python:

    python3 image_root.py /app /root-of-the-image
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Of the standard library: what no service imports.
UNUSED = (
    "test",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "pydoc_data",
    "site-packages",
    "dist-packages",
)


def main(application: Path, root: Path) -> None:
    """Fills `root` with the application, the interpreter, its standard library and the shared libraries of all."""
    interpreter = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    keep_out = shutil.ignore_patterns(*UNUSED, "config-*", "*.a", "__pycache__")
    shutil.copytree(library, root / library.relative_to("/"), ignore=keep_out, symlinks=True)
    shutil.copytree(application, root / application.relative_to("/"), symlinks=True)
    # Compiled beforehand: the root file system is read-only. But for the client's hundreds of models, of which few are
    # loaded.
    compile_all = ["-m", "compileall", "-q", "-j", "0", "-x", "kubernetes/(aio/)?client/(models|api)/"]
    subprocess.run([interpreter, *compile_all, "-s", root, "-p", "/", root], check=True)
    files = {interpreter, Path("/etc/ld.so.cache")}
    for binary in (interpreter, *root.rglob("*.so"), *root.rglob("*.so.*")):
        files.update(_shared_libraries(binary))
    for file in sorted(files):
        _copy(file, root)
    for package in sorted({package for file in files for package in _packages(file)}):
        _record(package, root)


def _shared_libraries(binary: Path) -> Iterator[Path]:
    """What the dynamic linker loads for it, the linker included."""
    printed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    return (Path(path) for path in re.findall(r"(/\S+) \(0x", printed))


def _copy(file: Path, root: Path) -> None:
    target = root / file.relative_to("/")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def _packages(file: Path) -> Iterator[str]:
    """The Debian packages that a file comes from, by whichever of its names dpkg knows."""
    for name in (file, file.resolve()):
        found = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False).stdout
        yield from re.findall(r"^([^:\s]+)(?::\w+)?: ", found, re.MULTILINE)


def _record(package: str, root: Path) -> None:
    """As images without a package manager do it, so that scanners and SBOMs know the versions of what is inside."""
    status = subprocess.run(["dpkg", "-s", package], capture_output=True, text=True, check=True).stdout
    target = root / "var" / "lib" / "dpkg" / "status.d" / package
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
