//! Records that a query can't use, corrected and replayed while everything fails: each comes out of the query once.

use std::collections::BTreeMap;
use std::time::Duration;

use headworks_e2e::{Cluster, Verdict, until};

use super::{Contestant, Seen, number, query, stream, text};

/// So many records, of which every third has a zero that the query divides by.
const RECORDS: usize = 900;
const REPLAY: &str = "
apiVersion: headworks.dev/v1alpha1
kind: Replay
metadata: {name: retried-again}
spec:
  from: {deadLetterOf: retried-in, reasons: [Evaluation]}
  fix: SELECT id, CAST(1 AS BIGINT) AS n FROM `retried-in` WHERE id < 'r0450'
  recordsPerSecond: \"5\"
---
apiVersion: headworks.dev/v1alpha1
kind: Replay
metadata: {name: retried-into}
spec:
  from: {deadLetterOf: retried-in, reasons: [Evaluation]}
  fix: SELECT id, CAST(1 AS BIGINT) AS n FROM `retried-in` WHERE id >= 'r0450'
  into: {pipeline: retried}
  recordsPerSecond: \"5\"
";

/// Divides by `n`, and has what it can't divide by replayed with a 1: the one half into the stream, the other into the Pipeline alone.
pub struct Replayed;

fn divisor(at: usize) -> usize {
    at % 3
}

impl Contestant for Replayed {
    fn name(&self) -> &'static str {
        "dead letters that are replayed"
    }

    fn yaml(&self) -> String {
        let fields = ["id string", "n bigint"];
        let sql = "SELECT id, 100 / n AS n FROM `retried-in`";
        stream("retried-in", &fields, "id", "")
            + &stream("retried-out", &fields, "id", "")
            + &query("retried", sql, &["{stream: retried-out}"], "")
    }

    fn begin(&mut self, c: &Cluster) {
        let records: Vec<String> = (0..RECORDS)
            .map(|at| format!(r#"{{"id":"r{at:04}","n":{}}}"#, divisor(at)))
            .collect();
        let values: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
        let topic = c.topic("retried-in");
        c.kafka.produce(&topic, &values);
        let zeros = (0..RECORDS).filter(|at| divisor(*at) == 0).count();
        let dead_letters = format!("{topic}.dlq");
        // What is replayed ends where the topic ends now.
        until("the dead letters", Duration::from_secs(120), || {
            (c.kafka.read(&dead_letters).len() >= zeros).then_some(())
        })
        .expect("a dead letter for each zero");
        c.apply(REPLAY);
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let result = |at| 100 / divisor(at).max(1) as i64;
        let expected: BTreeMap<String, i64> = (0..RECORDS)
            .map(|at| (format!("r{at:04}"), result(at)))
            .collect();
        let json = seen.json("retried-out");
        let records: Vec<_> = json
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        let status = |name: &str| {
            let replay = seen
                .c
                .kubectl
                .get("replays.headworks.dev", name, &seen.c.namespace);
            replay
                .map(|replay| replay["status"].clone())
                .unwrap_or_default()
        };
        let (again, into) = (status("retried-again"), status("retried-into"));
        // What the fix leaves out is given to nobody, and counts as done.
        let done = again["phase"] == "Complete" && again["replayed"] == RECORDS / 6;
        let given = into["phase"] == "Complete" && into["refused"] == 0;
        vec![
            Verdict::of("stream retried-out", &expected, &records).at_least(RECORDS),
            Verdict::must("the Replay is complete", done, &again.to_string()),
            Verdict::must(
                "the Replay into the Pipeline is complete",
                given,
                &into.to_string(),
            ),
        ]
    }
}
