//! Nothing lost and nothing doubled while a pipeline is edited, deleted and made again under load. (What is killed is in `drill`.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Load, cluster, pipeline, stream};

const PIPELINE: &str = "pipelines.headworks.dev";

#[test]
fn an_edit_of_the_sql_rolls_out_without_loss_or_repeat() {
    let Some(c) = cluster("e2e-edit") else { return };
    let load = Load::start(c.flow());
    for factor in [3, 5] {
        std::thread::sleep(Duration::from_secs(8));
        c.apply(
            &pipeline("p", &format!("SELECT id, n * {factor} AS n FROM a"), "b")
                .replace("  sql:", "  replicas: 2\n  sql:"),
        );
        std::thread::sleep(Duration::from_secs(2));
        c.ready(PIPELINE, "p");
    }
    std::thread::sleep(Duration::from_secs(5));
    let posted = load.stop();
    posted.verify(
        "stream b",
        Duration::from_secs(90),
        || Some(c.kafka.numbers(&c.topic("b"))),
        |id, n| [2, 3, 5].iter().any(|factor| n == id as i64 * factor),
    );
    let (id, n) = c.kafka.numbers(&c.topic("b")).into_iter().max().unwrap();
    assert_eq!(n, id as i64 * 5, "the last edit is in force");
}

#[test]
fn a_deleted_and_created_again_pipeline_goes_on_where_it_was() {
    let Some(c) = cluster("e2e-again") else {
        return;
    };
    c.apply(&stream("a", "partitions: 2"));
    c.apply(&stream("b", "partitions: 2"));
    let yaml = pipeline("p", "SELECT id, n FROM a", "b");
    c.apply(&yaml);
    c.ready(PIPELINE, "p");
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"1","n":1}"#]);
    c.kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));
    c.kubectl
        .must(&["delete", PIPELINE, "p", "-n", &c.namespace, "--timeout=60s"]);
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"2","n":2}"#]);
    c.apply(&yaml);
    c.ready(PIPELINE, "p");
    c.kafka
        .read_at_least(&c.topic("b"), 2, Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        c.kafka.read(&c.topic("b")).len(),
        2,
        "nothing is read twice"
    );
}
