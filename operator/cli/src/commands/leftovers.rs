//! `headworks leftovers`: what stayed when objects went, and how it is removed.

use std::collections::BTreeSet;

use headworks_crds::{LABEL_KIND, LABEL_NAME, LABEL_NAMESPACE, Platform};
use headworks_operator::contract::{revision, topic_name};
use headworks_operator::kafka::{Admin, Connection, Scram, Tls};
use headworks_operator::names::{MANAGED_BY, MANAGED_BY_VALUE, label_value};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::doctor::{list, resources};
use crate::cluster::{self, Cluster, block_on, said};
use crate::leftovers::{Kind, Labelled, Leftover, Seen, leftovers};
use crate::output::{self, Form};
use crate::{End, output::note};

/// Kinds of Strimzi's that stay.
const OF_STRIMZI: [(Kind, &str, &str, [&str; 2]); 2] = [
    (
        Kind::KafkaTopic,
        "KafkaTopic",
        "kafkatopics",
        ["v1", "v1beta2"],
    ),
    (
        Kind::KafkaUser,
        "KafkaUser",
        "kafkausers",
        ["v1", "v1beta2"],
    ),
];

/// Arguments of `headworks leftovers`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only what belonged to objects of this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The Platform whose Kafka is looked at. Its credentials are read from its Secrets, by your rights.
    #[arg(long, default_value = "default", value_name = "NAME")]
    platform: String,
    /// Where that Kafka is, as this machine reaches it. Absent: as the Platform says.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_servers: Option<String>,
    /// Don't ask Kafka: what is in it is told by what stayed in Kubernetes alone.
    #[arg(long)]
    without_kafka: bool,
    /// Delete these leftovers, as they are listed: topic/shop.orders, configmap/shop/orders-contract-1. Without it nothing is
    /// deleted. What isn't a leftover isn't deleted either.
    #[arg(long, num_args = 1.., value_name = "WHAT")]
    delete: Vec<String>,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Looks, and deletes what is named.
pub fn run(arguments: &Arguments) -> End {
    let done = block_on(async {
        let cluster = arguments.cluster.connect().await?;
        look(&cluster, arguments).await
    });
    match done {
        Ok(end) | Err(end) => end,
    }
}

async fn look(cluster: &Cluster, arguments: &Arguments) -> Result<End, End> {
    let platform = platform(cluster, &arguments.platform).await?;
    let mut seen = Seen::default();
    labelled(cluster, arguments, &mut seen).await;
    let bootstrap = arguments.bootstrap_servers.clone().or_else(|| {
        let kafka = platform.as_ref().map(|p| &p.spec.kafka);
        kafka.map(|kafka| kafka.bootstrap_servers.clone())
    });
    let mut admin = None;
    if let (false, Some(platform), Some(at)) = (arguments.without_kafka, &platform, &bootstrap) {
        match in_kafka(cluster, platform, at, &mut seen).await {
            Ok(connected) => admin = Some(connected),
            Err(message) => note(&format!(
                "headworks: Kafka wasn't asked ({message}): topics are told by what stayed in Kubernetes, groups and users not at all; --bootstrap-servers names an address that this machine reaches"
            )),
        }
    }
    // Last: what an object makes that comes meanwhile wasn't seen, and is never taken for left over.
    objects(cluster, platform.as_ref(), &mut seen).await?;
    let found = leftovers(&seen, arguments.namespace.as_deref());
    if !arguments.delete.is_empty() {
        return delete(cluster, admin.as_ref(), &arguments.delete, &found).await;
    }
    let bootstrap = bootstrap.unwrap_or_else(|| "KAFKA:9092".to_owned());
    match arguments.output {
        Form::Json => {
            let list: Vec<_> = found
                .iter()
                .map(|one| json!({"what": one.id(), "of": one.of, "command": one.command(&bootstrap)}))
                .collect();
            output::json(&json!({"leftovers": list}));
        }
        Form::Text => output::write(text(&found, &bootstrap).as_bytes()),
    }
    Ok(End::Fine)
}

fn text(found: &[Leftover], bootstrap: &str) -> String {
    let mut text = String::new();
    for one in found {
        text.push_str(&format!(
            "{}\n    of {}\n    → {}\n",
            one.id(),
            one.of,
            one.command(bootstrap)
        ));
    }
    text.push_str(&match found.len() {
        0 => "nothing is left over\n".to_owned(),
        1 => "1 is left over; nothing was deleted\n".to_owned(),
        n => format!("{n} are left over; nothing was deleted\n"),
    });
    text
}

fn failed(what: &str, error: &kube::Error) -> End {
    note(&format!("headworks: {what}: {}", said(error)));
    End::Unreadable
}

async fn platform(cluster: &Cluster, name: &str) -> Result<Option<Platform>, End> {
    let api: Api<Platform> = Api::all(cluster.client.clone());
    let found = api.get_opt(name).await;
    let found = found.map_err(|e| failed(&format!("Platform {name}"), &e))?;
    if found.is_none() {
        note(&format!(
            "headworks: Platform {name} isn't there: what is in Kafka isn't looked at; name another with --platform"
        ));
    }
    Ok(found)
}

/// Every object of ours. All of them must be seen: what isn't would be taken for gone.
async fn objects(
    cluster: &Cluster,
    platform: Option<&Platform>,
    seen: &mut Seen,
) -> Result<(), End> {
    let status = platform.and_then(|p| p.status.clone());
    seen.installation = status.and_then(|s| s.installation).unwrap_or_default();
    for (resource, _) in resources() {
        let objects = list(cluster, &resource, None).await.map_err(|error| {
            failed(
                &format!(
                    "listing {} of all namespaces, which is needed to know what is gone",
                    resource.plural
                ),
                &error,
            )
        })?;
        for object in objects {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            note_used(&resource.kind, &namespace, &name, &object, seen);
            let kind = resource.kind.clone();
            let labels = (kind.clone(), label_value(&namespace), label_value(&name));
            seen.labels.insert(labels);
            seen.objects.insert((kind, namespace, name));
        }
    }
    Ok(())
}

/// Topics that an object has or is to have, and the state of a Pipeline.
fn note_used(kind: &str, namespace: &str, name: &str, object: &DynamicObject, seen: &mut Seen) {
    let status = &object.data["status"];
    match kind {
        "DataStream" => {
            let given = object.data["spec"]["topic"].as_str();
            let topic = topic_name::topic_of(namespace, name, given);
            seen.used.insert(topic_name::dead_letter_topic(&topic));
            seen.used.insert(topic);
            for field in ["topic", "deadLetterTopic"] {
                seen.used.extend(status[field].as_str().map(str::to_owned));
            }
        }
        "Pipeline" if status["group"].is_string() => {
            let version = status["state"]["version"].as_str().map(str::to_owned);
            let key = (namespace.to_owned(), name.to_owned());
            seen.versions.insert(key, version);
            let topics = status["state"]["topics"].as_array().into_iter().flatten();
            seen.used
                .extend(topics.filter_map(|t| Some(t.as_str()?.to_owned())));
        }
        _ => {}
    }
}

/// What carries our labels and has no owner that Kubernetes knows.
async fn labelled(cluster: &Cluster, arguments: &Arguments, seen: &mut Seen) {
    let params = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
    let maps: Api<ConfigMap> = Api::all(cluster.client.clone());
    match maps.list(&params).await {
        Ok(list) => {
            let maps = list.items.iter();
            seen.labelled.extend(maps.filter_map(|map| {
                let contract = revision::read(map);
                // Another Platform's topic isn't in this Kafka.
                let topic = contract
                    .filter(|c| c.platform == arguments.platform)
                    .map(|c| c.topic);
                of_labels(Kind::ConfigMap, map, topic)
            }));
        }
        Err(error) => note(&format!(
            "headworks: ConfigMaps can't be listed: {}",
            said(&error)
        )),
    }
    let secrets: Api<Secret> = Api::all(cluster.client.clone());
    match secrets.list_metadata(&params).await {
        Ok(list) => {
            let secrets = list.items.iter();
            seen.labelled
                .extend(secrets.filter_map(|secret| of_labels(Kind::Secret, secret, None)));
        }
        Err(error) => note(&format!(
            "headworks: Secrets can't be listed: {}",
            said(&error)
        )),
    }
    for (kind, name, plural, versions) in OF_STRIMZI {
        for version in versions {
            let gvk = GroupVersionKind::gvk("kafka.strimzi.io", version, name);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource);
            match api.list_metadata(&params).await {
                Ok(list) => {
                    let found = list.items.iter();
                    seen.labelled
                        .extend(found.filter_map(|one| of_labels(kind, one, None)));
                    break;
                }
                // Strimzi, or this version of its kinds, isn't there.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    note(&format!(
                        "headworks: {plural} can't be listed: {}",
                        said(&error)
                    ));
                    break;
                }
            }
        }
    }
}

fn of_labels<K: ResourceExt>(kind: Kind, object: &K, topic: Option<String>) -> Option<Labelled> {
    if !object.owner_references().is_empty() {
        return None;
    }
    let label = |key: &str| object.labels().get(key).cloned();
    Some(Labelled {
        kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        owner: (
            label(LABEL_KIND)?,
            label(LABEL_NAMESPACE)?,
            label(LABEL_NAME)?,
        ),
        topic,
    })
}

/// Asks Kafka, with the Platform's credentials.
async fn in_kafka(
    cluster: &Cluster,
    platform: &Platform,
    at: &str,
    seen: &mut Seen,
) -> Result<Admin, String> {
    let kafka = &platform.spec.kafka;
    let tls = match kafka.tls.as_ref().map(|tls| tls.ca_secret.as_ref()) {
        None => None,
        Some(None) => Some(Tls { ca_pem: None }),
        Some(Some(r)) => Some(Tls {
            ca_pem: Some(secret(cluster, &r.namespace, &r.name, &r.key).await?),
        }),
    };
    let scram = kafka.authentication.as_ref();
    let scram = match scram.and_then(|a| a.scram_sha512.as_ref()) {
        None => None,
        Some(r) => Some(Scram {
            username: secret(cluster, &r.namespace, &r.name, &r.username_key).await?,
            password: secret(cluster, &r.namespace, &r.name, &r.password_key).await?,
        }),
    };
    let connection = Connection {
        bootstrap_servers: at.to_owned(),
        tls,
        scram,
    };
    let admin = Admin::new(&connection).map_err(|e| e.to_string())?;
    seen.topics = Some(admin.topic_names().await.map_err(|e| e.to_string())?);
    match admin.group_names().await {
        Ok(groups) => seen.groups = groups,
        Err(error) => note(&format!("headworks: {error}")),
    }
    match admin.user_names().await {
        Ok(users) => seen.users = users,
        Err(error) => note(&format!("headworks: {error}")),
    }
    Ok(admin)
}

async fn secret(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, String> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let found = api.get(name).await;
    let found = found.map_err(|e| format!("Secret {namespace}/{name}: {}", said(&e)))?;
    let bytes = found.data.unwrap_or_default().remove(key);
    let bytes = bytes.ok_or_else(|| format!("Secret {namespace}/{name} has no key {key}"))?;
    String::from_utf8(bytes.0).map_err(|_| format!("Secret {namespace}/{name}: {key} is no text"))
}

/// Deletes what is named. If one of the names isn't a leftover, nothing is.
async fn delete(
    cluster: &Cluster,
    admin: Option<&Admin>,
    names: &[String],
    found: &[Leftover],
) -> Result<End, End> {
    let chosen = chosen(names, found).map_err(|unknown| {
        note(&format!(
            "headworks: no leftover: {unknown}; nothing was deleted. `headworks leftovers` lists them"
        ));
        End::Problems
    })?;
    let mut end = End::Fine;
    for one in chosen {
        match delete_one(cluster, admin, one).await {
            Ok(()) => output::line(&format!("deleted {}", one.id())),
            Err(message) => {
                note(&format!("headworks: {}: {message}", one.id()));
                end = End::Problems;
            }
        }
    }
    Ok(end)
}

/// The leftovers of these names; or the names that aren't one.
fn chosen<'a>(names: &[String], found: &'a [Leftover]) -> Result<Vec<&'a Leftover>, String> {
    let of = |name: &String| found.iter().find(|one| one.id() == *name);
    let unknown: BTreeSet<&str> = names
        .iter()
        .filter(|name| of(name).is_none())
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(names.iter().filter_map(of).collect());
    }
    Err(unknown.into_iter().collect::<Vec<_>>().join(", "))
}

async fn delete_one(
    cluster: &Cluster,
    admin: Option<&Admin>,
    one: &Leftover,
) -> Result<(), String> {
    let kafka = || admin.ok_or("Kafka can't be reached from here; use the command that is listed");
    match one.kind {
        Kind::Topic => {
            let done = kafka()?.delete_topic(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::Group => {
            let done = kafka()?.delete_group(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::User => {
            let admin = kafka()?;
            // Rights first, so that a connection that is open has none.
            match admin.delete_all_acls(&one.name).await {
                Ok(()) | Err(headworks_operator::kafka::KafkaError::NoAuthorizer { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
            let done = admin.delete_user(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::ConfigMap => {
            remove::<ConfigMap>(Api::namespaced(cluster.client.clone(), &one.namespace), one).await
        }
        Kind::Secret => {
            remove::<Secret>(Api::namespaced(cluster.client.clone(), &one.namespace), one).await
        }
        Kind::KafkaTopic | Kind::KafkaUser => {
            Err("Strimzi's objects are yours to delete: use the command that is listed".to_owned())
        }
    }
}

/// Deletes exactly what is there now, if it still has no owner.
async fn remove<K>(api: Api<K>, one: &Leftover) -> Result<(), String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let there = api.get_metadata(&one.name).await.map_err(|e| said(&e))?;
    if !there.owner_references().is_empty() {
        return Err("has an owner by now".to_owned());
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: there.uid(),
            resource_version: there.resource_version(),
        }),
        ..DeleteParams::default()
    };
    api.delete(&one.name, &params)
        .await
        .map(|_| ())
        .map_err(|e| said(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leftover(name: &str) -> Leftover {
        Leftover {
            kind: Kind::Topic,
            namespace: String::new(),
            name: name.into(),
            of: "DataStream shop/a, which is gone".into(),
        }
    }

    #[test]
    fn a_name_that_is_no_leftover_stops_the_whole_deletion() {
        let found = [leftover("shop.a"), leftover("shop.b")];
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let fine = chosen(&names(&["topic/shop.b"]), &found).unwrap();
        assert_eq!(fine, [&found[1]]);
        let unknown = chosen(&names(&["topic/shop.b", "topic/orders", "shop.a"]), &found);
        assert_eq!(unknown, Err("shop.a, topic/orders".to_owned()));
    }

    #[test]
    fn the_list_says_what_to_do() {
        let text = text(&[leftover("shop.a")], "k:9092");
        assert!(
            text.contains(
                "topic/shop.a\n    of DataStream shop/a, which is gone\n    → kafka-topics.sh"
            ),
            "{text}"
        );
        assert!(text.ends_with("1 is left over; nothing was deleted\n"));
        assert_eq!(super::text(&[], ""), "nothing is left over\n");
    }

    #[test]
    fn what_kubernetes_removes_by_itself_is_no_leftover() {
        let map = |owner: bool| -> ConfigMap {
            let owners = json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}]);
            serde_json::from_value(json!({"metadata": {"name": "m", "namespace": "shop",
                "ownerReferences": if owner { owners } else { json!([]) },
                "labels": {LABEL_KIND: "DataStream", LABEL_NAMESPACE: "shop", LABEL_NAME: "a"}}}))
            .unwrap()
        };
        assert!(of_labels(Kind::ConfigMap, &map(true), None).is_none());
        assert!(of_labels(Kind::ConfigMap, &map(false), None).is_some());
    }
}
