//! Quality rules as a pod applies them to the records of a stream.
//!
//! A rule's checks are boolean expressions over the stream's fields, in the dialect of queries. A row fails a check whose
//! expression is false and passes one whose expression is null, as with a CHECK constraint of SQL. Who wants a value to be
//! there says `x IS NOT NULL`.

use serde::{Deserialize, Serialize};

/// A quality rule as a pod applies it to the records of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The QualityRule's name, in the namespace of the stream.
    pub name: String,
    /// Its `metadata.generation`: which version of it judges.
    pub generation: i64,
    /// Only rows for which this boolean expression over the stream's fields is true are judged. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What a row must satisfy, in the order of the QualityRule. Names are distinct.
    pub checks: Vec<Check>,
}

/// One check of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name within the rule.
    pub name: String,
    /// A boolean expression over the stream's fields. A row for which it is false fails; null passes.
    pub expression: String,
    /// The field that it is about, where it is one: named in dead letters and figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What becomes of a row that fails.
    #[serde(default)]
    pub action: RuleAction,
}

/// What becomes of a row that fails a check, from the mildest to the strictest: of a row that fails several checks the strictest
/// action is taken.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum RuleAction {
    /// It is counted, and goes on.
    #[default]
    Alert,
    /// It is counted and dropped.
    Drop,
    /// It becomes a dead letter.
    DeadLetter,
    /// The work stops before it, until somebody acts.
    Stop,
}

/// What a pod counted by a rule since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleFigures {
    /// The stream whose rows were judged.
    pub stream: String,
    /// The rule's name.
    pub name: String,
    /// Which version of it judged.
    pub generation: i64,
    /// Rows that were judged: those that the rule's filter lets through.
    pub checked: u64,
    /// Rows that failed at least one check.
    pub failed: u64,
    /// Those of them that failed one which refuses rows, so that they went no further, each counted once. Absent where none failed, and
    /// in what a process of an earlier release counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<u64>,
    /// What each check counted, in the rule's order.
    #[serde(default)]
    pub checks: Vec<CheckFigures>,
}

/// What a pod counted by a check since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckFigures {
    /// The check's name.
    pub name: String,
    /// Rows that failed it.
    pub failed: u64,
    /// When a row last failed it, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_ms: Option<i64>,
    /// Where that row was read, as `topic[partition]@offset`. Absent in a Source, whose records have no such place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_place: Option<String>,
}

impl Rule {
    /// True if a row that breaks it may become a dead letter.
    pub fn quarantines(&self) -> bool {
        let mut actions = self.checks.iter().map(|check| check.action);
        actions.any(|action| action == RuleAction::DeadLetter)
    }
}

impl RuleFigures {
    /// Those of a rule over a stream by which nothing was judged yet.
    pub fn none_of(stream: &str, rule: &Rule) -> RuleFigures {
        let check = |check: &Check| CheckFigures {
            name: check.name.clone(),
            ..CheckFigures::default()
        };
        RuleFigures {
            stream: stream.to_owned(),
            name: rule.name.clone(),
            generation: rule.generation,
            checks: rule.checks.iter().map(check).collect(),
            ..RuleFigures::default()
        }
    }

    /// True if both are of the same version of one rule over one stream.
    pub fn is_of_same(&self, other: &RuleFigures) -> bool {
        self.stream == other.stream
            && self.name == other.name
            && self.generation == other.generation
    }

    /// Adds what was counted besides.
    pub fn add(&mut self, more: &RuleFigures) {
        self.stopped = match (self.known_stopped(), more.known_stopped()) {
            (Some(own), Some(more)) => Some(own.saturating_add(more)),
            _ => None,
        };
        self.checked = self.checked.saturating_add(more.checked);
        self.failed = self.failed.saturating_add(more.failed);
        for (at, check) in more.checks.iter().enumerate() {
            // Those of one version of a rule stand in one order.
            let is_there = self.checks.get(at).is_some_and(|o| o.name == check.name);
            let own = if is_there {
                self.checks.get_mut(at)
            } else {
                self.checks.iter_mut().find(|own| own.name == check.name)
            };
            match own {
                Some(own) => own.add(check),
                None => self.checks.push(check.clone()),
            }
        }
    }

    fn known_stopped(&self) -> Option<u64> {
        self.stopped.or((self.failed == 0).then_some(0))
    }

    /// Adds what was counted by several rules: what is of a rule that isn't among `all` yet comes after them.
    pub fn add_all(all: &mut Vec<RuleFigures>, more: &[RuleFigures]) {
        for (at, one) in more.iter().enumerate() {
            let is_there = all.get(at).is_some_and(|own| own.is_of_same(one));
            let own = if is_there {
                all.get_mut(at)
            } else {
                all.iter_mut().find(|own| own.is_of_same(one))
            };
            match own {
                Some(own) => own.add(one),
                None => all.push(one.clone()),
            }
        }
    }
}

impl CheckFigures {
    fn add(&mut self, more: &CheckFigures) {
        self.failed = self.failed.saturating_add(more.failed);
        if more.last_failure_ms.is_some() && more.last_failure_ms >= self.last_failure_ms {
            self.last_failure_ms = more.last_failure_ms;
            self.last_failure_place.clone_from(&more.last_failure_place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Figures;

    #[test]
    fn of_several_actions_the_strictest_is_the_greatest() {
        let actions = [
            RuleAction::Drop,
            RuleAction::Stop,
            RuleAction::Alert,
            RuleAction::DeadLetter,
        ];
        assert_eq!(actions.iter().max(), Some(&RuleAction::Stop));
        assert_eq!(
            actions.iter().filter(|a| **a < RuleAction::Stop).max(),
            Some(&RuleAction::DeadLetter)
        );
    }

    #[test]
    fn a_rule_says_only_what_it_has_and_a_stream_without_rules_says_nothing() {
        let rule: Rule = serde_json::from_str(
            r#"{"name":"sane","generation":3,"checks":[{"name":"positive","expression":"amount > 0"}],"newer":1}"#,
        )
        .unwrap();
        assert_eq!(rule.checks[0].action, RuleAction::Alert);
        assert_eq!(
            serde_json::to_string(&rule).unwrap(),
            r#"{"name":"sane","generation":3,"checks":[{"name":"positive","expression":"amount > 0","action":"Alert"}]}"#
        );
        let json = r#"{"name":"s","topic":"t","deadLetterTopic":"d","contract":{"fields":[],"format":"Json"},"maxMessageBytes":1}"#;
        let stream: crate::Stream = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&stream).unwrap(), json);
        let figures = serde_json::to_string(&Figures::default()).unwrap();
        assert!(!figures.contains("rules"), "{figures}");
    }

    #[test]
    fn counts_of_one_rule_are_added_and_those_of_another_version_stand_beside() {
        let rule = Rule {
            name: "sane".into(),
            generation: 1,
            filter: None,
            checks: vec![Check {
                name: "positive".into(),
                expression: "n > 0".into(),
                field: None,
                action: RuleAction::Drop,
            }],
        };
        assert!(!rule.quarantines());
        let none = RuleFigures::none_of("orders", &rule);
        let counted = |failed, at, place: &str| RuleFigures {
            checked: 10,
            failed,
            stopped: Some(1),
            checks: vec![CheckFigures {
                failed,
                last_failure_ms: at,
                last_failure_place: Some(place.to_owned()),
                ..none.checks[0].clone()
            }],
            ..none.clone()
        };
        let mut all = vec![none.clone()];
        RuleFigures::add_all(&mut all, &[counted(2, Some(5), "t[0]@7")]);
        RuleFigures::add_all(&mut all, &[counted(1, Some(4), "t[1]@9")]);
        let mut newer = counted(4, None, "t[0]@1");
        newer.generation = 2;
        RuleFigures::add_all(&mut all, std::slice::from_ref(&newer));
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].checked, all[0].failed, all[0].stopped),
            (20, 3, Some(2))
        );
        // What an earlier release counted makes the sum one that isn't known.
        let mut earlier = counted(1, None, "t[0]@1");
        earlier.stopped = None;
        earlier.add(&counted(1, None, "t[0]@2"));
        assert_eq!((earlier.failed, earlier.stopped), (2, None));
        let check = &all[0].checks[0];
        assert_eq!((check.failed, check.last_failure_ms), (3, Some(5)));
        assert_eq!(
            check.last_failure_place.as_deref(),
            Some("t[0]@7"),
            "the last failure's"
        );
        assert_eq!(all[1], newer);
    }
}
