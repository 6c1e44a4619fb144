# shellcheck shell=bash
# The node: the directories that its components insist on, how they are started, and its images.

# Settings of the whole machine that the kubelet would change to these values if it found others.
KERNEL_SETTINGS=(vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000)

# The components write to directories of the machine whatever they are told (/run/netns,
# /var/lib/kubelet/device-plugins, /var/log/containers). Here these are directories of our own. What
# is needed of the machine's own is bound below them first: the tools may lie in /var/lib, too.
lay_out_files() {
  local setting file
  mount --bind "$STATE" "$STATE/var-lib/faas-devcluster"
  mount --bind "$TOOLS" "$STATE/var-lib/faas-devcluster/bin"
  mount --bind "$STATE/var-log" /var/log
  mount --rbind "$STATE/var-lib" /var/lib
  mount -t tmpfs -o mode=755 tmpfs /run
  # The kubelet is shown what it wants to see, and so leaves the machine's settings alone.
  for setting in "${KERNEL_SETTINGS[@]}"; do
    file=$STATE/sysctl/${setting%=*}
    mkdir -p "${file%/*}"
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
  done
  mount --make-rshared / # volumes are mounted by the kubelet and seen by containerd
}

run_containerd() { exec containerd --config "$STATE/conf/containerd.toml"; }

run_kubelet() {
  exec kubelet --config="$STATE/conf/kubelet.yaml" --kubeconfig="$PKI/system:node:$NODE.kubeconfig" \
    --hostname-override="$NODE" --node-ip="$NODE_IP"
}

run_proxy() { exec kube-proxy --config="$STATE/conf/kube-proxy.yaml"; }

run_coredns() { exec coredns -conf "$STATE/conf/Corefile"; }

node_ctr() { ctr --address "$STATE/containerd.sock" --namespace k8s.io "$@"; }

import_image() {
  local imported
  imported=$(node_ctr images import "$1") || die "containerd does not take $1"
  [ -n "$imported" ] || die "no image in $1 has a name: give it a complete one, such as localhost/hello:1"
  sed -n 's/^unpacking \([^ ]*\).*/devcluster: loaded \1/p' <<<"$imported" >&2
}

load_pause_image() {
  [ -n "$(node_ctr images list --quiet name==localhost/pause:dev)" ] || import_image "$BIN/pause.tar"
}
