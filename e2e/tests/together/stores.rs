//! A database that is away for a while holds up its tables and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Gate, Load, cluster, data_store, source, stream, until};

const PIPELINE: &str = "
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  platform: e2e
  replicas: 2
  sql: SELECT id, n * 2 AS n FROM a
  to:
    - stream: b
    - table: {store: warehouse, name: results, create: true}
";

#[test]
fn a_database_that_is_down_holds_up_its_table_only_and_loses_nothing() {
    let Some(c) = cluster("e2e-store-down") else {
        return;
    };
    let warehouse = c.database();
    // The way there is this test's own: the others go on with the database.
    let server = std::env::var("POSTGRES").expect("POSTGRES, from `pocket endpoints`");
    let gate = Gate::to(&server);
    let inside = std::env::var("POSTGRES_IN_CLUSTER")
        .unwrap_or_else(|_| "warehouse.postgres.svc:5432".into());
    let store = data_store("warehouse", &warehouse.name);
    c.apply(&store.replace(&inside, &gate.address));
    c.ready("datastores.headworks.dev", "warehouse");
    c.apply(&stream("a", "partitions: 2"));
    c.apply(&stream("b", "partitions: 2"));
    c.apply(&source("in", "a", ""));
    c.apply(PIPELINE);
    c.ready("sources.headworks.dev", "in");
    c.ready("pipelines.headworks.dev", "p");
    let load = Load::start(format!("{}/in", c.address("in")));
    gate.shut();
    for (kind, name) in [
        ("pipelines.headworks.dev", "p"),
        ("datastores.headworks.dev", "warehouse"),
    ] {
        let message = c.condition(kind, name, "Ready", "False", Some("StoreUnavailable"));
        assert!(message.contains("warehouse"), "{message}");
    }
    let before = c.kafka.numbers(&c.topic("b")).len();
    until(
        "the stream goes on meanwhile",
        Duration::from_secs(60),
        || (c.kafka.numbers(&c.topic("b")).len() > before + 2_000).then_some(()),
    )
    .expect("the stream goes on meanwhile");
    gate.open();
    c.ready("pipelines.headworks.dev", "p");
    c.ready("datastores.headworks.dev", "warehouse");
    let posted = load.stop();
    let limit = Duration::from_secs(120);
    let right = |id: u64, n: i64| n == id as i64 * 2;
    let records = || Some(c.kafka.numbers(&c.topic("b")));
    posted.verify("topic b", limit, records, right);
    let rows = || {
        let rows = warehouse.ask("SELECT id, n FROM results")?;
        let rows = rows.iter();
        Some(
            rows.map(|row| (row[0].parse().unwrap(), row[1].parse().unwrap()))
                .collect(),
        )
    };
    posted.verify("table results", limit, rows, right);
}
