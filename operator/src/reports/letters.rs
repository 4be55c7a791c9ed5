//! How many dead letters an object has had, over the lives of its pods.
//!
//! A pod counts since its process began, and takes its count along when it ends. So what each pod said last is kept, and that
//! of pods that are gone is added up. The status holds both, so that a new leader goes on from there. A pod that is killed takes along
//! what it counted since it was last asked: the sum may be a little less than what is in the topic, and is never more. Offsets of the
//! topic would be no better: transactions' markers have offsets, too, and a stream's dead letters are of all who read it.

use std::collections::{BTreeMap, HashMap};

use headworks_plan::{LastDeadLetter, ReasonCount};

/// So many ended pods are remembered, in case one was only away.
const REMEMBERED: usize = 64;
/// So many reasons are told apart: there are fewer, but a pod may say anything.
const REASONS: usize = 16;
/// How often the time of the last one may move, in milliseconds.
const STEP_MS: i64 = 60_000;

/// One object's dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// Those of processes that are gone.
    pub ended: u64,
    /// What each pod has counted, by UID; nothing of pods that have none.
    pub pods: BTreeMap<String, u64>,
    /// When the sum last grew, milliseconds since 1970 UTC.
    pub last_ms: Option<i64>,
    /// Those of each reason.
    pub reasons: BTreeMap<String, Letters>,
    /// The last one, as it was when `last_ms` moved.
    pub last: Option<LastDeadLetter>,
    /// Pods whose count was added to `ended`.
    away: HashMap<String, u64>,
}

/// What one pod has counted since its process began.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodLetters<'a> {
    /// All of them.
    pub total: u64,
    /// Those of each reason.
    pub reasons: &'a [ReasonCount],
    /// The last one.
    pub last: Option<&'a LastDeadLetter>,
}

impl Letters {
    /// As a status has them.
    pub fn known(ended: u64, pods: BTreeMap<String, u64>, last_ms: Option<i64>) -> Self {
        Self {
            ended,
            pods,
            last_ms,
            ..Self::default()
        }
    }

    /// One round: what each pod that is there has counted, all in all and of each reason.
    pub fn take_in(&mut self, pods: &BTreeMap<&str, PodLetters<'_>>, now_ms: i64) {
        let last_ms = self.last_ms;
        let totals = pods.iter().map(|(pod, said)| (*pod, said.total));
        self.round(&totals.collect(), now_ms);
        if self.last_ms != last_ms {
            let last = pods.values().filter_map(|said| said.last);
            self.last = last.max_by_key(|last| last.at_ms).cloned();
        }
        let said = pods.values().flat_map(|said| said.reasons);
        for one in said.filter(|one| one.count > 0) {
            if self.reasons.len() < REASONS && !self.reasons.contains_key(&one.reason) {
                self.reasons.insert(one.reason.clone(), Self::default());
            }
        }
        for (reason, letters) in &mut self.reasons {
            let counts = pods.iter().map(|(pod, said)| {
                let of_reason = said.reasons.iter().filter(|one| one.reason == *reason);
                let count = of_reason.map(|one| one.count).fold(0, u64::saturating_add);
                (*pod, count)
            });
            letters.round(&counts.collect(), now_ms);
        }
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        let pods = self.pods.values().copied();
        pods.fold(self.ended, u64::saturating_add)
    }

    /// One round: what each pod that is there has counted. A pod that isn't among them has ended.
    pub fn round(&mut self, counts: &BTreeMap<&str, u64>, now_ms: i64) {
        let before = self.total();
        let gone: Vec<String> = self
            .pods
            .keys()
            .filter(|pod| !counts.contains_key(pod.as_str()))
            .cloned()
            .collect();
        for pod in gone {
            if let Some(count) = self.pods.remove(&pod) {
                self.ended = self.ended.saturating_add(count);
                if self.away.len() >= REMEMBERED {
                    self.away.clear();
                }
                self.away.insert(pod, count);
            }
        }
        for (pod, count) in counts {
            if let Some(added) = self.away.remove(*pod) {
                self.ended = self.ended.saturating_sub(added);
                self.pods.insert((*pod).to_owned(), added);
            }
            let last = self.pods.get(*pod).copied().unwrap_or(0);
            if *count < last {
                // Its container began anew.
                self.ended = self.ended.saturating_add(last);
            }
            if *count > 0 {
                self.pods.insert((*pod).to_owned(), *count);
            } else {
                self.pods.remove(*pod);
            }
        }
        let moves = self.last_ms.is_none_or(|last| now_ms - last >= STEP_MS);
        if self.total() > before && moves {
            self.last_ms = Some(now_ms);
        }
    }
}

/// As a status shows a count: as it is below a thousand, else rounded down to three digits.
pub fn shown(count: u64) -> u64 {
    let mut unit = 1;
    while count / unit >= 1_000 {
        unit *= 10;
    }
    count / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(letters: &mut Letters, counts: &[(&str, u64)], now_ms: i64) -> u64 {
        letters.round(&counts.iter().copied().collect(), now_ms);
        letters.total()
    }

    #[test]
    fn the_sum_goes_on_over_pods_that_end_and_processes_that_begin_anew() {
        let mut letters = Letters::default();
        assert_eq!(round(&mut letters, &[("a", 5), ("b", 0)], 0), 5);
        assert_eq!(round(&mut letters, &[("a", 7), ("b", 2)], 0), 9);
        // a is killed, and another pod takes its place.
        assert_eq!(round(&mut letters, &[("b", 2), ("c", 1)], 0), 10);
        // b's container is killed and begins at nothing.
        assert_eq!(round(&mut letters, &[("b", 0), ("c", 1)], 0), 10);
        assert_eq!(round(&mut letters, &[("b", 3), ("c", 1)], 0), 13);
        // All are taken away.
        assert_eq!(round(&mut letters, &[], 0), 13);
        assert!(letters.pods.is_empty());
    }

    #[test]
    fn a_pod_that_was_only_away_is_not_counted_twice() {
        let mut letters = Letters::default();
        round(&mut letters, &[("a", 5)], 0);
        assert_eq!(round(&mut letters, &[], 0), 5);
        assert_eq!(round(&mut letters, &[("a", 6)], 0), 6);
        round(&mut letters, &[], 0);
        // Away, and its container began anew meanwhile.
        assert_eq!(round(&mut letters, &[("a", 1)], 0), 7);
    }

    #[test]
    fn a_new_leader_goes_on_from_what_the_status_says() {
        let mut letters = Letters::default();
        round(&mut letters, &[("a", 700), ("b", 30)], 1_000);
        round(&mut letters, &[("b", 40)], 2_000);
        let mut next = Letters::known(letters.ended, letters.pods.clone(), letters.last_ms);
        // b ended while nobody led; c came.
        assert_eq!(round(&mut next, &[("c", 2)], 3_000), 742);
    }

    #[test]
    fn the_time_of_the_last_one_moves_once_a_minute_and_only_if_there_was_one() {
        let mut letters = Letters::default();
        round(&mut letters, &[("a", 0)], 5);
        assert_eq!(letters.last_ms, None);
        round(&mut letters, &[("a", 1)], 10);
        round(&mut letters, &[("a", 2)], 20_000);
        assert_eq!(letters.last_ms, Some(10));
        round(&mut letters, &[("a", 2)], 90_000);
        assert_eq!(letters.last_ms, Some(10));
        round(&mut letters, &[("a", 3)], 100_000);
        assert_eq!(letters.last_ms, Some(100_000));
    }

    #[test]
    fn each_reason_goes_on_over_the_lives_of_pods() {
        let count = |reason: &str, count| ReasonCount {
            reason: reason.to_owned(),
            count,
        };
        let last = |at_ms| LastDeadLetter {
            reason: "Decode".to_owned(),
            at_ms,
            place: Some("t[0]@7".to_owned()),
        };
        let (a, b) = ([count("Decode", 3), count("Late", 2)], [count("Decode", 4)]);
        let (before, now) = (last(10), last(20));
        let pod = |total, reasons, last| PodLetters {
            total,
            reasons,
            last,
        };
        let of = |letters: &Letters, reason: &str| letters.reasons[reason].total();
        let mut letters = Letters::default();
        let both = [
            ("a", pod(5, &a[..], Some(&now))),
            ("b", pod(4, &b[..], Some(&before))),
        ];
        letters.take_in(&both.into(), 100);
        assert_eq!((of(&letters, "Decode"), of(&letters, "Late")), (7, 2));
        assert_eq!(letters.last, Some(last(20)));
        // a has ended; b says nothing new.
        letters.take_in(&[("b", pod(4, &b[..], Some(&before)))].into(), 200);
        assert_eq!((of(&letters, "Decode"), of(&letters, "Late")), (7, 2));
        assert_eq!(letters.last, Some(last(20)), "there was none since");
        // A pod that invents reasons takes bounded room.
        let invented: Vec<ReasonCount> = (0..50).map(|n| count(&format!("R{n}"), 1)).collect();
        letters.take_in(&[("c", pod(50, &invented, None))].into(), 300);
        assert_eq!(letters.reasons.len(), REASONS);
    }

    #[test]
    fn few_are_shown_exactly() {
        for (count, text) in [(0, 0), (999, 999), (2_793, 2_790), (27_939, 27_900)] {
            assert_eq!(shown(count), text);
        }
    }
}
