use std::time::Duration;

use headworks_e2e::{pipeline, until};

use super::{STREAM, Strimzi, TOPIC, WAIT};

const PIPELINE: &str = "pipelines.headworks.dev";

#[test]
fn a_pipeline_with_state_has_topics_of_its_own_that_the_topic_operator_never_sees() {
    let Some(s) = Strimzi::new("e2e-strimzi-state") else {
        return;
    };
    s.c.apply(&s.stream("a", "partitions: 2"));
    s.c.apply(&s.stream("b", "compacted: true"));
    let count = pipeline("p", "SELECT id, COUNT(*) AS `n` FROM a GROUP BY id", "b");
    s.c.apply(&count.replace("platform: e2e", &format!("platform: {}", s.c.namespace)));
    s.c.ready(STREAM, "b");
    s.c.ready(PIPELINE, "p");
    let values: Vec<&[u8]> = vec![br#"{"id":"k","n":1}"#; 5];
    s.c.kafka.produce(&s.c.topic("a"), &values);
    let last = || s.c.kafka.read(&s.c.topic("b")).last()?.json()["n"].as_i64();
    until("five are counted", WAIT, || (last()? == 5).then_some(())).expect("five are counted");
    // The Topic Operator had its time to see more, if there were more.
    std::thread::sleep(Duration::from_secs(2));
    let of_ns = format!("headworks.dev/namespace={}", s.c.namespace);
    let mut made: Vec<String> =
        s.c.kubectl
            .list(TOPIC, "kafka", &of_ns)
            .iter()
            .filter_map(|topic| Some(topic["metadata"]["name"].as_str()?.to_owned()))
            .collect();
    made.sort();
    assert_eq!(made, [s.c.topic("a"), s.c.topic("b")]);
    s.c.kubectl.must(&[
        "delete",
        PIPELINE,
        "p",
        "-n",
        &s.c.namespace,
        "--timeout=60s",
    ]);
}
