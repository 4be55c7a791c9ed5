//! The charts on a cluster with nodes and data: upgraded, taken out and installed again, and no pod of the data plane notices. Alone: every
//! other test needs the operator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::Duration;

use headworks_e2e::{Cluster, cluster, pipeline, stream};

fn must(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn helm(arguments: &[&str]) -> String {
    let mut helm = Command::new("helm");
    must(helm.args(arguments).args(["-n", "headworks-system"]))
}

/// Both charts, with the values that they had.
fn install(values: &str) {
    let chart = |name: &str| format!("{}/../charts/{name}", env!("CARGO_MANIFEST_DIR"));
    let (crds, main) = (chart("headworks-crds"), chart("headworks"));
    let own = "--take-ownership";
    helm(&["install", "headworks-crds", &crds, "--wait", own]);
    let how = ["-f", values, "--wait", "--timeout", "3m"];
    helm(&[&["install", "headworks", &main], &how[..]].concat());
}

fn uninstall() -> String {
    let program = std::env::var("HEADWORKS_CLI").expect("HEADWORKS_CLI");
    must(Command::new(program).args(["uninstall", "--yes"]))
}

/// UID and restarts of the Pipeline's pod.
fn pod(c: &Cluster) -> (String, String) {
    let pod = c.kubectl.get("pods", "p-0", &c.namespace).expect("p-0");
    let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
    (pod["metadata"]["uid"].to_string(), restarts.to_string())
}

#[test]
fn headworks_is_upgraded_taken_out_and_installed_again_and_the_data_goes_on_where_it_was() {
    let Some(c) = cluster("e2e-helm") else { return };
    let yaml = [
        stream("a", "partitions: 1"),
        stream("b", "partitions: 1").replace("spec:", "spec:\n  deletionPolicy: Delete"),
        pipeline("p", "SELECT id, n FROM a", "b"),
    ]
    .join("---\n");
    c.apply(&yaml);
    c.ready("pipelines.headworks.dev", "p");
    let before = pod(&c);
    let send = |n: usize| {
        let value = format!("{{\"id\":\"x{n}\",\"n\":{n}}}");
        c.kafka.produce(&c.topic("a"), &[value.as_bytes()]);
        let limit = Duration::from_secs(60);
        c.kafka.read_at_least(&c.topic("b"), n, limit);
    };
    send(1);
    // The values as they are now, to install again with.
    let values = std::env::temp_dir().join(format!("headworks-values-{}.yaml", std::process::id()));
    std::fs::write(&values, helm(&["get", "values", "headworks", "-o", "yaml"])).unwrap();
    let values = values.to_str().unwrap();
    let main = format!("{}/../charts/headworks", env!("CARGO_MANIFEST_DIR"));
    let other = [
        "--set",
        "resources.requests.cpu=11m",
        "--wait",
        "--timeout",
        "3m",
    ];
    helm(&[&["upgrade", "headworks", &main, "-f", values], &other[..]].concat());
    helm(&["uninstall", "headworks", "--wait"]);
    helm(&["uninstall", "headworks-crds", "--wait"]);
    // The data plane goes on without the operator.
    send(2);
    install(values);
    c.well("the charts were installed again");
    c.ready("pipelines.headworks.dev", "p");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(pod(&c), before, "the same pod, never restarted");

    uninstall();
    let left = c.kubectl.must(&["get", "crd", "-o", "name"]);
    assert!(!left.contains("headworks.dev"), "{left}");
    let gone = c.kubectl.get("pods", "p-0", &c.namespace);
    assert!(
        gone.is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string()),
        "its pods go with it"
    );
    for topic in ["a", "b"] {
        assert_eq!(c.kafka.read(&c.topic(topic)).len(), 2, "records stay");
    }
    install(values);
    c.well("the charts were installed again");
    c.apply(&headworks_e2e::platform(
        "e2e",
        &headworks_e2e::bootstrap(),
        "",
    ));
    // What proved that the topics are ours are ConfigMaps of the streams: they went with them.
    c.apply(&yaml.replace("partitions: 1", "partitions: 1\n  adopt: true"));
    c.ready("pipelines.headworks.dev", "p");
    send(3);
    std::thread::sleep(Duration::from_secs(2));
    let there = c.kafka.read(&c.topic("b")).len();
    assert_eq!(there, 3, "the pipeline went on where it was");
    std::fs::remove_file(values).unwrap();
}
