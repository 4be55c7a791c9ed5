//! Steps of roll-outs over stores that a test fills.

use std::sync::Arc;

use headworks_crds::ANNOTATION_RETRY_CANARY;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::*;
use crate::context::testing::{Calls, calls, context, store, stores};

const OLD: &str = "SELECT id FROM s";
const NEW: &str = "SELECT id FROM s WHERE TRUE";

fn pipeline(changes: &[(&str, Value)]) -> Pipeline {
    let mut body = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "shop", "uid": "u", "generation": 2, "annotations": {}},
        "spec": {"sql": NEW, "to": [{"stream": "t"}], "suspend": false, "rollout": {"canary": {"for": "1m"}}}});
    for (path, value) in changes {
        *body.pointer_mut(path).unwrap() = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

/// A status of a Pipeline that runs by the old version, with a roll-out of what `of` says.
fn status(of: &Pipeline, phase: Option<RolloutPhase>) -> PipelineStatus {
    let old = pipeline(&[("/spec/sql", json!(OLD))]);
    PipelineStatus {
        group: Some("g".into()),
        rollout: Some(RolloutStatus {
            phase,
            id: phase.map(|_| versions::id(of)),
            message: Some("why".into()),
            ..only(Some(versions::of(&old.spec)))
        }),
        ..PipelineStatus::default()
    }
}

/// What runs beside `p`, owned by the object of this UID.
fn beside(owner: &str) -> (Arc<Context>, Calls) {
    let meta = json!({"name": "p-canary", "namespace": "shop", "uid": "c", "annotations": {"headworks.dev/canary-of": "v"},
        "labels": {"app.kubernetes.io/managed-by": "headworks", "headworks.dev/part": "canary"},
        "ownerReferences": [{"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": owner, "controller": true}]});
    let shadow = json!({"metadata": meta, "spec": {"sql": NEW, "to": [{"stream": "p-canary"}]}});
    let stream = json!({"metadata": meta, "spec": {"schema": [{"name": "id", "type": "string"}]}});
    context(crate::stores::Stores {
        pipelines: store(vec![DeserializeGuard(Ok(
            serde_json::from_value(shadow).unwrap()
        ))]),
        streams: store(vec![DeserializeGuard(Ok(
            serde_json::from_value(stream).unwrap()
        ))]),
        ..stores()
    })
}

const BOTH: [&str; 2] = [
    "/apis/headworks.dev/v1alpha1/namespaces/shop/pipelines/p-canary",
    "/apis/headworks.dev/v1alpha1/namespaces/shop/datastreams/p-canary",
];

async fn stepped(pipeline: &Pipeline, status: &mut PipelineStatus, context: &Context) -> Step {
    let key = Key::of(pipeline);
    Box::pin(step(pipeline, &key, |_| None, status, context))
        .await
        .unwrap()
}

fn runs(step: &Step) -> Option<&str> {
    step.in_force.as_ref().map(|run| run.spec.sql.as_str())
}

#[tokio::test]
async fn a_first_version_and_one_without_a_canary_run_as_they_are() {
    let (context, made) = context(stores());
    let mut first = PipelineStatus::default();
    let p = pipeline(&[]);
    assert!(stepped(&p, &mut first, &context).await.in_force.is_none());
    applied(&p.spec, &p.spec, &mut first);
    let rollout = first.rollout.clone().unwrap();
    assert_eq!(
        (rollout.phase, rollout.in_force),
        (None, Some(versions::of(&p.spec)))
    );
    // It goes on, and nothing is asked of anybody.
    assert!(stepped(&p, &mut first, &context).await.in_force.is_none());
    let without = pipeline(&[("/spec/rollout", json!({}))]);
    let step = stepped(&without, &mut first, &context).await;
    assert!(step.in_force.is_none() && first.rollout.is_none());
    applied(&without.spec, &without.spec, &mut first);
    assert!(first.rollout.is_none());
    assert!(made.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_that_was_rolled_back_stays_so_and_the_old_one_is_told_the_rest_of_the_spec() {
    let (context, made) = beside("u");
    let p = pipeline(&[]);
    let mut known = status(&p, Some(RolloutPhase::RolledBack));
    let before = known.rollout.clone();
    let step = stepped(&p, &mut known, &context).await;
    assert_eq!((runs(&step), step.recheck), (Some(OLD), None));
    let condition = step.condition.unwrap();
    assert_eq!(
        (condition.type_, condition.message.as_str()),
        (FAILED, "why")
    );
    assert_eq!(known.rollout, before);
    assert_eq!(calls(&made, "DELETE"), BOTH);
    // What isn't about the query reaches the pods all the same.
    let mut more = p.clone();
    more.spec.replicas = 4;
    let step = stepped(&more, &mut known, &context).await;
    assert_eq!(step.in_force.unwrap().spec.replicas, 4);
    // A new word has it tried once more: it is another canary, which asks for its streams.
    let asked = pipeline(&[(
        "/metadata/annotations",
        json!({ANNOTATION_RETRY_CANARY: "again"}),
    )]);
    assert_ne!(versions::id(&asked), versions::id(&p));
}

#[tokio::test]
async fn a_change_that_is_taken_back_leaves_nothing() {
    let (context, made) = beside("u");
    let old = pipeline(&[("/spec/sql", json!(OLD))]);
    let mut known = status(&pipeline(&[]), Some(RolloutPhase::Running));
    let step = stepped(&old, &mut known, &context).await;
    assert!(step.in_force.is_none() && step.condition.is_none());
    assert_eq!(known.rollout.unwrap().phase, None);
    assert_eq!(calls(&made, "DELETE"), BOTH);
}

#[tokio::test]
async fn a_promoted_version_that_couldnt_be_applied_yet_is_applied() {
    let (context, made) = beside("u");
    let p = pipeline(&[]);
    let mut known = status(&p, Some(RolloutPhase::Promoted));
    assert!(stepped(&p, &mut known, &context).await.in_force.is_none());
    applied(&p.spec, &p.spec, &mut known);
    let rollout = known.rollout.clone().unwrap();
    assert_eq!(rollout.in_force.unwrap().sql, NEW);
    assert_eq!(calls(&made, "DELETE"), BOTH);
    // What was decided stays to be seen.
    assert!(stepped(&p, &mut known, &context).await.in_force.is_none());
    assert_eq!(known.rollout.unwrap().phase, Some(RolloutPhase::Promoted));
}

#[tokio::test]
async fn a_suspended_pipeline_tries_nothing() {
    let (context, made) = beside("u");
    let p = pipeline(&[("/spec/suspend", json!(true))]);
    let mut known = status(&p, Some(RolloutPhase::Running));
    let step = stepped(&p, &mut known, &context).await;
    assert_eq!(runs(&step), Some(OLD));
    assert_eq!(known.rollout.unwrap().phase, None);
    assert_eq!(calls(&made, "DELETE"), BOTH);
}

#[tokio::test]
async fn somebody_elses_objects_of_the_name_are_left_alone() {
    let (context, made) = beside("another");
    let p = pipeline(&[]);
    let mut known = status(&p, Some(RolloutPhase::RolledBack));
    stepped(&p, &mut known, &context).await;
    assert!(calls(&made, "DELETE").is_empty());
}

#[tokio::test]
async fn a_new_version_waits_for_what_isnt_there_while_the_old_one_goes_on() {
    let (context, _) = context(stores());
    let p = pipeline(&[]);
    let mut known = status(&p, None);
    let step = stepped(&p, &mut known, &context).await;
    assert_eq!((runs(&step), step.recheck), (Some(OLD), Some(LOOK)));
    let condition = step.condition.unwrap();
    assert_eq!(condition.type_, RUNNING);
    assert!(
        condition.message.starts_with("the new version waits: "),
        "{}",
        condition.message
    );
    assert_eq!(known.rollout.unwrap().phase, None, "its time hasn't begun");
}

#[tokio::test]
async fn what_is_decided_is_written_down_before_anything_is_done_about_it() {
    let (context, made) = beside("u");
    // Nobody could begin one by such a spec: it became so meanwhile.
    let p = pipeline(&[("/spec/rollout/canary/for", json!("1s"))]);
    let mut known = status(&p, Some(RolloutPhase::Running));
    if let Some(rollout) = &mut known.rollout {
        rollout.began = Some(Time(now()));
    }
    let step = stepped(&p, &mut known, &context).await;
    assert_eq!((runs(&step), step.recheck), (Some(OLD), Some(ACTED_ON)));
    let rollout = known.rollout.clone().unwrap();
    assert_eq!(rollout.phase, Some(RolloutPhase::RolledBack));
    let message = rollout.message.unwrap();
    assert!(
        message.contains("it can't go on: spec.rollout.canary.for"),
        "{message}"
    );
    assert!(calls(&made, "DELETE").is_empty());
    // An operator that reads the status goes on from there.
    let step = stepped(&p, &mut known, &context).await;
    assert_eq!((runs(&step), step.recheck), (Some(OLD), None));
    assert_eq!(calls(&made, "DELETE"), BOTH);
}

#[tokio::test]
async fn a_version_that_is_wrong_from_the_first_isnt_tried() {
    let (context, _) = context(stores());
    let p = pipeline(&[("/spec/rollout/canary/for", json!("1s"))]);
    let mut known = status(&p, None);
    let before = known.rollout.clone();
    let key = Key::of(&p);
    let error = Box::pin(step(&p, &key, |_| None, &mut known, &context)).await;
    let error = error.unwrap_err();
    assert!(
        error.message().contains("spec.rollout.canary.for"),
        "{error}"
    );
    assert_eq!(known.rollout, before);
}

#[tokio::test]
async fn a_first_canary_knows_the_old_query_from_its_pods_and_its_targets_not_at_all() {
    let (context, _) = context(stores());
    let p = pipeline(&[]);
    let old = versions::of(&pipeline(&[("/spec/sql", json!(OLD))]).spec);
    let mut known = PipelineStatus {
        group: Some("g".into()),
        outputs: vec!["u".into()],
        ..PipelineStatus::default()
    };
    let key = Key::of(&p);
    let before = |_: &QueryInForce| Some(old.clone());
    let error = Box::pin(step(&p, &key, before, &mut known, &context)).await;
    let error = error.unwrap_err();
    assert!(
        error
            .message()
            .contains("spec.sql and spec.to change with it"),
        "{error}"
    );
    known.outputs = vec!["t".into()];
    let step = Box::pin(step(&p, &key, before, &mut known, &context))
        .await
        .unwrap();
    assert_eq!(runs(&step), Some(OLD));
    assert_eq!(known.rollout.unwrap().in_force, Some(old.clone()));
}
