# shellcheck shell=bash
# The Go program that is every Kubernetes component, and the names it goes by; kubectl and what pods of nothing run beside it.

BINARY_NAMES=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy coredns helm)

binary_key() {
  { cat "$POCKET_DIR"/lib/binary.sh "$POCKET_DIR"/node/{go.mod,go.sum,*.go,*/*.go}; go version; echo "$KUBERNETES_VERSION $HELM_VERSION"; } | sha256sum | cut -c1-16
}

binary_cached() { printf '%s/node/%s' "$CACHE" "$(binary_key)"; }

binary_expected() { if [[ -x $(binary_cached)/node ]]; then echo "0 min, cached"; else echo "7 to 15 min on 2 cores, once"; fi; }

binary_build() {
  local dir flags='-s -w' version=k8s.io/component-base/version
  dir=$(binary_cached)
  if [[ ! -x $dir/node ]]; then
    mkdir -p "$dir"
    PROGRESS_TOTAL=$(cd "$POCKET_DIR/node" && go list -deps . 2>"$dir/list.log" | wc -l)
    flags+=" -X $version.gitVersion=v$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=35"
    flags+=" -X $version.gitTreeState=clean -X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION"
    # The user agent of every client, as audit events show it.
    flags+=" -X k8s.io/client-go/pkg/version.gitVersion=v$KUBERNETES_VERSION -X k8s.io/client-go/pkg/version.gitCommit=release"
    with_progress "$dir/build.log" binary_compile "$dir" "$flags" ||
      die "the Go build failed; see $dir/build.log"
    unset PROGRESS_TOTAL
    mv "$dir/node.new" "$dir/node"
    # Others' builds from another checkout stay; a week-old one costs 15 s to link again.
    find "$CACHE/node" -mindepth 1 -maxdepth 1 -mtime +7 ! -path "$dir" -exec rm -rf {} +
  fi
  binary_link "$dir"
}

binary_compile() { # DIR LDFLAGS
  cd "$POCKET_DIR/node" &&
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$1/pause" ./pause &&
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "$2" -o "$1/kubectl" ./kubectl &&
    CGO_ENABLED=0 go build -v -buildvcs=false -trimpath -ldflags "$2" -o "$1/node.new" .
}

binary_link() { # DIR: into the state, so that an emptied cache breaks nothing that runs
  local name
  mkdir -p "$BIN" "$STATE/tools"
  for name in node kubectl pause; do
    if ! cmp -s "$1/$name" "$BIN/$name"; then
      cp "$1/$name" "$BIN/$name.new"
      mv -f "$BIN/$name.new" "$BIN/$name"
    fi
  done
  basename "$1" >"$BIN/key"
  for name in "${BINARY_NAMES[@]}"; do ln -sfn node "$BIN/$name"; done
  for name in kubectl helm; do ln -sfn "$BIN/$name" "$STATE/tools/$name"; done
  printf '#!/bin/sh\nexec %s --address %s "$@"\n' "$(command -v ctr)" "$CONTAINERD_SOCKET" >"$STATE/tools/ctr"
  chmod 755 "$STATE/tools/ctr"
}

kubectl() { "$BIN/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }
