package songlo.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;

/**
 * (f) Kafka Streams: a tumbling window per camera, grouped by the key that the topic already has.
 *
 * <p>The whole topic is read twice by two applications in one JVM; the first warms it up, the second is measured.
 */
public final class Windows {
    static final Duration SIZE = Duration.ofMinutes(1);
    static final Duration GRACE = Duration.ofMinutes(2);

    /** The fields that are needed; the others are skipped. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Event {
        public long occurred_at;
        public double speed_kmh;
    }

    /** Count, sum and maximum of the speed. */
    public static final class Total {
        long events;
        double sum;
        double top;

        Total add(Event event) {
            events++;
            sum += event.speed_kmh;
            top = Math.max(top, event.speed_kmh);
            return this;
        }
    }

    private final Map<String, String> given;
    private final long events;
    private final boolean exactlyOnce;
    private final boolean rocks;
    private final Map<Windowed<String>, Total> windows = new HashMap<>();
    private long seen;
    private CountDownLatch finished;

    private Windows(Map<String, String> given) {
        this.given = given;
        this.events = Long.parseLong(given.get("events"));
        this.exactlyOnce = given.getOrDefault("guarantee", "at_least_once").equals("exactly_once");
        this.rocks = given.getOrDefault("store", "memory").equals("rocksdb");
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i < args.length; i += 2) {
            if (args[i].equals("--option")) {
                String[] parts = args[i + 1].split("=", 2);
                given.put(parts[0], parts[1]);
            } else {
                given.put(args[i].substring(2), args[i + 1]);
            }
        }
        Windows windows = new Windows(given);
        windows.run("warm");
        System.gc();
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        System.out.printf(Locale.ROOT, "ready %d %f %f%n", ProcessHandle.current().pid(),
            system.getProcessCpuTime() / 1e9, System.nanoTime() / 1e9);
        KafkaStreams measured = windows.start("measured");
        System.out.println("done");
        System.in.read();
        measured.close(Duration.ofSeconds(30));
        windows.write(Path.of(given.get("out")));
        System.exit(0);
    }

    private void run(String name) throws InterruptedException {
        start(name).close(Duration.ofSeconds(30));
        windows.clear();
    }

    /** Start an application, and wait until every event is in its windows. */
    private KafkaStreams start(String name) throws InterruptedException {
        seen = 0;
        finished = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(topology().build(), settings(name));
        streams.start();
        finished.await();
        return streams;
    }

    private StreamsBuilder topology() {
        StreamsBuilder builder = new StreamsBuilder();
        TimestampExtractor time = (ConsumerRecord<Object, Object> r, long before) -> ((Event) r.value()).occurred_at;
        Duration kept = SIZE.plus(GRACE);
        WindowBytesStoreSupplier store = rocks
            ? Stores.persistentWindowStore("speed", kept, SIZE, false)
            : Stores.inMemoryWindowStore("speed", kept, SIZE, false);
        builder.stream(given.get("topic"), Consumed.with(Serdes.String(), events()).withTimestampExtractor(time))
            .groupByKey(Grouped.with(Serdes.String(), events()))
            .windowedBy(TimeWindows.ofSizeAndGrace(SIZE, GRACE))
            .aggregate(Total::new, this::add, Materialized.<String, Total>as(store)
                .withKeySerde(Serdes.String()).withValueSerde(totals()).withCachingEnabled())
            .toStream()
            .foreach(windows::put);
        return builder;
    }

    private Total add(String camera, Event event, Total total) {
        Total next = total.add(event);
        if (++seen == events) {
            finished.countDown();
        }
        return next;
    }

    private Properties settings(String name) {
        Properties p = new Properties();
        // a store of its own for each run: no state may come from the one before
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, given.get("run") + "-" + name + "-" + UUID.randomUUID());
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given.get("brokers"));
        p.put(StreamsConfig.STATE_DIR_CONFIG, given.get("work"));
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
            exactlyOnce ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        // as often as Songlo flushes
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 100_000);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 262_144);
        return p;
    }

    private void write(Path out) throws IOException {
        try (BufferedWriter file = Files.newBufferedWriter(out)) {
            for (Map.Entry<Windowed<String>, Total> entry : windows.entrySet()) {
                Total total = entry.getValue();
                file.write(entry.getKey().key() + "," + entry.getKey().window().start() + "," + total.events
                    + "," + total.sum + "," + total.top + "\n");
            }
        }
    }

    private static Serde<Event> events() {
        ObjectReader reader = new ObjectMapper().readerFor(Event.class);
        Deserializer<Event> from = (topic, bytes) -> {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
        Serializer<Event> to = (topic, event) -> {
            throw new UnsupportedOperationException("events are only read");
        };
        return Serdes.serdeFrom(to, from);
    }

    private static Serde<Total> totals() {
        Serializer<Total> to = (topic, t) -> t == null
            ? null
            : ByteBuffer.allocate(24).putLong(t.events).putDouble(t.sum).putDouble(t.top).array();
        Deserializer<Total> from = (topic, bytes) -> {
            if (bytes == null) {
                return null;
            }
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            Total total = new Total();
            total.events = buffer.getLong();
            total.sum = buffer.getDouble();
            total.top = buffer.getDouble();
            return total;
        };
        return Serdes.serdeFrom(to, from);
    }
}
