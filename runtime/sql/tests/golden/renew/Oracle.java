import java.io.*;
import java.nio.file.*;
import java.util.*;
import org.apache.flink.table.api.*;
import org.apache.flink.table.types.DataType;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/**
 * Answers expressions over a table t, in process. Reads lines "SETUP statement" and "Q rows expression";
 * writes "expression TAB type TAB value of row 1 TAB …", or "expression TAB REFUSED TAB reason". If the
 * expression fails for the table, it is asked for each row alone, and the failing rows say "error".
 */
public class Oracle {
  static String reason(Throwable e) {
    while (e.getCause() != null) e = e.getCause();
    return String.valueOf(e.getMessage()).split("\n")[0];
  }

  static String show(Object o) {
    if (o == null) return "NULL";
    if (o instanceof byte[] bytes) {
      StringBuilder text = new StringBuilder("x'");
      for (byte b : bytes) text.append(String.format("%02x", b));
      return text + "'";
    }
    if (o instanceof java.math.BigDecimal d) return d.toPlainString();
    if (o instanceof Object[] array) {
      StringJoiner text = new StringJoiner(", ", "[", "]");
      for (Object x : array) text.add(show(x));
      return text.toString();
    }
    if (o instanceof Map<?, ?> map) {
      StringJoiner text = new StringJoiner(", ", "{", "}");
      new TreeMap<Object, Object>(map).forEach((k, v) -> text.add(show(k) + "=" + show(v)));
      return text.toString();
    }
    if (o instanceof Row row) {
      StringJoiner text = new StringJoiner(", ", "(", ")");
      for (int i = 0; i < row.getArity(); i++) text.add(show(row.getField(i)));
      return text.toString();
    }
    return o.toString().replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t");
  }

  static void run(Table query, String[] values) throws Exception {
    try (CloseableIterator<Row> rows = query.execute().collect()) {
      while (rows.hasNext()) {
        Row row = rows.next();
        values[((Number) row.getField(0)).intValue() - 1] = show(row.getField(1));
      }
    }
  }

  public static void main(String[] args) throws Exception {
    TableEnvironment t = TableEnvironment.create(EnvironmentSettings.newInstance().inBatchMode().build());
    t.getConfig().set("table.local-time-zone", "UTC");
    t.getConfig().set("table.exec.resource.default-parallelism", "1");
    PrintStream out = new PrintStream(new FileOutputStream(args[1]), true, "UTF-8");
    for (String line : Files.readAllLines(Path.of(args[0]))) {
      if (line.startsWith("SETUP ")) {
        t.executeSql(line.substring(6));
        continue;
      }
      String[] parts = line.split(" ", 3);
      int rows = Integer.parseInt(parts[1]);
      String select = "SELECT n AS `__n`, " + parts[2] + " AS `__v` FROM t";
      try {
        Table query = t.sqlQuery(select);
        DataType type = query.getResolvedSchema().getColumnDataTypes().get(1);
        String[] values = new String[rows];
        try {
          run(query, values);
        } catch (Throwable failed) {
          for (int i = 1; i <= rows; i++) {
            try {
              run(t.sqlQuery(select + " WHERE n = " + i), values);
            } catch (Throwable alone) {
              values[i - 1] = "error";
            }
          }
        }
        out.println(parts[2] + "\t" + type + "\t" + String.join("\t", values));
      } catch (Throwable refused) {
        out.println(parts[2] + "\tREFUSED\t" + reason(refused));
      }
    }
  }
}
