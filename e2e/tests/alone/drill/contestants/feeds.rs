//! A feed over WebSocket into a stream, and that into files: what is in the stream was said, all of the feed's last words are there, and
//! each record's row is in a file at least once.

use std::collections::{BTreeMap, BTreeSet};

use headworks_e2e::{Cluster, Feed, Verdict, Volume};

use super::{Contestant, Runs, Seen, number, query, stream, text};

/// A feed that speaks from the start and ends after the faults.
pub struct Fed {
    feed: Feed,
    volume: Volume,
}

impl Fed {
    pub fn new(c: &Cluster) -> Self {
        Self {
            feed: Feed::open(),
            volume: c.volume("files"),
        }
    }
}

impl Contestant for Fed {
    fn name(&self) -> &'static str {
        "a feed into files"
    }

    fn yaml(&self) -> String {
        let (address, claim) = (&self.feed.address, &self.volume.claim);
        let source = format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: feed}}\nspec:\n  into: ticks\n  onInvalid: DeadLetter\n  websocket: {{url: \"ws://{address}/\"}}\n"
        );
        let store = format!(
            "---\napiVersion: headworks.dev/v1alpha1\nkind: DataStore\nmetadata: {{name: files}}\nspec:\n  file: {{volumeClaim: {claim}, path: out}}\n"
        );
        let to = ["{table: {store: files, name: ticks}}"];
        let sql = "SELECT id, n * 2 AS n FROM ticks";
        stream("ticks", &["id string", "n bigint"], "id", "")
            + &source
            + &store
            + &query("ticks-to-files", sql, &to, "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::other("ticks-to-files")]
    }

    fn end(&mut self, _: &Cluster) {
        self.feed.end();
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let records: BTreeMap<String, i64> = seen
            .json("ticks")
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        let last = |n: u64| format!("end-{n}");
        let missing = (0..Feed::LAST).filter(|n| !records.contains_key(&last(*n)));
        let missing: Vec<u64> = missing.collect();
        let said = self.feed.said();
        let was_said = |id: &str, n: i64| {
            let n = n.cast_unsigned();
            (id == format!("t-{n}") && n < said && !Feed::is_bad(n))
                || (id == last(n) && n < Feed::LAST)
        };
        let wrong = records.iter().filter(|(id, n)| !was_said(id, **n));
        let wrong: Vec<_> = wrong.take(3).collect();
        let dlq = format!("{}.dlq", seen.c.topic("ticks"));
        let letters = seen.c.kafka.read(&dlq);
        let bad: BTreeSet<Vec<u8>> = letters
            .iter()
            .filter(|letter| letter.headers.contains_key("headworks.source"))
            .map(|letter| letter.value.clone())
            .collect();
        let rows: BTreeMap<String, i64> = self
            .volume
            .rows("out", "ticks")
            .iter()
            .map(|row| (text(row, "id"), number(row, "n")))
            .collect();
        let doubled: BTreeMap<String, i64> =
            records.iter().map(|(id, n)| (id.clone(), n * 2)).collect();
        // Rows that are there again are one here; at least once is what files promise.
        let rows: Vec<(String, i64)> = rows.into_iter().collect();
        vec![
            Verdict::must(
                "its last words",
                missing.is_empty(),
                &format!("{missing:?}"),
            ),
            Verdict::must(
                "nothing it didn't say",
                wrong.is_empty(),
                &format!("{wrong:?}"),
            ),
            Verdict::must(
                "what breaks the contract is a dead letter",
                !bad.is_empty(),
                &format!("{} of {said} said", bad.len()),
            ),
            Verdict::of("files", &doubled, &rows).at_least(500),
        ]
    }
}
