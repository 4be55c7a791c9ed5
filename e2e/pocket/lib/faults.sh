# shellcheck shell=bash
# Faults on purpose, for tests: killing what a power cut or a bug would kill.

kill_usage="usage: pocket kill pod NAMESPACE/NAME | kafka | postgres | registry | kubelet | containerd | kube-proxy"

# kill_command WHAT: SIGKILL, without a word to Kubernetes. A pod's container is
# started again by the kubelet; a part of the node is started again here.
kill_command() {
  need_up
  case ${1:-} in
    pod) [[ ${2:-} == */* ]] || die "$kill_usage"; kill_pod "${2%%/*}" "${2#*/}" ;;
    kafka) kill_pod kafka events-0 ;;
    postgres) kill_pod postgres warehouse-0 ;;
    registry) kill_pod kafka registry-0 ;;
    kubelet | containerd | kube-proxy)
      kill_daemon "$1"
      node_up >/dev/null
      ;;
    *) die "$kill_usage" ;;
  esac
}

# stop_command WHAT: ends it in good order, and Kubernetes does not bring it
# back. start_command does, and so does `up`; what it stored is still there.
stop_command() {
  need_up
  servers_scale "${1:-}" 0 "usage: pocket stop kafka|postgres|registry"
  wait_until 60 "$1 is gone" server_gone "$1" || die "$1 does not end"
  say "stopped $1"
}

start_command() {
  need_up
  servers_scale "${1:-}" 1 "usage: pocket start kafka|postgres|registry"
  "$1_wait"
  say "started $1"
}

servers_scale() { # WHAT REPLICAS USAGE
  case $1 in
    kafka | postgres | registry) kubectl -n "$(server_namespace "$1")" scale statefulset "$(server_name "$1")" --replicas "$2" >/dev/null || die "cannot scale $1" ;;
    *) die "$3" ;;
  esac
}

server_namespace() { if [[ $1 == postgres ]]; then echo postgres; else echo kafka; fi; }

server_name() {
  case $1 in
    kafka) echo events ;;
    postgres) echo warehouse ;;
    *) echo "$1" ;;
  esac
}

server_gone() { [[ -z $(kubectl -n "$(server_namespace "$1")" get pod "$(server_name "$1")-0" --ignore-not-found -o name || echo unknown) ]]; }

# The first process of each of the pod's containers, and with it the others.
kill_pod() { # NAMESPACE NAME
  local id pid killed=0
  for id in $(kubectl -n "$1" get pod "$2" -o 'jsonpath={range .status.containerStatuses[*]}{.containerID}{"\n"}{end}' 2>/dev/null); do
    pid=$(ctr_k8s tasks ls 2>/dev/null | awk -v id="${id#containerd://}" '$1 == id && $3 == "RUNNING" {print $2}')
    [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null && killed=1
  done
  ((killed)) || die "no container of pod $1/$2 runs"
  say "killed $1/$2"
}

kill_daemon() { # NAME
  local pid rest
  process_alive "$1" || return 0
  read -r pid rest <"$RUN/pid/$1"
  kill -KILL "$pid"
  wait_until 10 "$1 is gone" eval "! process_alive $1"
  say "killed $1"
}

# audit_command writes|example: which policy the API server's audit has. There
# is one for log and webhook together, so what the example leaves out (our own
# operator's status) is in the log only while a test asks for it.
audit_command() {
  local policy
  need_up
  lock
  case ${1:-} in
    writes) policy=audit-policy-writes ;;
    example) policy=audit-policy ;;
    *) die "usage: pocket audit writes|example" ;;
  esac
  # With the API server anew, the others would stand in their back-off for a minute.
  process_stop kube-controller-manager
  process_stop kube-scheduler
  controlplane_up "$policy"
}
