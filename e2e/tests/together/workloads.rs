//! Pods under users of their own that do more than copy: state with topics of its own, a table, generated records.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{clients::secured, cluster, stream, table_pipeline, until};

const PIPELINE: &str = "pipelines.headworks.dev";
const SOURCE: &str = "sources.headworks.dev";
const WAIT: Duration = Duration::from_secs(90);

#[test]
fn state_a_table_and_generated_records_need_no_more_rights_than_their_own() {
    let Some(c) = cluster("e2e-own-user") else {
        return;
    };
    let name = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    let on = |yaml: String| yaml.replace("platform: e2e", &format!("platform: {name}"));
    let warehouse = c.warehouse();
    c.apply(&on(stream("a", "partitions: 2")));
    c.apply("apiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {name: made}\nspec:\n  into: a\n  generate: {recordsPerSecond: 50, seed: 1}\n");
    let count = "SELECT id, COUNT(*) AS c, SUM(`n`) AS s FROM a GROUP BY id";
    c.apply(&on(table_pipeline(
        "p",
        count,
        "totals",
        ", create: true, key: [id]",
    )));
    c.ready(SOURCE, "made");
    c.ready(PIPELINE, "p");
    let counted = || warehouse.number("SELECT COALESCE(SUM(c), 0) FROM totals");
    until("a hundred records are counted", WAIT, || {
        (counted()? >= 100).then_some(())
    })
    .unwrap_or_else(|| panic!("{:?} are counted", counted()));
    for (kind, one) in [(SOURCE, "made"), (PIPELINE, "p")] {
        c.kubectl
            .must(&["delete", kind, one, "-n", &c.namespace, "--timeout=90s"]);
    }
    // What was in the topic when the source went is in the table, once.
    let sent = c.kafka.read(&c.topic("a")).len();
    let counted = usize::try_from(counted().unwrap()).unwrap();
    assert!(counted <= sent, "{counted} counted of {sent}");
}
