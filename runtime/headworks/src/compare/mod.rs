//! The role `compare`: what two versions of a query make of the same records, counted side by side; and what quality rules say of what
//! the new one wrote while it ran.
//!
//! The records are those that came to the inputs within a time. They are read once, by clients that join no group and commit nothing,
//! put in one order ([`merge`]), and given to both versions, which run in memory as `headworks test` runs a query. Nothing is
//! written. What is told are counts and sums, never values of a row.

mod judge;
mod merge;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_connectors::formats::FormatRegistry;
use headworks_engine::local::{Local, LocalError, Sink};
use headworks_engine::status::StatusHandle;
use headworks_plan::{
    Both, ComparePlan, ComparisonFigures, OnBadRecord, PEEK_VERSION, PeekFrom, PeekPlan,
    PeekSelection, PeekTask, Phase, PipelinePlan, Plan, Problem, Reason, Role, RuleAction, Stream,
    SumsCompared,
};
use snafu::ResultExt;

use crate::peek::{Failure, KafkaTopic, Topic, spans};
use crate::role::{End, RunError, Start, SystemSnafu, Work, told_to_stop};
use merge::{Part, merge};
use tally::{Keys, Sum, Tally, Version};

/// Most records that are compared: those that came first.
const MOST_RECORDS: u64 = 5_000_000;
/// For how long records are compared at most.
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// What couldn't be done is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

/// The comparison by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    let Role::Compare(_) = &start.plan.role else {
        return None;
    };
    let (plan, status) = (Arc::clone(start.plan), start.status.clone());
    Some(Ok(Box::pin(run(plan, status))))
}

/// Compares, tells what it found, and waits for the signal.
async fn run(plan: Arc<Plan>, status: StatusHandle) -> Result<End, RunError> {
    let told = status.clone();
    // It only reads: it needs no drain, and ends with the process.
    std::thread::Builder::new()
        .name("compare".to_owned())
        .spawn(move || until_done(&plan, &told))
        .context(SystemSnafu)?;
    told_to_stop().await?;
    status.set_phase(Phase::Draining);
    Ok(End::Drained)
}

fn until_done(plan: &Plan, status: &StatusHandle) {
    let Role::Compare(comparison) = &plan.role else {
        return;
    };
    loop {
        match compare(plan, comparison) {
            Ok(figures) => {
                tracing::info!(records = figures.records, "compared");
                status.heal_all();
                status.set_comparison(figures);
                status.set_phase(Phase::Running);
                return;
            }
            Err(failure) => {
                tracing::warn!(
                    reason = failure.reason,
                    message = failure.message,
                    "not compared"
                );
                let known = Reason::all().find(|known| known.as_str() == failure.reason);
                let reason = known.unwrap_or(Reason::KafkaUnavailable);
                status.hold_up(Problem::new(reason, failure.message, false));
            }
        }
        std::thread::sleep(RETRY);
    }
}

fn compare(plan: &Plan, comparison: &ComparePlan) -> Result<ComparisonFigures, Failure> {
    let deadline = Instant::now() + LONGEST;
    let inputs = inputs(comparison);
    let mut parts = Vec::with_capacity(inputs.len());
    for stream in inputs.values() {
        let peek = reading(
            plan,
            stream,
            Some((comparison.from_ms, comparison.until_ms)),
        );
        let mut topic = KafkaTopic::open(&peek)?;
        let spans = spans(&mut topic, &peek.select)?;
        parts.push(Part::begin(topic, spans)?);
    }
    let names: Vec<&str> = inputs.keys().copied().collect();
    let formats = FormatRegistry::with(plan.registry.as_ref());
    let mut figures = side_by_side(comparison, &formats, &names, &mut parts, deadline)?;
    if let Some(shadow) = &comparison.shadow {
        let peek = reading(plan, shadow, None);
        let mut topic = KafkaTopic::open(&peek)?;
        let spans = spans(&mut topic, &peek.select)?;
        let part = Part::begin(topic, spans)?;
        // What took all of its time before leaves the rules theirs.
        let deadline = Instant::now() + LONGEST;
        let (rules, whole) = judge::judge(shadow, &formats, part, deadline, MOST_RECORDS)?;
        figures.partial |= !whole;
        figures.rules = rules;
    }
    figures.complete = true;
    Ok(figures)
}

/// The streams that either version reads, by name.
fn inputs(comparison: &ComparePlan) -> BTreeMap<&str, &Stream> {
    let both = comparison.old.inputs.iter().chain(&comparison.new.inputs);
    both.map(|stream| (stream.name.as_str(), stream)).collect()
}

/// What is read of a stream: what came within a time, or all of it.
fn reading(plan: &Plan, stream: &Stream, within: Option<(i64, i64)>) -> PeekPlan {
    PeekPlan {
        version: PEEK_VERSION,
        kafka: plan.kafka.clone(),
        registry: plan.registry.clone(),
        stream: stream.clone(),
        group: format!("headworks.{}.{}.compare", plan.namespace, plan.name),
        masked: Vec::new(),
        task: PeekTask::Records,
        select: PeekSelection {
            from: Some(within.map_or(PeekFrom::Offset(0), |(from, _)| PeekFrom::Time(from))),
            until_ms: within.map(|(_, until)| until),
            limit: u64::MAX,
            ..PeekSelection::default()
        },
    }
}

/// One version of the query, and what came of it.
struct Side {
    local: Local,
    version: Version,
    /// Its number of each input, by the names that are read.
    inputs: Vec<Option<usize>>,
    rows: u64,
    dead_letters: u64,
    sums: Vec<(String, Sum)>,
}

impl Side {
    fn new(
        version: Version,
        plan: &PipelinePlan,
        comparison: &ComparePlan,
        formats: &FormatRegistry,
        names: &[&str],
    ) -> Result<Side, Failure> {
        let plan = counted(plan);
        let of = |name: &&str| plan.inputs.iter().position(|input| input.name == *name);
        let contract = plan.outputs.first().map(|output| &output.contract);
        Ok(Side {
            local: Local::new(&plan, formats).map_err(|error| failure(&error))?,
            version,
            inputs: names.iter().map(of).collect(),
            rows: 0,
            dead_letters: 0,
            sums: contract
                .map_or_else(Vec::new, |contract| tally::sums(contract, &comparison.sums)),
        })
    }

    fn work(
        &mut self,
        key: &[String],
        keys: &mut Keys,
        work: impl FnOnce(&mut Local, &mut dyn Sink) -> Result<(), LocalError>,
    ) -> Result<(), Failure> {
        let mut tally = Tally {
            version: self.version,
            rows: 0,
            dead_letters: 0,
            key,
            keys,
            sums: &mut self.sums,
        };
        let done = work(&mut self.local, &mut tally);
        self.rows += tally.rows;
        self.dead_letters += tally.dead_letters;
        done.map_err(|error| failure(&error))
    }
}

/// A plan under which a record that can't be used is counted, and holds nothing up.
fn counted(plan: &PipelinePlan) -> PipelinePlan {
    let mut plan = PipelinePlan {
        on_bad_record: OnBadRecord::DeadLetter,
        ..plan.clone()
    };
    let rules = plan.inputs.iter_mut().flat_map(|input| &mut input.rules);
    for check in rules.flat_map(|rule| &mut rule.checks) {
        if check.action == RuleAction::Stop {
            check.action = RuleAction::DeadLetter;
        }
    }
    plan
}

fn failure(error: &LocalError) -> Failure {
    Failure::new(Reason::PlanRefused.as_str(), error.to_string())
}

/// Gives both versions the records of the parts, which are those of `names`.
fn side_by_side<T: Topic>(
    comparison: &ComparePlan,
    formats: &FormatRegistry,
    names: &[&str],
    parts: &mut [Part<T>],
    deadline: Instant,
) -> Result<ComparisonFigures, Failure> {
    let side = |version, plan| Side::new(version, plan, comparison, formats, names);
    let mut sides = [
        side(Version::Old, &comparison.old)?,
        side(Version::New, &comparison.new)?,
    ];
    let mut keys = Keys::new();
    let mut records = 0;
    let whole = merge(parts, deadline, |number, found| {
        // Without a value it is no row of either: it deletes a key, or is no record of the stream.
        let Some(value) = found.value else {
            return Ok(true);
        };
        if records == MOST_RECORDS {
            return Ok(false);
        }
        records += 1;
        for side in &mut sides {
            if let Some(input) = side.inputs[number] {
                side.work(&comparison.keys, &mut keys, |local, sink| {
                    local.push(input, &value, sink)
                })?;
            }
        }
        Ok(true)
    })?;
    for side in &mut sides {
        side.work(&comparison.keys, &mut keys, |local, sink| {
            local.finish(sink)
        })?;
    }
    let [old, new] = sides;
    let of = |sums: &[(String, Sum)], column: &String| {
        let sum = sums.iter().find(|(name, _)| name == column);
        sum.map_or_else(|| "none".to_owned(), |(_, sum)| sum.told())
    };
    Ok(ComparisonFigures {
        id: comparison.id.clone(),
        records,
        partial: !whole,
        rows: Both {
            old: old.rows,
            new: new.rows,
        },
        dead_letters: Both {
            old: old.dead_letters,
            new: new.dead_letters,
        },
        keys: (!comparison.keys.is_empty()).then(|| keys.told()),
        sums: comparison
            .sums
            .iter()
            .map(|column| SumsCompared {
                column: column.clone(),
                old: of(&old.sums, column),
                new: of(&new.sums, column),
            })
            .collect(),
        ..ComparisonFigures::default()
    })
}

#[cfg(test)]
mod tests;
