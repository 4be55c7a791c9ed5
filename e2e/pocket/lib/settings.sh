# shellcheck shell=bash disable=SC2034 # read by the files that source this one
# Versions, addresses and paths: everything another part of pocket needs to
# agree on.

KUBERNETES_VERSION=1.35.4
HELM_VERSION=4.1.3
KAFKA_VERSION=4.3.1
REGISTRY_VERSION=3.3.3
STRIMZI_VERSION=1.2.0

NODE_NAME=pocket
LINK=hwpocket0 # carries the node's address; pods have links of their own
NODE_IP=10.244.0.1
POD_CIDR=10.244.0.0/24
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
# The address a Source takes to receive this API server's audit events. It is
# in the range's low band, which Kubernetes never hands out by itself.
AUDIT_IP=10.96.0.80
AUDIT_URL=https://$AUDIT_IP:8080/v1/audit

API_PORT=16443
ETCD_PORT=16379
ETCD_PEER_PORT=16380
CONTROLLER_MANAGER_PORT=16257
SCHEDULER_PORT=16259
KUBELET_PORT=16250
KUBELET_HEALTH_PORT=16248
PROXY_HEALTH_PORT=16256
PROXY_METRICS_PORT=16249
KAFKA_NODE_PORT=30092
KAFKA_SCRAM_NODE_PORT=30093
POSTGRES_NODE_PORT=30432
REGISTRY_NODE_PORT=30081

STATE=/var/lib/headworks-pocket
RUN=/run/headworks-pocket # short: unix socket paths end at 108 bytes
CACHE=${HEADWORKS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/headworks}/pocket

BIN=$STATE/bin
PKI=$STATE/pki
CONFIG=$STATE/config
SECRETS=$STATE/secrets
LOGS=$STATE/logs
ADMIN_KUBECONFIG=$STATE/kubeconfig.yaml
CONTAINERD_SOCKET=$RUN/containerd.sock

# The image names are local: no registry answers to them, so a pod that asks
# for one that was never imported fails instead of pulling a stranger's.
PAUSE_IMAGE=headworks.local/pocket/pause:1
COREDNS_IMAGE=headworks.local/pocket/coredns:1
KAFKA_IMAGE=headworks.local/pocket/kafka:$KAFKA_VERSION
REGISTRY_IMAGE=headworks.local/pocket/registry:$REGISTRY_VERSION
POSTGRES_IMAGE=headworks.local/pocket/postgres:1
SHELL_IMAGE=headworks.local/pocket/shell:1
