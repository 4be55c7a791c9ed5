//! A plan in an immutable ConfigMap named by its digest, and which old ones may go.
//!
//! A pod reads its plan at start, and a StatefulSet or a user may roll back to an older revision; so a
//! plan is removed only when nothing names it any more, and the newest two always stay.

use std::collections::BTreeSet;

use headworks_plan::{Plan, v1};
use k8s_openapi::{
    api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp,
};
use kube::ResourceExt;
use serde::Deserialize;

use crate::{
    apply::child_meta,
    names::{Key, PART_LABEL, PLAN_PART, digest},
    reason::ConditionReason,
    retry::Error,
};

/// Name of the file in the ConfigMap.
pub const PLAN_FILE: &str = "plan.json";
/// A ConfigMap holds a mebibyte; a larger plan must be said before the API server refuses it.
const MAX_BYTES: usize = 900 << 10;

/// A plan, ready to be mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanMap {
    /// The ConfigMap.
    pub config_map: ConfigMap,
    /// First ten digits of the plan's SHA-256.
    pub digest: String,
}

/// The ConfigMap of a plan: equal plans have equal names.
pub fn plan_map(plan: &Plan, owner: &Key, reference: OwnerReference) -> Result<PlanMap, Error> {
    let text = serde_json::to_string(plan).map_err(|e| {
        Error::transient(
            ConditionReason::Internal,
            format!("the plan can't be written as JSON: {e}"),
        )
    })?;
    if text.len() > MAX_BYTES {
        return Err(Error::stalled(
            ConditionReason::PlanTooLarge,
            format!(
                "the plan has {} bytes and a ConfigMap holds {MAX_BYTES}: use fewer or smaller contracts, or fewer or shorter QualityRules of the streams",
                text.len()
            ),
        ));
    }
    let digest = digest(text.as_bytes())[..10].to_owned();
    let mut meta = child_meta(
        format!("{}-{}-plan-{digest}", owner.name, owner.kind.to_lowercase()),
        owner,
        reference,
    );
    meta.labels
        .get_or_insert_default()
        .insert(PART_LABEL.into(), PLAN_PART.into());
    let config_map = ConfigMap {
        metadata: meta,
        immutable: Some(true),
        data: Some([(PLAN_FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    };
    Ok(PlanMap { config_map, digest })
}

/// What every version of a plan says.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn text(map: &ConfigMap) -> Option<&str> {
    let text = map.data.as_ref()?.get(PLAN_FILE)?;
    Some(text.as_str())
}

/// The version of the plan in a ConfigMap, whether or not the rest of it can be read.
pub fn version(map: &ConfigMap) -> Option<u32> {
    let plan: Versioned = serde_json::from_str(text(map)?).ok()?;
    Some(plan.version)
}

/// The plan in a ConfigMap, also one of the version before: pods run by it until their turn to roll comes.
pub fn read(map: &ConfigMap) -> Option<Plan> {
    if version(map)? == v1::V1 {
        let plan: v1::Plan = serde_json::from_str(text(map)?).ok()?;
        return Some(plan.into());
    }
    serde_json::from_str(text(map)?).ok()
}

/// The plans that may go: not named by anything, and not among the newest two.
pub fn superseded<'a>(
    plans: impl Iterator<Item = &'a ConfigMap>,
    named: &BTreeSet<String>,
) -> Vec<&'a ConfigMap> {
    let mut plans: Vec<&ConfigMap> = plans
        .filter(|map| {
            map.labels()
                .get(PART_LABEL)
                .is_some_and(|part| part == PLAN_PART)
        })
        .collect();
    let made = |map: &ConfigMap| map.creation_timestamp().map_or(Timestamp::MIN, |t| t.0);
    plans.sort_by_key(|map| (std::cmp::Reverse(made(map)), map.name_any()));
    plans
        .into_iter()
        .skip(2)
        .filter(|map| !named.contains(&map.name_any()))
        .collect()
}

#[cfg(test)]
mod tests {
    use headworks_plan::{KafkaConnection, PostgresConnection, Role, Store, StoreConnection};
    use serde_json::json;

    use super::*;

    fn map(name: &str, second: i64) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {
            "name": name, "labels": {PART_LABEL: PLAN_PART}, "creationTimestamp": Timestamp::from_second(second).unwrap().to_string()
        }}))
        .unwrap()
    }

    #[test]
    fn the_newest_two_and_those_in_use_stay() {
        let maps = [map("a", 1), map("b", 2), map("c", 3), map("d", 4)];
        let gone: Vec<String> = superseded(maps.iter(), &["a".to_owned()].into())
            .iter()
            .map(|m| m.name_any())
            .collect();
        assert_eq!(gone, ["b"]);
    }

    #[test]
    fn a_plan_of_the_version_before_is_read_too() {
        let map = |text: &str| ConfigMap {
            data: Some([(PLAN_FILE.to_owned(), text.to_owned())].into()),
            ..ConfigMap::default()
        };
        let old = map(include_str!("../../../runtime/plan/tests/v1/pipeline.json"));
        assert_eq!(version(&old), Some(v1::V1));
        assert_eq!(read(&old).unwrap().version, headworks_plan::VERSION);
        let later = map(r#"{"version": 99, "other": true}"#);
        assert_eq!((version(&later), read(&later)), (Some(99), None));
        assert_eq!(version(&ConfigMap::default()), None);
    }

    #[test]
    fn equal_plans_have_equal_names_and_others_do_not() {
        let plan = |group: &str| Plan {
            registry: None,
            version: headworks_plan::VERSION,
            installation: "i".into(),
            namespace: "shop".into(),
            name: group.into(),
            kafka: KafkaConnection::default(),
            role: Role::Store(headworks_plan::StorePlan {
                store: Store {
                    name: "s".into(),
                    connection: StoreConnection::Postgres(PostgresConnection::default()),
                },
            }),
        };
        let name = |p: &Plan| {
            plan_map(
                p,
                &Key::new("Source", "shop", "s"),
                OwnerReference::default(),
            )
            .unwrap()
            .config_map
            .name_any()
        };
        assert_eq!(name(&plan("g")), name(&plan("g")));
        assert_ne!(name(&plan("g")), name(&plan("h")));
    }
}
