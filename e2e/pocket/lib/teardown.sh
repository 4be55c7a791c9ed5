# shellcheck shell=bash
# `pocket down`: the reverse of up, to the last mount. The cache stays.

DAEMONS=(kube-proxy kubelet containerd kube-scheduler kube-controller-manager kube-apiserver etcd)

teardown() {
  process_stop strimzi-topic
  process_stop strimzi-user
  process_stop kubelet
  process_stop kube-proxy
  teardown_containers
  local name
  for name in "${DAEMONS[@]}"; do process_stop "$name"; done
  teardown_shims
  teardown_mounts
  network_down
  cgroup_down
  teardown_files
}

teardown_containers() {
  local id
  process_alive containerd || return 0
  for id in $(ctr_k8s tasks ls -q 2>/dev/null); do
    ctr_k8s tasks delete --force "$id" >/dev/null 2>&1 &
  done
  wait
}

# A shim outlives containerd. Ours are those that were told our socket.
teardown_shims() {
  local pid i
  for ((i = 0; i < 50; i++)); do
    local -a pids=()
    for pid in /proc/[0-9]*; do
      tr '\0' '\n' 2>/dev/null <"$pid/cmdline" | grep -qxF "$CONTAINERD_SOCKET.ttrpc" && pids+=("${pid#/proc/}") && continue
      [[ $(tr '\0' ' ' 2>/dev/null <"$pid/cmdline") == *containerd-shim*" -address $CONTAINERD_SOCKET "* ]] && pids+=("${pid#/proc/}")
    done
    ((${#pids[@]})) || break
    # Their containers first: without its shim, a container is nobody's.
    teardown_cgroup_processes
    if ((i > 10)); then kill -KILL "${pids[@]}" 2>/dev/null; else kill -TERM "${pids[@]}" 2>/dev/null; fi
    sleep 0.2
  done
  teardown_cgroup_processes
}

# Everything in pocket's own cgroup was started by pocket.
teardown_cgroup_processes() {
  local root pid
  while read -r root; do
    [[ -d $root ]] || continue
    find "$root" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | while read -r pid; do
      ((pid == 0)) || kill -KILL "$pid" 2>/dev/null
    done
  done < <(cgroup_roots)
}

teardown_mounts() {
  local i target
  for ((i = 0; i < 3; i++)); do
    awk '{print $5}' /proc/self/mountinfo | grep -E "^($STATE|$RUN)/" | sort -r | while read -r target; do
      umount "$(printf '%b' "$target")" 2>/dev/null || umount -l "$(printf '%b' "$target")"
    done
    awk '{print $5}' /proc/self/mountinfo | grep -qE "^($STATE|$RUN)/" || return 0
  done
  die "mounts are left below $STATE or $RUN: nothing was deleted"
}

# Some paths are built into the kubelet, containerd's CNI library and kube-proxy.
teardown_files() {
  local link id
  for link in /var/log/containers/*; do
    [[ -L $link && $(readlink "$link") == "$LOGS"/* ]] && rm -f "$link"
  done
  for link in /var/lib/cni/results/headworks-pocket-*-eth0; do
    id=${link##*/headworks-pocket-}
    rm -f "$link" "/var/lib/cni/results/cni-loopback-${id%-eth0}-lo"
  done
  if [[ -e $STATE/made-var-lib-kubelet ]]; then rm -rf /var/lib/kubelet; fi
  rm -rf --one-file-system "$STATE" "$RUN"
  # Folders that are empty now; a containerd of the host's own keeps its.
  rmdir /run/containerd/{fifo,s,runc/k8s.io,runc,} /var/log/containers /var/lib/cni/{results,} 2>/dev/null
  return 0
}
