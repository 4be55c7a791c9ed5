//! `kubectl`, as a user calls it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::api;

/// `kubectl` with the KUBECONFIG of the environment, or another.
#[derive(Clone, Debug, Default)]
pub struct Kubectl {
    /// Absent: the environment's.
    pub config: Option<PathBuf>,
}

/// How a command ended, and all it printed.
pub struct Outcome {
    /// It exited with 0.
    pub ok: bool,
    /// Standard output and error.
    pub text: String,
}

impl Kubectl {
    /// A program that speaks to the same cluster.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        if let Some(config) = &self.config {
            command.env("KUBECONFIG", config);
        }
        command
    }

    /// Runs kubectl with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let output = self
            .program("kubectl")
            .args(arguments)
            .output()
            .expect("kubectl runs");
        Outcome {
            ok: output.status.success(),
            text: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    /// Runs kubectl and panics with its words if it fails.
    pub fn must(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert!(
            outcome.ok,
            "kubectl {} failed: {}",
            arguments.join(" "),
            outcome.text
        );
        outcome.text
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, yaml: &str, namespace: &str) -> Outcome {
        self.pipe(&["apply", "-n", namespace, "-f", "-"], yaml)
    }

    /// Runs kubectl with something on its standard input.
    pub fn pipe(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut child = self
            .program("kubectl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl runs");
        child
            .stdin
            .take()
            .expect("stdin")
            .write_all(input.as_bytes())
            .expect("kubectl reads");
        let output = child.wait_with_output().expect("kubectl ends");
        Outcome {
            ok: output.status.success(),
            text: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    /// One object as JSON, if it exists.
    pub fn get(&self, kind: &str, name: &str, namespace: &str) -> Option<Value> {
        if let (None, Some(answer)) = (&self.config, api::get(kind, name, namespace)) {
            return answer.ok();
        }
        let output = self
            .program("kubectl")
            .args(["get", kind, name, "-n", namespace, "-o", "json"])
            .output()
            .expect("kubectl runs");
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).expect("kubectl prints JSON"))
    }

    /// Objects of a kind by label selector (empty: all).
    pub fn list(&self, kind: &str, namespace: &str, selector: &str) -> Vec<Value> {
        if let (None, Some(answer)) = (&self.config, api::list(kind, namespace, selector)) {
            return answer.unwrap_or_else(|error| panic!("get {kind}: {error}"));
        }
        let output = self
            .program("kubectl")
            .args(["get", kind, "-n", namespace, "-l", selector, "-o", "json"])
            .output()
            .expect("kubectl runs");
        assert!(
            output.status.success(),
            "kubectl get {kind}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let list: Value = serde_json::from_slice(&output.stdout).expect("kubectl prints JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }
}
