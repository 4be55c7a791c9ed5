//! A rule's monitor: of made-up orders, each minute of event time that is over has one verdict, with as many orders as the stream holds of
//! it, however often the monitor's pods are killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{Cluster, Kubectl, Record, Verdict};
use serde_json::Value;

use super::{Contestant, ORDER, Seen, number, stream, time};

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

/// Kills the monitor's pods, again and again.
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
        let labels = "headworks.dev/kind=Pipeline,headworks.dev/name=counted-monitor";
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
            + "---\napiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {name: counted}\nspec:\n  stream: counted\n  window: 1m\n  checks:\n    - {name: few, rowCount: {max: 1000}}\n    - {name: coupons, nullRatio: {field: coupon, max: \"0\"}}\n"
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
        let found: Vec<(i64, (i64, String))> = told.iter().map(verdict).collect();
        // What isn't over may be: the newest order of the slower partition says so, and a pod may know more than it.
        let known = |end: &i64| found.iter().any(|(told, _)| told == end);
        let expected: BTreeMap<i64, (i64, String)> = counts
            .into_iter()
            .filter(|(end, _)| *end <= over || known(end))
            .collect();
        vec![Verdict::of("minutes", &expected, &found).at_least(1)]
    }
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
