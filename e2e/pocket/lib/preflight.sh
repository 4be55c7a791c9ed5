# shellcheck shell=bash
# What this machine has to have, each with the line that brings it. `missing`
# stops `up`; `install` is what `up` installs by itself.

PREFLIGHT_MISSING=0

preflight_ok() { printf '  ok       %s\n' "$*"; }
preflight_install() { printf '  install  %s\n' "$*"; }
preflight_missing() {
  printf '  missing  %s\n           -> %s\n' "$1" "$2"
  PREFLIGHT_MISSING=$((PREFLIGHT_MISSING + 1))
}

# preflight: prints the list; fails if something is missing that `up` cannot
# bring.
preflight() {
  PREFLIGHT_MISSING=0
  preflight_root
  preflight_room
  preflight_tools
  preflight_kernel
  preflight_addresses
  if ((PREFLIGHT_MISSING)); then
    printf 'pocket: %d missing; nothing was changed\n' "$PREFLIGHT_MISSING" >&2
    return 2
  fi
}

preflight_root() {
  if ((EUID == 0)); then preflight_ok "root"; else preflight_missing "root" "sudo -E $0 ${COMMAND:-up}"; fi
  if [[ $(uname -s) != Linux ]]; then preflight_missing "Linux" "a Linux machine or VM"; fi
}

preflight_room() {
  local memory disk where=$STATE needed=30
  memory=$(awk '/^MemTotal/ {printf "%d", $2 / 1048576 + 0.5}' /proc/meminfo)
  if ((memory >= 8)); then preflight_ok "memory: $memory GiB"; else
    preflight_missing "memory: $memory GiB of 8" "a machine or VM with 8 GiB"
  fi
  until [[ -d $where ]]; do where=$(dirname "$where"); done
  disk=$(df -Pk "$where" | awk 'NR == 2 {printf "%d", $4 / 1048576}')
  # What is built already does not need its room again.
  [[ ! -x $(binary_cached)/node ]] || needed=6
  [[ ! -e $STATE/up ]] || needed=2
  if ((disk >= needed)); then preflight_ok "disk: $disk GiB free in $where"; else
    preflight_missing "disk: $disk GiB free in $where, of $needed" "free some, e.g. go clean -cache"
  fi
}

preflight_tools() {
  local go_version missing
  go_version=$(go env GOVERSION 2>/dev/null)
  go_version=${go_version#go}
  if [[ -x $(binary_cached 2>/dev/null)/node ]]; then
    preflight_ok "the Go programs are built"
  elif [[ -z $go_version ]]; then
    preflight_missing "go" "install Go 1.26 or newer: https://go.dev/doc/install (Debian: apt-get install -t bookworm-backports golang-go)"
  elif printf '1.26\n%s\n' "$go_version" | sort -VC; then
    preflight_ok "go $go_version"
  else
    preflight_missing "go $go_version is too old" "install Go 1.26 or newer: https://go.dev/doc/install"
  fi
  mapfile -t missing < <(packages_missing)
  if ((!${#missing[@]})); then preflight_ok "packages"
  elif command -v apt-get >/dev/null; then preflight_install "apt-get install -y --no-install-recommends ${missing[*]}"
  else preflight_missing "${missing[*]} (Debian's names)" "install them with this system's package manager"; fi
  if command -v java >/dev/null && ! java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])'; then
    preflight_missing "Java 17 or newer" "apt-get install -y openjdk-17-jdk-headless"
  fi
}

# Loads what is a module; says what is not there at all.
preflight_kernel() {
  local name
  if ((EUID == 0)) && command -v modprobe >/dev/null; then
    for name in overlay veth bridge nf_tables nft_chain_nat nft_masq nf_conntrack; do modprobe -q "$name" 2>/dev/null; done
  fi
  if grep -qw overlay /proc/filesystems; then preflight_ok "overlayfs"; else
    preflight_missing "overlayfs in the kernel" "modprobe overlay (Debian: apt-get install linux-image-amd64)"
  fi
  if ((EUID == 0)) && command -v ip >/dev/null && ! ip link show "$LINK" >/dev/null 2>&1; then
    if ip link add hwtest0 type veth peer name hwtest1 2>/dev/null && ip link delete hwtest0 &&
      ip link add hwtest0 type bridge 2>/dev/null && ip link delete hwtest0; then
      preflight_ok "links: veth, bridge (br_netfilter is not needed: pods are routed)"
    else
      preflight_missing "veth and bridge links" "modprobe veth bridge (in a container: run it with --privileged)"
    fi
  fi
  if ((EUID == 0)) && command -v nft >/dev/null; then
    if printf 'table ip hwtest { chain c { type nat hook postrouting priority 100; masquerade; }; }; delete table ip hwtest' |
      nft -f - 2>/dev/null; then preflight_ok "nftables with NAT"; else
      preflight_missing "nftables with NAT in the kernel" "modprobe nf_tables nft_chain_nat nft_masq"
    fi
  fi
  if [[ -e /sys/fs/cgroup/cgroup.controllers || -d /sys/fs/cgroup/memory && -d /sys/fs/cgroup/pids ]]; then
    preflight_ok "cgroup v$(cgroup_version)"
  else
    preflight_missing "cgroups with memory and pids" "mount them, or boot without cgroup_disable="
  fi
}

# Ports and address ranges, asked only where pocket does not hold them itself.
preflight_addresses() {
  local port taken='' address entry
  for entry in "$API_PORT:kube-apiserver" "$ETCD_PORT:etcd" "$ETCD_PEER_PORT:etcd" \
    "$CONTROLLER_MANAGER_PORT:kube-controller-manager" "$SCHEDULER_PORT:kube-scheduler" "$KUBELET_PORT:kubelet" \
    "$KUBELET_HEALTH_PORT:kubelet" "$PROXY_HEALTH_PORT:kube-proxy" "$PROXY_METRICS_PORT:kube-proxy"; do
    port=${entry%%:*}
    process_alive "${entry#*:}" && continue
    for address in 127.0.0.1 $([[ -e /sys/class/net/$LINK ]] && echo "$NODE_IP"); do
      port_open "$address" "$port" && taken+=" $port"
    done
  done
  if [[ -z $taken ]]; then preflight_ok "ports"; else
    preflight_missing "ports in use:$taken" "end what listens there: ss -ltnp"
  fi
  if [[ ! -e /sys/class/net/$LINK ]] && command -v ip >/dev/null; then
    if ip -4 route show root "${POD_CIDR%.*}.0/16" 2>/dev/null | grep -q . || ip -4 route show root "$SERVICE_CIDR" | grep -q .; then
      preflight_missing "10.244.0.0/16 and $SERVICE_CIDR unused" "another cluster or VPN has a route there: ip -4 route"
    else
      preflight_ok "addresses $POD_CIDR and $SERVICE_CIDR"
    fi
    if command -v nft >/dev/null && nft list tables 2>/dev/null | grep -qw kube-proxy; then
      preflight_missing "no other kube-proxy" "another Kubernetes node runs on this machine"
    fi
  fi
}
