package dev.headworks.examples;

import java.io.IOException;
import java.io.PrintStream;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a stream with the credentials an AccessGrant wrote: {@code read TOPIC GROUP COUNT} prints the values of COUNT
 * records, one a line, and commits how far it read; Avro with a schema registry is printed as JSON. Exit code 3: the broker refused; 4: not COUNT records within a minute.
 */
public final class Read {
    private static final String MOUNTED = "/etc/kafka-client"; // where the files take themselves to be

    private Read() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 4 || !arguments[0].equals("read")) {
            System.err.println("usage: read TOPIC GROUP COUNT");
            System.exit(2);
        }
        try {
            System.exit(read(arguments[1], arguments[2], Integer.parseInt(arguments[3])));
        } catch (AuthenticationException | AuthorizationException refusal) {
            System.err.println("refused: " + refusal.getClass().getSimpleName() + ": " + refusal.getMessage());
            System.exit(3);
        }
    }

    private static int read(String topic, String group, int count) throws Exception {
        Properties settings = settings();
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, group);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed"); // streams are written in transactions
        long seconds = Long.parseLong(System.getenv().getOrDefault("KAFKA_CLIENT_SECONDS", "60"));
        long until = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
        PrintStream out = new PrintStream(System.out, true);
        var avro = new Avro(folder());
        int done = 0;
        try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            // Only what was printed is committed: a poll may have brought more.
            Map<TopicPartition, OffsetAndMetadata> printed = new HashMap<>();
            consumer.subscribe(List.of(topic));
            while (done < count) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (done < count) {
                        out.writeBytes(record.value() == null ? "null".getBytes(StandardCharsets.UTF_8) : avro.text(record.value()));
                        out.write('\n');
                        done++;
                        printed.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
                    }
                }
                if (done < count && System.nanoTime() > until) {
                    System.err.println(done + " of " + count + " records in " + seconds + " s");
                    return 4;
                }
            }
            consumer.commitSync(printed);
        }
        return 0;
    }

    private static Path folder() {
        return Path.of(System.getenv().getOrDefault("KAFKA_CLIENT_DIR", MOUNTED));
    }

    /** The Secret's client.properties. */
    private static Properties settings() throws IOException {
        Path folder = folder();
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(folder.resolve("client.properties"))) {
            settings.load(file);
        }
        settings.replaceAll((name, value) -> value instanceof String path && path.startsWith(MOUNTED + "/")
                ? folder.resolve(path.substring(MOUNTED.length() + 1)).toString()
                : value);
        if (System.getenv("KAFKA_CLIENT_BOOTSTRAP") != null) { // another way in
            settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("KAFKA_CLIENT_BOOTSTRAP"));
        }
        return settings;
    }
}
