# shellcheck shell=bash
# CoreDNS: real users reach services by name, and so do pods here.

dns_up() {
  local forward='forward . /etc/resolv.conf { max_concurrent 1000 }' checksum
  grep -q '^nameserver' "$CONFIG/resolv.conf" || forward='# this host has no name server to forward to'
  checksum=$({ cat "$CONFIG/resolv.conf" "$POCKET_DIR/manifests/coredns.yaml"; cat "$STATE/images/"*coredns*; } | sha256sum | cut -c1-16)
  sed -e "s|@IMAGE@|$COREDNS_IMAGE|" -e "s|@DNS_IP@|$DNS_IP|" -e "s|@FORWARD@|$forward|" -e "s|@CHECKSUM@|$checksum|" \
    "$POCKET_DIR/manifests/coredns.yaml" | kubectl apply --server-side --force-conflicts -f - >"$LOGS/coredns-apply.log" 2>&1 ||
    { cat "$LOGS/coredns-apply.log" >&2; die "cannot apply CoreDNS"; }
}

dns_wait() {
  wait_until 90 "CoreDNS answers at $DNS_IP" dns_answers || die "CoreDNS does not answer: see 'pocket logs coredns'"
}

# Asks the service address for the API server's name, over UDP, as a pod would.
dns_answers() {
  python3 - "$DNS_IP" "$API_SERVICE_IP" <<'EOF'
import socket, struct, sys
server, wanted = sys.argv[1:]
name = b"".join(bytes([len(p)]) + p.encode() for p in "kubernetes.default.svc.cluster.local".split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(1)
    s.sendto(struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">2H", 1, 1), (server, 53))
    answer = s.recv(512)
sys.exit(0 if answer.endswith(socket.inet_aton(wanted)) else "another answer")
EOF
}
