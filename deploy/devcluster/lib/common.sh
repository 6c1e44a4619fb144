# shellcheck shell=bash disable=SC2034
# Where things are, and how we talk. Sourced by the command and by lib/init.sh.

STATE=/var/lib/faas-devcluster
CACHE=${FAAS_DEVCLUSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/faas/devcluster}
BIN=$CACHE/bin
STAMPS=$BIN/.stamps # beside what they vouch for
KUBECONFIG_FILE=$STATE/kubeconfig

NODE=node1
LINK=faas-dev0
HOST_IP=10.177.255.1
NODE_IP=10.177.255.2
NETWORK=10.177.0.0/16
POD_NETWORK=10.177.0.0/24
# A /18, so that no Service is ever given an address of the link, 10.177.255.0/30.
SERVICE_NETWORK=10.177.128.0/18
API_SERVICE_IP=10.177.128.1
DNS_SERVICE_IP=10.177.128.10
API=https://$NODE_IP:6443
GATEWAY_PORT=31112

COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy coredns forwarder)

say() { printf 'devcluster: %s\n' "$*" >&2; }

step() { printf 'devcluster: [%3d s] %s\n' "$SECONDS" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: namespaces, mounts and cgroups are made"; }

# The lock is on the script itself, so that it leaves no file behind.
one_at_a_time() {
  exec {LOCK}<"$HERE/devcluster"
  flock -n "$LOCK" && return
  say "another devcluster is at work; waiting for it"
  flock "$LOCK"
}

# Our own calls never use the caller's KUBECONFIG, nor leave a cache in its home.
kube() { KUBECACHEDIR=$STATE/kubectl "$BIN/kubectl" --kubeconfig="$KUBECONFIG_FILE" "$@"; }

show_log() { # COMPONENT [LINES]
  [ -s "$STATE/log/$1.log" ] || return 0
  printf -- '--- %s, the end of %s\n' "$1" "$STATE/log/$1.log"
  tail -n "${2:-20}" "$STATE/log/$1.log"
}

# wait_for WHAT COMPONENT COMMAND...: polls COMMAND; after PATIENCE seconds names the component
# that it waited for and shows the end of its log.
wait_for() {
  local what=$1 component=$2 deadline=$((SECONDS + ${PATIENCE:-90}))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "no $what after ${PATIENCE:-90} s: look at $component"
      show_log "$component" >&2
      return 1
    fi
    sleep 0.2
  done
}
