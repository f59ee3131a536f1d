#!/usr/bin/env bash
# Writes the pinned requirements from the pyprojects. The result names no address, so it installs from any index.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-package llmpipeline-serve --no-header --no-annotate --output-file "$1" "${@:2}"
}
compile requirements/uv.txt requirements/uv.in
compile requirements/dev.txt operator/pyproject.toml serve_apps/pyproject.toml \
  --extra operator --extra cpu --group pyproject.toml:dev --overrides requirements/overrides.txt "$@"
# What the images hold, at the same versions; gpu has vLLM's own wheel and with it others.
same=(--constraints requirements/dev.txt --overrides requirements/overrides.txt)
compile requirements/operator.txt operator/pyproject.toml --extra operator "${same[@]}"
compile requirements/serve-base.txt serve_apps/pyproject.toml --extra ray "${same[@]}"
compile requirements/serve-cpu.txt serve_apps/pyproject.toml --extra cpu "${same[@]}"
compile requirements/serve-gpu.txt serve_apps/pyproject.toml --extra gpu --overrides requirements/overrides.txt
