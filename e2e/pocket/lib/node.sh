# shellcheck shell=bash
# The node: containerd, kubelet and kube-proxy.

node_up() {
  containerd_up
  node_images
  kubelet_config >"$CONFIG/kubelet.yaml"
  process_ensure kubelet kubelet_healthy "$CONFIG/kubelet.yaml $CONFIG/kubelet.kubeconfig" \
    "$BIN/kubelet" --config "$CONFIG/kubelet.yaml" --kubeconfig "$CONFIG/kubelet.kubeconfig" \
    --root-dir "$STATE/kubelet" --hostname-override "$NODE_NAME" --node-ip "$NODE_IP"
  process_ensure kube-proxy proxy_healthy "$CONFIG/proxy.kubeconfig" \
    "$BIN/kube-proxy" --kubeconfig "$CONFIG/proxy.kubeconfig" --hostname-override "$NODE_NAME" \
    --proxy-mode nftables --cluster-cidr "$POD_CIDR" --conntrack-max-per-core 0 \
    --conntrack-tcp-timeout-established 0s --conntrack-tcp-timeout-close-wait 0s --oom-score-adj 0 \
    --healthz-bind-address "127.0.0.1:$PROXY_HEALTH_PORT" --metrics-bind-address "127.0.0.1:$PROXY_METRICS_PORT"
  wait_until 60 "the node is Ready" node_ready || die "the node is not Ready: see 'pocket logs kubelet'"
}

containerd_up() {
  local name
  containerd_config >"$CONFIG/containerd.toml"
  # For images that a user's own pods pull.
  PROCESS_ENV=()
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    [[ -z ${!name:-} ]] || PROCESS_ENV+=("$name=${!name}")
  done
  process_ensure containerd containerd_healthy "$CONFIG/containerd.toml" \
    "$(command -v containerd)" --config "$CONFIG/containerd.toml"
  PROCESS_ENV=()
}

containerd_config() {
  cat <<EOF
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
oom_score = 0
# opt would make /opt/containerd, which nothing here uses.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "$CONTAINERD_SOCKET"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE a lower score is refused, and runc dies of it.
  restrict_oom_score_adj = true
  # Pods' network namespaces below our own state, so that down finds them.
  netns_mounts_under_state_dir = true
  enable_unprivileged_ports = true
  disable_tcp_service = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$STATE/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
EOF
}

kubelet_config() {
  cat <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
address: $NODE_IP
port: $KUBELET_PORT
healthzBindAddress: 127.0.0.1
healthzPort: $KUBELET_HEALTH_PORT
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
clusterDomain: cluster.local
clusterDNS: [$DNS_IP]
resolvConf: $CONFIG/resolv.conf
cgroupDriver: cgroupfs
cgroupRoot: /headworks-pocket
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
podLogsDir: $LOGS/pods
volumePluginDir: $STATE/volume-plugins
maxPods: 200
registryPullQPS: 0
# A test that kills a pod measures us, not a back-off of minutes.
crashLoopBackOff: {maxContainerRestartPeriod: 5s}
# A mended Secret reaches a pod's volume with its next sync: a kubelet's default of a minute would be waited for in a dozen places.
syncFrequency: 10s
# Images are imported, not pulled: one that is collected does not come back.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
EOF
}

node_ready() {
  [[ $(kubectl get node "$NODE_NAME" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

containerd_healthy() { timeout 5 ctr --address "$CONTAINERD_SOCKET" version; }
kubelet_healthy() { https_ok "http://127.0.0.1:$KUBELET_HEALTH_PORT/healthz"; }
proxy_healthy() { https_ok "http://127.0.0.1:$PROXY_HEALTH_PORT/healthz"; }
ctr_k8s() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# The one pod of a StatefulSet is ready, and of the newest revision.
stateful_set_ready() { # NAMESPACE NAME
  kubectl -n "$1" get statefulset "$2" -o go-template='{{.metadata.generation}} {{.status.observedGeneration}} {{.status.currentRevision}} {{.status.updateRevision}} {{.status.readyReplicas}}' |
    awk '{exit !($1 == $2 && $3 == $4 && $5 == 1)}'
}
