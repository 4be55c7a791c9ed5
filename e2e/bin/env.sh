# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: where things are, and how a step is announced.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HEADWORKS_CACHE=${HEADWORKS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headworks}
# One target folder for every checkout: the dependencies are compiled once on a machine.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HEADWORKS_CACHE/target}
# Cargo takes what was built in another checkout for its own; snapshots are looked for in this one.
export INSTA_WORKSPACE_ROOT=$ROOT
export HEADWORKS_CACHE CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
POCKET=$ROOT/e2e/pocket/pocket
BIN=${HEADWORKS_BIN:-$CARGO_TARGET_DIR/release}
NAMESPACE=headworks-system
cd "$ROOT"

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
# took WHAT BEGAN: a line of the table of minutes, for what began at a value of SECONDS.
took() { echo "$(((SECONDS - $2) / 60))m$(((SECONDS - $2) % 60))s  $1" >> "${PHASES:-/dev/null}"; }
# step "what (about N min)" command…: runs it, says how long it took.
step() {
  local what=$1 began=$SECONDS; shift
  say "$what"
  "$@"
  printf '    done: %s, %dm%02ds\n' "${what%% (*}" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
  took "${what%% (*}" "$began"
}
# beside NAME COMMAND…: runs it beside what follows, its lines with its name before them; `await NAME` waits for it, and fails if it failed.
declare -A BESIDE=()
beside() {
  local name=$1; shift
  { "$@" 2>&1 | sed -u "s/^/    $name | /"; exit "${PIPESTATUS[0]}"; } &
  BESIDE[$name]=$!
}
await() { [ -z "${BESIDE[$1]:-}" ] || wait "${BESIDE[$1]}"; }
# Cargo's words, without a line a crate.
quieter() { awk '/^ *(Fresh|Downloaded|Locking|Adding) /{next} /^ *(Compiling|Downloading|Checking) /{n++; if (n % 40 == 0) {print "    … " n " crates"; fflush()} next} {print; fflush()}'; }
use_pocket() {
  export KUBECONFIG; KUBECONFIG=$("$POCKET" kubeconfig)
  local bin; bin=$("$POCKET" bin)
  [[ :$PATH: == *:"$bin":* ]] || export PATH=$bin:$PATH
}
