#!/usr/bin/env bash
# Writes what the images hold, as SPDX: dist/sbom/NAME.spdx.json for each image that `make images` built and docker has.
#
#   hack/sbom.sh             of all of them
#   hack/sbom.sh IMAGE ...   of these
#
# syft reads them. It is built once, from a Go module, where no syft of this version is in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

SYFT=v1.57.0
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/llmpipeline/syft-$SYFT

if [ ! -x "$CACHE/syft" ]; then
  echo "sbom: building syft $SYFT (once, some minutes)" >&2
  GOBIN=$CACHE CGO_ENABLED=0 GOFLAGS=-trimpath go install -ldflags "-s -w" "github.com/anchore/syft/cmd/syft@$SYFT"
fi
images=("$@")
if [ ${#images[@]} = 0 ]; then
  mapfile -t images < <(docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=llmpipeline/*')
fi
[ ${#images[@]} -gt 0 ] || { echo "sbom: docker has no image llmpipeline/...; run make images first" >&2; exit 1; }
mkdir -p dist/sbom
for image in "${images[@]}"; do
  file=dist/sbom/$(tr '/:' '--' <<<"${image#llmpipeline/}").spdx.json
  SYFT_CHECK_FOR_APP_UPDATE=false "$CACHE/syft" scan --quiet "docker:$image" -o "spdx-json=$file"
  echo "$file: $(grep -o '"SPDXID":"SPDXRef-Package' "$file" | wc -l) packages"
done
