//! How often an anomaly check is wrong, and how late it is right: thirty days of a shop's orders from a seed, after the two weeks that
//! it learns. docs/quality.md states what is bounded here.
//!
//! Orders have a season of the day (nights have a sixth of what evenings have) and of the week (weekends have six tenths), drift by
//! some per cent for hours, are counted (so that they vary by their square root), and burst by a third once in five hundred windows.

use serde_json::json;

use super::*;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
const LEARNED: i64 = 14 * DAY;

/// SplitMix64 (G. Steele, D. Lea and C. Flood, 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn part(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// Of mean 0 and deviation 1: Irwin and Hall's sum.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.part()).sum::<f64>() - 6.0
    }
}

struct Shop {
    dice: Dice,
    window_ms: i64,
    drift: f64,
}

impl Shop {
    /// Orders of the window that begins then.
    fn orders(&mut self, start_ms: i64) -> f64 {
        let day = start_ms.div_euclid(DAY);
        let of_day = f64::from(i32::try_from(start_ms % DAY / MINUTE).unwrap()) / 1440.0;
        let weekend = if matches!((day + 4) % 7, 0 | 6) {
            0.6
        } else {
            1.0
        };
        let curve = 1.0 + 0.7 * (std::f64::consts::TAU * (of_day - 0.4)).sin();
        let minutes = f64::from(i32::try_from(self.window_ms / MINUTE).unwrap());
        // Half of a drift is gone after an hour or so.
        let stays = 0.5_f64.powf(minutes / 60.0);
        self.drift = self.drift * stays + 0.05 * (1.0 - stays * stays).sqrt() * self.dice.normal();
        let mean = 600.0 * minutes * curve * weekend * self.drift.exp();
        let burst = if self.dice.part() < 0.002 { 1.33 } else { 1.0 };
        ((mean + mean.sqrt() * self.dice.normal()) * burst)
            .max(0.0)
            .round()
    }

    /// What is said of the window that begins then, of whose orders so many are left.
    fn judged(&mut self, history: &mut History, of: &Compared, at_ms: i64, left: f64) -> Judgement {
        let minutes = f64::from(i32::try_from(self.window_ms / MINUTE).unwrap());
        let per_minute = (self.orders(at_ms) * left / minutes).to_string();
        let end_ms = at_ms + self.window_ms;
        let told = history.judge(("volume", of), (end_ms, end_ms), &per_minute);
        told.unwrap()
    }
}

/// What becomes of orders: none, half, three quarters.
const INCIDENTS: [f64; 3] = [0.0, 0.5, 0.75];

#[derive(Debug, Default)]
struct Outcome {
    judged: u32,
    false_windows: u32,
    false_alarms: u32,
    /// For each kind of incident: how many there were, and how many windows after its beginning each was found that was found within
    /// its three hours.
    incidents: u32,
    delays: [Vec<i64>; INCIDENTS.len()],
}

fn simulated(window_ms: i64, consecutive: i32) -> Outcome {
    let check = json!([{"anomaly": {"consecutive": consecutive}}]);
    let mut spec = QualityRuleSpec::new("orders", serde_json::from_value(check).unwrap());
    let window = u64::try_from(window_ms).unwrap();
    spec.window = headworks_crds::Duration::from_millis(window);
    let of = compared(&spec.checks[0], &spec).unwrap();
    let mut history = History::default();
    let mut shop = Shop {
        dice: Dice(7),
        window_ms,
        drift: 0.0,
    };
    let mut incidents = Dice(11);
    let mut outcome = Outcome::default();
    let (mut failing, mut at_ms, mut next_ms) = (false, 0, LEARNED);
    while at_ms < LEARNED + 30 * DAY {
        if at_ms >= next_ms {
            outcome.incidents += 1;
            for (delays, incident) in outcome.delays.iter_mut().zip(INCIDENTS) {
                delays.extend(delay(&history, &of, &shop, at_ms, incident));
            }
            // One a day, at any time of it.
            let part = i64::try_from(incidents.next() % 1440).unwrap() * MINUTE;
            next_ms = (at_ms.div_euclid(DAY) + 1) * DAY + part;
        }
        let told = shop.judged(&mut history, &of, at_ms, 1.0);
        let fails = told.passed == Some(false);
        assert!(at_ms >= LEARNED || told.passed.is_none());
        outcome.judged += u32::from(told.passed.is_some());
        outcome.false_windows += u32::from(fails);
        outcome.false_alarms += u32::from(fails && !failing);
        failing = fails;
        at_ms += window_ms;
    }
    outcome
}

/// What would be if orders fell now, in a world beside this one.
fn delay(
    history: &History,
    of: &Compared,
    shop: &Shop,
    from_ms: i64,
    incident: f64,
) -> Option<i64> {
    let mut history = history.clone();
    let mut beside = Shop {
        dice: Dice(shop.dice.0 ^ 0x5555),
        ..*shop
    };
    let windows = (3 * 60 * MINUTE / shop.window_ms).max(3);
    (0..windows).find_map(|window| {
        let start_ms = from_ms + window * beside.window_ms;
        let told = beside.judged(&mut history, of, start_ms, incident);
        (told.passed == Some(false)).then_some(window + 1)
    })
}

#[test]
fn false_alarms_of_thirty_days_and_the_delay_of_a_true_one() {
    // Bounds: windows that fail for no reason, false alarms; how many of thirty incidents of each kind are found within three hours.
    let bounds = [
        (5, 1, 12, 12, [30, 28, 18]),
        (5, 2, 2, 2, [30, 28, 15]),
        (5, 3, 0, 0, [30, 28, 12]),
        (60, 1, 9, 9, [29, 27, 18]),
        (60, 2, 2, 2, [29, 27, 14]),
        (60, 3, 1, 1, [29, 27, 12]),
    ];
    for (minutes, consecutive, windows, alarms, least) in bounds {
        let outcome = simulated(minutes * MINUTE, consecutive);
        println!(
            "window {minutes}m, consecutive {consecutive}: {} windows judged, {} failed for no reason in {} false alarms",
            outcome.judged, outcome.false_windows, outcome.false_alarms
        );
        // An incident at the end of a day may leave the next day out.
        assert_eq!(i64::from(outcome.judged), 30 * 1440 / minutes);
        assert!(outcome.incidents >= 29);
        for ((delays, incident), least) in outcome.delays.iter().zip(INCIDENTS).zip(least) {
            let mut found = delays.clone();
            found.sort_unstable();
            println!(
                "  {incident} of the orders: found {} of {}, half of them after {:?} windows, the last after {:?}",
                found.len(),
                outcome.incidents,
                found.get(found.len() / 2),
                found.last()
            );
            assert!(found.len() >= least, "{incident}: {found:?}");
        }
        // An outage is found at once.
        let outage = outcome.delays[0].iter().max().copied().unwrap();
        assert_eq!(outage, i64::from(consecutive));
        assert!(
            outcome.false_windows <= windows && outcome.false_alarms <= alarms,
            "{outcome:?}"
        );
    }
}
