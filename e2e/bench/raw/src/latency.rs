//! How long a record takes from its making to a reader of the output, at a steady rate.
//!
//! Each bid carries the time it was made at, in milliseconds; the reader, in the same process and so on
//! the same clock, subtracts. The time in the producer's own queue (`linger.ms` 5) is included.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use serde_json::json;

use crate::bid::{Bids, Numbers};
use crate::topics::{PARTITIONS, producer, send};
use crate::{Result, measure, windows};

/// How many records and for how long.
pub struct Load {
    /// Records a second.
    pub rate: u64,
    pub seconds: u64,
    pub seed: u64,
    /// Present: the output holds windows over bids of so many auctions, and what is measured is the time from
    /// a window's end, which the watermark reaches as soon as a bid of that time is written.
    pub auctions: Option<i64>,
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_millis() as i64
}

/// Writes at the rate, reads the output until two seconds after, prints percentiles in milliseconds.
/// The first fifth of the time is warm-up and doesn't count.
pub fn run(bootstrap: &str, input: &str, output: &str, load: &Load) -> Result<()> {
    let counted_from = now_ms() + (load.seconds * 200) as i64;
    let end = Instant::now() + Duration::from_secs(load.seconds + 2);
    let mut delays = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            read(bootstrap, output, counted_from, end, load).map_err(|error| error.to_string())
        });
        write(bootstrap, input, load)?;
        reader
            .join()
            .map_err(|_| "the reader panicked")?
            .map_err(Into::<Box<dyn std::error::Error>>::into)
    })?;
    delays.sort_unstable();
    let at = |share: f64| {
        delays
            .get((delays.len() as f64 * share) as usize)
            .or(delays.last())
    };
    println!(
        "{}",
        json!({"records": delays.len(), "p50": at(0.5), "p99": at(0.99), "max": delays.last()})
    );
    Ok(())
}

fn write(bootstrap: &str, input: &str, load: &Load) -> Result<()> {
    let producer = producer(bootstrap)?;
    let (mut bids, mut value) = (Bids::new(load.seed), Vec::new());
    let begun = Instant::now();
    let mut sent = 0;
    while sent < load.rate * load.seconds {
        let due = (begun.elapsed().as_secs_f64() * load.rate as f64) as u64;
        while sent < due.min(load.rate * load.seconds) {
            match load.auctions {
                None => {
                    bids.next(now_ms(), &mut value);
                }
                Some(auctions) => {
                    bids.timed(now_ms(), auctions, &mut value);
                }
            }
            // Bids for windows have a topic of one partition.
            let partition = match load.auctions {
                None => (sent % PARTITIONS as u64) as i32,
                Some(_) => 0,
            };
            send(&producer, input, partition, &value)?;
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
    }
    producer.flush(Duration::from_secs(10))?;
    Ok(())
}

fn read(
    bootstrap: &str,
    output: &str,
    counted_from: i64,
    end: Instant,
    load: &Load,
) -> Result<Vec<i64>> {
    let consumer = measure::from_beginning(bootstrap, output)?;
    let mut delays = Vec::new();
    while Instant::now() < end {
        match consumer.poll(Duration::from_millis(100)) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                let made = match load.auctions {
                    None => Numbers::scan(value).map(|bid| bid.date_time),
                    Some(_) => windows::read(value).map(|found| found.end_ms),
                };
                let made = made.ok_or("the output holds something else")?;
                if made >= counted_from {
                    delays.push(now_ms() - made);
                }
            }
        }
    }
    Ok(delays)
}
