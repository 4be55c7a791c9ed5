//! An accepted contract, and how it is written down: an immutable ConfigMap `<stream>-contract-<n>`.
//!
//! The ConfigMaps carry no owner reference: under `Retain` they outlive the object beside its topic, and prove later that the topic
//! is this DataStream's. `data_stream::contract_revisions` finds, writes and sweeps them.

use headworks_crds::{AcceptedContract, Compatibility, KeptSetting};
use headworks_plan::Contract;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt;

use super::fingerprint;
use crate::{
    names::{CONTRACT_PART, Key, PART_LABEL},
    reason::ConditionReason,
    retry::Error,
};

/// Name of the file in the ConfigMap.
pub const CONTRACT_FILE: &str = "contract.json";
/// The topic that the contract is about.
const TOPIC_ANNOTATION: &str = "headworks.dev/topic";
/// The Platform whose Kafka has the topic.
const PLATFORM_ANNOTATION: &str = "headworks.dev/platform";
/// Settings kept at an adoption, as JSON.
const KEPT_ANNOTATION: &str = "headworks.dev/kept-config";
/// Ids that the definition has had in the schema registry, with commas between them.
pub const SCHEMA_IDS_ANNOTATION: &str = "headworks.dev/schema-ids";
/// The contract's number.
const VERSION_ANNOTATION: &str = "headworks.dev/contract-version";
/// Which changes of the contract were accepted when it was.
const COMPATIBILITY_ANNOTATION: &str = "headworks.dev/compatibility";
/// Fingerprints of changes that an annotation has permitted, with commas between them.
const USED_ANNOTATION: &str = "headworks.dev/used-fingerprints";
/// The highest number of a contract: far beyond what changes reach, and far below where numbers end.
const LAST: i32 = 1_000_000_000;
/// So many fingerprints are kept: more than anybody permits, and bounded.
const USED: usize = 512;

/// A contract in force, read from its ConfigMap.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Number, from 1.
    pub version: i32,
    /// The contract.
    pub contract: Contract,
    /// The topic it is about.
    pub topic: String,
    /// The Platform whose Kafka has the topic.
    pub platform: String,
    /// Settings that the topic kept when it was taken over, so that an operator that dies before it writes the
    /// status lowers nothing afterwards.
    pub kept: Vec<KeptSetting>,
    /// Ids that the definition has had in the schema registry, oldest first. Empty: the records carry none.
    pub schema_ids: Vec<u32>,
    /// Which changes were accepted when it was; absent in one of an earlier version.
    pub compatibility: Option<Compatibility>,
    /// Fingerprints of all the changes of this stream that an annotation has permitted, oldest first. They outlive the
    /// contracts they led to: none permits anything again.
    pub used: Vec<String>,
}

impl Revision {
    /// What a status says of it.
    pub fn reference(&self, stream: &str) -> AcceptedContract {
        AcceptedContract {
            version: self.version,
            fingerprint: fingerprint(&self.contract),
            config_map: Some(name(stream, self.version)),
            compatibility: self.compatibility,
        }
    }

    /// Which changes of it are accepted: as the status says, for the mode may have been applied alone since, else as it
    /// was accepted, else as the spec says.
    pub fn promise(&self, named: Option<&AcceptedContract>, spec: Compatibility) -> Compatibility {
        named
            .filter(|named| named.version == self.version)
            .and_then(|named| named.compatibility)
            .or(self.compatibility)
            .unwrap_or(spec)
    }

    /// The used fingerprints with one more.
    pub fn used_with(&self, change: Option<String>) -> Vec<String> {
        let mut all = self.used.clone();
        all.extend(change);
        let more = all.len().saturating_sub(USED);
        all.split_off(more)
    }
}

/// Name of the ConfigMap of a contract.
pub fn name(stream: &str, version: i32) -> String {
    format!("{stream}-contract-{version}")
}

/// Reads a contract out of its ConfigMap.
pub fn read(map: &ConfigMap) -> Option<Revision> {
    let annotation = |key: &str| map.annotations().get(key).cloned();
    let version = annotation(VERSION_ANNOTATION)?.parse().ok()?;
    Some(Revision {
        version: Some(version).filter(|n| (1..=LAST).contains(n))?,
        contract: serde_json::from_str(map.data.as_ref()?.get(CONTRACT_FILE)?).ok()?,
        topic: annotation(TOPIC_ANNOTATION)?,
        platform: annotation(PLATFORM_ANNOTATION)?,
        kept: annotation(KEPT_ANNOTATION)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        schema_ids: annotation(SCHEMA_IDS_ANNOTATION)
            .iter()
            .flat_map(|text| text.split(','))
            .filter_map(|id| id.trim().parse().ok())
            .collect(),
        compatibility: annotation(COMPATIBILITY_ANNOTATION)
            .and_then(|text| serde_json::from_value(text.into()).ok()),
        used: annotation(USED_ANNOTATION)
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::to_owned)
            .collect(),
    })
}

/// True for just the contract that a status names.
pub fn is_named(accepted: &Revision, named: &AcceptedContract) -> bool {
    accepted.version == named.version && fingerprint(&accepted.contract) == named.fingerprint
}

/// True if a ConfigMap holds just the contract that a status names. Neither its number nor our labels say so: anybody may
/// have put back, or made, one with these.
pub fn is(map: &ConfigMap, named: &AcceptedContract) -> bool {
    read(map).is_some_and(|accepted| is_named(&accepted, named))
}

/// The ConfigMap of an accepted contract.
pub fn config_map(owner: &Key, accepted: &Revision) -> Result<ConfigMap, Error> {
    let text = serde_json::to_string_pretty(&accepted.contract).map_err(|e| {
        Error::transient(
            ConditionReason::Internal,
            format!("the contract can't be written as JSON: {e}"),
        )
    })?;
    let mut labels = owner.labels();
    labels.insert(PART_LABEL.into(), CONTRACT_PART.into());
    let kept = serde_json::to_string(&accepted.kept).unwrap_or_default();
    let annotations = [
        (VERSION_ANNOTATION, accepted.version.to_string()),
        (TOPIC_ANNOTATION, accepted.topic.clone()),
        (PLATFORM_ANNOTATION, accepted.platform.clone()),
        (KEPT_ANNOTATION, kept),
    ];
    let ids: Vec<String> = accepted.schema_ids.iter().map(u32::to_string).collect();
    let ids = (!ids.is_empty()).then(|| (SCHEMA_IDS_ANNOTATION, ids.join(",")));
    let mode = accepted.compatibility;
    let mode = mode.map(|mode| (COMPATIBILITY_ANNOTATION, format!("{mode:?}")));
    let used = &accepted.used;
    let used = (!used.is_empty()).then(|| (USED_ANNOTATION, used.join(",")));
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(name(&owner.name, accepted.version)),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels),
            annotations: Some(
                annotations
                    .into_iter()
                    .chain(ids)
                    .chain(mode)
                    .chain(used)
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect(),
            ),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some([(CONTRACT_FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    })
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;

    use super::*;

    fn third() -> Revision {
        Revision {
            version: 3,
            contract: Contract {
                fields: vec![Field::new("id", "string", false)],
                ..Contract::default()
            },
            topic: "shop.orders".into(),
            platform: "default".into(),
            kept: vec![KeptSetting {
                key: "retention.ms".into(),
                asked: "1".into(),
                kept: "2".into(),
            }],
            schema_ids: vec![],
            compatibility: None,
            used: vec![],
        }
    }

    #[test]
    fn a_contract_survives_its_config_map() {
        let accepted = third();
        let map = config_map(&Key::new("DataStream", "shop", "orders"), &accepted).unwrap();
        assert_eq!(map.immutable, Some(true));
        assert_eq!(read(&map), Some(accepted.clone()));
        insta::assert_yaml_snapshot!(map);
        let registered = Revision {
            schema_ids: vec![7, 9],
            compatibility: Some(Compatibility::FullTransitive),
            used: vec!["feed".into(), "beef".into()],
            ..accepted
        };
        let map = config_map(&Key::new("DataStream", "shop", "orders"), &registered).unwrap();
        assert_eq!(map.annotations()[SCHEMA_IDS_ANNOTATION], "7,9");
        assert_eq!(read(&map), Some(registered));
    }

    #[test]
    fn a_number_that_nobody_has_reached_is_no_contract_s() {
        let numbered = |version| {
            let mut accepted = third();
            accepted.version = version;
            let key = Key::new("DataStream", "shop", "orders");
            read(&config_map(&key, &accepted).unwrap()).map(|a| a.version)
        };
        assert_eq!(numbered(LAST), Some(LAST));
        for version in [i32::MAX, LAST + 1, 0, -1, i32::MIN] {
            assert_eq!(numbered(version), None);
        }
    }

    #[test]
    fn only_the_contract_that_the_status_names_is_in_force() {
        let owner = Key::new("DataStream", "shop", "orders");
        let accepted = third();
        let named = accepted.reference("orders");
        assert!(is(&config_map(&owner, &accepted).unwrap(), &named));
        let newer = Revision {
            version: 4,
            ..accepted.clone()
        };
        assert!(!is(&config_map(&owner, &newer).unwrap(), &named));
        let mut other = accepted;
        other.contract.key = vec!["id".into()];
        assert!(!is(&config_map(&owner, &other).unwrap(), &named));
    }

    #[test]
    fn the_mode_in_force_is_the_one_applied_last_with_this_contract() {
        let accepted = Revision {
            version: 3,
            compatibility: Some(Compatibility::Full),
            ..older()
        };
        let named = |version, compatibility| AcceptedContract {
            version,
            compatibility,
            ..AcceptedContract::default()
        };
        let spec = Compatibility::None;
        assert_eq!(accepted.promise(None, spec), Compatibility::Full);
        let alone = named(3, Some(Compatibility::Forward));
        assert_eq!(accepted.promise(Some(&alone), spec), Compatibility::Forward);
        // The status is of the contract before: ours was accepted, and the status wasn't written any more.
        let before = named(2, Some(Compatibility::Forward));
        assert_eq!(accepted.promise(Some(&before), spec), Compatibility::Full);
        // Of an earlier version of Headworks.
        assert_eq!(older().promise(Some(&named(1, None)), spec), spec);
    }

    #[test]
    fn used_fingerprints_are_bounded() {
        let mut accepted = older();
        assert!(accepted.used_with(None).is_empty());
        for n in 0..600 {
            accepted.used = accepted.used_with(Some(n.to_string()));
        }
        assert_eq!(
            (accepted.used.len(), accepted.used[0].as_str()),
            (512, "88")
        );
    }

    fn older() -> Revision {
        Revision {
            version: 1,
            contract: Contract::default(),
            topic: "shop.orders".into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: vec![],
            compatibility: None,
            used: vec![],
        }
    }
}
