//! How many dead letters there are, by reason, rule and check: exact for all that the topic still has, in bounded memory.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headworks_plan::{DeadLetterCount, PeekLine};

use super::Failure;
use super::dead_letter;
use super::select::{Found, Reading, Topic, Wanted, scan, spans};

/// So many kinds are told apart: who writes into the topic may invent reasons.
const KINDS: usize = 1_000;

/// Longest word of a kind, in bytes.
const WORD: usize = 256;

/// Counts.
///
/// # Errors
/// What Kafka refuses, and a Kafka that is silent.
pub(super) fn count(topic: &mut impl Topic, wanted: Wanted<'_>) -> Result<PeekLine, Failure> {
    let deadline = Instant::now() + Duration::from_secs(wanted.selection().seconds);
    let mut spans = spans(topic, wanted.selection())?;
    for span in spans.values_mut() {
        span.start = span.low;
    }
    let mut counts = Counts::default();
    let reading = Reading {
        wanted,
        spans: &spans,
        of_each: None,
        deadline,
    };
    let scanned = scan(topic, reading, |found| {
        counts.add(&found);
        true
    })?;
    Ok(PeekLine::Counts {
        counts: counts.in_order(),
        others: counts.others,
        read: scanned.read,
        complete: !scanned.out_of_time,
    })
}

fn word(mut text: String) -> String {
    let mut end = text.len().min(WORD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

type Kind = (String, Option<String>, Option<String>);

#[derive(Default)]
struct Counts {
    kinds: BTreeMap<Kind, DeadLetterCount>,
    others: u64,
}

impl Counts {
    fn add(&mut self, found: &Found) {
        let said = dead_letter::line(found);
        let kind = (
            word(said.reason.unwrap_or_default()),
            said.rule.map(word),
            said.check.map(word),
        );
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.others += 1;
            return;
        }
        let at = found.time();
        let count = self.kinds.entry(kind).or_default();
        count.count += 1;
        count.first_ms = count.first_ms.into_iter().chain(at).min();
        count.last_ms = count.last_ms.into_iter().chain(at).max();
    }

    /// The most frequent first.
    fn in_order(&self) -> Vec<DeadLetterCount> {
        let kinds = self.kinds.iter();
        let mut all: Vec<DeadLetterCount> = kinds
            .map(|((reason, rule, check), count)| DeadLetterCount {
                reason: reason.clone(),
                rule: rule.clone(),
                check: check.clone(),
                ..count.clone()
            })
            .collect();
        all.sort_by_key(|count| std::cmp::Reverse(count.count));
        all
    }
}

#[cfg(test)]
mod tests;
