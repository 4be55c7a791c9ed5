//! What earlier runs left is taken away before the first test of a run, and what this one leaves at its end: namespaces,
//! Platforms, topics, groups, users, databases, subjects.

use std::fs::{File, TryLockError};
use std::sync::OnceLock;

use headworks_crds::kinds::{KINDS, Kind};
use serde_json::Value;

use crate::{Kafka, Kubectl, block_on, pocket, warehouse};

/// What every test's namespace begins with.
const OURS: &str = "e2e-";

/// The kinds that hold something in a namespace, as kubectl takes them: who refers to others before those.
pub(crate) fn objects() -> String {
    let kinds = KINDS.iter().rev().filter(|kind| kind.namespaced);
    let names: Vec<String> = kinds.map(Kind::full_name).collect();
    names.join(",")
}

/// Locked by a process of tests that is at work.
const LOCK_FILE: &str = "/tmp/headworks-e2e.lock";

/// Held while a process of tests runs: nobody sweeps beside another.
static LOCK: OnceLock<Option<File>> = OnceLock::new();

/// Sweeps before the first test of this process, unless another process of tests is at work.
pub fn once(kubectl: &Kubectl, kafka: &Kafka) {
    LOCK.get_or_init(|| {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(LOCK_FILE)
            .ok()?;
        match file.try_lock() {
            Ok(()) => {
                sweep(kubectl, kafka);
                file.unlock().ok()?;
            }
            Err(TryLockError::WouldBlock) => {
                println!("    (another process of tests is at work: nothing is swept)");
            }
            Err(TryLockError::Error(_)) => return None,
        }
        file.lock_shared().ok()?;
        Some(file)
    });
}

/// Sweeps at the end of a run, unless another process of tests is at work; nobody begins while the result is held.
pub fn alone(kubectl: &Kubectl, kafka: &Kafka) -> Option<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(LOCK_FILE)
        .ok()?;
    if file.try_lock().is_err() {
        println!("    (another process of tests is at work: nothing is swept)");
        return None;
    }
    sweep(kubectl, kafka);
    Some(file)
}

/// Takes away all that tests made, and says what there was.
fn sweep(kubectl: &Kubectl, kafka: &Kafka) {
    let names = |kind: &str, namespace: &str| -> Vec<String> {
        let all = kubectl.run(&["get", kind, "-n", namespace, "-o", "json"]);
        let list: Value = serde_json::from_str(&all.text).unwrap_or_default();
        list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|o| Some(o["metadata"]["name"].as_str()?.to_owned()))
            .collect()
    };
    let ours = |kind: &str, namespace: &str| -> Vec<String> {
        let mut names = names(kind, namespace);
        names.retain(|name| name.starts_with(OURS));
        names
    };
    let namespaces = ours("namespaces", "");
    if !namespaces.is_empty() {
        println!(
            "    (sweeping {} namespaces of earlier tests)",
            namespaces.len()
        );
    }
    for ns in &namespaces {
        // The operator takes away what an object has in Kafka and in the registry.
        kubectl.run(&["delete", &objects(), "--all", "-n", ns, "--wait=false"]);
    }
    for ns in &namespaces {
        kubectl.run(&["delete", &objects(), "--all", "-n", ns, "--timeout=120s"]);
        kubectl.run(&["delete", "namespace", ns, "--wait=false"]);
    }
    for ns in &namespaces {
        kubectl.run(&[
            "delete",
            "namespace",
            ns,
            "--ignore-not-found",
            "--timeout=120s",
        ]);
    }
    for kind in [
        "kafkatopics.kafka.strimzi.io",
        "kafkausers.kafka.strimzi.io",
    ] {
        let all = kubectl.run(&["get", kind, "-n", "kafka", "-o", "json"]);
        let list: Value = serde_json::from_str(&all.text).unwrap_or_default();
        for object in list["items"].as_array().into_iter().flatten() {
            let meta = &object["metadata"];
            let of = meta["labels"]["headworks.dev/namespace"].as_str();
            let Some(name) = meta["name"].as_str() else {
                continue;
            };
            if name.starts_with(OURS) || of.is_some_and(|ns| ns.starts_with(OURS)) {
                // The Topic Operator that would take its finalizer away may not be there.
                let none = r#"{"metadata":{"finalizers":null}}"#;
                kubectl.run(&[
                    "patch",
                    kind,
                    name,
                    "-n",
                    "kafka",
                    "--type=merge",
                    "-p",
                    none,
                ]);
                kubectl.run(&["delete", kind, name, "-n", "kafka", "--wait=false"]);
            }
        }
    }
    for name in names("platforms.headworks.dev", "") {
        if name == "e2e" || name.starts_with(OURS) {
            kubectl.run(&["delete", "platforms.headworks.dev", &name, "--timeout=60s"]);
        }
    }
    for name in ours("secrets", "headworks-system") {
        kubectl.run(&["delete", "secret", &name, "-n", "headworks-system"]);
    }
    kafka.forget(OURS, &format!(".{OURS}"));
    kafka.forget_groups(OURS);
    users();
    warehouse::forget();
    subjects();
}

/// SCRAM users of grants and workloads whose objects went without the operator.
fn users() {
    let (ok, text) = pocket(&["kafka", "configs", "--describe", "--entity-type", "users"]);
    if !ok {
        return;
    }
    let mark = format!(".{OURS}");
    for name in text.lines().filter_map(|line| line.split('\'').nth(1)) {
        if name.starts_with("headworks.") && name.contains(&mark) {
            println!("    (sweeping the Kafka user {name})");
            pocket(&[
                "kafka",
                "configs",
                "--alter",
                "--delete-config",
                "SCRAM-SHA-512",
                "--entity-type",
                "users",
                "--entity-name",
                name,
            ]);
        }
    }
}

/// Subjects of the registry.
fn subjects() {
    let Ok(url) = std::env::var("REGISTRY_URL") else {
        return;
    };
    block_on(async {
        let client = reqwest::Client::new();
        let Ok(answer) = client.get(format!("{url}/subjects")).send().await else {
            return;
        };
        let text = answer.text().await.unwrap_or_default();
        let list: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
        for subject in list {
            if subject.starts_with(OURS) || subject.starts_with("e2e_") {
                let _ = client
                    .delete(format!("{url}/subjects/{subject}"))
                    .send()
                    .await;
            }
        }
    });
}
