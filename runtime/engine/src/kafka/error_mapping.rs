//! What an error of librdkafka means for the loop, here and in whatever else writes in transactions.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::log::{LogError, Reason};

/// An error of a call that a transaction depends on.
pub fn of_transaction(error: &KafkaError, doing: &str) -> LogError {
    let message = format!("{doing}: {error}");
    if let Some(person) = error
        .rdkafka_error_code()
        .and_then(|code| needs_person(code, &message))
    {
        return person;
    }
    match error {
        KafkaError::Transaction(inner) if inner.is_fatal() => fatal(inner.code(), message),
        KafkaError::Transaction(inner) if inner.txn_requires_abort() => {
            LogError::Abortable { message }
        }
        KafkaError::Transaction(inner) if inner.is_retriable() => LogError::Retriable { message },
        KafkaError::Flush(_) => LogError::Retriable { message },
        other => of_code(other.rdkafka_error_code(), message),
    }
}

/// An error of a query: committed offsets, bounds, metadata.
pub fn of_query(error: &KafkaError, doing: &str) -> LogError {
    let message = format!("{doing}: {error}");
    match error.rdkafka_error_code() {
        Some(code) => needs_person(code, &message).unwrap_or_else(|| of_code(Some(code), message)),
        None => LogError::Broken { message },
    }
}

/// An error that a poll brought. `None`: librdkafka goes on by itself.
pub(super) fn of_poll(error: &KafkaError) -> Option<LogError> {
    let message = format!("reading: {error}");
    if let KafkaError::MessageConsumptionFatal(code) = error {
        return Some(fatal(*code, message));
    }
    let code = error.rdkafka_error_code()?;
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Some(LogError::OutOfRange { message }),
        // The assignment is taken away next; that event says what to do.
        Code::PollExceeded | Code::PartitionEOF => None,
        code if is_transient(code) => None,
        code => Some(needs_person(code, &message).unwrap_or(LogError::Broken { message })),
    }
}

/// An error that a client reports outside of any call. `None`: not one that stops the work.
pub fn of_client(code: Code, said: &str) -> Option<LogError> {
    match code {
        Code::Fenced => Some(LogError::Fenced {
            message: said.to_owned(),
        }),
        code => needs_person(code, said),
    }
}

fn of_code(code: Option<Code>, message: String) -> LogError {
    match code {
        Some(code) if is_transient(code) => LogError::Retriable { message },
        Some(
            Code::Fenced
            | Code::FencedInstanceId
            | Code::InvalidProducerEpoch
            | Code::ProducerFenced,
        ) => LogError::Fenced { message },
        _ => LogError::Broken { message },
    }
}

fn fatal(code: Code, message: String) -> LogError {
    match code {
        Code::Fenced
        | Code::FencedInstanceId
        | Code::InvalidProducerEpoch
        | Code::ProducerFenced => LogError::Fenced { message },
        code => needs_person(code, &message).unwrap_or(LogError::Broken { message }),
    }
}

fn needs_person(code: Code, message: &str) -> Option<LogError> {
    let (reason, remedy) = match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => (
            Reason::CredentialsRefused,
            "check the user name and password in the Secret, and that the SCRAM-SHA-512 user exists in Kafka",
        ),
        Code::SSL => (
            Reason::TlsRefused,
            "check that spec.kafka.tls of the Platform names the CA that signed the brokers' certificate, and the host names in it",
        ),
        Code::TopicAuthorizationFailed => (
            Reason::NotAuthorized,
            "grant the user Read, Write and Describe on the topics",
        ),
        Code::GroupAuthorizationFailed => (
            Reason::NotAuthorized,
            "grant the user Read on the consumer group",
        ),
        Code::TransactionalIdAuthorizationFailed => (
            Reason::NotAuthorized,
            "grant the user Write and Describe on the transactional id",
        ),
        Code::ClusterAuthorizationFailed => (
            Reason::NotAuthorized,
            "grant the user IdempotentWrite on the cluster",
        ),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => (
            Reason::TopicMissing,
            "is its DataStream ready? A topic that was deleted by hand must be made again",
        ),
        _ => return None,
    };
    Some(LogError::NeedsPerson {
        reason,
        message: format!("{message}; {remedy}"),
    })
}

fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::WaitingForCoordinator
            | Code::WaitCache
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::Retry
            | Code::Outdated
            | Code::NodeUpdate
            | Code::DestroyBroker
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::ConcurrentTransactions
            | Code::UnstableOffsetCommit
            | Code::RebalanceInProgress
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::KafkaStorageError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_position_is_never_taken_for_a_passing_trouble() {
        let error = of_poll(&KafkaError::MessageConsumption(Code::AutoOffsetReset));
        assert!(
            matches!(error, Some(LogError::OutOfRange { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn a_fenced_member_is_told_apart_from_a_broken_client() {
        assert!(matches!(
            of_poll(&KafkaError::MessageConsumptionFatal(Code::FencedInstanceId)),
            Some(LogError::Fenced { .. })
        ));
        assert!(matches!(
            of_poll(&KafkaError::MessageConsumptionFatal(Code::Inconsistent)),
            Some(LogError::Broken { .. })
        ));
    }

    #[test]
    fn what_a_person_must_mend_names_the_remedy() {
        let error = of_query(
            &KafkaError::MetadataFetch(Code::GroupAuthorizationFailed),
            "reading the group's commits",
        );
        let LogError::NeedsPerson { reason, message } = error else {
            panic!("{error:?}")
        };
        assert_eq!(reason, Reason::NotAuthorized);
        assert!(
            message.starts_with("reading the group's commits")
                && message.contains("consumer group"),
            "{message}"
        );
    }
}
