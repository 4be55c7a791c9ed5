//! The CRDs as manifests: what `charts/headworks-crds` holds.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::{VERSION_LABEL, kinds::KINDS};

/// Every CRD, as it is to be applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    KINDS.iter().map(|kind| finished((kind.crd)())).collect()
}

/// Name of a CRD's file in the chart.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.yaml", crd.spec.names.plural)
}

/// A CRD as YAML for the chart.
///
/// # Errors
/// If the CRD can't be written as YAML, which would be a fault of ours.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    whole_numbers(&mut value);
    let body = serde_saphyr::to_string(&value)?;
    let mut text = String::from(
        "# Made from crds/src by `cargo run -p headworks-crds --bin crdgen`; don't edit.\n",
    );
    let _ = write!(text, "{}", body.trim_start_matches("---\n"));
    Ok(text)
}

/// Kubernetes reads `nullable` as "an explicit null is a value of its own"; our optional fields mean "absent",
/// so that `has()` in a rule is true only for a value.
fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    crd.metadata
        .annotations
        .get_or_insert_default()
        .insert("helm.sh/resource-policy".into(), "keep".into());
    // The operator compares it with its own.
    crd.metadata
        .labels
        .get_or_insert_default()
        .insert(VERSION_LABEL.into(), env!("CARGO_PKG_VERSION").into());
    for version in &mut crd.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        let Ok(mut value) = serde_json::to_value(&*schema) else {
            continue;
        };
        without_nullable(&mut value);
        unseen(&mut value);
        if let Ok(finished) = serde_json::from_value(value) {
            *schema = finished;
        }
    }
    crd
}

/// An object that nobody has looked at yet has a status that says so: kstatus takes one without conditions for Current, unless
/// its `observedGeneration` is behind. The API server fills the default in when it hands an object out.
fn unseen(schema: &mut Value) {
    if let Some(status) = schema.pointer_mut("/properties/status")
        && let Some(status) = status.as_object_mut()
    {
        status.insert("default".into(), json!({"observedGeneration": -1}));
    }
}

fn without_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A property may itself be called `nullable`: only the keyword's value is a boolean.
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            map.values_mut().for_each(without_nullable);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nullable),
        _ => {}
    }
}

/// Bounds are floating-point numbers in the CRD's Rust type; `maximum: 16` reads better than `16.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(n) => {
            if let Some(f) = n.as_f64()
                && n.is_f64()
                && f.fract() == 0.0
                && f.abs() < 9e15
            {
                *value = Value::from(f as i64);
            }
        }
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(list) => list.iter_mut().for_each(whole_numbers),
        _ => {}
    }
}
