//! Streams without some of their fields: for a grant with `exceptLabels`, a DataStream and the Pipeline that fills it.
//!
//! Grants of a namespace that leave out the same labels of the same stream share them, and are their owners together: Kubernetes
//! deletes them when the last of the grants is gone. What labels a field has is said by the contract in force, and by what Pipelines
//! bring into the stream with their queries' lineage, now or once (`data_stream::label_propagation`). What both are is said here, purely; `children`
//! writes them and takes them away.

mod children;

use std::collections::BTreeSet;

pub use children::{apply, owners, sweep};
use headworks_crds::{
    Compatibility, DataStream, DataStreamSpec, DeletionPolicy, Field, Pipeline, PipelineSpec,
    Target,
};
use headworks_plan::{Contract, Format};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    names::digest, owned_objects::Family, planning::lineage::Labels, reason::ConditionReason,
    retry::Error,
};

/// Derived streams and their Pipelines.
pub(super) const FAMILY: Family = Family {
    part: "derived",
    owner: "AccessGrant",
    // Of what stream and labels it is (`content`).
    content: "headworks.dev/derived-from",
    role: "derived for a grant",
    other_content: "is derived from another stream, or without other labels; Headworks doesn't change what its clients read: delete the grants that it is for, or name this stream otherwise",
};
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

/// What a derived stream is made from.
#[derive(Clone, Debug)]
pub struct DesiredDerived {
    /// The stream that fields are left out of.
    pub stream: DataStream,
    /// Its contract in force.
    pub contract: Contract,
    /// Partitions of its topic.
    pub partitions: Option<i32>,
    /// The fields that are left out.
    pub left_out: BTreeSet<String>,
    /// The labels for which they are.
    pub except: Vec<String>,
    /// The grants that it is for.
    pub owners: Vec<OwnerReference>,
}

impl DesiredDerived {
    fn fields(&self) -> impl Iterator<Item = &headworks_plan::Field> {
        let all = self.contract.fields.iter();
        all.filter(|field| !self.left_out.contains(&field.name))
    }
}

/// Fails where nothing is left.
///
/// # Errors
/// `NothingLeft`: every field has one of the labels.
pub fn check(desired: &DesiredDerived) -> Result<(), Error> {
    if desired.fields().next().is_some() {
        return Ok(());
    }
    Err(Error::stalled(
        ConditionReason::NothingLeft,
        format!(
            "spec.exceptLabels: every field of DataStream {} has one of these labels; leave the stream out of spec.read, or a label out of exceptLabels",
            desired.stream.name_any()
        ),
    ))
}

/// Builds the stream and the Pipeline that fills it.
pub fn build(desired: &DesiredDerived) -> Derived {
    let (of, except) = (&desired.stream, &desired.except);
    let (namespace, from) = (of.namespace().unwrap_or_default(), of.name_any());
    let kept = |path: &str| {
        let top = path.split('.').next().unwrap_or(path);
        desired.fields().any(|field| field.name == top)
    };
    let name = name(&from, except);
    let content = content(&from, except);
    let metadata = FAMILY.meta(&namespace, &name, content, desired.owners.clone());
    let schema = desired.fields().map(|field| Field {
        name: field.name.clone(),
        type_: field.type_.clone(),
        nullable: field.nullable,
        description: None,
        labels: field.labels.clone(),
    });
    let (contract, spec) = (&desired.contract, &of.spec);
    let json = contract.format == Format::Json;
    // A key of which a part is gone would order other records than before.
    let whole_key = contract.key.iter().all(|path| kept(path));
    let stream = DataStreamSpec {
        platform: spec.platform.clone(),
        owner: spec.owner.clone(),
        description: Some(format!(
            "{from} without fields labelled {}",
            except.join(", ")
        )),
        partitions: desired.partitions,
        retention: spec.retention.clone(),
        format: if json {
            headworks_crds::Format::Json
        } else {
            spec.format
        },
        // A field that gets a label must go from here, whoever reads it.
        compatibility: Compatibility::None,
        key: if whole_key {
            contract.key.clone()
        } else {
            Vec::new()
        },
        event_time: spec.event_time.clone().filter(|time| kept(&time.field)),
        // Its records can be made again as long as those of the stream itself are there.
        deletion_policy: DeletionPolicy::Delete,
        ..DataStreamSpec::new(schema.collect())
    };
    let columns: Vec<String> = desired
        .fields()
        .map(|field| format!("`{}`", field.name))
        .collect();
    let sql = format!("SELECT {} FROM `{from}`", columns.join(", "));
    let target = Target {
        stream: Some(name.clone()),
        ..Target::default()
    };
    let pipeline = PipelineSpec {
        platform: spec.platform.clone(),
        deletion_policy: DeletionPolicy::Delete,
        ..PipelineSpec::new(sql, vec![target])
    };
    let mut derived = Derived {
        stream: DataStream::new(&name, stream),
        pipeline: Pipeline::new(&name, pipeline),
    };
    derived.stream.metadata = metadata.clone();
    derived.pipeline.metadata = metadata;
    derived
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;

    use super::*;
    use crate::{owned_objects::body, planning::lineage::of_contract};

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
        let desired = DesiredDerived {
            stream: stream(),
            contract: contract.clone(),
            partitions: Some(6),
            left_out: left_out(&of_contract(contract), &except),
            except,
            owners: vec![OwnerReference {
                kind: "AccessGrant".into(),
                name: "report".into(),
                uid: "u".into(),
                api_version: "headworks.dev/v1alpha1".into(),
                ..OwnerReference::default()
            }],
        };
        check(&desired)?;
        Ok(build(&desired))
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
        let built = build(&DesiredDerived {
            stream: stream(),
            contract: contract(),
            partitions: None,
            left_out,
            except,
            owners: vec![],
        });
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
