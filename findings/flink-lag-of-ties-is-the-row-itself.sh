#!/usr/bin/env bash
# Flink 2.3.0 (SQL, Java 17): LAG over event time, where two rows of a key have one time stamp.
# You'd expect LAG(n) OVER (PARTITION BY k ORDER BY et) to be n of the row before, as the SQL standard has it: LAG goes by
# rows and takes no frame. In streaming mode Flink plans it as an aggregate over the default frame, RANGE UNBOUNDED
# PRECEDING, and rows of one time stamp are peers in that. So all of them get one value, that of the last but one of the
# peers: of two rows the first gets its own n as "the row before", and a difference to the row before is 0 although the
# values differ. In batch mode the same query over the same rows goes by rows. Nothing is refused, nothing is logged.
# Whoever detects changes or jumps by n - LAG(n), or tries a query out in batch, is wrong wherever two readings
# of a device share a time stamp. Instead: make time stamps differ before (a sequence number in the last digits), or
# match rows by MATCH_RECOGNIZE.
#
# Seen (log lines of Flink aside):
#   Flink 2.3.0, Java 17.0.15+6-Debian-1deb12u1
#   streaming: 1 after null, 2 after 2, 3 after 2, 4 after 3
#   batch: 1 after null, 2 after 1, 3 after 2, 4 after 3
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-compile --no-deps --target "$work/python" apache-flink-libraries==2.3.0
jars=$work/python/pyflink/lib
mkdir "$work/rows"
cat >"$work/rows/four.csv" <<'CSV'
a,1,2026-01-01 10:00:00
a,2,2026-01-01 10:00:01
a,3,2026-01-01 10:00:01
a,4,2026-01-01 10:00:02
CSV
cat >"$work/Ask.java" <<'JAVA'
import java.util.*;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.*;
import org.apache.flink.types.Row;

public class Ask {
  static String ask(EnvironmentSettings mode, String path) throws Exception {
    TableEnvironment flink = TableEnvironment.create(mode);
    flink.getConfig().set("parallelism.default", "1");
    flink.executeSql("CREATE TABLE t (k STRING, n INT, et TIMESTAMP(3), WATERMARK FOR et AS et - INTERVAL '5' SECOND) WITH ('connector' = 'filesystem', 'format' = 'csv', 'path' = '" + path + "')");
    TreeMap<Integer, String> all = new TreeMap<>();
    try (var rows = flink.executeSql("SELECT n, LAG(n) OVER (PARTITION BY k ORDER BY et) FROM t").collect()) {
      while (rows.hasNext()) {
        Row row = rows.next();
        all.put((Integer) row.getField(0), row.getField(0) + " after " + row.getField(1));
      }
    }
    return String.join(", ", all.values());
  }

  public static void main(String[] args) throws Exception {
    System.out.println("Flink " + EnvironmentInformation.getVersion() + ", Java " + Runtime.version());
    String[][] seen = {
      {"streaming", ask(EnvironmentSettings.inStreamingMode(), args[0]), "1 after null, 2 after 2, 3 after 2, 4 after 3"},
      {"batch", ask(EnvironmentSettings.inBatchMode(), args[0]), "1 after null, 2 after 1, 3 after 2, 4 after 3"},
    };
    int failed = 0;
    for (String[] one : seen) {
      System.out.println(one[0] + ": " + one[1]);
      if (one[1].equals(one[2])) continue;
      failed = 1;
      System.out.println("  this has changed: it was " + one[2]);
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
