//! The history of a figure, and what is usual at a time.
//!
//! Usual is the median of what was at the same time of the season: the same hour of the week, of the day, or whenever. How far
//! windows commonly are from that is a median absolute deviation, too: of what each point of the past was away from the median of
//! the others of its time, for points of about the same hour of the day (a shop's nights move less than its evenings), together with
//! how windows within an hour differ. Medians, so that an incident of the past moves neither by much (B. Iglewicz and D. Hoaglin, How
//! to Detect and Handle Outliers, 1993; the factor for few values: C. Croux and P. Rousseeuw, 1992).

use headworks_crds::AnomalySeason;
use serde::{Deserialize, Serialize};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
/// So long is remembered.
const KEPT_MS: i64 = 4 * WEEK_MS;
/// Most points: one an hour.
const MAX_POINTS: usize = 28 * 24;
/// Most windows of an hour: they are of a minute at least.
const MAX_OPEN: usize = 64;
/// Fewer distances than these say nothing of how far is common.
const LEAST: usize = 7;
/// Points of the same hour, and of so many before and after it, are as far from what is usual as each other.
const NEIGHBOURS: i64 = 2;
/// From a median absolute deviation to the standard deviation of what is normally distributed.
const NORMAL: f64 = 1.4826;
/// Less than this part of what is usual isn't unusual, however still it was.
const FLOOR: f64 = 0.01;

/// An hour, or a longer window: its number since 1970 in such periods, the median of its windows, and the median absolute deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point(i64, f64, f64);

/// The past of a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    window_ms: i64,
    period_ms: i64,
    points: Vec<Point>,
    #[serde(skip)]
    open: Option<(i64, Vec<f64>)>,
    /// What is usual in the period that was last asked for: all its windows ask the same.
    #[serde(skip)]
    asked: Option<(i64, AnomalySeason, Result<Usual, String>)>,
}

/// What is usual at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// The figure.
    pub value: f64,
    /// As far from it as windows commonly are: a standard deviation, if they were normally distributed. Above 0.
    pub scale: f64,
}

impl Figures {
    /// Nothing yet.
    pub fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            period_ms: window_ms.max(HOUR_MS),
            points: Vec::new(),
            open: None,
            asked: None,
        }
    }

    /// True: it is one that [`Self::add`] makes. What is read may be anybody's.
    pub fn is_right(&self) -> bool {
        let finite = |point: &Point| point.1.is_finite() && point.2.is_finite() && point.0 >= 0;
        let ascends = self.points.windows(2).all(|two| two[0].0 < two[1].0);
        let near = |point: &Point| point.0 <= i64::MAX / HOUR_MS / 64;
        (60_000..=DAY_MS).contains(&self.window_ms)
            && self.period_ms == self.window_ms.max(HOUR_MS)
            && self.points.len() <= MAX_POINTS
            && self.points.iter().all(|point| finite(point) && near(point))
            && ascends
    }

    /// Takes in a window that begins then, later than all before it. True: a period is complete with it, or was.
    pub fn add(&mut self, start_ms: i64, value: f64) -> bool {
        let number = start_ms.div_euclid(self.period_ms);
        let mut closed = false;
        if self.open.as_ref().is_some_and(|(of, _)| *of != number) {
            closed = self.close();
        }
        let (_, values) = self.open.get_or_insert_with(|| (number, Vec::new()));
        if values.len() < MAX_OPEN {
            values.push(value);
        }
        let end_ms = start_ms.saturating_add(self.window_ms);
        if end_ms >= (number + 1).saturating_mul(self.period_ms) {
            closed |= self.close();
        }
        closed
    }

    fn close(&mut self) -> bool {
        let Some((number, mut values)) = self.open.take() else {
            return false;
        };
        let middle = median(&mut values);
        let mut away: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        let spread = median(&mut away);
        if self.points.last().is_some_and(|last| last.0 >= number) || !spread.is_finite() {
            return false;
        }
        self.points
            .push(Point(number, shortened(middle), shortened(spread)));
        self.asked = None;
        let first = number - KEPT_MS / self.period_ms;
        self.points.retain(|point| point.0 >= first);
        let old = self.points.len().saturating_sub(MAX_POINTS);
        self.points.drain(..old);
        true
    }

    /// As [`Self::usual`], and remembers it.
    ///
    /// # Errors
    /// As there.
    pub fn ask(&mut self, at_ms: i64, season: AnomalySeason) -> Result<Usual, String> {
        let number = at_ms.div_euclid(self.period_ms);
        if let Some((of, known, told)) = &self.asked
            && (*of, *known) == (number, season)
        {
            return told.clone();
        }
        let told = self.usual(at_ms, season);
        self.asked = Some((number, season, told.clone()));
        told
    }

    /// What is usual for a window that begins then.
    ///
    /// # Errors
    /// How much is known of the season, where that isn't enough.
    pub fn usual(&self, at_ms: i64, season: AnomalySeason) -> Result<Usual, String> {
        let (cycle_ms, learns_ms, name) = match season {
            AnomalySeason::Week => (Some(WEEK_MS), 2 * WEEK_MS, "14 days"),
            AnomalySeason::Day => (Some(DAY_MS), 3 * DAY_MS, "3 days"),
            AnomalySeason::None => (None, DAY_MS, "1 day"),
        };
        let at_ms = at_ms
            .div_euclid(self.period_ms)
            .saturating_mul(self.period_ms);
        let seen_ms = self
            .points
            .first()
            .map_or(0, |point| at_ms.saturating_sub(self.time(point)));
        if seen_ms < learns_ms {
            return Err(format!("{} h of {name}", seen_ms.max(0) / HOUR_MS));
        }
        let of_time = |at_ms: i64| {
            let all = self.points.iter();
            all.filter(move |point| 2 * apart(self.time(point), at_ms, cycle_ms) <= self.period_ms)
        };
        let mut values: Vec<f64> = of_time(at_ms).map(|point| point.1).collect();
        let value = median(&mut values);
        let hours: Vec<&Point> = self.neighbours(at_ms, season).collect();
        let mut away = Vec::with_capacity(hours.len());
        for point in &hours {
            if cycle_ms.is_none() {
                away.push((point.1 - value).abs());
                continue;
            }
            let others = of_time(self.time(point)).filter(|other| other.0 != point.0);
            let mut others: Vec<f64> = others.map(|other| other.1).collect();
            if !others.is_empty() {
                away.push((point.1 - median(&mut others)).abs());
            }
        }
        if values.len() < 2 || away.len() < LEAST {
            return Err(format!(
                "{} windows like it of 2, {} of {LEAST}",
                values.len(),
                away.len()
            ));
        }
        let between = NORMAL * median(&mut away);
        let mut spreads: Vec<f64> = hours.iter().map(|point| point.2).collect();
        let within = NORMAL * self.of_few() * median(&mut spreads);
        let scale = between.hypot(within).max(FLOOR * value.abs()).max(1e-9);
        Ok(Usual { value, scale })
    }

    fn time(&self, point: &Point) -> i64 {
        point.0.saturating_mul(self.period_ms)
    }

    /// The points of about the same hour of the day.
    fn neighbours(&self, at_ms: i64, season: AnomalySeason) -> impl Iterator<Item = &Point> {
        let cycle_ms = (season != AnomalySeason::None).then_some(DAY_MS);
        let reach_ms = NEIGHBOURS * self.period_ms;
        let all = self.points.iter();
        all.filter(move |point| apart(self.time(point), at_ms, cycle_ms) <= reach_ms)
    }

    /// The median absolute deviation of few values is too small, by about this factor.
    fn of_few(&self) -> f64 {
        let windows = u32::try_from(self.period_ms / self.window_ms).unwrap_or(1);
        let windows = f64::from(windows);
        if windows < 2.0 {
            1.0
        } else {
            windows / (windows - 0.8)
        }
    }
}

/// How far two times of a season lie from each other; without a season they don't.
fn apart(one_ms: i64, other_ms: i64, cycle_ms: Option<i64>) -> i64 {
    let Some(cycle_ms) = cycle_ms else { return 0 };
    let distance = one_ms.saturating_sub(other_ms).rem_euclid(cycle_ms);
    distance.min(cycle_ms - distance)
}

/// A number with six digits: what is kept of it, and written down.
fn shortened(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// The median; of an even number of values the mean of the two in the middle; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.len() % 2, values.get(half)) {
        (1, Some(middle)) => *middle,
        (_, Some(upper)) => f64::midpoint(*upper, values[half.saturating_sub(1)]),
        _ => 0.0,
    }
}
