//! One object by itself: schema, CEL rules, types, and what needs our own parsing.

use std::collections::BTreeMap;

use headworks_crds::manifest;
use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value;

use crate::finding::Finding;
use crate::object::{Object, Typed};
use crate::schema::Checker;

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
    let read = Typed::read(object.kind, &object.value);
    let read = read.ok_or_else(|| object.wrong("kind", "is unknown"))?;
    read.map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "" } else { path.as_str() };
        object.wrong(path, error.inner().to_string())
    })
}

/// What no schema can express: ranges of durations and quantities, and what a kind knows besides.
fn own_checks(object: &Object, typed: &Typed) -> Vec<Finding> {
    let faults = typed.spec_faults().into_iter();
    faults
        .map(|fault| object.wrong(&fault.field, fault.message))
        .collect()
}
