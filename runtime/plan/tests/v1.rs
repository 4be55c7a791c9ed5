//! Plans of version 1, as operators wrote them, and what becomes of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use headworks_plan::{Edge, Ends, PipelinePlan, Plan, Role, VERSION, names, v1};

fn read(text: &str) -> (v1::Plan, Plan) {
    let old: v1::Plan = serde_json::from_str(text).unwrap();
    (old.clone(), old.into())
}

fn pipeline(plan: Plan) -> PipelinePlan {
    assert_eq!(plan.version, VERSION);
    match plan.role {
        Role::Pipeline(pipeline) => pipeline,
        Role::Source(_)
        | Role::Store(_)
        | Role::Replay(_)
        | Role::ReplayIntoPipeline(_)
        | Role::Compare(_) => panic!("a pipeline"),
    }
}

/// One line a stage: id, what it runs, group, what it reads, where it ends, what it keeps.
fn described(plan: &PipelinePlan) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in &plan.stages {
        let reads: Vec<&str> = stage
            .reads
            .iter()
            .map(|edge| match edge {
                Edge::Stream(name) | Edge::Stage(name) => name.as_str(),
            })
            .collect();
        let ends = match &stage.ends {
            Ends::Streams { results } => match results {
                Some(results) => format!("streams and {}", results.topic),
                None => "streams".to_owned(),
            },
            Ends::Exchange(topic) => topic.topic.clone(),
            Ends::Table(table) => {
                assert_eq!(table.group, stage.group);
                format!("table {}", table.table)
            }
        };
        let state = stage.state.as_ref().map_or("-", |s| &s.changelog.topic);
        let runs = stage.runs.map_or("-".to_owned(), |runs| runs.to_string());
        let (id, group) = (&stage.id, &stage.group);
        lines.push(format!(
            "{id} {runs} {group} <- {} -> {ends} [{state}]",
            reads.join(",")
        ));
    }
    lines
}

/// But for the version they are the same, to the field.
#[test]
fn plans_of_sources_and_stores_are_what_they_were() {
    for text in [
        include_str!("v1/http.json"),
        include_str!("v1/generate.json"),
        include_str!("v1/store.json"),
    ] {
        let (_, plan) = read(text);
        let mut old: serde_json::Value = serde_json::from_str(text).unwrap();
        old["version"] = VERSION.into();
        assert_eq!(serde_json::to_value(plan).unwrap(), old);
    }
}

#[test]
fn a_pipeline_without_state_has_a_stage_for_its_streams_and_one_for_each_table() {
    let (_, plan) = read(include_str!("v1/pipeline.json"));
    assert_eq!(
        described(&pipeline(plan)),
        ["streams 0 headworks.prod.shop.p <- a -> streams [-]"]
    );
    let (old, plan) = read(include_str!("v1/tables.json"));
    let g = "headworks.prod.shop.p";
    assert_eq!(
        described(&pipeline(plan)),
        [
            format!("streams 0 {g} <- a -> streams [-]"),
            format!("table-0 0 {g}.table.warehouse.orders <- a -> table orders [-]"),
            format!("table-1 0 {g}.table.warehouse.reporting.log <- a -> table reporting.log [-]"),
        ]
    );
    // Tables alone have no stage for streams; neither outputs nor tables, one that reads and writes nothing.
    let v1::RoleV1::Pipeline(mut alone) = old.role else {
        panic!("a pipeline")
    };
    alone.outputs.clear();
    let stages = |p: &v1::Pipeline| PipelinePlan::from(p.clone()).stages.len();
    assert_eq!(stages(&alone), 2);
    alone.tables.clear();
    assert_eq!(stages(&alone), 1);
}

#[test]
fn a_pipeline_with_state_has_an_exchange_before_it_and_tables_after_it() {
    let (_, plan) = read(include_str!("v1/keyed.json"));
    let plan = pipeline(plan);
    let g = "headworks.prod.shop.p.01234567";
    assert_eq!(
        described(&plan),
        [
            format!("exchange 0 {g} <- a -> {g}-repartition [-]"),
            format!("keyed 1 {g}.keyed <- exchange -> streams and {g}-results [{g}-changelog]"),
            format!("table-0 - {g}.table.warehouse.counts <- keyed -> table counts [-]"),
        ]
    );
    let [exchange, keyed, table] = plan.stages.as_slice() else {
        panic!("three stages")
    };
    assert_eq!(exchange.max_drift_ms, Some(600_000));
    let state = keyed.state.as_ref().unwrap();
    assert_eq!(
        (state.allowed_lateness_ms, state.ttl_ms, state.memory_bytes),
        (60_000, Some(2_592_000_000), 1 << 30)
    );
    assert_eq!((state.changelog.partitions, keyed.max_drift_ms), (6, None));
    assert_eq!(table.state, None);
    // And they are the names that the operator gives now.
    let names = names::PipelineNames::of_group(&exchange.group);
    assert_eq!(keyed.group, names.keyed_group());
    assert_eq!(table.group, names.table_group("warehouse", "counts"));
    assert_eq!(exchange.exchange().unwrap().topic, names.repartition());
    assert_eq!(keyed.results().unwrap().topic, names.results());
}

#[test]
fn a_source_is_told_as_ever() {
    let text = r#"{"version":1,"installation":"x","namespace":"shop","name":"in","kafka":{"bootstrapServers":"k:9092"},
        "role":{"source":{"into":{"name":"s","topic":"t","deadLetterTopic":"t.dlq","contract":{"fields":[],"format":"Json"},
        "maxMessageBytes":1},"http":{"path":"/","bearer":false,"tls":false,"maxBodyBytes":1},
        "onInvalid":"Reject","unknownFields":"Ignore"}}}"#;
    let (_, plan) = read(text);
    let now: Plan = serde_json::from_str(&text.replace("\"version\":1", "\"version\":2")).unwrap();
    assert_eq!(plan, now);
}

#[test]
fn a_plan_of_now_survives_json() {
    for text in [
        include_str!("v1/pipeline.json"),
        include_str!("v1/tables.json"),
        include_str!("v1/keyed.json"),
    ] {
        let (old, plan) = read(text);
        let written = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), plan);
        let as_it_was = serde_json::to_value(&old).unwrap();
        assert_eq!(
            as_it_was,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
        if text == include_str!("v1/keyed.json") {
            let now: serde_json::Value = serde_json::from_str(&written).unwrap();
            let golden = include_str!("v2/keyed.json");
            assert_eq!(
                now,
                serde_json::from_str::<serde_json::Value>(golden).unwrap()
            );
        }
        // A pod of version 1 doesn't take it for one of its own.
        assert!(serde_json::from_str::<v1::Plan>(&written).is_err());
    }
}
