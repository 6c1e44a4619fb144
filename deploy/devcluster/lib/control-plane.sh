# shellcheck shell=bash
# etcd, the API server, the controllers and the scheduler, and their flags.

# Its data need not outlive a crash of the machine, so nothing waits for a disk.
run_etcd() {
  exec etcd --data-dir="$STATE/etcd" --unsafe-no-fsync --logger=zap --log-outputs=stderr \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
    --initial-cluster=default=http://127.0.0.1:2380
}

# The kubelet is called by its address: nobody resolves the node's name, /etc/hosts is left alone.
run_apiserver() {
  exec kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address="$NODE_IP" --secure-port=6443 --service-cluster-ip-range="$SERVICE_NETWORK" \
    --client-ca-file="$PKI/ca.crt" \
    --tls-cert-file="$PKI/kube-apiserver.crt" --tls-private-key-file="$PKI/kube-apiserver.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/service-accounts.key" \
    --service-account-signing-key-file="$PKI/service-accounts.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
    --authorization-mode=Node,RBAC --allow-privileged --profiling=false
}

run_controller_manager() {
  exec kube-controller-manager --kubeconfig="$PKI/system:kube-controller-manager.kubeconfig" \
    --service-account-private-key-file="$PKI/service-accounts.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --use-service-account-credentials --leader-elect=false --kube-api-qps=100 --kube-api-burst=200 \
    --flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins --bind-address=127.0.0.1 --profiling=false
}

run_scheduler() {
  exec kube-scheduler --kubeconfig="$PKI/system:kube-scheduler.kubeconfig" --leader-elect=false \
    --kube-api-qps=100 --kube-api-burst=200 --bind-address=127.0.0.1 --profiling=false
}
