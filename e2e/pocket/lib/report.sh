# shellcheck shell=bash
# What others ask a running pocket: addresses, states, logs.

need_up() { [[ -e $STATE/up ]] && process_alive kube-apiserver || die "not up: run 'pocket up' first"; }

endpoints() {
  need_up
  local ca=$PKI/kafka-ca.crt
  cat <<EOF
API_SERVER=https://$NODE_IP:$API_PORT
NODE_IP=$NODE_IP
KAFKA_BOOTSTRAP=$NODE_IP:$KAFKA_NODE_PORT
KAFKA_BOOTSTRAP_IN_CLUSTER=events-kafka-bootstrap.kafka.svc:9092
KAFKA_SCRAM_BOOTSTRAP=$NODE_IP:$KAFKA_SCRAM_NODE_PORT
KAFKA_SCRAM_BOOTSTRAP_IN_CLUSTER=events-kafka-bootstrap.kafka.svc:9093
KAFKA_SCRAM_USER=headworks
KAFKA_SCRAM_PASSWORD_FILE=$SECRETS/kafka-password
KAFKA_CA_FILE=$ca
REGISTRY_URL=http://$NODE_IP:$REGISTRY_NODE_PORT$REGISTRY_API
REGISTRY_URL_IN_CLUSTER=http://registry.kafka.svc:8080$REGISTRY_API
POSTGRES=$NODE_IP:$POSTGRES_NODE_PORT
POSTGRES_IN_CLUSTER=warehouse.postgres.svc:5432
POSTGRES_USER=postgres
POSTGRES_PASSWORD_FILE=$SECRETS/postgres-password
POSTGRES_CA_FILE=$PKI/postgres-ca.crt
AUDIT_URL=$AUDIT_URL
AUDIT_TOKEN_FILE=$SECRETS/audit-token
AUDIT_CA_FILE=$PKI/ca.crt
AUDIT_CERT_FILE=$PKI/audit.crt
AUDIT_KEY_FILE=$PKI/audit.key
AUDIT_LOG_FILE=$STATE/audit/audit.log
EOF
}

# status: one line a part; fails if one is not well.
status() {
  local bad=0 entry
  for entry in etcd:etcd_healthy kube-apiserver:apiserver_healthy \
    kube-controller-manager:controller_manager_healthy kube-scheduler:scheduler_healthy \
    containerd:containerd_healthy kubelet:kubelet_healthy kube-proxy:proxy_healthy; do
    status_line "${entry%%:*}" process_alive "${entry%%:*}" && status_line '' "${entry#*:}" || bad=1
  done
  status_line node node_ready || bad=1
  status_line coredns dns_answers || bad=1
  status_line kafka kafka_ready || bad=1
  status_line registry registry_ready || bad=1
  status_line postgres postgres_ready || bad=1
  for entry in topic user; do # where they were started
    [[ ! -e $RUN/pid/strimzi-$entry ]] || { status_line "strimzi-$entry" process_alive "strimzi-$entry" && status_line '' "strimzi_${entry}_healthy"; } || bad=1
  done
  return "$bad"
}

status_line() { # NAME COMMAND...: without a name, only the verdict on the one before
  local name=$1
  shift
  if "$@" >/dev/null 2>&1; then
    [[ $1 == process_alive ]] || printf '%-26s well\n' "${name:-$STATUS_NAME}"
  else
    printf '%-26s NOT WELL\n' "${name:-$STATUS_NAME}"
    return 1
  fi
  STATUS_NAME=$name
}
STATUS_NAME=''

logs() { # COMPONENT [tail's options]
  local name=${1:-}
  case $name in
    coredns) shift && kubectl -n kube-system logs deployment/coredns "$@" ;;
    kafka) shift && kubectl -n kafka logs statefulset/events "$@" ;;
    registry) shift && kubectl -n kafka logs statefulset/registry "$@" ;;
    postgres) shift && kubectl -n postgres logs statefulset/warehouse "$@" ;;
    *)
      [[ -n $name && -f $LOGS/$name.log ]] ||
        die "usage: pocket logs coredns|kafka|registry|postgres|$(find "$LOGS" -maxdepth 1 -name '*.log' -printf '%f\n' 2>/dev/null | sed 's/\.log$//' | sort | paste -sd'|')"
      shift
      if (($#)); then tail "$@" "$LOGS/$name.log"; else cat "$LOGS/$name.log"; fi
      ;;
  esac
}
