//! The generate source in front of librdkafka's mock broker, which can be away.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use headworks_engine::status::StatusHandle;
use headworks_engine::{Outcome, StopFlag};
use headworks_plan::{Phase, Plan};
use rdkafka::mocking::MockCluster;

use headworks_connectors::sources::generate::{Config, run};

/// A failed assertion ends the thread that it would wait for.
struct Stops<'a>(&'a StopFlag);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn plan(broker: &str) -> Plan {
    let plan = serde_json::json!({
        "version": 1, "installation": "test", "namespace": "shop", "name": "made-up", "kafka": {"bootstrapServers": broker},
        "role": {"source": {
            "into": {
                "name": "numbers", "topic": "numbers", "deadLetterTopic": "numbers.dlq", "maxMessageBytes": 100_000,
                "contract": {"fields": [{"name": "n", "type": "bigint"}], "format": "Json"},
            },
            "generate": {"recordsPerSecond": 1000, "seed": 1, "group": "numbers.source"},
            "onInvalid": "DeadLetter", "unknownFields": "Ignore",
        }},
    });
    serde_json::from_value(plan).unwrap()
}

fn until(status: &StatusHandle, condition: impl Fn(&headworks_plan::Report) -> bool) {
    let begun = Instant::now();
    while !condition(&status.report()) {
        let report = status.report();
        assert!(begun.elapsed() < Duration::from_secs(60), "{report:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_broker_that_is_away_is_a_problem_until_it_is_back() {
    let kafka = MockCluster::new(1).unwrap();
    for topic in ["numbers", "numbers.dlq"] {
        kafka.create_topic(topic, 1, 1).unwrap();
    }
    let plan = plan(&kafka.bootstrap_servers());
    let config = Config::from_plan(&plan).unwrap();
    let (status, stop) = (StatusHandle::new(), StopFlag::new());
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let running = scope.spawn(|| run(&config, &plan.kafka, &status, &stop));
        until(&status, |report| report.figures.records_out > 500);
        kafka.broker_down(1).unwrap();
        until(&status, |report| !report.problems.is_empty());
        let report = status.report();
        assert_eq!(report.problems[0].reason, "KafkaUnavailable");
        assert!(!report.problems[0].fatal && !status.is_ready());
        let made = report.figures.records_out;
        kafka.broker_up(1).unwrap();
        until(&status, |report| report.figures.records_out > made + 500);
        let report = status.report();
        assert_eq!((report.phase, report.problems.len()), (Phase::Running, 0));
        // No second of the outage is made up for but the last.
        std::thread::sleep(Duration::from_millis(500));
        let made = status.report().figures.records_out - made;
        assert!(made < 3_500, "{made}");
        stop.stop();
        assert_eq!(running.join().unwrap(), Outcome::Drained);
    });
}
