import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;

/** Kafka Streams as a careful user writes it: typed classes, Jackson's reader and writer made once. */
public final class StreamsBench {
    public static final class Bid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String url;
        @JsonProperty("date_time") public long dateTime;
        public String extra;
    }

    /** A bid whose time is text. */
    public static final class TimedBid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String url;
        @JsonProperty("date_time") public String dateTime;
        public String extra;
    }

    public static final class Counted {
        public long auction;
        @JsonProperty("window_end") public String windowEnd;
        public long bids;

        static Counted of(Windowed<Long> window, long bids) {
            Counted counted = new Counted();
            counted.auction = window.key();
            counted.windowEnd = window.window().endTime().toString();
            counted.bids = bids;
            return counted;
        }
    }

    public static final class Projected {
        public long auction;
        public long bidder;
        public long price;
        @JsonProperty("date_time") public long dateTime;

        static Projected of(Bid bid) {
            Projected projected = new Projected();
            projected.auction = bid.auction;
            projected.bidder = bid.bidder;
            projected.price = bid.price;
            projected.dateTime = bid.dateTime;
            return projected;
        }
    }

    private static <T> Serde<T> serde(Class<T> type) {
        ObjectMapper mapper = new ObjectMapper();
        ObjectReader reader = mapper.readerFor(type);
        ObjectWriter writer = mapper.writerFor(type);
        Serializer<T> to = (topic, value) -> {
            try {
                return writer.writeValueAsBytes(value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        Deserializer<T> from = (topic, bytes) -> {
            try {
                return reader.readValue(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom(to, from);
    }

    private static KStream<byte[], Bid> bids(StreamsBuilder builder, String[] args) {
        return builder.stream(args[1], Consumed.with(Serdes.ByteArray(), serde(Bid.class)));
    }

    private static final byte[] NOTHING = new byte[0];

    private static void count(StreamsBuilder builder, String[] args) {
        Duration size = Duration.ofMillis(Long.parseLong(args[7]));
        Duration slide = Duration.ofMillis(Long.parseLong(args[8]));
        builder.stream(args[1], Consumed.with(Serdes.ByteArray(), serde(TimedBid.class))
                .withTimestampExtractor((record, previous) -> Instant.parse(((TimedBid) record.value()).dateTime).toEpochMilli()))
            .map((key, bid) -> KeyValue.pair(bid.auction, NOTHING))
            .groupByKey(Grouped.with("bids", Serdes.Long(), Serdes.ByteArray()))
            .windowedBy(TimeWindows.ofSizeWithNoGrace(size).advanceBy(slide))
            .emitStrategy(EmitStrategy.onWindowClose())
            .count(Materialized.as("counts"))
            .toStream()
            .map((window, bids) -> KeyValue.pair((byte[]) null, Counted.of(window, bids)))
            .to(args[2], Produced.with(Serdes.ByteArray(), serde(Counted.class)));
    }

    /** BOOTSTRAP INPUT OUTPUT GROUP pass|filter|count COMMIT-INTERVAL-MS STATE-FOLDER [WINDOW-MS SLIDE-MS] */
    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[3]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Long.parseLong(args[5]));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[6]);
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        // On a busy machine the default of ten seconds is too short for the first windows.
        settings.put(StreamsConfig.producerPrefix("transaction.timeout.ms"), 60_000);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        StreamsBuilder builder = new StreamsBuilder();
        if (args[4].equals("count")) {
            count(builder, args);
        } else if (args[4].equals("pass")) {
            bids(builder, args).to(args[2], Produced.with(Serdes.ByteArray(), serde(Bid.class)));
        } else {
            bids(builder, args).filter((key, bid) -> bid.price >= 5000)
                .mapValues(Projected::of)
                .to(args[2], Produced.with(Serdes.ByteArray(), serde(Projected.class)));
        }
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }
}
