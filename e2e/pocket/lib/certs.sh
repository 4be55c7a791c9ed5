# shellcheck shell=bash
# Keys, certificates, tokens and kubeconfigs. Made once, kept until `down`.

cert_authority() { # NAME SUBJECT
  [[ -s $PKI/$1.crt ]] && return
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/$1.key" &&
    openssl req -x509 -new -key "$PKI/$1.key" -sha256 -days 3650 -subj "$2" -out "$PKI/$1.crt" \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null ||
    die "openssl could not make $PKI/$1.crt"
}

cert_issue() { # AUTHORITY NAME SUBJECT [SUBJECT-ALT-NAMES [RSA]]
  [[ -s $PKI/$2.crt ]] && return
  {
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature,keyEncipherment'
    echo 'extendedKeyUsage=serverAuth,clientAuth'
    [[ -z ${4:-} ]] || echo "subjectAltName=$4"
  } >"$PKI/$2.ext"
  # PKCS#8, the one form that Kafka's PEM key store reads as well.
  local -a algorithm=(EC -pkeyopt ec_paramgen_curve:P-256)
  [[ ${5:-} != RSA ]] || algorithm=(RSA -pkeyopt rsa_keygen_bits:2048)
  openssl genpkey -algorithm "${algorithm[@]}" -out "$PKI/$2.key" 2>/dev/null &&
    openssl req -new -key "$PKI/$2.key" -subj "$3" -out "$PKI/$2.csr" &&
    openssl x509 -req -in "$PKI/$2.csr" -CA "$PKI/$1.crt" -CAkey "$PKI/$1.key" -CAcreateserial \
      -sha256 -days 3650 -extfile "$PKI/$2.ext" -out "$PKI/$2.crt" 2>/dev/null ||
    die "openssl could not issue $PKI/$2.crt"
  rm -f "$PKI/$2.ext" "$PKI/$2.csr"
}

certs_make() {
  umask 022
  mkdir -p "$PKI" "$SECRETS" "$CONFIG"
  chmod 700 "$PKI" "$SECRETS"
  local node=/O=system:nodes/CN=system:node:$NODE_NAME
  cert_authority ca /CN=headworks-pocket
  cert_authority front-proxy-ca /CN=headworks-pocket-front-proxy
  cert_authority kafka-ca /CN=headworks-pocket-kafka
  cert_authority postgres-ca /CN=headworks-pocket-postgres
  cert_issue ca apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$NODE_IP"
  cert_issue ca audit /CN=audit "IP:$AUDIT_IP"
  cert_issue ca etcd /CN=etcd "DNS:localhost,IP:127.0.0.1"
  cert_issue ca apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  cert_issue ca kubelet "$node" "DNS:$NODE_NAME,IP:$NODE_IP"
  cert_issue ca controller-manager /CN=system:kube-controller-manager "DNS:localhost,IP:127.0.0.1"
  cert_issue ca scheduler /CN=system:kube-scheduler "DNS:localhost,IP:127.0.0.1"
  cert_issue ca proxy /CN=system:kube-proxy
  cert_issue ca admin /O=system:masters/CN=pocket-admin
  cert_issue front-proxy-ca front-proxy /CN=front-proxy-client
  cert_issue kafka-ca kafka /CN=events-kafka "DNS:events-kafka-bootstrap,DNS:events-kafka-bootstrap.kafka,DNS:events-kafka-bootstrap.kafka.svc,DNS:events-kafka-bootstrap.kafka.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP"
  cert_issue postgres-ca postgres /CN=warehouse "DNS:warehouse,DNS:warehouse.postgres,DNS:warehouse.postgres.svc,DNS:warehouse.postgres.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP"
  [[ -s $PKI/service-accounts.key ]] || openssl genrsa -out "$PKI/service-accounts.key" 2048 2>/dev/null
  secret_make audit-token
  secret_make kafka-password
  secret_make postgres-password
  local name
  for name in kubelet controller-manager scheduler proxy; do kubeconfig_make "$name" "$CONFIG/$name.kubeconfig"; done
  kubeconfig_make admin "$ADMIN_KUBECONFIG"
  (umask 077 && kubeconfig_audit >"$CONFIG/audit-webhook.kubeconfig")
}

secret_make() { # NAME: 32 random letters and digits, for the owner's eyes only
  [[ -s $SECRETS/$1 ]] || (umask 077 && openssl rand -hex 16 | tr -d '\n' >"$SECRETS/$1")
}

base64_of() { base64 -w 0 <"$1"; }

kubeconfig_make() ( # NAME FILE
  umask 077
  cat >"$2" <<EOF
apiVersion: v1
kind: Config
current-context: pocket
clusters:
- name: pocket
  cluster: {server: "https://$NODE_IP:$API_PORT", certificate-authority-data: $(base64_of "$PKI/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64_of "$PKI/$1.crt"), client-key-data: $(base64_of "$PKI/$1.key")}
contexts:
- name: pocket
  context: {cluster: pocket, user: $1}
EOF
)

# The API server's audit webhook. https, because client-go sends a token over
# nothing else: the Source that takes the address serves the certificate `audit`.
kubeconfig_audit() {
  cat <<EOF
apiVersion: v1
kind: Config
current-context: audit
clusters:
- name: audit
  cluster: {server: "$AUDIT_URL", certificate-authority-data: $(base64_of "$PKI/ca.crt")}
users:
- name: audit
  user: {token: $(cat "$SECRETS/audit-token")}
contexts:
- name: audit
  context: {cluster: audit, user: audit}
EOF
}
