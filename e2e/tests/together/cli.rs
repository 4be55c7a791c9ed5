//! The command line against a real cluster: doctor, explain, impact and uninstall, and that `headworks run` gives the cluster's answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::Duration;

use headworks_e2e::{Cluster, cluster, pipeline, source, stream};

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) all: String,
}

pub(crate) fn headworks(arguments: &[&str]) -> Said {
    let program = std::env::var("HEADWORKS_CLI").expect("HEADWORKS_CLI: the built command line");
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("headworks runs");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    Said {
        code: output.status.code(),
        out,
        all,
    }
}

const SQL: &str =
    "SELECT UPPER(id) AS id, n * 10 + CHAR_LENGTH(id) AS n FROM a WHERE MOD(n, 3) <> 0";

fn running(c: &Cluster) {
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&stream("b", "partitions: 1"));
    c.apply(&pipeline("p", SQL, "b"));
    c.ready("pipelines.headworks.dev", "p");
}

#[test]
fn doctor_explain_and_uninstall_say_what_is() {
    let Some(c) = cluster("e2e-cli") else { return };
    running(&c);
    let ns = c.namespace.as_str();
    let said = headworks(&["doctor", "-n", ns]);
    assert_eq!(said.code, Some(0), "{}", said.all);

    let said = headworks(&["explain", "pipeline", "p", "-n", ns]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    for word in [
        "a",
        "b",
        "id",
        "bigint",
        "ExactlyOnce",
        &c.topic("a"),
        &c.topic("b"),
    ] {
        assert!(
            said.out.contains(word),
            "{word:?} should be in: {}",
            said.out
        );
    }

    c.apply(&pipeline("broken", "SELECT idd FROM a", "b"));
    c.condition(
        "pipelines.headworks.dev",
        "broken",
        "Ready",
        "False",
        Some("InvalidSql"),
    );
    let said = headworks(&["doctor", "-n", ns]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    for word in ["broken", "InvalidSql", "idd"] {
        assert!(
            said.out.contains(word),
            "{word:?} should be in: {}",
            said.out
        );
    }

    let said = headworks(&["uninstall", "--dry-run"]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(
        c.kubectl.get("pipelines.headworks.dev", "p", ns).is_some(),
        "a dry run takes nothing away"
    );
}

#[test]
fn leftovers_are_listed_and_only_what_is_named_is_deleted() {
    let Some(c) = cluster("e2e-cli-leftovers") else {
        return;
    };
    running(&c);
    let (ns, bootstrap) = (
        c.namespace.as_str(),
        std::env::var("KAFKA_BOOTSTRAP").unwrap(),
    );
    let ask = |more: &[&str]| {
        let first = [
            "leftovers",
            "-n",
            ns,
            "--platform",
            "e2e",
            "--bootstrap-servers",
            &bootstrap,
        ];
        headworks(&[&first[..], more].concat())
    };
    let said = ask(&[]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "nothing is left over\n"),
        "{}",
        said.all
    );
    for (kind, name) in [
        ("pipelines.headworks.dev", "p"),
        ("datastreams.headworks.dev", "b"),
    ] {
        c.kubectl
            .must(&["delete", kind, name, "-n", ns, "--timeout=1m"]);
    }
    let topic = format!("topic/{}", c.topic("b"));
    let said = ask(&[]);
    for word in [
        &topic,
        &format!("topic/{}.dlq", c.topic("b")),
        &format!("configmap/{ns}/b-contract-1"),
        "group/headworks.",
    ] {
        assert!(said.out.contains(word), "{word}: {}", said.all);
    }
    assert!(!said.out.contains(&c.topic("a")), "{}", said.all);
    let said = ask(&["--delete", &topic, &format!("topic/{}", c.topic("a"))]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    assert!(
        c.kafka.partitions(&c.topic("b")).is_some(),
        "nothing was deleted"
    );
    let said = ask(&["--delete", &topic]);
    assert_eq!(said.code, Some(0), "{}", said.all);
    assert!(!ask(&[]).out.contains(&format!("{topic}\n")));
}

#[test]
fn a_cluster_that_cannot_be_reached_is_exit_code_3() {
    if std::env::var("HEADWORKS_CLI").is_err() {
        println!("skipped: needs the built command line; run `make e2e`");
        return;
    }
    let config = std::env::temp_dir().join(format!("headworks-nowhere-{}", std::process::id()));
    std::fs::write(&config, "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: [{name: x, cluster: {server: \"http://127.0.0.1:9\"}}]\nusers: [{name: x, user: {}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n").unwrap();
    let said = headworks(&["doctor", "--kubeconfig", config.to_str().unwrap()]);
    std::fs::remove_file(&config).unwrap();
    assert_eq!(said.code, Some(3), "{}", said.all);
    assert!(said.all.contains("127.0.0.1:9"), "{}", said.all);
}

#[test]
fn run_gives_the_same_answers_as_the_cluster() {
    let Some(c) = cluster("e2e-cli-run") else {
        return;
    };
    running(&c);
    let records: Vec<String> = (0..500)
        .map(|n| format!("{{\"id\":\"key-{n}\",\"n\":{n}}}"))
        .collect();
    let bytes: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    c.kafka.produce(&c.topic("a"), &bytes);
    let wanted = (0..500).filter(|n| n % 3 != 0).count();
    let mut there: Vec<String> = c
        .kafka
        .read_at_least(&c.topic("b"), wanted, Duration::from_secs(60))
        .iter()
        .map(|record| String::from_utf8_lossy(&record.value).into_owned())
        .collect();

    let folder = std::env::temp_dir().join(format!("headworks-run-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (yaml, input) = (folder.join("all.yaml"), folder.join("in.ndjson"));
    std::fs::write(
        &yaml,
        [stream("a", ""), stream("b", ""), pipeline("p", SQL, "b")].join("---\n"),
    )
    .unwrap();
    std::fs::write(&input, records.join("\n")).unwrap();
    let said = headworks(&[
        "run",
        yaml.to_str().unwrap(),
        "--input",
        input.to_str().unwrap(),
    ]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(said.code, Some(0), "{}", said.all);
    let mut here: Vec<String> = said.out.lines().map(str::to_owned).collect();
    there.sort();
    here.sort();
    assert_eq!(here, there, "byte for byte");
}

#[test]
fn impact_lists_grant_source_and_table_in_the_context_s_namespace_and_says_so_by_its_exit_code() {
    let Some(c) = cluster("e2e-cli-impact") else {
        return;
    };
    let ns = c.namespace.as_str();
    c.apply(&stream("a", "partitions: 1"));
    c.apply(&source("in", "a", ""));
    // Neither has to run: a DataStore that isn't there, and a client whose namespace hasn't opted in.
    c.apply("apiVersion: headworks.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: rows}\nspec:\n  platform: e2e\n  sql: SELECT id, n FROM a\n  to: [{table: {store: nowhere, name: rows}}]\n");
    c.apply("apiVersion: headworks.dev/v1alpha1\nkind: AccessGrant\nmetadata: {name: bi}\nspec:\n  to: {namespace: elsewhere, name: app}\n  read: [a]\n");
    c.ready("datastreams.headworks.dev", "a");

    let folder = std::env::temp_dir().join(format!("headworks-impact-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // No namespace in the file and none on the command line: the context's, as kubectl would have it.
    let config = write(
        "config",
        &c.kubectl
            .must(&["config", "view", "--raw", "--minify", "--flatten"]),
    );
    c.kubectl.must(&[
        "config",
        "--kubeconfig",
        &config,
        "set-context",
        "--current",
        "--namespace",
        ns,
    ]);
    let broken = write(
        "broken.yaml",
        &stream("a", "partitions: 1").replace("type: bigint", "type: string"),
    );
    let said = headworks(&["impact", "-f", &broken, "--kubeconfig", &config]);
    assert_eq!(said.code, Some(1), "{}", said.all);
    for line in [
        format!("DataStream {ns}/a: contract 1 is in force, change "),
        "n: bigint → string".to_owned(),
        "headworks.dev/allow-breaking".to_owned(),
        format!("AccessGrant {ns}/bi"),
        "client elsewhere/app reads a".to_owned(),
        format!("Source {ns}/in"),
        format!("Pipeline {ns}/rows"),
        format!("Table {ns}/nowhere.rows"),
    ] {
        assert!(said.out.contains(&line), "{line:?} in: {}", said.out);
    }
    // Nothing changes: nothing breaks.
    let same = write("same.yaml", &stream("a", "partitions: 1"));
    let said = headworks(&["impact", "-f", &same, "--kubeconfig", &config]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "no contract changes\n"),
        "{}",
        said.all
    );
    // Another namespace has no such stream, and that is said.
    let said = headworks(&[
        "impact",
        "-f",
        &broken,
        "--kubeconfig",
        &config,
        "-n",
        "default",
    ]);
    assert!(
        said.all
            .contains("DataStream default/a isn't in the cluster"),
        "{}",
        said.all
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
