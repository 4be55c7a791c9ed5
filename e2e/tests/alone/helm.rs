//! The charts: upgrade, rollback and uninstall, with data and pods undisturbed. `make e2e` has installed them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::Duration;

use headworks_e2e::{cluster, pipeline, stream};

fn helm(arguments: &[&str]) -> String {
    let output = Command::new("helm")
        .args(arguments)
        .args(["-n", "headworks-system"])
        .output()
        .expect("helm runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "helm {}: {text}",
        arguments.join(" ")
    );
    text
}

fn chart(name: &str) -> String {
    format!("{}/../charts/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn upgrade_rollback_and_uninstall_keep_crds_data_and_pods() {
    let Some(c) = cluster("e2e-helm") else { return };
    let main = chart("headworks");
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    c.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    c.ready("pipelines.headworks.dev", "p");
    let pod = c.kubectl.get("pods", "p-0", &c.namespace).unwrap()["metadata"]["uid"].clone();

    let asked = || {
        let kind = "validatingwebhookconfigurations";
        let hook = c.kubectl.get(kind, "headworks-operator", "").unwrap();
        hook["webhooks"][0]["clientConfig"].clone()
    };
    let before = asked();
    assert!(
        before["service"]["path"].is_string() && before["caBundle"].is_string(),
        "{before}"
    );

    // The values as they are now, to install again with.
    let values = std::env::temp_dir().join(format!("headworks-values-{}.yaml", std::process::id()));
    std::fs::write(&values, helm(&["get", "values", "headworks", "-o", "yaml"])).unwrap();
    let values = values.to_str().unwrap();

    helm(&[
        "upgrade",
        "headworks-crds",
        &chart("headworks-crds"),
        "--wait",
    ]);
    helm(&[
        "upgrade",
        "headworks",
        &main,
        "-f",
        values,
        "--set",
        "resources.requests.cpu=11m",
        "--wait",
        "--timeout",
        "2m",
    ]);
    assert_eq!(
        asked(),
        before,
        "whom to trust and where to ask stay the operator's"
    );
    let operator = |path: &str| {
        c.kubectl
            .get("deployments", "headworks-operator", "headworks-system")
            .unwrap()
            .pointer(path)
            .cloned()
    };
    let cpu = "/spec/template/spec/containers/0/resources/requests/cpu";
    assert_eq!(operator(cpu).unwrap(), "11m");
    helm(&["rollback", "headworks", "--wait", "--timeout", "2m"]);
    assert_ne!(operator(cpu).unwrap_or_default(), "11m");

    helm(&["uninstall", "headworks", "--wait"]);
    helm(&["uninstall", "headworks-crds", "--wait"]);
    let crds = c.kubectl.must(&["get", "crd", "-o", "name"]);
    for kind in [
        "platforms",
        "datastreams",
        "datastores",
        "sources",
        "pipelines",
    ] {
        assert!(
            crds.contains(&format!("{kind}.headworks.dev")),
            "uninstall keeps the CRDs: {crds}"
        );
    }
    // The data plane goes on without the operator.
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"x","n":1}"#]);
    c.kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));

    helm(&[
        "install",
        "headworks-crds",
        &chart("headworks-crds"),
        "--wait",
        "--take-ownership",
    ]);
    helm(&[
        "install",
        "headworks",
        &main,
        "-f",
        values,
        "--wait",
        "--timeout",
        "2m",
    ]);
    c.ready("pipelines.headworks.dev", "p");
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(
        c.kubectl.get("pods", "p-0", &c.namespace).unwrap()["metadata"]["uid"],
        pod,
        "the pod was never touched"
    );
    std::fs::remove_file(values).unwrap();
}

#[test]
fn kubectl_explain_describes_every_kind() {
    let Some(c) = cluster("e2e-explain") else {
        return;
    };
    for field in [
        "platforms.spec.kafka.bootstrapServers",
        "datastreams.spec.eventTime",
        "sources.spec.http.maxBodyBytes",
        "sources.spec.generate.disorder.by",
        "datastores.spec.postgres.tls.caSecret",
        "pipelines.spec.to.table.create",
        "pipelines.spec.tests.given",
        "pipelines.spec.onBadRecord",
    ] {
        let text = c
            .kubectl
            .must(&["explain", "--api-version=headworks.dev/v1alpha1", field]);
        assert!(
            text.contains("DESCRIPTION") && !text.contains("<empty>"),
            "{field}: {text}"
        );
    }
}

#[test]
fn headworks_uninstall_leaves_nothing_of_itself_and_all_of_the_data_and_what_is_applied_again_goes_on()
 {
    let Some(c) = cluster("e2e-uninstall") else {
        return;
    };
    let yaml = [
        stream("a", "partitions: 1"),
        stream("b", "partitions: 1").replace("spec:", "spec:\n  deletionPolicy: Delete"),
        pipeline("p", "SELECT id, n FROM a", "b"),
    ]
    .join("---\n");
    c.apply(&yaml);
    c.ready("pipelines.headworks.dev", "p");
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"x","n":1}"#]);
    c.kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));
    let values = std::env::temp_dir().join(format!("headworks-values-{}.yaml", std::process::id()));
    std::fs::write(&values, helm(&["get", "values", "headworks", "-o", "yaml"])).unwrap();

    let uninstall = || {
        let program = std::env::var("HEADWORKS_CLI").expect("HEADWORKS_CLI");
        let output = Command::new(program)
            .args(["uninstall", "--yes"])
            .output()
            .expect("headworks runs");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{text}");
        text
    };
    uninstall();
    let left = c.kubectl.must(&["get", "crd", "-o", "name"]);
    assert!(!left.contains("headworks.dev"), "{left}");
    assert!(
        c.kubectl
            .get("pods", "p-0", &c.namespace)
            .is_none_or(|pod| { pod["metadata"]["deletionTimestamp"].is_string() }),
        "its pods go with it"
    );
    for topic in ["a", "b"] {
        assert_eq!(c.kafka.read(&c.topic(topic)).len(), 1, "records stay");
    }
    assert!(
        uninstall().contains("nothing of Headworks is left"),
        "a second time finds nothing to do"
    );

    let main = chart("headworks");
    helm(&[
        "install",
        "headworks-crds",
        &chart("headworks-crds"),
        "--wait",
    ]);
    let values = values.to_str().unwrap();
    helm(&[
        "install",
        "headworks",
        &main,
        "-f",
        values,
        "--wait",
        "--timeout",
        "2m",
    ]);
    c.apply(&headworks_e2e::platform(
        "e2e",
        &headworks_e2e::bootstrap(),
        "",
    ));
    // What proved that the topics are ours are ConfigMaps of the streams: they went with them.
    c.apply(&yaml.replace("partitions: 1", "partitions: 1\n  adopt: true"));
    c.ready("pipelines.headworks.dev", "p");
    c.kafka.produce(&c.topic("a"), &[br#"{"id":"y","n":2}"#]);
    c.kafka
        .read_at_least(&c.topic("b"), 2, Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        c.kafka.read(&c.topic("b")).len(),
        2,
        "the pipeline went on where it was"
    );
    std::fs::remove_file(values).unwrap();
}
