#!/usr/bin/env bash
# A kind cluster on this machine with everything in it, for trying pipelines and for tests/e2e.
#
#   hack/kind.sh up          cluster, images, KubeRay, chart
#   hack/kind.sh cluster     the cluster and the images, as tests/e2e want it
#   hack/kind.sh images      build the images and load them into the cluster
#   hack/kind.sh kubeconfig  print where its kubeconfig is
#   hack/kind.sh down        delete it
#
# CLUSTER (default llmpipeline) names it, WORKERS (default 1) says how many worker nodes it has, IMAGES (default
# "operator base") which images: operator, base, cpu, gpu, redis for the tests of heads, and before for those of
# upgrades: the operator of the git revision BEFORE (default: the newest tag). KUBERAY_CHART and
# KUBERAY_IMAGE name KubeRay's chart and its operator's image, which is loaded where docker has it; else the chart comes
# from KubeRay's public repository.
#
# docker, kind, kubectl and helm must be there.
set -euo pipefail
cd "$(dirname "$0")/.."

CLUSTER=${CLUSTER:-llmpipeline} WORKERS=${WORKERS:-1} IMAGES=${IMAGES:-operator base}
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' operator/pyproject.toml)
RAY=$(sed -n 's/^RAY := //p' Makefile)
KUBERAY_REPOSITORY=https://ray-project.github.io/kuberay-helm/ KUBERAY_VERSION=1.7.0

say() { echo "kind: $*" >&2; }

tools() {
  local missing=()
  for tool in docker kind kubectl helm; do command -v $tool >/dev/null || missing+=("$tool"); done
  if [ ${#missing[@]} -gt 0 ] || ! docker info >/dev/null 2>&1; then
    say "needs a running docker, and kind, kubectl and helm (missing: ${missing[*]:-the docker engine})"
    exit 1
  fi
  KUBECONFIG=$(kubeconfig)
  export KUBECONFIG
}

kubeconfig() { echo "${XDG_CACHE_HOME:-$HOME/.cache}/llmpipeline/kind-$CLUSTER.kubeconfig"; }

cluster() {
  mkdir -p "$(dirname "$KUBECONFIG")"
  if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    kubectl get --raw /readyz --request-timeout=10s >/dev/null 2>&1 && { say "cluster $CLUSTER is up"; return; }
    say "cluster $CLUSTER is left from before and does not answer: making it again"
    kind delete cluster --name "$CLUSTER"
  fi
  { printf 'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n'
    for ((i = 0; i < WORKERS; i++)); do printf -- '- role: worker\n'; done; } |
    kind create cluster --name "$CLUSTER" ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"} --config - --wait 180s
}

images() {
  local image made
  for image in $IMAGES; do
    say "building the image $image"
    case $image in
    operator) made=llmpipeline/operator:$VERSION ;;
    redis) made=llmpipeline/redis-test:1 ;;
    before) made=llmpipeline/operator:before ;;
    *) made=llmpipeline/serve:$RAY-$image ;;
    esac
    case $image in
    redis) docker build -q -t "$made" tests/e2e/redis >/dev/null ;;
    before)
      BEFORE=${BEFORE:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
      [ -n "$BEFORE" ] || { say "there is no tag here: set BEFORE to the revision of the earlier operator"; exit 1; }
      git archive "$BEFORE" |
        docker build -q --build-arg VERSION=before -f operator/Dockerfile -t "$made" - >/dev/null ;;
    *) make --no-print-directory -s "image-$image" DOCKER_FLAGS=-q >/dev/null ;;
    esac
    load "$made"
  done
}

load() {
  say "loading $1 into $CLUSTER"
  kind load docker-image "$1" --name "$CLUSTER" >/dev/null
}

kuberay() {
  local chart=(kuberay-operator --repo "$KUBERAY_REPOSITORY" --version "$KUBERAY_VERSION") image=()
  [ -z "${KUBERAY_CHART:-}" ] || chart=("$KUBERAY_CHART")
  if [ -n "${KUBERAY_IMAGE:-}" ]; then
    image=(--set "image.repository=${KUBERAY_IMAGE%:*},image.tag=${KUBERAY_IMAGE##*:}")
    docker image inspect "$KUBERAY_IMAGE" >/dev/null 2>&1 && load "$KUBERAY_IMAGE"
  fi
  say "installing KubeRay"
  helm upgrade --install kuberay-operator "${chart[@]}" -n kuberay --create-namespace -f hack/kuberay-values.yaml \
    "${image[@]}" --wait --timeout 180s >/dev/null
}

chart() {
  say "installing the chart"
  # The tag stays while the image changes: its id makes the Pods new.
  helm upgrade --install llmpipeline charts/llmpipeline-operator -n llmpipeline-system --create-namespace --wait \
    --set-string "podAnnotations.image=$(docker image inspect -f '{{.Id}}' "llmpipeline/operator:$VERSION")" >/dev/null
}

next() {
  cat <<END
The cluster $CLUSTER has KubeRay and the operator. Next:

  export KUBECONFIG=$KUBECONFIG
  kubectl apply -f manifests/samples/hello.yaml
  kubectl get llmp -w
END
}

case ${1:-} in
  up) tools; cluster; images; kuberay; chart; next ;;
  cluster) tools; cluster; images; [ -z "${KUBERAY_IMAGE:-}" ] || load "$KUBERAY_IMAGE" ;;
  images) tools; images ;;
  kubeconfig) kubeconfig ;;
  down) tools; kind delete cluster --name "$CLUSTER" ;;
  *) sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 2 ;;
esac
