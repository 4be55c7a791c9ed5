//! Dead letters by reason, and the last of them.

use headworks_plan::{DeadLetterReason, Figures, LastDeadLetter, ReasonCount};

/// What one committed transaction (or one acknowledged batch) made dead letters, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonTally {
    counts: Vec<ReasonCount>,
    last: Option<LastDeadLetter>,
}

impl ReasonTally {
    /// Counts one. `place`: where its record was read, `topic[partition]@offset`.
    pub fn add(&mut self, reason: DeadLetterReason, at_ms: i64, place: Option<String>) {
        count(&mut self.counts, reason.as_str(), 1);
        self.last = Some(LastDeadLetter {
            reason: reason.as_str().to_owned(),
            at_ms,
            place,
        });
    }

    /// Adds what came later.
    pub fn add_all(&mut self, later: ReasonTally) {
        for one in later.counts {
            count(&mut self.counts, &one.reason, one.count);
        }
        self.last = later.last.or(self.last.take());
    }

    pub(super) fn add_to(&self, figures: &mut Figures) {
        for one in &self.counts {
            count(&mut figures.dead_letters_by_reason, &one.reason, one.count);
        }
        if self.last.is_some() {
            figures.last_dead_letter.clone_from(&self.last);
        }
    }
}

fn count(counts: &mut Vec<ReasonCount>, reason: &str, more: u64) {
    match counts.iter_mut().find(|one| one.reason == reason) {
        Some(known) => known.count += more,
        None => counts.push(ReasonCount {
            reason: reason.to_owned(),
            count: more,
        }),
    }
}

/// What two parts of a pod have made dead letters.
pub(super) fn both(
    mut counts: Vec<ReasonCount>,
    more: Vec<ReasonCount>,
    last: [Option<LastDeadLetter>; 2],
) -> (Vec<ReasonCount>, Option<LastDeadLetter>) {
    for one in more {
        count(&mut counts, &one.reason, one.count);
    }
    let last = last.into_iter().flatten().max_by_key(|last| last.at_ms);
    (counts, last)
}

#[cfg(test)]
mod tests {
    use super::super::{Progress, StatusHandle};
    use super::*;

    fn progress(reasons: &[(DeadLetterReason, i64)]) -> Progress {
        let mut progress = Progress {
            dead_letters: reasons.len() as u64,
            ..Progress::default()
        };
        for (reason, at_ms) in reasons {
            let place = Some(format!("t[0]@{at_ms}"));
            progress.reasons.add(*reason, *at_ms, place);
        }
        progress
    }

    #[test]
    fn commits_and_parts_add_up_by_reason_and_the_last_one_is_kept() {
        use DeadLetterReason::{Decode, Late, TooLarge};
        let pod = StatusHandle::new();
        let (a, b) = (pod.part(), pod.part());
        a.committed(&progress(&[(Decode, 1), (Late, 2), (Decode, 3)]), 5);
        a.committed(&progress(&[(Decode, 7)]), 8);
        // A commit without any leaves the last one as it is.
        a.committed(&Progress::default(), 9);
        b.committed(&progress(&[(TooLarge, 6), (Late, 4)]), 6);
        let figures = pod.report().figures;
        let counts = figures.dead_letters_by_reason.iter();
        let counts: Vec<_> = counts.map(|one| (one.reason.as_str(), one.count)).collect();
        assert_eq!(counts, [("Decode", 3), ("Late", 2), ("TooLarge", 1)]);
        assert_eq!(figures.dead_letters, 6);
        let last = figures.last_dead_letter.unwrap();
        assert_eq!((last.reason.as_str(), last.at_ms), ("Decode", 7));
        assert_eq!(last.place.as_deref(), Some("t[0]@7"));
    }

    #[test]
    fn what_came_later_is_added() {
        let mut all = progress(&[(DeadLetterReason::Decode, 1)]).reasons;
        all.add_all(progress(&[(DeadLetterReason::Late, 2)]).reasons);
        all.add_all(ReasonTally::default());
        let mut figures = Figures::default();
        all.add_to(&mut figures);
        assert_eq!(figures.dead_letters_by_reason.len(), 2);
        assert_eq!(figures.last_dead_letter.unwrap().reason, "Late");
    }
}
