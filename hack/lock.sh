#!/usr/bin/env bash
# Writes the pinned requirements anew from the pyprojects. The result names no address, so it installs from any index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate --output-file "$1" "${@:2}"
}
compile requirements/uv.txt requirements/uv.in
compile requirements/dev.txt operator/pyproject.toml serve_apps/pyproject.toml \
  --extra operator --extra cpu --group pyproject.toml:dev --overrides requirements/overrides.txt "$@"
