import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Flink SQL in one process. */
public final class FlinkBench {
    private static String bids(String time) {
        return "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time " + time + ", extra STRING";
    }

    /** BOOTSTRAP INPUT OUTPUT GROUP pass|filter|count COMMIT-INTERVAL-MS STATE-FOLDER [WINDOW-MS SLIDE-MS] */
    public static void main(String[] args) throws Exception {
        boolean pass = args[4].equals("pass");
        boolean count = args[4].equals("count");
        Configuration settings = new Configuration();
        settings.setString("execution.target", "local");
        settings.setString("parallelism.default", "1");
        settings.setString("execution.checkpointing.interval", args[5] + "ms");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("execution.checkpointing.storage", "filesystem");
        settings.setString("execution.checkpointing.dir", "file://" + args[6] + "/checkpoints");
        settings.setString("table.local-time-zone", "UTC");
        TableEnvironment table = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        String kafka = "'connector' = 'kafka', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'properties.bootstrap.servers' = '" + args[0] + "', ";
        table.executeSql("CREATE TABLE bids (" + (count ? bids("TIMESTAMP_LTZ(3)") + ", WATERMARK FOR date_time AS date_time" : bids("BIGINT"))
            + ") WITH (" + kafka + "'topic' = '" + args[1]
            + "', 'properties.group.id' = '" + args[3] + "', 'scan.startup.mode' = 'earliest-offset',"
            + " 'properties.isolation.level' = 'read_committed')");
        table.executeSql("CREATE TABLE kept (" + (count ? "auction BIGINT, window_end TIMESTAMP(3), bids BIGINT" : pass ? bids("BIGINT") : "auction BIGINT, bidder BIGINT, price BIGINT, date_time BIGINT")
            + ") WITH (" + kafka + "'topic' = '" + args[2] + "', 'sink.delivery-guarantee' = 'exactly-once',"
            + " 'sink.transactional-id-prefix' = '" + args[3] + "', 'properties.transaction.timeout.ms' = '60000',"
            + " 'properties.compression.type' = 'lz4')");
        if (count) {
            // As in Headworks, a window whose slide is its length tumbles.
            String size = "INTERVAL '" + Long.parseLong(args[7]) / 1000 + "' SECOND(9)";
            String slide = "INTERVAL '" + Long.parseLong(args[8]) / 1000 + "' SECOND(9)";
            String window = args[7].equals(args[8]) ? "TUMBLE(TABLE bids, DESCRIPTOR(date_time), " + size + ")"
                : "HOP(TABLE bids, DESCRIPTOR(date_time), " + slide + ", " + size + ")";
            table.executeSql("INSERT INTO kept SELECT auction, window_end, COUNT(*) AS bids FROM TABLE(" + window
                + ") GROUP BY auction, window_start, window_end").await();
            return;
        }
        table.executeSql(pass
            ? "INSERT INTO kept SELECT * FROM bids"
            : "INSERT INTO kept SELECT auction, bidder, price, date_time FROM bids WHERE price >= 5000").await();
    }
}
