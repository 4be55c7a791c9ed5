# shellcheck shell=bash
# `pocket check`: uses the cluster as a user would, in a namespace of its own.

check() {
  local failed=0
  CHECK=pocket-check-$$ # two may check at the same time
  sed -e "s|@SHELL_IMAGE@|$SHELL_IMAGE|g" -e "s|@NAMESPACE@|$CHECK|g" "$POCKET_DIR/manifests/check.yaml" | kubectl apply -f - >/dev/null || die "cannot apply the check's pods"
  wait_until 60 "the check's pods are ready" kubectl -n "$CHECK" wait --for=condition=Ready pod --all --timeout=1s || failed=1
  check_one "a pod finds kubernetes.default.svc" check_in_client nslookup kubernetes.default.svc.cluster.local
  check_one "pod -> service -> pod" check_in_client wget -qO- "http://web.$CHECK.svc/name"
  check_one "a pod reaches itself by its service" check_in_server wget -qO- "http://web.$CHECK/name"
  check_one "the host reaches a service" check_from_host
  check_one "logs" check_logs
  check_one "port-forward" check_port_forward
  check_one "a service account's token" kubectl -n "$CHECK" create token default
  check_one "Kafka: produce and consume" check_kafka PLAINTEXT
  check_one "Kafka with SCRAM and TLS: produce and consume" check_kafka SCRAM
  check_one "Kafka refuses a user whom no ACL names" check_kafka_refuses
  check_one "the schema registry: register, read, refuse" check_registry
  check_one "the schema registry's name from a pod" check_in_client wget -qO- "http://registry.kafka.svc:8080$REGISTRY_API/subjects"
  check_one "Kafka's name from a pod" check_in_client nc -w 5 events-kafka-bootstrap.kafka.svc 9092
  kubectl delete namespace "$CHECK" --wait=false >/dev/null
  return "$failed"
}

check_one() { # WHAT COMMAND...
  local what=$1 answer
  shift
  if answer=$("$@" 2>&1); then printf '%-50s ok\n' "$what"; else
    printf '%-50s FAILED\n%s\n' "$what" "$answer"
    failed=1
  fi
}

check_in_client() { kubectl -n "$CHECK" exec client -- timeout 20 "$@" </dev/null; }
check_in_server() { kubectl -n "$CHECK" exec web -- timeout 20 "$@"; }
check_logs() { kubectl -n "$CHECK" logs web | grep -q 'web is up'; }

check_from_host() {
  [[ $(python3 -c 'import sys, urllib.request as u
print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode(), end="")' \
    "http://$(kubectl -n "$CHECK" get service web -o 'jsonpath={.spec.clusterIP}')/name") == web ]]
}

check_port_forward() {
  local pid port=$((20000 + $$ % 10000)) status
  # The program itself: the function would be a shell around it, and $! the shell's.
  "$BIN/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" -n "$CHECK" port-forward pod/web "$port:8080" >/dev/null 2>&1 &
  pid=$!
  wait_until 10 "the forwarded port answers" https_ok "http://127.0.0.1:$port/name"
  status=$?
  kill "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  return "$status"
}

check_kafka() { # PLAINTEXT | SCRAM
  local topic word server=$NODE_IP:$KAFKA_NODE_PORT config got
  topic=$CHECK-${1,,} word=$1-$RANDOM
  config=$(mktemp)
  if [[ $1 == SCRAM ]]; then
    server=$NODE_IP:$KAFKA_SCRAM_NODE_PORT
    check_kafka_login headworks "$(cat "$SECRETS/kafka-password")" >"$config"
  fi
  check_kafka_tool topics --bootstrap-server "$server" --command-config "$config" --create --if-not-exists --topic "$topic" &&
    check_kafka_tool console-producer --bootstrap-server "$server" --command-config "$config" --topic "$topic" <<<"$word" &&
    got=$(check_kafka_tool console-consumer --bootstrap-server "$server" --command-config "$config" --topic "$topic" \
      --from-beginning --timeout-ms 10000 --max-messages 1) &&
    check_kafka_tool topics --bootstrap-server "$server" --command-config "$config" --delete --topic "$topic"
  local status=$?
  rm -f "$config"
  [[ $got == *"$word"* ]] || { echo "sent $word, got ${got:-nothing}"; status=1; }
  return "$status"
}

check_kafka_login() { # USER PASSWORD
  cat <<EOF
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="$1" password="$2";
ssl.truststore.type=PEM
ssl.truststore.location=$PKI/kafka-ca.crt
EOF
}

check_kafka_refuses() {
  local config answer
  config=$(mktemp)
  check_kafka_login "$CHECK" "$CHECK" >"$config"
  check_kafka_tool configs --alter --entity-type users --entity-name "$CHECK" --add-config "SCRAM-SHA-512=[password=$CHECK]"
  answer=$(check_kafka_tool topics --bootstrap-server "$NODE_IP:$KAFKA_SCRAM_NODE_PORT" --command-config "$config" --create --topic "$CHECK-refused" 2>&1)
  check_kafka_tool configs --alter --entity-type users --entity-name "$CHECK" --delete-config SCRAM-SHA-512
  rm -f "$config"
  [[ $answer == *"Authorization failed"* ]] || { printf 'not refused: %s\n' "$answer"; return 1; }
}

# A subject, the same again, a schema that old readers of it would not
# understand; then nothing is left of it.
check_registry() {
  python3 - "http://$NODE_IP:$REGISTRY_NODE_PORT$REGISTRY_API" "$CHECK-value" <<'EOF'
import json, sys, urllib.error, urllib.request
url, subject = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(method, path, body=None):
    request = urllib.request.Request(url + path, method=method, data=json.dumps(body).encode() if body else None,
                                     headers={"Content-Type": "application/vnd.schemaregistry.v1+json"})
    return json.load(opener.open(request, timeout=20))
def schema(kind):
    return {"schema": json.dumps({"type": "record", "name": "Check", "fields": [{"name": "id", "type": kind}]})}
try:
    first = ask("POST", f"/subjects/{subject}/versions", schema("long"))["id"]
    again = ask("POST", f"/subjects/{subject}/versions", schema("long"))["id"]
    assert first == again, f"one schema, two ids: {first}, {again}"
    assert '"long"' in ask("GET", f"/schemas/ids/{first}")["schema"]
    ask("PUT", f"/config/{subject}", {"compatibility": "BACKWARD"})
    try:
        ask("POST", f"/subjects/{subject}/versions", schema("string"))
        sys.exit("an incompatible schema was taken")
    except urllib.error.HTTPError as error:
        assert error.code == 409, error
finally:
    ask("DELETE", f"/subjects/{subject}")
    ask("DELETE", f"/subjects/{subject}?permanent=true")
EOF
}

check_kafka_tool() { (kafka_command "$@"); }
