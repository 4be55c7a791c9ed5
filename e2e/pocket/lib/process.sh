# shellcheck shell=bash
# Daemons by pid file. A pid file holds the pid, the process's start time and
# a digest of how it was started, so that a pid that was given to someone else
# is never ended, and a changed setting restarts just its own daemon.

process_start_time() { # PID -> field 22 of /proc/PID/stat
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # the fields after the ")" of the name
  set -- ${stat##*) }
  [[ $1 != Z ]] && printf '%s' "${20}"
}

process_alive() { # NAME
  local pid started rest
  read -r pid started rest 2>/dev/null <"$RUN/pid/$1" || return 1
  [[ $(process_start_time "$pid") == "$started" ]]
}

process_digest() { # NAME -> the digest it was started with
  local pid started digest
  read -r pid started digest 2>/dev/null <"$RUN/pid/$1" && printf '%s' "$digest"
}

# process_ensure NAME HEALTH INPUTS COMMAND...: leaves a healthy daemon running.
# HEALTH is a function that succeeds if it is well; INPUTS are files it reads
# only when it starts ("a b").
process_ensure() {
  local name=$1 health=$2 inputs=$3 digest
  shift 3
  # shellcheck disable=SC2086 # a list of paths without blanks
  digest=$({ printf '%s\n' "$@"; [[ $1 != "$BIN"/* ]] || cat "$BIN/key"; cat $inputs /dev/null; } | sha256sum | cut -c1-16)
  if process_alive "$name"; then
    if [[ $(process_digest "$name") != "$digest" ]]; then
      say "    $name: settings changed, restarting"
      process_stop "$name"
    elif wait_until 20 "$name is alive but not well" "$health"; then
      return 0
    else
      process_stop "$name"
    fi
  fi
  process_start "$name" "$digest" "$@"
  local deadline=$((SECONDS + 90))
  until "$health" >/dev/null 2>&1; do
    if ! process_alive "$name" || ((SECONDS >= deadline)); then
      tail -n 15 "$LOGS/$name.log" >&2
      die "$name did not come up; its log is $LOGS/$name.log"
    fi
    sleep 0.2
  done
}

process_start() { # NAME DIGEST COMMAND...
  local name=$1 digest=$2 pid
  shift 2
  mkdir -p "$RUN/pid" "$LOGS"
  [[ ! -f $LOGS/$name.log ]] || mv -f "$LOGS/$name.log" "$LOGS/$name.log.before"
  # Descriptor 9 is pocket's lock: a daemon must not hold it.
  (cd / && exec 9>&- && exec setsid env -i PATH="$PATH" HOME="${HOME:-/root}" "${PROCESS_ENV[@]}" \
    "$@" >"$LOGS/$name.log" 2>&1 </dev/null) &
  pid=$!
  disown "$pid"
  printf '%s %s %s\n' "$pid" "$(process_start_time "$pid")" "$digest" >"$RUN/pid/$name"
}
PROCESS_ENV=()

process_stop() { # NAME: asks, waits 10 s, insists
  local pid rest i
  if process_alive "$1"; then
    read -r pid rest <"$RUN/pid/$1"
    kill -TERM "$pid" 2>/dev/null
    for ((i = 0; i < 100; i++)); do
      process_alive "$1" || break
      sleep 0.1
    done
    ! process_alive "$1" || kill -KILL "$pid" 2>/dev/null
  fi
  rm -f "$RUN/pid/$1"
}
