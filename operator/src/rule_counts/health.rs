//! Whether enough records pass of late: a threshold over a window of samples. Pure.

use std::collections::VecDeque;

use super::Sums;

/// Most samples that are kept: a window's length is told with this fineness.
const SAMPLES: usize = 60;

/// The sums at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at_ms: i64,
    sums: Sums,
}

/// The counts of late, of one version of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    generation: i64,
    samples: VecDeque<Sample>,
}

/// What was judged over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Records that were judged.
    pub checked: u64,
    /// Those that failed at least one check.
    pub failed: u64,
}

impl Window {
    /// Notes the sums at a moment, and gives what was judged over the window before it; none where nothing was. A changed rule begins
    /// anew. `length_ms`: the window's length, in milliseconds.
    pub fn note(
        &mut self,
        generation: i64,
        at_ms: i64,
        sums: Sums,
        length_ms: i64,
    ) -> Option<Judged> {
        if self.generation != generation {
            self.generation = generation;
            self.samples.clear();
        }
        let sample = Sample { at_ms, sums };
        // The one that the window begins with is the newest that is old enough.
        while self.samples.len() > 1
            && self
                .samples
                .get(1)
                .is_some_and(|next| next.at_ms <= at_ms.saturating_sub(length_ms))
        {
            self.samples.pop_front();
        }
        let step = length_ms / i64::try_from(SAMPLES).unwrap_or(1);
        let due = self
            .samples
            .back()
            .is_none_or(|last| at_ms.saturating_sub(last.at_ms) >= step);
        let first = *self.samples.front().unwrap_or(&sample);
        if due {
            self.samples.push_back(sample);
        }
        let judged = sums.since(first.sums).judged();
        (judged.checked > 0).then_some(judged)
    }
}

impl Judged {
    /// True: at least `threshold` per cent passed. Compared as whole numbers, so that 66.66… per cent are fewer than 67, and 2 of 3
    /// are not 66.67. A threshold that is no percentage is never met.
    pub fn meets(self, threshold: &str) -> bool {
        let Some(billionths) = billionths(threshold) else {
            return false;
        };
        let passed = u128::from(self.checked.saturating_sub(self.failed));
        passed * 100_000_000_000 >= billionths * u128::from(self.checked)
    }

    /// Per cent that passed, such as `99.87`: rounded down, so that 100 means all.
    pub fn pass(self) -> Option<String> {
        if self.checked == 0 {
            return None;
        }
        let passed = u128::from(self.checked.saturating_sub(self.failed));
        let hundredths = passed * 10_000 / u128::from(self.checked);
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        Some(match rest {
            0 => whole.to_string(),
            rest if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
            rest => format!("{whole}.{rest:02}"),
        })
    }
}

/// A percentage in billionths of a per cent.
fn billionths(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 {
        return None;
    }
    let digits = format!("{whole}{fraction:0<9}");
    digits.parse().ok()
}
