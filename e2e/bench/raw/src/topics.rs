//! Topics: made, filled, removed.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use crate::bid::{Bids, LEAST_PRICE, Tally};
use crate::{Result, client};

/// Partitions of every topic here for which no other number is named.
pub const PARTITIONS: i32 = 4;
/// Event time of the first bid; each is a millisecond after the one before.
const BEGINNING_MS: i64 = 1_700_000_000_000;

fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(client(bootstrap).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))
}

/// Makes topics: `NAME`, or `NAME:PARTITIONS`.
pub fn create(bootstrap: &str, names: &[&str]) -> Result<()> {
    let topics = names
        .iter()
        .map(|name| {
            let (name, partitions) = match name.split_once(':') {
                None => (*name, PARTITIONS),
                Some((name, partitions)) => (name, partitions.parse()?),
            };
            Ok(NewTopic::new(name, partitions, TopicReplication::Fixed(1)))
        })
        .collect::<Result<Vec<_>>>()?;
    for made in block_on(admin(bootstrap)?.create_topics(&topics, &options()))? {
        made.map_err(|(topic, error)| format!("topic {topic} can't be made: {error}"))?;
    }
    Ok(())
}

/// Removes topics; one that isn't there is no error.
pub fn delete(bootstrap: &str, names: &[&str]) -> Result<()> {
    for removed in block_on(admin(bootstrap)?.delete_topics(names, &options()))? {
        match removed {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, error)) => {
                return Err(format!("topic {topic} can't be removed: {error}").into());
            }
        }
    }
    Ok(())
}

/// A producer of input records: idempotent, lz4.
pub fn producer(bootstrap: &str) -> Result<BaseProducer> {
    Ok(client(bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "500000")
        .set("delivery.report.only.error", "true")
        .create()?)
}

/// Sends one record, waiting where the queue is full.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, value: &[u8]) -> Result<()> {
    let mut record: BaseRecord<'_, (), [u8]> =
        BaseRecord::to(topic).partition(partition).payload(value);
    loop {
        record = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(5));
                back
            }
            Err((error, _)) => return Err(error.into()),
        };
    }
}

/// Writes seeded bids with so many bytes in the field `extra`, and prints what the outputs of the two workloads must hold.
pub fn fill(bootstrap: &str, topic: &str, records: u64, seed: u64, extra: usize) -> Result<()> {
    let producer = producer(bootstrap)?;
    let (mut bids, mut value) = (Bids::with_extra(seed, extra), Vec::new());
    let (mut pass, mut filter, mut bytes) = (Tally::default(), Tally::default(), 0);
    let begun = Instant::now();
    for at in 0..records {
        let bid = bids.next(BEGINNING_MS + at as i64, &mut value);
        pass.add(&bid);
        if bid.price >= LEAST_PRICE {
            filter.add(&bid);
        }
        bytes += value.len() as u64;
        send(&producer, topic, (at % PARTITIONS as u64) as i32, &value)?;
    }
    producer.flush(Duration::from_secs(60))?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"pass": pass.json(), "filter": filter.json(), "bytes": bytes / records.max(1), "seconds": seconds})
    );
    Ok(())
}
