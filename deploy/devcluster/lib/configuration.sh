# shellcheck shell=bash
# The configuration files of the node's components. They are written at each start.

write_configuration() {
  step "configuration"
  mkdir -p "$STATE"/{bin,log,conf,cni,etcd,sysctl,var-log} "$STATE"/var-lib/{kubelet,containerd,cni,faas-devcluster}
  printf 'nameserver %s\n' "$DNS_SERVICE_IP" >"$STATE/conf/resolv.conf"
  containerd_config >"$STATE/conf/containerd.toml"
  cni_config >"$STATE/cni/10-pods.conflist"
  kubelet_config >"$STATE/conf/kubelet.yaml"
  proxy_config >"$STATE/conf/kube-proxy.yaml"
  dns_config >"$STATE/conf/Corefile"
  cp "$HERE/manifests/dns.yaml" "$STATE/conf/dns.yaml"
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE, as in many containers and virtual machines,
# every sandbox fails with "can't get final child's PID from pipe".
containerd_config() {
  cat <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:dev"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
TOML
}

# ptp and not bridge: all traffic between pods is routed, so that a Service works from pod to pod
# whether or not the kernel shows bridged packets to iptables.
cni_config() {
  cat <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/cni",
    "ranges": [[{"subnet": "$POD_NETWORK"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

# The eviction thresholds are off: the disk of a development machine is often nearly full.
kubelet_config() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $PKI/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/system:node:$NODE.crt
tlsPrivateKeyFile: $PKI/system:node:$NODE.key
containerRuntimeEndpoint: unix://$STATE/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /faas-devcluster
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
seccompDefault: true
oomScoreAdj: 0
clusterDNS: [$DNS_SERVICE_IP]
clusterDomain: cluster.local
resolvConf: $STATE/conf/resolv.conf
volumePluginDir: /var/lib/kubelet/volume-plugins
maxPods: 200
evictionHard: {imagefs.available: 0%, memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
registryPullQPS: 0
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
kubeAPIQPS: 100
kubeAPIBurst: 200
eventRecordQPS: 0
YAML
}

proxy_config() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: "$PKI/system:kube-proxy.kubeconfig", qps: 100, burst: 200}
mode: iptables
iptables: {minSyncPeriod: 0s}
clusterCIDR: $POD_NETWORK
hostnameOverride: $NODE
oomScoreAdj: 0
conntrack: {maxPerCore: 0}
metricsBindAddress: 127.0.0.1:10249
YAML
}

# No cache: the answers are in memory anyway, and "no such name" would be remembered for too long.
# No forwarding: what is not a name of the cluster does not exist.
dns_config() {
  cat <<COREFILE
. {
  bind $NODE_IP
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $PKI/coredns.kubeconfig
  }
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
COREFILE
}
