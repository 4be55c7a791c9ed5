//! Every wrong turn of issue and docs: what a user sees, and that it heals by itself once the cause is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipelines;
mod platforms;
mod sources;
mod topics;

use headworks_e2e::{Cluster, stream};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} should be in: {message}");
    }
}

fn two_streams(c: &Cluster) {
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    c.ready(STREAM, "a");
    c.ready(STREAM, "b");
}

/// Makes or changes a Secret from `--from-literal` and `--from-file` arguments.
fn secret(c: &Cluster, namespace: &str, name: &str, literals: &[String]) {
    let mut arguments = vec![
        "create",
        "secret",
        "generic",
        name,
        "-n",
        namespace,
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    arguments.extend(literals.iter().map(String::as_str));
    let yaml = c.kubectl.must(&arguments);
    let outcome = c.kubectl.apply(&yaml, namespace);
    assert!(outcome.ok, "{}", outcome.text);
}
