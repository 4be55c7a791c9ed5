#!/usr/bin/env bash
# Flink 2.3.0 (SQL, Java 17): UNION ALL as the input of a window table function, written in place.
# You'd expect TABLE(TUMBLE((SELECT … FROM a UNION ALL SELECT … FROM b), DESCRIPTOR(et), INTERVAL '1' DAY)) to put the rows
# of both into windows: a sub-query in parentheses stands for its rows, and the function's argument takes one. Only the first
# branch is read. The plan has no union and no second table in it, nothing is refused, nothing is logged, and with the
# branches exchanged the other table's rows are gone. It is so in streaming and in batch mode, for TUMBLE and for HOP, with
# and without an aggregation above. The same union read as a sub-query in FROM is whole. Whoever counts several topics
# together so counts one. Instead: one more SELECT around it, (SELECT * FROM (… UNION ALL …)), or name it by WITH or a view.
#
# Seen (log lines of Flink aside):
#   Flink 2.3.0, Java 17.0.15+6-Debian-1deb12u1
#   streaming, the union alone: a1 a2 b3 b4 b5
#   streaming, TUMBLE of the union: a1 a2
#   streaming, TUMBLE of the union, exchanged: b3 b4 b5
#   streaming, HOP of the union: a1 a2
#   streaming, TUMBLE of the union, counted: 2
#   streaming, TUMBLE of a SELECT of the union: a1 a2 b3 b4 b5
#   streaming, TUMBLE of the union by a name: a1 a2 b3 b4 b5
#   batch, the union alone: a1 a2 b3 b4 b5
#   batch, TUMBLE of the union: a1 a2
#   batch, TUMBLE of the union, exchanged: b3 b4 b5
#   batch, HOP of the union: a1 a2
#   batch, TUMBLE of the union, counted: 2
#   batch, TUMBLE of a SELECT of the union: a1 a2 b3 b4 b5
#   batch, TUMBLE of the union by a name: a1 a2 b3 b4 b5
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --no-deps --target "$work/python" apache-flink-libraries==2.3.0
jars=$work/python/pyflink/lib
mkdir "$work/rows" "$work/rows/a" "$work/rows/b"
printf 'a1,2026-01-01 10:00:00\na2,2026-01-01 10:00:01\n' >"$work/rows/a/rows.csv"
printf 'b3,2026-01-01 10:00:02\nb4,2026-01-01 10:00:03\nb5,2026-01-01 10:00:04\n' >"$work/rows/b/rows.csv"
cat >"$work/Ask.java" <<'JAVA'
import java.util.*;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.*;

public class Ask {
  static final String A = "SELECT id, et FROM a", B = "SELECT id, et FROM b";
  static final String DAY = "DESCRIPTOR(et), INTERVAL '1' DAY", BOTH = "a1 a2 b3 b4 b5";

  static String tumble(String rows) {
    return "SELECT id FROM TABLE(TUMBLE(" + rows + ", " + DAY + "))";
  }

  static String ask(TableEnvironment flink, String query) throws Exception {
    TreeSet<String> all = new TreeSet<>();
    try (var rows = flink.executeSql(query).collect()) {
      while (rows.hasNext()) all.add(String.valueOf(rows.next().getField(0)));
    }
    return String.join(" ", all);
  }

  public static void main(String[] args) throws Exception {
    System.out.println("Flink " + EnvironmentInformation.getVersion() + ", Java " + Runtime.version());
    String union = A + " UNION ALL " + B;
    String[][] asked = {
      {"the union alone", "SELECT id FROM (" + union + ")", BOTH},
      {"TUMBLE of the union", tumble("(" + union + ")"), "a1 a2"},
      {"TUMBLE of the union, exchanged", tumble("(" + B + " UNION ALL " + A + ")"), "b3 b4 b5"},
      {"HOP of the union", "SELECT id FROM TABLE(HOP((" + union + "), DESCRIPTOR(et), INTERVAL '12' HOUR, INTERVAL '1' DAY))", "a1 a2"},
      {"TUMBLE of the union, counted", "SELECT COUNT(*) FROM TABLE(TUMBLE((" + union + "), " + DAY + ")) GROUP BY window_start, window_end", "2"},
      {"TUMBLE of a SELECT of the union", tumble("(SELECT * FROM (" + union + "))"), BOTH},
      {"TUMBLE of the union by a name", "WITH u AS (" + union + ") " + tumble("TABLE u"), BOTH},
    };
    int failed = 0;
    for (String mode : new String[] {"streaming", "batch"}) {
      TableEnvironment flink = TableEnvironment.create(mode.equals("batch") ? EnvironmentSettings.inBatchMode() : EnvironmentSettings.inStreamingMode());
      flink.getConfig().set("parallelism.default", "1");
      for (String name : new String[] {"a", "b"}) {
        flink.executeSql("CREATE TABLE " + name + " (id STRING, et TIMESTAMP(3), WATERMARK FOR et AS et - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'format' = 'csv', 'path' = '" + args[0] + "/" + name + "')");
      }
      for (String[] one : asked) {
        String found = ask(flink, one[1]);
        System.out.println(mode + ", " + one[0] + ": " + found);
        if (found.equals(one[2])) continue;
        failed = 1;
        System.out.println("  this has changed: it was " + one[2]);
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
