//! Streams without some of their fields: for a grant with `exceptLabels`, a DataStream and the Pipeline that fills it.
//!
//! Grants of a namespace that leave out the same labels of the same stream share them, and are their owners together: Kubernetes
//! deletes them when the last of the grants is gone. What labels a field has is said by the contract in force, and by what Pipelines
//! bring into the stream with their queries' lineage, now or once (`data_stream::label_propagation`). What both are is said here, purely; `children`
//! writes them and takes them away.

mod children;

use std::collections::BTreeSet;

pub use children::{apply, owners, sweep};
use headworks_crds::{DataStream, Pipeline};
use headworks_plan::{Contract, Format};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    names::{MANAGED_BY, MANAGED_BY_VALUE, PART_LABEL, digest},
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

#[cfg(test)]
mod tests {
    use headworks_plan::Field;

    use super::{children::body, *};
    use crate::planning::lineage::of_contract;

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
