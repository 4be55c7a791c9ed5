//! Kafka's coordinators and users: whether each answers that a client may be sent to.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};

use crate::Kafka;

impl Kafka {
    /// Each partition of `__consumer_offsets` has a coordinator that answers. One of them may be nobody's for ever after a broker was
    /// killed often enough (Kafka 4.3.1), and then the groups that hash there stand still while all others go on.
    pub(crate) fn groups_are_known(&self) -> Result<(), String> {
        let client: BaseConsumer = self.config().create().map_err(|e| e.to_string())?;
        let groups = client.fetch_group_list(None, Duration::from_secs(10));
        groups.map_err(|e| e.to_string())?;
        for (partition, group) in self.ids("__consumer_offsets", 1)? {
            let client: BaseConsumer = self
                .config()
                .set("group.id", &group)
                .create()
                .map_err(|e| e.to_string())?;
            let mut asked = TopicPartitionList::new();
            asked.add_partition("__consumer_offsets", 0);
            client
                .committed_offsets(asked, Duration::from_secs(10))
                .map_err(|e| format!("partition {partition}, where group {group} is: {e}"))?;
        }
        Ok(())
    }

    /// A transactional producer gets its id from the coordinator of each partition of `__transaction_state`.
    pub(crate) fn transactions_begin(&self) -> Result<(), String> {
        for (partition, id) in self.ids("__transaction_state", 1)? {
            let producer: BaseProducer = self
                .config()
                .set("transactional.id", &id)
                .create()
                .map_err(|e| e.to_string())?;
            let begun = producer.init_transactions(Duration::from_secs(10));
            begun.map_err(|e| format!("partition {partition}, where {id} is: {e}"))?;
        }
        Ok(())
    }

    /// A name for each partition of a coordinators' topic that Kafka puts there; `least`: how many where there is no such topic yet,
    /// since the first that is asked for makes it.
    fn ids(&self, topic: &str, least: i32) -> Result<BTreeMap<i32, String>, String> {
        let client: BaseConsumer = self.config().create().map_err(|e| e.to_string())?;
        let metadata = client
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .map_err(|e| e.to_string())?;
        let partitions = metadata
            .topics()
            .first()
            .map_or(0, |t| t.partitions().len());
        Ok(spread(i32::try_from(partitions).unwrap_or(0).max(least)))
    }

    /// The broker lets pocket's SCRAM user in. Kafka 4.3.1 can come up without any of its SCRAM users, though they are in its metadata
    /// log; then pocket's is made again.
    pub(crate) fn scram_user() -> Result<(), String> {
        let setting = |name: &str| std::env::var(name).ok();
        let (Some(address), Some(user), Some(file), Some(ca)) = (
            setting("KAFKA_SCRAM_BOOTSTRAP"),
            setting("KAFKA_SCRAM_USER"),
            setting("KAFKA_SCRAM_PASSWORD_FILE"),
            setting("KAFKA_CA_FILE"),
        ) else {
            return Ok(());
        };
        let password = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", &user)
            .set("sasl.password", password.trim())
            .set("ssl.ca.location", ca)
            .create()
            .map_err(|e| e.to_string())?;
        let Err(error) = client.fetch_metadata(None, Duration::from_secs(5)) else {
            return Ok(());
        };
        let (_, there) =
            crate::pocket(&["kafka", "configs", "--describe", "--entity-type", "users"]);
        if !there.contains(&format!("'{user}'")) {
            println!("    (Kafka has forgotten its SCRAM users: {user} is made again)");
            let scram = format!("SCRAM-SHA-512=[password={}]", password.trim());
            let of = ["--entity-type", "users", "--entity-name", &user];
            let add = ["kafka", "configs", "--alter", "--add-config", &scram];
            crate::pocket(&[&add[..], &of[..]].concat());
        }
        Err(error.to_string())
    }
}

/// A name for each of `partitions`, as Kafka spreads groups and transactional ids: by the name's `String.hashCode` of Java (JLS, and
/// `Utils.abs` of Kafka, which takes the sign bit away).
fn spread(partitions: i32) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    let mut at = 0;
    while found.len() < usize::try_from(partitions).unwrap_or(0) {
        let name = format!("headworks-e2e-well-{at}");
        let hash = name.bytes().fold(0_i32, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(i32::from(byte))
        });
        found.entry((hash & i32::MAX) % partitions).or_insert(name);
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn every_partition_of_the_coordinators_gets_a_name_as_kafka_spreads_them() {
        let names = spread(8);
        assert_eq!(
            names.keys().copied().collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        // By Java: "headworks-e2e-well-0".hashCode() is 1653314001.
        assert_eq!(names[&1], "headworks-e2e-well-0");
    }
}
