//! An interval join: each pair once, whatever is killed.

use std::collections::BTreeMap;

use headworks_e2e::{Event, Verdict};

use super::{Contestant, Runs, Seen, number, query, stream};

/// How long after an event the other of a pair may be, in milliseconds.
const WITHIN: i64 = 10_000;

/// `a` joined with itself: what an event's key did within ten seconds after it.
pub struct Joined;

impl Contestant for Joined {
    fn name(&self) -> &'static str {
        "JOIN"
    }

    fn yaml(&self) -> String {
        // What is a day late has a key of its own. Whatever else comes late, for the reasons that the drill makes, comes within two
        // hours of event time, and so long are rows kept: every pair is found.
        let sql = "SELECT l.k, l.n AS n, r.n AS m\nFROM (SELECT k, n, ts FROM a WHERE k <> 'late') AS l\nJOIN (SELECT k, n, ts FROM a WHERE k <> 'late') AS r\n  ON l.k = r.k AND r.ts > l.ts AND r.ts <= l.ts + INTERVAL '10' SECOND";
        stream("joined", &["k string", "n bigint", "m bigint"], "k", "")
            + &query(
                "joined",
                sql,
                &["{stream: joined}"],
                "  allowedLateness: 2h\n",
            )
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::over_a("joined")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let mut by_key: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in seen.input.all().events {
            by_key.entry(event.key.clone()).or_default().push(event);
        }
        by_key.remove("late");
        // A record that was posted twice makes its pairs twice.
        let mut expected: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for events in by_key.values_mut() {
            events.sort_by_key(|event| event.ts);
            for (at, event) in events.iter().enumerate() {
                let after = events[at..].iter();
                let after = after.take_while(|other| other.ts <= event.ts + WITHIN);
                for other in after.filter(|other| other.ts > event.ts) {
                    *expected.entry((event.n, other.n)).or_default() += 1;
                }
            }
        }
        let mut found: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for json in seen.json("joined") {
            *found
                .entry((number(&json, "n"), number(&json, "m")))
                .or_default() += 1;
        }
        let found: Vec<_> = found.into_iter().collect();
        vec![Verdict::of("pairs", &expected, &found).at_least(100)]
    }
}
