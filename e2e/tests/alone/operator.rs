//! The operator comes and goes, and no pod of the data plane notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, cluster};

const PIPELINE: &str = "pipelines.headworks.dev";
const OPERATOR: &str = "app.kubernetes.io/name=headworks-operator";

#[test]
fn deleting_and_creating_the_operator_disturbs_no_pod() {
    let Some(c) = cluster("e2e-operator") else {
        return;
    };
    c.flow();
    let pods = |c: &Cluster| -> Vec<(String, String)> {
        let mut pods: Vec<_> = c
            .kubectl
            .list("pods", &c.namespace, "")
            .iter()
            .map(|p| {
                (
                    p["metadata"]["uid"].to_string(),
                    p["status"]["containerStatuses"][0]["restartCount"].to_string(),
                )
            })
            .collect();
        pods.sort();
        pods
    };
    let before = pods(&c);
    assert_eq!(before.len(), 3);
    c.kubectl.must(&[
        "delete",
        "pods",
        "-n",
        "headworks-system",
        "-l",
        OPERATOR,
        "--timeout=60s",
    ]);
    c.kubectl.must(&[
        "rollout",
        "status",
        "deployment/headworks-operator",
        "-n",
        "headworks-system",
        "--timeout=90s",
    ]);
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(pods(&c), before, "the same pods, none restarted");
    c.ready(PIPELINE, "p");
}
