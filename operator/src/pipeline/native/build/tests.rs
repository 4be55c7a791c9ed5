use headworks_crds::{DataStoreSpec, Pipeline, Platform, TableTarget};
use headworks_plan::{Contract, Field, Stream};
use k8s_openapi::{api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::OwnerReference};
use serde_json::json;

use super::*;
use crate::{
    connectors::stores::{self, StoreBinding},
    data_stream::resolve::ResolvedStream,
    names::Key,
    pipeline::{
        dereference::References,
        native::{requirements::StateRequirements, topics::StateTopics},
        validate,
    },
    planning::testing,
    platform::resolve::ResolvedPlatform,
    retry::Error,
    workload::{
        children::{self, PodController},
        plan_map::PlanMap,
    },
};

fn stream(name: &str, fields: &[(&str, &str)]) -> ResolvedStream {
    let fields = fields
        .iter()
        .map(|(name, t)| Field::new(*name, *t, false))
        .collect();
    ResolvedStream {
        stream: Stream {
            name: name.into(),
            topic: format!("shop.{name}"),
            dead_letter_topic: format!("shop.{name}.dlq"),
            contract: Contract {
                fields,
                ..Contract::default()
            },
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        platform: "default".into(),
        partitions: Some(6),
        registry: None,
    }
}

fn found() -> References {
    let platform: Platform =
        serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {"kafka":
        {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
        .unwrap();
    let fields = [("id", "string"), ("n", "bigint")];
    References {
        platform: ResolvedPlatform {
            platform,
            installation: "prod".into(),
        },
        inputs: vec![stream("a", &fields)],
        outputs: vec![stream("b", &fields)],
        tables: vec![],
        ca: None,
        judged: None,
    }
}

fn pipeline(spec: &serde_json::Value) -> Pipeline {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}))
        .unwrap()
}

/// A Pipeline without state.
fn valid(pipeline: &Pipeline, found: &References) -> Result<Workload, Error> {
    let dataflow = validate::check(pipeline, found)?;
    Ok(build(pipeline, found, &dataflow, None).workload)
}

/// What Kafka gave the topics of a state.
fn kept(pipeline: &Pipeline, found: &References, dataflow: &Dataflow) -> StateTopics {
    let wanted = StateRequirements::of(pipeline, found, dataflow).unwrap();
    StateTopics {
        topics: vec![],
        partitions: 6,
        max_message_bytes: wanted.max_message_bytes,
    }
}

/// A plan of version 1 that the operator wrote for the same objects comes to the same.
fn as_before(workload: &Workload, v1: &str) {
    let old: headworks_plan::v1::Plan = serde_json::from_str(v1).unwrap();
    assert_eq!(headworks_plan::Plan::from(old), workload.plan);
}

struct Children {
    plan: PlanMap,
    stateful_set: StatefulSet,
}

fn built(workload: &Workload) -> Children {
    let key = Key::new("Pipeline", "shop", "p");
    let built = children::build(workload, &key, &OwnerReference::default(), "runtime:1").unwrap();
    let PodController::StatefulSet(stateful_set) = built.pods else {
        panic!("pods with numbers")
    };
    assert!(built.ca.is_none() && built.service.is_none());
    Children {
        plan: built.plan,
        stateful_set: *stateful_set,
    }
}

#[test]
fn a_pipeline_with_state_has_two_parts_and_a_folder() {
    let table = json!({"store": "warehouse", "name": "counts", "key": ["id"]});
    let pipeline = pipeline(
        &json!({"sql": "SELECT id, n FROM a", "to": [{"stream": "b"}, {"table": table}], "allowedLateness": "1m",
        "state": {"memory": "1Gi", "disk": "20Gi", "ttl": "30d"}}),
    );
    let mut found = References {
        tables: vec![self::table(&table)],
        ..found()
    };
    found.inputs[0].stream.contract.event_time = Some(headworks_plan::EventTime {
        field: "at".into(),
        max_out_of_orderness_ms: 5_000,
        idle_timeout_ms: None,
    });
    found.outputs[0].stream.contract.event_time =
        found.inputs[0].stream.contract.event_time.clone();
    let a = testing::contract(&[("id", "string", false), ("n", "bigint", false)]);
    let dataflow = testing::keyed("SELECT id, n FROM a", &a, &[0]);
    let kept = kept(&pipeline, &found, &dataflow);
    let Built {
        workload, group, ..
    } = build(&pipeline, &found, &dataflow, Some(&kept));
    assert_eq!(group, "headworks.prod.shop.p.01234567");
    as_before(
        &workload,
        include_str!("../../../../../runtime/plan/tests/v1/keyed.json"),
    );
    let built = built(&workload);
    insta::assert_yaml_snapshot!("keyed_stateful_set", built.stateful_set);
    let plan: serde_json::Value =
        serde_json::from_str(&built.plan.config_map.data.unwrap()["plan.json"]).unwrap();
    insta::assert_yaml_snapshot!("keyed_plan", plan["role"]["pipeline"]);
}

#[test]
fn the_state_knows_its_inputs_by_a_place_that_no_edit_of_the_query_changes() {
    let spec = json!({"sql": "SELECT id, n FROM a", "to": [{"stream": "b"}]});
    let pipeline = pipeline(&spec);
    let a = testing::contract(&[("id", "string", false), ("n", "bigint", false)]);
    let dataflow = testing::keyed("SELECT id, n FROM a", &a, &[0]);
    let names = |inputs: &[&str]| -> Vec<String> {
        let inputs = inputs.iter().map(|name| stream(name, &[("id", "string")]));
        let found = References {
            inputs: inputs.collect(),
            ..found()
        };
        let kept = kept(&pipeline, &found, &dataflow);
        let workload = build(&pipeline, &found, &dataflow, Some(&kept)).workload;
        let headworks_plan::Role::Pipeline(plan) = workload.plan.role else {
            panic!("a pipeline")
        };
        plan.inputs.iter().map(|i| i.name.clone()).collect()
    };
    assert_eq!(names(&["orders", "clicks"]), ["clicks", "orders"]);
    assert_eq!(names(&["clicks", "orders"]), ["clicks", "orders"]);
}

#[test]
fn replicas_are_the_spec_s_and_roll_no_pod() {
    let of = |replicas: &serde_json::Value| {
        let spec =
            json!({"sql": "SELECT id, n FROM a", "to": [{"stream": "b"}], "replicas": replicas});
        built(&valid(&pipeline(&spec), &found()).unwrap())
    };
    let (one, three) = (of(&json!(1)), of(&json!(3)));
    let replicas = |built: &Children| built.stateful_set.spec.as_ref().unwrap().replicas;
    assert_eq!((replicas(&one), replicas(&three)), (Some(1), Some(3)));
    assert_eq!(one.plan.digest, three.plan.digest);
    let template = |built: &Children| built.stateful_set.spec.clone().unwrap().template;
    assert_eq!(template(&one), template(&three));
}

#[test]
fn how_long_others_wait_for_stragglers_rolls_no_pod_without_state() {
    let spec = json!({"sql": "SELECT id, n FROM a", "to": [{"stream": "b"}]});
    let of = |lateness: u64| {
        let mut found = found();
        let fields = [
            ("id", "string"),
            ("n", "bigint"),
            ("at", "timestamp_ltz(3)"),
        ];
        found.inputs = vec![stream("a", &fields)];
        found.inputs[0].stream.contract.event_time = Some(headworks_plan::EventTime {
            field: "at".into(),
            max_out_of_orderness_ms: lateness,
            idle_timeout_ms: Some(1),
        });
        valid(&pipeline(&spec), &found).unwrap().plan
    };
    assert_eq!(of(5), of(50));
}

#[test]
fn records_are_judged_where_they_are_read_and_state_knows_nothing_of_it() {
    let judged = || {
        let mut found = found();
        for stream in found.inputs.iter_mut().chain(&mut found.outputs) {
            stream.stream.rules = vec![headworks_plan::Rule {
                name: "sane".into(),
                generation: 1,
                filter: None,
                checks: Vec::new(),
            }];
        }
        found
    };
    let spec = json!({"sql": "SELECT id, n FROM a", "to": [{"stream": "b"}]});
    let pipeline = pipeline(&spec);
    let a = testing::contract(&[("id", "string", false), ("n", "bigint", false)]);
    let stateless = headworks_sql::plan(
        "SELECT id, n FROM a",
        &headworks_sql::Catalog::new().with("a", a.clone()),
    )
    .unwrap();
    for dataflow in [stateless, testing::keyed("SELECT id, n FROM a", &a, &[0])] {
        let (found, without) = (judged(), found());
        let kept = dataflow
            .keeps_state()
            .then(|| kept(&pipeline, &found, &dataflow));
        let Built {
            workload, group, ..
        } = build(&pipeline, &found, &dataflow, kept.as_ref());
        let headworks_plan::Role::Pipeline(plan) = workload.plan.role else {
            panic!("a Pipeline")
        };
        assert_eq!(plan.inputs[0].rules.len(), 1);
        assert!(plan.outputs[0].rules.is_empty());
        let before = build(&pipeline, &without, &dataflow, kept.as_ref()).group;
        assert_eq!(group, before);
    }
}

#[test]
fn a_pipeline_is_a_plan_and_a_stateful_set() {
    let pipeline = pipeline(
        &json!({"sql": "SELECT id, n * 2 AS n FROM a", "to": [{"stream": "b"}], "replicas": 2}),
    );
    let workload = valid(&pipeline, &found()).unwrap();
    as_before(
        &workload,
        include_str!("../../../../../runtime/plan/tests/v1/pipeline.json"),
    );
    let built = built(&workload);
    insta::assert_yaml_snapshot!("pipeline_stateful_set", built.stateful_set);
    insta::assert_yaml_snapshot!("pipeline_plan", built.plan.config_map);
}

/// A table of a store, as `dereference` finds it.
fn table(target: &serde_json::Value) -> (TableTarget, StoreBinding) {
    let spec: DataStoreSpec = serde_json::from_value(json!({"postgres": {"url": "postgres://db.shop.svc/shop",
        "secret": "warehouse-app", "tls": {"caSecret": {"name": "warehouse-ca", "key": "ca.crt"}}}}))
    .unwrap();
    let target: TableTarget = serde_json::from_value(target.clone()).unwrap();
    let binding = stores::bind(&target.store, &spec).unwrap();
    (target, binding)
}

#[test]
fn two_tables_of_a_store_are_two_stages_and_one_volume() {
    let one = json!({"store": "warehouse", "name": "orders", "key": ["id"], "create": true});
    let two = json!({"store": "warehouse", "name": "reporting.log"});
    let pipeline = pipeline(
        &json!({"sql": "SELECT id, n FROM a", "to": [{"table": one}, {"stream": "b"}, {"table": two}]}),
    );
    let found = References {
        tables: vec![table(&one), table(&two)],
        ..found()
    };
    let workload = valid(&pipeline, &found).unwrap();
    let names: Vec<&str> = workload.secrets.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["warehouse-app", "warehouse-ca"]);
    as_before(
        &workload,
        include_str!("../../../../../runtime/plan/tests/v1/tables.json"),
    );
    let built = built(&workload);
    insta::assert_yaml_snapshot!("tables_stateful_set", built.stateful_set);
    insta::assert_yaml_snapshot!("tables_plan", built.plan.config_map);
}

#[test]
fn a_pipeline_may_write_tables_alone() {
    let only = json!({"store": "warehouse", "name": "orders"});
    let pipeline = pipeline(&json!({"sql": "SELECT id FROM a", "to": [{"table": only}]}));
    let found = References {
        outputs: vec![],
        tables: vec![table(&only)],
        ..found()
    };
    let workload = valid(&pipeline, &found).unwrap();
    let headworks_plan::Role::Pipeline(plan) = workload.plan.role else {
        panic!("a pipeline")
    };
    let ids: Vec<&str> = plan.stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!((plan.outputs.len(), ids), (0, vec!["table-0"]));
}

#[test]
fn a_wrong_column_is_named_with_line_and_column() {
    let error = valid(
        &pipeline(&json!({"sql": "SELECT id,\n       nn AS n\nFROM a", "to": [{"stream": "b"}]})),
        &found(),
    )
    .unwrap_err();
    assert_eq!(error.reason(), "InvalidSql");
    assert!(
        error.message().starts_with("spec.sql line 2, column 8: "),
        "{error}"
    );
}

#[test]
fn a_column_that_does_not_fit_its_target_is_named() {
    let error = valid(
        &pipeline(
            &json!({"sql": "SELECT id, CAST(n AS STRING) AS n FROM a", "to": [{"stream": "b"}]}),
        ),
        &found(),
    )
    .unwrap_err();
    assert_eq!(error.reason(), "OutputMismatch");
    for word in ["spec.to[0]", "bigint", "string", "b"] {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}
