# shellcheck shell=bash
# Debian packages: what pocket runs that it does not build.

# command, and the package that brings it
PACKAGES=(
  containerd:containerd
  ctr:containerd
  runc:runc
  /usr/lib/cni/ptp:containernetworking-plugins
  nft:nftables
  iptables:iptables
  ip:iproute2
  openssl:openssl
  python3:python3-minimal
  mvn:maven
  jlink:openjdk-17-jdk-headless
  java:openjdk-17-jdk-headless
  /etc/ssl/certs/ca-certificates.crt:ca-certificates
)

packages_have() { [[ $1 == /* ]] && [[ -e $1 ]] || command -v "$1" >/dev/null 2>&1; }

# packages_missing -> the names of the packages to install, one a line
packages_missing() {
  local entry
  for entry in "${PACKAGES[@]}"; do
    packages_have "${entry%%:*}" || printf '%s\n' "${entry#*:}"
  done | sort -u
}

packages_install() {
  local -a missing
  mapfile -t missing < <(packages_missing)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (Debian's names), and there is no apt-get to install them"
  say "    installing ${missing[*]}"
  local log=$CACHE/packages.log
  mkdir -p "$CACHE"
  # A service that starts on install (containerd's own) is none of ours.
  apt_install "${missing[@]}" >"$log" 2>&1 ||
    { apt_get update >>"$log" 2>&1 && apt_install "${missing[@]}" >>"$log" 2>&1; } ||
    { tail -n 15 "$log" >&2; die "apt-get install ${missing[*]} failed; see $log"; }
}

# One at a time: others of ours install beside this.
apt_get() { flock /run/lock/headworks-apt apt-get "$@"; }
apt_install() { DEBIAN_FRONTEND=noninteractive apt_get install -y --no-install-recommends "$@"; }

# The shell for pods that look around. It is taken out of its package, not
# installed: installing it would replace a user's own busybox-static.
busybox_program() { printf '%s/busybox/bin/busybox' "$CACHE"; }

busybox_fetch() {
  local dir=$CACHE/busybox log=$CACHE/packages.log
  [[ ! -x $(busybox_program) ]] || return 0
  mkdir -p "$dir"
  (cd "$dir" && { apt-get download busybox || { apt_get update && apt-get download busybox; }; } &&
    dpkg-deb -x busybox_*.deb . && rm -f busybox_*.deb) >>"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; die "cannot fetch the package busybox; see $log"; }
}
