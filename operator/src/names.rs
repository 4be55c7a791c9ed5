//! Names that Headworks writes into a cluster: labels, annotations, finalizer, field manager.
//!
//! They are part of what users and other tools select by, so they live in one place and never change.

use std::collections::BTreeMap;

pub use headworks_crds::{FIELD_MANAGER, FINALIZER, LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE};
use kube::Resource;
use sha2::{Digest, Sha256};

/// Says that Headworks made an object; watches and sweeps select by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "headworks";
/// What a ConfigMap holds: [`PLAN_PART`], [`CONTRACT_PART`] or [`HISTORY_PART`].
pub const PART_LABEL: &str = "headworks.dev/part";
/// A pod's plan.
pub const PLAN_PART: &str = "plan";
/// What runs beside a Pipeline while a new version of it is tried out.
pub const CANARY_PART: &str = "canary";
/// An accepted contract.
pub const CONTRACT_PART: &str = "contract";
/// What windows of a QualityRule were like.
pub const HISTORY_PART: &str = "history";
/// Digest of what was last applied, so that a field dropped from the desired object is noticed.
pub const APPLIED_ANNOTATION: &str = "headworks.dev/applied";

/// Names one object of the cluster: a subject of ours, its children's owner, or something it refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Kind, such as `Pipeline`.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// An object in a namespace.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of an object at hand.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::new(
            &K::kind(&()),
            object.meta().namespace.as_deref().unwrap_or_default(),
            object.meta().name.as_deref().unwrap_or_default(),
        )
    }

    /// The three labels that tie a child to its owner, and `managed-by`.
    ///
    /// A label value holds 63 characters and a name may have 253: a longer name is shortened with a digest.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert(MANAGED_BY.into(), MANAGED_BY_VALUE.into());
        labels.insert("app.kubernetes.io/instance".into(), label_value(&self.name));
        labels.insert(
            "app.kubernetes.io/component".into(),
            self.kind.to_lowercase(),
        );
        labels
    }

    /// The labels that pods are selected by. Immutable in a StatefulSet, so never add to them.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_KIND.into(), self.kind.clone()),
            (LABEL_NAMESPACE.into(), label_value(&self.namespace)),
            (LABEL_NAME.into(), label_value(&self.name)),
        ])
    }

    /// The same as the API server's parameter, and the scale subresource, have it.
    pub fn selector_text(&self) -> String {
        let pairs = self.selector();
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(",")
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The longest reason of a condition that others' words are made into, in characters.
const REASON: usize = 64;

/// A condition's reason is one CamelCase word; somebody else's word is made to fit, and is `otherwise` where nothing is left of it.
pub fn condition_reason(said: &str, otherwise: &str) -> String {
    let word: String = said
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(REASON)
        .collect();
    if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        word
    } else {
        otherwise.into()
    }
}

/// A name as a label value: itself, or its first 52 characters and a digest where it is longer than 63.
pub fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let head: String = name.chars().take(52).collect();
    format!(
        "{}-{}",
        head.trim_end_matches(['-', '.', '_']),
        &digest(name.as_bytes())[..10]
    )
}

/// SHA-256 in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_becomes_a_short_label_that_still_differs_from_its_neighbour() {
        let one = label_value(&"a".repeat(200));
        let two = label_value(&format!("{}b", "a".repeat(199)));
        assert!(one.len() <= 63 && two.len() <= 63);
        assert_ne!(one, two);
        assert_eq!(label_value("orders"), "orders");
    }
}
