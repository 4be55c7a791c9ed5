//! A temporal join: each row with what was valid at its time, whatever is killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{Cluster, Events, Kafka, Verdict};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Contestant, Runs, Seen, number, query, stream, text, time};

/// Between two versions that are written, and how much event time they are apart: about as fast as the load's.
const PAUSE: Duration = Duration::from_millis(250);
const STEP: i64 = 7_500;
/// The load's keys.
const KEYS: usize = 200;

/// Each event of `a` with the version of its key that was valid then. Versions are written beside the load, and deletions; those of a key
/// are in one partition, in order.
pub struct Versions {
    seed: u64,
    writer: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Versions {
    pub fn new(seed: u64) -> Self {
        Self { seed, writer: None }
    }
}

/// A record of the versions: when it is valid from, and what it says; absent: the key is deleted.
type Version = (i64, Option<i64>);

/// What was valid at a time, of records in the order of their partition.
fn valid(versions: &[Version], at: i64) -> Option<i64> {
    let mut best: Option<(i64, Option<i64>)> = None;
    for (order, (from, what)) in versions.iter().enumerate() {
        // What was written behind a deletion, and is valid from then or before, isn't deleted.
        let survives = |(later, what): &Version| what.is_some() && later <= from;
        let is_void = what.is_none() && versions[order + 1..].iter().any(survives);
        if *from <= at && !is_void && best.is_none_or(|(known, _)| *from >= known) {
            best = Some((*from, *what));
        }
    }
    best.and_then(|(_, what)| what)
}

impl Contestant for Versions {
    fn name(&self) -> &'static str {
        "FOR SYSTEM_TIME AS OF"
    }

    fn yaml(&self) -> String {
        let sql = "SELECT l.k, l.n, v.v\nFROM a AS l\nLEFT JOIN versions FOR SYSTEM_TIME AS OF l.ts AS v\n  ON l.k = v.k";
        let of_time = "  compacted: true\n  eventTime: {field: since, maxOutOfOrderness: 0s, idleTimeout: 0s}\n";
        let fields = ["k string", "v bigint", "since timestamp_ltz(3)"];
        stream("versions", &fields, "k", of_time)
            + &stream("versioned", &["k string", "n bigint", "v bigint?"], "k", "")
            + &query("versioned", sql, &["{stream: versioned}"], "")
    }

    fn runs(&self) -> Vec<Runs> {
        vec![Runs::windowed("versioned")]
    }

    fn begin(&mut self, c: &Cluster) {
        let address = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP");
        let (kafka, topic) = (Kafka::connect(&address), c.topic("versions"));
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let mut rng = StdRng::seed_from_u64(self.seed ^ 0x7E);
        let thread = std::thread::spawn(move || {
            let mut since = Events::BEGIN;
            while !told.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                since += STEP;
                let key = rng.random_range(0..KEYS);
                let (partition, key) = ((key % 2) as i32, format!("k{key}"));
                if rng.random_range(0..8) == 0 {
                    // By a clock that is ahead of the events.
                    let ahead = since + rng.random_range(0..40 * STEP);
                    let gone = rng.random_range(0..KEYS);
                    let (partition, gone) = ((gone % 2) as i32, format!("k{gone}"));
                    kafka.produce_at(&topic, partition, &gone, ahead, None);
                }
                let v = rng.random_range(0..1_000_000);
                let value = version(&key, v, since);
                kafka.produce_at(&topic, partition, &key, since, Some(value.as_bytes()));
            }
            for partition in 0..2 {
                let end = version("end", 0, Events::END);
                kafka.produce_at(&topic, partition, "end", since, Some(end.as_bytes()));
            }
        });
        self.writer = Some((stop, thread));
    }

    fn end(&mut self, _: &Cluster) {
        if let Some((stop, thread)) = self.writer.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("the writer of versions ends well");
        }
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        let mut deletions = 0;
        for record in seen.c.kafka.read(&seen.c.topic("versions")) {
            let key = String::from_utf8(record.key.clone().unwrap_or_default());
            let key = key.expect("a key of ours");
            let version = if record.value.is_empty() {
                deletions += 1;
                (record.timestamp.expect("a time"), None)
            } else {
                let json = record.json();
                (time(&json, "since"), Some(number(&json, "v")))
            };
            versions.entry(key).or_default().push(version);
        }
        let mut expected: BTreeMap<(i64, Option<i64>), usize> = BTreeMap::new();
        let (mut with, mut without) = (0, 0);
        for event in seen.input.in_time(&seen.full("versioned")).events {
            let v = versions.get(&event.key).and_then(|of| valid(of, event.ts));
            *(if v.is_some() { &mut with } else { &mut without }) += 1;
            *expected.entry((event.n, v)).or_default() += 1;
        }
        let mut found: BTreeMap<(i64, Option<i64>), usize> = BTreeMap::new();
        for json in seen.json("versioned") {
            let row = (number(&json, "n"), json["v"].as_i64());
            assert!(!text(&json, "k").is_empty(), "a row of no key");
            *found.entry(row).or_default() += 1;
        }
        let found: Vec<_> = found.into_iter().collect();
        vec![
            Verdict::of("rows", &expected, &found).at_least(1_000),
            Verdict::must(
                "some had a version, some had none, and some versions were deleted",
                with > 100 && without > 100 && deletions > 10,
                &format!("{with}, {without}, {deletions}"),
            ),
        ]
    }
}

fn version(key: &str, v: i64, since: i64) -> String {
    let since = headworks_e2e::instant(since);
    format!("{{\"k\":\"{key}\",\"v\":{v},\"since\":\"{since}\"}}")
}
