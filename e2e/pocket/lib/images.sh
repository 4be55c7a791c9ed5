# shellcheck shell=bash
# Images: made here, imported into containerd, pulled from nowhere.

# image_full_name NAME:TAG -> the name the kubelet looks an image up by
image_full_name() {
  local name=$1 first=${1%%/*}
  [[ ${name##*/} == *:* ]] || name=$name:latest
  if [[ $name != */* ]]; then
    name=docker.io/library/$name
  elif [[ $first != localhost && $first != *.* && $first != *:* ]]; then
    name=docker.io/$name
  fi
  printf '%s' "$name"
}

image_there() { [[ -n $(ctr_k8s images ls -q "name==$1" 2>/dev/null) ]]; }

image_import() { # TAR
  ctr_k8s images import --snapshotter overlayfs "$1" >/dev/null || die "containerd refuses the image in $1"
}

# image_digest KIND FILE... -> a digest of what an image is made of
image_digest() {
  local kind=$1 extra
  shift
  {
    printf '%s\n' "$kind" "$@"
    cat "$POCKET_DIR/lib/oci_layout.py"
    if [[ $kind == rootfs ]]; then
      tar -C "$1" --sort=name --mtime=@0 -cf - .
    else
      cat "$1"
      ldd "$1" 2>/dev/null | sed 's/ (0x.*//'
      shift
      for extra in "$@"; do
        if [[ -d ${extra%:*} ]]; then tar -C "${extra%:*}" --sort=name --mtime=@0 -cf - .; else cat "${extra%:*}"; fi
      done
    fi
  } | sha256sum | cut -d' ' -f1
}

# image_make KIND NAME:TAG WHAT [ARG...]: builds and imports, unless the same
# content is there under that name.
image_make() {
  local kind=$1 name digest record out
  [[ -e $3 ]] || die "image: $3 is not there"
  name=$(image_full_name "$2")
  shift 2
  digest=$(image_digest "$kind" "$@") || die "image: cannot read what $name is made of"
  record=$STATE/images/${name//[\/:]/_}
  mkdir -p "$STATE/images"
  if [[ $(cat "$record" 2>/dev/null) == "$digest" ]] && image_there "$name"; then
    say "$name is up to date"
    return
  fi
  out=$(mktemp "$STATE/images/build.XXXXXX")
  python3 "$POCKET_DIR/lib/oci_layout.py" "$out" "$name" "$kind" "$@" || { rm -f "$out" "$out.layer"; die "image: $name was not built"; }
  image_import "$out"
  rm -f "$out"
  printf '%s\n' "$digest" >"$record"
  say "$name imported"
}

image_command() { # NAME:TAG BINARY [FILE:DEST ...]
  (($# >= 2)) || die "usage: pocket image NAME:TAG BINARY [FILE:/DEST ...]"
  image_needs_containerd
  image_make binary "$@"
}

image_rootfs_command() { # NAME:TAG DIR ENTRYPOINT...
  (($# >= 3)) || die "usage: pocket image-rootfs NAME:TAG DIR ENTRYPOINT..."
  image_needs_containerd
  image_make rootfs "$@"
}

image_needs_containerd() { process_alive containerd || die "not up: run 'pocket up' first"; }

# The images the cluster itself needs, and a shell for looking around.
node_images() {
  local dir=$STATE/images/tmp
  rm -rf "$dir"
  mkdir -p "$dir/pause" "$dir/shell"
  cp "$BIN/pause" "$dir/pause/pause"
  image_make rootfs "$PAUSE_IMAGE" "$dir/pause" /pause
  shell_rootfs "$dir/shell"
  image_make rootfs "$SHELL_IMAGE" "$dir/shell" /bin/sh
  rm -rf "$dir"
  # The binary answers to the name it is called by.
  mkdir -p "$dir"
  ln "$BIN/node" "$dir/coredns"
  image_make binary "$COREDNS_IMAGE" "$dir/coredns"
  rm -rf "$dir"
}

shell_rootfs() { # DIR
  local applet
  mkdir -p "$1/bin" "$1/tmp" "$1/etc"
  chmod 1777 "$1/tmp"
  cp "$(busybox_program)" "$1/bin/busybox"
  copy_libraries "$1" "$1/bin/busybox"
  printf 'root:x:0:0:root:/:/bin/sh\nheadworks:x:65532:65532::/tmp:/bin/sh\n' >"$1/etc/passwd"
  while read -r applet; do ln -s busybox "$1/bin/$applet"; done < <("$(busybox_program)" --list | grep -vx busybox)
}

# copy_libraries ROOT PROGRAM...: what `ldd` names, at the same paths in ROOT
copy_libraries() {
  local root=$1 file
  shift
  { for file in "$@"; do ldd "$file"; done; } 2>/dev/null |
    sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | grep -v "^$root/" | sort -u |
    while read -r file; do
      # Java's windows and printers are in java.se, and not used here.
      case $file in */libX* | */libxcb* | */libasound* | */libfreetype* | */libpng* | */libbrotli* | */libbsd* | */libmd*) continue ;; esac
      mkdir -p "$root$(dirname "$file")"
      cp -L "$file" "$root$file"
    done
}
