//! Sources that lack what they need.

use std::time::Duration;

use headworks_e2e::{cluster, source, stream};

use super::{says, secret};

#[test]
fn a_source_without_its_secret_is_never_open_and_starts_when_it_comes() {
    let Some(c) = cluster("e2e-no-token") else {
        return;
    };
    c.stream("a");
    c.apply(&source(
        "in",
        "a",
        ", auth: {bearer: {secret: {name: ingest}}}",
    ));
    let message = c.condition(
        "sources.headworks.dev",
        "in",
        "Ready",
        "False",
        Some("SecretMissing"),
    );
    says(&message, &["ingest", "token"]);
    secret(
        &c,
        &c.namespace,
        "ingest",
        &["--from-literal=token=s3cret".into()],
    );
    c.condition_within(
        "sources.headworks.dev",
        "in",
        "Ready",
        "True",
        None,
        Duration::from_secs(300),
    );
}

#[test]
fn a_source_whose_new_image_is_not_there_says_so_while_the_old_pod_serves() {
    let Some(c) = cluster("e2e-bad-image") else {
        return;
    };
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&source("in", "a", ""));
    c.ready("sources.headworks.dev", "in");
    let image = "headworks.local/nobody/made:this";
    c.apply(&format!(
        "{}  podTemplate: {{image: {image}}}\n",
        source("in", "a", "")
    ));
    let message = c.condition_within(
        "sources.headworks.dev",
        "in",
        "Reconciling",
        "True",
        Some("ImagePullBackOff"),
        Duration::from_secs(60),
    );
    says(&message, &[image]);
    c.apply(&source("in", "a", ""));
    c.ready("sources.headworks.dev", "in");
}
