//! Joins of events by time and by windows: each pair once, whatever is killed.

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

/// How long windows are, in milliseconds.
const WINDOW: i64 = 60_000;

/// Every fourth event of `a` with every other fourth one of its key's minute, and without one where there is none.
pub struct JoinedInWindows;

impl Contestant for JoinedInWindows {
    fn name(&self) -> &'static str {
        "JOIN of windows"
    }

    fn yaml(&self) -> String {
        let side = |rest: u8| {
            format!(
                "(SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE MOD(n, 4) = {rest})"
            )
        };
        let sql = format!(
            "SELECT l.k, l.n AS n, r.n AS m\nFROM {} AS l\nLEFT JOIN {} AS r\n  ON l.k = r.k AND l.window_start = r.window_start AND l.window_end = r.window_end",
            side(0),
            side(2)
        );
        let fields = ["k string", "n bigint", "m bigint?"];
        stream("windowjoined", &fields, "k", "")
            + &query("windowjoined", &sql, &["{stream: windowjoined}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("windowjoined")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("windowjoined")).events;
        let mut right: BTreeMap<(String, i64), Vec<i64>> = BTreeMap::new();
        let of = |event: &Event| (event.key.clone(), event.ts.div_euclid(WINDOW));
        for event in events.iter().filter(|event| event.n % 4 == 2) {
            right.entry(of(event)).or_default().push(event.n);
        }
        let mut expected: BTreeMap<(i64, Option<i64>), usize> = BTreeMap::new();
        for event in events.iter().filter(|event| event.n % 4 == 0) {
            let partners = right.get(&of(event)).into_iter().flatten();
            let mut partners: Vec<Option<i64>> = partners.map(|m| Some(*m)).collect();
            if partners.is_empty() {
                partners.push(None);
            }
            for partner in partners {
                *expected.entry((event.n, partner)).or_default() += 1;
            }
        }
        let mut found: BTreeMap<(i64, Option<i64>), usize> = BTreeMap::new();
        for json in seen.json("windowjoined") {
            *found
                .entry((number(&json, "n"), json["m"].as_i64()))
                .or_default() += 1;
        }
        let found: Vec<_> = found.into_iter().collect();
        vec![Verdict::of("rows", &expected, &found).at_least(100)]
    }
}
