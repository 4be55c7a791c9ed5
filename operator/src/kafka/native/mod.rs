//! librdkafka's C interface, as far as the safe crate doesn't reach: requests of the Admin API with the
//! broker's own error texts, IncrementalAlterConfigs, DescribeTopics and DescribeCluster.
//!
//! Every pointer lives in this room. A [`Request`] lends the three handles that a call needs; a [`Reply`] owns
//! the event with the answer, and everything read from it is copied before it goes.
#![allow(unsafe_code)]

mod access;
mod replies;
mod requests;
mod scram;

use std::{
    ffi::{CStr, CString, c_char, c_int},
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    client::{Client as RdClient, DefaultClientContext},
    error::KafkaError as RdError,
    types::{RDKafkaErrorCode as Code, RDKafkaType},
};
use rdkafka_sys as sys;

use super::{Connection, KafkaError, signals::Signals};
pub(super) use replies::{ConfigAnswer, TopicAnswer};

/// One librdkafka client and what it last said of its connections.
pub(super) struct Client {
    handle: Arc<RdClient<DefaultClientContext>>,
    bootstrap: String,
    signals: Mutex<Signals>,
    /// Fields go in this order, so this is the last reference.
    _end: End<RdClient<DefaultClientContext>>,
}

/// The end of a client waits until each of librdkafka's threads has ended, and has no time-out. It is left to a thread of its own:
/// whoever drops the last reference may be a worker on which others wait.
struct End<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> Drop for End<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let ending = std::thread::Builder::new()
            .name("kafka-end".to_owned())
            .spawn(move || drop(client));
        if let Err(error) = ending {
            tracing::warn!(%error, "no thread for the end of a Kafka client");
        }
    }
}

/// The handles that a call needs. Valid until the call is sent.
pub(super) struct Request<'a> {
    rk: *mut sys::rd_kafka_t,
    options: *mut sys::rd_kafka_AdminOptions_t,
    queue: *mut sys::rd_kafka_queue_t,
    doing: &'a str,
}

/// An answer. Freed when dropped.
pub(super) struct Reply(*mut sys::rd_kafka_event_t);

struct Queue(*mut sys::rd_kafka_queue_t);
struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: the event came from rd_kafka_queue_poll, isn't null, and is destroyed only here.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue came from rd_kafka_queue_new or _get_main, each of which gives a reference of its own.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options came from rd_kafka_AdminOptions_new; requests copy what they need.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

impl Client {
    pub(super) fn new(connection: &Connection) -> Result<Self, KafkaError> {
        let config = connection.client_config();
        let handle = config
            .create_native_config()
            // A producer is librdkafka's lightest client; nothing is produced.
            .and_then(|native| {
                RdClient::new(
                    &config,
                    native,
                    RDKafkaType::RD_KAFKA_PRODUCER,
                    DefaultClientContext,
                )
            })
            .map_err(setup_error)?;
        let handle = Arc::new(handle);
        Ok(Self {
            _end: End(Some(Arc::clone(&handle))),
            handle,
            bootstrap: connection.bootstrap_servers.clone(),
            signals: Mutex::default(),
        })
    }

    pub(super) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Sends a request and waits for its answer. Blocks.
    pub(super) fn call(
        &self,
        doing: &str,
        timeout: Duration,
        patience: Duration,
        send: impl FnOnce(&Request<'_>) -> Result<(), KafkaError>,
    ) -> Result<Reply, KafkaError> {
        let started = Instant::now();
        self.listen();
        let rk = self.handle.native_ptr();
        // SAFETY: rk is a live client for as long as `self`; both results are checked and freed by their guards.
        let (queue, options) = unsafe {
            (
                sys::rd_kafka_queue_new(rk),
                sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ANY),
            )
        };
        let (queue, options) = (Queue(queue), Options(options));
        if queue.0.is_null() || options.0.is_null() {
            return Err(KafkaError::Other {
                doing: doing.to_owned(),
                what: "librdkafka gave no queue".to_owned(),
            });
        }
        let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        let mut text = [0 as c_char; 256];
        // SAFETY: the options are live and `text` is as long as said. The operation's time-out (how long a broker may take
        // before it answers) is only known to some requests; the others ignore it.
        unsafe {
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options.0,
                millis,
                text.as_mut_ptr(),
                text.len(),
            );
            sys::rd_kafka_AdminOptions_set_operation_timeout(
                options.0,
                millis / 2,
                text.as_mut_ptr(),
                text.len(),
            );
        }
        send(&Request {
            rk,
            options: options.0,
            queue: queue.0,
            doing,
        })?;
        let reply = self.wait(&queue, doing, started, timeout, patience)?;

        // SAFETY: the event is live; its error text is copied at once.
        let (code, text) = unsafe {
            (
                sys::rd_kafka_event_error(reply.0),
                string(sys::rd_kafka_event_error_string(reply.0)),
            )
        };
        match Code::from(code) {
            Code::NoError => {
                self.signals().clear();
                Ok(reply)
            }
            code => Err(self.explained(KafkaError::from_code(code, &text, doing, ""))),
        }
    }

    /// Names of all topics. Blocks.
    pub(super) fn topic_names(&self, timeout: Duration) -> Result<Vec<String>, KafkaError> {
        let found = self.handle.fetch_metadata(None, timeout);
        let found = found.map_err(|error| self.not_listed(&error, "list the topics"))?;
        let topics = found.topics().iter();
        Ok(topics.map(|topic| topic.name().to_owned()).collect())
    }

    /// Names of all consumer groups. Blocks.
    pub(super) fn group_names(&self, timeout: Duration) -> Result<Vec<String>, KafkaError> {
        let found = self.handle.fetch_group_list(None, timeout);
        let found = found.map_err(|error| self.not_listed(&error, "list the consumer groups"))?;
        let groups = found.groups().iter();
        Ok(groups.map(|group| group.name().to_owned()).collect())
    }

    fn not_listed(&self, error: &RdError, doing: &str) -> KafkaError {
        self.listen();
        let code = match error {
            RdError::MetadataFetch(code) | RdError::GroupListFetch(code) => *code,
            _ => Code::Fail,
        };
        let timed_out = matches!(
            code,
            Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut
        );
        self.explained(if timed_out {
            KafkaError::Timeout {
                doing: doing.to_owned(),
            }
        } else {
            KafkaError::from_code(code, "", doing, "")
        })
    }

    fn wait(
        &self,
        queue: &Queue,
        doing: &str,
        started: Instant,
        timeout: Duration,
        patience: Duration,
    ) -> Result<Reply, KafkaError> {
        loop {
            // SAFETY: the queue is live; an event that comes back is owned by `Reply`.
            let event = unsafe { sys::rd_kafka_queue_poll(queue.0, 100) };
            self.listen();
            if !event.is_null() {
                return Ok(Reply(event));
            }
            let waited = started.elapsed();
            if waited > patience
                && let Some(refusal) = self.signals().refusal_since(started)
            {
                return Err(refusal);
            }
            // librdkafka ends the request itself; this is for the case that it doesn't.
            if waited > timeout + Duration::from_secs(5) {
                return Err(self.explained(KafkaError::Timeout {
                    doing: doing.to_owned(),
                }));
            }
        }
    }

    /// A time-out is explained by the last trouble with a connection.
    fn explained(&self, error: KafkaError) -> KafkaError {
        if !matches!(error, KafkaError::Timeout { .. }) {
            return error;
        }
        match self.signals().recent(Instant::now()).cloned() {
            Some(KafkaError::Unreachable { what, .. }) if what.ends_with("brokers are down") => {
                KafkaError::Unreachable {
                    broker: self.bootstrap.clone(),
                    what,
                }
            }
            Some(signal) => signal,
            None => error,
        }
    }

    /// Reads what the client says of itself: errors are kept, log lines go to our log.
    fn listen(&self) {
        // SAFETY: rk is live; the main queue's reference is ours and freed by the guard.
        let main = Queue(unsafe { sys::rd_kafka_queue_get_main(self.handle.native_ptr()) });
        loop {
            // SAFETY: the queue is live; an event that comes back is owned by `Reply`.
            let event = unsafe { sys::rd_kafka_queue_poll(main.0, 0) };
            if event.is_null() {
                return;
            }
            let event = Reply(event);
            // SAFETY: the event is live; texts are copied before it goes.
            match unsafe { sys::rd_kafka_event_type(event.0) } {
                sys::RD_KAFKA_EVENT_ERROR => {
                    let (code, text) = unsafe {
                        (
                            sys::rd_kafka_event_error(event.0),
                            string(sys::rd_kafka_event_error_string(event.0)),
                        )
                    };
                    let code = Code::from(code);
                    tracing::debug!(target: "librdkafka", ?code, "{text}");
                    self.signals().note(code, &text, Instant::now());
                }
                sys::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
                    // SAFETY: the three are plain out-parameters; the texts live as long as the event.
                    if unsafe {
                        sys::rd_kafka_event_log(
                            event.0,
                            &raw mut facility,
                            &raw mut line,
                            &raw mut level,
                        )
                    } == 0
                    {
                        let (facility, line) = unsafe { (string(facility), string(line)) };
                        tracing::debug!(target: "librdkafka", level, facility, "{line}");
                    }
                }
                _ => {}
            }
        }
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Errors of setting up a client never carry a value, which might be a password.
fn setup_error(error: RdError) -> KafkaError {
    let what = match error {
        RdError::ClientConfig(_, what, key, _) if key.starts_with("ssl.") => {
            return KafkaError::TlsFailed { what };
        }
        RdError::ClientConfig(_, _, key, _) => format!("the setting {key} isn't accepted"),
        RdError::ClientCreation(what) if what.contains("ssl.") => {
            return KafkaError::TlsFailed { what };
        }
        RdError::ClientCreation(what) => what,
        RdError::Nul(_) => "a setting holds a zero byte".to_owned(),
        _ => "librdkafka can't be set up".to_owned(),
    };
    KafkaError::Other {
        doing: "set up the Kafka client".to_owned(),
        what,
    }
}

/// Text for C. Names and values with a zero byte in them are none.
fn c_string(text: &str, doing: &str) -> Result<CString, KafkaError> {
    CString::new(text).map_err(|_| KafkaError::PolicyRefused {
        doing: doing.to_owned(),
        what: format!(
            "{:?} holds a zero byte",
            text.chars().take(64).collect::<String>()
        ),
    })
}

/// Copies C's text.
///
/// # Safety
/// The pointer is null or points to a text that ends with a zero byte.
unsafe fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's own condition.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_drops_a_client_does_not_wait_for_its_end() {
        struct Hangs(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);
        impl Drop for Hangs {
            fn drop(&mut self) {
                let _ = self.0.lock().unwrap().recv();
                let _ = self.1.send(());
            }
        }
        let (go, held) = mpsc::channel();
        let (tell, ended) = mpsc::channel();
        let client = Arc::new(Hangs(Mutex::new(held), tell));
        let end = End(Some(Arc::clone(&client)));
        drop(client);
        drop(end);
        assert!(ended.try_recv().is_err(), "it ends elsewhere");
        go.send(()).unwrap();
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
