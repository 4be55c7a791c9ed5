//! The versions of a query, where a canary decides which of them runs: what of a spec it is about (what is computed, and where results
//! go), how they are told from each other, and which one is in force. Pure.

use headworks_crds::{
    ANNOTATION_RETRY_CANARY, OnBadRecord, OnOverflow, Pipeline, PipelineSpec, QueryInForce,
};
use headworks_plan::{self as plan, Plan, Role};
use kube::ResourceExt;
use serde_json::json;

use crate::names::digest;

/// Digits of the digest that tells versions from each other.
const ID_DIGITS: usize = 16;

/// What the spec says.
pub fn of(spec: &PipelineSpec) -> QueryInForce {
    QueryInForce {
        // Blanks at the end are YAML's, not the query's.
        sql: spec.sql.trim_end().to_owned(),
        to: spec.to.clone(),
        on_bad_record: spec.on_bad_record,
        on_overflow: spec.on_overflow,
        allowed_lateness: Some(spec.allowed_lateness.clone()),
        state_ttl: spec.state.as_ref().and_then(|state| state.ttl.clone()),
    }
}

/// The spec with another version of the query, and no canary of its own.
pub fn with(spec: &PipelineSpec, query: &QueryInForce) -> PipelineSpec {
    let mut spec = spec.clone();
    spec.sql.clone_from(&query.sql);
    spec.to.clone_from(&query.to);
    spec.on_bad_record = query.on_bad_record;
    spec.on_overflow = query.on_overflow;
    if let Some(lateness) = &query.allowed_lateness {
        spec.allowed_lateness = lateness.clone();
    }
    if spec.state.is_some() || query.state_ttl.is_some() {
        let mut state = spec.state.take().unwrap_or_default();
        state.ttl.clone_from(&query.state_ttl);
        spec.state = Some(state);
    }
    spec.rollout = None;
    spec
}

/// The spec by which the pods run: its own, or that with the version in force where a canary holds the spec's back.
pub fn in_force(pipeline: &Pipeline) -> PipelineSpec {
    held_back_by(pipeline).map_or_else(
        || pipeline.spec.clone(),
        |query| with(&pipeline.spec, query),
    )
}

/// The version that runs in the place of the spec's.
fn held_back_by(pipeline: &Pipeline) -> Option<&QueryInForce> {
    pipeline.spec.canary()?;
    let rollout = pipeline.status.as_ref()?.rollout.as_ref()?;
    let in_force = rollout.in_force.as_ref();
    in_force.filter(|query| **query != of(&pipeline.spec))
}

/// The spec, and that by which the pods run, where that is another: what either uses is used.
pub fn all(pipeline: &Pipeline) -> Vec<PipelineSpec> {
    let in_force = held_back_by(pipeline).map(|query| with(&pipeline.spec, query));
    std::iter::once(pipeline.spec.clone())
        .chain(in_force)
        .collect()
}

/// True: both compute the same. Where the results go is another matter.
pub fn computes_same(one: &QueryInForce, other: &QueryInForce) -> bool {
    let without_targets = |query: &QueryInForce| QueryInForce {
        to: Vec::new(),
        ..query.clone()
    };
    without_targets(one) == without_targets(other)
}

/// The version that pods run by, or are about to, where the status doesn't know it yet, because no canary was asked for before. What a plan doesn't say
/// is as the spec has it.
pub fn of_plan(wanted: &QueryInForce, plan: &Plan) -> Option<QueryInForce> {
    let Role::Pipeline(live) = &plan.role else {
        return None;
    };
    Some(QueryInForce {
        sql: live.sql.clone(),
        on_bad_record: match live.on_bad_record {
            plan::OnBadRecord::DeadLetter => OnBadRecord::DeadLetter,
            plan::OnBadRecord::Drop => OnBadRecord::Drop,
            plan::OnBadRecord::Stop => OnBadRecord::Stop,
        },
        on_overflow: match live.on_overflow {
            plan::OnOverflow::SetNull => OnOverflow::SetNull,
            plan::OnOverflow::DeadLetter => OnOverflow::DeadLetter,
        },
        ..wanted.clone()
    })
}

/// Digest of a new version, of how it is judged, and of the word by which somebody has it tried once more.
pub fn id(pipeline: &Pipeline) -> String {
    let retry = pipeline.annotations().get(ANNOTATION_RETRY_CANARY);
    let what = json!([of(&pipeline.spec), pipeline.spec.rollout, retry]);
    let mut id = digest(what.to_string().as_bytes());
    id.truncate(ID_DIGITS);
    id
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn pipeline(changes: &Value) -> Pipeline {
        let mut body = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"sql": "SELECT a FROM s", "to": [{"stream": "t"}],
            "rollout": {"canary": {"for": "1m"}}}});
        for (path, value) in changes.as_object().unwrap() {
            *body
                .pointer_mut(path.rsplit_once('/').unwrap().0)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .entry(path.rsplit_once('/').unwrap().1)
                .or_insert(Value::Null) = value.clone();
        }
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_canary_is_about_what_is_computed_and_not_about_pods_or_targets() {
        let before = of(&pipeline(&json!({})).spec);
        let same = |changes: Value| computes_same(&before, &of(&pipeline(&changes).spec));
        assert!(same(json!({"/spec/sql": "SELECT a FROM s\n"})));
        assert!(same(json!({"/spec/replicas": 3})));
        assert!(same(json!({"/spec/podTemplate": {"env": []}})));
        assert!(same(json!({"/spec/to": [{"stream": "u"}]})));
        assert!(same(json!({"/spec/commitInterval": "1s"})));
        for (field, value) in [
            ("/spec/sql", json!("SELECT b AS a FROM s")),
            ("/spec/onOverflow", json!("DeadLetter")),
            ("/spec/onBadRecord", json!("Drop")),
            ("/spec/allowedLateness", json!("1m")),
            ("/spec/state", json!({"ttl": "1h"})),
        ] {
            assert!(!same(json!({field: value})), "{field}");
        }
    }

    #[test]
    fn the_spec_with_the_version_in_force_computes_what_that_does() {
        let old = of(&pipeline(
            &json!({"/spec/sql": "SELECT b FROM s", "/spec/state": {"ttl": "1h"}}),
        )
        .spec);
        let new = pipeline(&json!({"/spec/replicas": 5}));
        let spec = with(&new.spec, &old);
        assert_eq!(of(&spec), old);
        assert_eq!((spec.replicas, spec.rollout.is_none()), (5, true));
        // A state without a time to live is as it was.
        let plain = of(&new.spec);
        assert!(with(&new.spec, &plain).state.is_none());
    }

    #[test]
    fn what_runs_is_the_version_in_force_only_where_a_canary_holds_the_specs_back() {
        let mut p = pipeline(&json!({"/spec/sql": "SELECT b FROM s"}));
        assert_eq!((in_force(&p), all(&p).len()), (p.spec.clone(), 1));
        let old = of(&pipeline(&json!({})).spec);
        let rollout = headworks_crds::RolloutStatus {
            in_force: Some(old.clone()),
            ..headworks_crds::RolloutStatus::default()
        };
        p.status = Some(headworks_crds::PipelineStatus {
            rollout: Some(rollout),
            ..headworks_crds::PipelineStatus::default()
        });
        assert_eq!(of(&in_force(&p)), old);
        let sql: Vec<String> = all(&p).into_iter().map(|spec| spec.sql).collect();
        assert_eq!(sql, ["SELECT b FROM s", "SELECT a FROM s"]);
        // What either reads is read.
        p.spec.sql = "SELECT a FROM other".into();
        let flow = crate::planning::flows::flow_of(&p);
        assert_eq!(flow.inputs, ["other".to_owned(), "s".to_owned()].into());
        // Without a canary the spec is rolled out at once, whatever a status said before.
        p.spec.rollout = None;
        assert_eq!(in_force(&p), p.spec);
    }

    #[test]
    fn a_version_is_tried_again_when_it_changes_or_somebody_asks() {
        let first = id(&pipeline(&json!({})));
        assert_eq!(first, id(&pipeline(&json!({"/spec/replicas": 2}))));
        assert_ne!(
            first,
            id(&pipeline(&json!({"/spec/sql": "SELECT b FROM s"})))
        );
        assert_ne!(
            first,
            id(&pipeline(
                &json!({"/spec/rollout": {"canary": {"for": "2m"}}})
            ))
        );
        let annotated = json!({"/metadata/annotations": {ANNOTATION_RETRY_CANARY: "once more"}});
        assert_ne!(first, id(&pipeline(&annotated)));
    }

    #[test]
    fn what_runs_is_known_by_its_plan() {
        let plan: Plan = serde_json::from_value(json!({"version": 2, "installation": "i", "namespace": "shop", "name": "p",
            "kafka": {"bootstrapServers": "k:9092"}, "role": {"pipeline": {"sql": "SELECT b FROM s", "inputs": [], "outputs": [],
            "delivery": "ExactlyOnce", "commitIntervalMs": 100, "startFrom": "earliest", "onBadRecord": "Stop", "stages": []}}}))
        .unwrap();
        let wanted = of(&pipeline(&json!({})).spec);
        let live = of_plan(&wanted, &plan).unwrap();
        assert_eq!(
            (live.sql.as_str(), live.on_bad_record),
            ("SELECT b FROM s", OnBadRecord::Stop)
        );
        assert_eq!(live.to, wanted.to);
    }
}
