//! How many dead letters an object has had, over the lives of its pods.
//!
//! A pod counts since its process began, and takes its count along when it ends. So what each pod said last is kept, and that
//! of pods that are gone is added up. The status holds both, so that a new leader goes on from there. A pod that is killed takes along
//! what it counted since it was last asked: the sum may be a little less than what is in the topic, and is never more. Offsets of the
//! topic would be no better: transactions' markers have offsets, too, and a stream's dead letters are of all who read it.

use std::collections::{BTreeMap, HashMap};

/// So many ended pods are remembered, in case one was only away.
const REMEMBERED: usize = 64;
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
    /// Pods whose count was added to `ended`.
    away: HashMap<String, u64>,
}

impl Letters {
    /// As a status has them.
    pub fn known(ended: u64, pods: BTreeMap<String, u64>, last_ms: Option<i64>) -> Self {
        Self {
            ended,
            pods,
            last_ms,
            away: HashMap::new(),
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
    fn few_are_shown_exactly() {
        for (count, text) in [(0, 0), (999, 999), (2_793, 2_790), (27_939, 27_900)] {
            assert_eq!(shown(count), text);
        }
    }
}
