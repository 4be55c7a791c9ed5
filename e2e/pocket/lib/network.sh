# shellcheck shell=bash
# What pocket changes on the host: one link, one nft table, accept rules where
# a firewall would drop pods' packets, sysctls, a cgroup. All of it is undone
# by `down`; what a sysctl was before is kept in the state.

# The kubelet writes the vm.* and kernel.* ones by itself.
SYSCTLS=(net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes fs.inotify.max_user_instances fs.inotify.max_user_watches
  net.netfilter.nf_conntrack_max)

sysctl_file() { printf '/proc/sys/%s' "${1//.//}"; }

network_remember_sysctls() {
  local name
  [[ -s $STATE/sysctls.before ]] && return
  for name in "${SYSCTLS[@]}"; do
    [[ -r $(sysctl_file "$name") ]] && printf '%s %s\n' "$name" "$(cat "$(sysctl_file "$name")")"
  done >"$STATE/sysctls.before"
}

network_restore_sysctls() {
  local name value
  [[ -f $STATE/sysctls.before ]] || return 0
  while read -r name value; do
    [[ $(cat "$(sysctl_file "$name")" 2>/dev/null) == "$value" ]] ||
      echo "$value" 2>/dev/null >"$(sysctl_file "$name")"
  done <"$STATE/sysctls.before"
}

sysctl_at_least() { # NAME VALUE
  local file
  file=$(sysctl_file "$1")
  (($(cat "$file" 2>/dev/null || echo "$2") >= $2)) || echo "$2" >"$file"
}

network_up() {
  network_remember_sysctls
  echo 1 >/proc/sys/net/ipv4/ip_forward
  sysctl_at_least fs.inotify.max_user_instances 1024
  sysctl_at_least fs.inotify.max_user_watches 262144
  network_link
  network_table
  network_accept
  network_cni
  network_resolver
}

# The node's address needs a link that is not the loopback (exec and logs go
# to it) and is there before the first pod. A bridge with nothing on it does.
network_link() {
  ip link show "$LINK" >/dev/null 2>&1 || ip link add "$LINK" type bridge || die "cannot add the link $LINK"
  ip addr show dev "$LINK" | grep -qF " $NODE_IP/" || ip addr add "$NODE_IP/32" dev "$LINK"
  ip link set "$LINK" up
}

# Masquerades what leaves for the world. Rejects a service address that no
# service has taken: it would leave by the default route, and the audit
# events for $AUDIT_IP with it, token and all.
network_table() {
  nft -f - <<EOF || die "nft cannot add a table: does this kernel have nf_tables and NAT?"
table ip headworks-pocket
delete table ip headworks-pocket
table ip headworks-pocket {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr $POD_CIDR ip daddr != { $POD_CIDR, $SERVICE_CIDR } oifname != "$LINK" masquerade
  }
  # After kube-proxy's DNAT, a packet for a living service has a pod's address.
  chain output {
    type filter hook output priority 10; policy accept;
    ip daddr $SERVICE_CIDR reject
  }
  chain forward {
    type filter hook forward priority 10; policy accept;
    ip daddr $SERVICE_CIDR reject
  }
}
EOF
}

# An accept in a table of ours would not override a drop in another's: Docker
# sets FORWARD to DROP, ufw sets INPUT as well. So the rules go to the head of
# those chains, and only where there is anything in them: iptables creates its
# tables when a rule is added, and a host that had none must have none after.
network_accept() {
  local tables
  for tables in $(network_filter_tables); do
    network_accept_in "$tables" FORWARD -s && network_accept_in "$tables" FORWARD -d &&
      network_accept_in "$tables" INPUT -s
  done
}

# network_filter_tables -> the iptables programs whose filter table exists; the
# other one would make it by looking.
network_filter_tables() {
  ! nft list table ip filter >/dev/null 2>&1 || command -v iptables-nft
  ! grep -qx filter /proc/net/ip_tables_names 2>/dev/null || command -v iptables-legacy
}

network_accept_in() { # TABLES CHAIN DIRECTION
  local rule=("$3" "$POD_CIDR" -m comment --comment headworks-pocket -j ACCEPT)
  [[ $("$1" -S "$2" 2>/dev/null) != "-P $2 ACCEPT" ]] || return 0
  "$1" -C "$2" "${rule[@]}" 2>/dev/null || "$1" -I "$2" 1 "${rule[@]}" || warn "$1 refuses an accept rule in $2"
}

network_down() {
  local tables chain direction table
  for tables in $(network_filter_tables); do
    for chain in FORWARD INPUT; do
      for direction in -s -d; do
        while "$tables" -D "$chain" "$direction" "$POD_CIDR" -m comment --comment headworks-pocket -j ACCEPT 2>/dev/null; do :; done
      done
    done
  done
  if command -v nft >/dev/null; then
    for table in 'ip headworks-pocket' 'ip kube-proxy' 'ip6 kube-proxy'; do
      # shellcheck disable=SC2086 # family and name
      nft delete table $table 2>/dev/null
    done
  fi
  # Pods' links end with their namespaces; this is for one that was left over.
  ip -o route show table main 2>/dev/null | sed -n "s/^${POD_CIDR%.*}\.[0-9]* dev \(veth[^ ]*\).*/\1/p" | while read -r link; do
    ip link delete "$link" 2>/dev/null
  done
  ip link delete "$LINK" 2>/dev/null
  network_restore_sysctls
}

# ptp rather than bridge: each pod has a route of its own, so pod -> service ->
# pod passes through the host's netfilter without br_netfilter, a module that
# a stock Debian does not load.
network_cni() {
  mkdir -p "$STATE/cni/net.d"
  cat >"$STATE/cni/net.d/10-headworks-pocket.conflist" <<EOF
{
  "cniVersion": "0.4.0",
  "name": "headworks-pocket",
  "plugins": [{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "dataDir": "$STATE/cni/addresses",
      "ranges": [[{"subnet": "$POD_CIDR", "rangeStart": "${POD_CIDR%.*}.2", "gateway": "$NODE_IP"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
EOF
}

# Pods must not be told to ask 127.0.0.53: that is themselves. systemd-resolved
# keeps the real servers in a file of its own.
network_resolver() {
  local file servers=''
  for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
    [[ -r $file ]] || continue
    servers=$(grep -E '^nameserver[[:space:]]' "$file" | grep -vE '^nameserver[[:space:]]+(127\.|::1)' | head -n 3)
    [[ -z $servers ]] || break
  done
  printf '%s\n' "${servers:-# this host has no name server that a pod can reach}" >"$CONFIG/resolv.conf"
}

cgroup_version() { if [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; then echo 2; else echo 1; fi; }

# cgroup_roots -> pocket's cgroup in every hierarchy
cgroup_roots() {
  local dir
  if [[ $(cgroup_version) == 2 ]]; then
    echo /sys/fs/cgroup/headworks-pocket
  else
    for dir in /sys/fs/cgroup/*/; do
      [[ -L ${dir%/} || ! -e $dir/tasks && ! -e $dir/cgroup.procs ]] || echo "${dir}headworks-pocket"
    done
  fi
}

cgroup_up() {
  local root controller
  if [[ $(cgroup_version) == 2 ]]; then
    for controller in $(</sys/fs/cgroup/cgroup.controllers); do
      echo "+$controller" 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control
    done
  fi
  while read -r root; do mkdir -p "$root" || die "cannot make the cgroup $root"; done < <(cgroup_roots)
  # A v1 cpuset without cpus takes no process.
  local cpuset=/sys/fs/cgroup/cpuset file
  if [[ -e $cpuset/headworks-pocket/cpuset.cpus && $(cgroup_version) == 1 ]]; then
    for file in cpuset.cpus cpuset.mems; do cat "$cpuset/$file" >"$cpuset/headworks-pocket/$file"; done
  fi
  cgroup_weight
}

# All pods together would weigh as much as one compiler beside them, and an
# operator that gets no processor loses its Lease: they weigh as much as 16.
cgroup_weight() {
  if [[ $(cgroup_version) == 2 ]]; then
    echo 1600 >/sys/fs/cgroup/headworks-pocket/cpu.weight
  else
    echo 16384 >/sys/fs/cgroup/cpu/headworks-pocket/cpu.shares
  fi 2>/dev/null || warn "the pods' weight can't be set: beside a build they may starve"
}

cgroup_down() {
  local root
  while read -r root; do
    [[ -d $root ]] || continue
    find "$root" -depth -type d -exec rmdir {} + 2>/dev/null
    [[ ! -d $root ]] || warn "the cgroup $root is still in use"
  done < <(cgroup_roots)
}
