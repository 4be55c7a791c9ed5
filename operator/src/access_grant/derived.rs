//! Streams without some of their fields: for a grant with `exceptLabels`, a DataStream and the Pipeline that fills it.
//!
//! Grants of a namespace that leave out the same labels of the same stream share them, and are their owners together: Kubernetes
//! deletes them when the last of the grants is gone. What labels a field has is said by the contract in force, where those that came
//! along with a query's lineage stand, too.

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{AccessGrant, DataStream, Pipeline};
use headworks_plan::{Contract, Format};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    apply::{self, is_subset},
    context::Context,
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, PART_LABEL, digest},
    retry::Error,
};

/// Value of [`PART_LABEL`].
pub const DERIVED_PART: &str = "derived";
/// A Pipeline's name has at most so many characters.
const MAX_NAME: usize = 48;

/// True: a field has one of the labels.
pub fn needed(contract: &Contract, except: &[String]) -> bool {
    contract
        .fields
        .iter()
        .any(|field| left_out(&field.labels, except))
}

fn left_out(labels: &[String], except: &[String]) -> bool {
    labels.iter().any(|label| except.contains(label))
}

/// Name of the derived stream and its Pipeline.
pub fn name(stream: &str, except: &[String]) -> String {
    let labels: BTreeSet<&str> = except.iter().map(String::as_str).collect();
    let labels: Vec<&str> = labels.into_iter().collect();
    let whole = format!("{stream}-without-{}", labels.join("-"));
    if whole.len() <= MAX_NAME && whole.starts_with(|c: char| c.is_ascii_lowercase()) {
        return whole;
    }
    let head: String = whole.chars().take(MAX_NAME - 13).collect();
    format!(
        "s-{}-{}",
        head.trim_end_matches('-'),
        &digest(whole.as_bytes())[..10]
    )
}

/// The two objects.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The stream.
    pub stream: DataStream,
    /// What fills it.
    pub pipeline: Pipeline,
}

/// Builds them. `contract` is the one in force of `stream`.
///
/// # Errors
/// `NothingLeft`: every field has one of the labels.
pub fn build(
    stream: &DataStream,
    contract: &Contract,
    partitions: Option<i32>,
    except: &[String],
    owners: &[OwnerReference],
) -> Result<Derived, Error> {
    let (namespace, from) = (stream.namespace().unwrap_or_default(), stream.name_any());
    let fields: Vec<_> = contract
        .fields
        .iter()
        .filter(|field| !left_out(&field.labels, except))
        .collect();
    if fields.is_empty() {
        return Err(Error::stalled(
            "NothingLeft",
            format!(
                "spec.exceptLabels: every field of DataStream {from} has one of these labels; leave the stream out of spec.read, or a label out of exceptLabels"
            ),
        ));
    }
    let kept = |path: &str| {
        let top = path.split('.').next().unwrap_or(path);
        fields.iter().any(|field| field.name == top)
    };
    let name = name(&from, except);
    let metadata = json!({
        "name": name, "namespace": namespace, "ownerReferences": owners,
        "labels": {MANAGED_BY: MANAGED_BY_VALUE, PART_LABEL: DERIVED_PART},
    });
    let schema: Vec<Value> = fields
        .iter()
        .map(|field| {
            let mut one = json!({"name": field.name, "type": field.type_});
            if field.nullable {
                one["nullable"] = json!(true);
            }
            if !field.labels.is_empty() {
                one["labels"] = json!(field.labels);
            }
            one
        })
        .collect();
    let mut spec = json!({
        "platform": stream.spec.platform,
        "description": format!("{from} without fields labelled {}", except.join(", ")),
        "schema": schema,
        // Its records can be made again as long as those of the stream itself are there.
        "deletionPolicy": "Delete",
        // A field that gets a label must go from here, whoever reads it.
        "compatibility": "None",
    });
    if contract.format != Format::Json {
        spec["format"] = serde_json::to_value(stream.spec.format).unwrap_or_default();
    }
    if let Some(owner) = &stream.spec.owner {
        spec["owner"] = json!(owner);
    }
    if let Some(partitions) = partitions {
        spec["partitions"] = json!(partitions);
    }
    if let Some(retention) = &stream.spec.retention {
        spec["retention"] = serde_json::to_value(retention).unwrap_or_default();
    }
    // A key of which a part is gone would order other records than before.
    if !contract.key.is_empty() && contract.key.iter().all(|path| kept(path)) {
        spec["key"] = json!(contract.key);
    }
    if let Some(time) = stream
        .spec
        .event_time
        .as_ref()
        .filter(|time| kept(&time.field))
    {
        spec["eventTime"] = serde_json::to_value(time).unwrap_or_default();
    }
    let columns: Vec<String> = fields
        .iter()
        .map(|field| format!("`{}`", field.name))
        .collect();
    let pipeline = json!({
        "platform": stream.spec.platform,
        "sql": format!("SELECT {} FROM `{from}`", columns.join(", ")),
        "to": [{"stream": name}],
        "deletionPolicy": "Delete",
    });
    let unreadable = |e: serde_json::Error| {
        Error::transient("Internal", format!("a derived stream can't be built: {e}"))
    };
    Ok(Derived {
        stream: serde_json::from_value(json!({"metadata": metadata, "spec": spec}))
            .map_err(unreadable)?,
        pipeline: serde_json::from_value(json!({"metadata": metadata, "spec": pipeline}))
            .map_err(unreadable)?,
    })
}

/// All grants of the namespace that want this derived stream, by name.
pub fn owners(context: &Context, namespace: &str, derived: &str) -> Vec<OwnerReference> {
    let mut all: Vec<(String, OwnerReference)> = context
        .stores
        .grants
        .state()
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|grant| grant.namespace().as_deref() == Some(namespace))
        .filter(|grant| grant.metadata.deletion_timestamp.is_none() && wants(grant, derived))
        .filter_map(|grant| Some((grant.name_any(), grant.owner_ref(&())?)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter().map(|(_, reference)| reference).collect()
}

fn wants(grant: &AccessGrant, derived: &str) -> bool {
    !grant.spec.except_labels.is_empty()
        && grant
            .spec
            .read
            .iter()
            .any(|stream| name(stream, &grant.spec.except_labels) == derived)
}

/// Applies both where they differ.
///
/// # Errors
/// `OwnedByAnother`; what the API server says.
pub async fn apply(context: &Context, derived: &Derived) -> Result<(), Error> {
    let (namespace, name) = (
        derived.stream.namespace().unwrap_or_default(),
        derived.stream.name_any(),
    );
    put(context, &derived.stream, context.stream(&namespace, &name)).await?;
    put(
        context,
        &derived.pipeline,
        context.pipeline(&namespace, &name),
    )
    .await
}

async fn put<K>(context: &Context, desired: &K, cached: Option<K>) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let place = format!("{} {namespace}/{name}", K::kind(&()));
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let live = match cached {
        Some(live) => Some(live),
        None => api
            .get_opt(&name)
            .await
            .map_err(|e| Error::api(&format!("reading {place}"), &e))?,
    };
    let wanted = body(desired)?;
    if let Some(live) = &live {
        if live.meta().deletion_timestamp.is_some() {
            return Err(Error::waiting(
                "ChildTerminating",
                format!("{place} is being deleted; it is made again when it is gone"),
            )
            .after(Duration::from_secs(5)));
        }
        if !ours(live) {
            return Err(Error::stalled(
                "OwnedByAnother",
                format!("{place} exists and isn't derived for a grant; Headworks doesn't take it over: delete or rename it"),
            )
            .after(Duration::from_secs(60)));
        }
        let there = body(live)?;
        let owners = |o: &K| {
            o.owner_references()
                .iter()
                .map(|r| r.uid.clone())
                .collect::<BTreeSet<_>>()
        };
        if owners(live) == owners(desired)
            && is_subset(&wanted["spec"], &there["spec"])
            && same_keys(&wanted, &there)
        {
            return Ok(());
        }
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        force: live.is_some(),
        ..PatchParams::default()
    };
    tracing::info!(child = %place, created = live.is_none(), "apply");
    context.metrics.wrote(&K::kind(&()));
    api.patch(&name, &params, &Patch::Apply(&wanted))
        .await
        .map_err(|e| Error::api(&format!("applying {place}"), &e))?;
    Ok(())
}

/// A field that is gone from the schema must go from the object, too.
fn same_keys(wanted: &Value, there: &Value) -> bool {
    let names = |value: &Value| -> Vec<Value> {
        value["spec"]["schema"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|f| f["name"].clone())
            .collect()
    };
    names(wanted) == names(there) && wanted["spec"].get("key") == there["spec"].get("key")
}

fn body<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Result<Value, Error> {
    let mut body = serde_json::to_value(object).map_err(|e| {
        Error::transient(
            "Internal",
            format!("a derived stream can't be written: {e}"),
        )
    })?;
    body["apiVersion"] = K::api_version(&()).into();
    body["kind"] = K::kind(&()).into();
    if let Some(body) = body.as_object_mut() {
        body.remove("status");
    }
    Ok(body)
}

fn ours<K: Resource>(live: &K) -> bool {
    let labels = live.labels();
    labels.get(PART_LABEL).map(String::as_str) == Some(DERIVED_PART)
        && labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGED_BY_VALUE)
        && live
            .owner_references()
            .iter()
            .any(|r| r.kind == "AccessGrant")
}

/// Removes derived streams that this grant owned and that no grant wants any more, and leaves the others to those that do.
///
/// # Errors
/// What the API server says.
pub async fn sweep(
    context: &Context,
    grant: &AccessGrant,
    wanted: &BTreeSet<String>,
) -> Result<(), Error> {
    let (namespace, uid) = (
        grant.namespace().unwrap_or_default(),
        grant.uid().unwrap_or_default(),
    );
    let owned = |meta: &kube::core::ObjectMeta| {
        meta.namespace.as_deref() == Some(namespace.as_str())
            && meta.owner_references.iter().flatten().any(|r| r.uid == uid)
            && !wanted.contains(meta.name.as_deref().unwrap_or_default())
    };
    let pipelines = context.stores.pipelines.state();
    for pipeline in pipelines
        .iter()
        .filter_map(|p| p.0.as_ref().ok())
        .filter(|p| ours(*p) && owned(&p.metadata))
    {
        dismiss(context, pipeline, &namespace).await?;
    }
    let streams = context.stores.streams.state();
    for stream in streams
        .iter()
        .filter_map(|s| s.0.as_ref().ok())
        .filter(|s| ours(*s) && owned(&s.metadata))
    {
        dismiss(context, stream, &namespace).await?;
    }
    Ok(())
}

async fn dismiss<K>(context: &Context, child: &K, namespace: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    if child.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let left = owners(context, namespace, &child.name_any());
    if left.is_empty() {
        context.metrics.wrote(&K::kind(&()));
        return apply::remove(&context.client, child).await;
    }
    let mut kept = child.clone();
    kept.meta_mut().owner_references = Some(left);
    kept.meta_mut().managed_fields = None;
    kept.meta_mut().resource_version = None;
    put(context, &kept, Some(child.clone())).await
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;

    use super::*;

    fn contract() -> Contract {
        let field = |name: &str, labels: &[&str]| Field {
            name: name.into(),
            type_: if name == "at" {
                "timestamp_ltz(3)".into()
            } else {
                "string".into()
            },
            nullable: name == "note",
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        };
        Contract {
            fields: vec![
                field("id", &[]),
                field("email", &["pii"]),
                field("note", &["internal"]),
                field("at", &[]),
            ],
            key: vec!["id".into()],
            ..Contract::default()
        }
    }

    fn stream() -> DataStream {
        serde_json::from_value(
            json!({"metadata": {"name": "customers", "namespace": "shop"}, "spec": {
            "owner": "crm", "retention": "30d", "key": ["id"], "eventTime": {"field": "at"},
            "schema": [{"name": "id", "type": "string"}]}}),
        )
        .unwrap()
    }

    fn built(contract: &Contract, except: &[&str]) -> Result<Derived, Error> {
        let except: Vec<String> = except.iter().map(|e| (*e).to_owned()).collect();
        build(
            &stream(),
            contract,
            Some(6),
            &except,
            &[OwnerReference {
                kind: "AccessGrant".into(),
                name: "report".into(),
                uid: "u".into(),
                api_version: "headworks.dev/v1alpha1".into(),
                ..OwnerReference::default()
            }],
        )
    }

    #[test]
    fn labelled_fields_are_left_out_of_stream_and_query() {
        let derived = built(&contract(), &["pii"]).unwrap();
        insta::assert_yaml_snapshot!("derived_stream", body(&derived.stream).unwrap());
        insta::assert_yaml_snapshot!("derived_pipeline", body(&derived.pipeline).unwrap());
    }

    #[test]
    fn without_a_part_of_its_key_the_stream_has_none() {
        let mut contract = contract();
        contract.key = vec!["id".into(), "email.domain".into()];
        let spec = built(&contract, &["pii"]).unwrap().stream.spec;
        assert!(spec.key.is_empty());
        let mut contract = self::contract();
        contract.fields[3].labels = vec!["pii".into()];
        assert!(
            built(&contract, &["pii"])
                .unwrap()
                .stream
                .spec
                .event_time
                .is_none()
        );
    }

    #[test]
    fn a_stream_of_which_nothing_is_left_is_said() {
        let mut contract = contract();
        for field in &mut contract.fields {
            field.labels = vec!["pii".into()];
        }
        assert_eq!(
            built(&contract, &["pii"]).unwrap_err().reason(),
            "NothingLeft"
        );
    }

    #[test]
    fn only_streams_that_have_such_fields_are_derived() {
        let except = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        assert!(needed(&contract(), &except(&["secret", "pii"])));
        assert!(!needed(&contract(), &except(&["secret"])));
        assert!(!needed(&contract(), &[]));
    }

    #[test]
    fn names_are_pipelines_names_and_differ() {
        let label = |l: &str| vec![l.to_owned()];
        assert_eq!(
            name("orders", &["secret".to_owned(), "pii".to_owned()]),
            "orders-without-pii-secret"
        );
        let long = name(&"a".repeat(60), &label("pii"));
        assert!(
            long.len() <= 48 && long != name(&"a".repeat(61), &label("pii")),
            "{long}"
        );
        assert!(name("1st", &label("pii")).starts_with("s-1st"));
    }
}
