//! A profile: statistics of a stream's columns over a bounded sample, in bounded memory. It is made in the pod, so that values of
//! masked fields don't leave it.

mod column;
mod over_time;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headworks_plan::{PeekFrom, PeekLine, PeekPlan, ProfileRequest, StreamProfile};

use super::Failure;
use super::render::{Rows, Values};
use super::select::{Found, Reading, Span, Topic, Wanted, scan, spans};
use column::Column;
pub(super) use over_time::over_time;

/// Rows that are decoded together.
const BATCH: usize = 512;
/// Bytes of records that are decoded together: what they come to in columns has to fit the pod beside what Kafka's client holds.
const BATCH_BYTES: usize = 4 << 20;

/// Reads the sample.
///
/// # Errors
/// What Kafka refuses, a Kafka that is silent, and a schema that isn't known.
pub(super) fn profile(
    topic: &mut impl Topic,
    plan: &PeekPlan,
    asked: ProfileRequest,
    rows: Rows,
) -> Result<PeekLine, Failure> {
    let deadline = Instant::now() + Duration::from_secs(plan.select.seconds);
    let profile = sampled(topic, plan, asked, rows, deadline)?;
    Ok(PeekLine::Profile(Box::new(profile)))
}

/// One profile of what the plan selects.
fn sampled(
    topic: &mut impl Topic,
    plan: &PeekPlan,
    asked: ProfileRequest,
    rows: Rows,
    deadline: Instant,
) -> Result<StreamProfile, Failure> {
    let wanted = Wanted::of(plan);
    let mut spans = spans(topic, &plan.select)?;
    let is_forward = matches!(plan.select.from, Some(PeekFrom::Time(_)));
    let share = share(asked.records, spans.len());
    if !is_forward {
        newest(&mut spans, share);
    }
    let mut sample = Sample::new(plan, rows);
    let mut failed = None;
    let reading = Reading {
        wanted,
        spans: &spans,
        of_each: Some(share),
        deadline,
    };
    let scanned = scan(topic, reading, |found| match sample.add(&found) {
        Ok(()) => true,
        Err(failure) => {
            failed = Some(failure);
            false
        }
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => sample.end(scanned.read, !scanned.out_of_time),
    }
}

/// So many of each partition.
fn share(records: u64, partitions: usize) -> u64 {
    records
        .div_ceil(u64::try_from(partitions.max(1)).unwrap_or(u64::MAX))
        .max(1)
}

/// Each partition from so many offsets before its end on.
fn newest(spans: &mut BTreeMap<i32, Span>, share: u64) {
    let share = i64::try_from(share).unwrap_or(i64::MAX);
    for span in spans.values_mut() {
        span.start = span.end.saturating_sub(share).max(span.low);
    }
}

/// What was read so far.
struct Sample {
    rows: Rows,
    /// Of the rows that aren't counted yet.
    bytes: usize,
    compacted: bool,
    profile: StreamProfile,
    columns: Vec<Column>,
}

impl Sample {
    fn new(plan: &PeekPlan, rows: Rows) -> Sample {
        let contract = &plan.stream.contract;
        let columns = contract.fields.iter().map(|field| {
            let is_masked = plan.masked.contains(&field.name);
            Column::new(&field.name, &field.type_, is_masked)
        });
        Sample {
            rows,
            bytes: 0,
            compacted: contract.compacted,
            profile: StreamProfile::default(),
            columns: columns.collect(),
        }
    }

    fn add(&mut self, found: &Found) -> Result<(), Failure> {
        let value = match &found.value {
            None if self.compacted => {
                self.profile.deletions += 1;
                return Ok(());
            }
            value => value.as_deref().unwrap_or_default(),
        };
        if self.rows.add(value)? {
            let profile = &mut self.profile;
            profile.first_ms = profile.first_ms.into_iter().chain(found.timestamp).min();
            profile.last_ms = profile.last_ms.into_iter().chain(found.timestamp).max();
        } else {
            self.profile.undecoded += 1;
        }
        self.bytes += value.len();
        if self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        let (profile, columns) = (&mut self.profile, &mut self.columns);
        self.rows.take(|values: &Values| {
            profile.rows += 1;
            for column in columns.iter_mut() {
                column.add(values.get(column.name()));
            }
        })
    }

    fn end(mut self, read: u64, complete: bool) -> Result<StreamProfile, Failure> {
        self.flush()?;
        Ok(StreamProfile {
            read,
            complete,
            columns: self.columns.into_iter().map(Column::told).collect(),
            ..self.profile
        })
    }
}

#[cfg(test)]
mod tests;
