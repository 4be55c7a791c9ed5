//! The Secret in the client's namespace: everything that a client needs, in the words of its library. Pure.
//!
//! The files name each other below `/etc/kafka-client`, where the examples mount the Secret.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::Kafka;
use headworks_plan::RegistryConnection;
use k8s_openapi::{
    api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp,
};
use kube::ResourceExt;
use serde_json::{Map, Value};

use super::rotation::{Held, Slot};
use crate::{names::Key, provisioner::secret};

/// Where clients mount the Secret.
const FOLDER: &str = "/etc/kafka-client";
const MECHANISM: &str = "SCRAM-SHA-512";
/// Key with the schema registry's address, as Confluent's clients call it.
const REGISTRY_URL: &str = "schema.registry.url";
/// Key with its CA, where the Platform names one.
const REGISTRY_CA: &str = "schema-registry-ca.crt";
/// Since when the user in the Secret is handed out.
const SINCE: &str = "headworks.dev/rotated-at";
/// The user before, as long as it can still log in.
const PREVIOUS: &str = "headworks.dev/previous-user";

/// Name of the Secret: `headworks-<namespace>-<name>`, and where the namespace has a hyphen itself a dot before the grant's name, so
/// that `a-b`/`c` and `a`/`b-c` ask for two: neither a namespace nor a grant has a dot in its name.
pub fn name(grant: &Key) -> String {
    let between = if grant.namespace.contains('-') {
        '.'
    } else {
        '-'
    };
    format!("headworks-{}{between}{}", grant.namespace, grant.name)
}

/// Every name that the Secret may have: that of before had no dot in any case.
pub fn names(grant: &Key) -> BTreeSet<String> {
    let before = format!("headworks-{}-{}", grant.namespace, grant.name);
    [name(grant), before].into()
}

/// The name that the client knows already, where there is one.
pub fn name_in_use(grant: &Key, said: Option<&str>) -> String {
    let known = said.filter(|said| names(grant).contains(*said));
    known.map_or_else(|| name(grant), str::to_owned)
}

/// What the Secret is made of.
pub struct Credentials<'a> {
    /// The grant.
    pub grant: &'a Key,
    /// Name of the Secret.
    pub name: &'a str,
    /// The client's namespace.
    pub namespace: &'a str,
    /// The Platform's Kafka.
    pub kafka: &'a Kafka,
    /// Kafka's CA, if the Platform names one.
    pub ca: Option<&'a str>,
    /// The user.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// What the names of its groups begin with.
    pub prefix: &'a str,
    /// Since when it is handed out.
    pub since: Timestamp,
    /// The user before, as long as it can still log in.
    pub previous: Option<&'a str>,
    /// The Platform's schema registry, if it names one: records of Avro and Protobuf streams carry its ids.
    pub registry: Option<&'a RegistryConnection>,
}

/// The Secret.
pub fn build(c: &Credentials<'_>) -> Secret {
    let mut annotations = BTreeMap::from([(SINCE.to_owned(), c.since.to_string())]);
    if let Some(previous) = c.previous {
        annotations.insert(PREVIOUS.to_owned(), previous.to_owned());
    }
    Secret {
        metadata: ObjectMeta {
            name: Some(c.name.to_owned()),
            namespace: Some(c.namespace.to_owned()),
            labels: Some(c.grant.labels()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(secret::data(texts(c))),
        ..Secret::default()
    }
}

fn texts(c: &Credentials<'_>) -> BTreeMap<String, String> {
    let protocol = if c.kafka.tls.is_some() {
        "SASL_SSL"
    } else {
        "SASL_PLAINTEXT"
    };
    let servers = c.kafka.bootstrap_servers.as_str();
    let ca_file = format!("{FOLDER}/ca.crt");
    let registry_ca_file = format!("{FOLDER}/{REGISTRY_CA}");
    let mut librdkafka = vec![
        ("bootstrap.servers", servers),
        ("security.protocol", protocol),
        ("sasl.mechanism", MECHANISM),
        ("sasl.username", c.user),
        ("sasl.password", c.password),
    ];
    let jaas = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{}\";",
        c.user, c.password
    );
    let mut java = vec![
        ("bootstrap.servers", servers),
        ("security.protocol", protocol),
        ("sasl.mechanism", MECHANISM),
        ("sasl.jaas.config", jaas.as_str()),
    ];
    if c.ca.is_some() {
        librdkafka.push(("ssl.ca.location", &ca_file));
        java.push(("ssl.truststore.type", "PEM"));
        java.push(("ssl.truststore.location", &ca_file));
    }
    // Streams are written in transactions; librdkafka's default is this already.
    java.push(("isolation.level", "read_committed"));
    // For Confluent's deserializers; Kafka's own client passes over it. librdkafka takes nothing that it doesn't know.
    if let Some(registry) = c.registry {
        java.push((REGISTRY_URL, &registry.url));
        if registry.ca_pem.is_some() {
            java.push(("schema.registry.ssl.truststore.type", "PEM"));
            java.push(("schema.registry.ssl.truststore.location", &registry_ca_file));
        }
    }
    let python: Map<String, Value> = librdkafka
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
        .collect();
    let mut all: BTreeMap<String, String> = [
        ("bootstrap.servers", servers),
        ("username", c.user),
        ("password", c.password),
        ("sasl.mechanism", MECHANISM),
        ("security.protocol", protocol),
        ("group.prefix", c.prefix),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    all.insert("client.properties".into(), lines(&java));
    all.insert("librdkafka.properties".into(), lines(&librdkafka));
    all.insert("python.json".into(), Value::Object(python).to_string());
    if let Some(ca) = c.ca {
        all.insert("ca.crt".into(), ca.to_owned());
    }
    if let Some(registry) = c.registry {
        all.insert(REGISTRY_URL.into(), registry.url.clone());
        if let Some(ca) = &registry.ca_pem {
            all.insert(REGISTRY_CA.into(), ca.clone());
        }
    }
    all
}

fn lines(pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(String::new(), |text, (key, value)| {
        text + key
            + "="
            + value
            + "
"
    })
}

/// The schema registry that a Secret names.
pub fn registry(live: &Secret) -> Option<RegistryConnection> {
    Some(RegistryConnection {
        url: secret::text(live, REGISTRY_URL)?,
        ca_pem: secret::text(live, REGISTRY_CA),
    })
}

/// What a Secret says of the rotation, and the password in it. None: it was cut short by somebody, and is as good as lost.
pub fn read(live: &Secret, base: &str) -> Option<(Held, String)> {
    let annotations = live.annotations();
    let held = Held {
        slot: Slot::of(&secret::text(live, "username")?, base)?,
        since: annotations.get(SINCE)?.parse().ok()?,
        previous: annotations.contains_key(PREVIOUS),
    };
    Some((held, secret::text(live, "password")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn built(kafka: Value, ca: Option<&str>, previous: Option<&str>) -> Secret {
        built_with(kafka, ca, previous, None)
    }

    fn built_with(
        kafka: Value,
        ca: Option<&str>,
        previous: Option<&str>,
        registry: Option<&RegistryConnection>,
    ) -> Secret {
        let kafka: Kafka = serde_json::from_value(kafka).unwrap();
        build(&Credentials {
            grant: &Key::new("AccessGrant", "shop", "report"),
            name: "headworks-shop-report",
            namespace: "bi",
            kafka: &kafka,
            ca,
            user: "headworks.prod.grant.shop.report-b",
            password: "S3cret",
            prefix: "bi.report",
            since: "2027-01-01T00:00:00Z".parse().unwrap(),
            previous,
            registry,
        })
    }

    #[test]
    fn a_client_of_avro_finds_the_registry() {
        let kafka = || json!({"bootstrapServers": "k:9092", "management": {"admin": {}}});
        let there = RegistryConnection {
            url: "https://registry.kafka.svc/apis/ccompat/v7".into(),
            ca_pem: Some("REGISTRY PEM".into()),
        };
        let secret = built_with(kafka(), None, None, Some(&there));
        let shown = shown(&secret);
        assert_eq!(shown["schema.registry.url"], there.url);
        assert_eq!(shown["schema-registry-ca.crt"], "REGISTRY PEM");
        let java = &shown["client.properties"];
        assert!(
            java.contains("\nschema.registry.url=https://registry.kafka.svc/apis/ccompat/v7\n")
        );
        assert!(java.contains(
            "schema.registry.ssl.truststore.location=/etc/kafka-client/schema-registry-ca.crt\n"
        ));
        // librdkafka refuses a file with anything else in it.
        assert!(!shown["librdkafka.properties"].contains("schema.registry"));
        assert!(!shown["python.json"].contains("schema.registry"));
        // While the registry's CA can't be read, the Secret stays as it was.
        assert_eq!(registry(&secret), Some(there));
        assert_eq!(registry(&built(kafka(), None, None)), None);
    }

    #[test]
    fn no_two_grants_share_a_secret_s_name_and_a_name_in_use_stays() {
        let grants = [
            ("a", "b-c"),
            ("a-b", "c"),
            ("a", "b"),
            ("a-b-c", "d"),
            ("a", "b-c-d"),
            ("a-b", "c-d"),
        ];
        let key = |(namespace, grant)| Key::new("AccessGrant", namespace, grant);
        let all: BTreeSet<String> = grants.iter().map(|g| name(&key(*g))).collect();
        assert_eq!(all.len(), grants.len(), "{all:?}");
        assert_eq!(name(&key(("shop", "report"))), "headworks-shop-report");
        let grant = key(("a-b", "c"));
        assert_eq!(
            name_in_use(&grant, Some("headworks-a-b-c")),
            "headworks-a-b-c"
        );
        assert_eq!(name_in_use(&grant, None), "headworks-a-b.c");
        assert_eq!(name_in_use(&grant, Some("kafka-admin")), "headworks-a-b.c");
        assert_eq!(names(&grant).len(), 2);
        assert_eq!(names(&key(("shop", "report"))).len(), 1);
    }

    fn shown(secret: &Secret) -> BTreeMap<String, String> {
        let data = secret.data.clone().unwrap();
        data.into_iter()
            .map(|(k, v)| (k, String::from_utf8(v.0).unwrap()))
            .collect()
    }

    #[test]
    fn a_client_finds_everything_it_needs() {
        let kafka = json!({"bootstrapServers": "k1:9093,k2:9093", "management": {"admin": {}}, "tls": {"caSecret": {"namespace": "kafka", "name": "ca"}}});
        let secret = built(
            kafka,
            Some("PEM"),
            Some("headworks.prod.grant.shop.report-a"),
        );
        insta::assert_yaml_snapshot!("tls_keys", shown(&secret));
        insta::assert_yaml_snapshot!("tls_meta", secret.metadata);
    }

    #[test]
    fn without_tls_there_is_no_ca_and_nothing_names_it() {
        let secret = built(
            json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            None,
            None,
        );
        let shown = shown(&secret);
        assert!(!shown.contains_key("ca.crt") && shown["security.protocol"] == "SASL_PLAINTEXT");
        assert!(!shown.values().any(|v| v.contains("ca.crt")));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let base = "headworks.prod.grant.shop.report";
        let secret = built(
            json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            None,
            Some("x"),
        );
        let (held, password) = read(&secret, base).unwrap();
        assert_eq!(
            (held.slot, held.previous, password.as_str()),
            (Slot::B, true, "S3cret")
        );
        assert_eq!(held.since, "2027-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(read(&secret, "headworks.other.grant.shop.report"), None);
        let mut cut = secret;
        cut.data.as_mut().unwrap().remove("password");
        assert_eq!(read(&cut, base), None);
    }
}
