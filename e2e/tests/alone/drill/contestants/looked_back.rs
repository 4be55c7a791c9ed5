//! OVER: each row once, with those of its key before it, whatever is killed.

use std::collections::BTreeMap;

use headworks_e2e::{Event, Verdict};

use super::{Contestant, Runs, Seen, number, query, stream};

/// How far a row looks back, in milliseconds.
const BACK: i64 = 10_000;

/// Each event of `a` with how many its key had within ten seconds before it, their sum, and its rank by time. Of two events of one
/// time in two partitions it is chance which comes first, so nothing goes by that.
pub struct LookedBack;

impl Contestant for LookedBack {
    fn name(&self) -> &'static str {
        "OVER"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT k, n, COUNT(*) OVER w AS c, SUM(n) OVER w AS s, RANK() OVER (PARTITION BY k ORDER BY ts) AS r\nFROM a\nWINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW)";
        let fields = ["k string", "n bigint", "c bigint", "s bigint", "r bigint"];
        stream("lookedback", &fields, "k", "")
            + &query("lookedback", sql, &["{stream: lookedback}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("lookedback")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let mut by_key: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        // What is late is no row, neither one that is given nor one that is looked back on.
        for event in seen.input.in_time(&seen.full("lookedback")).events {
            by_key.entry(event.key.clone()).or_default().push(event);
        }
        let mut expected: BTreeMap<(i64, i64, i64, i64), usize> = BTreeMap::new();
        for events in by_key.values_mut() {
            events.sort_by_key(|event| event.ts);
            for event in events.iter() {
                let from = events.partition_point(|other| other.ts < event.ts - BACK);
                let first = events.partition_point(|other| other.ts < event.ts);
                let to = events.partition_point(|other| other.ts <= event.ts);
                let sum = events[from..to].iter().map(|other| other.n).sum();
                let row = (event.n, (to - from) as i64, sum, first as i64 + 1);
                *expected.entry(row).or_default() += 1;
            }
        }
        let mut found: BTreeMap<(i64, i64, i64, i64), usize> = BTreeMap::new();
        for json in seen.json("lookedback") {
            let of = |name: &str| number(&json, name);
            *found
                .entry((of("n"), of("c"), of("s"), of("r")))
                .or_default() += 1;
        }
        let found: Vec<_> = found.into_iter().collect();
        vec![Verdict::of("rows", &expected, &found).at_least(100)]
    }
}
