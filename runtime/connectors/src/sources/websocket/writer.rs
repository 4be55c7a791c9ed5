//! Messages as records in Kafka: cut, checked against the contract, and written until they are acknowledged.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headworks_engine::format::FormatError;
use headworks_engine::judge::rules;
use headworks_engine::status::{Progress, StatusHandle};
use headworks_plan::{OnInvalid, Problem, Reason, RuleFigures};
use tokio::sync::mpsc;

use super::Message;
use crate::sources::batch;
use crate::sources::cut::{self, Layout, Uncut};
use crate::sources::kafka::{Cause, Outgoing, Sink};
use crate::sources::record_validation::{RecordValidation, Stopped};
use crate::sources::records::Records;

/// Most records of one message; one that has more is left out.
const MOST: usize = 100_000;
/// So much is written at once, in records and in bytes: enough that the way to Kafka and back doesn't count for each.
const BATCH: (usize, usize) = (5_000, 1 << 20);
/// How long after Kafka didn't acknowledge it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a writer that a rule has stopped looks whether it is to end.
const HALT_LOOK: Duration = Duration::from_millis(200);

/// Writes what a feed says.
pub(super) struct Writer<S> {
    pub(super) validation: RecordValidation,
    pub(super) on_invalid: OnInvalid,
    pub(super) items_path: Option<String>,
    pub(super) sink: S,
    pub(super) status: StatusHandle,
    pub(super) halted: Halted,
}

/// What a rule stopped the writer at, as the report shows it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Halted(Arc<Mutex<Option<Problem>>>);

impl Halted {
    /// What is to be told.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.lock().clone()
    }

    fn at(&self, broken: &str) {
        let message = format!("a message of the feed: {broken}; {}", rules::REMEDY);
        tracing::error!("{message}");
        *self.lock() = Some(Problem::new(Reason::RuleBroken, message, true));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Problem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written next.
#[derive(Default)]
struct Pending {
    records: Vec<Outgoing>,
    bytes: usize,
    progress: Progress,
}

impl Pending {
    fn add(&mut self, (records, progress): (Vec<Outgoing>, Progress)) {
        self.bytes += records
            .iter()
            .map(|record| record.value.len())
            .sum::<usize>();
        self.records.extend(records);
        self.progress.records_in += progress.records_in;
        self.progress.records_out += progress.records_out;
        self.progress.dead_letters += progress.dead_letters;
        self.progress.reasons.add_all(progress.reasons);
        self.progress.dropped += progress.dropped;
        RuleFigures::add_all(&mut self.progress.rules, &progress.rules);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= BATCH.0 || self.bytes >= BATCH.1
    }
}

impl<S: Sink> Writer<S> {
    /// Writes until nobody tells any more. Checking blocks: give it a thread.
    pub(super) async fn run(self, mut told: mpsc::Receiver<Message>) {
        while let Some(first) = told.recv().await {
            let mut pending = Pending::default();
            let mut kept = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next.take() {
                if let Err(error) = self.check(&message.text, &mut pending).await {
                    tracing::error!("a message could not be encoded: {error}");
                }
                kept.push(message);
                if !pending.is_full() && self.halted.problem().is_none() {
                    next = told.try_recv().ok();
                }
            }
            self.write(&mut pending).await;
            // There is room for others now.
            drop(kept);
            if self.halted.problem().is_some() {
                // Nothing more is taken: the feed waits, and what it has said already is lost with the connection.
                while !told.is_closed() {
                    tokio::time::sleep(HALT_LOOK).await;
                }
                return;
            }
        }
    }

    /// Checks a message's records, a piece at a time: what they are as records may be much more than what came.
    async fn check(&self, text: &Bytes, pending: &mut Pending) -> Result<(), FormatError> {
        let path = self.items_path.as_deref();
        let mut grow = |_| Ok::<_, Infallible>(());
        let records = match cut::records(text, Layout::Json, path, MOST, &mut grow) {
            Ok(records) => records,
            // What a feed says besides: that we are subscribed, that it is still there.
            Err(Uncut::Malformed(_)) if path.is_some() && is_json(text) => return Ok(()),
            Err(Uncut::TooMany(most)) => {
                tracing::warn!("a message with more than {most} records is left out");
                pending.progress.records_in += 1;
                pending.progress.dropped += 1;
                return Ok(());
            }
            // Whatever it is, it isn't what was agreed: the contract says so.
            Err(_) => {
                let mut whole = Records::of(text.clone());
                whole.push(0..text.len());
                whole
            }
        };
        let mut position = self.validation.begin(&records)?;
        loop {
            let from = position.next();
            let piece = self
                .validation
                .piece(&mut position, &records, |_| Ok::<_, Infallible>(()))
                .map_err(|stopped| match stopped {
                    Stopped::Format(error) => error,
                    Stopped::NoRoom(never) => match never {},
                })?;
            let halt = piece.halt.as_ref().map(|halt| halt.index);
            let count = halt.unwrap_or(position.next()) - from;
            if let Some(halt) = &piece.halt {
                self.halted.at(&halt.message);
            } else if count == 0 {
                break;
            }
            let written = batch::written(&self.validation, self.on_invalid, count, piece, now_ms());
            pending.add(written);
            if halt.is_some() {
                break;
            }
            if pending.is_full() {
                self.write(pending).await;
            }
        }
        self.validation.end(position);
        Ok(())
    }

    /// Writes what is pending, again and again until Kafka acknowledges it.
    async fn write(&self, pending: &mut Pending) {
        let Pending {
            records,
            mut progress,
            ..
        } = std::mem::take(pending);
        while !records.is_empty() {
            let Err(undelivered) = self.sink.write(records.clone()).await else {
                break;
            };
            tracing::warn!("{undelivered}");
            if undelivered.cause == Cause::TooLarge {
                // Nothing mends that. Which of them they are isn't known.
                let lost = undelivered.failed as u64;
                progress.records_out = progress.records_out.saturating_sub(lost);
                progress.dropped += lost;
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.status.committed(&progress, now_ms());
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
