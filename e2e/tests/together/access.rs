//! Access, as clients meet it: with a grant they read, without one the broker refuses them. Clients are the examples in
//! `examples/clients`, run with the Secret as a folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use headworks_e2e::{
    Cluster, block_on,
    clients::{accept, client, folder, grant, reads, refused, secured},
    cluster, pipeline, source, stream, until,
};

const GRANT: &str = "accessgrants.headworks.dev";
const PLATFORM: &str = "platforms.headworks.dev";
const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const SOURCE: &str = "sources.headworks.dev";

fn user(c: &Cluster, grant: &str) -> Option<String> {
    let grant = c.kubectl.get(GRANT, grant, &c.namespace)?;
    Some(grant["status"]["user"].as_str()?.to_owned())
}

fn clean_up(c: &Cluster, grants: &[&str]) {
    for grant in grants {
        c.kubectl.must(&[
            "delete",
            GRANT,
            grant,
            "-n",
            &c.namespace,
            "--timeout=60s",
            "--ignore-not-found",
        ]);
    }
}

#[test]
fn a_client_with_a_grant_reads_and_what_it_was_not_granted_is_refused_by_the_broker() {
    let Some(c) = cluster("e2e-grant") else {
        return;
    };
    let name = secured(&c, "");
    let on = |yaml: String| yaml.replace("platform: e2e", &format!("platform: {name}"));
    c.apply(&on(stream("a", "partitions: 1")));
    c.apply(&on(stream("other", "partitions: 1")));
    c.apply(&grant(&c, "report", "  read: [a]\n"));
    c.condition(GRANT, "report", "Ready", "False", Some("NotAccepted"));
    assert!(
        c.kubectl
            .get(
                "secrets",
                &format!("headworks-{}.report", c.namespace),
                &c.namespace
            )
            .is_none(),
        "no Secret in a namespace that didn't opt in"
    );
    accept(&c);
    c.ready(GRANT, "report");
    c.ready(STREAM, "other");
    let topic = c.topic("a");
    let values: Vec<String> = (0..3)
        .map(|n| format!(r#"{{"id":"k{n}","n":{n}}}"#))
        .collect();
    let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
    c.kafka.produce(&topic, &values);
    let prefix = format!("{}.report", c.namespace);
    let files = folder(&c, "report", "report");
    for language in ["python", "go", "java"] {
        let text = reads(language, &files, &topic, &format!("{prefix}.{language}"), 3);
        assert!(text.contains(r#""id":"k2""#), "{language}: {text}");
    }
    refused(&files, &c.topic("other"), &prefix);
    refused(&files, &topic, "somebody.else");

    // Taken out of the spec, it is taken away.
    c.apply(&grant(&c, "report", "  read: [other]\n"));
    c.ready(GRANT, "report");
    refused(&files, &topic, &prefix);

    c.kubectl.must(&[
        "delete",
        GRANT,
        "report",
        "-n",
        &c.namespace,
        "--timeout=60s",
    ]);
    let (code, text) = client("python", &files, &c.topic("other"), &prefix, 1);
    assert_ne!(code, 0, "a deleted grant reads: {text}");
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}

#[test]
fn an_expired_grant_is_cut_within_a_minute_and_a_rotated_credential_works_while_the_old_one_ends() {
    let Some(c) = cluster("e2e-rotate") else {
        return;
    };
    let name = secured(&c, "");
    accept(&c);
    c.apply(&stream("a", "partitions: 1").replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&grant(
        &c,
        "turns",
        "  read: [a]\n  rotation: {every: 2m, overlap: 30s}\n",
    ));
    c.ready(GRANT, "turns");
    let topic = c.topic("a");
    c.kafka.produce(&topic, &[br#"{"id":"k","n":1}"#]);
    let prefix = format!("{}.turns", c.namespace);
    let old = folder(&c, "turns", "old");
    let first = user(&c, "turns").unwrap();
    reads("python", &old, &topic, &format!("{prefix}.1"), 1);
    let second = until("a rotation", Duration::from_secs(150), || {
        user(&c, "turns").filter(|user| *user != first)
    })
    .expect("the user is rotated after two minutes");
    let switched = Instant::now();
    let new = folder(&c, "turns", "new");
    reads("python", &new, &topic, &format!("{prefix}.2"), 1);
    assert!(
        switched.elapsed() < Duration::from_secs(20),
        "too slow to see the overlap"
    );
    reads("python", &old, &topic, &format!("{prefix}.3"), 1);
    until("the old user's end", Duration::from_secs(60), || {
        let grant = c.kubectl.get(GRANT, "turns", &c.namespace)?;
        grant["status"]["previousUser"].is_null().then_some(())
    })
    .expect("the old user ends after the overlap");
    refused(&old, &topic, &format!("{prefix}.4"));
    reads("python", &new, &topic, &format!("{prefix}.5"), 1);
    assert_eq!(user(&c, "turns"), Some(second));

    let soon = Command::new("date")
        .args(["-u", "-d", "+5 seconds", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    let soon = String::from_utf8(soon.stdout).unwrap();
    c.apply(&grant(
        &c,
        "turns",
        &format!("  read: [a]\n  expires: \"{}\"\n", soon.trim()),
    ));
    let until_cut = Duration::from_secs(5 + 60);
    c.condition_within(
        GRANT,
        "turns",
        "Stalled",
        "True",
        Some("Expired"),
        until_cut,
    );
    refused(&new, &topic, &format!("{prefix}.6"));
    let secret = format!("headworks-{}.turns", c.namespace);
    assert!(
        c.kubectl.get("secrets", &secret, &c.namespace).is_none(),
        "an expired grant has no Secret"
    );
    clean_up(&c, &["turns"]);
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}

#[test]
fn what_is_taken_back_ends_whatever_else_is_in_the_way() {
    let Some(c) = cluster("e2e-taken") else {
        return;
    };
    let name = secured(&c, "");
    let on = |yaml: String| yaml.replace("platform: e2e", &format!("platform: {name}"));
    accept(&c);
    c.apply(&on(stream("a", "partitions: 1")));
    c.apply(&on(stream("b", "partitions: 1")));
    c.apply(&grant(&c, "taken", "  read: [a, b]\n"));
    c.ready(GRANT, "taken");
    let (a, b) = (c.topic("a"), c.topic("b"));
    c.kafka.produce(&a, &[br#"{"id":"k","n":1}"#]);
    let prefix = format!("{}.taken", c.namespace);
    let files = folder(&c, "taken", "taken");
    reads("python", &files, &a, &format!("{prefix}.1"), 1);

    // A Secret that isn't ours any more is in the way of everything but this.
    let secret = format!("headworks-{}.taken", c.namespace);
    let label = |label: &str| {
        c.kubectl.must(&[
            "label",
            "secret",
            &secret,
            "-n",
            &c.namespace,
            "--overwrite",
            label,
        ])
    };
    label("headworks.dev/name=other");
    c.apply(&grant(&c, "taken", "  read: [a]\n"));
    c.condition(GRANT, "taken", "Stalled", "True", Some("OwnedByAnother"));
    refused(&files, &b, &format!("{prefix}.2"));
    reads("python", &files, &a, &format!("{prefix}.3"), 1);
    label("headworks.dev/name=taken");
    c.ready(GRANT, "taken");

    // Its streams are made again on another Platform, which happens to be the same Kafka: other credentials.
    let other = format!("{name}-2");
    let platform = c.kubectl.get(PLATFORM, &name, "").unwrap();
    let twin = serde_json::json!({"apiVersion": platform["apiVersion"], "kind": "Platform",
        "metadata": {"name": other}, "spec": platform["spec"]});
    c.apply(&twin.to_string());
    c.ready(PLATFORM, &other);
    let first = c.kubectl.get("secrets", &secret, &c.namespace).unwrap();
    c.apply(&stream("c", "partitions: 1").replace("platform: e2e", &format!("platform: {other}")));
    c.apply(&grant(&c, "taken", "  read: [c]\n"));
    until("the move", Duration::from_secs(60), || {
        let grant = c.kubectl.get(GRANT, "taken", &c.namespace)?;
        (grant["status"]["platform"] == other.as_str()).then_some(())
    })
    .expect("the grant moves with its streams");
    c.ready(GRANT, "taken");
    refused(&folder(&c, "taken", "moved"), &a, &format!("{prefix}.4"));
    let second = c.kubectl.get("secrets", &secret, &c.namespace).unwrap();
    assert_ne!(first["data"]["password"], second["data"]["password"]);

    // The client's word.
    let files = folder(&c, "taken", "word");
    c.kubectl.must(&[
        "annotate",
        "namespace",
        &c.namespace,
        "headworks.dev/accept-grants-",
    ]);
    c.condition(GRANT, "taken", "Ready", "False", Some("NotAccepted"));
    let (code, text) = client("python", &files, &c.topic("c"), &prefix, 1);
    assert_ne!(code, 0, "it reads on: {text}");
    assert!(c.kubectl.get("secrets", &secret, &c.namespace).is_none());
    accept(&c);
    c.ready(GRANT, "taken");

    // Its Platform goes first: what needs no Kafka goes with the grant all the same.
    c.kubectl
        .must(&["delete", PLATFORM, &other, "--timeout=60s"]);
    clean_up(&c, &["taken"]);
    assert!(c.kubectl.get("secrets", &secret, &c.namespace).is_none());
    c.kubectl
        .must(&["delete", PLATFORM, &name, "--timeout=60s"]);
}

#[test]
fn labelled_fields_are_left_out_of_what_a_client_reads() {
    let Some(c) = cluster("e2e-grant-labels") else {
        return;
    };
    let name = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    accept(&c);
    c.apply(&format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: customers}}\nspec:\n  platform: {name}\n  partitions: 1\n  key: [id]\n  schema:\n    - {{name: id, type: string}}\n    - {{name: email, type: string, labels: [pii]}}\n    - {{name: city, type: string, nullable: true}}\n"
    ));
    c.apply(&grant(
        &c,
        "nopii",
        "  read: [customers]\n  exceptLabels: [pii]\n",
    ));
    let derived = "customers-without-pii";
    c.ready(PIPELINE, derived);
    c.ready(GRANT, "nopii");
    c.kafka.produce(
        &c.topic("customers"),
        &[br#"{"id":"1","email":"a@example.com","city":"Ulm"}"#],
    );
    let prefix = format!("{}.nopii", c.namespace);
    let files = folder(&c, "nopii", "nopii");
    let text = reads("python", &files, &c.topic(derived), &prefix, 1);
    assert!(
        text.contains("Ulm") && !text.contains("example.com") && !text.contains("email"),
        "{text}"
    );
    refused(&files, &c.topic("customers"), &prefix);
    clean_up(&c, &["nopii"]);
    until("the derived stream's end", Duration::from_secs(60), || {
        c.kubectl
            .get(STREAM, derived, &c.namespace)
            .is_none()
            .then_some(())
    })
    .expect("the derived stream goes with its grant");
}

#[test]
fn a_label_that_comes_by_lineage_is_left_out_too_also_when_its_pipeline_is_gone() {
    let Some(c) = cluster("e2e-grant-lineage") else {
        return;
    };
    let name = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    accept(&c);
    let two = |stream: &str, field: &str, labels: &str| {
        format!(
            "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {stream}}}\nspec:\n  platform: {name}\n  partitions: 1\n  key: [id]\n  schema:\n    - {{name: id, type: string}}\n    - {{name: {field}, type: string, labels: [{labels}]}}\n"
        )
    };
    c.apply(&two("customers", "email", "pii"));
    c.apply(&two("buyers", "buyer", "other"));
    let first = pipeline(
        "first",
        "SELECT id, email AS buyer FROM customers",
        "buyers",
    );
    c.apply(&first.replace("platform: e2e", &format!("platform: {name}")));
    c.apply(&grant(
        &c,
        "lineage",
        "  read: [buyers]\n  exceptLabels: [pii]\n",
    ));
    let derived = "buyers-without-pii";
    c.ready(PIPELINE, "first");
    c.ready(PIPELINE, derived);
    c.ready(GRANT, "lineage");
    c.kafka.produce(
        &c.topic("customers"),
        &[br#"{"id":"Ulm","email":"a@example.com"}"#],
    );
    let records = c
        .kafka
        .read_at_least(&c.topic("buyers"), 1, Duration::from_secs(60));
    assert_eq!(records[0].json()["buyer"], "a@example.com");
    let prefix = format!("{}.lineage", c.namespace);
    let files = folder(&c, "lineage", "lineage");
    let text = reads("python", &files, &c.topic(derived), &prefix, 1);
    assert!(
        text.contains("Ulm") && !text.contains("example.com") && !text.contains(r#""buyer""#),
        "{text}"
    );
    refused(&files, &c.topic("buyers"), &prefix);

    // What it has written is in the topic still.
    c.kubectl.must(&[
        "delete",
        PIPELINE,
        "first",
        "-n",
        &c.namespace,
        "--timeout=90s",
    ]);
    until("the label is kept", Duration::from_secs(60), || {
        let stream = c.kubectl.get(STREAM, "buyers", &c.namespace)?;
        let kept = &stream["status"]["keptLabels"][0];
        (kept["label"] == "pii" && kept["fields"][0] == "buyer").then_some(())
    })
    .expect("the label of what a deleted Pipeline wrote is kept");
    std::thread::sleep(Duration::from_secs(3));
    c.ready(GRANT, "lineage");
    refused(&files, &c.topic("buyers"), &prefix);
    clean_up(&c, &["lineage"]);
}

#[test]
fn pipelines_and_sources_run_under_users_of_their_own() {
    let Some(c) = cluster("e2e-users") else {
        return;
    };
    let name = secured(&c, "    workloadAuthentication: {generated: {}}\n");
    let on = |yaml: String| yaml.replace("platform: e2e", &format!("platform: {name}"));
    c.apply(&on(stream("a", "partitions: 2")));
    c.apply(&on(stream("b", "partitions: 2")));
    c.apply(&on(stream("counts", "partitions: 2")));
    c.apply(&source("in", "a", ""));
    c.apply(&on(pipeline("p", "SELECT id, n * 2 AS n FROM a", "b")));
    c.ready(SOURCE, "in");
    c.ready(PIPELINE, "p");
    let secret = c
        .kubectl
        .get("secrets", "p-pipeline-kafka-user", &c.namespace);
    assert!(secret.is_some(), "the pipeline's user has a Secret");
    let url = format!("{}/in", c.address("in"));
    let answer = block_on(
        reqwest::Client::new()
            .post(&url)
            .header("content-type", "application/json")
            .body(r#"{"id":"k","n":21}"#)
            .send(),
    );
    assert_eq!(answer.unwrap().status(), 202);
    let records = c
        .kafka
        .read_at_least(&c.topic("b"), 1, Duration::from_secs(60));
    assert_eq!(records[0].json()["n"], 42);
    // A bad record goes to the dead letters under the same user.
    c.kafka.produce(&c.topic("a"), &[b"nonsense"]);
    let letters =
        c.kafka
            .read_at_least(&format!("{}.dlq", c.topic("a")), 1, Duration::from_secs(60));
    assert_eq!(letters.len(), 1);
    for (kind, one) in [(PIPELINE, "p"), (SOURCE, "in")] {
        c.kubectl
            .must(&["delete", kind, one, "-n", &c.namespace, "--timeout=90s"]);
    }
    until("the users' Secrets to go", Duration::from_secs(60), || {
        c.kubectl
            .get("secrets", "p-pipeline-kafka-user", &c.namespace)
            .is_none()
            .then_some(())
    })
    .expect("the Secret goes with its Pipeline");
}
