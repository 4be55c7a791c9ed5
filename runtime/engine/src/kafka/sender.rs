//! Records into the producer's queue, without an allocation of ours: the topic's handle is made once, where
//! the safe crate copies its name and looks it up for each record.
//!
//! Every pointer of the writing side lives in this file. librdkafka copies key and value before a call returns.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings::{
    RD_KAFKA_MSG_F_COPY, rd_kafka_producev, rd_kafka_topic_destroy, rd_kafka_topic_new,
    rd_kafka_topic_t,
    rd_kafka_vtype_t::{
        RD_KAFKA_VTYPE_END, RD_KAFKA_VTYPE_KEY, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_VTYPE_PARTITION,
        RD_KAFKA_VTYPE_RKT, RD_KAFKA_VTYPE_TIMESTAMP, RD_KAFKA_VTYPE_VALUE,
    },
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::bounded::BoundedClient;
use super::member_events::MemberEvents;
use crate::log::Outgoing;

/// A producer and the topics it writes to.
pub(super) struct Sender {
    producer: BoundedClient<BaseProducer<MemberEvents>>,
    /// A handful, mostly one. Never outlive the producer.
    topics: Vec<(String, NonNull<rd_kafka_topic_t>)>,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for Sender {}

impl Sender {
    pub(super) fn new(producer: BoundedClient<BaseProducer<MemberEvents>>) -> Sender {
        Sender {
            producer,
            topics: Vec::new(),
        }
    }

    /// Puts a record into the queue.
    pub(super) fn send(&mut self, record: &Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
        if !record.headers.is_empty() {
            return self.send_with_headers(record);
        }
        let topic = self.topic(record.topic)?;
        let (key, key_length) = parts(record.key);
        let (value, length) = parts(record.value);
        // SAFETY: producer and topic are alive; each kind is followed by what librdkafka reads for it; key and value
        // are copied by the call.
        let error = unsafe {
            rd_kafka_producev(
                self.producer.client().native_ptr(),
                RD_KAFKA_VTYPE_RKT,
                topic.as_ptr(),
                RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(-1),
                RD_KAFKA_VTYPE_MSGFLAGS,
                RD_KAFKA_MSG_F_COPY,
                RD_KAFKA_VTYPE_VALUE,
                value,
                length,
                RD_KAFKA_VTYPE_KEY,
                key,
                key_length,
                RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp_ms.unwrap_or(0),
                RD_KAFKA_VTYPE_END,
            )
        };
        match RDKafkaErrorCode::from(error) {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(code),
        }
    }

    fn send_with_headers(&self, record: &Outgoing<'_>) -> Result<(), RDKafkaErrorCode> {
        let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic);
        outgoing.partition = record.partition;
        outgoing.key = record.key;
        outgoing.payload = record.value;
        outgoing.timestamp = record.timestamp_ms;
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        outgoing.headers = Some(
            record
                .headers
                .iter()
                .fold(headers, |headers, (key, value)| {
                    headers.insert(Header {
                        key,
                        value: Some(value),
                    })
                }),
        );
        self.producer.send(outgoing).map_err(|(error, _)| {
            error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::InvalidArgument)
        })
    }

    fn topic(&mut self, name: &str) -> Result<NonNull<rd_kafka_topic_t>, RDKafkaErrorCode> {
        if let Some((_, topic)) = self.topics.iter().find(|(known, _)| known == name) {
            return Ok(*topic);
        }
        let text = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
        // SAFETY: the producer is alive and the name ends with a zero byte; the result is checked. Without a configuration of
        // its own the topic takes the producer's.
        let topic = unsafe {
            rd_kafka_topic_new(
                self.producer.client().native_ptr(),
                text.as_ptr(),
                ptr::null_mut(),
            )
        };
        let topic = NonNull::new(topic).ok_or(RDKafkaErrorCode::InvalidArgument)?;
        self.topics.push((name.to_owned(), topic));
        Ok(topic)
    }
}

/// Pointer and length; an absent part is null, an empty one isn't.
fn parts(part: Option<&[u8]>) -> (*const u8, usize) {
    part.map_or((ptr::null(), 0), |part| (part.as_ptr(), part.len()))
}

impl Deref for Sender {
    type Target = Arc<BaseProducer<MemberEvents>>;

    fn deref(&self) -> &Arc<BaseProducer<MemberEvents>> {
        &self.producer
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        for (_, topic) in &self.topics {
            // SAFETY: each is a reference of our own, given back once; the producer is alive until after this.
            unsafe { rd_kafka_topic_destroy(topic.as_ptr()) };
        }
    }
}
