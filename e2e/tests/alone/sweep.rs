//! The end of a run: `e2e/bin/test` asks for it when all tests have passed. Alone: it takes every test's things away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use headworks_e2e::{bare, sweep_alone};

#[test]
#[ignore = "the end of a run"]
fn nothing_is_left_that_the_next_run_would_find() {
    let Some((kubectl, kafka)) = bare() else {
        return;
    };
    let Some(_held) = sweep_alone(&kubectl, &kafka) else {
        return;
    };
    let namespaces = kubectl.must(&["get", "namespaces", "-o", "name"]);
    assert!(!namespaces.contains("/e2e-"), "{namespaces}");
    let (topics, groups) = kafka.names();
    let ours = |name: &&String| {
        name.starts_with("e2e-") || (name.starts_with("headworks.") && name.contains(".e2e-"))
    };
    let topics: Vec<&String> = topics.iter().filter(ours).collect();
    assert!(topics.is_empty(), "{topics:?}");
    let groups: Vec<&String> = groups.iter().filter(ours).collect();
    assert!(groups.is_empty(), "{groups:?}");
}
