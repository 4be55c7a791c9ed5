//! A feed over WebSocket, into a stream and on into files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::time::Duration;

use headworks_e2e::{Feed, cluster, stream, until};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_feed_that_is_cut_off_is_listened_to_again_and_its_records_are_lines_of_files() {
    let Some(c) = cluster("e2e-feed") else { return };
    let (feed, volume) = (Feed::open(), c.volume("files"));
    let (address, claim) = (&feed.address, &volume.claim);
    c.apply(&format!(
        "{}---
apiVersion: headworks.dev/v1alpha1
kind: Source
metadata: {{name: feed}}
spec:
  into: ticks
  onInvalid: DeadLetter
  websocket: {{url: \"ws://{address}/\"}}
---
apiVersion: headworks.dev/v1alpha1
kind: DataStore
metadata: {{name: files}}
spec:
  file: {{volumeClaim: {claim}, path: out}}
---
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {{name: ticks}}
spec:
  platform: e2e
  sql: SELECT id, n * 2 AS n FROM ticks
  to:
    - table: {{store: files, name: ticks}}
",
        stream("ticks", "partitions: 2")
    ));
    c.ready("sources.headworks.dev", "feed");
    c.ready("datastores.headworks.dev", "files");
    c.ready("pipelines.headworks.dev", "ticks");
    let open = c.condition("sources.headworks.dev", "feed", "Insecure", "True", None);
    assert!(open.contains("spec.websocket.url is ws"), "{open}");
    let guarantee = |kind: &str, name: &str| {
        let object = c
            .kubectl
            .get(kind, name, &c.namespace)
            .expect("it is there");
        object["status"]["guarantee"].clone()
    };
    assert_eq!(
        guarantee("datastores.headworks.dev", "files"),
        "AtLeastOnce"
    );
    assert_eq!(guarantee("pipelines.headworks.dev", "ticks"), "AtLeastOnce");

    let heard = || c.kafka.read(&c.topic("ticks")).len();
    until("the feed is heard", LIMIT, || (heard() > 200).then_some(())).expect("the feed is heard");
    feed.cut();
    let before = heard();
    until("it is heard again", LIMIT, || {
        (heard() > before + 200).then_some(())
    })
    .expect("it is heard again");
    feed.end();

    let last: BTreeSet<String> = (0..Feed::LAST).map(|n| format!("end-{n}")).collect();
    let ids = |of: Vec<serde_json::Value>| -> BTreeSet<String> {
        of.iter()
            .map(|json| json["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let records = || {
        let records = c.kafka.read(&c.topic("ticks"));
        ids(records.iter().map(headworks_e2e::Record::json).collect())
    };
    until("its last words are there", LIMIT, || {
        records().is_superset(&last).then_some(())
    })
    .expect("its last words are there");
    let all = records();
    until("every record is a line", LIMIT, || {
        (ids(volume.rows("out", "ticks")) == all).then_some(())
    })
    .expect("every record is a line, and nothing else is");
    let doubled = volume.rows("out", "ticks").into_iter().all(|row| {
        let id = row["id"].as_str().unwrap_or_default();
        let number: i64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
        row["n"].as_i64() == Some(number * 2)
    });
    assert!(doubled, "n is twice the number");
    let letters = c.kafka.read(&format!("{}.dlq", c.topic("ticks")));
    assert!(
        !letters.is_empty(),
        "what breaks the contract is a dead letter"
    );
    assert!(
        letters
            .iter()
            .all(|letter| String::from_utf8_lossy(&letter.value).contains("seven"))
    );
}
