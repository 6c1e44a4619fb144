# shellcheck shell=bash
# The one link between the host and the cluster's network namespace, and the forwarder on the
# host's loopback. All of it is made from inside and dies with the namespace.

# Said before anything is started, while there is still somebody to read it.
check_host() {
  local owner other
  if [ -n "$(ss -Hltn "sport = :$GATEWAY_PORT" | awk '$4 ~ /^(127\.0\.0\.1|0\.0\.0\.0|\*|\[::\]):/')" ]; then
    owner=$(ss -Hltnp "sport = :$GATEWAY_PORT" | sed -n 's/.*users:((\("[^"]*"\),pid=\([0-9]*\).*/\1, process \2/p' | head -n 1)
    die "port $GATEWAY_PORT of this machine is taken by ${owner:-somebody unknown}: the gateway is reached there; stop what holds it"
  fi
  other=$(ip -4 route show root "$NETWORK" | head -n 1)
  [ -z "$other" ] || die "this machine has a route into $NETWORK already, which the cluster needs: $other"
}

# In the namespace, as process 1. Descriptor 9 is the host's network namespace.
on_host() { nsenter --net=/proc/self/fd/9 "$@"; }

make_link() {
  ip link set lo up
  on_host ip link add "$LINK" type veth peer name node0 netns 1
  on_host ip addr add "$HOST_IP/30" dev "$LINK"
  on_host ip link set "$LINK" up
  ip addr add "$NODE_IP/30" dev node0
  ip link set node0 up
  on_host ip route add "$NETWORK" via "$NODE_IP" dev "$LINK"
  # There is no default route: a pod that calls somewhere outside is told "unreachable" at once.
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# A Service of type NodePort is reached at the node's address; people and tests expect localhost.
# The long -t keeps a connection that was closed in one direction only.
run_forwarder() {
  exec nsenter --net=/proc/self/fd/9 socat -t 600 \
    "TCP-LISTEN:$GATEWAY_PORT,bind=127.0.0.1,fork,reuseaddr,backlog=1024" "TCP:$NODE_IP:$GATEWAY_PORT"
}

# The kernel removes the link with the namespace, a moment after its last process.
remove_link() {
  local _
  for _ in $(seq 50); do
    [ -e "/sys/class/net/$LINK" ] || return 0
    sleep 0.1
  done
  ip link delete "$LINK"
}
