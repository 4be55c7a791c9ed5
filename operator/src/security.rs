//! What an object leaves open, told from its spec alone: the condition `Insecure`, and the same words in admission. It holds up
//! nothing: in a cluster whose network is trusted, or encrypted by a mesh, it may well be meant.

use headworks_crds::PlatformSpec;

use crate::reason::{AnyReason, ConditionReason};

/// Why, in one word, and what is open, with the remedy.
pub type Open = (AnyReason, String);

/// A Platform whose logins anybody on the way can follow.
pub fn platform(spec: &PlatformSpec) -> Option<Open> {
    let kafka = &spec.kafka;
    let logs_in = kafka.authentication.is_some() || kafka.workload_authentication.is_some();
    (logs_in && kafka.tls.is_none()).then(|| {
        (
            ConditionReason::ScramWithoutTls.into(),
            "spec.kafka.tls is absent: records can be read and changed on the way, and passwords guessed from a login that was listened to; use a listener with TLS".to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reason<S: serde::de::DeserializeOwned>(
        of: impl Fn(&S) -> Option<Open>,
        spec: Value,
    ) -> Option<AnyReason> {
        let spec: S = serde_json::from_value(spec).unwrap();
        of(&spec).map(|(reason, message)| {
            assert!(message.contains("spec."), "{message}");
            reason
        })
    }

    #[test]
    fn what_is_open_is_named_and_what_is_not_is_left_alone() {
        let kafka = |more: Value| {
            let mut kafka = json!({"bootstrapServers": "k:9092", "management": {"admin": {}}});
            let more = more.as_object().unwrap().clone();
            kafka.as_object_mut().unwrap().extend(more);
            reason(platform, json!({"kafka": kafka}))
        };
        let scram = json!({"scramSha512": {"namespace": "a", "name": "b"}});
        assert_eq!(kafka(json!({})), None);
        assert_eq!(
            kafka(json!({"authentication": scram})),
            Some(ConditionReason::ScramWithoutTls.into())
        );
        assert_eq!(
            kafka(json!({"workloadAuthentication": {"generated": {}}})),
            Some(ConditionReason::ScramWithoutTls.into())
        );
        assert_eq!(kafka(json!({"authentication": scram, "tls": {}})), None);
    }
}
