//! What librdkafka says of its connections while a call waits: the difference between "timed out" and "wrong
//! password".

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::KafkaError;

/// librdkafka repeats an unchanged error at most every 30 s; an older signal explains nothing any more.
const MEMORY: Duration = Duration::from_secs(45);

/// The last trouble with a connection.
#[derive(Debug, Default)]
pub(super) struct Signals {
    last: Option<Signal>,
}

#[derive(Debug)]
struct Signal {
    at: Instant,
    error: KafkaError,
}

impl Signals {
    /// Notes an error event.
    pub(super) fn note(&mut self, code: Code, text: &str, at: Instant) {
        let Some(error) = classify(code, text) else {
            return;
        };
        // "All brokers are down" comes after the error that says why.
        if code == Code::AllBrokersDown && self.recent(at).is_some() {
            return;
        }
        // A broker that refuses closes the connection, which is then also a transport error.
        if !is_refusal(&error) && self.recent(at).is_some_and(is_refusal) {
            return;
        }
        self.last = Some(Signal { at, error });
    }

    /// A call went well: what was, is over.
    pub(super) fn clear(&mut self) {
        self.last = None;
    }

    /// The refusal (credentials, TLS) seen since a moment.
    pub(super) fn refusal_since(&self, moment: Instant) -> Option<KafkaError> {
        self.last
            .as_ref()
            .filter(|s| s.at >= moment && is_refusal(&s.error))
            .map(|s| s.error.clone())
    }

    /// The last trouble, if it isn't long ago.
    pub(super) fn recent(&self, now: Instant) -> Option<&KafkaError> {
        self.last
            .as_ref()
            .filter(|s| now.saturating_duration_since(s.at) < MEMORY)
            .map(|s| &s.error)
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::CredentialsRefused { .. } | KafkaError::TlsFailed { .. }
    )
}

fn classify(code: Code, text: &str) -> Option<KafkaError> {
    let (broker, what) = split(text);
    let error = match code {
        Code::SSL => KafkaError::TlsFailed {
            what: format!("{broker}: {what}"),
        },
        _ if what.contains("SSL handshake") => KafkaError::TlsFailed {
            what: format!("{broker}: {what}"),
        },
        Code::Authentication | Code::SaslAuthenticationFailed => {
            KafkaError::CredentialsRefused { what }
        }
        Code::BrokerTransportFailure
        | Code::Resolve
        | Code::AllBrokersDown
        | Code::OperationTimedOut => KafkaError::Unreachable { broker, what },
        _ => return None,
    };
    Some(error)
}

/// Takes librdkafka's `[protocol://]host:port/bootstrap: what (after 3ms in state CONNECT)` apart, and leaves
/// out what differs from one attempt to the next, so that a condition made of it stays the same.
fn split(text: &str) -> (String, String) {
    let (place, what) = match text.split_once(": ") {
        Some((place, what)) if place.contains(':') && !place.contains(' ') => (place, what),
        _ => ("", text),
    };
    let place = place.split_once("://").map_or(place, |(_, p)| p);
    let place = place.split('/').next().unwrap_or(place);
    let what = what.split(" (after ").next().unwrap_or(what);
    let place = if place.is_empty() {
        "every broker"
    } else {
        place
    };
    (
        place.to_owned(),
        what.trim().trim_end_matches('.').to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(events: &[(Code, &str)]) -> Option<KafkaError> {
        let mut signals = Signals::default();
        let now = Instant::now();
        for (code, text) in events {
            signals.note(*code, text, now);
        }
        signals.recent(now).cloned()
    }

    #[test]
    fn a_wrong_password_is_not_an_unreachable_broker() {
        let error = noted(&[
            (
                Code::Authentication,
                "sasl_ssl://kafka:9093/bootstrap: SASL authentication error: Authentication failed during authentication \
                 due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 11ms in state AUTH_REQ)",
            ),
            (
                Code::BrokerTransportFailure,
                "sasl_ssl://kafka:9093/bootstrap: Disconnected (after 1ms in state AUTH_REQ)",
            ),
            (Code::AllBrokersDown, "1/1 brokers are down"),
        ]);
        let Some(KafkaError::CredentialsRefused { what }) = error else {
            panic!("{error:?}")
        };
        assert!(what.ends_with("SCRAM-SHA-512"), "{what}");
    }

    #[test]
    fn an_unreachable_broker_is_named_and_the_message_stays_the_same() {
        let first = noted(&[
            (
                Code::BrokerTransportFailure,
                "kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            ),
            (Code::AllBrokersDown, "1/1 brokers are down"),
        ]);
        let later = noted(&[(
            Code::BrokerTransportFailure,
            "kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 7ms in state CONNECT, 3 identical error(s) suppressed)",
        )]);
        assert_eq!(first, later);
        let Some(KafkaError::Unreachable { broker, what }) = first else {
            panic!("{first:?}")
        };
        assert_eq!(broker, "kafka:9092");
        assert_eq!(
            what,
            "Connect to ipv4#10.0.0.1:9092 failed: Connection refused"
        );
    }

    #[test]
    fn a_failed_handshake_is_tls() {
        let error = noted(&[(
            Code::SSL,
            "ssl://kafka:9093/bootstrap: SSL handshake failed: certificate verify failed (after 4ms in state SSL_HANDSHAKE)",
        )]);
        assert!(
            matches!(error, Some(KafkaError::TlsFailed { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn an_old_signal_explains_nothing() {
        let mut signals = Signals::default();
        let now = Instant::now();
        signals.note(
            Code::Resolve,
            "kafka:9092/bootstrap: Failed to resolve",
            now,
        );
        assert!(signals.recent(now + MEMORY).is_none());
        assert!(signals.refusal_since(now).is_none());
    }
}
