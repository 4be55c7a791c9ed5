//! Records that nobody waits for an answer about: what doesn't obey the contract is a dead letter, or is counted and left out. Of
//! what breaks a rule, the rule says what it is.

use headworks_engine::status::Progress;
use headworks_plan::OnInvalid;

use super::judged::{Bad, Checked};
use super::kafka::Outgoing;
use super::record_validation::RecordValidation;
use super::tally;

/// What is written of `count` records that were checked, and what they count for.
pub(super) fn written(
    validation: &RecordValidation,
    on_invalid: OnInvalid,
    count: usize,
    checked: Checked,
    now_ms: i64,
) -> (Vec<Outgoing>, Progress) {
    let Checked {
        good,
        mut bad,
        rules,
        ..
    } = checked;
    let mut outgoing = good;
    let good = outgoing.len();
    if on_invalid != OnInvalid::DeadLetter {
        bad.retain(Bad::is_by_rule);
    }
    if !bad.is_empty() {
        let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let dead_letters = validation.dead_letters(&bad, now);
        outgoing.extend(
            dead_letters
                .or_else(|too_large| {
                    bad.retain(|bad| !too_large.contains(&bad.index));
                    // What remains fits.
                    validation.dead_letters(&bad, now)
                })
                .unwrap_or_default(),
        );
    }
    let progress = Progress {
        records_in: count as u64,
        records_out: good as u64,
        dead_letters: (outgoing.len() - good) as u64,
        reasons: tally::of(&outgoing, now_ms),
        dropped: (count - outgoing.len()) as u64,
        rules,
        ..Progress::default()
    };
    (outgoing, progress)
}
