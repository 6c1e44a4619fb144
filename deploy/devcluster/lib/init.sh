#!/usr/bin/env bash
# Process 1 of the cluster's namespaces: lays the file system and the network out, starts the
# components and starts again what ends. When it is killed, the kernel kills all the rest.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for part in common pki network node control-plane; do
  # shellcheck source=/dev/null
  . "$HERE/lib/$part.sh"
done

# supervise COMPONENT COMMAND...: restarts it a second after it ended, for ever.
supervise() {
  local name=$1
  shift
  while :; do
    ("$@") >>"$STATE/log/$name.log" 2>&1 && code=0 || code=$?
    printf '%s %s ended with %s\n' "$(date +%T)" "$name" "$code" | tee -a "$STATE/log/$name.log"
    sleep 1
  done &
}

# shellcheck disable=SC2034 # for kube
BIN=$STATE/bin
lay_out_files
make_link
supervise forwarder run_forwarder
exec 9<&- # nobody else is to reach the host's network

supervise etcd run_etcd
supervise containerd run_containerd
supervise kube-apiserver run_apiserver
wait_for "API server" kube-apiserver kube get --raw /readyz
supervise kubelet run_kubelet
supervise kube-controller-manager run_controller_manager
supervise kube-scheduler run_scheduler
kube apply --filename "$STATE/conf/dns.yaml"
supervise coredns run_coredns
# Without its node, kube-proxy waits longer and longer between its attempts.
wait_for node kubelet kube get node "$NODE"
supervise kube-proxy run_proxy

# Orphans of containers end up here; bash collects them while it waits.
while :; do
  wait || true
  sleep 1
done
