# shellcheck shell=bash
# Kubernetes and its companions, built from Go modules, and the pause image. A stamp for each says
# from what it was built, so that the next run is a no-op.

KUBERNETES=v1.34.4
HELM=v3.21.4
NATS=v2.15.2 # as in deploy/tools/nats-server/go.mod
GO_NEEDED=1.26 # by helm and nats-server

install_tools() {
  install_packages
  local before=$SECONDS
  mkdir -p "$BIN" "$STAMPS" "$CACHE/log"
  kubernetes_tools
  stamped helm "$HELM" go_install "helm.sh/helm/v3/cmd/helm@$HELM"
  stamped coredns "$(cat "$HERE"/tools/coredns/{main.go,go.mod,go.sum})" go_build coredns -o "$BIN/coredns" .
  stamped nats-server "$NATS" go_install "github.com/nats-io/nats-server/v2@$NATS"
  stamped pause "$(cat "$HERE/pause/pause.c" "$HERE/pack-image")" build_pause
  [ $((SECONDS - before)) -lt 5 ] || step "the tools are built"
}

# stamped NAME CONTENT COMMAND...: runs COMMAND unless it ran for this very CONTENT before.
stamped() {
  local name=$1 want stamp=$STAMPS/$1
  want=$(printf '%s\n' "$@" | sha256sum)
  shift 2
  if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then return; fi
  "$@"
  echo "$want" >"$stamp"
}

kubernetes_tools() {
  local info=k8s.io/component-base/version version=${KUBERNETES#v} programs=() name
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    programs+=("k8s.io/kubernetes/cmd/$name")
  done
  # Without these three, the version reads v0.0.0 and clients refuse it.
  LDFLAGS="-s -w -X $info.gitVersion=$KUBERNETES -X $info.gitMajor=${version%%.*} -X $info.gitMinor=$(cut -d. -f2 <<<"$version")" \
    stamped kubernetes "$KUBERNETES $(cat "$HERE"/tools/kubernetes/go.{mod,sum})" go_build kubernetes -o "$BIN/" "${programs[@]}"
}

go_build() { # MODULE ARGUMENTS...: in tools/MODULE
  local module=$1
  shift
  watched "$module" go -C "$HERE/tools/$module" build -trimpath -buildvcs=false -ldflags "${LDFLAGS:--s -w}" "$@"
}

go_install() { # PACKAGE@VERSION
  local name=${1%@*}
  name=${name%/v[0-9]}
  GOBIN=$BIN watched "${name##*/}" go install -trimpath -ldflags "-s -w" "$1"
}

# watched NAME COMMAND...: in the background of everything else, with a line now and then.
watched() {
  local name=$1 log=$CACHE/log/$1.log start=$SECONDS pid
  shift
  need_go
  step "building $name; from nothing this takes minutes"
  CGO_ENABLED=0 nice -n 10 "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if (((SECONDS - start) % 30 == 29)); then step "building $name, for $((SECONDS - start)) s"; fi
  done
  wait "$pid" || failed_build "$name" "$log"
  step "built $name in $((SECONDS - start)) s"
}

failed_build() {
  say "cannot build or install $1; the end of $2:"
  tail -n 20 "$2" >&2
  exit 1
}

recent_enough() { [ "$(printf '%s\n' "$GO_NEEDED" "$1" | sort -V | head -n 1)" = "$GO_NEEDED" ]; }

# An older Go from 1.21 on fetches the one it needs by itself, unless that was switched off.
need_go() {
  [ -z "${GO_CHECKED:-}" ] || return 0
  GO_CHECKED=yes
  local candidate
  if ! command -v go >/dev/null; then
    candidate=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: *\([0-9]*:\)\?//p')
    recent_enough "${candidate:-0}" ||
      die "missing: Go $GO_NEEDED or newer in PATH, to build Kubernetes (Debian has ${candidate:-none} here)"
    apt_install golang-go
  fi
  local have
  have=$(go env GOVERSION)
  recent_enough "${have#go}" || [ "$(go env GOTOOLCHAIN)" != local ] ||
    die "Go $GO_NEEDED or newer is needed to build Kubernetes, helm and nats-server; this is $have"
}

build_pause() {
  local root
  root=$(mktemp -d)
  cc -static -Os -Wall -o "$root/pause" "$HERE/pause/pause.c" && strip "$root/pause"
  "$HERE/pack-image" "$root" localhost/pause:dev "$BIN/pause.tar" /pause
  rm -rf "$root"
}
