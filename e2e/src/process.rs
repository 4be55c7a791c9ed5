//! Killing the hard way, and counting what the API server was asked to write.

use std::process::Command;

use crate::Kubectl;

/// `kill -9` of the process in a pod's first container, without a word to Kubernetes. False if it wasn't running.
pub fn kill_container(kubectl: &Kubectl, namespace: &str, pod: &str) -> bool {
    let Some(object) = kubectl.get("pods", pod, namespace) else { return false };
    let Some(id) = object["status"]["containerStatuses"][0]["containerID"].as_str().and_then(|id| id.strip_prefix("containerd://")) else {
        return false;
    };
    let tasks = Command::new("ctr").args(["-n", "k8s.io", "tasks", "ls"]).output().expect("ctr runs");
    let tasks = String::from_utf8_lossy(&tasks.stdout).into_owned();
    let Some(pid) = tasks.lines().find(|l| l.starts_with(id)).and_then(|l| l.split_whitespace().nth(1).map(str::to_owned)) else {
        return false;
    };
    Command::new("kill").args(["-9", &pid]).status().expect("kill runs").success()
}

/// Writes in pocket's audit log by a user since an instant (RFC 3339, UTC), as `verb resource` lines.
pub fn audit_writes(user: &str, since: &str) -> Vec<String> {
    let path = std::env::var("AUDIT_LOG").expect("AUDIT_LOG, from `make -s endpoints`");
    let log = std::fs::read_to_string(path).expect("pocket's audit log");
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|e| e["user"]["username"] == user && e["requestReceivedTimestamp"].as_str().is_some_and(|t| t > since))
        .filter(|e| matches!(e["verb"].as_str(), Some("create" | "update" | "patch" | "delete" | "deletecollection")))
        .map(|e| format!("{} {}", e["verb"].as_str().unwrap_or_default(), e["requestURI"].as_str().unwrap_or_default()))
        .collect()
}
