//! Results that replace each other by key: deduplication, and sums that leave again.

use std::collections::BTreeMap;

use headworks_e2e::Verdict;

use super::{Contestant, Runs, Seen, number, query, stream, text};

/// The newest of each key, by event time, into a compacted stream.
pub struct Newest;

impl Contestant for Newest {
    fn name(&self) -> &'static str {
        "the newest of each key"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT k, n\nFROM (SELECT k, n, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM a)\nWHERE rn = 1";
        stream(
            "newest",
            &["k string", "n bigint"],
            "k",
            "  compacted: true\n",
        ) + &query("newest", sql, &["{stream: newest}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::over_a("newest")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let last = seen.last("newest");
        let found: Vec<_> = last
            .values()
            .map(|json| (text(json, "k"), number(json, "n")))
            .collect();
        let expected = seen.input.all().newest();
        vec![Verdict::of("compacted stream", &expected, &found).at_least(100)]
    }
}

/// Sums without a window, some of which leave again, into a compacted stream and a table.
pub struct Totals;

impl Contestant for Totals {
    fn name(&self) -> &'static str {
        "sums that leave again"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT k, COUNT(*) AS c, SUM(n) AS s FROM a GROUP BY k HAVING COUNT(*) % 7 <> 0";
        let to = [
            "{stream: totals}",
            "{table: {store: warehouse, name: totals, key: [k], create: true}}",
        ];
        let fields = ["k string", "c bigint", "s bigint?"];
        stream("totals", &fields, "k", "  compacted: true\n") + &query("totals", sql, &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::over_a("totals")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let mut expected: BTreeMap<String, (i64, i64)> = seen.input.all().totals();
        expected.retain(|_, (count, _)| *count % 7 != 0);
        let last = seen.last("totals");
        let found: Vec<_> = last
            .values()
            .map(|json| (text(json, "k"), (number(json, "c"), number(json, "s"))))
            .collect();
        let rows = seen.rows("SELECT k, c, s FROM totals WHERE k <> 'end'");
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let number = |at: usize| row[at].parse::<i64>().expect("a number");
                (row[0].clone(), (number(1), number(2)))
            })
            .collect();
        vec![
            Verdict::of("compacted stream", &expected, &found).at_least(100),
            Verdict::of("table", &expected, &rows),
        ]
    }
}
