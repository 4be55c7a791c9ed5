//! What was judged since the last look, summed up over looks: what health goes by. Pure.
//!
//! A total over the life of a rule can't say how it goes of late: it is that of the reader that judged most, which stands still when
//! that reader is gone, and its failures may be another reader's. So each look adds what the Sources counted more, and what that reader
//! did that counted most since the last one.

use std::collections::BTreeMap;

use super::{Judged, Tally, is_source};

/// Records that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Records that were judged.
    pub checked: u64,
    /// Those that failed at least one check.
    pub failed: u64,
    /// Those of them that went no further.
    pub stopped: u64,
}

/// What was counted by those who take records in and by those who read them: sums that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// By all Sources.
    pub sources: Count,
    /// By that reader in each look that judged most in it.
    pub readers: Count,
}

/// What is remembered between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// What each judge had counted at the last look; none where the status told of it and none of its pods has answered this process
    /// yet: how old what it counted meanwhile is, nobody knows.
    last: BTreeMap<String, Option<Count>>,
    sums: Sums,
}

impl Count {
    /// Of what a judge has counted.
    pub fn of(tally: &Tally) -> Count {
        Count {
            checked: tally.checked,
            failed: tally.failed,
            stopped: tally.stopped,
        }
    }

    fn add(&mut self, more: Count) {
        self.checked = self.checked.saturating_add(more.checked);
        self.failed = self.failed.saturating_add(more.failed);
        self.stopped = self.stopped.saturating_add(more.stopped);
    }

    fn since(self, before: Count) -> Count {
        Count {
            checked: self.checked.saturating_sub(before.checked),
            failed: self.failed.saturating_sub(before.failed),
            stopped: self.stopped.saturating_sub(before.stopped),
        }
    }
}

impl Sums {
    /// What came since an earlier look.
    #[must_use]
    pub fn since(self, before: Sums) -> Sums {
        Sums {
            sources: self.sources.since(before.sources),
            readers: self.readers.since(before.readers),
        }
    }

    /// In records, by the rule that the head of [`super`] says.
    pub fn judged(self) -> Judged {
        let (sources, readers) = (self.sources, self.readers);
        let stopped = sources.stopped.min(sources.failed);
        let passed = sources.failed - stopped;
        Judged {
            checked: sources.checked.max(stopped.saturating_add(readers.checked)),
            failed: stopped.saturating_add(passed.max(readers.failed)),
        }
    }
}

impl Growth {
    /// Takes in what each judge has counted over its life, and whether that is up to date; gives the sums up to now.
    pub fn take_in(&mut self, judges: BTreeMap<String, (Count, bool)>) -> Sums {
        self.last.retain(|by, _| judges.contains_key(by));
        let mut most = Count::default();
        for (by, (count, heard)) in judges {
            if !heard {
                self.last.entry(by).or_default();
                continue;
            }
            let source = is_source(&by);
            let grown = match self.last.insert(by, Some(count)) {
                Some(Some(before)) => count.since(before),
                Some(None) => Count::default(),
                None => count,
            };
            if source {
                self.sums.sources.add(grown);
            } else if grown.checked > most.checked {
                most = grown;
            }
        }
        self.sums.readers.add(most);
        self.sums
    }
}
