//! Records against the contract: what goes in, what is a dead letter, and what neither topic can hold.
//! Every source checks and encodes its records here, so that they are alike whichever way they came.
//!
//! It is done a piece at a time: a text of 300 kB can say 100,000 records, and a contract can make 256 columns of
//! each. How many records make a piece depends on what they cost in memory, not on their number.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use headworks_engine::dead_letter::{DeadLetter, Origin};
use headworks_engine::format::{DecodeError, Decoder, Encoder, FormatError};
use headworks_engine::judge::rules::Rules;
use headworks_engine::judge::{self, Row, Topic, Written};
use headworks_plan::{Problem, Reason, RuleFigures, SourcePlan};

use super::judged::{self, Bad, Checked, Judged};
use super::kafka::{Outgoing, Target};
use super::records::Records;
use crate::formats;
use crate::formats::json::JsonDecoder;

/// What a piece may cost at first, in bytes as [`JsonDecoder::allow`] counts them.
const PIECE: usize = 2 * 1024 * 1024;
/// The least that a piece may cost.
const LEAST: usize = 4 * 1024;
/// A record may cost so many times the largest message of the stream. Nothing that costs more fits the topic as
/// JSON, and hardly as Avro or Protobuf.
const LARGEST: u64 = 24;
/// Bounds of that.
const LARGEST_RANGE: (u64, u64) = (1024 * 1024, 64 * 1024 * 1024);
/// Bytes that a piece of written records may have too many.
const SLACK: usize = 16 * 1024;
/// Bytes of `{}`, or of a digit and the line's end.
const SHORTEST: usize = 2;
/// So many tools wait for their next use.
const IDLE: usize = 8;

/// Checks the records of one source.
pub(super) struct RecordValidation {
    source: String,
    plan: SourcePlan,
    /// The stream's quality rules; or why they can't be applied, and nothing is taken.
    rules: Result<Option<Rules>, String>,
    /// What a record costs that says nothing.
    row: usize,
    idle: Mutex<Vec<Tools>>,
}

/// What comes is JSON; what goes is of the stream's format.
struct Tools {
    decoder: JsonDecoder,
    encoder: Box<dyn Encoder>,
}

/// How far a batch of records is checked.
pub(super) struct Position {
    tools: Tools,
    next: usize,
    allowance: usize,
}

impl Position {
    /// The first record that isn't checked yet.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Goes back to record `index`.
    pub(super) fn go_back(&mut self, index: usize) {
        self.next = index;
    }

    /// Bytes that the next piece may take.
    pub(super) fn memory(&self) -> usize {
        memory(self.allowance)
    }
}

/// Bytes that a piece takes which costs so much: vectors are copied to grow.
fn memory(cost: usize) -> usize {
    cost.saturating_mul(2)
}

/// Why a piece can't be checked.
#[derive(Debug)]
pub(super) enum Stopped<R> {
    /// There is no room for it now.
    NoRoom(R),
    /// A bug of ours, never of the data.
    Format(FormatError),
}

/// Most bytes that a record may cost beside its text.
fn largest(message: u64) -> usize {
    let (least, most) = LARGEST_RANGE;
    let most = most.max(message.saturating_mul(4));
    let largest = message.saturating_mul(LARGEST).clamp(least, most);
    usize::try_from(largest).unwrap_or(usize::MAX)
}

/// Most bytes that checking takes at once beside the text, whatever a text of `length` bytes says.
pub(super) fn most_memory(message: u64, length: usize) -> usize {
    memory(largest(message).saturating_add(length.saturating_mul(2)))
}

impl<R> From<FormatError> for Stopped<R> {
    fn from(error: FormatError) -> Self {
        Stopped::Format(error)
    }
}

impl RecordValidation {
    /// # Errors
    /// The contract is no contract.
    pub(super) fn new(source: &str, plan: &SourcePlan) -> Result<RecordValidation, FormatError> {
        let mut validation = RecordValidation {
            source: source.to_owned(),
            plan: plan.clone(),
            rules: Rules::of(&plan.into).map_err(|error| error.to_string()),
            row: 0,
            idle: Mutex::default(),
        };
        let tools = validation.tools()?;
        validation.row = tools.decoder.least(0);
        validation.idle().push(tools);
        Ok(validation)
    }

    /// What keeps records from being judged: rules that can't be applied.
    pub(super) fn problem(&self) -> Option<Problem> {
        let error = self.rules.as_ref().err()?;
        let message = format!("{error}; operator and runtime must be of one version");
        Some(Problem::new(Reason::RuleInvalid, message, true))
    }

    /// What the rules count by, before anything is judged.
    pub(super) fn counts_by(&self) -> &[RuleFigures] {
        let rules = self.rules.as_ref().ok().and_then(Option::as_ref);
        rules.map_or(&[], Rules::none)
    }

    /// The longest text whose records cost `bytes` at most, if they are as short as records are.
    pub(super) fn longest(&self, bytes: usize) -> usize {
        bytes / self.row.max(1) * SHORTEST
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Tools>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tools(&self) -> Result<Tools, FormatError> {
        if let Some(tools) = self.idle().pop() {
            return Ok(tools);
        }
        let contract = &self.plan.into.contract;
        Ok(Tools {
            decoder: JsonDecoder::whole(contract, self.plan.unknown_fields)?,
            encoder: formats::encoder(contract)?,
        })
    }

    /// Before the first record.
    ///
    /// # Errors
    /// A bug of ours, never of the data.
    pub(super) fn begin(&self, records: &Records) -> Result<Position, FormatError> {
        let mut tools = self.tools()?;
        let each = self.row.saturating_mul(records.len());
        // Half of the text again is for what is inside of arrays and maps; who needs more asks for it.
        let all = each.saturating_add(records.bytes() * 5 / 2);
        let allowance = all.clamp(LEAST, PIECE);
        tools.decoder.allow(allowance);
        Ok(Position {
            tools,
            next: 0,
            allowance,
        })
    }

    /// Gives back what [`RecordValidation::begin`] took.
    pub(super) fn end(&self, position: Position) {
        let mut idle = self.idle();
        // What a large record made large isn't kept.
        if position.allowance <= PIECE && idle.len() < IDLE {
            idle.push(position.tools);
        }
    }

    /// Checks as many of the next records as one piece of memory holds, and at least one. Where one alone
    /// needs a larger piece, `grow` is asked for [`Position::memory`] of it. An empty piece is the end.
    ///
    /// # Errors
    /// `grow` refused, or there is a bug of ours.
    pub(super) fn piece<R>(
        &self,
        position: &mut Position,
        records: &Records,
        mut grow: impl FnMut(usize) -> Result<(), R>,
    ) -> Result<Checked, Stopped<R>> {
        let mut bad = Vec::new();
        let mut origins = Vec::new();
        while position.next < records.len() {
            let (index, record) = (position.next, records.get(position.next));
            let decoder = &mut position.tools.decoder;
            match judge::read(decoder, Some(record)) {
                Ok(()) => origins.push(index),
                Err(DecodeError::Waits { message }) => {
                    return Err(Stopped::Format(FormatError::Waits { message }));
                }
                Err(_) if decoder.overspent() && !(bad.is_empty() && origins.is_empty()) => break,
                Err(DecodeError::Refused { error }) => {
                    let most = largest(self.plan.into.max_message_bytes)
                        .saturating_add(record.len().saturating_mul(2));
                    if decoder.overspent() && position.allowance < most {
                        // Forgets what it grew by.
                        decoder.finish()?;
                        let allowance = position.allowance.saturating_mul(2).min(most);
                        grow(memory(allowance)).map_err(Stopped::NoRoom)?;
                        position.allowance = allowance;
                        decoder.allow(allowance);
                        continue;
                    }
                    bad.push(Bad {
                        index,
                        error,
                        original: records.shared(index),
                        broken: None,
                    });
                }
            }
            position.next += 1;
        }
        let batch = position.tools.decoder.finish()?;
        let rules = self.rules.as_ref().map_err(|message| {
            let message = message.clone();
            FormatError::Waits { message }
        })?;
        let judged = judged::judge(rules.as_ref(), batch, origins, records)?;
        let mut checked = self.encode(&mut position.tools, records, judged)?;
        checked.bad.extend(bad);
        if let Some(halt) = &checked.halt {
            checked.bad.retain(|bad| bad.index < halt.index);
        }
        checked.bad.sort_by_key(|bad| bad.index);
        Ok(checked)
    }

    /// The rows that go on, encoded; what of them can't be kept is bad.
    fn encode(
        &self,
        tools: &mut Tools,
        records: &Records,
        judged: Judged,
    ) -> Result<Checked, FormatError> {
        let Judged {
            batch,
            origins,
            mut checked,
        } = judged;
        let text = origins.iter().map(|index| records.get(*index).len()).sum();
        // All in one buffer, which the records then share.
        let mut written = Vec::with_capacity(text);
        let mut ends: Vec<Written> = Vec::with_capacity(origins.len());
        let encoder = tools.encoder.as_mut();
        for (row, &index) in origins.iter().enumerate() {
            match judge::write(encoder, self.topic(), &batch, row, &mut written)? {
                Ok(record) => ends.push(record),
                Err(error) => checked.bad.push(Bad {
                    index,
                    error,
                    original: records.shared(index),
                    broken: None,
                }),
            }
        }
        if written.capacity() - written.len() > SLACK {
            written.shrink_to_fit();
        }
        let written = Bytes::from(written);
        let good = ends.into_iter().map(|record| Outgoing {
            target: Target::Stream,
            key: record.key().map(|key| written.slice(key)),
            value: written.slice(record.value()),
            headers: Vec::new(),
        });
        checked.good = good.collect();
        Ok(checked)
    }

    /// Checks all `records`, which are few: those that we made ourselves.
    ///
    /// # Errors
    /// A bug of ours, never of the data.
    pub(super) fn check(&self, records: &Records) -> Result<Checked, FormatError> {
        let mut position = self.begin(records)?;
        let mut all = Checked::default();
        while position.next < records.len() {
            let piece = self
                .piece(&mut position, records, |_| Ok::<_, Infallible>(()))
                .map_err(|stopped| match stopped {
                    Stopped::Format(error) => error,
                    Stopped::NoRoom(never) => match never {},
                })?;
            all.add(piece);
            if all.halt.is_some() {
                break;
            }
        }
        self.end(position);
        Ok(all)
    }

    fn topic(&self) -> Topic<'_> {
        let into = &self.plan.into;
        Topic {
            name: &into.topic,
            max_message_bytes: into.max_message_bytes,
            compacted: into.contract.compacted,
            row: Row::Record,
        }
    }

    /// The bad records as dead letters, with their original bytes; or the indexes of those that are too
    /// large for the dead-letter topic as well.
    pub(super) fn dead_letters(
        &self,
        bad: &[Bad],
        now: jiff::Timestamp,
    ) -> Result<Vec<Outgoing>, Vec<usize>> {
        let limit = self.plan.into.max_message_bytes;
        let mut refused = Vec::new();
        let mut dead_letters = Vec::with_capacity(bad.len());
        for bad in bad {
            let dead_letter = self.dead_letter(bad, now);
            if dead_letter.fits(limit) {
                dead_letters.push(Outgoing {
                    target: Target::DeadLetters,
                    key: None,
                    value: bad.original.clone(),
                    headers: dead_letter.headers,
                });
            } else {
                refused.push(bad.index);
            }
        }
        if refused.is_empty() {
            Ok(dead_letters)
        } else {
            Err(refused)
        }
    }

    /// With the record's own text. It is no dead letter without an end, since whoever sent it can be told; and it has no key,
    /// which only a good record has.
    fn dead_letter<'a>(&self, bad: &'a Bad, now: jiff::Timestamp) -> DeadLetter<'a> {
        let broken = bad.broken.as_ref();
        let error = broken.map_or_else(|| bad.error.to_string(), |broken| broken.message.clone());
        DeadLetter::new(
            bad.error.reason,
            &error,
            Origin::Source(&self.source),
            now,
            (None, Some(&bad.original)),
        )
        .by_rule(broken)
    }
}
