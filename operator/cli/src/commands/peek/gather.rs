//! What is asked of the API server before the pod is made. No Secret with a password is read.

use headworks_crds::{AccessGrant, DataStream, Pipeline, Platform, QualityRule, Source};
use headworks_operator::connection;
use headworks_operator::impact::cluster::Objects;
use headworks_operator::names::{CONTRACT_PART, Key, PART_LABEL};
use headworks_operator::planning::lineage::Labels;
use headworks_operator::planning::rules;
use headworks_operator::secrets::only_certificates;
use headworks_plan::{Contract, Plan, RegistryConnection, Rule};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::{labels, plan, wrong};
use crate::End;
use crate::cluster::{Cluster, said};
use crate::finding::hint;
use crate::output::note;

/// The key of a CA in ConfigMaps that the operator makes.
const CA: &str = "ca.crt";

/// What was found.
pub struct Gathered {
    /// The stream.
    pub stream: DataStream,
    /// Its Platform.
    pub platform: Platform,
    /// ConfigMaps with its accepted contracts.
    pub contracts: Vec<ConfigMap>,
    /// The grant that was named.
    pub grant: Option<AccessGrant>,
    /// The grants of the namespace, where one is needed and none was named.
    pub others: Vec<AccessGrant>,
}

/// Everything that the plan is made of.
pub async fn gather(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    grant: Option<&str>,
) -> Result<Gathered, End> {
    let client = &cluster.client;
    let stream: DataStream = named(cluster, "DataStream", namespace, name).await?;
    let platforms: Api<Platform> = Api::all(client.clone());
    let platform = platforms.get(&stream.spec.platform).await;
    let platform = platform.map_err(|error| {
        let hint = if forbidden(&error) {
            "; the ClusterRole headworks-platforms-view lets you read it, if it is bound to you"
        } else {
            ""
        };
        unread(&format!("Platform {}", stream.spec.platform), &error, hint)
    })?;
    let owned = Key::of(&stream).selector_text();
    let labels = format!("{owned},{PART_LABEL}={CONTRACT_PART}");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let contracts = maps
        .list(&ListParams::default().labels(&labels))
        .await
        .map_err(|error| unread(&format!("the contracts of {namespace}/{name}"), &error, ""))?;
    let (grant, others) = match grant {
        Some(grant) => {
            let grant = named(cluster, "AccessGrant", namespace, grant).await?;
            (Some(grant), Vec::new())
        }
        None if plan::needs_grant(&platform) => {
            let grants: Api<AccessGrant> = Api::namespaced(client.clone(), namespace);
            let grants = grants.list(&ListParams::default()).await;
            (None, grants.map(|list| list.items).unwrap_or_default())
        }
        None => (None, Vec::new()),
    };
    Ok(Gathered {
        stream,
        platform,
        contracts: contracts.items,
        grant,
        others,
    })
}

fn forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn unread(what: &str, error: &kube::Error, hint: &str) -> End {
    let end = wrong(format!("{what}: {}{hint}", said(error)));
    match error {
        kube::Error::Api(_) => end,
        _ => End::Unreadable,
    }
}

/// An object by its name; where it isn't there, the near one is named.
async fn named<K>(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Result<K, End>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("{kind} {namespace}/{name}");
    match api.get_opt(name).await {
        Ok(Some(object)) => Ok(object),
        Ok(None) => {
            let there = api.list_metadata(&ListParams::default()).await;
            let there = there.map(|list| list.items).unwrap_or_default();
            let names: Vec<String> = there.iter().map(ResourceExt::name_any).collect();
            Err(wrong(format!(
                "{what} isn't there{}",
                hint(name, names.iter().map(String::as_str))
            )))
        }
        Err(error) => Err(unread(&what, &error, "")),
    }
}

/// The labels that have come to a stream, and that its Pipelines bring, also where its status doesn't show them yet.
pub async fn labels(cluster: &Cluster, stream: &DataStream) -> Result<Labels, End> {
    let (namespace, name) = (stream.namespace().unwrap_or_default(), stream.name_any());
    let client = &cluster.client;
    let unlisted = |what: &str, error: &kube::Error| {
        let hint = "; which fields have labels isn't known without, --unmask shows all";
        unread(&format!("the {what} of {namespace}"), error, hint)
    };
    let pipelines: Api<Pipeline> = Api::namespaced(client.clone(), &namespace);
    let pipelines = pipelines.list(&ListParams::default()).await;
    let pipelines = pipelines.map_err(|error| unlisted("Pipelines", &error))?;
    if !pipelines.iter().any(|p| labels::writes(p, &name)) {
        return Ok(Labels::new());
    }
    let streams: Api<DataStream> = Api::namespaced(client.clone(), &namespace);
    let streams = streams.list(&ListParams::default()).await;
    let streams = streams.map_err(|error| unlisted("DataStreams", &error))?;
    let accepted = format!("{PART_LABEL}={CONTRACT_PART}");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let maps = maps.list(&ListParams::default().labels(&accepted)).await;
    let maps = maps.map_err(|error| unlisted("contracts", &error))?;
    let objects = Objects {
        streams: streams.iter().collect(),
        pipelines: pipelines.iter().collect(),
        contracts: maps.iter().collect(),
        ..Objects::default()
    };
    labels::arrived(&namespace, &name, &objects).map_err(wrong)
}

/// The QualityRules of a stream, as pods are told of them.
pub async fn rules(
    cluster: &Cluster,
    stream: &DataStream,
    contract: &Contract,
) -> Result<Vec<Rule>, End> {
    let (namespace, name) = (stream.namespace().unwrap_or_default(), stream.name_any());
    let all: Api<QualityRule> = Api::namespaced(cluster.client.clone(), &namespace);
    let all = all.list(&ListParams::default()).await;
    let all = all.map_err(|e| unread(&format!("the QualityRules of {namespace}"), &e, ""))?;
    let of_it = all
        .items
        .iter()
        .filter(|rule| rule.spec.stream == name && rule.metadata.deletion_timestamp.is_none());
    let named: Vec<(String, &QualityRule)> = of_it.map(|rule| (rule.name_any(), rule)).collect();
    let named = named.iter().map(|(name, rule)| rules::Named {
        name,
        generation: rule.metadata.generation.unwrap_or_default(),
        spec: &rule.spec,
    });
    Ok(rules::of_stream(named, contract).planned)
}

/// The plan that a Pipeline's pods run by, or that the next one would.
pub async fn pipeline(cluster: &Cluster, namespace: &str, name: &str) -> Result<Plan, End> {
    let pipeline: Pipeline = named(cluster, "Pipeline", namespace, name).await?;
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), namespace);
    let list = ListParams::default().labels(&Key::of(&pipeline).selector_text());
    let what = format!("the pods' plan of Pipeline {namespace}/{name}");
    let sets = sets.list(&list).await.map_err(|e| unread(&what, &e, ""))?;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    let specs = sets
        .items
        .into_iter()
        .filter_map(|set| set.spec?.template.spec);
    let volumes = specs.flat_map(|spec| spec.volumes.unwrap_or_default());
    for map in volumes.filter_map(|volume| volume.config_map) {
        let map = maps.get_opt(&map.name).await;
        let map = map.map_err(|error| unread(&what, &error, ""))?;
        if let Some(plan) = map
            .as_ref()
            .and_then(headworks_operator::workload::plan_map::read)
        {
            return Ok(plan);
        }
    }
    Err(wrong(format!(
        "Pipeline {namespace}/{name} was never run, so that nobody knows yet what it does with a record; look at its status"
    )))
}

/// Kafka's CA, which is public: as the operator has copied it for a Pipeline or Source of the namespace, else from the
/// Platform's Secret, by the user's rights.
pub async fn ca(cluster: &Cluster, found: &Gathered) -> Result<String, End> {
    let namespace = found.stream.namespace().unwrap_or_default();
    let client = &cluster.client;
    let list = ListParams::default();
    let pipelines: Api<Pipeline> = Api::namespaced(client.clone(), &namespace);
    let pipelines = pipelines.list(&list).await.map(|l| l.items);
    let sources: Api<Source> = Api::namespaced(client.clone(), &namespace);
    let sources = sources.list(&list).await.map(|l| l.items);
    let here = pipelines.unwrap_or_default();
    let here = here
        .iter()
        .filter(|p| p.spec.platform == found.stream.spec.platform)
        .map(Key::of);
    let into = sources.unwrap_or_default();
    let into = into
        .iter()
        .filter(|s| s.spec.into == found.stream.name_any())
        .map(Key::of);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for owner in here.chain(into) {
        let map = maps.get_opt(&connection::ca_name(&owner)).await;
        let text = map.ok().flatten().and_then(|map| map.data?.remove(CA));
        if let Some(text) = text {
            return Ok(text);
        }
    }
    let tls = found.platform.spec.kafka.tls.as_ref();
    let Some(reference) = tls.and_then(|tls| tls.ca_secret.as_ref()) else {
        return Ok(String::new());
    };
    let (place, secret) = (&reference.namespace, &reference.name);
    secret_text(cluster, place, secret, &reference.key)
        .await
        .map_err(|message| {
            wrong(format!(
                "Kafka's CA is needed: no Pipeline or Source of namespace {namespace} has a copy, and {message}; a grant's Secret has it, too (--grant)"
            ))
        })
}

/// How the schema registry is reached. Where its CA can't be read, records are read by the schemas that the plan holds.
pub async fn registry(cluster: &Cluster, platform: &Platform) -> Option<RegistryConnection> {
    let spec = platform.spec.schema_registry.as_ref()?;
    let ca_pem = match &spec.ca_secret {
        None => None,
        Some(r) => match secret_text(cluster, &r.namespace, &r.name, &r.key).await {
            Ok(text) => Some(text),
            Err(message) => {
                note(&format!(
                    "the schema registry isn't asked, since its CA can't be read ({message}): records with schemas other than the last contracts' aren't decoded"
                ));
                return None;
            }
        },
    };
    Some(RegistryConnection {
        url: spec.url.trim_end_matches('/').to_owned(),
        ca_pem,
    })
}

/// The certificates in a key of a Secret: never a private key that stands beside them.
async fn secret_text(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, String> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let secret = api.get(name).await;
    let secret = secret.map_err(|e| format!("Secret {namespace}/{name}: {}", said(&e)))?;
    let bytes = secret.data.unwrap_or_default().remove(key);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.0).ok());
    let text = text.ok_or_else(|| format!("Secret {namespace}/{name} has no text {key}"))?;
    let certificates = only_certificates(&text);
    if certificates.is_empty() {
        return Err(format!(
            "Secret {namespace}/{name} has no certificate in {key}"
        ));
    }
    Ok(certificates)
}
