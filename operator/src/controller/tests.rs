//! A controller whose kind sets off a mistake of ours with one of its objects.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;
use crate::{
    admission::{AdmissionDecision, Around, Request},
    context::testing::{calls, context, store, stores},
    planning::uses::{StreamUse, UsesStreams},
    reason::ConditionReason,
    scope::Watch,
    supervise::{OfTask, PANICS},
    watches::{Wake, Watching},
};

impl Watched for ConfigMap {
    fn watches(_: &Watching<'_>) -> Vec<Watch<DeserializeGuard<Self>>> {
        Vec::new()
    }

    fn changed(&self, _: bool, _: &Wake) {}
}

impl UsesStreams for ConfigMap {
    fn streams(&self) -> StreamUse {
        StreamUse::None
    }
}

impl Reviewed for ConfigMap {
    fn review(_: &Request<Self>, _: Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }

    fn deletion(_: &str, _: &Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }
}

impl Reconciler for ConfigMap {
    type Status = Value;

    fn status(&self) -> Option<&Value> {
        None
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        Vec::new()
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        None
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(&self, status: &mut Value, _: &Context) -> Result<ReconcileOutcome, Error> {
        *status = json!({"seen": true});
        tokio::task::yield_now().await;
        assert_ne!(self.name_any(), "bad", "a secret that the panic tells");
        Ok(ReconcileOutcome::ready(
            ConditionReason::Running,
            "all is well",
        ))
    }

    async fn finalize(&self, _: &Value, _: &Context) -> Result<(), Error> {
        Ok(())
    }
}

fn object(name: &str) -> DeserializeGuard<ConfigMap> {
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": "1"}}))
    .unwrap()
}

#[tokio::test]
async fn a_mistake_with_one_object_is_counted_said_in_its_status_and_stops_nobody() {
    let (context, asked) = context(stores());
    let objects = store(vec![object("bad"), object("good")]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(context.clone(), objects, stop.clone()));
    let status = |name: &str| format!("/api/v1/namespaces/shop/configmaps/{name}/status");
    let wakes = || {
        let patched = calls(&asked, "PATCH");
        let of = |name: &str| patched.iter().filter(|path| **path == status(name)).count();
        (of("bad"), of("good"))
    };
    let wait = async |enough: &dyn Fn() -> bool| {
        for _ in 0..200 {
            if enough() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", asked.lock().unwrap());
    };
    wait(&|| wakes().0 >= 1 && wakes().1 >= 1).await;
    let text = context.metrics.text();
    let label = OfTask {
        task: "reconcile ConfigMap".into(),
    };
    let panics = PANICS.get_or_create(&label).get();
    assert!(panics >= 1, "{text}");
    assert!(
        text.contains(r#"panics_total{task="reconcile ConfigMap"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"reconciles_total{kind="ConfigMap",outcome="transient"}"#),
        "{text}"
    );
    // It is tried again, and the controller is as it was.
    wait(&|| PANICS.get_or_create(&label).get() > panics).await;
    assert!(!running.is_finished());
    assert_eq!(context.health.stands_still(Instant::now()), None);
    stop.cancel();
    running.await.unwrap();
}
