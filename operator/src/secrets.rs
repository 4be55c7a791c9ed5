//! Reading the few Secrets that a Platform names, one by one and never listed: the operator has `get` in
//! the namespaces that its chart was told, and no verb on Secrets anywhere else.
//!
//! No watch tells when a Secret comes. A Platform's own reconcile looks for it; everything else that needs it, perhaps a thousand
//! streams, takes the last answer for a while ([`LastFailures`]), so one missing Secret is no flood of requests.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::reason::ConditionReason;
use crate::retry::Error;

/// An answer counts for so long.
const REST: Duration = Duration::from_secs(10);

/// What kept a Platform from being connected to, for a while.
#[derive(Debug, Default)]
pub struct LastFailures {
    by_platform: Mutex<HashMap<String, (Instant, Error)>>,
    /// Held by whoever looks, so that of many who need the same only one asks.
    pub turn: tokio::sync::Mutex<()>,
}

impl LastFailures {
    /// Why it failed a short while ago.
    pub fn recall(&self, platform: &str, now: Instant) -> Option<Error> {
        self.lock()
            .get(platform)
            .filter(|(at, _)| now.saturating_duration_since(*at) < REST)
            .map(|(_, error)| error.clone())
    }

    /// What came of a look.
    pub fn note<T>(&self, platform: &str, outcome: &Result<T, Error>, now: Instant) {
        let mut all = self.lock();
        match outcome {
            Ok(_) => all.remove(platform),
            Err(error) => all.insert(platform.to_owned(), (now, error.clone())),
        };
    }

    /// The Platform is gone.
    pub fn forget(&self, platform: &str) {
        self.lock().remove(platform);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Error)>> {
        self.by_platform
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One key of a Secret as text. `place` is the field that names the Secret.
pub async fn text(
    client: &Client,
    place: &str,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = match api.get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return Err(Error::missing(
                ConditionReason::SecretNotFound,
                format!("{place}: Secret {namespace}/{name} doesn't exist; make it with key {key}"),
            ));
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Err(Error::stalled(
                ConditionReason::SecretForbidden,
                format!(
                    "{place}: the operator may not read Secrets in namespace {namespace}; add it to secretNamespaces of the Helm chart"
                ),
            ));
        }
        Err(error) => {
            return Err(Error::api(
                &format!("{place}: reading Secret {namespace}/{name}"),
                &error,
            ));
        }
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(Error::missing(
            ConditionReason::SecretNotFound,
            format!("{place}: Secret {namespace}/{name} has no key {key}; add it"),
        ));
    };
    let text = std::str::from_utf8(&bytes.0).map_err(|_| {
        Error::stalled(
            ConditionReason::SecretInvalid,
            format!("{place}: Secret {namespace}/{name}, key {key} isn't UTF-8 text"),
        )
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The certificates in one key of a Secret, and nothing else of it: what a CA's Secret holds is copied to where many can read it,
/// and some tools keep the CA's private key in the same text.
///
/// # Errors
/// As [`text`], and `SecretInvalid` where there is no certificate.
pub async fn certificates(
    client: &Client,
    place: &str,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, Error> {
    let text = text(client, place, namespace, name, key).await?;
    let found = only_certificates(&text);
    if found.is_empty() {
        return Err(Error::stalled(
            ConditionReason::SecretInvalid,
            format!(
                "{place}: Secret {namespace}/{name}, key {key} has no certificate: it must be PEM, with {BEGIN}"
            ),
        )
        .after(std::time::Duration::from_secs(60)));
    }
    Ok(found)
}

/// The blocks of certificates in a PEM text, as they stand.
pub fn only_certificates(text: &str) -> String {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = &rest[start..];
        let Some(end) = block.find(END) else { break };
        let (block, after) = block.split_at(end + END.len());
        // One that was cut off, with another after it: the other is whole.
        let whole = block.rfind(BEGIN).map_or(block, |last| &block[last..]);
        // Something else that begins within isn't a certificate.
        if !whole[BEGIN.len()..].contains("-----BEGIN") {
            blocks.push(whole);
        }
        rest = after;
    }
    blocks.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_secret_is_asked_for_once_in_a_while() {
        let failures = LastFailures::default();
        let now = Instant::now();
        let missing: Result<(), Error> =
            Err(Error::missing(ConditionReason::SecretNotFound, "make it"));
        assert!(failures.recall("default", now).is_none());
        failures.note("default", &missing, now);
        let again = |seconds| failures.recall("default", now + Duration::from_secs(seconds));
        assert_eq!(again(9).unwrap().reason(), "SecretNotFound");
        assert!(again(10).is_none() && failures.recall("other", now).is_none());
        // The Platform's own look found it.
        failures.note("default", &Ok(()), now);
        assert!(again(0).is_none());
    }

    #[test]
    fn a_private_key_beside_the_certificates_is_never_handed_on() {
        let one = format!("{BEGIN}\nMIIB\n{END}");
        let two = format!("{BEGIN}\nMIIC\n{END}");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
        for (text, expected) in [
            (one.clone(), one.clone()),
            (format!("{one}\n{two}"), format!("{one}\n{two}")),
            (
                format!("# the CA\n{one}\n{key}\n{two}\n"),
                format!("{one}\n{two}"),
            ),
            (format!("{key}\n{one}"), one.clone()),
            (format!("{BEGIN}\nMII\n{key}\n{one}"), one.clone()),
            (format!("{BEGIN}\n{key}\n{END}\n{one}"), one.clone()),
            (key.to_owned(), String::new()),
            (format!("{BEGIN}\n{key}"), String::new()),
            (String::new(), String::new()),
        ] {
            let found = only_certificates(&text);
            assert_eq!(found, expected);
            assert!(!found.contains("PRIVATE"), "{found}");
        }
    }
}
