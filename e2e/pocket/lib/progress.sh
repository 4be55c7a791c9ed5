# shellcheck shell=bash
# What a person who waits sees: one line a phase, what it should take, what it
# took; and why it stopped.

PHASE_NAME='' PHASE_STARTED=0 UP_STARTED=$SECONDS

say() { printf '%s\n' "$*"; }
warn() { printf 'pocket: warning: %s\n' "$*" >&2; }
die() {
  printf 'pocket: %s\n' "$*" >&2
  exit 1
}

# phase NAME EXPECTED: ends the phase before and begins this one.
phase() {
  phase_end
  PHASE_NAME=$1 PHASE_STARTED=$SECONDS
  printf -- '--> %-16s (expect %s)\n' "$1" "$2"
}

phase_end() {
  [[ -z $PHASE_NAME ]] || printf '    %-16s %d s\n' "$PHASE_NAME" $((SECONDS - PHASE_STARTED))
  PHASE_NAME=''
}

# wait_until SECONDS WHAT COMMAND...: runs COMMAND every 0.3 s until it
# succeeds; after SECONDS gives up, naming WHAT.
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      warn "gave up waiting: $what"
      return 1
    fi
    sleep 0.3
  done
}

# with_progress LOG COMMAND...: runs a long COMMAND with its output in LOG and
# says every 30 s how far it is. PROGRESS_TOTAL, if set, is how many lines LOG
# can get at most.
with_progress() {
  local log=$1 pid started=$SECONDS said=0
  shift
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if ((SECONDS - started >= said + 30)); then
      said=$((SECONDS - started))
      printf '    ... %d s, %d%s steps, now: %s\n' "$said" "$(wc -l <"$log")" \
        "${PROGRESS_TOTAL:+ of at most $PROGRESS_TOTAL}" "$(tail -n 1 "$log" | cut -c1-80)"
    fi
  done
  wait "$pid" || {
    tail -n 20 "$log" >&2
    return 1
  }
}
