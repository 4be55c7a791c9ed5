//! What becomes of the parts of a file: checks, put together into QualityRules.
//!
//! A rule has one filter and one threshold, so checks share a rule only where both are the same, and checks that only warn have
//! rules of theirs; a check that may fail for some of the rows has a rule of its own, whose threshold is about nothing else.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{CheckSeverity, MAX_CHECKS, OnError, QualityCheck, QualityRuleSpec};

use super::names::{check_name, object_name, unique};
use crate::yaml::Place;

/// A check, before it has a name.
#[derive(Clone, Debug)]
pub struct Drafted {
    /// What is checked.
    pub check: QualityCheck,
    /// What the check is called by, such as `amount-between`.
    pub name: String,
    /// Which rows the tool counts, where it doesn't count all: an SQL condition.
    pub counted: Option<String>,
    /// What to know of it, though it is translated.
    pub note: Option<String>,
}

impl Drafted {
    /// A check that counts every row.
    pub fn new(name: impl Into<String>, check: QualityCheck) -> Self {
        Self {
            check,
            name: name.into(),
            counted: None,
            note: None,
        }
    }

    /// An SQL expression.
    pub fn expression(name: impl Into<String>, expression: impl Into<String>) -> Self {
        let check = QualityCheck {
            expression: Some(expression.into()),
            ..QualityCheck::default()
        };
        Self::new(name, check)
    }

    /// With rows that the tool leaves out of its count.
    pub fn counting(mut self, rows: Option<String>) -> Self {
        self.counted = rows;
        self
    }

    /// With something to know.
    pub fn noting(mut self, note: Option<impl Into<String>>) -> Self {
        self.note = note.map(Into::into).or(self.note);
        self
    }
}

/// What became of a part of a file.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is a check.
    Check(Box<Drafted>),
    /// It needs none, and why.
    Holds(String),
}

/// What a file is asked for, with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The file as it was named.
    pub file: String,
    /// Where it stands there.
    pub place: Place,
    /// What the tool calls it, and what it is about.
    pub title: String,
}

impl Part {
    /// `file:line:column`.
    pub fn whereabouts(&self) -> String {
        format!("{}:{}:{}", self.file, self.place.line, self.place.column)
    }
}

/// How a check acts and counts.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How grave a failure is.
    pub severity: CheckSeverity,
    /// Which rows are judged at all.
    pub filter: Option<String>,
    /// Per cent of the rows that must pass, where it isn't all.
    pub threshold: Option<String>,
}

/// One rule, as it is written.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it says.
    pub spec: QualityRuleSpec,
    /// Its threshold is of its one check, which may fail for some rows.
    own: bool,
    /// Its checks are about windows.
    of_set: bool,
    /// Of all its checks.
    severity: CheckSeverity,
    /// For each check, the parts that it comes from, by their numbers.
    pub parts: Vec<Vec<usize>>,
}

/// All that was found in all files.
#[derive(Debug, Default)]
pub struct Import {
    checks: Vec<(Part, Drafted, Terms)>,
    /// What couldn't be translated, and why.
    pub left_out: Vec<(Part, String)>,
    /// What needs no check, and why.
    pub holding: Vec<(Part, String)>,
    /// What is translated and not quite the same.
    pub notes: Vec<(Part, String)>,
}

impl Import {
    /// Takes in what became of a part.
    pub fn add(&mut self, part: Part, fate: Result<(Fate, Terms), String>) {
        match fate {
            Err(why) => self.left_out.push((part, why)),
            Ok((Fate::Holds(why), _)) => self.holding.push((part, why)),
            Ok((Fate::Check(drafted), terms)) => {
                if let Some(note) = &drafted.note {
                    self.notes.push((part.clone(), note.clone()));
                }
                self.checks.push((part, *drafted, terms));
            }
        }
    }

    /// Parts that became checks.
    pub fn translated(&self) -> usize {
        self.checks.len()
    }

    /// All parts.
    pub fn parts(&self) -> usize {
        self.checks.len() + self.left_out.len() + self.holding.len()
    }

    /// Where each of these parts stands.
    pub fn origins(&self, parts: &[usize]) -> String {
        let parts = parts.iter().filter_map(|part| self.checks.get(*part));
        let places: Vec<String> = parts.map(|(part, _, _)| part.whereabouts()).collect();
        places.join(" ")
    }

    /// Leaves out parts that became checks, by their numbers, each for a reason.
    pub fn leave_out(&mut self, faults: &BTreeMap<usize, String>) {
        for (number, (part, drafted, terms)) in
            std::mem::take(&mut self.checks).into_iter().enumerate()
        {
            match faults.get(&number) {
                Some(why) => {
                    self.notes.retain(|(noted, _)| *noted != part);
                    self.left_out.push((part, why.clone()));
                }
                None => self.checks.push((part, drafted, terms)),
            }
        }
    }

    /// The rules. `prefix` begins their names; `on_error`: what becomes of rows that fail, where no share of them may.
    pub fn rules(&self, stream: &str, prefix: &str, on_error: OnError) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut names = BTreeSet::new();
        for (number, (_, drafted, terms)) in self.checks.iter().enumerate() {
            let own = terms.threshold.is_some();
            let of_set = !drafted.check.is_of_record();
            let filter = if own {
                both(terms.filter.as_deref(), drafted.counted.as_deref())
            } else {
                terms.filter.clone()
            };
            let shares = |rule: &Rule| {
                !own && !rule.own
                    && rule.of_set == of_set
                    && rule.severity == terms.severity
                    && rule.spec.filter == filter
                    && rule.spec.checks.len() < MAX_CHECKS
            };
            let at = rules.iter().position(shares).unwrap_or_else(|| {
                let windows = if of_set { "-windows" } else { "" };
                let wanted = match (own, terms.severity) {
                    (true, _) => format!("{prefix}-{}", drafted.name),
                    (false, CheckSeverity::Warn) => format!("{prefix}{windows}-warn"),
                    (false, CheckSeverity::Error) => format!("{prefix}{windows}"),
                };
                let mut spec = QualityRuleSpec::new(stream, Vec::new());
                spec.filter.clone_from(&filter);
                // A share of the rows may fail: no single one is to blame.
                let blames_none = own || of_set;
                spec.on_error = if blames_none {
                    OnError::Alert
                } else {
                    on_error
                };
                // Where a row that fails goes on, the tool's verdict is the stream's health; what only warns is no verdict. A window
                // that fails is one by itself.
                let all =
                    !of_set && terms.severity == CheckSeverity::Error && on_error == OnError::Alert;
                spec.threshold = terms.threshold.clone().or(all.then(|| "100".to_owned()));
                rules.push(Rule {
                    name: unique(&object_name(&wanted), &mut names),
                    spec,
                    own,
                    of_set,
                    severity: terms.severity,
                    parts: Vec::new(),
                });
                rules.len() - 1
            });
            if let Some(rule) = rules.get_mut(at) {
                rule.take(number, drafted);
            }
        }
        rules
    }
}

impl Rule {
    /// Takes in a check, unless it is there already.
    fn take(&mut self, number: usize, drafted: &Drafted) {
        let same = |there: &QualityCheck| {
            let unnamed = QualityCheck {
                name: None,
                severity: drafted.check.severity,
                ..there.clone()
            };
            unnamed == drafted.check
        };
        if let Some(at) = self.spec.checks.iter().position(same) {
            self.parts[at].push(number);
            return;
        }
        let named = self.spec.checks.iter().filter_map(|c| c.name.clone());
        let mut taken: BTreeSet<String> = named.collect();
        self.spec.checks.push(QualityCheck {
            name: Some(unique(&check_name(&drafted.name), &mut taken)),
            severity: self.severity,
            ..drafted.check.clone()
        });
        self.parts.push(vec![number]);
    }
}

/// Two conditions as one.
pub fn both(left: Option<&str>, right: Option<&str>) -> Option<String> {
    match (left, right) {
        (Some(left), Some(right)) => Some(format!("({left}) AND ({right})")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(line: u32) -> Part {
        Part {
            file: "s.json".into(),
            place: Place { line, column: 5 },
            title: String::new(),
        }
    }

    fn import(terms: Vec<Terms>, expression: impl Fn(u32) -> String) -> (Import, Vec<Rule>) {
        let mut import = Import::default();
        for (terms, line) in terms.into_iter().zip(1..) {
            let drafted = Drafted::expression("a-positive", expression(line))
                .counting(Some("a IS NOT NULL".into()));
            import.add(part(line), Ok((Fate::Check(Box::new(drafted)), terms)));
        }
        let rules = import.rules("orders", "Big_Suite.v2", OnError::Quarantine);
        (import, rules)
    }

    #[test]
    fn checks_share_a_rule_where_filter_and_threshold_allow_it() {
        let filtered = || Terms {
            filter: Some("b".into()),
            ..Terms::default()
        };
        let mostly = || Terms {
            threshold: Some("67".into()),
            ..filtered()
        };
        let terms = vec![
            Terms::default(),
            filtered(),
            mostly(),
            Terms::default(),
            mostly(),
        ];
        let (import, rules) = import(terms, |line| format!("a > {line}"));
        let told: Vec<String> = rules
            .iter()
            .map(|rule| {
                let names = rule.spec.checks.iter().filter_map(|c| c.name.as_deref());
                let names: Vec<&str> = names.collect();
                let origins: Vec<String> = rule.parts.iter().map(|p| import.origins(p)).collect();
                format!(
                    "{} [{}] {:?} {} {}",
                    rule.name,
                    rule.spec.filter.as_deref().unwrap_or_default(),
                    rule.spec.on_error,
                    names.join(" "),
                    origins.join(" ")
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "big-suite-v2 [] Quarantine a-positive a-positive-2 s.json:1:5 s.json:4:5",
                "big-suite-v2-2 [b] Quarantine a-positive s.json:2:5",
                "big-suite-v2-a-positive [(b) AND (a IS NOT NULL)] Alert a-positive s.json:3:5",
                "big-suite-v2-a-positive-2 [(b) AND (a IS NOT NULL)] Alert a-positive s.json:5:5",
            ]
        );
    }

    #[test]
    fn a_check_that_is_asked_for_twice_is_one_for_each_severity() {
        let warn = Terms {
            severity: CheckSeverity::Warn,
            ..Terms::default()
        };
        let terms = vec![warn.clone(), Terms::default(), warn];
        let (import, rules) = import(terms, |_| "a > 0".into());
        let told: Vec<_> = rules
            .iter()
            .map(|rule| {
                (
                    rule.name.as_str(),
                    rule.spec.checks.len(),
                    import.origins(&rule.parts[0]),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("big-suite-v2-warn", 1, "s.json:1:5 s.json:3:5".into()),
                ("big-suite-v2", 1, "s.json:2:5".into())
            ]
        );
    }

    #[test]
    fn where_failing_rows_go_on_they_are_the_streams_health() {
        let warn = Terms {
            severity: CheckSeverity::Warn,
            ..Terms::default()
        };
        let (import, _) = import(vec![Terms::default(), warn], |line| format!("a > {line}"));
        let thresholds = |on_error| -> Vec<Option<String>> {
            let rules = import.rules("orders", "x", on_error);
            rules.into_iter().map(|rule| rule.spec.threshold).collect()
        };
        assert_eq!(thresholds(OnError::Alert), [Some("100".into()), None]);
        assert_eq!(thresholds(OnError::Quarantine), [None, None]);
    }

    #[test]
    fn a_rule_that_is_full_is_followed_by_another() {
        let terms = vec![Terms::default(); MAX_CHECKS + 1];
        let (_, rules) = import(terms, |line| format!("a > {line}"));
        let counts: Vec<_> = rules
            .iter()
            .map(|r| (r.name.as_str(), r.spec.checks.len()))
            .collect();
        assert_eq!(
            counts,
            [("big-suite-v2", MAX_CHECKS), ("big-suite-v2-2", 1)]
        );
    }

    #[test]
    fn what_turns_out_wrong_is_left_out() {
        let (mut import, _) = import(vec![Terms::default(); 3], |line| format!("a > {line}"));
        import.leave_out(&BTreeMap::from([(1, "no".to_owned())]));
        assert_eq!((import.translated(), import.parts()), (2, 3));
        assert_eq!(import.left_out, [(part(2), "no".to_owned())]);
    }
}
