# shellcheck shell=bash
# Certificates and kubeconfigs: one authority, one key pair per component, elliptic curves because
# they are made in milliseconds.

PKI=$STATE/pki

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

write_pki() {
  [ ! -e "$PKI/complete" ] || return 0
  step "certificates"
  rm -rf "$PKI"
  (umask 077 && mkdir -p "$PKI")
  new_key "$PKI/ca.key"
  new_key "$PKI/service-accounts.key"
  openssl req -x509 -key "$PKI/ca.key" -days 365 -subj /CN=faas-devcluster -out "$PKI/ca.crt"
  local names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  certificate kube-apiserver kubernetes "$names,DNS:localhost,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP"
  certificate kubelet-client system:masters
  certificate admin system:masters
  certificate system:kube-controller-manager controllers
  certificate system:kube-scheduler schedulers
  certificate system:kube-proxy system:node-proxier
  certificate coredns dns
  certificate "system:node:$NODE" system:nodes "DNS:$NODE,IP:$NODE_IP"
  kubeconfig admin >"$KUBECONFIG_FILE"
  local user
  for user in system:kube-controller-manager system:kube-scheduler system:kube-proxy coredns "system:node:$NODE"; do
    kubeconfig "$user" >"$PKI/$user.kubeconfig"
  done
  chmod 600 "$KUBECONFIG_FILE"
  touch "$PKI/complete"
}

certificate() { # USER GROUP [ALTERNATIVE_NAMES]
  local base=$PKI/$1
  new_key "$base.key"
  openssl req -new -key "$base.key" -subj "/O=$2/CN=$1" |
    openssl x509 -req -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 365 -out "$base.crt" \
      -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}") \
      2>/dev/null
}

kubeconfig() { # USER
  cat <<YAML
apiVersion: v1
kind: Config
current-context: faas-devcluster
clusters:
  - name: faas-devcluster
    cluster:
      server: $API
      certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 "$PKI/$1.crt")
      client-key-data: $(base64 -w0 "$PKI/$1.key")
contexts:
  - name: faas-devcluster
    context: {cluster: faas-devcluster, user: "$1"}
YAML
}
