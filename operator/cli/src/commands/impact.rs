//! `headworks impact`: whom a change breaks or alters, before it is applied.
//!
//! The change is what stands in files; the present state is a cluster, with the contracts in force, or a folder of
//! files (`--base`), such as the branch that is deployed. All objects of the change are judged together.

use std::collections::BTreeSet;
use std::path::PathBuf;

use headworks_crds::kinds::KINDS;
use headworks_crds::{DataStore, DataStream, GROUP, VERSION};
use headworks_operator::contract;
use headworks_operator::impact::cluster::{Objects, of};
use headworks_operator::impact::{CatalogSnapshot, Name, impact, labels};
use headworks_operator::names::{CONTRACT_PART, PART_LABEL};
use headworks_operator::planning::uses::StreamUse;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::doctor::list;
use crate::End;
use crate::cluster::{self, Cluster, block_on};
use crate::object::{Object, Typed};
use crate::output::{self, Form};
use crate::validate::Checked;

/// Arguments of `headworks impact`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files or folders with the change; - is standard input.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Files or folders with the present state, instead of a cluster's.
    #[arg(long, value_name = "PATH")]
    base: Vec<PathBuf>,
    /// Namespace of objects that name none. Absent: the context's; with --base: default.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Says what the change does.
pub fn run(arguments: &Arguments) -> End {
    told(arguments).unwrap_or_else(|end| end)
}

fn told(arguments: &Arguments) -> Result<End, End> {
    let (changed, before, place) = if arguments.base.is_empty() {
        block_on(over_cluster(arguments))?
    } else {
        let namespace = arguments.namespace.as_deref().unwrap_or("default");
        let changed = load(&arguments.files, namespace)?;
        (changed, base(&load(&arguments.base, namespace)?)?, "base")
    };
    for object in &changed.world.objects {
        let name = (object.namespace.clone(), object.name.clone());
        if object.kind == "DataStream" && !before.streams.contains_key(&name) {
            output::note(&format!(
                "headworks: DataStream {}/{} isn't in the {place}: it is new, and has promised nothing (its namespace is chosen with -n)",
                name.0, name.1
            ));
        }
    }
    let mut after = before.clone();
    put(&mut after, &before, &changed)?;
    let found = impact(&before, &after);
    match arguments.output {
        Form::Text => output::text(&found.text()),
        Form::Json => {
            let mut value = serde_json::to_value(&found).unwrap_or_default();
            value["breaks"] = json!(found.breaks());
            output::json(&value);
        }
    }
    Ok(if found.breaks() {
        End::Problems
    } else {
        End::Fine
    })
}

/// Reads files whose objects are right by themselves. What they refer to may be elsewhere.
fn load(paths: &[PathBuf], namespace: &str) -> Result<Checked, End> {
    let checked = super::load(paths, namespace, true)?;
    let wrong: BTreeSet<String> = checked
        .world
        .objects
        .iter()
        .filter(|object| object.typed.is_none())
        .map(Object::title)
        .collect();
    let mut unreadable = false;
    for finding in &checked.findings {
        if finding.is_error() && (finding.object.is_empty() || wrong.contains(&finding.object)) {
            output::note(&finding.to_string());
            unreadable = true;
        }
    }
    if unreadable {
        output::note("headworks: the files aren't right; see headworks validate");
        return Err(End::Problems);
    }
    Ok(checked)
}

/// The files' world.
fn base(checked: &Checked) -> Result<CatalogSnapshot, End> {
    let mut world = CatalogSnapshot::default();
    put(&mut world, &CatalogSnapshot::default(), checked)?;
    // What is deployed is what readers rely on; a folder has no numbers.
    for stream in world.streams.values_mut() {
        stream.version = Some(0);
    }
    labels::settle(&mut world);
    Ok(world)
}

/// Puts the objects of files over a world.
fn put(
    world: &mut CatalogSnapshot,
    before: &CatalogSnapshot,
    checked: &Checked,
) -> Result<(), End> {
    for object in &checked.world.objects {
        let name = (object.namespace.clone(), object.name.clone());
        match &object.typed {
            Some(Typed::DataStream(stream)) => {
                if !contract::references::config_maps(&stream.spec).is_empty() {
                    output::note(&format!(
                        "headworks: DataStream {}/{}: its contract can't be seen without its ConfigMaps, and is taken to stay as it is: add them to the files",
                        name.0, name.1
                    ));
                    if !world.streams.contains_key(&name) {
                        world.unread.insert(name);
                    }
                    continue;
                }
                let in_force = before.streams.get(&name).map(|s| &s.contract);
                let wanted = contract::wanted((&name.0, &name.1), &stream.spec, in_force);
                let contract = wanted.map_err(|fault| {
                    output::note(&object.wrong("", fault).to_string());
                    End::Problems
                })?;
                world.change(&name, &stream.spec, stream.annotations(), contract);
            }
            Some(Typed::DataStore(store)) => {
                world.stores.insert(name, store.spec.clone());
            }
            Some(typed) => world.note(object.kind, name, typed.streams()),
            None => {}
        }
    }
    Ok(())
}

/// The change, and the cluster's world. Objects that name no namespace are in the context's, as kubectl would have it.
async fn over_cluster(
    arguments: &Arguments,
) -> Result<(Checked, CatalogSnapshot, &'static str), End> {
    let cluster = arguments.cluster.connect().await?;
    let namespace = arguments.namespace.as_deref();
    let namespace = namespace.unwrap_or(&cluster.namespace);
    let changed = load(&arguments.files, namespace)?;
    let before = present(&cluster, &changed).await?;
    Ok((changed, before, "cluster"))
}

/// The cluster's world, as far as the change's namespaces go.
async fn present(cluster: &Cluster, changed: &Checked) -> Result<CatalogSnapshot, End> {
    let namespaces: BTreeSet<&String> = changed
        .world
        .objects
        .iter()
        .map(|object| &object.namespace)
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let coming = coming(changed);
    let mut world = CatalogSnapshot::default();
    for namespace in namespaces {
        let client = &cluster.client;
        let streams: Vec<DataStream> = all(client, namespace, "DataStreams", "").await?;
        let users = users(cluster, namespace).await?;
        let stores: Vec<DataStore> = all(client, namespace, "DataStores", "").await?;
        let accepted = format!("{PART_LABEL}={CONTRACT_PART}");
        let contracts: Vec<ConfigMap> = all(client, namespace, "ConfigMaps", &accepted).await?;
        let part = of(
            namespace,
            &Objects {
                streams: streams.iter().collect(),
                users,
                stores: stores.iter().collect(),
                contracts: contracts.iter().collect(),
                coming: coming.iter().collect(),
                ..Objects::default()
            },
        );
        world.streams.extend(part.streams);
        world.pipelines.extend(part.pipelines);
        world.records.extend(part.records);
        world.grants.extend(part.grants);
        world.stores.extend(part.stores);
    }
    Ok(world)
}

/// How a namespace's objects of all kinds use streams.
async fn users(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Vec<(&'static str, Name, StreamUse)>, End> {
    let mut users = Vec::new();
    let namespaced = KINDS.iter().filter(|kind| kind.namespaced);
    for kind in namespaced {
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.name);
        let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural);
        let objects = match list(cluster, &resource, Some(namespace)).await {
            Ok(objects) => objects,
            // A cluster of an older version doesn't have every kind; nobody can be hit there.
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => {
                let said = cluster::said(&error);
                output::note(&format!("headworks: {}s of {namespace}: {said}", kind.name));
                return Err(End::Unreadable);
            }
        };
        for object in objects {
            let name = (namespace.to_owned(), object.name_any());
            let value = serde_json::to_value(&object).unwrap_or_default();
            match Typed::read(kind.name, &value) {
                Some(Ok(typed)) => users.push((kind.name, name, typed.streams())),
                Some(Err(error)) => {
                    let title = format!("{} {}/{}", kind.name, name.0, name.1);
                    output::note(&format!("headworks: {title} can't be read: {error}"));
                    return Err(End::Unreadable);
                }
                None => {}
            }
        }
    }
    Ok(users)
}

/// DataStreams of the change: one that isn't in the cluster may find what an earlier object of its name has left.
fn coming(changed: &Checked) -> Vec<DataStream> {
    let mut all = Vec::new();
    for object in &changed.world.objects {
        if let Some(Typed::DataStream(stream)) = &object.typed {
            let mut stream = stream.as_ref().clone();
            stream.metadata.namespace = Some(object.namespace.clone());
            all.push(stream);
        }
    }
    all
}

async fn all<K>(client: &Client, namespace: &str, what: &str, selector: &str) -> Result<Vec<K>, End>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(selector);
    match api.list(&params).await {
        Ok(list) => Ok(list.items),
        // A cluster of an older version has no AccessGrants; nobody can be hit there.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => {
            let said = cluster::said(&error);
            output::note(&format!("headworks: {what} of {namespace}: {said}"));
            Err(End::Unreadable)
        }
    }
}
