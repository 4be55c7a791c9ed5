//! What the headers of a dead letter say, and which dead letters are asked for.

use headworks_engine::dead_letter as header;
use headworks_plan::{DeadLetterFilter, DeadLetterLine, DeadLetterOrigin, DeadLetterReason};
use jiff::Timestamp;

use super::select::Found;

/// Headers of other programs aren't looked at.
pub(super) const PREFIX: &str = "headworks.";
/// Longest text of a header that is shown, in bytes: as long as an error may be.
const LONGEST: usize = header::ERROR_BYTES;

/// When it was made a dead letter, milliseconds since 1970 UTC; none of a record that isn't one.
pub(super) fn time(found: &Found) -> Option<i64> {
    let text = bytes(found, header::TIME)?;
    let time: Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// True: it is one of those that are asked for.
pub(super) fn is_among(found: &Found, filter: &DeadLetterFilter) -> bool {
    let named = |names: &[String], header: &str| {
        names.is_empty()
            || bytes(found, header).is_some_and(|is| names.iter().any(|n| n.as_bytes() == is))
    };
    named(&filter.reasons, header::REASON)
        && named(&filter.rules, header::RULE)
        && found.time().is_none_or(|at| {
            filter.since_ms.is_none_or(|since| at >= since)
                && filter.until_ms.is_none_or(|until| at < until)
        })
}

fn bytes<'a>(found: &'a Found, name: &str) -> Option<&'a [u8]> {
    let mut all = found.headers.iter();
    all.find(|(given, _)| given == name)
        .map(|(_, value)| value.as_slice())
}

/// A header as text; who writes into the topic may write anything.
pub(super) fn text(found: &Found, name: &str) -> Option<String> {
    let bytes = bytes(found, name)?;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    Some(shown.into_owned())
}

/// All that the headers say.
pub(super) fn line(found: &Found) -> DeadLetterLine {
    let of = |name| text(found, name);
    let origin = of(header::ORIGIN_TOPIC).map(|topic| DeadLetterOrigin {
        topic,
        partition: of(header::ORIGIN_PARTITION).unwrap_or_default(),
        offset: of(header::ORIGIN_OFFSET).unwrap_or_default(),
    });
    DeadLetterLine {
        time: of(header::TIME),
        reason: of(header::REASON),
        error: of(header::ERROR),
        rule: of(header::RULE),
        rule_generation: of(header::RULE_GENERATION),
        check: of(header::CHECK),
        field: of(header::FIELD),
        pipeline: of(header::PIPELINE),
        source: of(header::SOURCE),
        replay: of(header::REPLAY),
        origin,
        truncated: of(header::TRUNCATED),
    }
}

/// The top-level field that the error of a refused record is about, where its words are of that field alone: they may quote it,
/// and no other. A record that can't be decoded, and one that breaks the contract, say so as `field items[2].sku: …`.
pub(super) fn about_field(line: &DeadLetterLine) -> Option<&str> {
    let reason = DeadLetterReason::from_word(line.reason.as_deref()?)?;
    if !matches!(
        reason,
        DeadLetterReason::Decode | DeadLetterReason::Contract
    ) {
        return None;
    }
    let path = line.error.as_deref()?.strip_prefix("field ")?;
    let (path, _) = path.split_once(": ")?;
    path.split(['.', '[']).next()
}

/// What stands before the words of a kernel, which may quote what it was given, where a rule's expression has failed.
const KERNEL: &str = "can't be evaluated: ";

/// True: the words of such a dead letter hold no value of a record. A quality rule says its own expression, which is no secret.
pub(super) fn quotes_nothing(line: &DeadLetterLine) -> bool {
    let error = line.error.as_deref().unwrap_or_default();
    match line.reason.as_deref().and_then(DeadLetterReason::from_word) {
        Some(DeadLetterReason::TooLarge) => true,
        Some(DeadLetterReason::Quality) => !error.contains(KERNEL),
        _ => false,
    }
}
