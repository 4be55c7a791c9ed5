//! Verdicts of a QualityRule over windows: which columns of a query hold them, and what a pod says of the newest.
//!
//! Each result of a monitor's query is about one window. Two of its columns are maps from a check's name: what was observed, as text,
//! and whether it passed. Where several results are about one window (one for each repeated key), they are taken together.

use serde::{Deserialize, Serialize};

/// The newest windows that a pod keeps the verdicts of: partitions of the state don't close a window at the same moment.
pub const VERDICT_WINDOWS: usize = 4;
/// Most checks that a pod says something of, in each window.
pub const VERDICT_CHECKS: usize = 64;

/// Which columns of the query hold verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictColumns {
    /// Digest of what is judged: what a pod says of another is about another version of the rule.
    pub of: String,
    /// `timestamp(3)`: the window's end.
    pub window_end: String,
    /// `bigint`: records of the window.
    pub records: String,
    /// `map<string,string>`: what was observed, by check.
    pub observed: String,
    /// `map<string,boolean>`: whether it passed, by check; null passes.
    pub passed: String,
}

/// What a pod says of the windows that it has judged and committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictFigures {
    /// As [`VerdictColumns::of`].
    pub of: String,
    /// The newest windows, oldest first; at most [`VERDICT_WINDOWS`].
    pub windows: Vec<WindowVerdict>,
}

/// What was found of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowVerdict {
    /// Its end, in milliseconds since 1970 UTC.
    pub end_ms: i64,
    /// Records of its results, added up.
    pub records: u64,
    /// Each check that a result names; at most [`VERDICT_CHECKS`].
    pub checks: Vec<CheckVerdict>,
}

/// What was found by one check in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckVerdict {
    /// The check's name.
    pub name: String,
    /// What was observed, of the first result that tells; absent: nothing that may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Results of the window that didn't pass it.
    pub failed: u64,
}

impl VerdictFigures {
    /// Takes in what came later, or what another says of the same. Of another version's verdicts none stay.
    pub fn add(&mut self, more: &VerdictFigures) {
        if self.of != more.of {
            *self = VerdictFigures {
                of: more.of.clone(),
                windows: Vec::new(),
            };
        }
        for window in &more.windows {
            match self.windows.iter_mut().find(|w| w.end_ms == window.end_ms) {
                Some(known) => known.add(window),
                None => self.windows.push(window.clone()),
            }
        }
        self.windows.sort_by_key(|window| window.end_ms);
        let old = self.windows.len().saturating_sub(VERDICT_WINDOWS);
        self.windows.drain(..old);
    }
}

impl WindowVerdict {
    fn add(&mut self, more: &WindowVerdict) {
        self.records = self.records.saturating_add(more.records);
        for check in &more.checks {
            let known = self.checks.iter().position(|own| own.name == check.name);
            if let Some(own) = known.and_then(|at| self.checks.get_mut(at)) {
                own.failed = own.failed.saturating_add(check.failed);
                if own.observed.is_none() {
                    own.observed.clone_from(&check.observed);
                }
            } else if self.checks.len() < VERDICT_CHECKS {
                self.checks.push(check.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(of: &str, windows: &[(i64, u64)]) -> VerdictFigures {
        let window = |&(end_ms, failed): &(i64, u64)| WindowVerdict {
            end_ms,
            records: 2,
            checks: vec![CheckVerdict {
                name: "unique-id".into(),
                observed: Some(failed.to_string()),
                failed,
            }],
        };
        VerdictFigures {
            of: of.into(),
            windows: windows.iter().map(window).collect(),
        }
    }

    #[test]
    fn results_of_one_window_are_taken_together_and_the_newest_windows_stay() {
        let mut all = VerdictFigures::default();
        all.add(&said("a", &[(60, 1), (120, 1)]));
        all.add(&said("a", &[(120, 1), (30, 1)]));
        let ends = |all: &VerdictFigures| -> Vec<i64> {
            all.windows.iter().map(|window| window.end_ms).collect()
        };
        assert_eq!(ends(&all), [30, 60, 120]);
        let newest = &all.windows[2];
        assert_eq!((newest.records, newest.checks[0].failed), (4, 2));
        assert_eq!(newest.checks[0].observed.as_deref(), Some("1"));
        all.add(&said("a", &[(180, 0), (240, 0)]));
        assert_eq!(ends(&all), [60, 120, 180, 240]);
    }

    #[test]
    fn nothing_stays_of_another_version() {
        let mut all = said("a", &[(60, 1)]);
        all.add(&said("b", &[(30, 0)]));
        assert_eq!(all, said("b", &[(30, 0)]));
    }

    #[test]
    fn checks_are_bounded() {
        let mut window = WindowVerdict::default();
        for number in 0..100 {
            let check = CheckVerdict {
                name: number.to_string(),
                ..CheckVerdict::default()
            };
            window.add(&WindowVerdict {
                checks: vec![check],
                ..WindowVerdict::default()
            });
        }
        assert_eq!(window.checks.len(), VERDICT_CHECKS);
    }
}
