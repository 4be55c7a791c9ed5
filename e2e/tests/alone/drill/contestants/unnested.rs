//! UNNEST below a window: of each record several rows, each counted once; a late one is one dead letter.

use std::collections::BTreeMap;

use headworks_e2e::Verdict;

use super::{Contestant, Runs, Seen, number, query, stream, text, time};

const MINUTE: i64 = 60_000;

/// Three numbers of each event, counted and summed.
pub struct Unnested;

impl Contestant for Unnested {
    fn name(&self) -> &'static str {
        "UNNEST"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT k, window_start AS w, COUNT(*) AS c, SUM(m) AS s\nFROM TABLE(TUMBLE((SELECT k, ts, m FROM a CROSS JOIN UNNEST(ARRAY[n, n + 1, 7]) AS t (m)), DESCRIPTOR(ts), INTERVAL '1' MINUTE))\nGROUP BY k, window_start, window_end";
        let fields = ["k string", "w timestamp(3)", "c bigint", "s bigint?"];
        stream("unnested", &fields, "k", "") + &query("unnested", sql, &["{stream: unnested}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("unnested")]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = seen.input.in_time(&seen.full("unnested"));
        let windows = events.hops(MINUTE, MINUTE).into_iter();
        let expected: BTreeMap<_, _> = windows
            .map(|(window, (count, sum))| (window, (3 * count, 2 * sum + 8 * count)))
            .collect();
        let json = seen.json("unnested");
        let found: Vec<_> = json
            .iter()
            .map(|json| {
                let key = (text(json, "k"), time(json, "w"));
                (key, (number(json, "c"), number(json, "s")))
            })
            .collect();
        vec![Verdict::of("windows", &expected, &found).at_least(100)]
    }
}
