# shellcheck shell=bash
# What "ready" means, how it is waited for, and how it is shown.

api_ready() { [ "$(kube --request-timeout=5s get --raw /readyz)" = ok ]; }

# The condition alone may be left from before a restart, so the kubelet is asked, too.
node_ready() {
  kube --request-timeout=5s get --raw "/api/v1/nodes/$NODE/proxy/healthz" &&
    [ "$(kube get node "$NODE" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

# Asked at the Service's address, so it says that kube-proxy works, too.
dns_answers() { timeout 2 busybox nslookup -type=a kubernetes.default.svc.cluster.local "$DNS_SERVICE_IP" | grep -q "$API_SERVICE_IP"; }

account_exists() { kube --namespace default get serviceaccount default; }

forwarder_listens() { [ -n "$(ss -Hltn "src 127.0.0.1:$GATEWAY_PORT")" ]; }

all_run() {
  local running name
  running=$(running_names)
  for name in "${COMPONENTS[@]}"; do runs "$name" || return 1; done
}

healthy() { all_run && forwarder_listens && api_ready && node_ready && dns_answers && account_exists; }

cluster_lives() { [ -n "$(init_pid)" ]; }

or_dead() { "$@" || ! cluster_lives; }

await() { # WHAT COMPONENT COMMAND...: as wait_for, but not for a cluster that has ended
  wait_for "$1" "$2" or_dead "${@:3}" || exit 1
  cluster_lives && return
  show_log supervisor >&2
  die "the cluster ended while it was started"
}

wait_until_ready() {
  PATIENCE=10 wait_for "cluster" supervisor cluster_lives || exit 1
  await "containerd" containerd node_ctr version
  load_pause_image || die "containerd does not take the pause image"
  step "containerd takes images"
  await "API server" kube-apiserver api_ready
  step "the API server is ready"
  await "node that is ready" kubelet node_ready
  step "the node is ready"
  await "default service account" kube-controller-manager account_exists
  step "the default service account exists"
  await "answer of the cluster's DNS (coredns and kube-proxy)" coredns dns_answers
  step "CoreDNS answers"
  await "forwarder on 127.0.0.1:$GATEWAY_PORT" forwarder forwarder_listens
}

running_names() {
  local pid name
  for pid in $(processes system); do
    if { read -r name <"/proc/$pid/comm"; } 2>/dev/null; then echo "$name"; fi
  done
}

# The kernel cuts a process's name after 15 characters.
runs() { # COMPONENT, among those in $running
  local name=${1/forwarder/socat}
  grep -qx -- "${name:0:15}" <<<"$running"
}

status() {
  local running name result=0
  need_root status
  if [ -z "$(init_pid)" ]; then
    say "there is no cluster; devcluster up starts it"
    return 1
  fi
  running=$(running_names)
  for name in "${COMPONENTS[@]}"; do
    if runs "$name"; then printf '%-26s runs\n' "$name"; else printf '%-26s DOES NOT RUN\n' "$name"; result=1; fi
  done
  for name in api_ready node_ready account_exists dns_answers forwarder_listens; do
    if "$name" >/dev/null 2>&1; then printf '%-26s yes\n' "${name//_/ }"; else printf '%-26s NO\n' "${name//_/ }"; result=1; fi
  done
  return "$result"
}

logs() { # [COMPONENT]
  local name
  if [ -n "$1" ]; then
    if [[ " supervisor ${COMPONENTS[*]} " != *" $1 "* ]]; then
      say "no component $1; there are: supervisor ${COMPONENTS[*]}"
      exit 2
    fi
    [ -e "$STATE/log/$1.log" ] || die "$1 has no log: it was not started"
    cat "$STATE/log/$1.log"
  else
    for name in supervisor "${COMPONENTS[@]}"; do show_log "$name"; done
  fi
}
