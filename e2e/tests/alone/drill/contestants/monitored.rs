//! A rule's monitors: of made-up orders, each minute of event time that is over has one verdict, with as many orders as the stream holds of
//! it, and each order that is of less than its user's one before has one, however often the monitors' pods are killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{Cluster, Kubectl, Record, Verdict};
use serde_json::Value;

use super::generated::cents;
use super::{Contestant, ORDER, Seen, number, stream, text, time};

const A_SECOND: u64 = 20;
const MINUTE: i64 = 60_000;
/// Between two kills of the monitor's pods.
const PAUSE: Duration = Duration::from_secs(25);

/// Orders of the template `shop`, counted by a monitor.
pub struct Monitored {
    seed: u64,
    limit: u64,
    still: bool,
    kills: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Monitored {
    /// It ends about when the faults do.
    pub fn new(seed: u64, seconds: u64) -> Self {
        Self {
            seed: seed % 1_000_000 + 1,
            limit: (seconds * A_SECOND).max(2_500),
            still: false,
            kills: None,
        }
    }
}

/// Kills the monitors' pods, again and again.
fn kill(namespace: &str, stop: &AtomicBool) {
    let kubectl = Kubectl::default();
    let nap = Duration::from_millis(500);
    loop {
        let mut left = PAUSE;
        while !left.is_zero() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(nap);
            left = left.saturating_sub(nap);
        }
        // Where the API server is away, the next try is soon.
        let labels =
            "headworks.dev/kind=Pipeline,headworks.dev/name in (counted-monitor,counted-ordered-1)";
        let all = ["delete", "pods", "-n", namespace, "-l", labels];
        kubectl.run(&[&all[..], &["--grace-period=0", "--force"]].concat());
    }
}

impl Contestant for Monitored {
    fn name(&self) -> &'static str {
        "a rule's monitor"
    }

    fn yaml(&self) -> String {
        let (seed, limit) = (self.seed, self.limit);
        // Nothing is late: within a partition times ascend, and none is taken for idle.
        let event_time =
            "  eventTime: {field: placed_at, maxOutOfOrderness: 10s, idleTimeout: 1h}\n";
        stream("counted", &ORDER, "user_id", event_time)
            + &format!(
                "---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: counted}}\nspec:\n  into: counted\n  generate: {{recordsPerSecond: {A_SECOND}, seed: {seed}, template: shop, records: orders, limit: {limit}}}\n"
            )
            + "---\napiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {name: counted}\nspec:\n  stream: counted\n  window: 1m\n  checks:\n    - {name: few, rowCount: {max: 1000}}\n    - {name: coupons, nullRatio: {field: coupon, max: \"0\"}}\n    - {name: more, ordered: {field: amount, by: [user_id]}}\n"
    }

    fn hold_still(&mut self) {
        self.still = true;
    }

    fn begin(&mut self, c: &Cluster) {
        if self.still {
            return;
        }
        let stop = Arc::<AtomicBool>::default();
        let (told, namespace) = (stop.clone(), c.namespace.clone());
        let thread = std::thread::spawn(move || kill(&namespace, &told));
        self.kills = Some((stop, thread));
    }

    fn end(&mut self, _: &Cluster) {
        if let Some((stop, thread)) = self.kills.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("the kills end well");
        }
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let orders = seen.c.kafka.read(&seen.c.topic("counted"));
        let (counts, over) = minutes(&orders);
        let told = seen.json("counted-verdicts");
        let (of_order, of_minutes): (Vec<Value>, Vec<Value>) = told
            .into_iter()
            .partition(|row| row["passed"]["more"].is_boolean());
        let found: Vec<(i64, (i64, String))> = of_minutes.iter().map(verdict).collect();
        // What isn't over may be: the newest order of the slower partition says so, and a pod may know more than it.
        let known = |end: &i64| found.iter().any(|(told, _)| told == end);
        let expected: BTreeMap<i64, (i64, String)> = counts
            .into_iter()
            .filter(|(end, _)| *end <= over || known(end))
            .collect();
        vec![
            Verdict::of("minutes", &expected, &found).at_least(1),
            out_of_order(&orders, &of_order, over),
        ]
    }
}

/// What was observed of an order: its minute's end, its user, its amount and the one before.
type Less = (i64, String, String);

/// Each order of less than its user's one before, once. `over`: up to when all of them must be told; later ones may be.
fn out_of_order(orders: &[Record], told: &[Value], over: i64) -> Verdict {
    let mut by_user: BTreeMap<i64, Vec<(i64, i64, String)>> = BTreeMap::new();
    for order in orders {
        let json = order.json();
        let (at, amount) = (time(&json, "placed_at"), cents(&json["amount"]));
        let of_user = by_user.entry(number(&json, "user_id")).or_default();
        // Of one time they are in the order of the log.
        of_user.push((at, order.offset, amount));
    }
    let worth = |amount: &str| amount.replace('.', "").parse::<i64>().expect("an amount");
    let mut found: BTreeMap<Less, usize> = BTreeMap::new();
    for row in told {
        let observed = text(&row["observed"], "more");
        let less = (time(row, "window_end"), text(row, "repeated_key"), observed);
        *found.entry(less).or_default() += 1;
    }
    let mut expected: BTreeMap<Less, usize> = BTreeMap::new();
    for (user, mut orders) in by_user {
        orders.sort_unstable();
        for two in orders.windows(2) {
            let [(_, _, before), (at, _, amount)] = two else {
                continue;
            };
            let end = (at.div_euclid(MINUTE) + 1) * MINUTE;
            let less = (end, user.to_string(), format!("{amount} after {before}"));
            let must = *at <= over || found.contains_key(&less);
            if worth(amount) < worth(before) && must {
                *expected.entry(less).or_default() += 1;
            }
        }
    }
    let found: Vec<_> = found.into_iter().collect();
    Verdict::of("orders of less than the one before", &expected, &found).at_least(50)
}

/// What the verdict of each minute should say, by its end: orders, and whether each check passed. Beside them the time up to which all
/// partitions have come.
fn minutes(orders: &[Record]) -> (BTreeMap<i64, (i64, String)>, i64) {
    let mut counts: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
    for order in orders {
        let json = order.json();
        let at = time(&json, "placed_at");
        let last = newest.entry(order.partition).or_insert(at);
        *last = at.max(*last);
        let (all, without) = counts
            .entry((at.div_euclid(MINUTE) + 1) * MINUTE)
            .or_default();
        *all += 1;
        *without += i64::from(json["coupon"].is_null());
    }
    let told = counts.into_iter().map(|(end, (all, without))| {
        let passed = format!("few {} coupons {}", all <= 1000, without == 0);
        (end, (all, passed))
    });
    // Less the time that records may be out of order.
    let over = newest.values().min().map_or(0, |at| at - 10_000);
    (told.collect(), over)
}

/// A row of the stream of verdicts.
fn verdict(row: &Value) -> (i64, (i64, String)) {
    let passed = |check: &str| row["passed"][check].as_bool().unwrap_or(true);
    let end = time(row, "window_end");
    let records = number(row, "records");
    let passed = format!("few {} coupons {}", passed("few"), passed("coupons"));
    (end, (records, passed))
}
