//! What a contestant did: how far its output is and what it cost, and what the output holds.

use std::io::Write;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::bid::{Numbers, Tally};
use crate::topics::PARTITIONS;
use crate::{Result, reader};

/// Between two samples. Also what a sample's time is uncertain by, at most.
const EVERY: Duration = Duration::from_millis(50);
const ANSWER: Duration = Duration::from_secs(10);

/// Prints `seconds offsets cpu-ticks` of the topic's committed end and of the process, until the
/// process is gone or nobody reads.
pub fn watch(bootstrap: &str, topic: &str, pid: u32) -> Result<()> {
    let consumer: BaseConsumer = reader(bootstrap).create()?;
    let begun = Instant::now();
    let mut out = std::io::stdout().lock();
    loop {
        // A busy broker may not answer in time; the next sample will do.
        let ends =
            (0..PARTITIONS).map(|partition| consumer.fetch_watermarks(topic, partition, ANSWER));
        let Ok(ends) = ends.collect::<std::result::Result<Vec<_>, _>>() else {
            continue;
        };
        let end: i64 = ends.iter().map(|(_, end)| end).sum();
        let Some(ticks) = cpu_ticks(pid) else {
            return Ok(());
        };
        let now = begun.elapsed().as_secs_f64();
        if writeln!(out, "{now:.4} {end} {ticks}")
            .and_then(|()| out.flush())
            .is_err()
        {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

/// User and system time of all threads of a process, in clock ticks; `None`: it is gone.
fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name that may hold anything but ends with the last bracket.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let user: u64 = fields.nth(10)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    (state != "Z").then_some(user + system)
}

/// A consumer at the beginning of every partition.
pub fn from_beginning(bootstrap: &str, topic: &str) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = reader(bootstrap)
        .set("enable.partition.eof", "true")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

/// Reads all that is committed and prints its tally.
pub fn count(bootstrap: &str, topic: &str) -> Result<()> {
    let consumer = from_beginning(bootstrap, topic)?;
    let mut tally = Tally::default();
    let mut ends = 0;
    while ends < PARTITIONS {
        match consumer.poll(Duration::from_secs(20)) {
            None => return Err(format!("no record of {topic} for 20 s").into()),
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                let bid = Numbers::scan(value).ok_or_else(|| {
                    format!("{topic} holds no bid: {}", String::from_utf8_lossy(value))
                })?;
                tally.add(&bid);
            }
        }
    }
    println!("{}", tally.json());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_of_this_process_grows_with_its_work() {
        let before = cpu_ticks(std::process::id()).unwrap();
        let begun = Instant::now();
        let mut work = 0_u64;
        while cpu_ticks(std::process::id()).unwrap() < before + 2 {
            work = std::hint::black_box(work.wrapping_add(1));
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        assert_eq!(cpu_ticks(u32::MAX), None);
    }
}
