import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

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

    /** BOOTSTRAP INPUT OUTPUT GROUP pass|filter COMMIT-INTERVAL-MS STATE-FOLDER */
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
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        StreamsBuilder builder = new StreamsBuilder();
        var bids = builder.stream(args[1], Consumed.with(Serdes.ByteArray(), serde(Bid.class)));
        if (args[4].equals("pass")) {
            bids.to(args[2], Produced.with(Serdes.ByteArray(), serde(Bid.class)));
        } else {
            bids.filter((key, bid) -> bid.price >= 5000)
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
