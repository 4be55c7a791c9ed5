# shellcheck shell=bash
# Strimzi: its CRDs, generated from its own classes, and, where they are at
# hand, its own Topic and User Operator, run on this machine for namespace
# kafka and cluster events.

STRIMZI_HOME=${STRIMZI_HOME:-$POCKET_DIR/../../../shared/strimzi}
STRIMZI_CACHE=$CACHE/strimzi/$STRIMZI_VERSION
STRIMZI_CLUSTER=events
STRIMZI_KINDS=(topic.KafkaTopic user.KafkaUser connect.KafkaConnect connector.KafkaConnector
  mirrormaker2.KafkaMirrorMaker2 kafka.Kafka)

strimzi_usage="usage: pocket strimzi crds
       pocket strimzi up topic [--max-queue N]
       pocket strimzi up user [--max-queue N] [--ignore-users REGEX]
       pocket strimzi down topic|user"

strimzi_command() {
  local what=${1:-}
  [[ -z $what ]] || shift
  case $what in
    crds) need_up && lock && strimzi_crds ;;
    up) need_up && lock && strimzi_up "$@" ;;
    down)
      [[ ${1:-} == topic || ${1:-} == user ]] || die "$strimzi_usage"
      lock
      process_stop "strimzi-$1"
      ;;
    *) die "$strimzi_usage" ;;
  esac
}

# In Kubernetes, and established.
strimzi_crds() {
  local kind crds=() established
  strimzi_generate
  kubectl apply --server-side --force-conflicts -f "$STRIMZI_CACHE/crds" >"$LOGS/strimzi-crds.log" 2>&1 ||
    { tail -n 5 "$LOGS/strimzi-crds.log" >&2; die "cannot apply Strimzi's CRDs"; }
  for kind in "${STRIMZI_KINDS[@]#*.}"; do crds+=("crd/${kind,,}s.kafka.strimzi.io"); done
  established=(kubectl wait --for=condition=Established --timeout=10s "${crds[@]}")
  wait_until 120 "Strimzi's CRDs are established" "${established[@]}" || die "Strimzi's CRDs are not established"
  say "Strimzi's CRDs $STRIMZI_VERSION are applied"
}

strimzi_generate() {
  local kind arguments=() work
  [[ ! -e $STRIMZI_CACHE/.complete ]] || return 0
  rm -rf "$STRIMZI_CACHE"
  mkdir -p "$STRIMZI_CACHE"
  java_ensure
  work=$(mktemp -d "$STRIMZI_CACHE/work.XXXXXX")
  mkdir "$work/crds"
  with_progress "$STRIMZI_CACHE/maven.log" mvn -B -f "$POCKET_DIR/config/strimzi-pom.xml" \
    -Dorg.slf4j.simpleLogger.log.org.apache.maven.cli.transfer.Slf4jMavenTransferListener=warn \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$work/libs" ||
    die "Maven could not fetch Strimzi's classes; see $STRIMZI_CACHE/maven.log"
  for kind in "${STRIMZI_KINDS[@]}"; do arguments+=("io.strimzi.api.kafka.model.$kind=$work/crds/${kind#*.}.yaml"); done
  "$(java_new)/bin/java" -cp "$work/libs/*" io.strimzi.crdgenerator.CrdGenerator --yaml "${arguments[@]}" >"$STRIMZI_CACHE/generate.log" 2>&1 ||
    { tail -n 5 "$STRIMZI_CACHE/generate.log" >&2; die "cannot generate Strimzi's CRDs"; }
  mv "$work/crds" "$STRIMZI_CACHE/crds"
  rm -rf "$work"
  touch "$STRIMZI_CACHE/.complete"
}

strimzi_up() { # topic|user [OPTION...]
  local which=${1:-} queue='' ignored='^(headworks|ANONYMOUS|[*])$'
  [[ $which == topic || $which == user ]] || die "$strimzi_usage"
  shift
  while (($#)); do
    [[ -n ${2:-} ]] || die "$strimzi_usage"
    case $1 in
      --max-queue) queue=$2 ;;
      # What else it finds in Kafka, it deletes: users, ACLs and quotas without a KafkaUser.
      --ignore-users) [[ $which == user ]] || die "$strimzi_usage"; ignored=$2 ;;
      *) die "$strimzi_usage" ;;
    esac
    shift 2
  done
  [[ -z $queue || $queue =~ ^[1-9][0-9]*$ ]] || die "--max-queue takes a whole number above 0"
  if [[ ! -x $STRIMZI_HOME/run ]]; then
    printf 'pocket: no Strimzi operators in %s: set STRIMZI_HOME to a folder with them\n' "$STRIMZI_HOME" >&2
    exit 3
  fi
  java_ensure
  strimzi_crds >/dev/null
  local home command=(env "JAVA=$(java_new)/bin/java")
  home=$(cd "$STRIMZI_HOME" && pwd)
  if [[ $which == user ]]; then
    strimzi_clients_ca
    command+=("STRIMZI_IGNORED_USERS_PATTERN=$ignored" ${queue:+"STRIMZI_WORK_QUEUE_SIZE=$queue"})
  elif [[ -n $queue ]]; then
    command+=("STRIMZI_MAX_QUEUE_SIZE=$queue")
  fi
  # Its Kubernetes client reads no key of an elliptic curve. A name of its own tells its writes from a person's.
  cert_issue ca strimzi "/O=system:masters/CN=strimzi-operators" "" RSA
  kubeconfig_make strimzi "$CONFIG/strimzi.kubeconfig"
  command+=("$home/run" "$which" --kubeconfig "$CONFIG/strimzi.kubeconfig" --namespace kafka
    --bootstrap "$NODE_IP:$KAFKA_NODE_PORT" --cluster "$STRIMZI_CLUSTER")
  [[ $which != user ]] || command+=(--acls)
  if ! process_alive "strimzi-$which" && port_open 127.0.0.1 "$(strimzi_port "$which")"; then
    die "port $(strimzi_port "$which") is in use, and Strimzi's $which operator has its health there: ss -ltnp"
  fi
  process_ensure "strimzi-$which" "strimzi_${which}_healthy" "" "${command[@]}"
  say "Strimzi's $which operator is up; its log: pocket logs strimzi-$which"
}

# Where its health is asked: the operators have these ports built in.
strimzi_port() { if [[ $1 == topic ]]; then echo 8080; else echo 8081; fi; }
strimzi_topic_healthy() { https_ok "http://127.0.0.1:$(strimzi_port topic)/ready"; }
strimzi_user_healthy() { https_ok "http://127.0.0.1:$(strimzi_port user)/ready"; }

# What the User Operator signs users' certificates with, where it looks for it.
strimzi_clients_ca() {
  cert_authority kafka-clients-ca /CN=headworks-pocket-kafka-clients
  openssl pkcs8 -topk8 -nocrypt -in "$PKI/kafka-clients-ca.key" -out "$PKI/kafka-clients-ca.pk8" &&
    {
      strimzi_secret "$STRIMZI_CLUSTER-clients-ca" ca.key "$PKI/kafka-clients-ca.pk8"
      echo ---
      strimzi_secret "$STRIMZI_CLUSTER-clients-ca-cert" ca.crt "$PKI/kafka-clients-ca.crt"
    } | kubectl apply --server-side --force-conflicts -f - >"$LOGS/strimzi-clients-ca.log" 2>&1 ||
    { tail -n 5 "$LOGS/strimzi-clients-ca.log" >&2; die "cannot apply the clients' CA"; }
}

strimzi_secret() { # NAME KEY FILE
  cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: $1
  namespace: kafka
  labels: {strimzi.io/cluster: $STRIMZI_CLUSTER, strimzi.io/kind: Kafka}
  annotations: {strimzi.io/ca-key-generation: "0", strimzi.io/ca-cert-generation: "0"}
data:
  $2: $(base64_of "$3")
YAML
}
