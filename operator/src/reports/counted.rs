//! What the stages of a Pipeline have counted, all pods together, and when that may be believed.
//!
//! Pods are asked one after another. Where a partition has just gone from one to another, both tell of it, or neither does; so sums
//! count once nothing has moved for a while. That something is missing is told at once.

use std::time::{Duration, Instant};

use headworks_plan::{CountsBegun, Phase, Report, StageCounts};

/// Without a move of a partition for so long, every pod has been asked since.
const SETTLED_AFTER: Duration = Duration::from_secs(20);
/// How often counts move by themselves.
const MOVES_EVERY: Duration = Duration::from_secs(60);
/// What began within this time, in milliseconds, began together: pods take up their partitions one after another.
const TOGETHER_MS: i64 = 60_000;

/// What the stages have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The sums over all pods, in the stages' order; without those of single partitions.
    pub stages: Vec<StageCounts>,
    /// The sums are those of all partitions.
    pub settled: bool,
    /// A pod is at work that counts nothing: it is of an earlier release.
    pub older: bool,
}

impl Counted {
    /// What is worth being told at once.
    fn trouble(&self) -> impl PartialEq {
        let of = |stage: &StageCounts| {
            let begun = stage.begun.as_ref().map(|begun| begun.at_ms);
            let table = stage.table.as_ref();
            let differs = table.map(|table| table.rows.cmp(&table.expected));
            (stage.missing, stage.extra, begun, differs)
        };
        let stages: Vec<_> = self.stages.iter().map(of).collect();
        (stages, self.older)
    }
}

/// Adds up what pods say; none, where none of them counts.
pub fn add_up(reports: &[&Report]) -> Option<Counted> {
    let mut stages: Vec<StageCounts> = Vec::new();
    for counts in reports.iter().flat_map(|report| &report.figures.counts) {
        let same =
            |known: &&mut StageCounts| known.stage == counts.stage && known.group == counts.group;
        match stages.iter_mut().find(same) {
            Some(known) => add(known, counts),
            None => stages.push(counts.clone()),
        }
    }
    stages.sort_by(|a, b| (&a.stage, &a.group).cmp(&(&b.stage, &b.group)));
    let counts = |report: &&Report| !report.figures.counts.is_empty();
    let older = reports
        .iter()
        .any(|report| report.phase == Phase::Running && !counts(report));
    (!stages.is_empty()).then_some(Counted {
        stages,
        settled: false,
        older,
    })
}

fn add(all: &mut StageCounts, more: &StageCounts) {
    for (sum, more) in [
        (&mut all.position, more.position),
        (&mut all.counted, more.counted),
        (&mut all.read, more.read),
        (&mut all.dropped, more.dropped),
        (&mut all.dead_letters, more.dead_letters),
        (&mut all.written, more.written),
        (&mut all.missing, more.missing),
        (&mut all.extra, more.extra),
    ] {
        *sum = sum.saturating_add(more);
    }
    all.owned = all.owned.saturating_add(more.owned);
    all.began_ms = all.began_ms.max(more.began_ms);
    all.table = all.table.take().or_else(|| more.table.clone());
    if all.place.is_none() {
        all.place.clone_from(&more.place);
    }
    all.begun = match (all.begun.take(), more.begun.clone()) {
        (Some(one), Some(other)) => Some(later(one, other)),
        (one, other) => one.or(other),
    };
}

/// The later of two; what began together is counted together.
fn later(one: CountsBegun, other: CountsBegun) -> CountsBegun {
    let (mut later, earlier) = if other.at_ms > one.at_ms {
        (other, one)
    } else {
        (one, other)
    };
    if later.at_ms.saturating_sub(earlier.at_ms) <= TOGETHER_MS {
        later.partitions = later.partitions.saturating_add(earlier.partitions);
    }
    later
}

/// What is remembered of an object's counts from one look to the next.
#[derive(Debug, Default)]
pub struct Counting {
    /// How many partitions each stage had, and since when.
    owned: Option<(Vec<u32>, Instant)>,
    /// When counts were let through last.
    moved: Option<Instant>,
}

impl Counting {
    /// The counts to show now, given those shown before. `whole`: every pod has answered, and is at work. `beside`: other figures
    /// are shown anew, so these may be, too.
    pub fn pace(
        &mut self,
        before: Option<&Counted>,
        latest: Option<Counted>,
        (whole, beside): (bool, bool),
        now: Instant,
    ) -> Option<Counted> {
        let Some(mut latest) = latest else {
            return before.cloned();
        };
        let owned: Vec<u32> = latest.stages.iter().map(|stage| stage.owned).collect();
        match &self.owned {
            Some((known, _)) if whole && *known == owned => {}
            _ => self.owned = whole.then_some((owned, now)),
        }
        let since = self.owned.as_ref().map(|(_, since)| *since);
        latest.settled = !latest.older
            && since.is_some_and(|since| now.saturating_duration_since(since) >= SETTLED_AFTER);
        let Some(before) = before else {
            self.moved = Some(now);
            return Some(latest);
        };
        let due = |at: Instant| now.saturating_duration_since(at) >= MOVES_EVERY;
        let moves = before.trouble() != latest.trouble()
            || (latest.settled && (!before.settled || beside || self.moved.is_none_or(due)));
        if !moves || *before == latest {
            return Some(before.clone());
        }
        self.moved = Some(now);
        Some(latest)
    }
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Figures, TableCounts};

    use super::*;

    fn counts(stage: &str, owned: u32, read: u64) -> StageCounts {
        StageCounts {
            stage: stage.into(),
            group: format!("g.{stage}"),
            owned,
            read,
            began_ms: Some(1_000),
            ..StageCounts::default()
        }
    }

    fn report(phase: Phase, counts: Vec<StageCounts>) -> Report {
        Report {
            phase,
            figures: Figures {
                counts,
                ..Figures::default()
            },
            ..Report::default()
        }
    }

    #[test]
    fn pods_add_up_stage_by_stage() {
        let begun = |at_ms, partitions| {
            Some(CountsBegun {
                at_ms,
                fresh: false,
                partitions,
                place: format!("t[0]@{at_ms}"),
            })
        };
        let one = StageCounts {
            begun: begun(500, 2),
            ..counts("streams", 2, 10)
        };
        let other = StageCounts {
            begun: begun(900, 1),
            began_ms: Some(2_000),
            missing: 3,
            place: Some("t[1]@7".into()),
            table: Some(TableCounts::default()),
            ..counts("streams", 1, u64::MAX)
        };
        let reports = [
            report(Phase::Running, vec![one, counts("exchange", 1, 4)]),
            report(Phase::Starting, vec![other]),
        ];
        let all = add_up(&reports.iter().collect::<Vec<_>>()).unwrap();
        assert!(!all.older);
        let names: Vec<&str> = all.stages.iter().map(|s| s.stage.as_str()).collect();
        assert_eq!(names, ["exchange", "streams"]);
        let sum = &all.stages[1];
        assert_eq!((sum.owned, sum.read, sum.missing), (3, u64::MAX, 3));
        assert_eq!(
            (sum.began_ms, sum.place.as_deref()),
            (Some(2_000), Some("t[1]@7"))
        );
        assert_eq!(sum.begun, begun(900, 3));
        assert!(sum.table.is_some());
    }

    #[test]
    fn a_pod_at_work_that_counts_nothing_is_an_older_one_and_one_that_starts_isnt() {
        let counting = report(Phase::Running, vec![counts("streams", 1, 1)]);
        let older = |phase| {
            add_up(&[&counting, &report(phase, Vec::new())])
                .unwrap()
                .older
        };
        assert!(older(Phase::Running) && !older(Phase::Starting));
        assert_eq!(add_up(&[&report(Phase::Running, Vec::new())]), None);
    }

    #[test]
    fn sums_count_once_no_partition_has_moved_and_trouble_at_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut counting = Counting::default();
        let one = |read, missing| Counted {
            stages: vec![StageCounts {
                missing,
                ..counts("streams", 2, read)
            }],
            ..Counted::default()
        };
        let mut shown = None;
        let mut look = |latest: Option<Counted>, whole, beside, seconds| {
            shown = counting.pace(shown.as_ref(), latest, (whole, beside), at(seconds));
            let counted: &Counted = shown.as_ref().unwrap();
            (
                counted.settled,
                counted.stages[0].read,
                counted.stages[0].missing,
            )
        };
        assert_eq!(look(Some(one(1, 0)), true, true, 0), (false, 1, 0));
        assert_eq!(look(Some(one(2, 0)), true, true, 10), (false, 1, 0));
        assert_eq!(
            look(Some(one(3, 0)), true, false, 20),
            (true, 3, 0),
            "it is settled"
        );
        assert_eq!(look(Some(one(4, 0)), true, false, 25), (true, 3, 0));
        assert_eq!(
            look(Some(one(4, 0)), true, true, 30),
            (true, 4, 0),
            "beside others"
        );
        assert_eq!(
            look(Some(one(5, 0)), true, false, 90),
            (true, 5, 0),
            "after a minute"
        );
        // A pod ends, and its partition is told of twice.
        assert_eq!(look(Some(one(9, 0)), false, true, 95), (true, 5, 0));
        assert_eq!(look(None, false, true, 96), (true, 5, 0));
        assert_eq!(
            look(Some(one(6, 7)), false, false, 97),
            (false, 6, 7),
            "at once"
        );
        assert_eq!(look(Some(one(6, 7)), true, true, 100), (false, 6, 7));
        assert_eq!(look(Some(one(6, 7)), true, true, 121), (true, 6, 7));
    }
}
