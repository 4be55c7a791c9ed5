import java.io.File;
import java.math.BigDecimal;
import java.time.*;
import java.time.format.DateTimeFormatter;
import java.util.*;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.*;
import org.apache.flink.table.api.*;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.types.logical.*;
import org.apache.flink.types.*;
import org.apache.flink.util.CloseableIterator;

/**
 * Answers queries in streaming mode, in one process and one task. Reads {"settings": {option: value}, "setup": [statement],
 * "queries": [{"name", "sql", "plan", "database"}]}; writes a list of {"types", "rows"}, {"refused"} or {"failed"}. With "plan" the query
 * is only planned. Rows are what is left when all changes are applied, each a JSON array of values in the
 * forms that Headworks writes.
 */
public class Answers {
  static final ObjectMapper JSON = new ObjectMapper();

  static String reason(Throwable e) {
    while (e.getCause() != null) e = e.getCause();
    return String.valueOf(e.getMessage()).strip().split("\n")[0];
  }

  static String seconds(int precision) {
    return precision == 0 ? "" : "." + "S".repeat(precision);
  }

  static Object shown(LogicalType type, Object o) {
    if (o == null) return null;
    if (o instanceof BigDecimal d) return d.toPlainString();
    if (o instanceof byte[] bytes) return Base64.getEncoder().encodeToString(bytes);
    if (o instanceof Float f && !Float.isFinite(f)) return f.toString();
    if (o instanceof Double d && !Double.isFinite(d)) return d.toString();
    if (o instanceof LocalTime t) {
      int nanos = t.getNano();
      int digits = nanos == 0 ? 0 : nanos % 1_000_000 == 0 ? 3 : 6;
      return t.format(DateTimeFormatter.ofPattern("HH:mm:ss" + seconds(digits)));
    }
    if (o instanceof LocalDateTime t)
      return t.format(DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss" + seconds(((TimestampType) type).getPrecision())));
    if (o instanceof Instant i)
      return i.atOffset(ZoneOffset.UTC)
          .format(DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss" + seconds(((LocalZonedTimestampType) type).getPrecision()) + "'Z'"));
    if (o instanceof LocalDate d) return d.toString();
    if (o instanceof Object[] array) {
      List<Object> out = new ArrayList<>();
      for (Object x : array) out.add(shown(((ArrayType) type).getElementType(), x));
      return out;
    }
    if (o instanceof Map<?, ?> map) {
      Map<String, Object> out = new TreeMap<>();
      LogicalType values = type instanceof MultisetType ? new IntType() : ((MapType) type).getValueType();
      map.forEach((k, v) -> out.put(String.valueOf(k), shown(values, v)));
      return out;
    }
    if (o instanceof Row row) {
      Map<String, Object> out = new LinkedHashMap<>();
      List<RowType.RowField> fields = ((RowType) type).getFields();
      for (int i = 0; i < row.getArity(); i++) out.put(fields.get(i).getName(), shown(fields.get(i).getType(), row.getField(i)));
      return out;
    }
    return o;
  }

  static Map<String, Object> answer(TableEnvironment t, JsonNode query) {
    Table table;
    List<LogicalType> types = new ArrayList<>();
    List<String> said = new ArrayList<>();
    try {
      if (query.has("database")) t.useDatabase(query.get("database").asText());
      table = t.sqlQuery(query.get("sql").asText());
      for (Column c : table.getResolvedSchema().getColumns()) {
        LogicalType type = c.getDataType().getLogicalType();
        types.add(type);
        said.add(c.getName() + " " + type.copy(true).asSummaryString().replaceAll(" \\*[A-Z]+\\*", ""));
      }
      table.explain();
    } catch (Throwable refused) {
      return Map.of("refused", reason(refused));
    }
    if (query.path("plan").asBoolean()) return Map.of("types", said, "rows", List.of());
    Map<String, Integer> left = new TreeMap<>();
    try (CloseableIterator<Row> rows = table.execute().collect()) {
      while (rows.hasNext()) {
        Row row = rows.next();
        List<Object> values = new ArrayList<>();
        for (int i = 0; i < row.getArity(); i++) values.add(shown(types.get(i), row.getField(i)));
        int step = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER ? 1 : -1;
        left.merge(JSON.writeValueAsString(values), step, Integer::sum);
      }
    } catch (Throwable failed) {
      return Map.of("failed", reason(failed));
    }
    List<String> rows = new ArrayList<>();
    left.forEach((row, n) -> rows.addAll(Collections.nCopies(n, row)));
    return Map.of("types", said, "rows", rows);
  }

  public static void main(String[] args) throws Exception {
    TableEnvironment t = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().build());
    t.getConfig().set("table.local-time-zone", "UTC");
    t.getConfig().set("table.exec.resource.default-parallelism", "1");
    JsonNode asked = JSON.readTree(new File(args[0]));
    asked.path("settings").fields().forEachRemaining(s -> t.getConfig().set(s.getKey(), s.getValue().asText()));
    for (JsonNode statement : asked.get("setup")) t.executeSql(statement.asText());
    List<Object> answers = new ArrayList<>();
    for (JsonNode query : asked.get("queries")) {
      answers.add(answer(t, query));
      System.err.print("\r" + answers.size() + " of " + asked.get("queries").size() + " answered");
    }
    System.err.println();
    JSON.writeValue(new File(args[1]), answers);
  }
}
