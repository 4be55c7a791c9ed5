//! The history of a distribution: how many values fell into each bin, and how two such counts differ.

use headworks_crds::DistributionTest;
use serde::{Deserialize, Serialize};

use super::{Judgement, shown};

/// Most parts of a lookback: so finely old windows are forgotten.
const PARTS: i64 = 48;
/// Most bins, as the API has it.
const MAX_BINS: usize = 32;
/// A bin without values counts as this part of them in the population stability index, or its logarithm would have no end.
const LEAST: f64 = 1e-4;

/// A part of the lookback: its number since 1970 in such parts, and the counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Part(i64, Vec<u64>);

/// The past of a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spreads {
    period_ms: i64,
    /// None: only the newest window that had values is kept.
    lookback_ms: Option<i64>,
    bins: usize,
    /// When the first window began.
    since_ms: Option<i64>,
    parts: Vec<Part>,
}

impl Spreads {
    /// Nothing yet.
    pub fn new(window_ms: i64, lookback_ms: Option<i64>, bins: usize) -> Self {
        let windows = lookback_ms.map_or(1, |all| {
            all.div_euclid(PARTS).saturating_add(window_ms - 1) / window_ms
        });
        Self {
            period_ms: window_ms.saturating_mul(windows.max(1)),
            lookback_ms,
            bins,
            since_ms: None,
            parts: Vec::new(),
        }
    }

    /// True: it is one that [`Self::add`] makes. What is read may be anybody's.
    pub fn is_right(&self) -> bool {
        let most = usize::try_from(PARTS).unwrap_or(0) + 2;
        let fits = |part: &Part| {
            part.1.len() == self.bins && (0..=i64::MAX / self.period_ms.max(1)).contains(&part.0)
        };
        (2..=MAX_BINS).contains(&self.bins)
            && self.period_ms >= 60_000
            && self.parts.len() <= most
            && self.parts.iter().all(fits)
            && self.parts.windows(2).all(|two| two[0].0 < two[1].0)
    }

    /// Compares a window that begins then with the reference.
    pub fn judge(
        &self,
        test: DistributionTest,
        max: f64,
        start_ms: i64,
        counts: &[u64],
    ) -> Judgement {
        if let Some(lookback_ms) = self.lookback_ms {
            let seen_ms = self
                .since_ms
                .map_or(0, |since| start_ms.saturating_sub(since));
            if seen_ms < lookback_ms {
                let parts = [seen_ms.max(0), lookback_ms].map(|ms| ms / 60_000);
                let observed = format!("(learning: {} min of {} min)", parts[0], parts[1]);
                return Judgement {
                    observed,
                    passed: None,
                };
            }
        }
        let from_ms = self
            .lookback_ms
            .map_or(i64::MIN, |all| start_ms.saturating_sub(all));
        let mut reference = vec![0_u64; self.bins];
        let first = from_ms.div_euclid(self.period_ms);
        for part in self.parts.iter().filter(|part| part.0 >= first) {
            for (sum, count) in reference.iter_mut().zip(&part.1) {
                *sum = sum.saturating_add(*count);
            }
        }
        match statistic(test, counts, &reference) {
            Some(found) => Judgement {
                observed: shown(found),
                passed: Some(found <= max),
            },
            // A window without values passes.
            None if counts.iter().all(|count| *count == 0) => Judgement {
                observed: "no values".to_owned(),
                passed: Some(true),
            },
            None => Judgement {
                observed: "(learning: no values before)".to_owned(),
                passed: None,
            },
        }
    }

    /// Takes in a window that begins then, later than all before it. True: there is a new part.
    pub fn add(&mut self, start_ms: i64, counts: &[u64]) -> bool {
        self.since_ms.get_or_insert(start_ms);
        if counts.len() != self.bins || counts.iter().all(|count| *count == 0) {
            return false;
        }
        let number = start_ms.div_euclid(self.period_ms);
        let Some(lookback_ms) = self.lookback_ms else {
            self.parts = vec![Part(number, counts.to_vec())];
            return true;
        };
        if let Some(last) = self.parts.last_mut()
            && last.0 >= number
        {
            for (sum, count) in last.1.iter_mut().zip(counts) {
                *sum = sum.saturating_add(*count);
            }
            return false;
        }
        self.parts.push(Part(number, counts.to_vec()));
        let first = start_ms
            .saturating_sub(lookback_ms)
            .div_euclid(self.period_ms);
        self.parts.retain(|part| part.0 >= first);
        true
    }
}

/// Counts of bins as a monitor's query writes them, such as `12 0 7`; none where they aren't so many.
pub fn counts(observed: &str, bins: usize) -> Option<Vec<u64>> {
    let counts: Option<Vec<u64>> = observed
        .split_ascii_whitespace()
        .take(MAX_BINS + 1)
        .map(|count| count.parse().ok())
        .collect();
    counts.filter(|counts| counts.len() == bins)
}

/// How two samples' counts differ, as [`DistributionTest`] says; none where one of them has no values.
pub fn statistic(test: DistributionTest, counts: &[u64], reference: &[u64]) -> Option<f64> {
    let all = |counts: &[u64]| counts.iter().copied().map(number).sum::<f64>();
    let (sum, sum_then) = (all(counts), all(reference));
    if sum <= 0.0 || sum_then <= 0.0 {
        return None;
    }
    let pairs = || {
        counts
            .iter()
            .copied()
            .map(number)
            .zip(reference.iter().copied().map(number))
    };
    let found = match test {
        DistributionTest::Psi => pairs()
            .map(|(now, then)| {
                let (now, then) = ((now / sum).max(LEAST), (then / sum_then).max(LEAST));
                (now - then) * (now / then).ln()
            })
            .sum(),
        DistributionTest::ChiSquare => pairs()
            .filter(|(now, then)| now + then > 0.0)
            .map(|(now, then)| {
                let apart = sum_then * now - sum * then;
                apart * apart / (now + then) / (sum * sum_then)
            })
            .sum(),
        DistributionTest::KolmogorovSmirnov => {
            let (mut up_to, mut up_to_then, mut most) = (0.0, 0.0, 0.0_f64);
            for (now, then) in pairs() {
                up_to += now / sum;
                up_to_then += then / sum_then;
                most = most.max(f64::abs(up_to - up_to_then));
            }
            most
        }
    };
    Some(found)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "beyond 2^53 the last digits say nothing"
)]
fn number(count: u64) -> f64 {
    count as f64
}
