//! What a Pipeline's consumer groups, transactional ids and internal topics are called. Pure, and the one place where
//! it is told.
//!
//! Progress and state are found by these names, so they never change: a Pipeline that is deleted under `Retain` and made
//! again, or whose operator is a newer one, goes on where it was. They belong to the object's name, not to the object,
//! so that a zombie of an earlier one is fenced.

use sha2::{Digest, Sha256};

/// How the names of everything of ours in Kafka begin.
const OURS: &str = "headworks.";
/// How the names of internal topics end: rows by key, state, results for tables.
const REPARTITION: &str = "-repartition";
const CHANGELOG: &str = "-changelog";
const RESULTS: &str = "-results";
/// How the group of a Replay ends: a Pipeline of the same name has others.
const REPLAY: &str = ".replay";
/// How a topic of dead letters ends.
const DEAD_LETTERS: &str = ".dlq";
/// Digits of a state's fingerprint that stand in names.
const VERSION_DIGITS: usize = 8;
/// Kafka's bound for names, which brokers of some makers hold for groups, too.
const MAX_GROUP: usize = 249;
/// Digits of the digest at the end of a name that would be too long.
const DIGEST_DIGITS: usize = 16;

/// The names of one query of a Pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineNames {
    group: String,
}

impl PipelineNames {
    /// Those of the Pipeline `namespace/name`. With `state`, the fingerprint of what its query keeps, they are those of
    /// that state alone: a query over another one never reads what isn't its own.
    pub fn new(installation: &str, namespace: &str, name: &str, state: Option<&str>) -> Self {
        let group = format!("{OURS}{installation}.{namespace}.{name}");
        Self {
            group: match state {
                Some(fingerprint) => format!("{group}.{}", version(fingerprint)),
                None => group,
            },
        }
    }

    /// Those that go with this group, as a status has it.
    pub fn of_group(group: &str) -> Self {
        Self {
            group: group.to_owned(),
        }
    }

    /// The consumer group of the stage that reads the inputs; all other names begin with it.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The consumer group of the stage that keeps state.
    pub fn keyed_group(&self) -> String {
        format!("{}.keyed", self.group)
    }

    /// The consumer group of a table's stage. One that is too long ends in a digest of the whole.
    pub fn table_group(&self, store: &str, table: &str) -> String {
        let whole = format!("{}.table.{store}.{table}", self.group);
        if whole.len() <= MAX_GROUP {
            return whole;
        }
        let mut end = MAX_GROUP - DIGEST_DIGITS - 1;
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}-{}", &whole[..end], digest(&whole))
    }

    /// The topic of rows by key.
    pub fn repartition(&self) -> String {
        format!("{}{REPARTITION}", self.group)
    }

    /// The topic of the state.
    pub fn changelog(&self) -> String {
        format!("{}{CHANGELOG}", self.group)
    }

    /// The topic of results that tables are written from.
    pub fn results(&self) -> String {
        format!("{}{RESULTS}", self.group)
    }
}

/// The consumer group of the Replay `namespace/name`. It holds what was replayed, so that a Replay that is deleted and made again
/// replays nothing twice.
pub fn replay_group(installation: &str, namespace: &str, name: &str) -> String {
    format!("{OURS}{installation}.{namespace}.{name}{REPLAY}")
}

/// `<group>-<ordinal>`: the `transactional.id` and the `group.instance.id` of a pod's stage.
pub fn member(group: &str, ordinal: u32) -> String {
    format!("{group}-{ordinal}")
}

/// The topic of another topic's dead letters.
pub fn dead_letters(topic: &str) -> String {
    format!("{topic}{DEAD_LETTERS}")
}

/// The part of a state's fingerprint that stands in names.
pub fn version(fingerprint: &str) -> String {
    fingerprint.chars().take(VERSION_DIGITS).collect()
}

/// True for a topic that a Pipeline makes for itself, or that is named like one.
pub fn is_internal(topic: &str) -> bool {
    let whole = topic.trim_end_matches(DEAD_LETTERS);
    topic.starts_with(OURS)
        && [REPARTITION, CHANGELOG, RESULTS]
            .iter()
            .any(|end| whole.ends_with(end))
}

/// Whose a name of a group or an internal topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The object's namespace.
    pub namespace: &'a str,
    /// The object's name.
    pub object: &'a str,
    /// What comes after it; empty for nothing.
    pub rest: &'a str,
}

/// What comes after the installation in a name of ours; none for a name of another installation, or of nobody's.
pub fn of_installation<'a>(installation: &str, name: &'a str) -> Option<&'a str> {
    // Without it every installation on this Kafka would be taken for this one.
    if installation.is_empty() {
        return None;
    }
    let rest = name.strip_prefix(OURS)?.strip_prefix(installation)?;
    rest.strip_prefix('.')
}

/// Whose a group or an internal topic of this installation is: `headworks.<installation>.<namespace>.<name>[.<rest>]`.
pub fn owner<'a>(installation: &str, name: &'a str) -> Option<Owner<'a>> {
    let (namespace, rest) = of_installation(installation, name)?.split_once('.')?;
    let (object, rest) = rest.split_once('.').unwrap_or((rest, ""));
    Some(Owner {
        namespace,
        object,
        rest,
    })
}

/// What the rest of a name tells, behind installation, namespace and name: the version of the state that it is of. None
/// for what is of no state.
pub fn version_of(rest: &str) -> Option<String> {
    let version = version(rest);
    let next = rest.chars().nth(VERSION_DIGITS);
    let is_one = version.len() == VERSION_DIGITS
        && version.chars().all(|c| c.is_ascii_hexdigit())
        && next.is_none_or(|c| c == '.' || c == '-');
    is_one.then_some(version)
}

/// The first digits of a text's SHA-256.
fn digest(text: &str) -> String {
    use std::fmt::Write;
    let bytes = Sha256::digest(text.as_bytes());
    let mut digits = String::with_capacity(DIGEST_DIGITS);
    for byte in bytes.iter().take(DIGEST_DIGITS / 2) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These are in Kafka at users'. A name that changes loses somebody's progress.
    #[test]
    fn names_are_as_they_ever_were() {
        let fingerprint = "0123456789abcdef";
        let of = |state| PipelineNames::new("prod", "shop", "p", state);
        let all = |names: PipelineNames| {
            [
                names.group().to_owned(),
                names.keyed_group(),
                names.table_group("warehouse", "reporting.orders"),
                names.repartition(),
                names.changelog(),
                names.results(),
                dead_letters(&names.results()),
                member(names.group(), 7),
            ]
        };
        assert_eq!(
            all(of(Some(fingerprint))),
            [
                "headworks.prod.shop.p.01234567",
                "headworks.prod.shop.p.01234567.keyed",
                "headworks.prod.shop.p.01234567.table.warehouse.reporting.orders",
                "headworks.prod.shop.p.01234567-repartition",
                "headworks.prod.shop.p.01234567-changelog",
                "headworks.prod.shop.p.01234567-results",
                "headworks.prod.shop.p.01234567-results.dlq",
                "headworks.prod.shop.p.01234567-7",
            ]
        );
        let without = of(None);
        assert_eq!(without.group(), "headworks.prod.shop.p");
        assert_eq!(
            without.table_group("w", "t"),
            "headworks.prod.shop.p.table.w.t"
        );
        assert_eq!(PipelineNames::of_group(without.group()), without);
    }

    #[test]
    fn a_table_s_group_is_never_too_long_and_never_another_s() {
        let names = PipelineNames::new(&"i".repeat(32), &"n".repeat(63), &"p".repeat(48), None);
        let of = |table: &str| names.table_group(&"s".repeat(48), table);
        let (one, other) = (of(&"t".repeat(127)), of(&format!("{}u", "t".repeat(126))));
        assert_eq!((one.len(), other.len()), (249, 249));
        assert_ne!(one, other);
        assert!(one.ends_with("-36c975cdca6f961b"), "{one}");
    }

    #[test]
    fn only_a_pipeline_s_own_topics_are_internal() {
        for (name, is) in [
            ("headworks.eu.shop.p.01234567-repartition", true),
            ("headworks.eu.shop.p.01234567-results.dlq", true),
            ("headworks.orders", false),
            ("shop.a-changelog", false),
        ] {
            assert_eq!(is_internal(name), is, "{name}");
        }
    }

    #[test]
    fn a_name_says_whose_it_is() {
        let names = PipelineNames::new("prod", "shop", "p", Some("0123456789abcdef"));
        for name in [names.changelog(), names.keyed_group()] {
            let owner = owner("prod", &name).unwrap();
            assert_eq!((owner.namespace, owner.object), ("shop", "p"));
            assert_eq!(version_of(owner.rest).as_deref(), Some("01234567"));
        }
        assert_eq!(owner("pro", names.group()), None);
        assert_eq!(owner("", names.group()), None);
        assert_eq!(owner("prod", "others.prod.shop.p"), None);
    }

    #[test]
    fn a_name_says_of_which_state_it_is() {
        for (rest, version) in [
            ("01234567", Some("01234567")),
            ("01234567-changelog", Some("01234567")),
            ("89abcdef.keyed", Some("89abcdef")),
            ("table.w.t", None),
            ("0123456789", None),
            ("", None),
        ] {
            assert_eq!(version_of(rest).as_deref(), version, "{rest}");
        }
    }
}
