//! Which settings a topic should have, and the smallest change that gets it there.
//!
//! Only settings that the spec names are ours. What others set by hand stays; what we set and the spec no
//! longer names goes back to the broker's default; taking a topic over never lowers how much it keeps.

use std::collections::BTreeMap;

use headworks_crds::{DataStreamSpec, DataStreamStatus, Defaults, Duration, KeptSetting};

use super::topic::{Claim, FoundTopic};

/// The setting for how long records are kept, in milliseconds; -1: for ever.
pub const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
/// Whether old records are deleted or compacted.
pub const CLEANUP: &str = "cleanup.policy";
/// Largest record, in bytes.
pub const MAX_MESSAGE: &str = "max.message.bytes";
/// How long dead letters are kept unless the spec says otherwise: 30 days.
const DEAD_LETTER_RETENTION_MS: u64 = 30 * 86_400_000;

/// One setting of a live topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its value.
    pub value: String,
    /// True: set on the topic; false: the broker's default.
    pub on_topic: bool,
}

/// One change of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Set to a value.
    Set(String, String),
    /// Back to the broker's default.
    Unset(String),
}

/// The settings of a topic as they are to be, and what the status is to remember of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The settings that are ours, by name.
    pub desired: BTreeMap<String, String>,
    /// The Platform's default retention when the topic was made: a later one doesn't reach it.
    pub default_retention: Option<Duration>,
    /// What stays as it was when the topic was taken over.
    pub kept: Vec<KeptSetting>,
    /// Names of the settings that go when the spec doesn't name them any more. What the topic keeps of its own isn't ours, so it stays
    /// then.
    pub managed: Vec<String>,
}

impl Settings {
    /// By spec, by what was remembered, and by what a look found. `kept`: what was kept when the topic was taken over, now or before.
    pub fn of(
        spec: &DataStreamSpec,
        status: &DataStreamStatus,
        found: &FoundTopic,
        kept: Vec<KeptSetting>,
        defaults: &Defaults,
    ) -> Self {
        let (default_retention, mut kept) = match &found.claim {
            Claim::Free if found.declared.object.is_none() => {
                (defaults.retention.clone(), Vec::new())
            }
            Claim::Free | Claim::Ours(_) => (status.default_retention.clone(), kept),
            Claim::Adopt(_) => (None, kept),
        };
        let desired = with_kept(desired(spec, default_retention.as_ref()), &kept);
        // One is forgotten once the spec asks for something else.
        kept.retain(|kept| desired.get(&kept.key) == Some(&kept.kept));
        let managed = desired
            .keys()
            .filter(|key| !kept.iter().any(|kept| kept.key == **key))
            .cloned()
            .collect();
        Self {
            desired,
            default_retention,
            kept,
            managed,
        }
    }

    /// Notes in the status what the settings go by. What is managed is noted when it is so.
    pub fn note(&self, status: &mut DataStreamStatus) {
        status.default_retention.clone_from(&self.default_retention);
        status.kept_config.clone_from(&self.kept);
    }
}

/// The settings that a spec asks for; `default_retention` applies where it names none.
pub fn desired(
    spec: &DataStreamSpec,
    default_retention: Option<&Duration>,
) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = spec
        .config
        .iter()
        .map(|(key, value)| (key.clone(), value.to_string()))
        .collect();
    let retention = spec.retention.as_ref().or(if spec.compacted {
        None
    } else {
        default_retention
    });
    let bounded = retention.is_some() || spec.retention_bytes.is_some();
    let cleanup = match (spec.compacted, bounded) {
        (true, true) => "compact,delete",
        (true, false) => "compact",
        (false, _) => "delete",
    };
    settings.insert(CLEANUP.into(), cleanup.into());
    if let Some(retention) = retention {
        settings.insert(RETENTION.into(), retention.millis().to_string());
    }
    if let Some(bytes) = &spec.retention_bytes {
        settings.insert(RETENTION_BYTES.into(), bytes.value().to_string());
    }
    settings
}

/// The settings of a dead-letter topic.
pub fn dead_letter(spec: &DataStreamSpec) -> BTreeMap<String, String> {
    let retention = spec
        .dead_letter
        .as_ref()
        .and_then(|d| d.retention.as_ref())
        .map_or(DEAD_LETTER_RETENTION_MS, Duration::millis);
    let mut settings = BTreeMap::from([
        (CLEANUP.to_owned(), "delete".to_owned()),
        (RETENTION.to_owned(), retention.to_string()),
    ]);
    // A dead letter is the original record with headers, so its topic must take at least as much.
    if let Some(size) = spec
        .config
        .get(MAX_MESSAGE)
        .and_then(|v| v.to_string().parse::<u64>().ok())
    {
        settings.insert(MAX_MESSAGE.into(), size.saturating_add(1 << 16).to_string());
    }
    settings
}

/// The settings where taking the topic over would lower how much it keeps: these stay until the spec asks for something else.
pub fn kept_on_adoption(
    desired: &BTreeMap<String, String>,
    live: &BTreeMap<String, Live>,
) -> Vec<KeptSetting> {
    [RETENTION, RETENTION_BYTES]
        .into_iter()
        .filter_map(|key| {
            let asked = desired.get(key)?;
            let there = live.get(key)?;
            lowers(&there.value, asked).then(|| KeptSetting {
                key: key.into(),
                asked: asked.clone(),
                kept: there.value.clone(),
            })
        })
        .collect()
}

/// True if going from one retention to the other keeps less; a negative one means for ever.
fn lowers(from: &str, to: &str) -> bool {
    match (from.parse::<i64>(), to.parse::<i64>()) {
        (Ok(from), Ok(to)) => to >= 0 && (from < 0 || to < from),
        _ => false,
    }
}

/// Puts what was kept at an adoption in place of what the spec asks for, as long as it asks for the same.
pub fn with_kept(
    mut desired: BTreeMap<String, String>,
    kept: &[KeptSetting],
) -> BTreeMap<String, String> {
    for setting in kept {
        if let Some(value) = desired
            .get_mut(&setting.key)
            .filter(|value| **value == setting.asked)
        {
            value.clone_from(&setting.kept);
        }
    }
    desired
}

/// What must change; `managed` are the settings we made before.
pub fn changes(
    desired: &BTreeMap<String, String>,
    managed: &[String],
    live: &BTreeMap<String, Live>,
) -> Vec<Change> {
    let set = desired
        .iter()
        .filter(|(key, value)| {
            live.get(*key)
                .is_none_or(|there| !same(&there.value, value))
        })
        .map(|(key, value)| Change::Set(key.clone(), value.clone()));
    let unset = managed
        .iter()
        .filter(|key| {
            !desired.contains_key(*key) && live.get(*key).is_some_and(|there| there.on_topic)
        })
        .map(|key| Change::Unset(key.clone()));
    set.chain(unset).collect()
}

/// Lists such as `compact,delete` have no order.
fn same(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|p| p.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    one == other || parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(extra: &serde_json::Value) -> DataStreamSpec {
        let mut value = json!({"schema": [{"name": "id", "type": "string"}]});
        value
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn live(entries: &[(&str, &str, bool)]) -> BTreeMap<String, Live> {
        entries
            .iter()
            .map(|(k, v, on_topic)| {
                (
                    (*k).to_owned(),
                    Live {
                        value: (*v).into(),
                        on_topic: *on_topic,
                    },
                )
            })
            .collect()
    }

    #[test]
    fn a_spec_says_its_settings_and_the_pinned_default_fills_in() {
        let week: Duration = "7d".parse().unwrap();
        let settings = desired(
            &spec(&json!({"config": {"compression.type": "zstd"}})),
            Some(&week),
        );
        assert_eq!(settings["retention.ms"], "604800000");
        assert_eq!(settings["cleanup.policy"], "delete");
        assert_eq!(settings["compression.type"], "zstd");
        let compacted = desired(
            &spec(&json!({"compacted": true, "key": ["id"]})),
            Some(&week),
        );
        assert_eq!(compacted.get("retention.ms"), None);
        assert_eq!(compacted["cleanup.policy"], "compact");
    }

    #[test]
    fn an_adoption_carries_unlisted_settings_over_and_never_lowers_retention() {
        let day = spec(&json!({"retention": "1d", "config": {"max.message.bytes": 2_000_000}}));
        let there = live(&[
            ("retention.ms", "2592000000", true),
            ("segment.bytes", "20971520", true),
            ("cleanup.policy", "delete", false),
            ("max.message.bytes", "1048588", false),
        ]);
        let asked = desired(&day, None);
        let kept = kept_on_adoption(&asked, &there);
        assert_eq!(
            kept,
            [KeptSetting {
                key: "retention.ms".into(),
                asked: "86400000".into(),
                kept: "2592000000".into()
            }]
        );
        assert_eq!(
            changes(&with_kept(asked, &kept), &[], &there),
            [Change::Set("max.message.bytes".into(), "2000000".into())]
        );
        // The user asks for another retention later: that is an order, not an adoption.
        let shorter = desired(&spec(&json!({"retention": "2d"})), None);
        assert_eq!(with_kept(shorter, &kept)["retention.ms"], "172800000");
    }

    #[test]
    fn for_ever_is_more_than_any_number() {
        assert!(lowers("-1", "1000"));
        assert!(!lowers("1000", "-1"));
        assert!(!lowers("1000", "1000"));
    }

    #[test]
    fn drift_is_put_back_and_a_setting_taken_out_of_the_spec_is_unset() {
        let there = live(&[
            ("retention.ms", "5", true),
            ("cleanup.policy", "delete", false),
            ("compression.type", "zstd", true),
            ("by.hand", "1", true),
        ]);
        let found = changes(
            &desired(&spec(&json!({"retention": "1d"})), None),
            &["compression.type".into()],
            &there,
        );
        assert_eq!(
            found,
            [
                Change::Set("retention.ms".into(), "86400000".into()),
                Change::Unset("compression.type".into())
            ]
        );
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let there = live(&[
            ("retention.ms", "86400000", true),
            ("cleanup.policy", "delete,compact", true),
        ]);
        assert!(
            changes(
                &desired(
                    &spec(&json!({"retention": "1d", "compacted": true, "key": ["id"]})),
                    None
                ),
                &[],
                &there
            )
            .is_empty()
        );
    }
}
