//! Windows over event time: each is written once, when it is over, and is what the input says.

use std::collections::BTreeMap;

use headworks_e2e::{Verdict, millis};

use super::{Contestant, Runs, Seen, number, query, stream, text, time};

const MINUTE: i64 = 60_000;

/// TUMBLE into a stream; an edit changes the SELECT list's expression over the same aggregates.
pub struct Tumbling;

const TUMBLING: [&str; 2] = [
    "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS c, SUM(n) AS s\nFROM a GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
    "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) + 0 AS c, SUM(n) AS s\nFROM a GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
];
const WINDOW: [&str; 4] = ["k string", "w timestamp(3)", "c bigint", "s bigint?"];

impl Contestant for Tumbling {
    fn name(&self) -> &'static str {
        "TUMBLE"
    }

    fn yaml(&self) -> String {
        stream("tumbling", &WINDOW, "k", "")
            + &query("tumbling", TUMBLING[0], &["{stream: tumbling}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs {
            same: Some(TUMBLING),
            ..Runs::windowed("tumbling")
        }]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("tumbling"));
        let json = seen.json("tumbling");
        let found: Vec<_> = json
            .iter()
            .map(|json| {
                let key = (text(json, "k"), time(json, "w"));
                (key, (number(json, "c"), number(json, "s")))
            })
            .collect();
        vec![Verdict::of("windows", &events.hops(MINUTE, MINUTE), &found).at_least(100)]
    }
}

/// HOP into a table by key.
pub struct Hopping;

impl Contestant for Hopping {
    fn name(&self) -> &'static str {
        "HOP"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT k, window_start AS w, COUNT(*) AS c, SUM(n) AS s\nFROM TABLE(HOP(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE))\nGROUP BY k, window_start, window_end";
        let to = ["{table: {store: warehouse, name: hopping, key: [k, w], create: true}}"];
        query("hopping", sql, &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("hopping")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("hopping"));
        let sql = "SELECT k, to_char(w, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS'), c, s FROM hopping WHERE k <> 'end'";
        let rows = seen.rows(sql);
        let found: Vec<_> = rows
            .iter()
            .map(|row| {
                let number = |at: usize| row[at].parse::<i64>().expect("a number");
                ((row[0].clone(), millis(&row[1])), (number(2), number(3)))
            })
            .collect();
        vec![Verdict::of("rows", &events.hops(MINUTE, 2 * MINUTE), &found).at_least(100)]
    }
}

/// CUMULATE over all keys, into a stream and a table.
pub struct Cumulating;

impl Contestant for Cumulating {
    fn name(&self) -> &'static str {
        "CUMULATE"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT window_start AS b, window_end AS e, COUNT(*) AS c, SUM(n) AS s\nFROM TABLE(CUMULATE(TABLE a, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '2' MINUTE))\nGROUP BY window_start, window_end";
        let fields = ["b timestamp(3)", "e timestamp(3)", "c bigint", "s bigint?"];
        let to = [
            "{stream: cumulating}",
            "{table: {store: warehouse, name: cumulating, create: true}}",
        ];
        stream("cumulating", &fields, "b, e", "") + &query("cumulating", sql, &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("cumulating")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("cumulating"));
        let expected = events.cumulated(MINUTE / 2, 2 * MINUTE);
        let json = seen.json("cumulating");
        let found: Vec<_> = json
            .iter()
            .map(|json| {
                let key = (time(json, "b"), time(json, "e"));
                (key, (number(json, "c"), number(json, "s")))
            })
            .collect();
        let at = "'YYYY-MM-DD\"T\"HH24:MI:SS.MS'";
        let sql = format!("SELECT to_char(b, {at}), to_char(e, {at}), c, s FROM cumulating");
        let rows = seen.rows(&sql);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let number = |at: usize| row[at].parse::<i64>().expect("a number");
                ((millis(&row[0]), millis(&row[1])), (number(2), number(3)))
            })
            .collect();
        vec![
            Verdict::of("stream", &expected, &found).at_least(20),
            Verdict::of("table", &expected, &rows),
        ]
    }
}

/// SESSION into a stream.
pub struct Sessions;

const GAP: i64 = 30_000;

impl Contestant for Sessions {
    fn name(&self) -> &'static str {
        "SESSION"
    }

    fn yaml(&self) -> String {
        // SUM reads `n`, and so what is no number there is a dead letter here, too.
        let sql = "SELECT k, SESSION_START(ts, INTERVAL '30' SECOND) AS b, SESSION_END(ts, INTERVAL '30' SECOND) AS e, COUNT(*) AS c, SUM(n) AS s\nFROM a GROUP BY k, SESSION(ts, INTERVAL '30' SECOND)";
        let fields = [
            "k string",
            "b timestamp(3)",
            "e timestamp(3)",
            "c bigint",
            "s bigint?",
        ];
        stream("sessions", &fields, "k", "") + &query("sessions", sql, &["{stream: sessions}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("sessions")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("sessions"));
        let json = seen.json("sessions");
        let found: Vec<_> = json
            .iter()
            .map(|json| {
                let key = (text(json, "k"), time(json, "b"));
                (key, (time(json, "e"), number(json, "c")))
            })
            .collect();
        vec![Verdict::of("sessions", &events.sessions(GAP), &found).at_least(100)]
    }
}

/// The three greatest of each window.
pub struct Greatest;

impl Contestant for Greatest {
    fn name(&self) -> &'static str {
        "Top-N of a window"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT window_start AS w, k, n FROM (\n  SELECT window_start, window_end, k, n, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS rn\n  FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))\n) WHERE rn <= 3";
        let fields = ["w timestamp(3)", "k string", "n bigint"];
        stream("greatest", &fields, "k", "") + &query("greatest", sql, &["{stream: greatest}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("greatest")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("greatest"));
        let greatest = events.greatest(MINUTE, 3);
        let expected: BTreeMap<(i64, i64), ()> = greatest
            .into_iter()
            .flat_map(|(window, numbers)| numbers.into_iter().map(move |n| ((window, n), ())))
            .collect();
        let json = seen.json("greatest");
        let found: Vec<_> = json
            .iter()
            .map(|json| ((time(json, "w"), number(json, "n")), ()))
            .collect();
        vec![Verdict::of("rows", &expected, &found).at_least(50)]
    }
}
