//! Streams without some of their fields: for a grant with `exceptLabels`, a DataStream and the Pipeline that fills it.
//!
//! Grants of a namespace that leave out the same labels of the same stream share them, and are their owners together: Kubernetes
//! deletes them when the last of the grants is gone. What labels a field has is said by the contract in force, and by what Pipelines
//! bring into the stream with their queries' lineage, now or once (`data_stream::labels`).

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{AccessGrant, DataStream, Pipeline};
use headworks_plan::{Contract, Format};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{found, rotation};
use crate::{
    apply::{self, is_subset},
    context::Context,
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, PART_LABEL, digest},
    planning::lineage::Labels,
    retry::Error,
};

/// Value of [`PART_LABEL`].
pub const DERIVED_PART: &str = "derived";
/// Of what stream and labels it is ([`content`]).
const CONTENT_ANNOTATION: &str = "headworks.dev/derived-from";
const WITHOUT: &str = "-without-";
/// A Pipeline's name has at most so many characters.
const MAX_NAME: usize = 48;

/// Fields that have one of the labels, by all that is known of the stream: also such as only old records have. Where there is
/// one, the client mustn't read the topic.
pub fn left_out(labels: &Labels, except: &[String]) -> BTreeSet<String> {
    labels
        .iter()
        .filter(|(_, labels)| labels.iter().any(|label| except.contains(label)))
        .map(|(field, _)| field.clone())
        .collect()
}

/// Name of the derived stream and its Pipeline. Where the words could be those of another stream or other labels (`a-b` is one
/// label or two), a digest of them tells which.
pub fn name(stream: &str, except: &[String]) -> String {
    let labels: BTreeSet<&str> = except.iter().map(String::as_str).collect();
    let plain = !stream.contains(WITHOUT) && labels.iter().all(|label| !label.contains('-'));
    let labels: Vec<&str> = labels.into_iter().collect();
    let whole = format!("{stream}{WITHOUT}{}", labels.join("-"));
    if plain && whole.len() <= MAX_NAME && whole.starts_with(|c: char| c.is_ascii_lowercase()) {
        return whole;
    }
    let head: String = whole.chars().take(MAX_NAME - 13).collect();
    format!(
        "s-{}-{}",
        head.trim_end_matches('-'),
        &digest(content(stream, except).as_bytes())[..10]
    )
}

/// What a derived stream is, in words that nothing else has.
fn content(stream: &str, except: &[String]) -> String {
    let labels: BTreeSet<&String> = except.iter().collect();
    json!({"stream": stream, "without": labels}).to_string()
}

/// The two objects.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The stream.
    pub stream: DataStream,
    /// What fills it.
    pub pipeline: Pipeline,
}

/// Builds them. `contract` is the one in force of `stream`, and `left_out` its fields with one of the labels `except`.
///
/// # Errors
/// `NothingLeft`: every field has one of the labels.
pub fn build(
    stream: &DataStream,
    contract: &Contract,
    partitions: Option<i32>,
    left_out: &BTreeSet<String>,
    except: &[String],
    owners: &[OwnerReference],
) -> Result<Derived, Error> {
    let (namespace, from) = (stream.namespace().unwrap_or_default(), stream.name_any());
    let fields: Vec<_> = contract
        .fields
        .iter()
        .filter(|field| !left_out.contains(&field.name))
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
        "annotations": {CONTENT_ANNOTATION: content(&from, except)},
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
    let now = Timestamp::now();
    let mut all: Vec<(String, OwnerReference)> = context
        .stores
        .grants
        .state()
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|grant| grant.namespace().as_deref() == Some(namespace))
        .filter(|grant| wants(grant, derived, now) && found::accepted(grant, context).is_ok())
        .filter_map(|grant| Some((grant.name_any(), grant.owner_ref(&())?)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter().map(|(_, reference)| reference).collect()
}

/// A grant that is over, or going, wants nothing any more; whatever else is wrong with its spec.
fn wants(grant: &AccessGrant, derived: &str, now: Timestamp) -> bool {
    let last = grant.status.as_ref().and_then(|s| s.expires.as_deref());
    let (end, _) = rotation::end(&grant.spec, last);
    end.is_none_or(|end| now < end)
        && grant.metadata.deletion_timestamp.is_none()
        && !grant.spec.except_labels.is_empty()
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
    put(
        context,
        &derived.stream,
        context.stores.stream(&namespace, &name),
    )
    .await?;
    put(
        context,
        &derived.pipeline,
        context.stores.pipeline(&namespace, &name),
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
        if !owned_by_one_of(live, &grants_here(context, &namespace)) {
            return Err(Error::waiting(
                "ChildTerminating",
                format!(
                    "{place} belongs to a deleted AccessGrant; it is made again when it is gone"
                ),
            )
            .after(Duration::from_secs(5)));
        }
        let about = |o: &K| o.annotations().get(CONTENT_ANNOTATION).cloned();
        if about(live).is_some_and(|there| Some(there) != about(desired)) {
            return Err(Error::stalled(
                "OwnedByAnother",
                format!("{place} is derived from another stream, or without other labels; Headworks doesn't change what its clients read: delete the grants that it is for, or name this stream otherwise"),
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
            && about(live) == about(desired)
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
        && of_grants(live).next().is_some()
}

/// UIDs of the grants that an object names as its owners.
fn of_grants<K: Resource>(live: &K) -> impl Iterator<Item = &str> {
    live.owner_references()
        .iter()
        .filter(|r| r.kind == "AccessGrant" && r.api_version.starts_with("headworks.dev/"))
        .map(|r| r.uid.as_str())
}

/// True: a grant of the namespace that is here owns the object. That it says so of one that isn't is no proof.
fn owned_by_one_of<K: Resource>(live: &K, grants: &BTreeSet<String>) -> bool {
    of_grants(live).any(|uid| grants.contains(uid))
}

/// UIDs of the namespace's grants.
fn grants_here(context: &Context, namespace: &str) -> BTreeSet<String> {
    let grants = context.stores.grants.state();
    let here = grants
        .iter()
        .filter(|grant| grant.meta().namespace.as_deref() == Some(namespace));
    here.filter_map(|grant| grant.meta().uid.clone()).collect()
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
        dismiss(context, pipeline, &uid).await?;
    }
    let streams = context.stores.streams.state();
    for stream in streams
        .iter()
        .filter_map(|s| s.0.as_ref().ok())
        .filter(|s| ours(*s) && owned(&s.metadata))
    {
        dismiss(context, stream, &uid).await?;
    }
    Ok(())
}

/// Takes a grant from a child's owners, and the child away with the last of them.
async fn dismiss<K>(context: &Context, child: &K, uid: &str) -> Result<(), Error>
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
    let namespace = child.namespace().unwrap_or_default();
    let wanting = owners(context, &namespace, &child.name_any());
    let left = others(wanting, child.owner_references(), uid);
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

/// Of the grants whose specs want a derived stream those that own it still, without one that has no need of it: its spec
/// says so as before when the labels are gone, or nothing would be left.
fn others(wanting: Vec<OwnerReference>, own: &[OwnerReference], uid: &str) -> Vec<OwnerReference> {
    let owns = |wanting: &OwnerReference| own.iter().any(|one| one.uid == wanting.uid);
    wanting
        .into_iter()
        .filter(|wanting| wanting.uid != uid && owns(wanting))
        .collect()
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;

    use super::*;
    use crate::planning::lineage::of_contract;

    #[test]
    fn labels_and_the_uid_of_a_grant_that_is_not_here_make_no_derived_stream_of_ours() {
        let by = |kind: &str, group: &str| -> DataStream {
            serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "shop",
                "labels": {PART_LABEL: DERIVED_PART, MANAGED_BY: MANAGED_BY_VALUE},
                "ownerReferences": [{"apiVersion": group, "kind": kind, "name": "g", "uid": "1"}]},
                "spec": {"owner": "x", "schema": [{"name": "id", "type": "string"}]}}))
            .unwrap()
        };
        let derived = by("AccessGrant", "headworks.dev/v1alpha1");
        assert!(ours(&derived) && owned_by_one_of(&derived, &["1".to_owned()].into()));
        assert!(!owned_by_one_of(&derived, &["2".to_owned()].into()));
        assert!(!ours(&by("AccessGrant", "example.com/v1")));
        assert!(!ours(&by("Deployment", "apps/v1")));
        let mut labelled = derived;
        labelled.metadata.owner_references = None;
        assert!(!ours(&labelled));
    }

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
            &left_out(&of_contract(contract), &except),
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
        let own = of_contract(&contract());
        let email = BTreeSet::from(["email".to_owned()]);
        assert_eq!(left_out(&own, &except(&["secret", "pii"])), email);
        assert!(left_out(&own, &except(&["secret"])).is_empty());
        assert!(left_out(&own, &[]).is_empty());
    }

    #[test]
    fn a_label_that_came_by_lineage_leaves_its_field_out_and_stays_no_label_of_the_contract() {
        let mut labels = of_contract(&contract());
        labels.insert("note".into(), ["pii".to_owned()].into());
        // A field that only old records have.
        labels.insert("phone".into(), ["pii".to_owned()].into());
        let except = vec!["pii".to_owned()];
        let left_out = left_out(&labels, &except);
        assert_eq!(left_out.len(), 3);
        let built = build(&stream(), &contract(), None, &left_out, &except, &[]).unwrap();
        let fields: Vec<&str> = built
            .stream
            .spec
            .schema
            .iter()
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(fields, ["id", "at"]);
        assert_eq!(
            built.pipeline.spec.sql,
            "SELECT `id`, `at` FROM `customers`"
        );
    }

    #[test]
    fn the_last_that_has_no_need_of_a_derived_stream_takes_it_away() {
        let of = |uids: &[&str]| -> Vec<OwnerReference> {
            let one = |uid: &&str| OwnerReference {
                uid: (*uid).to_owned(),
                ..OwnerReference::default()
            };
            uids.iter().map(one).collect()
        };
        let both = of(&["a", "b"]);
        assert_eq!(others(both.clone(), &both, "a"), of(&["b"]));
        assert_eq!(others(both.clone(), &of(&["b"]), "b"), []);
        // An owner that is over is no owner any more.
        assert_eq!(others(of(&["a"]), &both, "a"), []);
    }

    #[test]
    fn a_grant_that_is_over_wants_nothing() {
        let grant = |expires: serde_json::Value| -> AccessGrant {
            serde_json::from_value(json!({"metadata": {"name": "g", "namespace": "shop"}, "spec": {
                "to": {"namespace": "bi", "name": "app"}, "read": ["orders"], "exceptLabels": ["pii"],
                "expires": expires}}))
            .unwrap()
        };
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let wants = |grant: &AccessGrant| super::wants(grant, "orders-without-pii", now);
        assert!(wants(&grant(json!(null))));
        assert!(wants(&grant(json!("2027-01-01T00:00:01Z"))));
        assert!(!wants(&grant(json!("2027-01-01T00:00:00Z"))));
        assert!(!super::wants(
            &grant(json!(null)),
            "orders-without-secret",
            now
        ));
        let mut going = grant(json!(null));
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert!(!wants(&going));
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
        let two = ["a".to_owned(), "b".to_owned()];
        let mut all = vec![
            name("orders", &two),
            name("orders", &label("a-b")),
            name("orders-without-a", &label("b")),
            name(&"o".repeat(60), &two),
            name(&"o".repeat(60), &label("a-b")),
        ];
        assert_eq!(all[0], "orders-without-a-b");
        assert!(all.iter().all(|name| name.len() <= MAX_NAME), "{all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(
            name("orders", &two),
            name("orders", &["b".to_owned(), "a".to_owned()])
        );
    }
}
