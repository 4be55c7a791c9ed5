//! How many records QualityRules have judged, over the lives of pods, and how many of late.
//!
//! Pods count since their process began, and a record is judged more than once: by the Source that takes it in, and again by each
//! Pipeline that reads it. What is told is a number of records ([`Counts::total`]):
//!
//! - CHECKED: those that Sources judged and refused, and those that the reader judged that judged most; at least those that Sources
//!   judged, some of which no reader may have read yet.
//! - FAILED, and each check: those that Sources refused, and those that failed at the reader where most did; at least those that failed
//!   in Sources.
//!
//! A record that a Source refused comes to no reader; one that it let pass is judged by each. A reader that begins later, or was away, has
//! judged fewer, so the one with most is the nearest to all. How many a Source refused its pods say, each record once; of those of an
//! earlier release it follows from the checks: those that failed one whose action refuses, so that a record that fails two of them may
//! be told twice, and never more than what failed.
//!
//! How it goes of late is another question, which totals can't answer: see `growth`.
//!
//! Pure, but for the memory of the process ([`RuleMemory`]).

mod growth;
mod health;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use headworks_crds::{JudgeCount, RuleCount};
use headworks_plan::RuleFigures;

pub use growth::{Count, Growth, Sums};
pub use health::{Judged, Window};

use crate::{names::Key, rule_history::History};

/// So many ended pods of an object are remembered, in case one was only away.
const REMEMBERED: usize = 64;
/// Most objects whose counts are kept.
const JUDGES: usize = 64;
/// Most pods of an object whose counts are kept apart.
const PODS: usize = 256;
/// Sources that judge no more, together. No object can be called that.
const GONE_SOURCES: &str = "Source/(gone)";
/// Readers that judge no more: the most of each.
const GONE_READERS: &str = "Pipeline/(gone)";

/// What each pod of each object that judges has counted, by object and pod; none for an object one of whose pods hasn't answered yet:
/// a pod without a count is taken for one that has ended.
pub type Heard = BTreeMap<String, Option<BTreeMap<String, Tally>>>;

fn is_source(by: &str) -> bool {
    by.starts_with("Source/")
}

/// What was counted by one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records that were judged.
    pub checked: u64,
    /// Records that failed at least one check.
    pub failed: u64,
    /// Those of them that went no further.
    pub stopped: u64,
    /// Records that failed each check, by its name.
    pub checks: BTreeMap<String, u64>,
}

impl Tally {
    /// What a pod says of a rule, of all its versions. Checks that the rule doesn't have are a pod's invention, or of an older version.
    /// `refuses`: a record that fails the check of that name goes no further, as far as the pod doesn't say how many did.
    pub fn of(
        figures: &[RuleFigures],
        stream: &str,
        rule: &str,
        checks: &BTreeSet<String>,
        refuses: impl Fn(&str) -> bool,
    ) -> Tally {
        let mut tally = Tally::default();
        for one in figures {
            if one.stream != stream || one.name != rule {
                continue;
            }
            tally.checked = tally.checked.saturating_add(one.checked);
            tally.failed = tally.failed.saturating_add(one.failed);
            let known = one.checks.iter();
            let known = known.filter(|check| checks.contains(&check.name));
            for check in known.clone() {
                tally.add_check(&check.name, check.failed);
            }
            let failed = known.map(|check| (check.name.as_str(), check.failed));
            let stopped = one.stopped.unwrap_or_else(|| refused(failed, &refuses));
            tally.stopped = tally.stopped.saturating_add(stopped.min(one.failed));
        }
        tally
    }

    fn add_check(&mut self, name: &str, failed: u64) {
        if failed > 0 {
            let count = self.checks.entry(name.to_owned()).or_default();
            *count = count.saturating_add(failed);
        }
    }

    fn add(&mut self, more: &Tally) {
        self.checked = self.checked.saturating_add(more.checked);
        self.failed = self.failed.saturating_add(more.failed);
        self.stopped = self.stopped.saturating_add(more.stopped);
        for (name, failed) in &more.checks {
            self.add_check(name, *failed);
        }
    }

    fn take_away(&mut self, less: &Tally) {
        self.checked = self.checked.saturating_sub(less.checked);
        self.failed = self.failed.saturating_sub(less.failed);
        self.stopped = self.stopped.saturating_sub(less.stopped);
        for (name, failed) in &less.checks {
            if let Some(count) = self.checks.get_mut(name) {
                *count = count.saturating_sub(*failed);
            }
        }
        self.checks.retain(|_, count| *count > 0);
    }

    /// Each number the greater of two.
    fn most(&mut self, other: &Tally) {
        self.checked = self.checked.max(other.checked);
        self.failed = self.failed.max(other.failed);
        self.stopped = self.stopped.max(other.stopped);
        for (name, failed) in &other.checks {
            let count = self.checks.entry(name.clone()).or_default();
            *count = (*count).max(*failed);
        }
    }

    fn check(&self, name: &str) -> u64 {
        self.checks.get(name).copied().unwrap_or(0)
    }
}

/// Records that went no further, as far as checks tell: one that failed two of them counts twice.
fn refused<'a>(
    checks: impl Iterator<Item = (&'a str, u64)>,
    refuses: impl Fn(&str) -> bool,
) -> u64 {
    let all = checks.filter(|(name, _)| refuses(name));
    all.map(|(_, failed)| failed).fold(0, u64::saturating_add)
}

/// What the pods of one object have counted by one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Judge {
    ended: Tally,
    pods: BTreeMap<String, Tally>,
    /// Pods whose count was added to `ended`.
    away: HashMap<String, Tally>,
}

impl Judge {
    fn total(&self) -> Tally {
        let mut total = self.ended.clone();
        self.pods.values().for_each(|pod| total.add(pod));
        total
    }

    /// One round: what each pod that there is has counted. One that isn't among them has ended.
    fn round(&mut self, pods: &BTreeMap<String, Tally>) {
        let gone: Vec<String> = self
            .pods
            .keys()
            .filter(|pod| !pods.contains_key(*pod))
            .cloned()
            .collect();
        for pod in gone {
            let Some(tally) = self.pods.remove(&pod) else {
                continue;
            };
            self.ended.add(&tally);
            if self.away.len() >= REMEMBERED {
                self.away.clear();
            }
            self.away.insert(pod, tally);
        }
        for (pod, tally) in pods {
            if let Some(added) = self.away.remove(pod) {
                self.ended.take_away(&added);
                self.pods.insert(pod.clone(), added);
            }
            if let Some(last) = self.pods.get(pod)
                && (tally.checked < last.checked || tally.failed < last.failed)
            {
                // Its container began anew.
                let last = last.clone();
                self.ended.add(&last);
            }
            if tally.checked > 0 && (self.pods.len() < PODS || self.pods.contains_key(pod)) {
                self.pods.insert(pod.clone(), tally.clone());
            } else {
                self.pods.remove(pod);
            }
        }
    }
}

/// What all who judge by one rule have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, Judge>);

impl Counts {
    /// As a status has them. `refuses`: as of [`Tally::of`], of what an earlier release has written.
    pub fn of_status(judges: &[JudgeCount], refuses: impl Fn(&str) -> bool) -> Counts {
        let read = |count: &RuleCount| {
            let checks = count.checks.iter();
            let failed = checks.map(|(name, n)| (name.as_str(), whole(*n)));
            let stopped = count.stopped.map(whole);
            let stopped = stopped.unwrap_or_else(|| refused(failed.clone(), &refuses));
            Tally {
                checked: whole(count.checked),
                failed: whole(count.failed),
                stopped: stopped.min(whole(count.failed)),
                checks: failed.map(|(name, n)| (name.to_owned(), n)).collect(),
            }
        };
        let judges = judges.iter().map(|judge| {
            let pods = judge
                .pods
                .iter()
                .map(|(pod, count)| (pod.clone(), read(count)));
            let known = Judge {
                ended: read(&judge.ended),
                pods: pods.collect(),
                away: HashMap::new(),
            };
            (judge.by.clone(), known)
        });
        Counts(judges.collect())
    }

    /// For a status.
    pub fn to_status(&self) -> Vec<JudgeCount> {
        let write = |tally: &Tally| RuleCount {
            checked: shown(tally.checked),
            failed: shown(tally.failed),
            stopped: (tally.failed > 0).then(|| shown(tally.stopped)),
            checks: (tally.checks.iter())
                .map(|(name, n)| (name.clone(), shown(*n)))
                .collect(),
        };
        let judges = self.0.iter();
        judges
            .map(|(by, judge)| JudgeCount {
                by: by.clone(),
                ended: write(&judge.ended),
                pods: (judge.pods.iter())
                    .map(|(pod, tally)| (pod.clone(), write(tally)))
                    .collect(),
            })
            .collect()
    }

    /// One round: what the pods of each object that judges have counted. What objects counted that are gone stays.
    pub fn round(&mut self, heard: &Heard) {
        let none = BTreeMap::new();
        for (by, judge) in &mut self.0 {
            match heard.get(by) {
                Some(Some(pods)) => judge.round(pods),
                Some(None) => {}
                None => judge.round(&none),
            }
        }
        for (by, pods) in heard {
            let Some(pods) = pods else { continue };
            let counted = pods.values().any(|tally| tally.checked > 0);
            if !counted || self.0.contains_key(by) {
                continue;
            }
            if self.0.len() >= JUDGES {
                self.fold(heard);
            }
            if self.0.len() < JUDGES {
                self.0.entry(by.clone()).or_default().round(pods);
            }
        }
    }

    /// Makes room: objects that judge no more become one entry of Sources and one of readers. Not before it is needed, because an
    /// object that comes back with the same pods goes on from its own entry.
    fn fold(&mut self, heard: &Heard) {
        let (mut sources, mut readers) = (Tally::default(), Tally::default());
        self.0.retain(|by, judge| {
            let here = heard.contains_key(by);
            if !here && is_source(by) {
                sources.add(&judge.total());
            } else if !here {
                readers.most(&judge.total());
            }
            here
        });
        for (by, ended) in [(GONE_SOURCES, sources), (GONE_READERS, readers)] {
            if ended.checked > 0 {
                let entry = self.0.entry(by.to_owned()).or_default();
                entry.ended = ended;
            }
        }
    }

    /// What each object has counted that may still judge, and whether that is up to date.
    fn by_judge(&self, heard: &Heard) -> BTreeMap<String, (Count, bool)> {
        let judges = self.0.iter();
        judges
            .filter(|(by, _)| by.as_str() != GONE_SOURCES && by.as_str() != GONE_READERS)
            .map(|(by, judge)| {
                let current = !matches!(heard.get(by), Some(None));
                let count = Count::of(&judge.total());
                (by.clone(), (count, current))
            })
            .collect()
    }

    /// Records, by the rule that the module's head says. `refuses`: a record that fails the check of that name goes no further.
    pub fn total(&self, refuses: impl Fn(&str) -> bool) -> Tally {
        let (mut sources, mut readers) = (Tally::default(), Tally::default());
        for (by, judge) in &self.0 {
            if is_source(by) {
                sources.add(&judge.total());
            } else {
                readers.most(&judge.total());
            }
        }
        let stopped = sources.stopped.min(sources.failed);
        let passed = sources.failed - stopped;
        let mut total = Tally {
            checked: sources.checked.max(stopped.saturating_add(readers.checked)),
            failed: stopped.saturating_add(passed.max(readers.failed)),
            stopped: stopped.saturating_add(readers.stopped),
            checks: BTreeMap::new(),
        };
        let names: BTreeSet<&String> = sources.checks.keys().chain(readers.checks.keys()).collect();
        for name in names {
            let (first, then) = (sources.check(name), readers.check(name));
            // Those that failed it before it refused are among both.
            let failed = if refuses(name) {
                first.saturating_add(then).min(total.failed)
            } else {
                first.max(then)
            };
            total.add_check(name, failed);
        }
        total
    }
}

fn whole(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn shown(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the process remembers of a rule between two looks.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The counts, which the status shows in steps.
    pub counts: Counts,
    /// What was counted from look to look.
    pub growth: Growth,
    /// How it went of late.
    pub window: Window,
    /// When figures were last written, in milliseconds since 1970 UTC.
    pub written_ms: i64,
    /// What windows were like; none: that wasn't read yet.
    pub history: Option<History>,
}

impl Remembered {
    /// One look at what pods have counted; gives the sums that [`Window::note`] takes.
    pub fn round(&mut self, heard: &Heard) -> Sums {
        self.counts.round(heard);
        self.growth.take_in(self.counts.by_judge(heard))
    }
}

/// What the process remembers of rules. A new one goes on from their statuses.
#[derive(Debug, Default)]
pub struct RuleMemory(Mutex<HashMap<Key, (String, Remembered)>>);

impl RuleMemory {
    /// Works on what is remembered of the rule with this UID; `new` says what is known at first.
    pub fn with<T>(
        &self,
        key: &Key,
        uid: &str,
        new: impl FnOnce() -> Remembered,
        work: impl FnOnce(&mut Remembered) -> T,
    ) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(key.clone());
        let (of, remembered) = entry.or_insert_with(|| (String::new(), Remembered::default()));
        if of.as_str() != uid {
            uid.clone_into(of);
            *remembered = new();
        }
        work(remembered)
    }

    /// Forgets a rule that is gone.
    pub fn forget(&self, key: &Key) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key);
    }
}

#[cfg(test)]
mod tests;
