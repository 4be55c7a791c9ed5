//! A whole body's records: judged before any is written, within bounded memory whatever they say.
//!
//! All are checked first, a piece at a time, since one bad record may refuse the request. What is to be written
//! is kept for that as long as there is room, which is nearly always; what comes after is checked again
//! when it is its turn to be written, a piece at a time too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes;
use headworks_engine::format::FormatError;
use headworks_engine::judge::rules;
use headworks_plan::{OnInvalid, Problem, Reason, RuleFigures};

use super::answer::{BadRecord, LISTED, bad_records};
use crate::server::{Place, Refusal};
use crate::sources::cut::{self, Layout};
use crate::sources::judged::{Checked, Halt};
use crate::sources::kafka::{Outgoing, Target};
use crate::sources::record_validation::{Position, RecordValidation, Stopped};
use crate::sources::records::Records;

/// Most bytes that a request keeps of what it will write.
const KEPT: usize = 16 * 1024 * 1024;
/// What a record on its way takes beside its bytes; a dead letter has headers.
const RECORD: usize = 160;
const LETTER: usize = 768;
/// When a client may try again whose record a rule stopped at, in seconds: somebody must act first.
const HALT_AGAIN: u64 = 30;
/// How long the report shows that a rule stopped at a record.
const HALT_SHOWN: Duration = Duration::from_secs(300);

/// Judges requests.
pub(super) struct Work {
    pub(super) validation: RecordValidation,
    pub(super) on_invalid: OnInvalid,
    pub(super) items_path: Option<String>,
    pub(super) stream: String,
    /// Most records of a request.
    pub(super) most: usize,
    /// Most bytes that a request keeps of what it will write.
    pub(super) kept: usize,
    /// When a rule last stopped at a record, and what is said of it.
    halt: Mutex<Option<(Instant, String)>>,
}

/// A request whose records may be written.
pub(super) struct Judged {
    /// Records for the stream.
    pub(super) accepted: usize,
    /// Records for its dead letters.
    pub(super) dead_lettered: usize,
    /// Records that a rule drops.
    pub(super) dropped: usize,
    /// What the rules counted.
    pub(super) rules: Vec<RuleFigures>,
    /// What is written first.
    pub(super) outgoing: Vec<Outgoing>,
    /// What is written afterwards.
    pub(super) rest: Rest,
}

/// Records that are checked again when it is their turn.
pub(super) struct Rest {
    records: Records,
    position: Position,
    at: jiff::Timestamp,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    good: usize,
    /// Records that break the contract.
    bad: usize,
    /// Records that become dead letters by a rule.
    quarantined: usize,
    dropped: usize,
    rules: Vec<RuleFigures>,
    listed: Vec<BadRecord>,
    /// Bad records that the dead-letter topic has no room for.
    homeless: usize,
    homeless_listed: Vec<BadRecord>,
    outgoing: Vec<Outgoing>,
    bytes: usize,
    /// The first record whose piece isn't kept.
    dropped_from: Option<usize>,
}

impl Work {
    pub(super) fn new(
        validation: RecordValidation,
        on_invalid: OnInvalid,
        stream: &str,
        items_path: Option<&String>,
        most: usize,
    ) -> Arc<Work> {
        Arc::new(Work {
            validation,
            on_invalid,
            items_path: items_path.cloned(),
            stream: stream.to_owned(),
            most,
            kept: KEPT,
            halt: Mutex::default(),
        })
    }

    /// Judges a body. The number is that of its records, where they were counted before it was refused.
    pub(super) fn judge(
        &self,
        body: &Bytes,
        layout: Layout,
        place: &mut Place,
    ) -> Result<Judged, (Refusal, usize)> {
        let of_none = |refusal| (refusal, 0);
        if layout == Layout::Json {
            // A parser's notes of how deep it is: up to a byte for each that it reads, and vectors double.
            place.hold(body.len().saturating_mul(3)).map_err(of_none)?;
        }
        let mut grow = |places: usize| place.hold(body.len().saturating_add(places));
        let path = self.items_path.as_deref();
        let records = cut::records(body, layout, path, self.most, &mut grow)
            .map_err(|uncut| of_none(uncut.into()))?;
        let base = body.len() + records.memory().0;
        let number = records.len();
        self.judge_records(records, base, place)
            .map_err(|refusal| (refusal, number))
    }

    fn judge_records(
        &self,
        records: Records,
        base: usize,
        place: &mut Place,
    ) -> Result<Judged, Refusal> {
        let at = jiff::Timestamp::now();
        let mut position = self
            .validation
            .begin(&records)
            .map_err(|error| ours(&error))?;
        place.hold(base.saturating_add(position.memory()))?;
        let mut found = Found::default();
        loop {
            let from = position.next();
            let held = base + found.bytes;
            let grow = |memory: usize| place.hold(held.saturating_add(memory));
            let piece = match self.validation.piece(&mut position, &records, grow) {
                Ok(piece) => piece,
                // Room for it comes before what was kept.
                Err(Stopped::NoRoom(_)) if found.bytes > 0 => {
                    found.outgoing = Vec::new();
                    found.bytes = 0;
                    found.dropped_from = Some(0);
                    place.keep(base.saturating_add(position.memory()));
                    continue;
                }
                Err(Stopped::NoRoom(refusal)) => return Err(refusal),
                Err(Stopped::Format(error)) => return Err(ours(&error)),
            };
            if position.next() == from {
                break;
            }
            if let Some(halt) = &piece.halt {
                self.validation.end(position);
                return Err(self.halted(halt));
            }
            found.good += piece.good.len();
            let by_rule = piece.bad.iter().filter(|bad| bad.is_by_rule()).count();
            found.bad += piece.bad.len() - by_rule;
            found.quarantined += by_rule;
            found.dropped += piece.dropped;
            RuleFigures::add_all(&mut found.rules, &piece.rules);
            let room = LISTED.saturating_sub(found.listed.len());
            let invalid = piece.bad.iter().filter(|bad| !bad.is_by_rule());
            let listed = invalid.take(room);
            found
                .listed
                .extend(listed.map(|bad| BadRecord::new(bad.index, &bad.error)));
            if self.on_invalid == OnInvalid::Reject && found.bad > 0 {
                // Nothing will be written.
                found.outgoing = Vec::new();
                found.bytes = 0;
                continue;
            }
            self.keep(&mut found, piece, from, at, |bytes| {
                place.hold(base.saturating_add(position.memory()).saturating_add(bytes))
            });
        }
        if self.on_invalid == OnInvalid::Reject && found.bad > 0 {
            self.validation.end(position);
            return Err(self.refused(found));
        }
        if found.homeless > 0 {
            self.validation.end(position);
            let breaks = match (found.bad, found.quarantined) {
                (_, 0) => "the contract",
                (0, _) => "a quality rule",
                _ => "the contract or a quality rule",
            };
            let error = format!(
                "{} of {} records break {breaks} and are too large for the dead-letter topic; nothing was written",
                found.homeless,
                found.all()
            );
            let listed = found.homeless_listed;
            return Err(bad_records(
                Refusal::too_large(error),
                found.homeless,
                &listed,
            ));
        }
        let mut still = base + found.bytes;
        if let Some(from) = found.dropped_from {
            still += position.memory();
            position.go_back(from);
        }
        place.keep(still);
        Ok(Judged {
            accepted: found.good,
            dead_lettered: found.bad + found.quarantined,
            dropped: found.dropped,
            rules: found.rules,
            outgoing: found.outgoing,
            rest: Rest {
                records,
                position,
                at,
            },
        })
    }

    /// Keeps what a piece will write, unless one before wasn't kept, or there is no room for it.
    fn keep(
        &self,
        found: &mut Found,
        piece: Checked,
        from: usize,
        at: jiff::Timestamp,
        hold: impl FnOnce(usize) -> Result<(), Refusal>,
    ) {
        let outgoing = match self.outgoing(piece, at) {
            Ok(outgoing) => outgoing,
            Err((number, homeless)) => {
                found.homeless += number;
                let room = LISTED.saturating_sub(found.homeless_listed.len());
                found
                    .homeless_listed
                    .extend(homeless.into_iter().take(room));
                return;
            }
        };
        if found.dropped_from.is_some() {
            return;
        }
        let sizes = outgoing.iter().map(|record| match record.target {
            // Its bytes are the body's.
            Target::DeadLetters => {
                let headers = record.headers.iter();
                let texts = headers.map(|(name, text)| name.len() + text.len());
                LETTER.max(RECORD + texts.sum::<usize>())
            }
            Target::Stream => {
                RECORD + record.value.len() + record.key.as_ref().map_or(0, Bytes::len)
            }
        });
        let bytes = found.bytes + sizes.sum::<usize>();
        if bytes <= self.kept && hold(bytes).is_ok() {
            found.bytes = bytes;
            found.outgoing.extend(outgoing);
        } else {
            found.dropped_from = Some(from);
        }
    }

    /// What a piece writes; or how many of its bad records are too large for the dead-letter topic, and the first
    /// of them.
    fn outgoing(
        &self,
        Checked { good, bad, .. }: Checked,
        at: jiff::Timestamp,
    ) -> Result<Vec<Outgoing>, (usize, Vec<BadRecord>)> {
        let dead_letters = self.validation.dead_letters(&bad, at).map_err(|homeless| {
            let listed = bad
                .iter()
                .filter(|bad| homeless.contains(&bad.index))
                .take(LISTED);
            let listed = listed.map(|bad| BadRecord::new(bad.index, &bad.error));
            (homeless.len(), listed.collect())
        })?;
        Ok(good.into_iter().chain(dead_letters).collect())
    }

    /// A record that a rule stops at: none of the request is written, and the sender is to come again once somebody has acted.
    fn halted(&self, halt: &Halt) -> Refusal {
        let error = format!(
            "record {}: {} (stream {}); nothing was written. {}",
            halt.index,
            halt.message,
            self.stream,
            rules::REMEDY
        );
        let mut last = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        let said = format!("a request was refused: {}; {}", halt.message, rules::REMEDY);
        *last = Some((Instant::now(), said));
        Refusal::unavailable(error, HALT_AGAIN)
    }

    /// What keeps requests from being taken: rules that can't be applied, or a record that one stopped at not long ago.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.validation.problem().or_else(|| {
            let last = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, said) = last.as_ref()?;
            let shown = at.elapsed() < HALT_SHOWN;
            shown.then(|| Problem::new(Reason::RuleBroken, said.clone(), false))
        })
    }

    fn refused(&self, found: Found) -> Refusal {
        let error = format!(
            "{} of {} records break the contract of stream {}; nothing was written",
            found.bad,
            found.all(),
            self.stream
        );
        bad_records(Refusal::bad_request(error), found.bad, &found.listed)
    }

    /// The next piece of the rest; none: it is over.
    pub(super) fn next(&self, rest: &mut Rest) -> Result<Option<Vec<Outgoing>>, Refusal> {
        let from = rest.position.next();
        // It was checked before within what is held, and what is held is what the largest piece took.
        let piece = self
            .validation
            .piece(&mut rest.position, &rest.records, |_| Ok::<_, Refusal>(()));
        let piece = piece.map_err(|stopped| match stopped {
            Stopped::NoRoom(refusal) => refusal,
            Stopped::Format(error) => ours(&error),
        })?;
        if rest.position.next() == from {
            return Ok(None);
        }
        // None is homeless, or the request would have been refused.
        Ok(Some(self.outgoing(piece, rest.at).unwrap_or_default()))
    }

    /// Gives back what judging took.
    pub(super) fn end(&self, rest: Rest) {
        self.validation.end(rest.position);
    }
}

impl Found {
    /// The records so far.
    fn all(&self) -> usize {
        self.good + self.bad + self.quarantined + self.dropped
    }
}

impl Rest {
    /// True: all is in what is written first.
    pub(super) fn is_empty(&self) -> bool {
        self.position.next() >= self.records.len()
    }
}

fn ours(error: &FormatError) -> Refusal {
    tracing::error!("a request could not be encoded: {error}");
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the records could not be encoded; this is a fault of Headworks",
    )
}
