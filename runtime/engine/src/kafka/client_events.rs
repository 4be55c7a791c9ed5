//! What librdkafka says outside of calls, whatever client it is: log lines, errors, records that weren't taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::error_mapping;
use crate::log::LogError;

/// Writes down what a client says. Clones share what is known, so that a consumer and a producer may have one.
#[derive(Clone, Debug, Default)]
pub struct ClientEvents(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Counts everything that came instead of a record, so that "nothing came" can be told apart.
    heard: AtomicU64,
    /// Counts connections that broke.
    broke: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What only a person, or another process, can mend.
    refused: Option<(Code, String)>,
    /// Why a record wasn't taken.
    delivery: Option<Code>,
    /// Why no broker can be reached.
    down: Option<String>,
    last_transport: Option<String>,
}

impl ClientEvents {
    /// How much has come, in all.
    pub(super) fn heard(&self) -> u64 {
        self.0.heard.load(Ordering::Acquire)
    }

    /// Something came that is not told here.
    pub(super) fn hear(&self) {
        self.0.heard.fetch_add(1, Ordering::AcqRel);
    }

    /// How often a connection broke, in all.
    pub(super) fn broke(&self) -> u64 {
        self.0.broke.load(Ordering::Acquire)
    }

    /// Why Kafka refuses us, and forgets it.
    pub fn take_refusal(&self) -> Option<LogError> {
        let (code, said) = self.seen().refused.take()?;
        error_mapping::of_client(code, &said)
    }

    /// Why Kafka refuses us.
    pub fn refusal(&self) -> Option<Code> {
        self.seen().refused.as_ref().map(|(code, _)| *code)
    }

    /// Why a record wasn't taken, the first since the last call.
    pub fn take_delivery_error(&self) -> Option<Code> {
        self.seen().delivery.take()
    }

    /// Why no broker can be reached.
    pub(super) fn down(&self) -> Option<String> {
        self.seen().down.clone()
    }

    /// A broker is connected.
    pub(super) fn up(&self) {
        let mut seen = self.seen();
        seen.down = None;
        seen.last_transport = None;
    }

    /// A record was taken, or wasn't. The first that failed counts, but one that was only thrown away gives way to a cause: without
    /// transactions a fatal error throws away what is queued, and then that is all that tells that records are missing.
    pub fn delivered(&self, result: &DeliveryResult<'_>) {
        if let Err((error, _)) = result
            && let Some(code) = error.rdkafka_error_code()
        {
            self.not_delivered(code);
        }
    }

    fn not_delivered(&self, code: Code) {
        let mut seen = self.seen();
        if seen.delivery.is_none_or(is_purge) {
            seen.delivery = Some(code);
        }
    }

    /// What lies behind the failure of a client's first answer.
    pub fn explain(&self, error: &KafkaError, doing: &str) -> LogError {
        if let Some(refused) = self.take_refusal() {
            return refused;
        }
        match error_mapping::of_query(error, doing) {
            LogError::Retriable { message } => {
                let seen = self.seen();
                let cause = seen.down.as_ref().or(seen.last_transport.as_ref());
                LogError::Unavailable {
                    message: cause.cloned().unwrap_or(message),
                }
            }
            other => other,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for ClientEvents {
    /// librdkafka's lines. Its errors are warnings here: it tries again, and who waits for it says what it means.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.hear();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, said: &str) {
        self.hear();
        tracing::debug!(target: "librdkafka", "{error}: {said}");
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        let mut seen = self.seen();
        match code {
            Code::AllBrokersDown => {
                self.0.broke.fetch_add(1, Ordering::AcqRel);
                let cause = seen.last_transport.clone();
                seen.down = Some(cause.unwrap_or_else(|| said.to_owned()));
            }
            Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut => {
                self.0.broke.fetch_add(1, Ordering::AcqRel);
                seen.last_transport = Some(said.to_owned());
            }
            code if error_mapping::of_client(code, said).is_some() => {
                if seen
                    .refused
                    .as_ref()
                    .is_none_or(|(known, _)| *known != code)
                {
                    tracing::warn!(?code, said, "Kafka refuses us");
                }
                // What keeps the client from connecting at all explains more than what comes after.
                let kept = seen
                    .refused
                    .as_ref()
                    .is_some_and(|(known, _)| is_of_connection(*known) && !is_of_connection(code));
                if !kept {
                    seen.refused = Some((code, said.to_owned()));
                }
            }
            _ => {}
        }
    }
}

impl ConsumerContext for ClientEvents {}

impl ProducerContext for ClientEvents {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.delivered(result);
    }
}

/// A connection was refused, which only a person can mend.
pub fn is_of_connection(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
    )
}

/// A record was thrown away, by an abort or with its producer: that isn't the cause of anything.
pub fn is_purge(code: Code) -> bool {
    matches!(code, Code::PurgeQueue | Code::PurgeInflight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Reason;

    #[test]
    fn brokers_that_are_all_down_are_remembered_with_the_cause() {
        let events = ClientEvents::default();
        events.error(
            KafkaError::Global(Code::Resolve),
            "kafka:9092: Failed to resolve 'kafka:9092'",
        );
        assert_eq!(events.down(), None);
        events.error(
            KafkaError::Global(Code::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(
            events.down().as_deref(),
            Some("kafka:9092: Failed to resolve 'kafka:9092'")
        );
        events.up();
        assert_eq!(events.down(), None);
    }

    #[test]
    fn a_record_that_was_thrown_away_is_not_delivered_and_a_cause_says_why() {
        let events = ClientEvents::default();
        assert_eq!(events.take_delivery_error(), None);
        // Without transactions this may be all that tells that a record is in no output.
        events.not_delivered(Code::PurgeQueue);
        assert_eq!(events.take_delivery_error(), Some(Code::PurgeQueue));
        events.not_delivered(Code::PurgeInflight);
        events.not_delivered(Code::TopicAuthorizationFailed);
        events.not_delivered(Code::MessageTimedOut);
        events.not_delivered(Code::PurgeQueue);
        assert_eq!(
            events.take_delivery_error(),
            Some(Code::TopicAuthorizationFailed)
        );
    }

    #[test]
    fn an_answer_that_does_not_come_is_explained_by_the_connection_and_by_a_refusal_before_that() {
        let events = ClientEvents::default();
        let late = || KafkaError::MetadataFetch(Code::OperationTimedOut);
        let explained = events.explain(&late(), "asking");
        assert!(
            matches!(&explained, LogError::Unavailable { message } if message.contains("asking")),
            "{explained:?}"
        );
        events.error(
            KafkaError::Global(Code::BrokerTransportFailure),
            "kafka:9092: Connection refused",
        );
        let explained = events.explain(&late(), "asking");
        assert!(
            matches!(&explained, LogError::Unavailable { message } if message.contains("refused")),
            "{explained:?}"
        );
        events.error(KafkaError::Global(Code::Authentication), "wrong password");
        events.error(
            KafkaError::Global(Code::GroupAuthorizationFailed),
            "no right on the group",
        );
        assert_eq!(events.refusal(), Some(Code::Authentication));
        let explained = events.explain(&late(), "asking");
        assert!(
            matches!(
                &explained,
                LogError::NeedsPerson { reason: Reason::CredentialsRefused, message } if message.contains("wrong password")
            ),
            "{explained:?}"
        );
        assert_eq!(events.refusal(), None, "it was taken");
    }
}
