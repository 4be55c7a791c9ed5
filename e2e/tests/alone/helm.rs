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
