# shellcheck shell=bash
# Faults on purpose, for tests: killing what a power cut or a bug would kill.

kill_usage="usage: pocket kill pod NAMESPACE/NAME | kafka | postgres | kubelet | containerd | kube-proxy"

# kill_command WHAT: SIGKILL, without a word to Kubernetes. A pod's container is
# started again by the kubelet; a part of the node is started again here.
kill_command() {
  need_up
  case ${1:-} in
    pod) [[ ${2:-} == */* ]] || die "$kill_usage"; kill_pod "${2%%/*}" "${2#*/}" ;;
    kafka) kill_pod kafka events-0 ;;
    postgres) kill_pod postgres warehouse-0 ;;
    kubelet | containerd | kube-proxy)
      kill_daemon "$1"
      node_up >/dev/null
      ;;
    *) die "$kill_usage" ;;
  esac
}

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
