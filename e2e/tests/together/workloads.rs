//! Pods under users of their own that do more than copy: state with topics of its own, a table, generated records; and what stands
//! around pods: a budget for drains, and what a Platform allows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{
    bootstrap, clients::secured, cluster, pipeline, platform, stream, table_pipeline, until,
};

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

#[test]
fn several_pods_have_a_budget_and_what_the_platform_forbids_touches_nothing_that_runs() {
    let Some(c) = cluster("e2e-guards") else {
        return;
    };
    let name = c.namespace.clone();
    let with = |policy: &str| format!("{}{policy}", platform(&name, &bootstrap(), ""));
    c.apply(&with(""));
    let on = |yaml: String| yaml.replace("platform: e2e", &format!("platform: {name}"));
    c.apply(&on(stream("a", "partitions: 2")));
    c.apply(&on(stream("b", "partitions: 2")));
    let two = |more: &str| {
        let yaml = on(pipeline("p", "SELECT id, n FROM a", "b"));
        yaml.replace("  sql:", &format!("  replicas: 2\n{more}  sql:"))
    };
    c.apply(&two(""));
    c.ready(PIPELINE, "p");
    let budget = || c.kubectl.get("poddisruptionbudgets", "p-pipeline", &name);
    assert_eq!(budget().unwrap()["spec"]["maxUnavailable"], 1);

    // What isn't allowed is said at once, and holds nothing up.
    c.apply(&with(
        "  podPolicy: {images: [\"registry.example.com/*\"], serviceAccounts: []}\n  limits: {partitionsPerStream: 2}\n",
    ));
    let pods = || -> Vec<String> {
        let pods = c.kubectl.list("pods", &name, "headworks.dev/name=p");
        pods.iter()
            .map(|pod| pod["metadata"]["uid"].to_string())
            .collect()
    };
    let before = pods();
    let said = c.kubectl.apply(
        &two("  podTemplate: {image: docker.io/somebody/runtime:1}\n"),
        &name,
    );
    assert!(
        said.ok && said.text.contains("Warning") && said.text.contains("docker.io/somebody"),
        "{}",
        said.text
    );
    c.condition(PIPELINE, "p", "Stalled", "True", Some("NotAllowedByPolicy"));
    assert_eq!(pods(), before, "the pods go on");
    c.apply(&two(""));
    c.ready(PIPELINE, "p");
    c.apply(&on(stream("c", "partitions: 3")));
    c.condition(
        "datastreams.headworks.dev",
        "c",
        "Stalled",
        "True",
        Some("LimitExceeded"),
    );
    assert!(c.kafka.partitions(&c.topic("c")).is_none());

    // One pod holds up no drain.
    c.kubectl
        .must(&["scale", PIPELINE, "p", "-n", &name, "--replicas=1"]);
    until("the budget goes", WAIT, || budget().is_none().then_some(())).expect("no budget");
    c.kubectl
        .must(&["delete", PIPELINE, "p", "-n", &name, "--timeout=60s"]);
    c.kubectl
        .must(&["delete", "platforms.headworks.dev", &name, "--timeout=60s"]);
}
