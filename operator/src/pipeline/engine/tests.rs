//! The reconcile of a Pipeline over an engine that isn't ours: its objects are another operator's, what runs is told by their status,
//! and its progress is a savepoint.

use std::sync::Mutex;

use headworks_crds::{DataStream, OnOverflow, Platform, StateStatus};
use headworks_plan::{Contract, Field};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    context::testing::{context, store, stores},
    contract::revision::{Revision, config_map},
    names::Key,
    pipeline::run,
    stores::Stores,
};

/// An engine that keeps what it wrote, and says how it was asked.
#[derive(Default)]
struct Elsewhere {
    asked: Mutex<Vec<&'static str>>,
    written: Mutex<Option<DynamicObject>>,
    /// What the other operator says of the object.
    state: &'static str,
}

impl Elsewhere {
    fn is_asked(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Engine for Elsewhere {
    /// The savepoint to begin at.
    type Prepared = Option<String>;
    type Built = DynamicObject;
    type Applied = String;

    fn supports(spec: &PipelineSpec, _: &PodTemplate, _: &Dataflow) -> Vec<EngineFault> {
        let unknown = |field: &str, message: &str| EngineFault {
            reason: ConditionReason::InvalidSpec,
            fault: SpecFault::at(field, message),
        };
        let overflow = (spec.on_overflow == OnOverflow::DeadLetter)
            .then(|| unknown("onOverflow", "this engine knows Null alone"));
        let lateness = (spec.max_drift.millis() < 60_000)
            .then(|| unknown("maxDrift", "this engine takes 1m at least"));
        overflow.into_iter().chain(lateness).collect()
    }

    fn needs_finalizer(_: &PipelineSpec) -> bool {
        true
    }

    fn show_figures(&self, status: &mut PipelineStatus) {
        self.is_asked("figures");
        status.rate = Some("7".into());
    }

    fn running(&self, _: &QueryInForce) -> Option<QueryInForce> {
        None
    }

    async fn suspend(&self) -> Result<(), Error> {
        self.is_asked("suspend");
        Ok(())
    }

    async fn forget(&self, _: Checked<'_>, status: &PipelineStatus) -> Result<(), Error> {
        self.is_asked("forget");
        assert!(
            status.group.is_some(),
            "what goes is known until it is gone"
        );
        Ok(())
    }

    async fn prepare(
        &self,
        checked: Checked<'_>,
        status: &mut PipelineStatus,
    ) -> Result<Self::Prepared, Error> {
        self.is_asked("prepare");
        status.state = None;
        let savepoint = || "s3://savepoints/1".to_owned();
        Ok(checked.dataflow.keeps_state().then(savepoint))
    }

    fn build(&self, checked: Checked<'_>, savepoint: Self::Prepared) -> DynamicObject {
        self.is_asked("build");
        let kind = GroupVersionKind::gvk("flink.apache.org", "v1beta1", "FlinkDeployment");
        let name = checked.pipeline.metadata.name.clone().unwrap_or_default();
        let object = DynamicObject::new(&name, &ApiResource::from_gvk(&kind));
        let input = &checked.found.inputs[0].stream.topic;
        object.data(
            json!({"spec": {"job": {"args": [checked.pipeline.spec.sql, input],
            "initialSavepointPath": savepoint, "state": "running"}}}),
        )
    }

    async fn apply<T: Send>(
        &self,
        resolved: Result<(DynamicObject, T), Error>,
        status: &mut PipelineStatus,
    ) -> Result<(String, T), Error> {
        self.is_asked("apply");
        status.workload.replicas = Some(1);
        let (built, besides) = resolved?;
        *self.written.lock().unwrap() = Some(built);
        Ok(("job-1".into(), besides))
    }

    fn progress<'b>(&self, applied: &'b String) -> &'b str {
        applied
    }

    async fn observe(&self, _: &String) -> Result<ReconcileOutcome, Error> {
        self.is_asked("observe");
        match self.state {
            "STABLE" => Ok(ReconcileOutcome::ready(
                ConditionReason::Running,
                "the job runs",
            )),
            state => Err(Error::waiting(
                ConditionReason::Running,
                format!("the job is {state}"),
            )),
        }
    }

    async fn finalize(&self, _: &PipelineStatus) -> Result<(), Error> {
        self.is_asked("finalize");
        Ok(())
    }
}

fn contract() -> Contract {
    Contract {
        fields: vec![Field::new("id", "string", false)],
        ..Contract::default()
    }
}

fn stream(name: &str) -> (DataStream, ConfigMap) {
    let accepted = Revision {
        version: 1,
        contract: contract(),
        topic: format!("shop.{name}"),
        platform: "default".into(),
        kept: Vec::new(),
        schema_ids: Vec::new(),
        compatibility: None,
        used: Vec::new(),
    };
    let stream = serde_json::from_value(
        json!({"metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"schema": [{"name": "id", "type": "string"}]},
        "status": {"topic": format!("shop.{name}"), "deadLetterTopic": format!("shop.{name}.dlq"),
            "contract": accepted.reference(name), "partitions": 3}}),
    );
    let map = config_map(&Key::new("DataStream", "shop", name), &accepted);
    (stream.unwrap(), map.unwrap())
}

fn world() -> Stores {
    let platform: Platform = serde_json::from_value(
        json!({"metadata": {"name": "default"}, "status": {"installation": "prod"}, "spec": {"kafka":
        {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}),
    )
    .unwrap();
    let (streams, maps): (Vec<_>, Vec<_>) = ["a", "b"].map(stream).into_iter().unzip();
    let guarded = |stream| kube::core::DeserializeGuard(Ok(stream));
    Stores {
        platforms: store(vec![kube::core::DeserializeGuard(Ok(platform))]),
        streams: store(streams.into_iter().map(guarded).collect()),
        config_maps: store(maps),
        ..stores()
    }
}

fn pipeline(besides: &Value) -> Pipeline {
    let mut spec = json!({"sql": "SELECT id FROM a", "to": [{"stream": "b"}]});
    for (field, value) in besides.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(
        json!({"metadata": {"name": "p", "namespace": "shop", "uid": "1", "generation": 1}, "spec": spec}),
    )
    .unwrap()
}

async fn reconciled(
    engine: &Elsewhere,
    besides: &Value,
    status: &mut PipelineStatus,
) -> Result<ReconcileOutcome, Error> {
    let (context, _) = context(world());
    run(engine, &pipeline(besides), status, &context).await
}

#[tokio::test]
async fn an_engine_that_another_operator_runs_is_asked_step_by_step() {
    let engine = Elsewhere {
        state: "STABLE",
        ..Elsewhere::default()
    };
    let mut status = PipelineStatus::default();
    let outcome = reconciled(&engine, &json!({}), &mut status).await.unwrap();
    assert!(outcome.ready, "{}", outcome.message);
    let steps = ["figures", "prepare", "build", "apply", "observe"];
    assert_eq!(engine.asked(), steps);
    let written = engine.written.lock().unwrap().take().unwrap();
    let job = &written.data["spec"]["job"];
    assert_eq!(job["args"], json!(["SELECT id FROM a", "shop.a"]));
    assert_eq!(job["initialSavepointPath"], Value::Null);
    assert_eq!(status.group.as_deref(), Some("job-1"));
    assert_eq!(
        (status.inputs, status.outputs),
        (vec!["a".into()], vec!["b".into()])
    );

    let engine = Elsewhere {
        state: "DEPLOYING",
        ..Elsewhere::default()
    };
    let mut status = PipelineStatus::default();
    let error = reconciled(&engine, &json!({}), &mut status)
        .await
        .unwrap_err();
    assert_eq!(error.message(), "the job is DEPLOYING");
    assert_eq!(status.group.as_deref(), Some("job-1"), "it was written");
}

#[tokio::test]
async fn what_an_engine_can_not_run_is_said_with_every_place_before_anything_is_made() {
    let engine = Elsewhere::default();
    let mut status = PipelineStatus::default();
    let besides = json!({"onOverflow": "DeadLetter", "maxDrift": "30s"});
    let error = reconciled(&engine, &besides, &mut status)
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "spec.onOverflow: this engine knows Null alone; spec.maxDrift: this engine takes 1m at least (the pods go on with the last good plan)"
    );
    assert_eq!(engine.asked(), ["figures", "apply"]);
    assert!(engine.written.lock().unwrap().is_none());
    assert_eq!(
        status.rate.as_deref(),
        Some("7"),
        "what runs is shown all the same"
    );
}

#[tokio::test]
async fn a_pipeline_that_is_not_right_is_suspended_all_the_same() {
    let engine = Elsewhere::default();
    let besides = json!({"suspend": true, "sql": "SELECT nobody FROM a"});
    let mut status = PipelineStatus::default();
    reconciled(&engine, &besides, &mut status)
        .await
        .unwrap_err();
    assert_eq!(engine.asked(), ["figures", "suspend", "apply"]);
}

#[tokio::test]
async fn a_query_that_begins_anew_has_the_progress_before_forgotten_first() {
    let in_force = || PipelineStatus {
        group: Some("job-0".into()),
        outputs: vec!["earlier".into()],
        state: Some(StateStatus {
            fingerprint: "0123456789".into(),
            ..StateStatus::default()
        }),
        ..PipelineStatus::default()
    };
    let engine = Elsewhere {
        state: "STABLE",
        ..Elsewhere::default()
    };
    let mut status = in_force();
    let error = reconciled(&engine, &json!({}), &mut status)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "StateChange");
    assert_eq!(engine.asked(), ["figures", "apply"], "it is held back");

    let reset = json!({"onStateChange": "Reset"});
    reconciled(&engine, &reset, &mut status).await.unwrap();
    let steps = ["figures", "forget", "prepare", "build", "apply", "observe"];
    assert_eq!(engine.asked(), steps);
    assert_eq!(
        (status.group.as_deref(), status.state),
        (Some("job-1"), None)
    );
}
