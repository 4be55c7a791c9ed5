package dev.headworks.examples;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;

/**
 * Decodes the Avro records of a stream with a schema registry. Such a record begins with a zero byte and the four bytes of its schema's
 * id; the Secret's {@code schema.registry.url} says where to ask for that schema, once an id. Confluent's KafkaAvroDeserializer does
 * the same with the Secret's client.properties; it isn't on Maven Central.
 */
final class Avro {
    private final String url;
    private final HttpClient client;
    private final Map<Integer, Schema> schemas = new HashMap<>(); // null: not Avro

    Avro(Path folder) throws IOException, GeneralSecurityException {
        Path address = folder.resolve("schema.registry.url");
        String other = System.getenv("KAFKA_CLIENT_REGISTRY"); // another way in
        String said = other != null ? other : Files.exists(address) ? Files.readString(address).strip() : null;
        url = said == null ? null : said.replaceAll("/+$", "");
        HttpClient.Builder builder = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10));
        Path authority = folder.resolve("schema-registry-ca.crt");
        if (Files.exists(authority)) {
            builder.sslContext(trusting(authority));
        }
        client = builder.build();
    }

    /** The record as JSON, or as it is where it isn't Avro with an id. */
    byte[] text(byte[] value) throws IOException, InterruptedException {
        if (url == null || value.length < 5 || value[0] != 0) {
            return value;
        }
        Schema schema = schema(ByteBuffer.wrap(value, 1, 4).getInt());
        if (schema == null) {
            return value;
        }
        var decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
        Object record = new GenericDatumReader<>(schema).read(null, decoder);
        return GenericData.get().toString(record).getBytes(StandardCharsets.UTF_8);
    }

    private Schema schema(int id) throws IOException, InterruptedException {
        if (!schemas.containsKey(id)) {
            var request = HttpRequest.newBuilder(URI.create(url + "/schemas/ids/" + Integer.toUnsignedString(id)))
                    .timeout(Duration.ofSeconds(10)).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IOException("schema " + id + ": the registry answers " + answer.statusCode());
            }
            var found = new com.fasterxml.jackson.databind.ObjectMapper().readTree(answer.body());
            boolean avro = found.path("schemaType").asText("AVRO").equals("AVRO");
            schemas.put(id, avro ? new Schema.Parser().parse(found.path("schema").asText()) : null);
        }
        return schemas.get(id);
    }

    private static SSLContext trusting(Path authority) throws IOException, GeneralSecurityException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream pem = Files.newInputStream(authority)) {
            int number = 0;
            for (var certificate : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                store.setCertificateEntry("ca" + number++, certificate);
            }
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
