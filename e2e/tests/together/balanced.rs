//! The continuous audit: what somebody does to positions and rows is found within a minute, and nothing is said while nobody does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use headworks_e2e::{Cluster, cluster, pipeline, stream, table_pipeline, until};

const PIPELINE: &str = "pipelines.headworks.dev";
/// What is promised, from when the pods are there.
const MINUTE: Duration = Duration::from_secs(60);
/// The pods' start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

fn records(c: &Cluster, from: usize, to: usize) {
    let json: Vec<String> = (from..to)
        .map(|n| format!("{{\"id\":\"r{n}\",\"n\":{n}}}"))
        .collect();
    let bytes: Vec<&[u8]> = json.iter().map(String::as_bytes).collect();
    c.kafka.produce(&c.topic("a"), &bytes);
}

/// Waits until the condition says these words; gives its message.
fn balanced(c: &Cluster, name: &str, status: &str, words: &str, limit: Duration) -> String {
    let mut last = String::new();
    until(&format!("Balanced={status}: {words}"), limit, || {
        let object = c.kubectl.get(PIPELINE, name, &c.namespace)?;
        last = object["status"].to_string();
        let conditions = object["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|one| one["type"] == "Balanced")?;
        let message = found["message"].as_str()?.to_owned();
        (found["status"] == status && message.contains(words)).then_some(message)
    })
    .unwrap_or_else(|| panic!("never saw Balanced={status} with {words:?}; {last}"))
}

/// Suspends the Pipeline, sets its group's commit to `offset` once the group is empty, and lets it go on. `meanwhile` is done
/// while it rests.
fn reset(c: &Cluster, spec: &str, offset: i64, meanwhile: impl FnOnce()) {
    c.apply(&format!("{spec}  suspend: true\n"));
    c.condition(PIPELINE, "p", "Ready", "True", Some("Suspended"));
    meanwhile();
    let status = c.kubectl.get(PIPELINE, "p", &c.namespace).unwrap()["status"].clone();
    let group = status["group"].as_str().expect("a group").to_owned();
    c.kafka.set_offset(&group, &c.topic("a"), 0, offset);
    c.apply(spec);
    c.condition(PIPELINE, "p", "Ready", "True", Some("Running"));
}

/// The token that a message asks for.
fn token(message: &str) -> String {
    let at = message
        .rsplit_once("accept-imbalance: \"")
        .expect("a token")
        .1;
    at.trim_end_matches('"').to_owned()
}

#[test]
fn commits_that_somebody_sets_are_told_with_how_many_records_are_lost_or_doubled() {
    let Some(c) = cluster("e2e-balanced") else {
        return;
    };
    c.apply(&format!(
        "{}---\n{}",
        stream("a", "partitions: 1"),
        stream("b", "partitions: 1")
    ));
    let spec = pipeline("p", "SELECT id, n FROM a", "b");
    c.apply(&spec);
    c.ready(PIPELINE, "p");
    records(&c, 0, 20);
    balanced(&c, "p", "True", "20 records read, 20 written", PATIENCE);

    // A duplicate: fifteen records once more.
    reset(&c, &spec, 5, || {});
    let since = Instant::now();
    let message = balanced(
        &c,
        "p",
        "False",
        "about 15 records are in the results again",
        MINUTE,
    );
    println!(
        "    (a reset is told {} s after the pods are ready)",
        since.elapsed().as_secs()
    );
    assert!(message.contains("reads on from"), "{message}");
    let accept = |message: &str| {
        let annotation = format!("headworks.dev/accept-imbalance={}", token(message));
        let at = [
            "annotate",
            "--overwrite",
            PIPELINE,
            "p",
            "-n",
            c.namespace.as_str(),
        ];
        let mut all = at.to_vec();
        all.push(&annotation);
        c.kubectl.must(&all);
    };
    accept(&message);
    balanced(&c, "p", "True", "taken for known", MINUTE);
    balanced(&c, "p", "True", "15 records read, 15 written", PATIENCE);

    // A loss: of ten records that came meanwhile, five are passed over.
    reset(&c, &spec, 25, || records(&c, 20, 30));
    let message = balanced(
        &c,
        "p",
        "False",
        "about 5 records are missing from the results",
        MINUTE,
    );
    accept(&message);
    balanced(&c, "p", "True", "taken for known", MINUTE);
    let outcome = c.kubectl.must(&[
        "get",
        PIPELINE,
        "p",
        "-n",
        c.namespace.as_str(),
        "-o",
        "yaml",
    ]);
    assert!(outcome.contains("deleted: false"), "{outcome}");
}

#[test]
fn rows_that_somebody_deletes_or_adds_are_told_where_the_table_is_counted() {
    let Some(c) = cluster("e2e-balanced-rows") else {
        return;
    };
    let warehouse = c.warehouse();
    c.stream("a");
    // What was there before is nobody's concern.
    warehouse.sql("CREATE TABLE rows_of_a (id text, n bigint)");
    warehouse.sql("INSERT INTO rows_of_a VALUES ('before', -1)");
    c.apply(&table_pipeline("p", "SELECT id, n FROM a", "rows_of_a", ""));
    c.ready(PIPELINE, "p");
    records(&c, 0, 7);
    balanced(
        &c,
        "p",
        "True",
        "7 records read, 7 written, 0 dead letters, 0 dropped, 8 rows in the table",
        PATIENCE,
    );

    let since = Instant::now();
    warehouse.sql("DELETE FROM rows_of_a WHERE id = 'r3'");
    balanced(
        &c,
        "p",
        "False",
        "holds 7 rows and should hold 8: 1 rows are gone",
        MINUTE,
    );
    let mut said = String::new();
    let _ = write!(
        said,
        "a deleted row is told after {} s",
        since.elapsed().as_secs()
    );
    warehouse.sql("INSERT INTO rows_of_a VALUES ('r3', 3)");
    balanced(&c, "p", "True", "8 rows in the table", MINUTE);
    let since = Instant::now();
    warehouse.sql("INSERT INTO rows_of_a VALUES ('r3', 3)");
    balanced(
        &c,
        "p",
        "False",
        "holds 9 rows and should hold 8: 1 rows are there that it hasn't written",
        MINUTE,
    );
    println!(
        "    ({said}, a doubled one after {} s)",
        since.elapsed().as_secs()
    );
    // Going on isn't held up; what was told already moves at most once a minute.
    records(&c, 7, 9);
    balanced(
        &c,
        "p",
        "False",
        "holds 11 rows and should hold 10",
        PATIENCE,
    );
}
