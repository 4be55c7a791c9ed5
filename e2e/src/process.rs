//! Killing the hard way.

use std::{process::Command, time::Duration};

use crate::Kubectl;

/// `kill -9` of the process in a pod's first container, without a word to Kubernetes. False if it isn't running, nor soon is:
/// a pod that is being rolled just then has no process for a moment.
pub fn kill_container(kubectl: &Kubectl, namespace: &str, pod: &str) -> bool {
    (0..20).any(|turn| {
        if turn > 0 {
            std::thread::sleep(Duration::from_millis(500));
        }
        killed(kubectl, namespace, pod)
    })
}

fn killed(kubectl: &Kubectl, namespace: &str, pod: &str) -> bool {
    let Some(object) = kubectl.get("pods", pod, namespace) else {
        return false;
    };
    let Some(id) = object["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .and_then(|id| id.strip_prefix("containerd://"))
    else {
        return false;
    };
    let tasks = Command::new("ctr")
        .args(["-n", "k8s.io", "tasks", "ls"])
        .output()
        .expect("ctr runs");
    let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
    let Some(pid) = tasks
        .lines()
        .find(|l| l.starts_with(id))
        .and_then(|l| l.split_whitespace().nth(1).map(str::to_owned))
    else {
        return false;
    };
    Command::new("kill")
        .args(["-9", &pid])
        .status()
        .expect("kill runs")
        .success()
}

/// Runs `e2e/pocket/pocket` with these arguments (or the program that `HEADWORKS_POCKET` names, which takes the same, where
/// the cluster is another); gives what it printed, and whether it succeeded.
pub fn pocket(arguments: &[&str]) -> (bool, String) {
    let program = std::env::var_os("HEADWORKS_POCKET").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pocket/pocket"),
        std::path::PathBuf::from,
    );
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("pocket runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Starts an operator of Strimzi's (`topic` or `user`). False where this machine hasn't got it: the test is skipped, by name.
pub fn strimzi_up(which: &str, namespace: &str) -> bool {
    if std::env::var("HEADWORKS_E2E").as_deref() != Ok("on") {
        println!("skipped: needs a cluster; run `make e2e`");
        return false;
    }
    let (ok, text) = pocket(&["strimzi", "up", which]);
    if !ok && text.contains("STRIMZI_HOME") {
        crate::skipped(namespace, "STRIMZI_HOME");
        return false;
    }
    assert!(ok, "{text}");
    true
}
