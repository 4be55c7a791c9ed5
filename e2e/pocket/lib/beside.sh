# shellcheck shell=bash disable=SC2034 # what it sets is read by the other parts
# A second Kubernetes beside the cluster, without nodes: etcd, an API server and
# a controller manager with their state in one folder and ports of their own.
# For tests of charts, CRDs and rights, which need no pod, and may break it.

beside_usage="usage: pocket beside up|down DIR"

beside_command() {
  local what=${1:-} dir=${2:-}
  [[ $what == up || $what == down ]] && [[ $dir == /* ]] || die "$beside_usage"
  need_up
  beside_place "$dir"
  if [[ $what == up ]]; then beside_up; else beside_down; fi
}

# Everything that the other parts put into pocket's folders goes into this one.
beside_place() { # DIR
  STATE=$1 RUN=$1/run PKI=$1/pki CONFIG=$1/config LOGS=$1/logs
  ADMIN_KUBECONFIG=$1/kubeconfig.yaml
}

beside_up() {
  mkdir -p "$PKI" "$CONFIG" "$LOGS" "$STATE/etcd" "$STATE/audit"
  chmod 700 "$PKI" "$STATE/etcd"
  [[ -s $STATE/ports ]] || beside_ports >"$STATE/ports"
  read -r API_PORT ETCD_PORT ETCD_PEER_PORT CONTROLLER_MANAGER_PORT <"$STATE/ports"
  beside_certs
  etcd_up
  apiserver_up
  # Nobody answers for pods here, so whoever tests says himself where a Service leads.
  process_ensure kube-controller-manager controller_manager_healthy "$CONFIG/controller-manager.kubeconfig" \
    "$BIN/kube-controller-manager" \
    --kubeconfig "$CONFIG/controller-manager.kubeconfig" --leader-elect=false \
    --controllers='*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller' \
    --bind-address 127.0.0.1 --secure-port "$CONTROLLER_MANAGER_PORT" \
    --tls-cert-file "$PKI/controller-manager.crt" --tls-private-key-file "$PKI/controller-manager.key" \
    --service-account-private-key-file "$PKI/service-accounts.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
    --use-service-account-credentials --flex-volume-plugin-dir "$STATE/volume-plugins"
  printf '%s\n' "$ADMIN_KUBECONFIG"
}

beside_down() {
  local name
  # Only what `up` made: it writes this file first.
  [[ -e $STATE/ports ]] || { [[ ! -e $STATE ]] || die "$STATE holds no API server of pocket's"; return 0; }
  for name in kube-controller-manager kube-apiserver etcd; do process_stop "$name"; done
  rm -rf "$STATE"
}

beside_ports() { # four that are free
  python3 - <<'EOF2'
import socket
held = [socket.socket() for _ in range(4)]
for one in held:
    one.bind(("0.0.0.0", 0))
print(*(one.getsockname()[1] for one in held))
EOF2
}

beside_certs() {
  local node=127.0.0.1
  cert_authority ca /CN=headworks-pocket-beside
  cert_authority front-proxy-ca /CN=headworks-pocket-beside-front-proxy
  cert_issue ca apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:$node,IP:$API_SERVICE_IP,IP:$NODE_IP"
  cert_issue ca etcd /CN=etcd "DNS:localhost,IP:$node"
  cert_issue ca apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  cert_issue ca controller-manager /CN=system:kube-controller-manager "DNS:localhost,IP:$node"
  cert_issue ca admin /O=system:masters/CN=pocket-admin
  cert_issue front-proxy-ca front-proxy /CN=front-proxy-client
  [[ -s $PKI/service-accounts.key ]] || openssl genrsa -out "$PKI/service-accounts.key" 2048 2>/dev/null
  kubeconfig_make controller-manager "$CONFIG/controller-manager.kubeconfig"
  kubeconfig_make admin "$ADMIN_KUBECONFIG"
}
