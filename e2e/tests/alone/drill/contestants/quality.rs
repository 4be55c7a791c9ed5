//! A quality rule: of a sequence of made-up orders, each that fails a check is a dead letter, and each that passes is in the stream and
//! in what is made of it, once.

use std::collections::BTreeMap;

use headworks_e2e::{Record, Verdict};
use serde_json::Value;

use super::{Contestant, Runs, Seen, query, stream, text};

const A_SECOND: u64 = 20;
/// Orders of fewer cents fail.
const LEAST: i64 = 2_500;

/// Orders of the template `shop`, with a rule.
pub struct Judged {
    seed: u64,
    limit: u64,
}

impl Judged {
    /// It has an end before the faults have theirs.
    pub fn new(seed: u64, seconds: u64) -> Self {
        Self {
            seed: seed % 1_000_000,
            limit: (seconds * A_SECOND / 2).max(500),
        }
    }
}

impl Contestant for Judged {
    fn name(&self) -> &'static str {
        "a quality rule"
    }

    fn yaml(&self) -> String {
        let fields = [
            "order_id string",
            "user_id bigint",
            "items array<struct<sku string, qty int>>",
            "amount decimal(12,2)",
            "coupon string?",
            "placed_at timestamp_ltz(3)",
        ];
        let (seed, limit) = (self.seed, self.limit);
        let rule = "---\napiVersion: headworks.dev/v1alpha1\nkind: QualityRule\nmetadata: {name: worth-it}\nspec:\n  stream: judged\n  checks:\n    - {name: least, range: {field: amount, min: \"25\"}}\n";
        let source = format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: judged}}\nspec:\n  into: judged\n  generate: {{recordsPerSecond: {A_SECOND}, seed: {seed}, template: shop, records: orders, limit: {limit}}}\n"
        );
        stream("judged", &fields, "user_id", "")
            + &stream(
                "passed",
                &["order_id string", "amount decimal(12,2)"],
                "order_id",
                "",
            )
            + rule
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

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let orders: Vec<(String, i64)> = seen.json("judged").iter().map(order).collect();
        let letters = seen
            .c
            .kafka
            .read(&format!("{}.dlq", seen.c.topic("judged")));
        let failed: Vec<(String, i64)> = letters.iter().map(|r| order(&r.json())).collect();
        // The sequence, each number once, whichever way it went.
        let wanted: BTreeMap<String, ()> = (0..self.limit)
            .map(|n| (format!("o-{n:010}"), ()))
            .collect();
        let all: Vec<(String, ())> = orders
            .iter()
            .chain(&failed)
            .map(|(id, _)| (id.clone(), ()))
            .collect();
        let kept = orders.iter().all(|(_, cents)| *cents >= LEAST);
        let told = letters.iter().all(says) && failed.iter().all(|(_, cents)| *cents < LEAST);
        let said = format!("{} passed, {} failed", orders.len(), failed.len());
        let passed: Vec<(String, i64)> = seen.json("passed").iter().map(order).collect();
        let expected: BTreeMap<String, i64> = orders.into_iter().collect();
        vec![
            Verdict::of("orders and dead letters, each once", &wanted, &all).at_least(500),
            Verdict::must("each went the way that its check says", kept && told, &said),
            Verdict::of("what is made of those that passed", &expected, &passed).at_least(100),
        ]
    }
}

/// True: a dead letter says which rule and check it failed.
fn says(letter: &Record) -> bool {
    let has = |name: &str, value: &str| letter.headers.get(name).is_some_and(|said| said == value);
    has("headworks.reason", "Quality")
        && has("headworks.rule", "worth-it")
        && has("headworks.check", "least")
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
