//! What windows were like of late, for the checks of QualityRules that compare a window with those before it: anomalies, and
//! distributions with a reference.
//!
//! A history is bounded: of a figure the median of each hour (or of each window, where that is longer) of four weeks, of a distribution
//! the counts of at most 48 parts of its lookback. It is written down as text, one for a rule, so that it outlives the process. What
//! comes in is what monitors' pods say, so it is taken for hostile: numbers are finite, texts are short, times near.
//!
//! Pure.

mod figures;
#[cfg(test)]
mod simulation;
mod spreads;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use headworks_crds::{
    AnomalyDirection, AnomalyMetric, AnomalySeason, DistributionTest, QualityCheck, QualityRuleSpec,
};
use serde::{Deserialize, Serialize};

use crate::names::digest;

use figures::{Figures, Usual};
use spreads::Spreads;

/// Most checks of one rule that have a history.
pub const MAX_HISTORIES: usize = 16;
/// A window that ends further in the future isn't taken in: it would make all that is known old.
const FUTURE_MS: i64 = 86_400_000;

/// A check that compares a window with those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Whose history it needs: that of the same figure of the same records in windows of the same length, digested.
    of: String,
    window_ms: i64,
    how: How,
}

#[derive(Clone, Debug, PartialEq)]
enum How {
    /// A figure isn't far from what is usual.
    Unusual {
        season: AnomalySeason,
        direction: AnomalyDirection,
        sensitivity: f64,
        consecutive: u32,
        /// True: no records are a figure, too.
        volume: bool,
    },
    /// Values are spread as in a reference.
    Spread {
        test: DistributionTest,
        max: f64,
        /// None: the window before.
        lookback_ms: Option<i64>,
        bins: usize,
    },
}

/// What was found of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// In words, such as `120 (usual 240, z -7.9)`.
    pub observed: String,
    /// None: there is nothing to compare it with yet.
    pub passed: Option<bool>,
}

/// The check as one that has a history; none where it has none.
pub fn compared(check: &QualityCheck, spec: &QualityRuleSpec) -> Option<Compared> {
    let window_ms = i64::try_from(spec.window.millis())
        .unwrap_or(i64::MAX)
        .max(1);
    let (what, how) = if let Some(of) = &check.anomaly {
        let how = How::Unusual {
            season: of.season,
            direction: of.direction,
            sensitivity: of.sensitivity.parse().ok()?,
            consecutive: u32::try_from(of.consecutive).unwrap_or(1).max(1),
            volume: of.metric == AnomalyMetric::RecordsPerMinute,
        };
        (format!("{:?} {:?}", of.metric, of.field), how)
    } else {
        let of = check.distribution.as_ref()?;
        let lookback = of.reference.as_ref()?.lookback.as_ref();
        let lookback_ms = lookback.map(|time| i64::try_from(time.millis()).unwrap_or(i64::MAX));
        let how = How::Spread {
            test: of.test,
            max: of.max.parse().ok()?,
            lookback_ms,
            bins: of.bins.len(),
        };
        (format!("{} {:?} {lookback_ms:?}", of.field, of.bins), how)
    };
    let of = format!("{what} {:?} {window_ms}", spec.filter);
    Some(Compared {
        of: digest(of.as_bytes())[..16].to_owned(),
        window_ms,
        how,
    })
}

/// The histories of a rule's checks, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    checks: BTreeMap<String, Series>,
    changed: bool,
}

/// The history of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Series {
    of: String,
    /// The end of the newest window that was taken in, in milliseconds since 1970 UTC.
    last_end_ms: i64,
    /// So many windows in a row were unusual.
    #[serde(default)]
    run: u32,
    /// What was found of the newest one.
    #[serde(skip)]
    last: Option<Judgement>,
    #[serde(flatten)]
    past: Past,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Past {
    Figures(Figures),
    Spreads(Spreads),
}

impl Series {
    fn new(of: &Compared) -> Self {
        let past = match of.how {
            How::Unusual { .. } => Past::Figures(Figures::new(of.window_ms)),
            How::Spread {
                lookback_ms, bins, ..
            } => Past::Spreads(Spreads::new(of.window_ms, lookback_ms, bins)),
        };
        Self {
            of: of.of.clone(),
            last_end_ms: i64::MIN,
            run: 0,
            last: None,
            past,
        }
    }
}

impl History {
    /// From what [`Self::write`] gave. What can't be read is no history, and begins anew.
    pub fn read(text: &str) -> Self {
        let mut checks: BTreeMap<String, Series> = serde_json::from_str(text).unwrap_or_default();
        checks.retain(|_, series| match &mut series.past {
            Past::Figures(past) => past.is_right(),
            Past::Spreads(past) => past.is_right(),
        });
        while checks.len() > MAX_HISTORIES {
            checks.pop_last();
        }
        Self {
            checks,
            changed: false,
        }
    }

    /// As text, to be kept.
    pub fn write(&self) -> String {
        serde_json::to_string(&self.checks).unwrap_or_default()
    }

    /// True: there is more to keep than was.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// It was kept.
    pub fn saved(&mut self) {
        self.changed = false;
    }

    /// True: there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// Forgets checks that the rule hasn't any more.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        let before = self.checks.len();
        self.checks.retain(|name, _| is_there(name));
        self.changed |= self.checks.len() != before;
    }

    /// Compares a window with those before it, and takes it in. The same window again gives the same answer; an older one, or one that
    /// ends far in the future, none.
    pub fn judge(
        &mut self,
        (name, of): (&str, &Compared),
        (end_ms, now_ms): (i64, i64),
        observed: &str,
    ) -> Option<Judgement> {
        if end_ms > now_ms.saturating_add(FUTURE_MS) || end_ms < of.window_ms {
            return None;
        }
        if self.checks.get(name).is_none_or(|known| known.of != of.of) {
            if !self.checks.contains_key(name) && self.checks.len() >= MAX_HISTORIES {
                return None;
            }
            self.checks.insert(name.to_owned(), Series::new(of));
        }
        let series = self.checks.get_mut(name)?;
        if end_ms == series.last_end_ms {
            return series.last.clone();
        }
        if end_ms < series.last_end_ms {
            return None;
        }
        let start_ms = end_ms - of.window_ms;
        let (found, closed) = match (&mut series.past, &of.how) {
            (Past::Figures(past), How::Unusual { .. }) => {
                let value = observed
                    .trim()
                    .parse()
                    .ok()
                    .filter(|v: &f64| v.is_finite())?;
                let usual = past.ask(start_ms, of.season());
                let (found, run) = unusual(usual, &of.how, value, series.run);
                series.run = run;
                (found, past.add(start_ms, value))
            }
            (
                Past::Spreads(past),
                How::Spread {
                    test, max, bins, ..
                },
            ) => {
                let counts = spreads::counts(observed, *bins)?;
                let found = past.judge(*test, *max, start_ms, &counts);
                (found, past.add(start_ms, &counts))
            }
            _ => return None,
        };
        self.changed |= closed;
        series.last_end_ms = end_ms;
        series.last = Some(found.clone());
        Some(found)
    }

    /// What is to be said of a window without any records, which has no row: by the clock, and nothing is taken in. None: nothing.
    pub fn silent(&self, (name, of): (&str, &Compared), start_ms: i64) -> Option<Judgement> {
        let How::Unusual { volume: true, .. } = &of.how else {
            return None;
        };
        let series = self.checks.get(name).filter(|known| known.of == of.of)?;
        let Past::Figures(past) = &series.past else {
            return None;
        };
        // Silence lasts for as many windows as the check asks for.
        let usual = past.usual(start_ms, of.season());
        let (found, _) = unusual(usual, &of.how, 0.0, u32::MAX - 1);
        Some(found)
    }
}

impl Compared {
    fn season(&self) -> AnomalySeason {
        match self.how {
            How::Unusual { season, .. } => season,
            How::Spread { .. } => AnomalySeason::None,
        }
    }
}

/// Whether a figure is far from what is usual, and how many in a row are, with it; `run`: how many before it.
fn unusual(usual: Result<Usual, String>, how: &How, value: f64, run: u32) -> (Judgement, u32) {
    let unknown = |learned: &str| Judgement {
        observed: format!("{} (learning: {learned})", shown(value)),
        passed: None,
    };
    let usual = match usual {
        Ok(usual) => usual,
        Err(learned) => return (unknown(&learned), 0),
    };
    let How::Unusual {
        direction,
        sensitivity,
        consecutive,
        ..
    } = how
    else {
        return (unknown("nothing"), 0);
    };
    let z = ((value - usual.value) / usual.scale).clamp(-999.0, 999.0);
    let off = match direction {
        AnomalyDirection::Both => z.abs() > *sensitivity,
        AnomalyDirection::Above => z > *sensitivity,
        AnomalyDirection::Below => -z > *sensitivity,
    };
    let run = if off { run.saturating_add(1) } else { 0 };
    let observed = format!("{} (usual {}, z {z:.1})", shown(value), shown(usual.value));
    let passed = Some(run < *consecutive);
    (Judgement { observed, passed }, run)
}

/// A number in few characters, with at least four digits of it.
pub fn shown(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let text = if size >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.4}")
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
