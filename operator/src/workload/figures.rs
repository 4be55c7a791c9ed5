//! Figures in a status: the coarse ones that the reports room lets through, in the words people read.

use std::collections::BTreeMap;

use headworks_crds::{DeadLetterCount, DeadLetterStatus, ReasonCount};
use headworks_plan::LastDeadLetter;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    context::Context,
    controller::{Reconciler, ShownFigures},
    names::Key,
    reports::{self, Coarse, Letters, Reports},
    stores::Stores,
};

/// Tells the reports room what every status shows already, before the first report: a new operator goes on from
/// there and rewrites nothing.
pub fn remember(reports: &Reports, stores: &Stores) {
    macro_rules! all {
        ($($field:ident: $kind:ident,)*) => {
            $(for object in stores.$field.state() {
                let Ok(object) = &object.0 else { continue };
                if let Some(shown) = object.shown_figures() {
                    already(reports, &Key::of(object), shown);
                }
            })*
        };
    }
    for_each_kind!(all);
}

/// A status that shows figures of pods.
pub trait ShowsFigures {
    /// Where it counts dead letters.
    fn letters(&mut self) -> &mut DeadLetterStatus;

    /// No pod is to run: what the last one said of its pace isn't so any more.
    fn rest(&mut self);

    /// Shows the pace.
    fn show(&mut self, figures: Coarse);

    /// What it shows already, as it was shown.
    fn shown(&self) -> ShownFigures;
}

/// [`ShowsFigures`] for a status whose pace is its `rate` alone.
macro_rules! shows_a_rate {
    ($status:ty) => {
        impl $crate::workload::figures::ShowsFigures for $status {
            fn letters(&mut self) -> &mut headworks_crds::DeadLetterStatus {
                &mut self.letters
            }

            fn rest(&mut self) {
                self.rate = None;
            }

            fn show(&mut self, figures: $crate::reports::Coarse) {
                self.rate = Some($crate::workload::figures::rate(figures.rate));
            }

            fn shown(&self) -> $crate::controller::ShownFigures {
                let pace = self.rate.as_deref().map(|shown| $crate::reports::Coarse {
                    rate: $crate::workload::figures::rate_of(Some(shown)),
                    ..$crate::reports::Coarse::default()
                });
                $crate::controller::ShownFigures {
                    letters: self.letters.clone(),
                    pace,
                }
            }
        }
    };
}
pub(crate) use shows_a_rate;

/// Puts an object's figures in its status. `rests`: no pod is to run.
pub fn settle(status: &mut impl ShowsFigures, rests: bool, key: &Key, context: &Context) {
    if let Some(letters) = context.reports.letters(key) {
        *status.letters() = letters_shown(letters);
    }
    if rests {
        context.reports.rest(key);
        status.rest();
    } else if let Some(figures) = context.reports.figures(key) {
        status.show(figures);
    }
}

/// What a status shows already: its dead letters, and the pace if it shows one.
fn already(reports: &Reports, key: &Key, shown: ShownFigures) {
    let letters = &shown.letters;
    if let Some(known) = letters_of(letters) {
        reports.letters_already(key, known);
    }
    if let Some(shown) = shown.pace {
        let dead_letters = count_of(letters.dead_letters);
        reports.shown_already(
            key,
            Coarse {
                dead_letters,
                ..shown
            },
        );
    }
}

/// What a status shows of dead letters: the sum, also by reason, how it comes about, and the last one.
fn letters_shown(letters: Letters) -> DeadLetterStatus {
    let total = letters.total();
    let by_reason = letters.reasons.iter();
    let by_reason = by_reason
        .map(|(reason, of_reason)| (reason.clone(), whole(reports::shown(of_reason.total()))))
        .collect();
    let last = letters.last.clone();
    let (reason, place) = last.map_or((None, None), |last| (Some(last.reason), last.place));
    let last_ms = letters.last_ms;
    let count = (total > 0).then(|| {
        let reasons = letters.reasons.into_iter();
        DeadLetterCount {
            ended: whole(letters.ended),
            pods: wholes(letters.pods),
            reasons: reasons
                .map(|(reason, of_reason)| {
                    let count = ReasonCount {
                        ended: whole(of_reason.ended),
                        pods: wholes(of_reason.pods),
                    };
                    (reason, count)
                })
                .collect(),
        }
    });
    DeadLetterStatus {
        dead_letters: Some(whole(reports::shown(total))),
        last_dead_letter_time: last_ms.and_then(instant),
        dead_letters_by_reason: by_reason,
        last_dead_letter_reason: reason,
        last_dead_letter_place: place,
        dead_letter_count: count,
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn wholes(pods: BTreeMap<String, u64>) -> BTreeMap<String, i64> {
    let pods = pods.into_iter();
    pods.map(|(pod, count)| (pod, whole(count))).collect()
}

fn counts_of(pods: &BTreeMap<String, i64>) -> BTreeMap<String, u64> {
    let pods = pods.iter();
    pods.map(|(pod, n)| (pod.clone(), count_of(Some(*n))))
        .collect()
}

fn letters_of(status: &DeadLetterStatus) -> Option<Letters> {
    let count = status.dead_letter_count.as_ref()?;
    let last_ms = status.last_dead_letter_time.as_ref();
    let last_ms = last_ms.map(|time| time.0.as_millisecond());
    let reasons = count.reasons.iter().map(|(reason, of_reason)| {
        let ended = count_of(Some(of_reason.ended));
        let letters = Letters::known(ended, counts_of(&of_reason.pods), None);
        (reason.clone(), letters)
    });
    let (ended, pods) = (count_of(Some(count.ended)), counts_of(&count.pods));
    let mut letters = Letters::known(ended, pods, last_ms);
    letters.reasons = reasons.collect();
    let reason = status.last_dead_letter_reason.clone();
    letters.last = reason.zip(last_ms).map(|(reason, at_ms)| LastDeadLetter {
        reason,
        at_ms,
        place: status.last_dead_letter_place.clone(),
    });
    Some(letters)
}

/// Milliseconds since 1970 as a status has them, to the second.
pub fn instant(ms: i64) -> Option<Time> {
    Timestamp::from_second(ms.div_euclid(1000)).ok().map(Time)
}

/// 1 288 490 188 → `1.2Gi`. Two digits, as the reports room rounds.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    for (shift, unit) in UNITS {
        let size = 1_u64 << shift;
        if bytes >= size {
            // A tenth of a unit is no whole number of bytes, and was rounded down.
            let tenths = (bytes % size).saturating_mul(10).div_ceil(size);
            return match (bytes / size + tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole}{unit}"),
                (whole, tenth) => format!("{whole}.{tenth}{unit}"),
            };
        }
    }
    "0".into()
}

/// 1200 → `1.2k`. Two digits, as the reports room rounds.
pub fn rate(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    for (size, unit) in UNITS {
        if number >= size {
            let (whole, tenth) = (number / size, number % size * 10 / size);
            return if tenth == 0 {
                format!("{whole}{unit}")
            } else {
                format!("{whole}.{tenth}{unit}")
            };
        }
    }
    number.to_string()
}

/// What [`rate`] wrote.
pub fn rate_of(text: Option<&str>) -> u64 {
    text.and_then(|t| t.parse::<headworks_crds::Quantity>().ok())
        .map_or(0, |q| q.value())
}

/// A count as a status has it.
pub fn count_of(number: Option<i64>) -> u64 {
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// 61 000 ms → `1m`.
pub fn delay(ms: u64) -> String {
    headworks_crds::Duration::from_millis(ms).to_string()
}

/// What [`delay`] wrote, in ms.
pub fn delay_of(text: Option<&str>) -> Option<u64> {
    text?
        .parse::<headworks_crds::Duration>()
        .ok()
        .map(|d| d.millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_short_and_read_back_as_it_was_shown() {
        for (number, text) in [
            (0, "0"),
            (99, "99"),
            (1_200, "1.2k"),
            (12_000, "12k"),
            (3_400_000, "3.4M"),
        ] {
            assert_eq!(rate(number), text);
            assert_eq!(rate_of(Some(text)), number);
        }
    }

    #[test]
    fn dead_letters_are_read_back_as_they_were_counted() {
        let pods = [("uid-a".to_owned(), 793), ("uid-b".to_owned(), 2)].into();
        let late = Letters::known(1_200, [("uid-a".to_owned(), 93)].into(), None);
        let mut letters = Letters::known(2_000, pods, Some(60_000));
        letters.reasons = [("Late".to_owned(), late)].into();
        letters.last = Some(LastDeadLetter {
            reason: "Late".to_owned(),
            at_ms: 60_000,
            place: Some("shop.orders[3]@42".to_owned()),
        });
        let shown = letters_shown(letters.clone());
        assert_eq!(shown.dead_letters, Some(2_790));
        assert_eq!(shown.dead_letters_by_reason["Late"], 1_290);
        let last = (
            shown.last_dead_letter_reason.as_deref(),
            shown.last_dead_letter_place.as_deref(),
        );
        assert_eq!(last, (Some("Late"), Some("shop.orders[3]@42")));
        assert_eq!(letters_of(&shown), Some(letters));
        let none = DeadLetterStatus {
            dead_letters: Some(0),
            ..DeadLetterStatus::default()
        };
        assert_eq!(letters_shown(Letters::default()), none);
    }

    #[test]
    fn a_delay_is_read_back_as_it_was_shown() {
        for ms in [0, 300, 4_000, 120_000, 7_200_000] {
            assert_eq!(delay_of(Some(&delay(ms))), Some(ms));
        }
    }
}
