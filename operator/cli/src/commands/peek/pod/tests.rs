//! The pod as it is made, and what is said of one that doesn't start.

use headworks_plan::{
    Contract, Format, KafkaConnection, KnownSchema, PEEK_VERSION, PeekSelection, PeekTask,
    Registered, Stream,
};
use serde_json::{Value, json};

use super::super::plan::Credentials;
use super::*;

fn plan() -> PeekPlan {
    PeekPlan {
        version: PEEK_VERSION,
        kafka: KafkaConnection {
            bootstrap_servers: "k:9092".into(),
            ..KafkaConnection::default()
        },
        registry: None,
        stream: Stream {
            name: "orders".into(),
            topic: "shop.orders".into(),
            dead_letter_topic: "shop.orders.dlq".into(),
            contract: Contract::default(),
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        group: "g".into(),
        masked: vec!["email".into()],
        task: PeekTask::Records,
        select: PeekSelection {
            limit: 20,
            seconds: 60,
            ..PeekSelection::default()
        },
    }
}

fn by_grant() -> Login {
    Login::Secret(Credentials {
        namespace: "bi".into(),
        secret: "headworks-shop-report".into(),
        username: "username".into(),
        password: "password".into(),
        has_ca: true,
        group: None,
    })
}

fn built(
    plan: &PeekPlan,
    login: &Login,
    ca: Option<&str>,
    template: &Value,
) -> Result<Pod, String> {
    pod(&Inputs {
        name: "headworks-peek-0123456789".into(),
        stream: &Key::new("DataStream", "shop", "orders"),
        plan,
        login,
        ca,
        image: "runtime:1",
        template: &serde_json::from_value(template.clone()).unwrap(),
    })
}

#[test]
fn a_pod_reads_a_stream_and_ends() {
    insta::assert_yaml_snapshot!(built(&plan(), &Login::Nobody, None, &json!({})).unwrap());
}

#[test]
fn credentials_are_mounted_and_placement_is_the_platform_s() {
    let template = json!({"imagePullSecrets": [{"name": "pull"}], "nodeSelector": {"pool": "data"},
        "annotations": {"mesh": "off"}, "labels": {"team": "data"}, "image": "other:2",
        "resources": {"requests": {"memory": "96Mi"}}});
    let pod = built(&plan(), &by_grant(), Some("PEM"), &template).unwrap();
    insta::assert_yaml_snapshot!(pod);
}

#[test]
fn no_pod_is_taken_for_one_of_the_operator_s() {
    let pod = built(&plan(), &Login::Nobody, None, &json!({})).unwrap();
    let labels = pod.metadata.labels.unwrap();
    assert!(
        !labels.keys().any(|key| key.contains("managed-by")),
        "{labels:?}"
    );
}

#[test]
fn a_plan_that_is_too_large_goes_without_the_oldest_definitions() {
    let mut large = plan();
    let known = (1..=9).map(|id| KnownSchema {
        id,
        schema: "x".repeat(40 << 10),
        references: Vec::new(),
    });
    large.stream.contract.format = Format::Avro;
    large.stream.contract.registered = Some(Registered {
        subject: "s".into(),
        id: 10,
        known: known.collect(),
    });
    let pod = built(&large, &Login::Nobody, None, &json!({})).unwrap();
    let text = &pod.metadata.annotations.unwrap()[PLAN_ANNOTATION];
    let told: PeekPlan = serde_json::from_str(text).unwrap();
    let known = told.stream.contract.registered.unwrap().known;
    let ids: Vec<u32> = known.iter().map(|known| known.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);

    large.stream.contract.registered = None;
    let ca = "x".repeat(300 << 10);
    let error = built(&large, &Login::Nobody, Some(&ca), &json!({})).unwrap_err();
    assert!(error.contains("annotations hold"), "{error}");
}

fn seen(status: Value) -> Start {
    let pod: Pod =
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
    start(&pod)
}

#[test]
fn what_keeps_a_pod_from_starting_is_said() {
    let waiting = |reason: &str| {
        json!({"phase": "Pending", "containerStatuses": [{"name": "headworks", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "said so"}}}]})
    };
    assert_eq!(
        seen(waiting("ImagePullBackOff")),
        Start::Cannot("ImagePullBackOff: said so".into())
    );
    assert_eq!(
        seen(waiting("ErrImagePull")),
        Start::Waits("ErrImagePull: said so".into())
    );
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Too many pods."}]});
    assert_eq!(
        seen(unscheduled),
        Start::Waits("Unschedulable: 0/1 nodes are available: 1 Too many pods.".into())
    );
    assert_eq!(
        seen(
            json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough"})
        ),
        Start::Cannot("OutOfcpu: Node didn't have enough".into())
    );
    assert!(matches!(seen(json!({})), Start::Waits(_)));
}

#[test]
fn one_that_ran_has_a_log_and_an_end() {
    let state = |state: Value| {
        json!({"phase": "Failed", "containerStatuses": [{"name": "headworks", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]})
    };
    assert_eq!(
        seen(state(
            json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        )),
        Start::Runs
    );
    let killed = state(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
    assert_eq!(seen(killed.clone()), Start::Runs);
    let pod = |status: Value| serde_json::from_value::<Pod>(json!({"status": status})).unwrap();
    assert_eq!(
        ended(&pod(killed)).as_deref(),
        Some("OOMKilled, exit code 137")
    );
    assert_eq!(
        ended(&pod(
            json!({"phase": "Failed", "reason": "DeadlineExceeded"})
        ))
        .as_deref(),
        Some("its time was over")
    );
}

#[test]
fn only_pods_that_ended_long_ago_are_taken_away() {
    let pod = |name: &str, phase: &str, made: &str, ended: Option<&str>| -> Pod {
        let ended = ended.map(|at| {
            json!([{"name": "headworks", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "finishedAt": at}}}])
        });
        serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": made},
            "status": {"phase": phase, "containerStatuses": ended}}))
        .unwrap()
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    let pods = [
        pod("headworks-peek-a", "Succeeded", early, Some(early)),
        // Its node refused it.
        pod("headworks-peek-b", "Failed", early, None),
        pod("headworks-peek-c", "Running", early, None),
        pod("headworks-peek-d", "Succeeded", late, Some(late)),
        // It followed a topic for an hour, and somebody prints its last lines still.
        pod("headworks-peek-e", "Succeeded", early, Some(late)),
        pod("mine", "Failed", early, Some(early)),
    ];
    let left = left(&pods, "2026-01-01T00:30:00Z".parse().unwrap());
    let of = |name: &str| (name.to_owned(), format!("uid-{name}"));
    assert_eq!(left, [of("headworks-peek-a"), of("headworks-peek-b")]);
}
