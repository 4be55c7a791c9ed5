# shellcheck shell=bash
# Kafka: jars from Maven Central, a Java runtime of just its modules, an image
# of the two, one broker in namespace kafka.

KAFKA_JARS=$CACHE/kafka/$KAFKA_VERSION/libs
KAFKA_DATA=$STATE/kafka # the same path in the broker's pod

kafka_expected() { if [[ -s $(kafka_image_tar) ]]; then echo "0 min, cached"; else echo "1 to 2 min, once"; fi; }

kafka_image_tar() {
  local key
  key=$({ java -version 2>&1; cat "$POCKET_DIR"/config/kafka-pom.xml "$POCKET_DIR"/lib/{kafka.sh,oci_layout.py}; } | sha256sum | cut -c1-16)
  printf '%s/kafka/%s/image-%s.tar' "$CACHE" "$KAFKA_VERSION" "$key"
}

kafka_build() {
  local tar dir
  kafka_jars
  tar=$(kafka_image_tar)
  [[ ! -s $tar ]] || return 0
  dir=$(mktemp -d "$CACHE/kafka/rootfs.XXXXXX")
  chmod 755 "$dir"
  kafka_rootfs "$dir" || die "cannot make Kafka's image; see $CACHE/kafka/jlink.log"
  python3 "$POCKET_DIR/lib/oci_layout.py" "$tar.new" "$KAFKA_IMAGE" rootfs "$dir" \
    /opt/java/bin/java -cp '/opt/kafka/libs/*' || die "cannot write Kafka's image"
  rm -f "${tar%/*}"/image-*.tar # an older one
  mv "$tar.new" "$tar"
  rm -rf "$dir"
}

kafka_jars() {
  [[ ! -e $KAFKA_JARS/.complete ]] || return 0
  mkdir -p "$KAFKA_JARS"
  with_progress "$CACHE/kafka/maven.log" mvn -B -f "$POCKET_DIR/config/kafka-pom.xml" \
    -Dorg.slf4j.simpleLogger.log.org.apache.maven.cli.transfer.Slf4jMavenTransferListener=warn \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$KAFKA_JARS" ||
    die "Maven could not fetch Kafka; see $CACHE/kafka/maven.log"
  touch "$KAFKA_JARS/.complete"
}

# Java of Kafka's modules (70 MB rather than 200), the C libraries it loads,
# and the jars.
kafka_rootfs() ( # DIR
  set -e
  jlink --add-modules java.se,jdk.unsupported,jdk.crypto.ec,jdk.management,jdk.naming.dns,jdk.zipfs,jdk.jcmd \
    --strip-java-debug-attributes --no-header-files --no-man-pages --output "$1/opt/java" >"$CACHE/kafka/jlink.log" 2>&1
  "$1/opt/java/bin/java" -Xshare:dump >>"$CACHE/kafka/jlink.log" 2>&1 || true # starts faster with it
  mkdir -p "$1/opt/kafka/libs" "$1/etc/kafka/tls" "$1/tmp"
  chmod 1777 "$1/tmp"
  cp "$KAFKA_JARS"/*.jar "$1/opt/kafka/libs/"
  printf 'root:x:0:0:root:/:/sbin/nologin\nkafka:x:65532:65532::/tmp:/sbin/nologin\n' >"$1/etc/passwd"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
  local -a programs
  mapfile -d '' programs < <(find "$1/opt/java" -name '*.so' -print0)
  copy_libraries "$1" "$1/opt/java/bin/java" "${programs[@]}"
)

kafka_up() {
  local tar
  tar=$(kafka_image_tar)
  if [[ $(cat "$STATE/images/kafka" 2>/dev/null) != "${tar##*/}" ]] || ! image_there "$KAFKA_IMAGE"; then
    image_import "$tar"
    echo "${tar##*/}" >"$STATE/images/kafka"
  fi
  sed -e "s|@DATA@|$KAFKA_DATA|" -e "s|@NODE_IP@|$NODE_IP|g" -e "s|@NODE_PORT@|$KAFKA_NODE_PORT|" \
    -e "s|@SCRAM_NODE_PORT@|$KAFKA_SCRAM_NODE_PORT|" "$POCKET_DIR/config/kafka.properties" >"$CONFIG/kafka.properties"
  kafka_format
  kafka_apply >"$LOGS/kafka-apply.log" 2>&1 || { tail -n 5 "$LOGS/kafka-apply.log" >&2; die "cannot apply Kafka"; }
}

# The SCRAM user is in the metadata from the first record on. Formatting here,
# not in the pod, keeps the password out of its command line and environment.
kafka_format() {
  [[ ! -e $KAFKA_DATA/meta.properties ]] || return 0
  local password format=(java -XX:TieredStopAtLevel=1 -cp "$KAFKA_JARS/*" kafka.tools.StorageTool)
  password=$(cat "$SECRETS/kafka-password")
  mkdir -p "$KAFKA_DATA"
  "${format[@]}" format --standalone --ignore-formatted -c "$CONFIG/kafka.properties" \
    --cluster-id "$(openssl rand -base64 16 | tr '+/' '-_' | cut -c1-22)" \
    --add-scram "SCRAM-SHA-512=[name=headworks,password=$password]" >"$LOGS/kafka-format.log" 2>&1 ||
    { tail -n 5 "$LOGS/kafka-format.log" >&2; die "cannot format Kafka's storage"; }
  chown -R 65532:65532 "$KAFKA_DATA"
}

kafka_apply() {
  local checksum apply=(kubectl apply --server-side --force-conflicts -f -)
  (umask 077 && cat "$PKI/kafka.key" "$PKI/kafka.crt" "$PKI/kafka-ca.crt" >"$PKI/kafka.pem")
  checksum=$(cat "$CONFIG/kafka.properties" "$PKI/kafka.pem" "$STATE/images/kafka" | sha256sum | cut -c1-16)
  {
    kubectl create namespace kafka --dry-run=client -o yaml
    echo ---
    kubectl -n kafka create configmap events-kafka --from-file=server.properties="$CONFIG/kafka.properties" --dry-run=client -o yaml
    echo ---
    kubectl -n kafka create secret generic events-kafka-tls --from-file=server.pem="$PKI/kafka.pem" --dry-run=client -o yaml
    echo ---
    kubectl -n kafka create secret generic events-cluster-ca-cert --from-file=ca.crt="$PKI/kafka-ca.crt" --dry-run=client -o yaml
    echo ---
    kubectl -n kafka create secret generic headworks-kafka --from-literal=username=headworks \
      --from-file=password="$SECRETS/kafka-password" --dry-run=client -o yaml
    echo ---
    sed -e "s|@IMAGE@|$KAFKA_IMAGE|" -e "s|@DATA@|$KAFKA_DATA|g" -e "s|@CHECKSUM@|$checksum|" \
      -e "s|@NODE_PORT@|$KAFKA_NODE_PORT|" -e "s|@SCRAM_NODE_PORT@|$KAFKA_SCRAM_NODE_PORT|" "$POCKET_DIR/manifests/kafka.yaml"
  } | "${apply[@]}"
}

kafka_wait() {
  wait_until 120 "Kafka is ready" kafka_ready || die "Kafka is not ready: see 'pocket logs kafka'"
}

kafka_ready() {
  stateful_set_ready kafka events &&
    port_open "$NODE_IP" "$KAFKA_NODE_PORT"
}

# kafka_command TOOL ARGS: Kafka's console tools, on this machine's Java, at
# the host's address unless ARGS say otherwise.
kafka_command() {
  local tool=${1:-} class
  case $tool in
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    console-producer) class=org.apache.kafka.tools.ConsoleProducer ;;
    consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    configs) class=kafka.admin.ConfigCommand ;;
    acls) class=org.apache.kafka.tools.AclCommand ;;
    get-offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
    delete-records) class=org.apache.kafka.tools.DeleteRecordsCommand ;;
    transactions) class=org.apache.kafka.tools.TransactionsCommand ;;
    producer-perf-test) class=org.apache.kafka.tools.ProducerPerformance ;;
    broker-api-versions) class=org.apache.kafka.tools.BrokerApiVersionsCommand ;;
    *) die "usage: pocket kafka topics|console-consumer|console-producer|consumer-groups|configs|acls|get-offsets|delete-records|transactions|producer-perf-test|broker-api-versions [ARG...]" ;;
  esac
  [[ -e $KAFKA_JARS/.complete ]] || die "Kafka's jars are not in the cache: run 'pocket up'"
  shift
  local -a server=(--bootstrap-server "$NODE_IP:$KAFKA_NODE_PORT")
  [[ " $* " != *" --bootstrap-server"* && " $* " != *" --producer-props "* && " $* " != *" --help "* ]] || server=()
  exec java -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$KAFKA_JARS/*" "$class" "${server[@]}" "$@"
}
