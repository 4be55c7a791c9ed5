//! What an object leaves open, told from its spec alone: the condition `Insecure`, and the same words in admission. It holds up
//! nothing: in a cluster whose network is trusted, or encrypted by a mesh, it may well be meant.

use headworks_crds::{DataStoreSpec, PlatformSpec, SourceSpec};

/// A reason in one word, and what is open, with the remedy.
pub type Open = (&'static str, String);

/// A Source that anybody can post to, or whose token anybody on the way can read.
pub fn source(spec: &SourceSpec) -> Option<Open> {
    let http = spec.http.as_ref()?;
    match (&http.auth, &http.tls) {
        (None, tls) => {
            let and = if tls.is_none() {
                ", and what is posted can be read on the way (spec.http.tls is absent)"
            } else {
                ""
            };
            Some((
                "AnyoneMayPost",
                format!(
                    "spec.http.auth is absent: whoever reaches the address can post records{and}; give it auth.bearer, and tls unless the network encrypts"
                ),
            ))
        }
        (Some(_), None) => Some((
            "TokenInClear",
            "spec.http.tls is absent: the token and the records can be read on the way; give it tls unless the network encrypts".to_owned(),
        )),
        (Some(_), Some(_)) => None,
    }
}

/// A Platform whose logins anybody on the way can follow.
pub fn platform(spec: &PlatformSpec) -> Option<Open> {
    let kafka = &spec.kafka;
    let logs_in = kafka.authentication.is_some() || kafka.workload_authentication.is_some();
    (logs_in && kafka.tls.is_none()).then(|| {
        (
            "ScramWithoutTls",
            "spec.kafka.tls is absent: records can be read and changed on the way, and passwords guessed from a login that was listened to; use a listener with TLS".to_owned(),
        )
    })
}

/// A database whose password and rows anybody on the way can read.
pub fn data_store(spec: &DataStoreSpec) -> Option<Open> {
    let postgres = spec.postgres.as_ref()?;
    postgres.tls.is_none().then(|| {
        (
            "StoreWithoutTls",
            "spec.postgres.tls is absent: the login and the rows can be read on the way, and nobody checks that the server is the right one; set tls: {} or tls.caSecret".to_owned(),
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
    ) -> Option<&'static str> {
        let spec: S = serde_json::from_value(spec).unwrap();
        of(&spec).map(|(reason, message)| {
            assert!(message.contains("spec."), "{message}");
            reason
        })
    }

    #[test]
    fn what_is_open_is_named_and_what_is_not_is_left_alone() {
        let auth = json!({"bearer": {"secret": {"name": "t"}}});
        let tls = json!({"secretName": "c"});
        let http = |http: Value| reason(source, json!({"into": "a", "http": http}));
        assert_eq!(http(json!({})), Some("AnyoneMayPost"));
        assert_eq!(http(json!({"tls": tls})), Some("AnyoneMayPost"));
        assert_eq!(http(json!({"auth": auth})), Some("TokenInClear"));
        assert_eq!(http(json!({"auth": auth, "tls": tls})), None);
        let made_up = json!({"into": "a", "generate": {"recordsPerSecond": "1"}});
        assert_eq!(reason(source, made_up), None);

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
            Some("ScramWithoutTls")
        );
        assert_eq!(
            kafka(json!({"workloadAuthentication": {"generated": {}}})),
            Some("ScramWithoutTls")
        );
        assert_eq!(kafka(json!({"authentication": scram, "tls": {}})), None);

        let postgres = |tls: Value| {
            reason(
                data_store,
                json!({"postgres": {"url": "postgres://a/b", "secret": "s", "tls": tls}}),
            )
        };
        assert_eq!(postgres(json!(null)), Some("StoreWithoutTls"));
        assert_eq!(postgres(json!({})), None);
    }
}
