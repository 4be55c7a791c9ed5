//! A partition's own queue at librdkafka, read by whole batches (`rd_kafka_consume_batch_queue`): one lock
//! and one look at the clock for hundreds of records, where polling the consumer costs both for each.
//!
//! The safe crate has no such call. Every pointer of the reading side lives in this file and none leaves
//! it: a [`Queue`] keeps its consumer alive, and records are lent to a closure and given back to librdkafka
//! before the call returns.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_header_get_all, rd_kafka_message_destroy,
    rd_kafka_message_headers, rd_kafka_message_t, rd_kafka_message_timestamp,
    rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy, rd_kafka_queue_forward,
    rd_kafka_queue_get_partition, rd_kafka_queue_t, rd_kafka_t, rd_kafka_timestamp_type_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use crate::log::RecordHeaders;

/// Most messages of one call.
pub(super) const MOST: usize = 1_024;
/// Headers of ours begin so.
const OUR_HEADERS: &str = "headworks.";
/// No more headers of a record are looked at.
const MOST_HEADERS: usize = 64;
/// Longer ones tell of errors, and nothing is decided by them. In bytes.
const LONGEST_HEADER: usize = 512;

/// Rung by librdkafka's threads when something comes into an empty queue.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Waits until the bell is rung, or was since the last call; at most this long. True if it was.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .heard
            .wait_timeout_while(rung, at_most, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

/// What a queue gives.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// A record.
    Record {
        offset: i64,
        timestamp_ms: Option<i64>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: Headers<'a>,
    },
    /// The partition's end for now (`enable.partition.eof`): everything below this offset was given, though
    /// no record may be there.
    End(i64),
    /// Reading failed.
    Failed(RDKafkaErrorCode),
}

/// The headers of a record. They are looked at only where somebody asks.
#[derive(Debug)]
pub(super) struct Headers<'a>(&'a rd_kafka_message_t);

impl Headers<'_> {
    /// Those that begin as ours do, in order: anybody may write others, as many and as large as a record takes.
    pub(super) fn ours(&self) -> RecordHeaders {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive. Its headers belong to it.
        let answer = unsafe { rd_kafka_message_headers(self.0, &raw mut list) };
        let mut all = RecordHeaders::new();
        if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
            return all;
        }
        for at in 0..MOST_HEADERS {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the list lives as long as its message.
            let answer = unsafe {
                rd_kafka_header_get_all(list, at, &raw mut name, &raw mut value, &raw mut size)
            };
            if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                break;
            }
            // SAFETY: a name ends with a zero byte, and lives as long as the list.
            let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
            if !name.starts_with(OUR_HEADERS) || size > LONGEST_HEADER || value.is_null() {
                continue;
            }
            // SAFETY: pointer and length are those of the value, which lives as long as the list.
            let value = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) };
            all.push((name.into_owned(), value.to_vec()));
        }
        all
    }
}

/// The queue of one partition. At most one of a partition may exist.
pub(super) struct Queue<C: ConsumerContext + 'static> {
    handle: NonNull<rd_kafka_queue_t>,
    messages: Vec<*mut rd_kafka_message_t>,
    /// Librdkafka rings it until the queue is dropped.
    _bell: Arc<Bell>,
    /// librdkafka's client must outlive its queues.
    _consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread, and `messages` is empty between calls.
unsafe impl<C: ConsumerContext + 'static> Send for Queue<C> {}

impl<C: ConsumerContext + 'static> Queue<C> {
    /// Detaches a partition's queue from the consumer's: what is fetched from now on comes here alone. To
    /// be called before `assign`. `None`: the name can't be one of a topic.
    pub(super) fn detach(
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        partition: i32,
        bell: &Arc<Bell>,
    ) -> Option<Queue<C>> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive and the name ends with a zero byte; the result is checked.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition)
        };
        let queue = NonNull::new(queue)?;
        // SAFETY: the queue is alive. `bell` is kept until the callback is taken off in `drop`; librdkafka calls it
        // under the queue's lock, which taking it off needs too, so that it is never called afterwards.
        unsafe {
            rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            rd_kafka_queue_cb_event_enable(
                queue.as_ptr(),
                Some(ring),
                Arc::as_ptr(bell).cast_mut().cast::<c_void>(),
            );
        }
        Some(Queue {
            handle: queue,
            messages: vec![ptr::null_mut(); MOST],
            _bell: Arc::clone(bell),
            _consumer: Arc::clone(consumer),
        })
    }

    /// Takes what is at hand, at most `most` and [`MOST`], without waiting. Gives the number of messages;
    /// fewer than asked for: the queue was empty then.
    pub(super) fn take(&mut self, most: usize, mut each: impl FnMut(Taken<'_>)) -> usize {
        let most = most.min(MOST);
        // SAFETY: the queue is alive, and there is room for `most` pointers.
        let count = unsafe {
            rd_kafka_consume_batch_queue(self.handle.as_ptr(), 0, self.messages.as_mut_ptr(), most)
        };
        let count = usize::try_from(count).unwrap_or(0).min(most);
        let lent = Lent(&self.messages[..count]);
        for message in lent.0 {
            // SAFETY: librdkafka filled the first `count` places with messages that are ours until `lent` goes, and what
            // is read of one lives no longer.
            each(unsafe { read(&**message) });
        }
        count
    }
}

impl<C: ConsumerContext + 'static> Drop for Queue<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is alive until here, and so is its client.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.handle.as_ptr(), None, ptr::null_mut());
            rd_kafka_queue_destroy(self.handle.as_ptr());
        }
    }
}

/// Messages that are given back when this goes, whatever happens.
struct Lent<'a>(&'a [*mut rd_kafka_message_t]);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        for message in self.0 {
            // SAFETY: each was given to us once, and nothing points to it any more.
            unsafe { rd_kafka_message_destroy(*message) };
        }
    }
}

/// # Safety
/// The message must come from librdkafka and be alive, and live as long as the result.
unsafe fn read(message: &rd_kafka_message_t) -> Taken<'_> {
    match message.err {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => return Taken::End(message.offset),
        error => return Taken::Failed(RDKafkaErrorCode::from(error)),
    }
    let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: by this function's own condition.
    let timestamp = unsafe { rd_kafka_message_timestamp(message, &raw mut kind) };
    // SAFETY: pointers and lengths are those of a living message.
    let bytes = |from: *mut c_void, length: usize| {
        (!from.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(from.cast_const().cast::<u8>(), length) })
    };
    Taken::Record {
        offset: message.offset,
        timestamp_ms: (timestamp != -1).then_some(timestamp),
        key: bytes(message.key, message.key_len),
        value: bytes(message.payload, message.len),
        headers: Headers(message),
    }
}

/// Called by librdkafka's threads. Takes no lock but the bell's, which nobody holds while calling librdkafka.
unsafe extern "C" fn ring(_: *mut rd_kafka_t, bell: *mut c_void) {
    // SAFETY: it is the bell that `detach` gave, which lives until the callback is taken off.
    let bell = unsafe { &*bell.cast_const().cast::<Bell>() };
    bell.ring();
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_bell_that_was_rung_before_is_heard_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO));
        assert!(!bell.wait(Duration::ZERO));
    }

    #[test]
    fn a_bell_ends_a_wait_at_once() {
        let bell = Arc::new(Bell::default());
        let ringer = Arc::clone(&bell);
        let thread = std::thread::spawn(move || ringer.ring());
        let begun = Instant::now();
        assert!(bell.wait(Duration::from_secs(60)));
        assert!(begun.elapsed() < Duration::from_secs(5));
        thread.join().unwrap();
    }
}
