//! Client settings: how to reach Kafka, and the ones exactly-once depends on.

use headworks_plan::{KafkaConnection, ScramFiles};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use snafu::{ResultExt, Snafu, ensure};

use super::Setup;

/// A member that is silent for this long loses its partitions. A pod that comes back sooner, under
/// the same static id, finds them waiting.
const SESSION_TIMEOUT_MS: u32 = 12_000;
/// The longest pause between two polls.
const MAX_POLL_INTERVAL_MS: u32 = 60_000;
/// How long after a pod's death its open transaction holds up readers, beyond the commit interval.
const TRANSACTION_SLACK_MS: u64 = 15_000;
/// Records fetched ahead, in KiB over all partitions of the inputs.
const FETCH_QUEUE_KIB: usize = 32 * 1024;
/// The same in records: what librdkafka keeps of each counts, too.
const FETCH_QUEUE_RECORDS: usize = 100_000;
/// However many partitions there are, one may have so much fetched ahead: about one answer of the broker.
const LEAST_FETCH_QUEUE_KIB: usize = 1024;
const LEAST_FETCH_QUEUE_RECORDS: usize = 1_000;
/// Records waiting to be acknowledged, in KiB; a full queue makes the loop wait.
const PRODUCE_QUEUE_KIB: u32 = 32 * 1024;
/// librdkafka's default for one batch of records, in bytes.
const BATCH_BYTES: u64 = 1_000_000;

/// Why the client settings can't be made.
#[derive(Debug, Snafu)]
pub enum ConfigError {
    /// A credentials file can't be read.
    #[snafu(display(
        "cannot read {path}: {source}; is the Secret mounted and does it have this key?"
    ))]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A credentials file has nothing in it.
    #[snafu(display("{path} is empty; the Secret must hold a value under this key"))]
    Empty {
        /// The file.
        path: String,
    },
    /// No broker is named.
    #[snafu(display(
        "no bootstrap servers are given; set spec.kafka.bootstrapServers of the Platform"
    ))]
    NoBroker,
}

/// The settings every client of `kafka` needs: addresses, TLS, SASL. Reads the credential files, so a
/// rotated Secret is in force at the next call.
///
/// # Errors
/// A file that can't be read or is empty, or no broker.
pub fn config(kafka: &KafkaConnection) -> Result<ClientConfig, ConfigError> {
    ensure!(!kafka.bootstrap_servers.trim().is_empty(), NoBrokerSnafu);
    let mut config = ClientConfig::new();
    config
        .set_log_level(RDKafkaLogLevel::Info)
        .set("bootstrap.servers", kafka.bootstrap_servers.trim())
        .set("client.id", "headworks")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", "10000")
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "5000")
        .set("log.connection.close", "false");
    config.set(
        "security.protocol",
        match (&kafka.tls_ca_file, &kafka.scram) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        },
    );
    if let Some(ca) = kafka.tls_ca_file.as_deref().filter(|path| !path.is_empty()) {
        // Read here, because librdkafka's own message about a missing file names no remedy.
        non_empty(ca)?;
        config.set("ssl.ca.location", ca);
    }
    if let Some(ScramFiles {
        username_file,
        password_file,
    }) = &kafka.scram
    {
        config
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", non_empty(username_file)?)
            .set("sasl.password", non_empty(password_file)?);
    }
    Ok(config)
}

fn non_empty(path: &str) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).context(UnreadableSnafu { path })?;
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), EmptySnafu { path });
    Ok(text.to_owned())
}

/// The consumer's settings: a static member of a classic group that reads committed records, decides
/// itself what is committed, and fails rather than jumps when a position is gone. What is fetched ahead
/// is bounded by partition, so the bound is a share by the number of `partitions` of all inputs.
pub(super) fn consumer(base: &ClientConfig, setup: &Setup, partitions: usize) -> ClientConfig {
    let partitions = partitions.max(1);
    let kib = (FETCH_QUEUE_KIB / partitions).max(LEAST_FETCH_QUEUE_KIB);
    let records = (FETCH_QUEUE_RECORDS / partitions).max(LEAST_FETCH_QUEUE_RECORDS);
    let mut config = base.clone();
    config
        .set("group.id", &setup.group)
        .set("group.instance.id", &setup.member)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", SESSION_TIMEOUT_MS.to_string())
        .set("heartbeat.interval.ms", "3000")
        .set("max.poll.interval.ms", MAX_POLL_INTERVAL_MS.to_string())
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        // The end of a partition is learnt from the statistics, which name topic and offset.
        .set("enable.partition.eof", "false")
        .set("statistics.interval.ms", STATISTICS_MS.to_string())
        .set("queued.min.messages", records.to_string())
        .set("queued.max.messages.kbytes", kib.to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "500");
    config
}

/// The settings of a client that reads one partition from its beginning to its end and belongs to no
/// group's members. The group's name is needed by librdkafka, and the user is allowed it.
pub(super) fn reader(base: &ClientConfig, group: &str, committed: bool) -> ClientConfig {
    let isolation = if committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    let mut config = base.clone();
    config
        .set("group.id", group)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("queued.max.messages.kbytes", FETCH_QUEUE_KIB.to_string())
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "100");
    config
}

/// How often the client tells of its partitions and brokers, in milliseconds.
const STATISTICS_MS: u32 = 2_000;

/// How long a transaction may be open before Kafka aborts it, in milliseconds.
pub(super) fn transaction_ms(setup: &Setup) -> u64 {
    setup
        .commit_interval_ms
        .saturating_add(TRANSACTION_SLACK_MS)
        .min(600_000)
}

/// The producer's settings.
pub(super) fn producer(base: &ClientConfig, setup: &Setup) -> ClientConfig {
    let transaction_ms = transaction_ms(setup);
    // A batch is refused whole if it is above the topic's limit, so no batch may outgrow the smallest one.
    let largest = setup
        .max_message_bytes
        .iter()
        .copied()
        .max()
        .unwrap_or(BATCH_BYTES)
        .max(BATCH_BYTES);
    let smallest = setup
        .max_message_bytes
        .iter()
        .copied()
        .min()
        .unwrap_or(BATCH_BYTES)
        .min(BATCH_BYTES);
    let mut config = base.clone();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("partitioner", "murmur2_random")
        .set("sticky.partitioning.linger.ms", "10")
        .set(
            "batch.size",
            smallest.clamp(1_000, i32::MAX as u64).to_string(),
        )
        .set(
            "message.max.bytes",
            largest
                .saturating_add(64 * 1024)
                .min(1_000_000_000)
                .to_string(),
        )
        .set("delivery.report.only.error", "true")
        .set("queue.buffering.max.messages", "100000")
        .set(
            "queue.buffering.max.kbytes",
            PRODUCE_QUEUE_KIB.max((largest / 512) as u32).to_string(),
        );
    if setup.exactly_once {
        config
            .set("transactional.id", &setup.member)
            .set("transaction.timeout.ms", transaction_ms.to_string())
            .set("message.timeout.ms", transaction_ms.to_string());
    } else {
        config.set("message.timeout.ms", MAX_POLL_INTERVAL_MS.to_string());
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> String {
        let path =
            std::env::temp_dir().join(format!("headworks-config-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn scram(username_file: String, password_file: String) -> KafkaConnection {
        KafkaConnection {
            bootstrap_servers: "k:9092".into(),
            tls_ca_file: None,
            scram: Some(ScramFiles {
                username_file,
                password_file,
            }),
        }
    }

    #[test]
    fn credentials_come_from_files_without_their_last_line_break() {
        let config = config(&scram(
            file("user", "alice\n"),
            file("password", " p w \r\n"),
        ))
        .unwrap();
        assert_eq!(config.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!(config.get("sasl.username"), Some("alice"));
        assert_eq!(config.get("sasl.password"), Some(" p w "));
    }

    #[test]
    fn a_missing_or_empty_file_is_named_with_the_remedy() {
        let missing = config(&scram("/nonexistent/username".into(), file("p", "x")))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("/nonexistent/username") && missing.contains("Secret"),
            "{missing}"
        );
        let empty = file("empty", "\n");
        let message = config(&scram(empty.clone(), file("p2", "x")))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(&empty) && message.contains("empty"),
            "{message}"
        );
    }

    #[test]
    fn librdkafka_accepts_every_setting() {
        let base = config(&KafkaConnection {
            bootstrap_servers: "localhost:1".into(),
            ..KafkaConnection::default()
        })
        .unwrap();
        let mut setup = Setup {
            topics: vec!["a".into()],
            other_topics: vec![],
            group: "g".into(),
            member: "g-0".into(),
            commit_interval_ms: 100,
            exactly_once: true,
            max_message_bytes: vec![300_000, 5_000_000],
            tracker: crate::kafka::CommitTracker::default(),
        };
        let of_consumer = |partitions: usize, key: &str| {
            let native = consumer(&base, &setup, partitions).create_native_config();
            native.unwrap().get(key).unwrap()
        };
        assert_eq!(of_consumer(4, "queued.max.messages.kbytes"), "8192");
        assert_eq!(of_consumer(4, "queued.min.messages"), "25000");
        assert_eq!(of_consumer(5_000, "queued.max.messages.kbytes"), "1024");
        for committed in [true, false] {
            reader(&base, "g", committed)
                .create_native_config()
                .unwrap();
        }
        let of = |setup: &Setup, key: &str| {
            producer(&base, setup)
                .create_native_config()
                .unwrap()
                .get(key)
                .unwrap()
        };
        assert_eq!(
            of(&setup, "batch.size"),
            "300000",
            "no batch may outgrow the smallest topic limit"
        );
        assert_eq!(of(&setup, "transaction.timeout.ms"), "15100");
        assert!(of(&setup, "message.max.bytes").parse::<u64>().unwrap() > 5_000_000);
        setup.exactly_once = false;
        producer(&base, &setup).create_native_config().unwrap();
    }
}
