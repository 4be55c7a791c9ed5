//! Made-up records: a sequence with an end, each of it written once, the faulty ones into the dead letters.

use std::collections::{BTreeMap, BTreeSet};

use headworks_e2e::Verdict;

use super::{Contestant, ORDER, PLATFORM, Runs, Seen, query, stream, text};

const A_SECOND: u64 = 30;

/// Orders of the template `shop`, and a table of them.
pub struct Made {
    seed: u64,
    limit: u64,
}

impl Made {
    /// It has an end before the faults have theirs.
    pub fn new(seed: u64, seconds: u64) -> Self {
        Self {
            seed: seed % 1_000_000,
            limit: (seconds * A_SECOND / 2).max(500),
        }
    }
}

impl Contestant for Made {
    fn name(&self) -> &'static str {
        "made-up records"
    }

    fn yaml(&self) -> String {
        let orders = stream("orders", &ORDER, "user_id", "");
        let (seed, limit) = (self.seed, self.limit);
        let source = format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: made}}\nspec:\n  into: orders\n  onInvalid: DeadLetter\n  generate: {{recordsPerSecond: {A_SECOND}, seed: {seed}, template: shop, records: orders, faultyPercent: 5, limit: {limit}}}\n"
        );
        let to = ["{table: {store: warehouse, name: orders, create: true}}"];
        let sql = "SELECT order_id, amount FROM orders";
        debug_assert!(orders.contains(PLATFORM));
        orders + &source + &query("orders", sql, &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::other("orders")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let json = seen.json("orders");
        let records: Vec<(String, String)> = json
            .iter()
            .map(|json| (text(json, "order_id"), cents(&json["amount"])))
            .collect();
        let expected: BTreeMap<String, String> = records.iter().cloned().collect();
        let dlq = format!("{}.dlq", seen.c.topic("orders"));
        let letters = seen.c.kafka.read(&dlq);
        let made =
            |record: &&headworks_e2e::Record| record.headers.contains_key("headworks.source");
        let faulty = letters.iter().filter(made).count();
        // Numbers of the sequence: none beyond its end, and with the faulty ones as many as it has.
        let numbers: BTreeSet<u64> = expected
            .keys()
            .map(|id| id.trim_start_matches("o-").parse().expect("o-0000000007"))
            .collect();
        let beyond = numbers.iter().filter(|n| **n >= self.limit).count();
        let whole = records.len() + faulty == self.limit as usize && beyond == 0 && faulty > 0;
        let said = format!(
            "{} records and {faulty} dead letters of {}, {beyond} beyond the end",
            records.len(),
            self.limit
        );
        let rows = seen.rows("SELECT order_id, amount FROM orders");
        let rows: Vec<(String, String)> = rows
            .iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
        vec![
            Verdict::of("orders, each once", &expected, &records).at_least(100),
            Verdict::must("the whole sequence", whole, &said),
            Verdict::of("table of orders", &expected, &rows),
        ]
    }
}

/// An amount as PostgreSQL prints a numeric of two digits.
pub fn cents(amount: &serde_json::Value) -> String {
    let text = amount
        .as_str()
        .map_or_else(|| amount.to_string(), str::to_owned);
    match text.split_once('.') {
        Some((whole, rest)) => format!("{whole}.{rest:0<2}"),
        None => format!("{text}.00"),
    }
}
