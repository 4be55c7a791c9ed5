//! What a client may do: literal topics, its own groups, and, where it writes, its own transactional ids. Pure.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrantSpec, GrantedStream};

use crate::kafka::{Acl, Operation, Quota, Resource};

/// Access to read.
pub const READ: &str = "Read";
/// Access to write.
pub const WRITE: &str = "Write";

/// What the names of a client's groups and transactional ids begin with.
pub fn prefix(spec: &AccessGrantSpec) -> String {
    format!("{}.{}", spec.to.namespace, spec.to.name)
}

/// The rules that a client's user has.
pub fn acls(streams: &[GrantedStream], prefix: &str) -> BTreeSet<Acl> {
    let mut all = BTreeSet::new();
    for stream in streams {
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
        all.insert(Acl::prefixed(own, prefix, operation));
        if own == Resource::TransactionalId {
            all.insert(Acl::prefixed(own, prefix, Operation::Describe));
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

    #[test]
    fn a_reader_reads_its_topics_with_its_groups_and_a_writer_writes_with_its_transactions() {
        let stream = |topic: &str, access: &str| GrantedStream {
            stream: "s".into(),
            topic: topic.into(),
            access: access.into(),
            derived: None,
        };
        let read = acls(&[stream("shop.orders", READ)], "bi.report");
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
                "Group Prefixed bi.report Read"
            ]
        );
        let write = acls(&[stream("shop.orders", WRITE)], "bi.report");
        assert!(write.contains(&Acl::prefixed(
            Resource::TransactionalId,
            "bi.report",
            Operation::Write
        )));
        assert!(!write.iter().any(|a| a.operation == Operation::Read));
        assert!(acls(&[], "bi.report").is_empty());
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
