//! Queries without state: to a stream and a table at once, to a table by key, and a UNION ALL.

use std::collections::BTreeMap;

use headworks_e2e::Verdict;

use super::{Contestant, Runs, Seen, number, query, stream, text};

/// Doubles `n` into a stream and a table; two pods.
pub struct Doubled;

const DOUBLES: [&str; 2] = [
    "SELECT id, n * 2 AS n FROM a",
    "SELECT id, n + n AS n FROM a",
];

impl Contestant for Doubled {
    fn name(&self) -> &'static str {
        "a stream and a table at once"
    }

    fn yaml(&self) -> String {
        let to = [
            "{stream: b}",
            "{table: {store: warehouse, name: results, create: true}}",
        ];
        stream("b", &["id string", "n bigint"], "id", "")
            + &query("doubled", DOUBLES[0], &to, "  replicas: 2\n")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs {
            same: Some(DOUBLES),
            ..Runs::over_a("doubled")
        }]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = &seen.input.events;
        let expected: BTreeMap<String, i64> =
            events.iter().map(|e| (e.id.clone(), e.n * 2)).collect();
        let json = seen.json("b");
        let records: Vec<_> = json
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        let rows = seen.rows("SELECT id, n FROM results WHERE id <> 'end'");
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row[0].clone(), row[1].parse().expect("a number")))
            .collect();
        vec![
            Verdict::of("stream b", &expected, &records).at_least(1_000),
            Verdict::of("table results", &expected, &rows),
        ]
    }
}

/// The event of each key that came last, in a table by key, without state.
pub struct Latest;

impl Contestant for Latest {
    fn name(&self) -> &'static str {
        "a table by key"
    }

    fn yaml(&self) -> String {
        let to = ["{table: {store: warehouse, name: latest, key: [k], create: true}}"];
        query("latest", "SELECT k, n FROM a", &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::over_a("latest")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        // Late ones are written into any partition, so which of them was last nobody knows.
        let mut expected = seen.input.all().last();
        expected.remove("late");
        let rows = seen.rows("SELECT k, n FROM latest WHERE k NOT IN ('end', 'late')");
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row[0].clone(), row[1].parse().expect("a number")))
            .collect();
        vec![Verdict::of("table latest", &expected, &rows).at_least(100)]
    }
}

/// Two streams in one.
pub struct Union;

impl Contestant for Union {
    fn name(&self) -> &'static str {
        "UNION ALL"
    }

    fn yaml(&self) -> String {
        let sql =
            "SELECT id, n FROM a WHERE n >= 0\nUNION ALL\nSELECT order_id, user_id FROM orders";
        stream("both", &["id string", "n bigint"], "id", "")
            + &query("both", sql, &["{stream: both}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::over_a("both")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.events.iter().filter(|e| e.n >= 0);
        let mut expected: BTreeMap<String, i64> = events.map(|e| (e.id.clone(), e.n)).collect();
        for order in seen.json("orders") {
            expected.insert(text(&order, "order_id"), number(&order, "user_id"));
        }
        let json = seen.json("both");
        let records: Vec<_> = json
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        vec![Verdict::of("stream both", &expected, &records).at_least(1_000)]
    }
}
