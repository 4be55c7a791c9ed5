//! What a client may do: literal topics, its own groups, and, where it writes, its own transactional ids. Pure.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrantSpec, GrantedStream};

use crate::{
    contract::topic_name::dead_letter_topic,
    kafka::{Acl, Operation, Quota, Resource},
    reason::ConditionReason,
    retry::Error,
};

/// Access to read.
pub const READ: &str = "Read";
/// Access to write.
pub const WRITE: &str = "Write";

/// How the groups and transactional ids of Pipelines and Sources begin.
const RESERVED: &str = "headworks";

/// Fails for a client whose groups would be those of Pipelines, `headworks.<installation>.…`.
///
/// # Errors
/// `InvalidSpec`.
pub fn check(spec: &AccessGrantSpec) -> Result<(), Error> {
    if spec.to.namespace != RESERVED {
        return Ok(());
    }
    Err(Error::stalled(
        ConditionReason::InvalidSpec,
        format!(
            "spec.to.namespace: groups that begin with {RESERVED}. are those of Pipelines, so a client in a namespace of this name can't have any; let the client run in another namespace"
        ),
    ))
}

/// The client's own group and transactional id; others of its begin with it and a dot.
pub fn prefix(spec: &AccessGrantSpec) -> String {
    format!("{}.{}", spec.to.namespace, spec.to.name)
}

/// The rules that a client's user has. `dead_letters`: it reads those of the streams that it reads, too.
pub fn acls(streams: &[GrantedStream], dead_letters: bool, prefix: &str) -> BTreeSet<Acl> {
    let mut all = BTreeSet::new();
    for stream in streams {
        if dead_letters && stream.access == READ && stream.derived.is_none() {
            let topic = dead_letter_topic(&stream.topic);
            for operation in [Operation::Read, Operation::Describe] {
                all.insert(Acl::literal(Resource::Topic, &topic, operation));
            }
        }
        let (operation, own) = if stream.access == WRITE {
            (Operation::Write, Resource::TransactionalId)
        } else {
            (Operation::Read, Resource::Group)
        };
        all.insert(Acl::literal(Resource::Topic, &stream.topic, operation));
        all.insert(Acl::literal(
            Resource::Topic,
            &stream.topic,
            Operation::Describe,
        ));
        let describe = (own == Resource::TransactionalId).then_some(Operation::Describe);
        for operation in [Some(operation), describe].into_iter().flatten() {
            // The dot ends a client's name: `bi.report` mustn't be the beginning of `bi.reporting`.
            all.insert(Acl::literal(own, prefix, operation));
            all.insert(Acl::prefixed(own, &format!("{prefix}."), operation));
        }
    }
    all
}

/// The quota as Kafka has it.
pub fn quota(spec: &AccessGrantSpec) -> Quota {
    let Some(quota) = &spec.quota else {
        return Quota::default();
    };
    let bytes = |quantity: &headworks_crds::Quantity| quantity.value() as f64;
    Quota {
        producer_bytes: quota.producer_bytes_per_second.as_ref().map(bytes),
        consumer_bytes: quota.consumer_bytes_per_second.as_ref().map(bytes),
        request_percentage: quota.request_percentage.map(f64::from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kafka::Pattern;

    #[test]
    fn dead_letters_are_read_only_where_the_grant_says_so_and_never_those_of_a_narrowed_stream() {
        let stream = |derived: Option<&str>| GrantedStream {
            stream: "orders".into(),
            topic: "shop.orders".into(),
            access: READ.into(),
            derived: derived.map(Into::into),
        };
        let of = |derived, dead_letters| {
            let all = acls(&[stream(derived)], dead_letters, "bi.report");
            let all = all.into_iter().filter(|a| a.name == "shop.orders.dlq");
            all.map(|a| a.operation).collect::<Vec<_>>()
        };
        assert_eq!(of(None, true), [Operation::Read, Operation::Describe]);
        assert!(of(None, false).is_empty());
        assert!(of(Some("orders-without-pii"), true).is_empty());
    }

    #[test]
    fn a_reader_reads_its_topics_with_its_groups_and_a_writer_writes_with_its_transactions() {
        let stream = |topic: &str, access: &str| GrantedStream {
            stream: "s".into(),
            topic: topic.into(),
            access: access.into(),
            derived: None,
        };
        let read = acls(&[stream("shop.orders", READ)], false, "bi.report");
        let all: Vec<String> = read
            .iter()
            .map(|a| {
                format!(
                    "{:?} {:?} {} {:?}",
                    a.resource, a.pattern, a.name, a.operation
                )
            })
            .collect();
        assert_eq!(
            all,
            [
                "Topic Literal shop.orders Read",
                "Topic Literal shop.orders Describe",
                "Group Literal bi.report Read",
                "Group Prefixed bi.report. Read"
            ]
        );
        let write = acls(&[stream("shop.orders", WRITE)], true, "bi.report");
        let ids: Vec<(&str, Pattern, Operation)> = write
            .iter()
            .filter(|a| a.resource == Resource::TransactionalId)
            .map(|a| (a.name.as_str(), a.pattern, a.operation))
            .collect();
        assert_eq!(
            ids,
            [
                ("bi.report", Pattern::Literal, Operation::Write),
                ("bi.report", Pattern::Literal, Operation::Describe),
                ("bi.report.", Pattern::Prefixed, Operation::Write),
                ("bi.report.", Pattern::Prefixed, Operation::Describe)
            ]
        );
        assert!(!write.iter().any(|a| a.operation == Operation::Read));
        assert!(acls(&[], true, "bi.report").is_empty());
        assert!(!write.iter().any(|a| a.name.contains(".dlq")));
    }

    #[test]
    fn no_client_s_groups_are_those_of_pipelines() {
        let spec = |namespace: &str| -> AccessGrantSpec {
            serde_json::from_value(
                json!({"to": {"namespace": namespace, "name": "prod"}, "read": ["a"]}),
            )
            .unwrap()
        };
        assert!(check(&spec("bi")).is_ok());
        assert_eq!(
            check(&spec("headworks")).unwrap_err().reason(),
            "InvalidSpec"
        );
    }

    #[test]
    fn a_quota_is_bytes_and_per_cent() {
        let spec: AccessGrantSpec = serde_json::from_value(
            json!({"to": {"namespace": "bi", "name": "report"}, "read": ["a"],
            "quota": {"consumerBytesPerSecond": "1Mi", "requestPercentage": 20}}),
        )
        .unwrap();
        assert_eq!(
            quota(&spec),
            Quota {
                producer_bytes: None,
                consumer_bytes: Some(1_048_576.0),
                request_percentage: Some(20.0)
            }
        );
    }
}
