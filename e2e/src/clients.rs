//! Clients with the credentials of a grant: the examples in `examples/clients`, run with the Secret as a folder.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::{Cluster, platform};

const SYSTEM: &str = "headworks-system";

/// What `run` of the examples ends with when the broker refused.
pub const REFUSED: i32 = 3;

/// A Platform over SCRAM and TLS, named after the test's namespace, whose operator may write Secrets in that namespace.
/// `extra` goes under `spec.kafka` (indented by four). Gives its name.
pub fn secured(c: &Cluster, extra: &str) -> String {
    let name = c.namespace.clone();
    let user = std::env::var("KAFKA_SCRAM_USER").unwrap();
    let password =
        std::fs::read_to_string(std::env::var("KAFKA_SCRAM_PASSWORD_FILE").unwrap()).unwrap();
    let ca = std::fs::read_to_string(std::env::var("KAFKA_CA_FILE").unwrap()).unwrap();
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM},
        "stringData": {"username": user, "password": password.trim(), "ca.crt": ca}});
    let outcome = c.kubectl.apply(&secret.to_string(), SYSTEM);
    assert!(outcome.ok, "{}", outcome.text);
    may_write_secrets(c, &c.namespace);
    let address = std::env::var("KAFKA_SCRAM_BOOTSTRAP_IN_CLUSTER").unwrap();
    let kafka = format!(
        "    tls: {{caSecret: {{namespace: {SYSTEM}, name: {name}}}}}\n    authentication: {{scramSha512: {{namespace: {SYSTEM}, name: {name}}}}}\n{extra}"
    );
    c.apply(&platform(&name, &address, &kafka));
    c.ready("platforms.headworks.dev", &name);
    name
}

/// What the chart does for a namespace in `grantNamespaces` and `workloadNamespaces`.
pub fn may_write_secrets(c: &Cluster, ns: &str) {
    let roles = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: headworks-operator-credentials, namespace: {ns}}}\nrules:\n  - {{apiGroups: [\"\"], resources: [secrets], verbs: [get, create, patch, delete]}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: headworks-operator-credentials, namespace: {ns}}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: headworks-operator-credentials}}\nsubjects:\n  - {{kind: ServiceAccount, name: headworks-operator, namespace: {SYSTEM}}}\n"
    );
    let outcome = c.kubectl.apply(&roles, ns);
    assert!(outcome.ok, "{}", outcome.text);
}

/// The test's namespace accepts grants of its own.
pub fn accept(c: &Cluster) {
    c.kubectl.must(&[
        "annotate",
        "namespace",
        &c.namespace,
        &format!("headworks.dev/accept-grants={}", c.namespace),
        "--overwrite",
    ]);
}

/// An AccessGrant to a client of its own name in the test's namespace; `spec` is the rest of it.
pub fn grant(c: &Cluster, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: AccessGrant\nmetadata: {{name: {name}}}\nspec:\n  to: {{namespace: {}, name: {name}}}\n{spec}",
        c.namespace
    )
}

/// The Secret of a grant as a folder, with Kafka's address as this machine reaches it.
pub fn folder(c: &Cluster, grant: &str, as_: &str) -> PathBuf {
    let object = c
        .kubectl
        .get("accessgrants.headworks.dev", grant, &c.namespace);
    let object = object.unwrap_or_else(|| panic!("no AccessGrant {grant}"));
    // Versions name it differently, and its status says how.
    let name = object["status"]["secret"].as_str();
    let name = name.unwrap_or_else(|| panic!("no Secret in {}", object["status"]));
    let secret = c
        .kubectl
        .get("secrets", name, &c.namespace)
        .unwrap_or_else(|| panic!("no Secret {name}"));
    let folder = std::env::temp_dir().join(format!("{}-{as_}-{}", c.namespace, std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let inside = std::env::var("KAFKA_SCRAM_BOOTSTRAP_IN_CLUSTER").unwrap();
    let outside = std::env::var("KAFKA_SCRAM_BOOTSTRAP").unwrap();
    for (key, value) in secret["data"].as_object().unwrap() {
        let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        std::fs::write(folder.join(key), text.replace(&inside, &outside)).unwrap();
    }
    folder
}

/// The ready-made snippet for librdkafka of a Secret's folder, with the CA where the folder is.
pub fn librdkafka(folder: &Path) -> rdkafka::ClientConfig {
    let text = std::fs::read_to_string(folder.join("librdkafka.properties")).unwrap();
    let mut config = rdkafka::ClientConfig::new();
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap();
        if key == "ssl.ca.location" {
            config.set(key, folder.join("ca.crt").to_str().unwrap());
        } else {
            config.set(key, value);
        }
    }
    config
}

/// Runs an example client; gives its exit code and all it said.
pub fn client(
    language: &str,
    folder: &Path,
    topic: &str,
    group: &str,
    count: usize,
) -> (i32, String) {
    let run = format!("{}/../examples/clients/run", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(run)
        .args([
            language,
            folder.to_str().unwrap(),
            topic,
            group,
            &count.to_string(),
        ])
        .env("KAFKA_CLIENT_SECONDS", "30")
        .output()
        .expect("examples/clients/run");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), text)
}

/// A client that must read so many records; gives what it said.
pub fn reads(language: &str, folder: &Path, topic: &str, group: &str, count: usize) -> String {
    let (code, text) = client(language, folder, topic, group, count);
    assert_eq!(code, 0, "{language} should read {topic}: {text}");
    text
}

/// A client that the broker must refuse.
pub fn refused(folder: &Path, topic: &str, group: &str) {
    let (code, text) = client("python", folder, topic, group, 1);
    assert_eq!(
        code, REFUSED,
        "the broker should refuse {topic} to {group}: {text}"
    );
}
