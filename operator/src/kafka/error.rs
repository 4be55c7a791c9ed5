//! What can go wrong with Kafka, in kinds that a user can act upon.

use rdkafka::types::RDKafkaErrorCode as Code;
use snafu::Snafu;

/// What went wrong with Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(visibility(pub(super)))]
pub enum KafkaError {
    /// No connection to a broker.
    #[snafu(display(
        "can't reach Kafka at {broker}: {what}. Check spec.kafka.bootstrapServers of the Platform, and that the brokers run and \
         advertise addresses that can be reached from here"
    ))]
    Unreachable {
        /// The broker that was tried, or the bootstrap servers.
        broker: String,
        /// What happened.
        what: String,
    },
    /// The broker doesn't accept the user name or password.
    #[snafu(display(
        "Kafka refuses the user name or password: {what}. Check the Secret that spec.kafka.authentication of the Platform names"
    ))]
    CredentialsRefused {
        /// What the broker said.
        what: String,
    },
    /// TLS couldn't be set up.
    #[snafu(display(
        "TLS with Kafka fails: {what}. Check spec.kafka.tls of the Platform and the CA in its Secret"
    ))]
    TlsFailed {
        /// What happened.
        what: String,
    },
    /// The user may not do this.
    #[snafu(display(
        "Kafka doesn't allow this user to {doing}: {what}. Give the user the ACL it needs"
    ))]
    NotAuthorized {
        /// What was tried, such as `create topic shop.orders`.
        doing: String,
        /// What the broker said.
        what: String,
    },
    /// The brokers check no access rules.
    #[snafu(display(
        "Kafka can't {doing}: its brokers have no authorizer, so anybody may do anything; set authorizer.class.name on them"
    ))]
    NoAuthorizer {
        /// What was tried.
        doing: String,
    },
    /// The topic exists already.
    #[snafu(display("topic {topic} exists already"))]
    TopicExists {
        /// The topic.
        topic: String,
    },
    /// The topic doesn't exist.
    #[snafu(display("topic {topic} doesn't exist"))]
    NoSuchTopic {
        /// The topic.
        topic: String,
    },
    /// The cluster's rules, or the request's own values, forbid it.
    #[snafu(display("Kafka refuses to {doing}: {what}"))]
    PolicyRefused {
        /// What was tried.
        doing: String,
        /// What the broker said.
        what: String,
    },
    /// No answer in time, for no known reason.
    #[snafu(display("Kafka didn't answer in time when asked to {doing}; it is tried again"))]
    Timeout {
        /// What was tried.
        doing: String,
    },
    /// Anything else.
    #[snafu(display("Kafka failed to {doing}: {what}"))]
    Other {
        /// What was tried.
        doing: String,
        /// What happened.
        what: String,
    },
}

impl KafkaError {
    /// The reason for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => "KafkaUnreachable",
            Self::CredentialsRefused { .. } => "CredentialsRefused",
            Self::TlsFailed { .. } => "TlsFailed",
            Self::NotAuthorized { .. } => "NotAuthorized",
            Self::NoAuthorizer { .. } => "NoAuthorizer",
            Self::TopicExists { .. } => "TopicExists",
            Self::NoSuchTopic { .. } => "TopicNotFound",
            Self::PolicyRefused { .. } => "KafkaRefused",
            Self::Other { .. } => "KafkaError",
        }
    }

    /// An error that a broker answered, or that librdkafka made up itself.
    pub(super) fn from_code(code: Code, text: &str, doing: &str, topic: &str) -> Self {
        let text = text.trim();
        let what = if text.is_empty() {
            code.to_string()
        } else {
            text.to_owned()
        };
        let doing = doing.to_owned();
        match code {
            Code::TopicAlreadyExists => Self::TopicExists {
                topic: topic.to_owned(),
            },
            Code::UnknownTopicOrPartition | Code::UnknownTopic => Self::NoSuchTopic {
                topic: topic.to_owned(),
            },
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::GroupAuthorizationFailed => Self::NotAuthorized { doing, what },
            Code::SecurityDisabled => Self::NoAuthorizer { doing },
            Code::PolicyViolation
            | Code::UnacceptableCredential
            | Code::InvalidConfig
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidRequest
            | Code::InvalidTopic => Self::PolicyRefused { doing, what },
            Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut => {
                Self::Timeout { doing }
            }
            _ => Self::Other { doing, what },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_answer_becomes_what_a_user_can_act_upon() {
        let kind = |code| KafkaError::from_code(code, "said so", "create topic a", "a").reason();
        assert_eq!(kind(Code::TopicAlreadyExists), "TopicExists");
        assert_eq!(kind(Code::UnknownTopicOrPartition), "TopicNotFound");
        assert_eq!(kind(Code::TopicAuthorizationFailed), "NotAuthorized");
        assert_eq!(kind(Code::PolicyViolation), "KafkaRefused");
        assert_eq!(kind(Code::InvalidReplicationFactor), "KafkaRefused");
        assert_eq!(kind(Code::NotController), "KafkaError");
    }

    #[test]
    fn a_code_without_text_speaks_for_itself() {
        let text =
            KafkaError::from_code(Code::NotController, " ", "create topic a", "a").to_string();
        assert!(
            text.starts_with("Kafka failed to create topic a: ") && text.len() > 35,
            "{text}"
        );
    }
}
