//! A query that changes under a canary, while the pods of both versions, the one that compares and the operator are killed. Which version
//! wins, nobody can know: both give the same rows, so what is written is exact whichever does. What is tried out troubles nobody.

use std::collections::BTreeMap;

use headworks_e2e::{Cluster, Verdict};
use serde_json::json;

use super::{Contestant, Runs, Seen, number, query, stream, text};

const PIPELINE: &str = "pipelines.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";
/// Two versions: edits of the drill make one of the other, mostly while the other is tried out.
const SAME: [&str; 2] = [
    "SELECT id, n * 4 AS n FROM a",
    "SELECT id, (n + n) * 2 AS n FROM a",
];

/// Four times `n`, into a stream.
#[derive(Default)]
pub struct Tried {
    still: bool,
}

impl Contestant for Tried {
    fn name(&self) -> &'static str {
        "a canary"
    }

    fn yaml(&self) -> String {
        let canary = "  rollout: {canary: {for: 15s, compare: {keys: [id], sums: [n]}}}\n";
        stream("tried", &["id string", "n bigint"], "id", "")
            + &query("tried", SAME[0], &["{stream: tried}"], canary)
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs {
            same: Some(SAME),
            ..Runs::over_a("tried")
        }]
    }

    fn hold_still(&mut self) {
        self.still = true;
    }

    /// The first canary begins with the load.
    fn begin(&mut self, c: &Cluster) {
        if self.still {
            return;
        }
        let patch = json!({"spec": {"sql": SAME[1]}}).to_string();
        let what = ["patch", PIPELINE, "tried", "-n", &c.namespace];
        let how = ["--type=merge", "-p", &patch];
        c.kubectl.must(&[&what[..], &how[..]].concat());
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let c = seen.c;
        let events = &seen.input.events;
        let expected: BTreeMap<String, i64> =
            events.iter().map(|e| (e.id.clone(), e.n * 4)).collect();
        let json = seen.json("tried");
        let found: Vec<_> = json
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        let beside = [PIPELINE, STREAM]
            .iter()
            .filter(|kind| c.kubectl.get(kind, "tried-canary", &c.namespace).is_some())
            .count();
        let object = c.kubectl.get(PIPELINE, "tried", &c.namespace);
        let rollout = object.map(|object| object["status"]["rollout"].clone());
        let rollout = rollout.unwrap_or_default();
        let phase = rollout["phase"].as_str();
        let is_open = matches!(phase, Some("Running" | "Comparing"));
        let in_force = rollout["inForce"]["sql"].as_str().unwrap_or_default();
        let letters = seen.input.letters_of(&seen.full("tried-canary")).count();
        vec![
            Verdict::of("stream tried", &expected, &found).at_least(1_000),
            Verdict::must(
                "each canary is decided, and gone",
                !is_open && beside == 0 && SAME.contains(&in_force),
                &format!("{beside} objects are left: {rollout}"),
            ),
            Verdict::must(
                "what is tried out makes no dead letters",
                letters == 0,
                &format!("it made {letters}"),
            ),
        ]
    }
}
