//! The loop: what is due is made, checked and committed, and whatever hinders it is reported.

use std::time::{Duration, Instant};

use headworks_engine::format::FormatError;
use headworks_engine::judge::rules;
use headworks_engine::log::{LogError, Reason};
use headworks_engine::session::{self, Failed, Outcome, StopFlag, Wording};
use headworks_engine::status::{Progress, StatusHandle, alive};
use headworks_plan::{KafkaConnection, Phase, Problem, SourceReason};

use super::Config;
use super::rate::Rate;
use super::record_factory::RecordFactory;
use crate::sources::batch;
use crate::sources::kafka::{Ledger, Outgoing, SequenceWriter};
use crate::sources::record_validation::RecordValidation;
use crate::sources::records::Records;

/// A source at rest commits its place this often, because Kafka forgets groups that don't (by default
/// after 7 days), and the sequence would begin again.
const REMINDER: Duration = Duration::from_secs(6 * 3_600);

/// The loop hangs if a batch isn't over for so long: every call to Kafka ends before.
const HANGS: Duration = Duration::from_secs(5 * 60);

/// How a generate source tells of what hinders it.
const WORDING: Wording = Wording {
    who: "the source",
    unavailable: "Kafka doesn't answer",
    resumes: "the sequence goes on where it stopped when it does",
    rival: "another process writes this source's sequence",
    again: "the sequence goes on by itself",
};

/// Runs a generate source on the calling thread until `stop` is raised.
///
/// Blocking: give it an OS thread of its own. Everything a user should know meanwhile is in `status`.
pub fn run(
    config: &Config,
    kafka: &KafkaConnection,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Outcome {
    let _pulse = status.pulse("generate", HANGS).of_this_thread();
    status.set_phase(Phase::Starting);
    let work = match Work::new(config) {
        Ok(work) => work,
        Err(problem) => {
            tracing::error!(reason = problem.reason.as_str(), "{}", problem.message);
            status.raise(problem);
            status.set_phase(Phase::Stalled);
            while !stop.wait(REMINDER) {}
            return Outcome::Drained;
        }
    };
    status.judges_by(work.validation.counts_by());
    let open = || SequenceWriter::open(kafka, &config.plan, &config.generate.group, stop);
    keep_going(&work, open, session::pause, status, stop)
}

/// Session after session, until the stop flag is raised.
pub(super) fn keep_going<L: Ledger>(
    work: &Work,
    mut open: impl FnMut() -> Result<(L, u64), LogError>,
    pause: impl Fn(&LogError, u32) -> Duration,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Outcome {
    // A batch of which nobody knows whether it was committed, from one session to the next.
    let mut doubtful = None;
    session::keep_going(&WORDING, pause, status, stop, || {
        let ended = open().and_then(|(ledger, next)| {
            settle(doubtful.take(), next, status);
            tracing::info!(next, "making records");
            status.heal_all();
            status.set_phase(Phase::Running);
            make(work, ledger, next, &mut doubtful, status, stop)
        });
        ended.map_err(|error| Failed {
            error,
            uncommitted: doubtful.is_some(),
        })
    })
}

/// A batch whose commit failed: it counts if the place that is found afterwards is the one behind it.
struct Doubtful {
    next: u64,
    progress: Progress,
}

fn settle(doubtful: Option<Doubtful>, next: u64, status: &StatusHandle) {
    if let Some(doubtful) = doubtful.filter(|doubtful| doubtful.next == next) {
        status.committed(&doubtful.progress, now_ms());
    }
}

/// One ledger's time: until it fails, or the stop flag is raised between two batches.
fn make(
    work: &Work,
    mut ledger: impl Ledger,
    mut next: u64,
    doubtful: &mut Option<Doubtful>,
    status: &StatusHandle,
    stop: &StopFlag,
) -> Result<(), LogError> {
    let generate = &work.config.generate;
    let begun = Instant::now();
    let mut rate = Rate::new(generate.records_per_second, begun.elapsed());
    while !stop.is_stopped() {
        alive();
        let left = generate
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(next));
        if left == 0 {
            if stop.wait(REMINDER) {
                break;
            }
            ledger.commit(&[], next)?;
            continue;
        }
        let now = begun.elapsed();
        let count = rate.due(now).min(left);
        if count == 0 {
            stop.wait(rate.wait(now));
            continue;
        }
        rate.made(count, now);
        let batch = work.batch(next, count, now_ms());
        let batch = batch.map_err(|error| LogError::Broken {
            message: format!("records from number {next} on can't be encoded: {error}"),
        })?;
        if batch.count > 0 {
            *doubtful = Some(Doubtful {
                next: next + batch.count,
                progress: batch.progress,
            });
            ledger.commit(&batch.records, next + batch.count)?;
            next += batch.count;
            settle(doubtful.take(), next, status);
        }
        if let Some(broken) = batch.halt {
            return Err(LogError::NeedsPerson {
                reason: Reason::RuleBroken,
                message: format!("record number {next}: {broken}; {}", rules::REMEDY),
            });
        }
        stop.wait(rate.wait(begun.elapsed()));
    }
    Ok(())
}

/// What makes batches.
pub(super) struct Work {
    config: Config,
    factory: RecordFactory,
    validation: RecordValidation,
}

impl Work {
    /// The inner problem is one that only a person can mend.
    pub(super) fn new(config: &Config) -> Result<Work, Problem> {
        let problem = |reason: Reason, message: String| Problem::new(reason, message, true);
        let refused = |error: &dyn std::fmt::Display| {
            let stream = &config.plan.into.name;
            problem(
                Reason::PlanRefused,
                format!("the contract of stream {stream} can't be used: {error}"),
            )
        };
        let factory = RecordFactory::new(&config.generate, &config.plan.into.contract)
            .map_err(|error| refused(&error))?;
        factory
            .fits(&config.plan)
            .map_err(|error| refused(&error))?
            .map_err(|message| problem(SourceReason::TemplateMismatch.into(), message))?;
        let validation =
            RecordValidation::new(&config.source, &config.plan).map_err(|error| refused(&error))?;
        if let Some(problem) = validation.problem() {
            return Err(problem);
        }
        Ok(Work {
            config: config.clone(),
            factory,
            validation,
        })
    }

    /// `count` records from number `first` on; fewer, where a rule stops at one.
    pub(super) fn batch(&self, first: u64, count: u64, now_ms: i64) -> Result<Batch, FormatError> {
        let made = self.factory.make(first, count, now_ms);
        let mut records = Records::of(made.text.into());
        for place in made.records {
            records.push(place);
        }
        let checked = self.validation.check(&records)?;
        let on_invalid = self.config.plan.on_invalid;
        let (count, halt) = match &checked.halt {
            None => (records.len(), None),
            Some(halt) => (halt.index, Some(halt.message.clone())),
        };
        let (records, progress) =
            batch::written(&self.validation, on_invalid, count, checked, now_ms);
        Ok(Batch {
            records,
            progress,
            count: count as u64,
            halt,
        })
    }
}

/// Records of the sequence.
pub(super) struct Batch {
    /// As they are written.
    pub(super) records: Vec<Outgoing>,
    /// What they count for.
    pub(super) progress: Progress,
    /// How many of the sequence they are.
    pub(super) count: u64,
    /// What the record after them breaks, by a rule that stops the sequence.
    pub(super) halt: Option<String>,
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
