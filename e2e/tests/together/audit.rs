//! An idle minute: of 200 objects through which no record flows the operator writes nothing. The witness is the API server's own audit
//! log, which `e2e/bin/test` turns to the operator's writes while these tests run. Other tests' objects beside are not counted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::time::Duration;

use headworks_e2e::{
    Cluster, Events, bootstrap, cluster, data_store, pipeline, platform, source, stream, until,
};
use serde_json::Value;

/// Without state. One of each is there besides, with windows.
const STREAMS: usize = 168;
const PIPELINES: usize = 21;
const SOURCES: usize = 4;
const STORES: usize = 4;

/// What the operator wrote of this test's objects, and of its Lease, from a place in the log on; and how long the log is now.
fn writes(c: &Cluster, from: usize) -> (Vec<Value>, usize) {
    let path = std::env::var("AUDIT_LOG_FILE").expect("AUDIT_LOG_FILE, from `make -s endpoints`");
    let log = std::fs::read(path).expect("the audit log");
    let ns = c.namespace.as_str();
    let ours = |event: &Value| {
        let object = &event["objectRef"];
        object["namespace"] == ns || object["name"] == ns || object["resource"] == "leases"
    };
    // A log that was begun anew (it is at its largest) is read from its beginning.
    let from = if from <= log.len() { from } else { 0 };
    let events = String::from_utf8_lossy(&log[from..])
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(ours)
        .collect();
    (events, log.len())
}

#[test]
fn an_idle_minute_with_200_objects_writes_nothing_but_the_lease() {
    let Some(c) = cluster("e2e-idle") else { return };
    let database = c.database();
    // A Platform of its own: another test's object beside writes nothing into it.
    let own = platform(&c.namespace, &bootstrap(), "");
    c.apply(&own);
    let mut all = String::new();
    for at in 0..STREAMS {
        let _ = write!(all, "---\n{}", stream(&format!("s{at}"), "partitions: 1"));
    }
    for at in 0..PIPELINES {
        let sql = format!("SELECT id, n FROM s{at}");
        let _ = write!(
            all,
            "---\n{}",
            pipeline(&format!("p{at}"), &sql, &format!("s{}", at + PIPELINES))
        );
    }
    let counts = "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS c FROM events GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)";
    let _ = write!(
        all,
        "---\n{}---\n{}---\n{}",
        Events::stream("events", 2),
        stream("counts", "partitions: 1").replace(
            "{name: id, type: string}\n    - {name: \"n\", type: bigint}\n  key: [id]",
            "{name: k, type: string}\n    - {name: w, type: timestamp(3)}\n    - {name: c, type: bigint}\n  key: [k]"
        ),
        pipeline("windows", counts, "counts")
    );
    for at in 0..SOURCES {
        let _ = write!(
            all,
            "---\n{}",
            source(&format!("in{at}"), &format!("s{at}"), "")
        );
    }
    for at in 0..STORES {
        let _ = write!(
            all,
            "---\n{}",
            data_store(&format!("store{at}"), &database.name)
        );
    }
    c.apply(&all.replace("platform: e2e\n", &format!("platform: {}\n", c.namespace)));
    let objects = STREAMS + PIPELINES + SOURCES + STORES + 3;
    assert_eq!(objects, 200);
    until("200 objects are Ready", Duration::from_secs(400), || {
        let kinds = ["datastreams", "pipelines", "sources", "datastores"];
        let all = kinds.map(|kind| {
            c.kubectl
                .list(&format!("{kind}.headworks.dev"), &c.namespace, "")
        });
        let ready = all
            .iter()
            .flatten()
            .filter(|object| {
                let conditions = object["status"]["conditions"].as_array();
                conditions.is_some_and(|list| {
                    list.iter()
                        .any(|c| c["type"] == "Ready" && c["status"] == "True")
                })
            })
            .count();
        (ready == objects).then_some(())
    })
    .expect("200 objects are Ready");
    // Figures that were taken while pods started are written within this, and partitions become idle.
    std::thread::sleep(Duration::from_secs(60));

    let (before, from) = writes(&c, 0);
    let made = before
        .iter()
        .filter(|event| event["objectRef"]["resource"] != "leases")
        .count();
    assert!(
        made > objects,
        "the log sees the operator's writes: {made} (`pocket audit writes` turns it to them)"
    );
    std::thread::sleep(Duration::from_secs(60));
    let (events, _) = writes(&c, from);
    let (lease, others): (Vec<&Value>, Vec<&Value>) = events
        .iter()
        .partition(|event| event["objectRef"]["resource"] == "leases");
    println!(
        "    {objects} objects, an idle minute: {} writes of the Lease, {} others ({made} to make them)",
        lease.len(),
        others.len()
    );
    assert!(
        !lease.is_empty(),
        "the operator was there, and the log saw it"
    );
    let others: Vec<String> = others
        .iter()
        .map(|event| format!("{} {}", event["verb"], event["requestURI"]))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    c.kubectl.run(&[
        "delete",
        "platforms.headworks.dev",
        &c.namespace,
        "--wait=false",
    ]);
}
