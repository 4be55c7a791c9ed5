//! The floor: the least that a program on librdkafka can do for the same result.
//!
//! What makes it fast: whole batches from the partitions' own queues
//! (`rd_kafka_consume_batch_queue`), one call for a batch of output (`rd_kafka_produce_batch`), no
//! delivery report but of an error, buffers that are reused, and no column, schema or check of
//! anything. Exactly once as elsewhere: output and positions in one transaction, at the same interval.

// The calls that make the difference have no safe wrapper.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rdkafka::bindings::{
    RD_KAFKA_MSG_F_COPY, RD_KAFKA_MSG_F_PARTITION, rd_kafka_consume_batch_queue,
    rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_produce_batch, rd_kafka_queue_forward,
    rd_kafka_queue_get_partition, rd_kafka_queue_t, rd_kafka_topic_new, rd_kafka_topic_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use crate::bid::{LEAST_PRICE, Numbers};
use crate::topics::PARTITIONS;
use crate::{Result, client, reader};

/// Most records of one call.
const BATCH: usize = 2_000;
const ANSWER: Duration = Duration::from_secs(10);

/// What is done with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Its bytes are written as they are.
    Pass,
    /// Parsed by `serde_json` into a struct that borrows, filtered, projected.
    Serde,
    /// The same by a scan for the four fields, which checks nothing.
    Scan,
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Work, String> {
        match text {
            "pass" => Ok(Work::Pass),
            "serde" => Ok(Work::Serde),
            "scan" => Ok(Work::Scan),
            other => Err(format!("unknown work {other}: one of pass, serde, scan")),
        }
    }
}

/// What to run.
pub struct Job<'a> {
    pub bootstrap: &'a str,
    pub input: &'a str,
    pub output: &'a str,
    pub group: &'a str,
    pub work: Work,
    pub interval_ms: u64,
}

/// The typed bid: every field is parsed, as the peers parse it.
#[derive(Deserialize)]
struct Bid<'a> {
    auction: i64,
    bidder: i64,
    price: i64,
    #[serde(borrow, rename = "channel")]
    _channel: &'a str,
    #[serde(borrow, rename = "url")]
    _url: &'a str,
    date_time: i64,
    #[serde(borrow, rename = "extra")]
    _extra: &'a str,
}

/// Runs until it is ended from outside.
pub fn run(job: &Job<'_>) -> Result<()> {
    let consumer: BaseConsumer = reader(job.bootstrap)
        .set("group.id", job.group)
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let producer: BaseProducer = client(job.bootstrap)
        .set("transactional.id", job.group)
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "131072")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.init_transactions(ANSWER)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(job.input, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let generation = consumer
        .group_metadata()
        .ok_or("the consumer has no group")?;
    let mut lane = Lane::new(&consumer, &producer, job)?;
    loop {
        producer.begin_transaction()?;
        let end = Instant::now() + Duration::from_millis(job.interval_ms);
        let before = lane.positions.clone();
        while Instant::now() < end {
            let mut read = 0;
            for partition in 0..PARTITIONS as usize {
                read += lane.turn(partition, 0)?;
            }
            if read == 0 {
                lane.turn(0, 2)?;
            }
            consumer.poll(Duration::ZERO).transpose()?;
            producer.poll(Duration::ZERO);
        }
        if lane.positions != before {
            let mut list = TopicPartitionList::new();
            for (partition, position) in (0..).zip(&lane.positions) {
                if *position > 0 {
                    list.add_partition_offset(job.input, partition, Offset::Offset(*position))?;
                }
            }
            producer.send_offsets_to_transaction(&list, &generation, ANSWER)?;
        }
        producer.commit_transaction(ANSWER)?;
    }
}

/// The buffers, and the handles that librdkafka gives.
struct Lane<'a> {
    producer: &'a BaseProducer,
    queues: Vec<*mut rd_kafka_queue_t>,
    topic: *mut rd_kafka_topic_t,
    work: Work,
    /// Next offset of each partition.
    positions: Vec<i64>,
    taken: Vec<*mut rd_kafka_message_t>,
    outgoing: Vec<rd_kafka_message_t>,
    bytes: Vec<u8>,
    ranges: Vec<(usize, usize)>,
}

impl Lane<'_> {
    fn new<'a>(
        consumer: &BaseConsumer,
        producer: &'a BaseProducer,
        job: &Job<'_>,
    ) -> Result<Lane<'a>> {
        let (input, output) = (CString::new(job.input)?, CString::new(job.output)?);
        let rk = consumer.client().native_ptr();
        let queues = (0..PARTITIONS)
            .map(|partition| {
                // SAFETY: the client outlives the queues, which live as long as the process.
                unsafe {
                    let queue = rd_kafka_queue_get_partition(rk, input.as_ptr(), partition);
                    if !queue.is_null() {
                        rd_kafka_queue_forward(queue, std::ptr::null_mut());
                    }
                    queue
                }
            })
            .collect::<Vec<_>>();
        if queues.iter().any(|queue| queue.is_null()) {
            return Err("a partition has no queue".into());
        }
        // SAFETY: the producer outlives the handle, which lives as long as the process.
        let topic = unsafe {
            rd_kafka_topic_new(
                producer.client().native_ptr(),
                output.as_ptr(),
                std::ptr::null_mut(),
            )
        };
        if topic.is_null() {
            return Err("the output topic has no handle".into());
        }
        Ok(Lane {
            producer,
            queues,
            topic,
            work: job.work,
            positions: vec![0; PARTITIONS as usize],
            taken: vec![std::ptr::null_mut(); BATCH],
            outgoing: Vec::with_capacity(BATCH),
            bytes: Vec::new(),
            ranges: Vec::with_capacity(BATCH),
        })
    }

    /// One batch of one partition through; how many records it was.
    fn turn(&mut self, partition: usize, wait_ms: i32) -> Result<usize> {
        // SAFETY: the queue is alive, and `taken` has room for BATCH pointers.
        let count = unsafe {
            rd_kafka_consume_batch_queue(
                self.queues[partition],
                wait_ms,
                self.taken.as_mut_ptr(),
                BATCH,
            )
        };
        let count = usize::try_from(count).map_err(|_| "the queue can't be read")?;
        self.outgoing.clear();
        self.bytes.clear();
        self.ranges.clear();
        for at in 0..count {
            // SAFETY: librdkafka filled the first `count` places, and they are destroyed only below.
            let message = unsafe { &*self.taken[at] };
            if message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let code = RDKafkaErrorCode::from(message.err);
                return Err(format!("reading: {code}").into());
            }
            self.positions[partition] = message.offset + 1;
            if self.work == Work::Pass {
                self.outgoing.push(rd_kafka_message_t {
                    key: std::ptr::null_mut(),
                    key_len: 0,
                    partition: partition as i32,
                    _private: std::ptr::null_mut(),
                    ..*message
                });
            } else {
                // SAFETY: payload and length are those of a message that is alive.
                let value = unsafe {
                    std::slice::from_raw_parts(message.payload.cast::<u8>(), message.len)
                };
                let start = self.bytes.len();
                if self.project(value)? {
                    self.ranges.push((start, self.bytes.len()));
                }
            }
        }
        for &(start, end) in &self.ranges {
            self.outgoing.push(rd_kafka_message_t {
                err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: std::ptr::null_mut(),
                partition: partition as i32,
                payload: self.bytes[start..end].as_mut_ptr().cast(),
                len: end - start,
                key: std::ptr::null_mut(),
                key_len: 0,
                offset: 0,
                _private: std::ptr::null_mut(),
            });
        }
        self.produce()?;
        for message in &self.taken[..count] {
            // SAFETY: each was given to us once, and nothing points to it any more: output is copied.
            unsafe { rd_kafka_message_destroy(*message) };
        }
        Ok(count)
    }

    /// Appends the projected bid to `bytes`; false: it left.
    fn project(&mut self, value: &[u8]) -> Result<bool> {
        let bid = if self.work == Work::Scan {
            Numbers::scan(value).ok_or("the input holds no bid")?
        } else {
            let bid: Bid<'_> = serde_json::from_slice(value)?;
            Numbers {
                auction: bid.auction,
                bidder: bid.bidder,
                price: bid.price,
                date_time: bid.date_time,
            }
        };
        if bid.price < LEAST_PRICE {
            return Ok(false);
        }
        bid.write(&mut self.bytes);
        Ok(true)
    }

    fn produce(&mut self) -> Result<()> {
        while !self.outgoing.is_empty() {
            let all = self.outgoing.len();
            // SAFETY: the payloads are alive and are copied by the call, which writes only `err` of each.
            let taken = unsafe {
                rd_kafka_produce_batch(
                    self.topic,
                    0,
                    RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION,
                    self.outgoing.as_mut_ptr(),
                    all as i32,
                )
            };
            if usize::try_from(taken) == Ok(all) {
                return Ok(());
            }
            self.outgoing
                .retain(|message| message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
            for message in &self.outgoing {
                if message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL {
                    let code = RDKafkaErrorCode::from(message.err);
                    return Err(format!("writing: {code}").into());
                }
            }
            self.producer.poll(Duration::from_millis(2));
        }
        Ok(())
    }
}
