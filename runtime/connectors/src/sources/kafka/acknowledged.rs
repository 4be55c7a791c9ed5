//! An idempotent Kafka producer, and a watch that knows whether it can work.
//!
//! A record counts as written when every in-sync replica has it (`acks=all`); librdkafka's idempotence
//! (KIP-98) keeps its own retries from making duplicates or changing the order. The watch asks for the
//! topics' metadata now and then, so that an outage is known before a request has to wait for it, and is
//! known to be over without one. Credentials are read again whenever the client is made anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headworks_engine::kafka::{BoundedClient, ClientEvents, is_of_connection};
use headworks_engine::status::{StatusHandle, alive};
use headworks_plan::{KafkaConnection, Problem, Reason, SourcePlan};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use super::producer::{Missing, Queue, Topics, configure, headers, look};
use super::sink::{Cause, Sink, Undelivered};

/// Longest wait for an acknowledgement; then the client hears 503.
const DELIVERY: Duration = Duration::from_secs(10);
/// How long the answer to a metadata request is waited for.
const METADATA: Duration = Duration::from_secs(5);
/// How often a sound connection is looked at.
const CALM: Duration = Duration::from_secs(15);
/// How often a broken one is.
const URGENT: Duration = Duration::from_secs(2);
/// The watch hangs if a look isn't over for so long. With no broker at all one takes 10 s.
const HANGS: Duration = Duration::from_secs(3 * 60);
/// How often a full producer queue is tried again.
const QUEUE_FULL: Duration = Duration::from_millis(5);
/// Records of many senders wait at once, and none for long.
const QUEUE: Queue = Queue {
    linger: Duration::from_millis(2),
    records: 200_000,
    kibibytes: 64 * 1024,
};

/// Writes records to a stream's topic and its dead-letter topic.
pub struct AcknowledgedWriter {
    connection: KafkaConnection,
    topics: Topics,
    max_message_bytes: u64,
    state: Mutex<State>,
    wake: Condvar,
}

/// Its last owner waits for its end only so long.
type Client = Arc<BoundedClient<ThreadedProducer<Context>>>;

struct State {
    producer: Option<Client>,
    problem: Option<Problem>,
    /// Set when something looks wrong: look at once.
    look: bool,
    stopped: bool,
}

impl AcknowledgedWriter {
    /// A sink that can't work yet: [`AcknowledgedWriter::watch`] connects it.
    pub fn new(connection: KafkaConnection, plan: &SourcePlan) -> AcknowledgedWriter {
        let into = &plan.into;
        let problem = Problem::new(
            Reason::KafkaUnavailable,
            format!("not connected to {} yet", connection.bootstrap_servers),
            false,
        );
        AcknowledgedWriter {
            connection,
            topics: Topics::of(plan),
            max_message_bytes: into.max_message_bytes,
            state: Mutex::new(State {
                producer: None,
                problem: Some(problem),
                look: false,
                stopped: false,
            }),
            wake: Condvar::new(),
        }
    }

    /// [`AcknowledgedWriter::watch`] on a thread of its own, whose pulse is in `status`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn watch_on_thread(self: &Arc<Self>, status: &StatusHandle) -> std::io::Result<()> {
        let watched = self.clone();
        let pulse = status.pulse("kafka-watch", HANGS);
        std::thread::Builder::new()
            .name("kafka-watch".to_owned())
            .spawn(move || {
                let _pulse = pulse.of_this_thread();
                watched.watch();
            })?;
        Ok(())
    }

    /// Connects, and keeps looking whether records can be written, until [`AcknowledgedWriter::stop`]. Blocks: give
    /// it a thread.
    pub fn watch(&self) {
        loop {
            alive();
            let found = self.look();
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            match (&state.problem, &found) {
                (Some(was), None) => {
                    tracing::info!(reason = was.reason.as_str(), "over: records can be written");
                }
                (before, Some(now))
                    if before.as_ref().is_none_or(|was| was.reason != now.reason) =>
                {
                    tracing::warn!(reason = now.reason.as_str(), "{}", now.message);
                }
                _ => {}
            }
            let pause = if found.is_none() { CALM } else { URGENT };
            state.problem = found;
            let (mut state, _) = self
                .wake
                .wait_timeout_while(state, pause, |state| !state.look && !state.stopped)
                .unwrap_or_else(PoisonError::into_inner);
            if state.stopped {
                return;
            }
            state.look = false;
        }
    }

    /// Waits until what was handed over is acknowledged or given up, at most `limit`; then ends the watch.
    /// False: the limit came first. Blocks.
    pub fn stop(&self, limit: Duration) -> bool {
        let producer = self.lock().producer.take();
        let flushed = producer.is_none_or(|producer| producer.flush(limit).is_ok());
        self.lock().stopped = true;
        self.wake.notify_all();
        flushed
    }

    /// What is wrong, if anything. A client that can't go on is thrown away, so that the next look makes
    /// a new one with the credentials of then.
    fn look(&self) -> Option<Problem> {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(problem) => return Some(problem),
        };
        let problem = self.problem_of(&producer);
        let beyond_repair = producer.client().fatal_error().is_some()
            || problem
                .as_ref()
                .is_some_and(|p| p.fatal && p.reason != Reason::TopicMissing);
        if beyond_repair {
            self.lock().producer = None;
        }
        problem
    }

    fn producer(&self) -> Result<Client, Problem> {
        if let Some(producer) = &self.lock().producer {
            return Ok(Arc::clone(producer));
        }
        let mut config = headworks_engine::kafka::config(&self.connection)
            .map_err(|error| Problem::new(Reason::SecretMissing, error.to_string(), true))?;
        configure(&mut config, self.max_message_bytes, &QUEUE);
        config
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string())
            .set("request.timeout.ms", "5000");
        let producer = ThreadedProducer::from_config_and_context(&config, Context::default())
            .map_err(|error| {
                let message = format!("cannot make a Kafka client: {error}");
                Problem::new(Reason::KafkaUnavailable, message, false)
            })?;
        let producer = Arc::new(BoundedClient::new(producer));
        let mut state = self.lock();
        if !state.stopped {
            state.producer = Some(Arc::clone(&producer));
        }
        Ok(producer)
    }

    fn problem_of(&self, producer: &ThreadedProducer<Context>) -> Option<Problem> {
        for topic in self.topics.needed() {
            let code = match look(producer.client(), topic, METADATA) {
                // librdkafka says only that no broker answered; why, it told the context.
                Err(Missing::NoAnswer(error)) => {
                    producer.context().refusal().or(error.rdkafka_error_code())
                }
                Err(Missing::Refused(code)) => Some(code),
                Ok(()) => None,
            };
            if let Some(code) = code {
                return Some(problem(code, topic, &self.connection.bootstrap_servers));
            }
        }
        // Connected, so nothing is refused any more.
        let _ = producer.context().0.take_refusal();
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hurry(&self) {
        self.lock().look = true;
        self.wake.notify_all();
    }
}

/// What an error means to the person who can mend it.
fn problem(code: Code, topic: &str, servers: &str) -> Problem {
    let (reason, message, fatal) = match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => (
            Reason::CredentialsRefused,
            format!(
                "Kafka at {servers} refuses the user name or password; check the Secret, and that the SCRAM-SHA-512 user exists"
            ),
            true,
        ),
        Code::SSL => (
            Reason::TlsRefused,
            format!(
                "no TLS connection to Kafka at {servers}; check that spec.kafka.tls of the Platform names the CA that signed the brokers' certificate"
            ),
            true,
        ),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => (
            Reason::NotAuthorized,
            format!("the user may not write to topic {topic}; grant it Write and Describe"),
            true,
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition => (
            Reason::TopicMissing,
            format!("topic {topic} doesn't exist; is its DataStream ready?"),
            true,
        ),
        code => (
            Reason::KafkaUnavailable,
            format!("Kafka at {servers} doesn't answer for topic {topic}: {code}"),
            false,
        ),
    };
    Problem::new(reason, message, fatal)
}

impl Sink for AcknowledgedWriter {
    fn problem(&self) -> Option<Problem> {
        self.lock().problem.clone()
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        let Some(producer) = self.lock().producer.clone() else {
            let cause = Cause::Unavailable {
                message: "not connected".to_owned(),
            };
            return Err(Undelivered {
                acknowledged: 0,
                failed: records.len(),
                cause,
            });
        };
        let request = Arc::new(InFlight::new(records.len()));
        let deadline = Instant::now() + DELIVERY;
        for outgoing in &records {
            let mut record = self.record(outgoing, request.clone());
            while let Err((error, back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) || Instant::now() > deadline
                {
                    request.settle(Some(&error));
                    break;
                }
                record = back;
                tokio::time::sleep(QUEUE_FULL).await;
            }
        }
        let result = request.settled().await;
        if result.is_err() {
            self.hurry();
        }
        result
    }
}

impl AcknowledgedWriter {
    fn record<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        request: Arc<InFlight>,
    ) -> BaseRecord<'a, [u8], [u8], Arc<InFlight>> {
        let topic = self.topics.of_target(outgoing.target);
        let mut record = BaseRecord::with_opaque_to(topic, request).payload(&outgoing.value[..]);
        if let Some(key) = &outgoing.key {
            record = record.key(&key[..]);
        }
        record.headers = headers(outgoing);
        record
    }
}

/// A request's records between the producer's queue and their acknowledgement.
struct InFlight {
    open: AtomicUsize,
    failed: AtomicUsize,
    total: usize,
    cause: Mutex<Option<Cause>>,
    done: Notify,
}

impl InFlight {
    fn new(total: usize) -> InFlight {
        InFlight {
            open: AtomicUsize::new(total),
            failed: AtomicUsize::new(0),
            total,
            cause: Mutex::new(None),
            done: Notify::new(),
        }
    }

    /// One record is acknowledged, or given up with `error`.
    fn settle(&self, error: Option<&KafkaError>) {
        if let Some(error) = error {
            self.failed.fetch_add(1, Ordering::Relaxed);
            let mut cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
            cause.get_or_insert_with(|| match error.rdkafka_error_code() {
                Some(Code::MessageSizeTooLarge) => Cause::TooLarge,
                Some(code) => Cause::Unavailable {
                    message: code.to_string(),
                },
                None => Cause::Unavailable {
                    message: error.to_string(),
                },
            });
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    async fn settled(&self) -> Result<(), Undelivered> {
        while self.open.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
        let failed = self.failed.load(Ordering::Relaxed);
        let cause = self
            .cause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match cause {
            None => Ok(()),
            Some(cause) => Err(Undelivered {
                acknowledged: self.total - failed,
                failed,
                cause,
            }),
        }
    }
}

/// Hears acknowledgements besides what every client is told.
#[derive(Default)]
struct Context(ClientEvents);

impl Context {
    /// The last refusal of a connection, which only a person can mend.
    fn refusal(&self) -> Option<Code> {
        self.0.refusal().filter(|code| is_of_connection(*code))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, said: &str) {
        self.0.error(error, said);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<InFlight>;

    fn delivery(&self, result: &DeliveryResult<'_>, request: Arc<InFlight>) {
        request.settle(result.as_ref().err().map(|(error, _)| error));
    }
}
