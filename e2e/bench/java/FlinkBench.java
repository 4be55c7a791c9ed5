import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Flink SQL in one process. */
public final class FlinkBench {
    private static final String BIDS =
        "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time BIGINT, extra STRING";

    /** BOOTSTRAP INPUT OUTPUT GROUP pass|filter COMMIT-INTERVAL-MS */
    public static void main(String[] args) throws Exception {
        boolean pass = args[4].equals("pass");
        Configuration settings = new Configuration();
        settings.setString("execution.target", "local");
        settings.setString("parallelism.default", "1");
        settings.setString("execution.checkpointing.interval", args[5] + "ms");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        TableEnvironment table = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        String kafka = "'connector' = 'kafka', 'format' = 'json', 'properties.bootstrap.servers' = '" + args[0] + "', ";
        table.executeSql("CREATE TABLE bids (" + BIDS + ") WITH (" + kafka + "'topic' = '" + args[1]
            + "', 'properties.group.id' = '" + args[3] + "', 'scan.startup.mode' = 'earliest-offset',"
            + " 'properties.isolation.level' = 'read_committed')");
        table.executeSql("CREATE TABLE kept (" + (pass ? BIDS : "auction BIGINT, bidder BIGINT, price BIGINT, date_time BIGINT")
            + ") WITH (" + kafka + "'topic' = '" + args[2] + "', 'sink.delivery-guarantee' = 'exactly-once',"
            + " 'sink.transactional-id-prefix' = '" + args[3] + "', 'properties.transaction.timeout.ms' = '60000',"
            + " 'properties.compression.type' = 'lz4')");
        table.executeSql(pass
            ? "INSERT INTO kept SELECT * FROM bids"
            : "INSERT INTO kept SELECT auction, bidder, price, date_time FROM bids WHERE price >= 5000").await();
    }
}
