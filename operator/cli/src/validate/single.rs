//! One object by itself: schema, CEL rules, types, and what needs our own parsing.

use std::collections::BTreeMap;

use headworks_crds::{AccessGrant, DataStore, DataStream, Pipeline, Platform, Source, manifest};
use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::Finding;
use crate::object::{Object, Typed};
use crate::schema::Checker;
use crate::yaml::steps;

/// What every kind's objects must obey.
pub struct Rules {
    kinds: BTreeMap<String, (Value, CompiledSchema)>,
    checker: Checker,
    cel: Validator,
}

impl Rules {
    /// The rules of this version's CRDs, compiled once.
    pub fn new() -> Self {
        let kinds = manifest::all().into_iter().filter_map(|crd| {
            let version = crd.spec.versions.first()?;
            let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
            let schema = serde_json::to_value(schema).ok()?;
            let compiled = compile_schema(&schema);
            Some((crd.spec.names.kind, (schema, compiled)))
        });
        Self {
            kinds: kinds.collect(),
            checker: Checker::default(),
            cel: Validator::new(),
        }
    }

    /// What is wrong with an object by itself; one that is right gets its type.
    pub fn check(&self, object: &mut Object) -> Vec<Finding> {
        let Some((schema, compiled)) = self.kinds.get(object.kind) else {
            return Vec::new();
        };
        let mut findings = self.checker.check(object, schema);
        // A rule over a value of the wrong type would only fail in other words.
        let typed = typed(object);
        if !findings.is_empty() {
            object.typed = typed.ok();
            return findings;
        }
        match typed {
            Ok(typed) => {
                findings.extend(self.rules(object, compiled));
                // Where a rule has spoken of the whole, the own check would only repeat it.
                let more = own_checks(object, &typed);
                findings.extend(more.into_iter().filter(|f| f.field != "spec"));
                if findings.is_empty() {
                    findings.extend(own_checks(object, &typed));
                }
                object.typed = Some(typed);
            }
            Err(finding) => findings.push(finding),
        }
        findings
    }

    fn rules(&self, object: &Object, compiled: &CompiledSchema) -> Vec<Finding> {
        let Err(errors) = self.cel.validate_compiled(compiled, &object.value, None) else {
            return Vec::new();
        };
        errors
            .into_vec()
            .into_iter()
            // What this build's CEL can't evaluate is no fault of the object's.
            .filter(|error| error.kind == ErrorKind::ValidationFailure)
            .map(|error| {
                let field = error.field_path.trim_start_matches('.').to_owned();
                object.wrong(&field, error.message)
            })
            .collect()
    }
}

fn typed(object: &Object) -> Result<Typed, Finding> {
    fn read<T: DeserializeOwned>(object: &Object) -> Result<Box<T>, Finding> {
        serde_path_to_error::deserialize(&object.value)
            .map(Box::new)
            .map_err(|error| {
                let path = error.path().to_string();
                let path = if path == "." { "" } else { path.as_str() };
                object.wrong(path, error.inner().to_string())
            })
    }
    Ok(match object.kind {
        "Platform" => Typed::Platform(read::<Platform>(object)?),
        "DataStream" => Typed::DataStream(read::<DataStream>(object)?),
        "DataStore" => Typed::DataStore(read::<DataStore>(object)?),
        "Source" => Typed::Source(read::<Source>(object)?),
        "AccessGrant" => Typed::AccessGrant(read::<AccessGrant>(object)?),
        _ => Typed::Pipeline(read::<Pipeline>(object)?),
    })
}

/// Ranges of durations and quantities, which no schema can express.
fn own_checks(object: &Object, typed: &Typed) -> Vec<Finding> {
    let said = match typed {
        Typed::Platform(o) => headworks_crds::check(&o.spec),
        Typed::DataStream(o) => headworks_crds::check(&o.spec),
        Typed::DataStore(o) => headworks_crds::check(&o.spec),
        Typed::Source(o) => headworks_crds::check(&o.spec),
        Typed::Pipeline(o) => headworks_crds::check(&o.spec),
        Typed::AccessGrant(o) => headworks_crds::check(&o.spec),
    };
    let more = match typed {
        Typed::Source(o) => headworks_operator::connectors::sources::check(&o.spec),
        Typed::DataStore(o) => headworks_operator::connectors::stores::address(&o.spec).map(|_| ()),
        Typed::AccessGrant(o) => headworks_operator::access_grant::check(&o.spec),
        _ => Ok(()),
    };
    let said = [said.err(), more.err().map(|e| e.message().to_owned())];
    said.into_iter()
        .flatten()
        .flat_map(|said| split(object, &said))
        .collect()
}

/// One finding a place; several are joined by a semicolon.
fn split(object: &Object, said: &str) -> Vec<Finding> {
    said.split("; spec.")
        .map(|one| {
            let one = one.strip_prefix("spec.").unwrap_or(one);
            let one = one.strip_prefix("spec: ").unwrap_or(one);
            let (field, message) = match one.split_once(": ") {
                Some((field, message)) if !field.contains(' ') => (field, message),
                _ => ("", one),
            };
            let field = format!("spec.{field}");
            object.finding(
                object.node.place_of(&steps(&field)),
                field.trim_end_matches('.'),
                message,
            )
        })
        .collect()
}
