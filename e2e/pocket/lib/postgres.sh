# shellcheck shell=bash
# PostgreSQL: Debian's packages taken apart into an image, one server in
# namespace postgres, reachable by name from pods and by port from this machine.

POSTGRES_DATA=$STATE/postgres # the same path in the server's pod

postgres_expected() { if [[ -s $(postgres_image_tar) ]]; then echo "0 min, cached"; else echo "1 min, once"; fi; }

postgres_image_tar() {
  local key
  key=$({ cat /etc/debian_version "$POCKET_DIR"/lib/{postgres.sh,oci_layout.py}; } 2>/dev/null | sha256sum | cut -c1-16)
  printf '%s/postgres/image-%s.tar' "$CACHE" "$key"
}

postgres_build() {
  local tar dir
  tar=$(postgres_image_tar)
  [[ ! -s $tar ]] || return 0
  mkdir -p "$CACHE/postgres"
  rm -rf "$CACHE"/postgres/{rootfs,packages}.* # of a build that was cut short
  dir=$(mktemp -d "$CACHE/postgres/rootfs.XXXXXX")
  chmod 755 "$dir"
  postgres_rootfs "$dir" >"$CACHE/postgres/build.log" 2>&1 ||
    { tail -n 15 "$CACHE/postgres/build.log" >&2; die "cannot make PostgreSQL's image; see $CACHE/postgres/build.log"; }
  python3 "$POCKET_DIR/lib/oci_layout.py" "$tar.new" "$POSTGRES_IMAGE" rootfs "$dir" /bin/sh || die "cannot write PostgreSQL's image"
  rm -f "${tar%/*}"/image-*.tar # an older one
  mv "$tar.new" "$tar"
  rm -rf "$dir"
}

# The server, its client, time zones and the C libraries they load: no Perl, no
# LLVM (just-in-time compilation is off), and nothing is installed on this machine.
postgres_rootfs() ( # DIR
  set -e
  local version work
  apt-cache show postgresql >/dev/null 2>&1 || apt-get update
  version=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
  work=$(mktemp -d "$CACHE/postgres/packages.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  local -a packages
  mapfile -t packages < <(
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "postgresql-$version" |
      grep '^[a-z]' | sort -u | grep -E "^(lib.*|zlib1g|tzdata|postgresql-(client-)?$version)$" |
      grep -vE '^(libllvm|libz3|libperl|libgdbm|libpam-modules|libnewt|libslang|libdebian-installer|libtextwrap|.*-perl$)'
  )
  cd "$work"
  apt-get download "${packages[@]}" || { apt-get update && apt-get download "${packages[@]}"; }
  local file
  for file in *.deb; do dpkg-deb -x "$file" "$1"; done
  # Where the packages still have /lib beside /usr/lib, the image has one.
  for file in bin sbin lib lib64; do
    if [[ -d $1/$file && ! -L $1/$file ]]; then
      mkdir -p "$1/usr/$file"
      cp -a "$1/$file/." "$1/usr/$file/"
      rm -rf "${1:?}/$file"
    fi
    [[ -e $1/$file || ! -d $1/usr/$file ]] || ln -s "usr/$file" "$1/$file"
  done
  rm -rf "$1"/usr/share/{doc,man,locale,lintian} "$1/usr/lib/postgresql/$version/lib"/{bitcode,llvmjit*}
  mkdir -p "$1"/{usr/bin,etc,tmp,run/postgresql}
  chmod 1777 "$1/tmp" "$1/run/postgresql"
  [[ -e $1/bin ]] || ln -s usr/bin "$1/bin"
  cp "$(busybox_program)" "$1/usr/bin/busybox" # initdb calls a shell
  ln -sf busybox "$1/usr/bin/sh"
  ln -s "/usr/lib/postgresql/$version/bin" "$1/postgresql"
  printf 'root:x:0:0:root:/:/sbin/nologin\npostgres:x:65532:65532::/tmp:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\npostgres:x:65532:\n' >"$1/etc/group"
  echo 'hosts: files dns' >"$1/etc/nsswitch.conf"
  chroot --userspec=65532:65532 "$1" /postgresql/postgres --version
)

postgres_up() {
  local tar
  tar=$(postgres_image_tar)
  if [[ $(cat "$STATE/images/postgres" 2>/dev/null) != "${tar##*/}" ]] || ! image_there "$POSTGRES_IMAGE"; then
    image_import "$tar"
    echo "${tar##*/}" >"$STATE/images/postgres"
  fi
  mkdir -p "$POSTGRES_DATA"
  chmod 700 "$POSTGRES_DATA"
  chown 65532:65532 "$POSTGRES_DATA"
  postgres_apply >"$LOGS/postgres-apply.log" 2>&1 || { tail -n 5 "$LOGS/postgres-apply.log" >&2; die "cannot apply PostgreSQL"; }
}

postgres_apply() {
  local checksum
  checksum=$(cat "$PKI/postgres.crt" "$STATE/images/postgres" "$POCKET_DIR/manifests/postgres.yaml" | sha256sum | cut -c1-16)
  {
    kubectl create namespace postgres --dry-run=client -o yaml
    echo ---
    kubectl -n postgres create secret generic warehouse-superuser --from-literal=username=postgres \
      --from-file=password="$SECRETS/postgres-password" --dry-run=client -o yaml
    echo ---
    kubectl -n postgres create secret generic warehouse-tls --from-file=tls.crt="$PKI/postgres.crt" \
      --from-file=tls.key="$PKI/postgres.key" --dry-run=client -o yaml
    echo ---
    kubectl -n postgres create secret generic warehouse-ca --from-file=ca.crt="$PKI/postgres-ca.crt" --dry-run=client -o yaml
    echo ---
    sed -e "s|@IMAGE@|$POSTGRES_IMAGE|" -e "s|@DATA@|$POSTGRES_DATA|g" -e "s|@CHECKSUM@|$checksum|" \
      -e "s|@NODE_PORT@|$POSTGRES_NODE_PORT|" "$POCKET_DIR/manifests/postgres.yaml"
  } | kubectl apply --server-side --force-conflicts -f -
}

postgres_wait() {
  wait_until 120 "PostgreSQL is ready" postgres_ready || die "PostgreSQL is not ready: see 'pocket logs postgres'"
}

postgres_ready() {
  stateful_set_ready postgres warehouse &&
    port_open "$NODE_IP" "$POSTGRES_NODE_PORT"
}

# psql in the server's pod, as its superuser.
postgres_command() {
  need_up
  kubectl -n postgres exec -i warehouse-0 -- /postgresql/psql -X -h /tmp -U postgres "$@"
}
