//! Labels that a new Pipeline brings, before the stream's status shows them.

use headworks_crds::DataStream;
use serde_json::{Value, json};

use super::*;

fn stream(name: &str, label: &str) -> DataStream {
    let labels: Vec<&str> = label.split_whitespace().collect();
    serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"platform": "p", "schema": [{"name": "id", "type": "string"}, {"name": "mail", "type": "string", "labels": labels}]}}))
    .unwrap()
}

fn pipeline(sql: &str, status: Value) -> Pipeline {
    serde_json::from_value(
        json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "copy", "namespace": "shop", "generation": 2},
        "spec": {"platform": "p", "sql": sql, "to": [{"stream": "big"}]}, "status": status}),
    )
    .unwrap()
}

fn found(pipelines: &[Pipeline]) -> Result<Labels, String> {
    let streams = [stream("people", "pii"), stream("big", "")];
    let objects = Objects {
        streams: streams.iter().collect(),
        pipelines: pipelines.iter().collect(),
        ..Objects::default()
    };
    arrived("shop", "big", &objects)
}

const GOOD: &str = "SELECT id, mail FROM people";
const WRONG: &str = "SELECT id, mail FROM nobody";

#[test]
fn a_label_that_a_new_pipeline_brings_is_known_at_once() {
    assert_eq!(found(&[]), Ok(Labels::new()));
    let labels = found(&[pipeline(GOOD, json!(null))]).unwrap();
    assert_eq!(
        labels,
        Labels::from([("mail".to_owned(), ["pii".to_owned()].into())])
    );
}

#[test]
fn a_new_pipeline_of_unknown_labels_is_waited_for() {
    let error = found(&[pipeline(WRONG, json!(null))]).unwrap_err();
    assert!(
        error.contains("aren't settled yet: Pipeline copy") && error.contains("try again"),
        "{error}"
    );
    let stalled = |generation: i64| {
        json!({"observedGeneration": generation, "conditions": [{"type": "Stalled", "status": "True", "reason": "SqlInvalid",
            "message": "no", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    };
    assert!(
        found(&[pipeline(WRONG, stalled(1))]).is_err(),
        "mended, perhaps"
    );
    assert_eq!(found(&[pipeline(WRONG, stalled(2))]), Ok(Labels::new()));
    // It has run: what it brings is in the status of the stream.
    let ran = json!({"observedGeneration": 2, "outputs": ["big"]});
    assert_eq!(found(&[pipeline(WRONG, ran)]), Ok(Labels::new()));
}
