#!/usr/bin/env bash
# Flink 2.3.0 (SQL, Java 17): ORDER BY within ARRAY_AGG.
# You'd expect ARRAY_AGG(n ORDER BY n DESC) to give a sorted array: that is what the words mean in the SQL standard and in
# other engines, and Flink takes them. They parse, plan and run, in streaming and in batch mode, and change nothing: the
# array is in the order in which rows came, and two calls with opposite orders give equal arrays. Nothing is refused, nothing
# is logged. A query that is ported with its ORDER BY, or that takes the first element of such an array for the least one,
# is wrong wherever rows don't come sorted, and right in a test whose rows do. Instead: ARRAY_SORT(ARRAY_AGG(n)), or
# ROW_NUMBER() for the first ones.
#
# Seen (log lines of Flink aside):
#   Flink 2.3.0, Java 17.0.15+6-Debian-1deb12u1
#   streaming, ARRAY_AGG(n): [2, 3, 1]
#   streaming, ARRAY_AGG(n ORDER BY n): [2, 3, 1]
#   streaming, ARRAY_AGG(n ORDER BY n DESC): [2, 3, 1]
#   streaming, ARRAY_AGG(s ORDER BY n): [b, c, a]
#   streaming, ARRAY_SORT(ARRAY_AGG(n)): [1, 2, 3]
#   batch, ARRAY_AGG(n): [2, 3, 1]
#   batch, ARRAY_AGG(n ORDER BY n): [2, 3, 1]
#   batch, ARRAY_AGG(n ORDER BY n DESC): [2, 3, 1]
#   batch, ARRAY_AGG(s ORDER BY n): [b, c, a]
#   batch, ARRAY_SORT(ARRAY_AGG(n)): [1, 2, 3]
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --no-deps --target "$work/python" apache-flink-libraries==2.3.0
jars=$work/python/pyflink/lib
mkdir "$work/rows"
printf 'k,2,b\nk,3,c\nk,1,a\n' >"$work/rows/three.csv"
cat >"$work/Ask.java" <<'JAVA'
import java.util.*;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.*;
import org.apache.flink.types.Row;

public class Ask {
  public static void main(String[] args) throws Exception {
    System.out.println("Flink " + EnvironmentInformation.getVersion() + ", Java " + Runtime.version());
    String[][] asked = {
      {"ARRAY_AGG(n)", "[2, 3, 1]"},
      {"ARRAY_AGG(n ORDER BY n)", "[2, 3, 1]"},
      {"ARRAY_AGG(n ORDER BY n DESC)", "[2, 3, 1]"},
      {"ARRAY_AGG(s ORDER BY n)", "[b, c, a]"},
      {"ARRAY_SORT(ARRAY_AGG(n))", "[1, 2, 3]"},
    };
    int failed = 0;
    for (String mode : new String[] {"streaming", "batch"}) {
      TableEnvironment flink = TableEnvironment.create(mode.equals("batch") ? EnvironmentSettings.inBatchMode() : EnvironmentSettings.inStreamingMode());
      flink.getConfig().set("parallelism.default", "1");
      flink.executeSql("CREATE TABLE t (k STRING, n INT, s STRING) WITH ('connector' = 'filesystem', 'format' = 'csv', 'path' = '" + args[0] + "')");
      for (String[] one : asked) {
        // Of a changelog the last row is the result.
        String found = null;
        try (var rows = flink.executeSql("SELECT " + one[0] + " AS a FROM t GROUP BY k").collect()) {
          while (rows.hasNext()) found = Arrays.toString((Object[]) rows.next().getField(0));
        }
        System.out.println(mode + ", " + one[0] + ": " + found);
        if (one[1].equals(found)) continue;
        failed = 1;
        System.out.println("  this has changed: it was " + one[1]);
      }
    }
    System.exit(failed);
  }
}
JAVA
javac -cp "$jars/*" -d "$work" "$work/Ask.java"
open=()
for package in lang util time net util.concurrent util.concurrent.atomic; do
  open+=(--add-opens "java.base/java.$package=ALL-UNNAMED")
done
java -Xmx1500m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "${open[@]}" -cp "$work:$jars/*" Ask "$work/rows" 2>"$work/log" || { code=$? && tail -5 "$work/log" >&2 && exit "$code"; }
