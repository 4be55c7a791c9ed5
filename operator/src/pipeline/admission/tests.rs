use headworks_crds::DataStream;
use serde_json::{Value, json};

use super::*;
use crate::{
    contract,
    impact::{
        Stream,
        cluster::{self, Objects},
    },
};

fn snapshot() -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    for (name, schema) in [
        (
            "a",
            json!([{"name": "id", "type": "string"}, {"name": "mail", "type": "string", "labels": ["pii"]}]),
        ),
        (
            "b",
            json!([{"name": "id", "type": "string"}, {"name": "who", "type": "string"}]),
        ),
    ] {
        let spec = serde_json::from_value(json!({"schema": schema})).unwrap();
        let stream = Stream {
            contract: contract::wanted(("shop", "a"), &spec, None).unwrap(),
            version: Some(1),
            ..Stream::default()
        };
        snapshot
            .streams
            .insert(("shop".into(), name.into()), stream);
    }
    let grant = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["b"]});
    let grant = serde_json::from_value(grant).unwrap();
    snapshot
        .grants
        .insert(("shop".into(), "bi-b".into()), grant);
    snapshot
}

fn ask(sql: &str, to: &Value) -> AdmissionDecision {
    ask_of(sql, to, None, snapshot())
}

fn around(snapshot: CatalogSnapshot) -> Around {
    Around {
        snapshot,
        stores: ["warehouse".to_owned()].into(),
        platforms: ["default".to_owned()].into(),
    }
}

/// A count by minute that runs, and what becomes of it; `more` is of the new spec.
fn change(more: &Value, annotation: Option<&str>) -> Vec<String> {
    let mut snapshot = snapshot();
    let spec = json!({"eventTime": {"field": "ts"}, "schema": [
            {"name": "id", "type": "string"}, {"name": "ts", "type": "timestamp_ltz(3)"}]});
    let spec = serde_json::from_value(spec).unwrap();
    let stream = Stream {
        contract: contract::wanted(("shop", "ev"), &spec, None).unwrap(),
        version: Some(1),
        ..Stream::default()
    };
    snapshot
        .streams
        .insert(("shop".into(), "ev".into()), stream);
    let to = json!([{"table": {"store": "warehouse", "name": "totals", "key": ["id"]}}]);
    let pipeline = |unit: &str| {
        json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
            "metadata": {"name": "p", "namespace": "shop"}, "spec": {"to": to,
            "sql": format!("SELECT id, COUNT(*) AS n FROM ev GROUP BY id, TUMBLE(ts, INTERVAL '1' {unit})")}})
    };
    let mut old = pipeline("MINUTE");
    old["status"] = json!({"group": "g.01234567", "tables": ["warehouse/totals"],
            "state": {"fingerprint": "0123456789", "version": "01234567"}});
    let mut new = pipeline("HOUR");
    for (name, value) in more.as_object().unwrap() {
        new["spec"][name] = value.clone();
    }
    if let Some(value) = annotation {
        new["metadata"]["annotations"] = json!({ANNOTATION_ACCEPT_MIXED_RESULTS: value});
    }
    let request = Request {
        new: serde_json::from_value(new).unwrap(),
        old: Some(serde_json::from_value(old).unwrap()),
    };
    let decision = review(&request, || around(snapshot));
    assert_eq!(decision.denied, None);
    decision.warnings
}

#[test]
fn a_query_that_cannot_go_on_with_its_state_is_told_in_the_terminal() {
    let told = change(&json!({}), None);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("(StateChange)") && told[0].contains("onStateChange: Reset"),
        "{told:?}"
    );
    let reset = json!({"onStateChange": "Reset"});
    let told = change(&reset, None);
    assert_eq!(told.len(), 1, "{told:?}");
    for word in [
        "(ResultsWouldMix)",
        "table warehouse/totals",
        "Name other targets",
    ] {
        assert!(told[0].contains(word), "{word}: {told:?}");
    }
    // The value that it names is the one that is taken.
    let token = told[0].split('"').nth(1).unwrap();
    let told = change(&reset, Some(token));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("begins anew at spec.startFrom"),
        "{told:?}"
    );
    let elsewhere = json!({"onStateChange": "Reset", "to": [{"table": {"store": "warehouse", "name": "hourly", "key": ["id"]}}]});
    let told = change(&elsewhere, None);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("begins anew at spec.startFrom"),
        "{told:?}"
    );
}

#[test]
fn what_is_missing_around_it_is_told_with_the_near_name() {
    let mut snapshot = snapshot();
    let other = json!({"sql": "SELECT id FROM a", "to": [{"table": {"store": "warehouse", "name": "public.t"}}]});
    let other = serde_json::from_value(other).unwrap();
    snapshot
        .pipelines
        .insert(("shop".into(), "q".into()), other);
    let to = |store: &str| json!([{"table": {"store": store, "name": "t"}}]);
    let told = ask_of("SELECT id FROM a", &to("warehose"), None, snapshot.clone()).warnings;
    assert_eq!(
        told,
        ["DataStore warehose isn't there yet: the Pipeline waits for it; did you mean warehouse?"]
    );
    let told = ask_of("SELECT id FROM a", &to("warehouse"), None, snapshot).warnings;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("table warehouse/t is written by Pipeline q, too: "),
        "{told:?}"
    );
}

fn ask_of(
    sql: &str,
    to: &Value,
    old: Option<&str>,
    snapshot: CatalogSnapshot,
) -> AdmissionDecision {
    let pipeline = |sql: &str| -> Pipeline {
        serde_json::from_value(
            json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
                "metadata": {"name": "p", "namespace": "shop"}, "spec": {"sql": sql, "to": to}}),
        )
        .unwrap()
    };
    let request = Request {
        new: pipeline(sql),
        old: old.map(pipeline),
    };
    review(&request, || around(snapshot))
}

#[test]
fn a_label_that_comes_two_streams_on_is_told_once() {
    let mut snapshot = snapshot();
    let spec =
        json!({"schema": [{"name": "id", "type": "string"}, {"name": "person", "type": "string"}]});
    let stream = Stream {
        contract: contract::wanted(("shop", "c"), &serde_json::from_value(spec).unwrap(), None)
            .unwrap(),
        version: Some(1),
        ..Stream::default()
    };
    snapshot.streams.insert(("shop".into(), "c".into()), stream);
    let copy = json!({"sql": "SELECT id, who AS person FROM b", "to": [{"stream": "c"}]});
    let copy = serde_json::from_value(copy).unwrap();
    snapshot.pipelines.insert(("shop".into(), "q".into()), copy);
    let grant = snapshot
        .grants
        .remove(&("shop".into(), "bi-b".into()))
        .unwrap();
    let grant = headworks_crds::AccessGrantSpec {
        read: vec!["c".into()],
        ..grant
    };
    snapshot
        .grants
        .insert(("shop".into(), "bi-c".into()), grant);
    let (plain, labelled) = (
        "SELECT id, id AS who FROM a",
        "SELECT id, mail AS who FROM a",
    );
    let to = json!([{"stream": "b"}]);
    let told = [
        "field person of DataStream c gets label pii by this query, and AccessGrant bi-c lets bi/app read it",
    ];
    assert_eq!(ask_of(labelled, &to, None, snapshot.clone()).warnings, told);
    assert_eq!(
        ask_of(labelled, &to, Some(plain), snapshot.clone()).warnings,
        told
    );
    // It was there before.
    let more = "SELECT id, LOWER(mail) AS who FROM a";
    assert_eq!(
        ask_of(more, &to, Some(labelled), snapshot).warnings,
        [""; 0]
    );
}

#[test]
fn what_the_text_proves_is_refused_and_what_contracts_say_is_a_warning() {
    let to = json!([{"stream": "b"}]);
    let denied = ask("SELECT id,\n  FROM a", &to).denied.unwrap();
    assert!(denied.contains("spec.sql line 2"), "{denied}");
    let denied = ask("SELECT id AS at FROM a", &to).denied.unwrap();
    assert!(denied.contains("reserved word"), "{denied}");
    let decision = ask("SELECT idd FROM a", &to);
    assert_eq!(decision.denied, None);
    assert!(
        decision.warnings[0].contains("unknown column \"idd\""),
        "{decision:?}"
    );
    let decision = ask("SELECT id FROM nobody", &to);
    assert_eq!(decision.denied, None);
    assert_eq!(
        decision.warnings,
        ["DataStream nobody isn't there yet: the Pipeline waits for it"]
    );
    let decision = ask("SELECT id FROM a", &to);
    assert!(
        decision.warnings[0].contains("(OutputMismatch)"),
        "{decision:?}"
    );
    assert_eq!(
        ask("SELECT id, id AS who FROM a", &to),
        AdmissionDecision::pass()
    );
}

#[test]
fn a_label_that_comes_to_a_granted_stream_is_told() {
    let decision = ask(
        "SELECT id, UPPER(mail) AS who FROM a",
        &json!([{"stream": "b"}]),
    );
    assert_eq!(
        decision.warnings,
        [
            "field who of DataStream b gets label pii by this query, and AccessGrant bi-b lets bi/app read it"
        ]
    );
}

#[test]
fn a_stream_that_waits_for_its_config_map_is_no_stream_that_does_not_exist() {
    let waiting: DataStream = serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
        "metadata": {"name": "w", "namespace": "shop"}, "spec": {"format": "Protobuf", "protobuf": {
        "schema": "message A { common.Money m = 1; }",
        "imports": [{"name": "common/money.proto", "configMap": {"name": "protos", "key": "money.proto"}}]}}}))
    .unwrap();
    let objects = Objects {
        streams: vec![&waiting],
        ..Objects::default()
    };
    let told = |to: &Value, snapshot| ask_of("SELECT m FROM w", to, None, snapshot).warnings;
    let to = json!([{"table": {"store": "warehouse", "name": "t"}}]);
    let warnings = told(&to, cluster::of("shop", &objects));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("DataStream w has no contract yet"),
        "{warnings:?}"
    );
    let warnings = told(&to, CatalogSnapshot::default());
    assert!(warnings[0].contains("isn't there yet"), "{warnings:?}");
}
