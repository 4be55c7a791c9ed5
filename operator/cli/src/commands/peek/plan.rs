//! From objects of the cluster to what the pod is told: the stream as Pipelines read it, who logs in to Kafka, and which
//! fields are masked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::conditions::READY;
use headworks_crds::{AccessGrant, Condition, DataStream, Platform};
use headworks_operator::connection::connection;
use headworks_operator::contract::revision;
use headworks_operator::data_stream::{contract_revisions, resolve};
use headworks_operator::names::Key;
use headworks_operator::planning::lineage;
use headworks_plan::{
    KAFKA_CREDENTIALS_DIR, KafkaConnection, PEEK_CA_PATH, ScramFiles, Stream as PlannedStream,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::finding::hint;

/// Kafka's word for the right to read, as a grant's status has it.
const READ: &str = "Read";

/// What of a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Its records.
    Records,
    /// Its dead letters: a topic of its own, which a grant gives only where it says so.
    DeadLetters,
}

/// How the pod logs in to Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Nobody,
    /// By a Secret of its namespace, which is mounted and never read here.
    Secret(Credentials),
}

/// A Secret with a Kafka user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Namespace of the Secret, and so of the pod.
    pub namespace: String,
    /// Its name.
    pub secret: String,
    /// Key of the user's name.
    pub username: String,
    /// Key of the password.
    pub password: String,
    /// True: the Secret may have Kafka's CA, too.
    pub has_ca: bool,
    /// What the user's consumer groups may be called, or begin with.
    pub group: Option<String>,
}

/// The stream as the pods of a Pipeline see it.
///
/// # Errors
/// Why it can't be read yet.
pub fn stream(stream: &DataStream, maps: &[ConfigMap]) -> Result<PlannedStream, String> {
    let key = Key::of(stream);
    let status = stream.status.clone().unwrap_or_default();
    let why = || said(&status.conditions);
    let Some(named) = status.contract.as_ref().filter(|_| status.topic.is_some()) else {
        return Err(format!("{key} has no topic yet: {}", why()));
    };
    let contracts = contract_revisions::among(&key, maps);
    let in_force = contracts.iter().find(|a| revision::is_named(a, named));
    let Some(in_force) = in_force else {
        let map = revision::name(&key.name, named.version);
        return Err(format!(
            "the contract in force of {key} can't be read: ConfigMap {}/{map} isn't there ({})",
            key.namespace,
            why()
        ));
    };
    let seen = resolve::seen("peek", stream, in_force, &contracts);
    seen.map_err(|error| error.message().trim_start_matches("peek: ").to_owned())
}

fn said(conditions: &[Condition]) -> String {
    let ready = conditions.iter().find(|c| c.type_ == READY);
    ready.map_or_else(
        || "the operator hasn't looked at it yet".to_owned(),
        |c| format!("{}: {}", c.reason, c.message),
    )
}

/// Who logs in: the client of a grant where one is given, else whoever pods of the namespace log in as.
///
/// # Errors
/// What is wrong with the grant, or that one is needed; `others` are the namespace's grants, of which those that would do are
/// named.
pub fn login(
    wants: Wanted,
    stream: &DataStream,
    platform: &Platform,
    grant: Option<&AccessGrant>,
    others: &[AccessGrant],
) -> Result<Login, String> {
    if let Some(grant) = grant {
        return by_grant(wants, stream, grant).map(Login::Secret);
    }
    let kafka = &platform.spec.kafka;
    let workloads = kafka.workload_authentication.as_ref();
    if let Some(shared) = workloads.and_then(|w| w.scram_sha512.as_ref()) {
        return Ok(Login::Secret(Credentials {
            namespace: stream.namespace().unwrap_or_default(),
            secret: shared.secret_name.clone(),
            username: shared.username_key.clone(),
            password: shared.password_key.clone(),
            has_ca: false,
            group: None,
        }));
    }
    if !needs_grant(platform) {
        return Ok(Login::Nobody);
    }
    let usable = others
        .iter()
        .filter(|grant| by_grant(wants, stream, grant).is_ok());
    let names: Vec<String> = usable.map(ResourceExt::name_any).collect();
    let hint = if names.is_empty() {
        let also = match wants {
            Wanted::Records => "",
            Wanted::DeadLetters => " and deadLetters: true",
        };
        format!(
            "make an AccessGrant beside the stream, with read: [{}]{also}, and name it with --grant",
            stream.name_any()
        )
    } else {
        format!("name an AccessGrant with --grant: {}", names.join(", "))
    };
    Err(format!(
        "Kafka of Platform {} asks for a user, and its workloads share none: {hint}",
        platform.name_any()
    ))
}

/// True: Kafka asks for a user, and there is none that all pods of a namespace log in as.
pub fn needs_grant(platform: &Platform) -> bool {
    let kafka = &platform.spec.kafka;
    match &kafka.workload_authentication {
        Some(workloads) => workloads.scram_sha512.is_none(),
        None => kafka.authentication.is_some(),
    }
}

fn by_grant(
    wants: Wanted,
    stream: &DataStream,
    grant: &AccessGrant,
) -> Result<Credentials, String> {
    let (key, name) = (Key::of(grant), stream.name_any());
    let status = grant.status.clone().unwrap_or_default();
    let Some(secret) = status.secret else {
        return Err(format!(
            "{key} has no Secret yet: {}",
            said(&status.conditions)
        ));
    };
    if status.platform.is_some_and(|p| p != stream.spec.platform) {
        return Err(format!(
            "{key} is of another Platform's Kafka than DataStream {name}"
        ));
    }
    let reads = |as_name: Option<&String>, one: &headworks_crds::GrantedStream| {
        one.access == READ && one.derived.as_ref().or(Some(&one.stream)) == as_name
    };
    if !status.streams.iter().any(|one| reads(Some(&name), one)) {
        let derived = status.streams.iter().find(|one| one.stream == name);
        let derived = derived.and_then(|one| one.derived.as_ref());
        return Err(match derived {
            Some(derived) => format!(
                "{key} reads {name} only without labelled fields: headworks peek stream {derived} --grant {}",
                key.name
            ),
            None => format!("{key} doesn't read {name}: add it to its spec.read, or name another"),
        });
    }
    if wants == Wanted::DeadLetters && !grant.spec.dead_letters {
        return Err(format!(
            "{key} doesn't give dead letters, which are records as they came: set deadLetters: true in its spec, or name another"
        ));
    }
    let to = &grant.spec.to;
    Ok(Credentials {
        namespace: to.namespace.clone(),
        secret,
        username: "username".to_owned(),
        password: "password".to_owned(),
        has_ca: true,
        group: Some(format!("{}.{}", to.namespace, to.name)),
    })
}

/// How the pod reaches Kafka.
pub fn kafka(platform: &Platform, login: &Login) -> KafkaConnection {
    let kafka = &platform.spec.kafka;
    let has_ca = matches!(login, Login::Secret(credentials) if credentials.has_ca);
    let named = kafka.tls.as_ref().is_some_and(|t| t.ca_secret.is_some());
    let of_workloads = connection(kafka);
    KafkaConnection {
        tls_ca_file: match (named, has_ca) {
            (false, _) => of_workloads.tls_ca_file,
            (true, true) => Some(format!("{KAFKA_CREDENTIALS_DIR}/ca.crt")),
            (true, false) => Some(PEEK_CA_PATH.to_owned()),
        },
        scram: match login {
            Login::Nobody => None,
            Login::Secret(_) => Some(ScramFiles {
                username_file: format!("{KAFKA_CREDENTIALS_DIR}/username"),
                password_file: format!("{KAFKA_CREDENTIALS_DIR}/password"),
            }),
        },
        ..of_workloads
    }
}

/// A consumer group that the user may name; nobody joins it.
pub fn group(stream: &DataStream, platform: &Platform, login: &Login) -> String {
    if let Login::Secret(Credentials {
        group: Some(group), ..
    }) = login
    {
        return format!("{group}.peek");
    }
    let status = platform.status.clone().unwrap_or_default();
    format!(
        "headworks.{}.{}.{}.peek",
        status.installation.unwrap_or_default(),
        stream.namespace().unwrap_or_default(),
        stream.name_any()
    )
}

/// Fails where a label that is to mask is on no field: with a misspelt one nothing would be masked.
///
/// # Errors
/// The label, and the near one that may be meant.
pub fn known_labels(
    labelled: &BTreeMap<String, BTreeSet<String>>,
    only: &[String],
) -> Result<(), String> {
    let known: BTreeSet<&str> = labelled.values().flatten().map(String::as_str).collect();
    match only.iter().find(|label| !known.contains(label.as_str())) {
        None => Ok(()),
        Some(label) => Err(format!(
            "no field of the stream has the label {label}{}",
            hint(label, known)
        )),
    }
}

/// Top-level fields that are masked, each with its labels: those of the contract in force, those that came by lineage, were
/// kept, or come just now (`arrived`), and those that the spec has and that aren't accepted yet. Without `only` every label
/// masks.
pub fn masked(
    planned: &PlannedStream,
    stream: &DataStream,
    arrived: &lineage::Labels,
    only: &[String],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = lineage::of_contract(&planned.contract);
    let status = stream.status.clone().unwrap_or_default();
    let of_spec = stream.spec.schema.iter().map(|f| (&f.name, &f.labels));
    let beside = stream.spec.field_labels.iter();
    let of_spec = of_spec.chain(beside.map(|f| (&f.field, &f.labels)));
    let of_spec = of_spec.map(|(field, labels)| (field.clone(), labels.iter().cloned().collect()));
    let shown = lineage::by_field(&status.labels).into_iter();
    for (field, more) in shown.chain(arrived.clone()).chain(of_spec) {
        all.entry(field).or_default().extend(more);
    }
    for found in all.values_mut() {
        found.retain(|label| only.is_empty() || only.contains(label));
    }
    // A label of a field that the contract has lost is of no value that is shown.
    all.retain(|field, labels| {
        !labels.is_empty() && planned.contract.fields.iter().any(|f| f.name == *field)
    });
    all
}

#[cfg(test)]
mod tests;
