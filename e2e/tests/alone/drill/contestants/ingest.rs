//! Records over HTTP into stream `a`, which most others read, bad ones among them, and bad and late ones that somebody writes to the
//! topic: each that was acknowledged is there once, each bad one is a dead letter once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use headworks_e2e::{Cluster, Events, Input, Kafka, Load, Posted, Verdict, line};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Contestant, PLATFORM, Seen};

/// One posted record in so many breaks the contract.
const BAD: u64 = 500;
/// Events of long ago have numbers below this.
pub const LATE: i64 = -100;
/// Between two records that a stranger writes to the topic.
const STRANGER: Duration = Duration::from_millis(1_500);
/// What a stranger writes: no JSON, cut off, and a wrong type in a field that every query reads.
const SENDS_BAD: [&str; 3] = [
    "nonsense",
    r#"{"id":"cut","k":"k1","n":"#,
    r#"{"id":"typed","k":"k1","n":"seven","ts":"2026-01-01T00:00:00.000Z"}"#,
];

/// Sender and stranger.
pub struct Ingest {
    seed: u64,
    load: Option<Load>,
    posted: Posted,
    stranger: Option<Stranger>,
    /// Bad and late records that were written to the topic.
    written: (usize, usize),
}

struct Stranger {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    bad: Arc<AtomicUsize>,
    late: Arc<AtomicUsize>,
}

impl Ingest {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            load: None,
            posted: Posted::default(),
            stranger: None,
            written: (0, 0),
        }
    }
}

/// The record of an id: now and then one whose number isn't one.
fn posted(id: u64) -> String {
    let sound = line(id);
    if id % BAD == BAD - 1 {
        sound.replace(&format!("\"n\":{id}"), "\"n\":\"none\"")
    } else {
        sound
    }
}

impl Stranger {
    fn begin(address: &str, topic: String, partitions: usize, seed: u64) -> Self {
        let kafka = Kafka::connect(address);
        let stop = Arc::new(AtomicBool::new(false));
        let (bad, late) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let told = (stop.clone(), bad.clone(), late.clone());
        let thread = std::thread::spawn(move || {
            let (stop, bad, late) = told;
            let mut rng = StdRng::seed_from_u64(seed ^ 0xBAD);
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(STRANGER);
                let partition = rng.random_range(0..partitions) as i32;
                at += 1;
                // Of long ago, once the windows are surely further on.
                if at > 20 && at % 4 == 0 {
                    let n = LATE - at;
                    kafka.produce_to(&topic, partition, Events::long_ago(n).as_bytes());
                    late.fetch_add(1, Ordering::Relaxed);
                } else {
                    let value = SENDS_BAD[rng.random_range(0..SENDS_BAD.len())];
                    kafka.produce_to(&topic, partition, value.as_bytes());
                    bad.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            stop,
            thread,
            bad,
            late,
        }
    }

    fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the stranger ends well");
        (
            self.bad.load(Ordering::Relaxed),
            self.late.load(Ordering::Relaxed),
        )
    }
}

impl Contestant for Ingest {
    fn name(&self) -> &'static str {
        "HTTP source"
    }

    fn yaml(&self) -> String {
        // Each record has an id, which tables need; five minutes of event time are some seconds of load.
        let a = Events::stream("a", 4)
            .replace("platform: e2e", &format!("platform: {PLATFORM}"))
            .replace(
                "name: id, type: string, nullable: true",
                "name: id, type: string",
            )
            .replace("maxOutOfOrderness: 1m", "maxOutOfOrderness: 5m");
        format!(
            "---\n{a}---\napiVersion: headworks.dev/v1alpha1\nkind: Source\nmetadata: {{name: in}}\nspec:\n  into: a\n  replicas: 2\n  onInvalid: DeadLetter\n  http: {{path: /in}}\n"
        )
    }

    fn begin(&mut self, c: &Cluster) {
        let rate = std::env::var("HEADWORKS_DRILL_RATE").ok();
        let rate: u64 = rate.map_or(300, |text| text.parse().expect("records a second"));
        let pause = Duration::from_millis(50_000 / rate.max(1));
        let url = format!("{}/in", c.address("in"));
        self.load = Some(Load::of(url, posted, pause));
        let address = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP");
        self.stranger = Some(Stranger::begin(&address, c.topic("a"), 4, self.seed));
    }

    fn end(&mut self, _: &Cluster) {
        self.posted = self.load.take().map(Load::stop).unwrap_or_default();
        self.written = self.stranger.take().map(Stranger::end).unwrap_or_default();
        println!(
            "    acknowledged {}, without an answer {}; written to the topic beside: {} bad, {} late",
            self.posted.acknowledged.len(),
            self.posted.unknown.len(),
            self.written.0,
            self.written.1
        );
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let input = seen.input;
        let wrong = |id: &u64| id % BAD == BAD - 1;
        let there: Vec<(u64, i64)> = input
            .events
            .iter()
            .filter(|event| event.n >= 0)
            .map(|event| (event.id.parse().expect("an id"), event.n))
            .collect();
        let known: BTreeSet<u64> = there.iter().map(|(id, _)| *id).collect();
        // What had no answer may be there.
        let maybe = self.posted.unknown.iter().filter(|id| known.contains(*id));
        let sure = self.posted.acknowledged.iter().filter(|id| !wrong(id));
        let expected: BTreeMap<u64, i64> = sure.chain(maybe).map(|id| (*id, *id as i64)).collect();
        vec![
            Verdict::of("records in a", &expected, &there).at_least(1_000),
            refused(input, &self.posted, wrong),
            count("bad records in a", self.written.0, input.bad.len()),
            count(
                "late records in a",
                self.written.1,
                input.events.iter().filter(|e| e.n <= LATE).count(),
            ),
        ]
    }
}

/// Dead letters of the source.
fn refused(input: &Input, posted: &Posted, wrong: impl Fn(&u64) -> bool) -> Verdict {
    let letters: Vec<(u64, String)> = input
        .letters
        .iter()
        .filter(|letter| letter.pipeline.is_empty())
        .map(|letter| {
            let json: serde_json::Value = serde_json::from_slice(&letter.value).expect("JSON");
            let id = json["id"].as_str().and_then(|id| id.parse().ok());
            (id.expect("an id"), letter.reason.clone())
        })
        .collect();
    let known: BTreeSet<u64> = letters.iter().map(|(id, _)| *id).collect();
    let maybe = posted.unknown.iter().filter(|id| known.contains(*id));
    let sure = posted.acknowledged.iter().filter(|id| wrong(id));
    let expected: BTreeMap<u64, String> = sure
        .chain(maybe)
        .map(|id| (*id, "Contract".to_owned()))
        .collect();
    Verdict::of("dead letters of the source", &expected, &letters).at_least(5)
}

fn count(what: &str, written: usize, there: usize) -> Verdict {
    let said = format!("{written} were written, {there} are there");
    let mut verdict = Verdict::must(what, written == there && written > 0, &said);
    (verdict.expected, verdict.there) = (written, there);
    verdict
}
