# shellcheck shell=bash
# etcd, the API server, the controller manager and the scheduler.

controlplane_up() { # [AUDIT-POLICY]
  mkdir -p "$STATE/etcd" "$STATE/audit"
  chmod 700 "$STATE/etcd"
  etcd_up
  cp "$POCKET_DIR/config/${1:-audit-policy}.yaml" "$CONFIG/audit-policy.yaml"
  apiserver_up
  process_ensure kube-controller-manager controller_manager_healthy "$CONFIG/controller-manager.kubeconfig" \
    "$BIN/kube-controller-manager" \
    --kubeconfig "$CONFIG/controller-manager.kubeconfig" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$CONTROLLER_MANAGER_PORT" \
    --tls-cert-file "$PKI/controller-manager.crt" --tls-private-key-file "$PKI/controller-manager.key" \
    --service-account-private-key-file "$PKI/service-accounts.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
    --use-service-account-credentials --flex-volume-plugin-dir "$STATE/volume-plugins"
  process_ensure kube-scheduler scheduler_healthy "$CONFIG/scheduler.kubeconfig" \
    "$BIN/kube-scheduler" \
    --kubeconfig "$CONFIG/scheduler.kubeconfig" --leader-elect=false \
    --tls-cert-file "$PKI/scheduler.crt" --tls-private-key-file "$PKI/scheduler.key" \
    --bind-address 127.0.0.1 --secure-port "$SCHEDULER_PORT"
}

# Without fsync: a power cut may cost the cluster, and the cluster is cheap.
etcd_up() {
  local cert=(--cert-file "$PKI/etcd.crt" --key-file "$PKI/etcd.key" --trusted-ca-file "$PKI/ca.crt" --client-cert-auth)
  process_ensure etcd etcd_healthy "" "$BIN/etcd" \
    --name pocket --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "https://127.0.0.1:$ETCD_PORT" --advertise-client-urls "https://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "pocket=http://127.0.0.1:$ETCD_PEER_PORT" \
    --auto-compaction-retention 10m --quota-backend-bytes 4294967296 "${cert[@]}"
}

apiserver_up() {
  # shellcheck disable=SC2054 # Node,RBAC is one value
  local args=(
    --advertise-address "$NODE_IP" --bind-address "$NODE_IP" --secure-port "$API_PORT"
    --etcd-servers "https://127.0.0.1:$ETCD_PORT" --etcd-cafile "$PKI/ca.crt"
    --etcd-certfile "$PKI/etcd.crt" --etcd-keyfile "$PKI/etcd.key"
    --client-ca-file "$PKI/ca.crt" --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key"
    --kubelet-certificate-authority "$PKI/ca.crt" --kubelet-client-certificate "$PKI/apiserver-kubelet.crt"
    --kubelet-client-key "$PKI/apiserver-kubelet.key" --kubelet-preferred-address-types InternalIP
    --service-account-issuer https://kubernetes.default.svc.cluster.local
    --service-account-key-file "$PKI/service-accounts.key" --service-account-signing-key-file "$PKI/service-accounts.key"
    --requestheader-client-ca-file "$PKI/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client
    --requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group
    --requestheader-username-headers X-Remote-User
    --proxy-client-cert-file "$PKI/front-proxy.crt" --proxy-client-key-file "$PKI/front-proxy.key"
    --enable-aggregator-routing
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction
    --service-cluster-ip-range "$SERVICE_CIDR" --allow-privileged --profiling=false
  )
  local audit=(
    --audit-policy-file "$CONFIG/audit-policy.yaml"
    # For tests that count writes by user.
    --audit-log-path "$STATE/audit/audit.log" --audit-log-maxsize 100 --audit-log-maxbackup 2
    --audit-webhook-config-file "$CONFIG/audit-webhook.kubeconfig" --audit-webhook-mode batch
    --audit-webhook-batch-max-size 400 --audit-webhook-batch-max-wait 1s
    --audit-webhook-truncate-enabled --audit-webhook-initial-backoff 2s
  )
  local inputs="$CONFIG/audit-policy.yaml $CONFIG/audit-webhook.kubeconfig"
  # The one beside the cluster (beside.sh) tells nobody.
  [[ -e $CONFIG/audit-policy.yaml ]] || audit=() inputs=
  process_ensure kube-apiserver apiserver_healthy "$inputs" \
    "$BIN/kube-apiserver" "${args[@]}" "${audit[@]}"
}

# Health is asked over HTTP, and with Python: a bare Debian has no curl.
https_ok() { # URL [CERT-NAME]
  python3 - "$1" "$PKI/ca.crt" "${2:+$PKI/$2.crt}" "${2:+$PKI/$2.key}" <<'EOF'
import ssl, sys, urllib.request
url, ca, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if url.startswith("https") else None
if cert:
    context.load_cert_chain(cert, key)
handlers = [urllib.request.ProxyHandler({})]
if context:
    handlers.append(urllib.request.HTTPSHandler(context=context))
try:
    urllib.request.build_opener(*handlers).open(url, timeout=3)
except Exception as error:
    sys.exit(str(error))
EOF
}

port_open() { # ADDRESS PORT
  (exec 9>&-; exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

etcd_healthy() { https_ok "https://127.0.0.1:$ETCD_PORT/health" etcd; }
apiserver_healthy() { https_ok "https://$NODE_IP:$API_PORT/readyz" admin; }
controller_manager_healthy() { https_ok "https://127.0.0.1:$CONTROLLER_MANAGER_PORT/healthz"; }
scheduler_healthy() { https_ok "https://127.0.0.1:$SCHEDULER_PORT/healthz"; }
