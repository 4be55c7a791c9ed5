//! What a pipeline says of itself: shared between the engine's thread, which writes at commits, and
//! whoever serves `/status` and `/metrics`, who read whenever they like.
//!
//! The engine writes a few times a second at most and never per record, so one short mutex is enough;
//! it is never held across a poll or a call to a broker.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use headworks_plan::{
    ComparisonFigures, Figures, PartitionFigure, Phase, Problem, ReplayFigures, Report,
    ReportedReason, RuleFigures, StageCounts, StateFigures, VerdictFigures,
};

/// The rate is an exponentially weighted mean with this time constant, in seconds.
const RATE_WINDOW_S: f64 = 10.0;

/// A handle on the status; clones share it.
#[derive(Clone, Debug)]
pub struct StatusHandle(Arc<Mutex<Inner>>);

mod dead_letters;
mod merge;
mod pulse;

pub use dead_letters::ReasonTally;
pub use pulse::{OfThisThread, Pulse, alive};

#[derive(Debug)]
struct Inner {
    phase: Phase,
    server_version: Option<String>,
    problems: Vec<Problem>,
    figures: Figures,
    rate: Rate,
    late: u64,
    repartition_records: u64,
    /// The stage that it is of, and its group.
    stage: (String, String),
    /// The parts that report to this one.
    parts: Vec<StatusHandle>,
    pulses: Vec<Pulse>,
}

/// What one committed transaction (or one acknowledged batch) added. Counted when it is committed, so an aborted
/// transaction is never counted and its records are not counted twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub records_in: u64,
    /// Records written to outputs.
    pub records_out: u64,
    /// Records sent to dead-letter topics.
    pub dead_letters: u64,
    /// The same by reason, and the last of them.
    pub reasons: ReasonTally,
    /// Records counted and dropped.
    pub dropped: u64,
    /// Largest event time among the records, milliseconds since 1970 UTC.
    pub max_event_time_ms: Option<i64>,
    /// Rows that came too late for every window; each is a dead letter or dropped besides.
    pub late: u64,
    /// Records written to the repartition topic.
    pub repartition_records: u64,
    /// What quality rules counted.
    pub rules: Vec<RuleFigures>,
    /// What windows were found to be by a QualityRule.
    pub verdicts: Option<VerdictFigures>,
}

impl Default for StatusHandle {
    fn default() -> StatusHandle {
        StatusHandle::new()
    }
}

impl StatusHandle {
    /// A status in phase `Starting` without problems.
    pub fn new() -> StatusHandle {
        StatusHandle(Arc::new(Mutex::new(Inner {
            phase: Phase::Starting,
            server_version: None,
            problems: Vec::new(),
            figures: Figures {
                since_ms: Some(now_ms()),
                ..Figures::default()
            },
            rate: Rate {
                per_second: 0.0,
                at: Instant::now(),
            },
            late: 0,
            repartition_records: 0,
            stage: (String::new(), String::new()),
            parts: Vec::new(),
            pulses: Vec::new(),
        })))
    }

    /// A handle for a part of the work, which [`StatusHandle::report`] of this one takes in: a part's
    /// problems stay until that part takes them back.
    #[must_use]
    pub fn part(&self) -> StatusHandle {
        let part = StatusHandle::new();
        self.lock().parts.push(part.clone());
        part
    }

    /// The report as of now, for `GET /status` and `/metrics`.
    pub fn report(&self) -> Report {
        let inner = self.lock();
        let mut figures = inner.figures.clone();
        figures.rate = inner.rate.at(Instant::now());
        let parts: Vec<Report> = inner.parts.iter().map(StatusHandle::report).collect();
        let own = Report {
            version: headworks_plan::REPORT_VERSION,
            runtime: env!("CARGO_PKG_VERSION").to_owned(),
            phase: inner.phase,
            server_version: inner.server_version.clone(),
            problems: inner.problems.clone(),
            figures,
        };
        if parts.is_empty() {
            own
        } else {
            merge::merge(own, parts)
        }
    }

    /// The phase as of now.
    pub fn phase(&self) -> Phase {
        self.report().phase
    }

    /// True: the pod does its work (or rests because there is nothing to do), so it may be called ready.
    pub fn is_ready(&self) -> bool {
        let report = self.report();
        report.phase == Phase::Running && !report.problems.iter().any(|p| p.fatal)
    }

    /// Moves to `phase`.
    pub fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Says which version the watched server has.
    pub fn set_server_version(&self, version: String) {
        self.lock().server_version = Some(version);
    }

    /// Reports a problem; one of the same reason is replaced.
    pub fn raise(&self, problem: Problem) {
        let mut inner = self.lock();
        match inner
            .problems
            .iter_mut()
            .find(|p| p.reason == problem.reason)
        {
            Some(known) => *known = problem,
            None => inner.problems.push(problem),
        }
    }

    /// Says that the work is held up by this problem alone: a person must act (`Stalled`), or it goes on by itself
    /// (`Starting`). In one step, so that no report shows the phase without its reason.
    pub fn hold_up(&self, problem: Problem) {
        let mut inner = self.lock();
        inner.phase = if problem.fatal {
            Phase::Stalled
        } else {
            Phase::Starting
        };
        inner.problems = vec![problem];
    }

    /// Takes back the problem of this reason.
    pub fn heal(&self, reason: impl Into<ReportedReason>) {
        let reason = reason.into();
        self.lock().problems.retain(|p| p.reason != reason);
    }

    /// Takes back every problem.
    pub fn heal_all(&self) {
        self.lock().problems.clear();
    }

    /// Adds what a commit made durable, and where the owned partitions now stand.
    pub fn committed(&self, progress: &Progress, now_ms: i64) {
        let mut inner = self.lock();
        inner.rate.add(progress.records_in, Instant::now());
        let figures = &mut inner.figures;
        figures.records_in += progress.records_in;
        figures.records_out += progress.records_out;
        figures.dead_letters += progress.dead_letters;
        progress.reasons.add_to(figures);
        figures.dropped += progress.dropped;
        figures.max_event_time_ms = figures.max_event_time_ms.max(progress.max_event_time_ms);
        figures.last_commit_ms = Some(now_ms);
        RuleFigures::add_all(&mut figures.rules, &progress.rules);
        if let Some(verdicts) = &progress.verdicts {
            figures.verdicts.get_or_insert_default().add(verdicts);
        }
        inner.late += progress.late;
        inner.repartition_records += progress.repartition_records;
    }

    /// Says what the pod keeps as state; late rows and repartition records are counted here.
    pub fn set_state(&self, state: &StateFigures) {
        let mut inner = self.lock();
        let late = inner.late;
        inner.figures.state = Some(StateFigures {
            late,
            ..state.clone()
        });
    }

    /// Says which stage of a pipeline it is of, and that stage's consumer group.
    pub fn of_stage(&self, stage: &str, group: &str) {
        self.lock().stage = (stage.to_owned(), group.to_owned());
    }

    /// Says what the stage has counted; whose counts they are is known here.
    pub fn set_counts(&self, counts: StageCounts) {
        let mut inner = self.lock();
        let (stage, group) = inner.stage.clone();
        inner.figures.counts = vec![StageCounts {
            stage,
            group,
            ..counts
        }];
    }

    /// Says how far the pod's Replay is.
    pub fn set_replay(&self, replay: ReplayFigures) {
        self.lock().figures.replay = Some(replay);
    }

    /// Says what the pod's comparison found so far.
    pub fn set_comparison(&self, comparison: ComparisonFigures) {
        self.lock().figures.comparison = Some(Box::new(comparison));
    }

    /// Says by which quality rules records are judged, before the first is: nothing was counted by them yet. What was, stays.
    pub fn judges_by(&self, rules: &[RuleFigures]) {
        RuleFigures::add_all(&mut self.lock().figures.rules, rules);
    }

    /// Records written to the repartition topic since the pod's start; none, where no part writes any.
    pub fn repartition_records(&self) -> u64 {
        let inner = self.lock();
        let parts: u64 = inner
            .parts
            .iter()
            .map(StatusHandle::repartition_records)
            .sum();
        inner.repartition_records + parts
    }

    /// Adds records that were read or received and not kept, such as those of a refused request.
    pub fn refused(&self, records: u64) {
        let mut inner = self.lock();
        inner.rate.add(records, Instant::now());
        inner.figures.records_in += records;
    }

    /// Says where the owned partitions stand. The sum of their lags is the report's lag; a member that
    /// owns none has none.
    pub fn set_partitions(&self, partitions: Vec<PartitionFigure>) {
        let mut lags = partitions.iter().map(|partition| partition.lag);
        let lag = lags.try_fold(0_u64, |sum, lag| {
            Some(sum + u64::try_from(lag?).unwrap_or(0))
        });
        let mut inner = self.lock();
        inner.figures.lag = lag;
        inner.figures.partitions = partitions;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}

#[derive(Debug)]
struct Rate {
    per_second: f64,
    at: Instant,
}

impl Rate {
    fn at(&self, now: Instant) -> f64 {
        let silent = now.saturating_duration_since(self.at).as_secs_f64();
        let rate = self.per_second * (-silent / RATE_WINDOW_S).exp();
        if rate < 0.001 { 0.0 } else { rate }
    }

    fn add(&mut self, records: u64, now: Instant) {
        self.per_second = self.at(now) + records as f64 / RATE_WINDOW_S;
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use headworks_plan::Reason;

    #[test]
    fn the_rate_nears_what_flows_and_decays_when_nothing_does() {
        let start = Instant::now();
        let mut rate = Rate {
            per_second: 0.0,
            at: start,
        };
        for tenth in 1..=600 {
            rate.add(100, start + Duration::from_millis(tenth * 100));
        }
        let end = start + Duration::from_secs(60);
        assert!((rate.at(end) - 1000.0).abs() < 15.0, "{}", rate.at(end));
        assert!(rate.at(end + Duration::from_secs(10)) < 380.0);
        assert!(rate.at(end + Duration::from_secs(600)) < f64::EPSILON);
    }

    #[test]
    fn a_lag_that_is_not_known_for_one_partition_is_not_known_at_all() {
        let status = StatusHandle::new();
        let at = |partition, lag| PartitionFigure {
            topic: "t".into(),
            partition,
            position: 5,
            lag,
        };
        status.set_partitions(vec![at(0, Some(3)), at(1, Some(4))]);
        assert_eq!(status.report().figures.lag, Some(7));
        status.set_partitions(vec![at(0, Some(3)), at(1, None)]);
        assert_eq!(status.report().figures.lag, None);
    }

    #[test]
    fn a_problem_replaces_its_like_and_heals() {
        let status = StatusHandle::new();
        let problem = |message: &str| Problem::new(Reason::KafkaUnavailable, message, false);
        status.raise(problem("first"));
        status.raise(problem("second"));
        assert_eq!(status.report().problems, [problem("second")]);
        status.heal(Reason::KafkaUnavailable);
        assert!(status.report().problems.is_empty());
    }
}
