//! Why records that are written are dead letters.

use headworks_engine::dead_letter::REASON;
use headworks_engine::status::ReasonTally;
use headworks_plan::DeadLetterReason;

use super::kafka::{Outgoing, Target};

/// The dead letters among what is written, by reason. They were read from no topic, so they have no place there.
pub(super) fn of(outgoing: &[Outgoing], now_ms: i64) -> ReasonTally {
    let mut tally = ReasonTally::default();
    let dead_letters = outgoing
        .iter()
        .filter(|record| matches!(record.target, Target::DeadLetters));
    for record in dead_letters {
        let mut headers = record.headers.iter();
        let reason = headers.find(|(name, _)| *name == REASON);
        let reason = reason.and_then(|(_, word)| DeadLetterReason::from_word(word));
        if let Some(reason) = reason {
            tally.add(reason, now_ms, None);
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use headworks_engine::status::{Progress, StatusHandle};

    use super::*;

    #[test]
    fn dead_letters_are_counted_by_the_reason_in_their_headers() {
        let record = |target, reason: Option<&str>| Outgoing {
            target,
            key: None,
            value: bytes::Bytes::new(),
            headers: reason
                .map(|word| (REASON, word.to_owned()))
                .into_iter()
                .collect(),
        };
        let outgoing = [
            record(Target::Stream, None),
            record(Target::DeadLetters, Some("Contract")),
            record(Target::DeadLetters, Some("Decode")),
            record(Target::DeadLetters, Some("Contract")),
        ];
        let status = StatusHandle::new();
        let progress = Progress {
            reasons: of(&outgoing, 7),
            ..Progress::default()
        };
        status.committed(&progress, 7);
        let figures = status.report().figures;
        let counts = figures.dead_letters_by_reason.iter();
        let counts: Vec<_> = counts.map(|one| (one.reason.as_str(), one.count)).collect();
        assert_eq!(counts, [("Contract", 2), ("Decode", 1)]);
        let last = figures.last_dead_letter.unwrap();
        assert_eq!(
            (last.reason.as_str(), last.at_ms, last.place),
            ("Contract", 7, None)
        );
    }
}
