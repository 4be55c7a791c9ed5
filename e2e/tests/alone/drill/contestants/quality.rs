//! A quality rule that changes all the while: of a sequence of made-up orders, each goes one way, once: the Source makes it a dead letter,
//! or it is in the stream; of those, the Pipeline makes it a dead letter, or it is in what is made of them. Whichever version judged, its
//! dead letter names it, and that version refuses it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{Cluster, Kubectl, Record, Verdict};
use serde_json::Value;

use super::{Contestant, ORDER, Runs, Seen, query, stream, text};

const A_SECOND: u64 = 20;
/// Orders of fewer cents fail by every version of the rule.
const LEAST: i64 = 2_500;
const RULE: &str = "qualityrules.headworks.dev";
/// Between two changes of the rule: some seconds of which its pods are rolled.
const PAUSE: Duration = Duration::from_secs(20);

/// Orders of the template `shop`, with a rule.
pub struct Judged {
    seed: u64,
    limit: u64,
    still: bool,
    changes: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

/// Orders of fewer cents fail by this version of the rule.
fn least(generation: i64) -> i64 {
    if generation % 2 == 1 { LEAST } else { 6_000 }
}

/// The rule as its version `generation` has it.
fn rule(generation: i64) -> String {
    format!(
        "---\napiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {{name: worth-it}}\nspec:\n  stream: judged\n  checks:\n    - {{name: least, range: {{field: amount, min: \"{}\"}}}}\n",
        least(generation) / 100
    )
}

/// Makes the next version of the rule, again and again. Nobody else writes it, so a number says what its version holds.
fn change(namespace: &str, stop: &AtomicBool) {
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
        // Where the API server or admission is away, the next try looks at what came of this one.
        let object = kubectl.get(RULE, "worth-it", namespace);
        let generation = object.and_then(|object| object["metadata"]["generation"].as_i64());
        if let Some(generation) = generation {
            kubectl.apply(&rule(generation + 1), namespace);
        }
    }
}

impl Judged {
    /// It has an end before the faults have theirs.
    pub fn new(seed: u64, seconds: u64) -> Self {
        Self {
            seed: seed % 1_000_000,
            limit: (seconds * A_SECOND / 2).max(500),
            still: false,
            changes: None,
        }
    }
}

impl Contestant for Judged {
    fn name(&self) -> &'static str {
        "a quality rule"
    }

    fn yaml(&self) -> String {
        let (seed, limit) = (self.seed, self.limit);
        let source = format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: judged}}\nspec:\n  into: judged\n  generate: {{recordsPerSecond: {A_SECOND}, seed: {seed}, template: shop, records: orders, limit: {limit}}}\n"
        );
        stream("judged", &ORDER, "user_id", "")
            + &stream(
                "passed",
                &["order_id string", "amount decimal(12,2)"],
                "order_id",
                "",
            )
            + &rule(1)
            + &source
            + &query(
                "passed",
                "SELECT order_id, amount FROM judged",
                &["{stream: passed}"],
                "",
            )
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::other("passed")]
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
        let thread = std::thread::spawn(move || change(&namespace, &told));
        self.changes = Some((stop, thread));
    }

    fn end(&mut self, _: &Cluster) {
        if let Some((stop, thread)) = self.changes.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("the changes end well");
        }
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let orders: Vec<(String, i64)> = seen.json("judged").iter().map(order).collect();
        let letters = seen
            .c
            .kafka
            .read(&format!("{}.dlq", seen.c.topic("judged")));
        let (by_source, by_pipeline): (Vec<&Record>, Vec<&Record>) =
            (letters.iter()).partition(|letter| letter.headers.contains_key("headworks.source"));
        let ids = |letters: &[&Record]| -> Vec<(String, ())> {
            letters.iter().map(|r| (order(&r.json()).0, ())).collect()
        };
        // The sequence, each number once, whichever way it went.
        let wanted: BTreeMap<String, ()> = (0..self.limit)
            .map(|n| (format!("o-{n:010}"), ()))
            .collect();
        let mut all = ids(&by_source);
        all.extend(orders.iter().map(|(id, _)| (id.clone(), ())));
        // What is in the stream, each once through the Pipeline, whichever way it went.
        let read: BTreeMap<String, ()> = orders.iter().map(|(id, _)| (id.clone(), ())).collect();
        let refused = ids(&by_pipeline);
        let passed: Vec<(String, i64)> = seen.json("passed").iter().map(order).collect();
        let mut went = refused.clone();
        went.extend(passed.iter().map(|(id, _)| (id.clone(), ())));
        let mut expected: BTreeMap<String, i64> = orders.iter().cloned().collect();
        for (id, ()) in &refused {
            expected.remove(id);
        }
        let kept = orders.iter().all(|(_, cents)| *cents >= LEAST);
        let wrong = letters.iter().find(|letter| !says(letter));
        let said = format!(
            "{} in the stream, {} and {} failed, {:?}",
            orders.len(),
            by_source.len(),
            by_pipeline.len(),
            wrong.map(|letter| &letter.headers)
        );
        let rule = seen.c.kubectl.get(RULE, "worth-it", &seen.c.namespace);
        let versions = rule.and_then(|rule| rule["metadata"]["generation"].as_i64());
        let changed = self.still || versions > Some(2);
        vec![
            Verdict::of("orders and dead letters, each once", &wanted, &all).at_least(500),
            Verdict::of("read orders, each once", &read, &went),
            Verdict::must(
                "each is judged by the version that is named",
                kept && wrong.is_none(),
                &said,
            ),
            Verdict::must("the rule has changed", changed, &format!("{versions:?}")),
            Verdict::of("what is made of those that passed", &expected, &passed).at_least(100),
        ]
    }
}

/// True: a dead letter says which rule, version and check it failed, and does.
fn says(letter: &Record) -> bool {
    let has = |name: &str, value: &str| letter.headers.get(name).is_some_and(|said| said == value);
    let generation = letter.headers.get("headworks.rule.generation");
    let generation: Option<i64> = generation.and_then(|said| said.parse().ok());
    has("headworks.reason", "Quality")
        && has("headworks.rule", "worth-it")
        && has("headworks.check", "least")
        && generation.is_some_and(|generation| order(&letter.json()).1 < least(generation))
}

/// An order's id and amount in cents.
fn order(json: &Value) -> (String, i64) {
    let amount = &json["amount"];
    let amount = amount
        .as_str()
        .map_or_else(|| amount.to_string(), str::to_owned);
    let (whole, rest) = amount.split_once('.').unwrap_or((&amount, ""));
    let cents = format!("{whole}{rest:0<2}").parse().expect("an amount");
    (text(json, "order_id"), cents)
}
