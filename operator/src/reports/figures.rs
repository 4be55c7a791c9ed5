//! From pods' reports to the coarse figures that a status shows.
//!
//! A status is written to etcd and sent to every watcher, so figures are rounded (two digits), the
//! last commit moves at most once a minute, and an idle object's figures don't move at all.

use headworks_plan::{Problem, ReplayFigures, Report, StateFigures};

use super::counted::Counted;

/// What a status shows of a running object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coarse {
    /// Records in a second, all pods together.
    pub rate: u64,
    /// Records not read yet, all pods together; absent: no pod knows.
    pub lag: Option<u64>,
    /// How far event time was behind the clock at the last commit, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Last commit, milliseconds since 1970 UTC.
    pub last_commit_ms: Option<i64>,
    /// Records sent to dead letters since the object was made, as far as pods have told ([`super::Letters`]).
    pub dead_letters: u64,
    /// What the pods keep; absent: no pod has said, or the query needs no state.
    pub state: Option<CoarseState>,
    /// How far a Replay is, exactly: it ends. Absent: no pod has said, or it is none.
    pub replay: Option<ReplayFigures>,
    /// What the stages of a Pipeline have counted. Absent: no pod has said.
    pub counted: Option<Counted>,
}

/// What a status shows of a query's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoarseState {
    /// In memory and on disk, all pods together.
    pub bytes: u64,
    /// Keys, all pods together.
    pub keys: u64,
    /// Late rows since the pods' start.
    pub late: u64,
    /// Longest last restore, in milliseconds.
    pub restore_ms: Option<u64>,
    /// Least watermark, milliseconds since 1970 UTC, rounded down to a minute.
    pub watermark_ms: Option<i64>,
    /// A key that has most of a pod's rows.
    pub hot_key: Option<String>,
    /// The partition of an input that the watermark waits for.
    pub waits_for: Option<String>,
}

/// A minute: how often a last commit may move, and the step of a watermark.
const COMMIT_STEP_MS: i64 = 60_000;

/// The figures to show, given those shown before.
pub fn coarse(before: Option<&Coarse>, reports: &[&Report]) -> Coarse {
    let all = reports.iter().map(|r| &r.figures);
    // Whatever a report holds: `clean` has bounded it, and nothing here relies on that.
    let rate: f64 = all.clone().map(|f| f.rate.max(0.0)).sum();
    let lag = all
        .clone()
        .filter_map(|f| f.lag)
        .reduce(u64::saturating_add);
    let committed = all.clone().filter_map(|f| f.last_commit_ms).max();
    let dead_letters = two_digits(
        all.clone()
            .map(|f| f.dead_letters)
            .fold(0, u64::saturating_add),
    );
    let event_time = all.filter_map(|f| f.max_event_time_ms).max();
    let last_commit_ms = match (before.and_then(|b| b.last_commit_ms), committed) {
        (Some(shown), Some(now)) if now.saturating_sub(shown) < COMMIT_STEP_MS && now >= shown => {
            Some(shown)
        }
        (shown, now) => now.or(shown),
    };
    let delay_ms = match (committed, event_time) {
        (Some(commit), Some(event)) => Some(round_delay(
            u64::try_from(commit.saturating_sub(event)).unwrap_or(0),
        )),
        _ => before.and_then(|b| b.delay_ms),
    };
    Coarse {
        rate: two_digits(rate.round() as u64),
        lag: lag.map(two_digits).or(before.and_then(|b| b.lag)),
        delay_ms,
        last_commit_ms,
        dead_letters,
        state: state(before.and_then(|b| b.state.as_ref()), reports),
        replay: replay(before, reports),
        counted: before.and_then(|b| b.counted.clone()),
    }
}

/// Of several, such as one that ends and one that begins, the one that is further.
fn replay(before: Option<&Coarse>, reports: &[&Report]) -> Option<ReplayFigures> {
    let all = reports.iter().filter_map(|r| r.figures.replay.as_ref());
    let furthest = all.max_by_key(|figures| (figures.complete, figures.done));
    furthest
        .or_else(|| before.and_then(|b| b.replay.as_ref()))
        .cloned()
}

/// The state to show, given the one shown before.
fn state(before: Option<&CoarseState>, reports: &[&Report]) -> Option<CoarseState> {
    let all: Vec<&StateFigures> = reports
        .iter()
        .filter_map(|r| r.figures.state.as_ref())
        .collect();
    if all.is_empty() {
        return before.cloned();
    }
    let sum = |of: fn(&StateFigures) -> u64| {
        all.iter()
            .map(|figures| of(figures))
            .fold(0, u64::saturating_add)
    };
    let watermark = all.iter().filter_map(|f| f.watermark_ms).min();
    // Of several, the one shown before: pods answer in any order.
    let steady = |shown: Option<&String>, of: fn(&StateFigures) -> Option<&String>| {
        let said = || all.iter().filter_map(|figures| of(figures));
        let again = shown.filter(|shown| said().any(|key| key == *shown));
        again.or_else(|| said().min()).cloned()
    };
    Some(CoarseState {
        bytes: round_size(sum(|f| f.memory_bytes.saturating_add(f.disk_bytes))),
        keys: two_digits(sum(|f| f.keys)),
        late: two_digits(sum(|f| f.late)),
        restore_ms: all
            .iter()
            .filter_map(|f| f.restore_ms)
            .max()
            .map(round_delay),
        watermark_ms: watermark.and_then(to_the_minute),
        hot_key: steady(before.and_then(|b| b.hot_key.as_ref()), |f| {
            f.hot_key.as_ref()
        }),
        waits_for: steady(before.and_then(|b| b.waits_for.as_ref()), |f| {
            f.waits_for.as_ref()
        }),
    })
}

/// Rounds down to a minute; none where no minute is below.
fn to_the_minute(ms: i64) -> Option<i64> {
    ms.div_euclid(COMMIT_STEP_MS).checked_mul(COMMIT_STEP_MS)
}

/// Whether the change is worth a write: idle noise isn't.
pub fn worth_writing(before: &Coarse, now: &Coarse) -> bool {
    before != now
}

/// Rounds to two significant digits: 12 345 → 12 000.
fn two_digits(number: u64) -> u64 {
    let mut unit = 1_u64;
    while number / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    number / unit * unit
}

/// Rounds a size to two digits of its binary unit: 1.2Gi, 340Mi. Below a kibibyte it is nothing.
fn round_size(bytes: u64) -> u64 {
    let Some(unit) = [40, 30, 20, 10]
        .into_iter()
        .map(|shift| 1_u64 << shift)
        .find(|unit| bytes >= *unit)
    else {
        return 0;
    };
    if bytes / unit >= 10 {
        two_digits(bytes / unit) * unit
    } else {
        // In thousandths, as quantities are read. Below ten units of 2^40 nothing of it leaves 64 bits.
        bytes / (unit / 10) * 100 * unit / 1_000
    }
}

/// Rounds a delay: below a second to 100 ms, below a minute to a second, above to a minute.
pub(super) fn round_delay(ms: u64) -> u64 {
    let unit = match ms {
        0..1_000 => 100,
        1_000..60_000 => 1_000,
        _ => 60_000,
    };
    ms / unit * unit
}

/// Of the problems that count, the one to show first: a fatal one before others; of equals the one most pods have,
/// then by name.
pub fn worst<'a>(
    reports: impl Iterator<Item = &'a Report>,
    counts_here: impl Fn(&Problem) -> bool,
) -> Option<Problem> {
    let mut counts: Vec<(Problem, usize)> = Vec::new();
    for problem in reports
        .flat_map(|r| &r.problems)
        .filter(|problem| counts_here(problem))
    {
        match counts
            .iter_mut()
            .find(|(known, _)| known.reason == problem.reason && known.fatal == problem.fatal)
        {
            Some((_, count)) => *count += 1,
            None => counts.push((problem.clone(), 1)),
        }
    }
    counts.sort_by(|(a, n), (b, m)| (b.fatal, m, &a.reason).cmp(&(a.fatal, n, &b.reason)));
    counts.into_iter().next().map(|(problem, _)| problem)
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Figures, Reason};

    use super::*;

    fn report(rate: f64, lag: Option<u64>, commit: Option<i64>, event: Option<i64>) -> Report {
        Report {
            figures: Figures {
                rate,
                lag,
                last_commit_ms: commit,
                max_event_time_ms: event,
                ..Figures::default()
            },
            ..Report::default()
        }
    }

    #[test]
    fn pods_add_up_and_are_rounded() {
        let reports = [
            report(1234.4, Some(70), Some(5_000), Some(4_200)),
            report(1000.0, Some(80), None, None),
        ];
        let figures = coarse(None, &reports.iter().collect::<Vec<_>>());
        assert_eq!(
            figures,
            Coarse {
                rate: 2200,
                lag: Some(150),
                delay_ms: Some(800),
                last_commit_ms: Some(5_000),
                dead_letters: 0,
                state: None,
                replay: None,
                counted: None,
            }
        );
    }

    fn keeping(state: StateFigures) -> Report {
        Report {
            figures: Figures {
                state: Some(state),
                ..Figures::default()
            },
            ..Report::default()
        }
    }

    #[test]
    fn states_add_up_and_the_slowest_pod_s_watermark_counts() {
        let one = StateFigures {
            memory_bytes: 300 << 20,
            disk_bytes: 1 << 30,
            keys: 1_234_567,
            late: 3,
            restore_ms: Some(3_700),
            watermark_ms: Some(119_999),
            hot_key: Some("b".into()),
            waits_for: Some("payments[1]".into()),
        };
        let other = StateFigures {
            memory_bytes: 45 << 20,
            keys: 10,
            watermark_ms: Some(200_000),
            hot_key: Some("a".into()),
            ..StateFigures::default()
        };
        let reports = [keeping(one), keeping(other)];
        let now = coarse(None, &[&reports[0], &reports[1]]).state.unwrap();
        assert_eq!(
            (now.keys, now.late, now.restore_ms, now.watermark_ms),
            (1_200_000, 3, Some(3_000), Some(60_000))
        );
        assert_eq!(now.bytes, 1_395_864_371, "1.3Gi");
        assert_eq!(now.hot_key.as_deref(), Some("a"));
        assert_eq!(now.waits_for.as_deref(), Some("payments[1]"));
        // The pods answer in another order, and nothing has moved by much.
        let before = Coarse {
            state: Some(CoarseState {
                hot_key: Some("b".into()),
                ..now.clone()
            }),
            ..Coarse::default()
        };
        let again = coarse(Some(&before), &[&reports[1], &reports[0]]);
        assert_eq!(again.state, before.state);
        // Pods that have just started say nothing yet.
        let silent = coarse(Some(&before), &[&Report::default()]);
        assert_eq!(silent.state, before.state);
    }

    #[test]
    fn the_least_and_the_largest_numbers_are_rounded_too() {
        assert_eq!(to_the_minute(i64::MIN), None);
        assert_eq!(to_the_minute(-1), Some(-60_000));
        assert_eq!(to_the_minute(i64::MAX), Some(i64::MAX / 60_000 * 60_000));
        assert_eq!(two_digits(u64::MAX), 18_000_000_000_000_000_000);
        assert_eq!(round_size(u64::MAX), (16_000_000 << 40));
        assert_eq!(round_delay(u64::MAX), u64::MAX / 60_000 * 60_000);
        let extreme = |n: i64| {
            let state = StateFigures {
                memory_bytes: u64::MAX,
                disk_bytes: u64::MAX,
                keys: u64::MAX,
                late: u64::MAX,
                restore_ms: Some(u64::MAX),
                watermark_ms: Some(n),
                hot_key: None,
                waits_for: None,
            };
            let mut report = report(f64::MAX, Some(u64::MAX), Some(n), Some(n.wrapping_neg()));
            report.figures.dead_letters = u64::MAX;
            report.figures.state = Some(state);
            report
        };
        for n in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX] {
            let reports = [extreme(n), extreme(i64::MIN), extreme(i64::MAX)];
            let all: Vec<&Report> = reports.iter().collect();
            let first = coarse(None, &all);
            coarse(Some(&first), &all[1..]);
            coarse(Some(&first), &all[..1]);
        }
    }

    #[test]
    fn sizes_are_rounded_down_to_two_digits() {
        for (bytes, rounded) in [
            (0, 0),
            (1_023, 0),
            (1_024, 1_024),
            ((1 << 20) + 70_000, 1 << 20),
            (345 << 20, 340 << 20),
            (1_023 << 20, 1_000 << 20),
        ] {
            assert_eq!(round_size(bytes), rounded);
        }
    }

    #[test]
    fn the_last_commit_moves_at_most_once_a_minute() {
        let before = Coarse {
            last_commit_ms: Some(100_000),
            ..Coarse::default()
        };
        assert_eq!(
            coarse(Some(&before), &[&report(0.0, None, Some(159_000), None)]).last_commit_ms,
            Some(100_000)
        );
        assert_eq!(
            coarse(Some(&before), &[&report(0.0, None, Some(160_000), None)]).last_commit_ms,
            Some(160_000)
        );
    }

    #[test]
    fn an_idle_pipeline_changes_nothing() {
        let idle = report(0.0, Some(0), Some(100_000), Some(90_000));
        let first = coarse(None, &[&idle]);
        assert!(!worth_writing(&first, &coarse(Some(&first), &[&idle])));
    }

    #[test]
    fn a_restarted_pod_that_committed_nothing_yet_takes_nothing_back() {
        let before = Coarse {
            rate: 5,
            lag: Some(3),
            delay_ms: Some(100),
            last_commit_ms: Some(7),
            ..Coarse::default()
        };
        let now = coarse(Some(&before), &[&report(0.0, None, None, None)]);
        assert_eq!(
            (now.lag, now.delay_ms, now.last_commit_ms),
            (Some(3), Some(100), Some(7))
        );
    }

    #[test]
    fn a_fatal_problem_is_shown_before_a_frequent_one() {
        let problem = |reason: Reason, fatal| Problem::new(reason, "", fatal);
        let reports = [
            Report {
                problems: vec![problem(Reason::KafkaUnavailable, false)],
                ..Report::default()
            },
            Report {
                problems: vec![
                    problem(Reason::KafkaUnavailable, false),
                    problem(Reason::DataLost, true),
                ],
                ..Report::default()
            },
        ];
        assert_eq!(worst(reports.iter(), |_| true).unwrap().reason, "DataLost");
    }
}
