//! What a request takes in memory, whatever it says of whatever contract; and that the answers are those of a
//! pod that has all the memory there is.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use headworks_engine::status::StatusHandle;
use headworks_plan::{Contract, Field, OnInvalid, Problem};
use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::super::work::{Judged, Work};
use super::{JSON, LINES, config};
use crate::server::Room;
use crate::sources::cut::Layout;
use crate::sources::http::{Config, Metrics, Service, listen};
use crate::sources::kafka::{Outgoing, Sink, Target, Undelivered};
use crate::sources::record_validation::RecordValidation;

const MIB: usize = 1024 * 1024;

/// Counts what it is given, and forgets it.
#[derive(Default)]
struct Counting {
    records: AtomicUsize,
    dead_letters: AtomicUsize,
    calls: AtomicUsize,
}

impl Sink for Counting {
    fn problem(&self) -> Option<Problem> {
        None
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let dead_letters = records.iter().filter(|r| r.target == Target::DeadLetters);
        let dead_letters = dead_letters.count();
        self.dead_letters.fetch_add(dead_letters, Ordering::SeqCst);
        self.records
            .fetch_add(records.len() - dead_letters, Ordering::SeqCst);
        Ok(())
    }
}

fn field(name: String, type_: &str) -> Field {
    Field {
        name,
        type_: type_.into(),
        nullable: true,
        labels: vec![],
    }
}

/// 256 nullable fields, and one that repeats as many.
fn wide() -> Contract {
    let types = ["decimal(38,10)", "string", "bigint", "timestamp(3)"];
    let mut fields: Vec<Field> = (0..256)
        .map(|i| field(format!("some_field_{i}"), types[i % 4]))
        .collect();
    let inner: Vec<String> = (0..256).map(|i| format!("f{i} decimal(38,10)")).collect();
    fields.push(field(
        "many".into(),
        &format!("array<struct<{}>>", inner.join(",")),
    ));
    Contract {
        fields,
        ..Contract::default()
    }
}

fn wide_config(on_invalid: OnInvalid) -> Config {
    let mut config = config();
    config.plan.into.contract = wide();
    config.plan.into.max_message_bytes = 1_048_588;
    config.plan.on_invalid = on_invalid;
    config.http.max_body_bytes = 4 << 20;
    config.max_records = 100_000;
    config.in_flight_bytes = 96 * MIB;
    config.body_timeout = Duration::from_secs(30);
    config
}

/// Bytes that the process had at most, and has now.
fn resident() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    };
    (of("VmHWM:"), of("VmRSS:"))
}

/// Forgets the most so far (proc_pid_clear_refs(5)).
fn forget_the_most() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[test]
fn no_request_takes_more_memory_than_its_budget() {
    let inner = "sources::http::tests::memory::in_a_process_of_its_own";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            inner,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "its memory is measured: the test above runs it in a process of its own"]
async fn in_a_process_of_its_own() {
    let lines = |line: &str, n: usize| (LINES, line.repeat(n));
    let array = |item: &str, n: usize| {
        let body = format!("[{item}{}]", format!(",{item}").repeat(n - 1));
        (JSON, body)
    };
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(MIB), "]".repeat(MIB));
    let many = format!("{{\"many\":[{{}}{}]}}", ",{}".repeat(400_000));
    let half = format!(
        "{{\"many\":[{{}}{}],\"some_field_1\":7}}\n",
        ",{}".repeat(200)
    );
    for (name, (content_type, body), code, good, bad) in [
        (
            "empty objects, a line each",
            lines("{}\n", 5_000),
            202,
            5_000,
            0,
        ),
        (
            "empty objects in an array",
            array("{}", 15_000),
            202,
            15_000,
            0,
        ),
        ("bad lines", lines("x\n", 50_000), 202, 0, 50_000),
        ("no records, too many", lines("1\n", 200_000), 413, 0, 0),
        ("one record of 100 million values", (LINES, many), 413, 0, 0),
        (
            "records that are bad at their end",
            lines(&half, 100),
            202,
            0,
            100,
        ),
        ("a deep one", (JSON, deep), 202, 1, 0),
        (
            "one that is only deep",
            (JSON, "[".repeat(4 * MIB)),
            400,
            0,
            0,
        ),
    ] {
        let sink = Arc::new(Counting::default());
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let config = wide_config(OnInvalid::DeadLetter);
        let service = Service::new(config, sink.clone(), StatusHandle::new(), metrics).unwrap();
        let listening = listen(&service).unwrap();
        let url = format!("http://127.0.0.1:{}/v1/orders", listening.address.port());
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", content_type)
            .body(body);
        forget_the_most();
        let (_, before) = resident();
        let begun = std::time::Instant::now();
        let answer = request.send().await.unwrap();
        let (answered, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let (most, _) = resident();
        let took = most.saturating_sub(before) / MIB;
        println!(
            "{name}: {took} MiB, {:?}, {} writes",
            begun.elapsed(),
            sink.calls.load(Ordering::SeqCst)
        );
        assert_eq!(answered, code, "{name}: {text}");
        let counted = (
            sink.records.load(Ordering::SeqCst),
            sink.dead_letters.load(Ordering::SeqCst),
        );
        assert_eq!(counted, (good, bad), "{name}");
        // What is accounted for is at most 96 MiB; the allocator and the connection have some of their own.
        assert!(took < 100, "{name} took {took} MiB");
    }
}

/// All that a body's records become, with room for `kept` bytes of it and for a piece at least.
fn outcome(work: &Work, body: &str, layout: Layout) -> Result<Vec<String>, String> {
    let room = Room::new(1, 1, 64 * MIB);
    let mut place = room.enter(None).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    let judged = work.judge(&body, layout, &mut place);
    let Judged {
        mut outgoing,
        mut rest,
        accepted,
        dead_lettered,
        ..
    } = judged.map_err(|(refusal, _)| format!("{} {}", refusal.status(), refusal.message()))?;
    while !rest.is_empty() {
        outgoing.extend(work.next(&mut rest).unwrap().unwrap());
    }
    let mut shown: Vec<String> = outgoing
        .iter()
        .map(|record| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let key = record.key.as_ref().map(|key| text(key));
            let reason = record.headers.first().map(|(_, reason)| reason);
            format!("{key:?} {} {reason:?}", text(&record.value))
        })
        .collect();
    shown.push(format!("{accepted} {dead_lettered}"));
    // The two topics have no order between them.
    shown.sort();
    Ok(shown)
}

#[test]
fn small_bodies_of_much_work_are_no_small_ones() {
    let of = |config: &Config| {
        RecordValidation::new(&config.source, &config.plan)
            .unwrap()
            .longest(16 * MIB)
    };
    // As many rows of 257 columns as a thread may be busy with, as "{}" in an array.
    assert!((500..5_000).contains(&of(&wide_config(OnInvalid::Reject))));
    assert!(of(&config()) > 64 * 1024);
}

#[test]
fn pieces_give_the_answers_of_the_whole() {
    let seed = std::env::var("HEADWORKS_SEED").ok();
    let seed = seed
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("HEADWORKS_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for on_invalid in [OnInvalid::DeadLetter, OnInvalid::Reject] {
        let mut config = super::config();
        config.plan.on_invalid = on_invalid;
        config.plan.into.contract.fields.push(field(
            "list".into(),
            "array<struct<a int, b string, c decimal(9,3)>>",
        ));
        let work = |kept| {
            let validation = RecordValidation::new(&config.source, &config.plan).unwrap();
            let mut work = Work::new(validation, on_invalid, "orders", None, 100_000);
            Arc::get_mut(&mut work).unwrap().kept = kept;
            work
        };
        let (whole, some, none) = (work(usize::MAX), work(30_000), work(0));
        for round in 0..10 {
            let number = if round == 0 {
                8_000
            } else {
                rng.random_range(0..400)
            };
            let records: Vec<String> = (0..number).map(|_| record(&mut rng, on_invalid)).collect();
            for (layout, body) in [
                (Layout::Lines, records.join("\n")),
                (Layout::Json, format!("[{}]", records.join(","))),
            ] {
                let expected = outcome(&whole, &body, layout);
                assert_eq!(outcome(&some, &body, layout), expected, "{seed} {round}");
                assert_eq!(outcome(&none, &body, layout), expected, "{seed} {round}");
            }
        }
        // Each by itself, too.
        let records: Vec<String> = (0..300)
            .map(|_| record(&mut rng, OnInvalid::DeadLetter))
            .collect();
        if on_invalid == OnInvalid::DeadLetter {
            let mut one_by_one: Vec<String> = records
                .iter()
                .flat_map(|record| outcome(&whole, record, Layout::Lines).unwrap())
                .filter(|line| line != "1 0" && line != "0 1")
                .collect();
            one_by_one.sort();
            let mut together = outcome(&none, &records.join("\n"), Layout::Lines).unwrap();
            together.retain(|line| line.contains("None") || line.contains("Some"));
            assert_eq!(together, one_by_one, "{seed}");
        }
    }
}

/// A record, mostly good; under Reject nearly always, or no request would be written at all.
fn record(rng: &mut SmallRng, on_invalid: OnInvalid) -> String {
    let bad = match on_invalid {
        OnInvalid::DeadLetter => 0.1,
        OnInvalid::Reject => 0.000_1,
    };
    let id = rng.random_range(0..1_000);
    if rng.random_bool(bad) {
        return [
            format!(r#"{{"id":"{id}"}}"#),
            format!(r#"{{"id":"{id}","amount":1.005}}"#),
            format!(r#"{{"id":"{id}","amount":1,"list":[{{"a":1}},{{"a":"x"}}]}}"#),
            format!(
                r#"{{"id":"{id}","amount":1,"list":[{{}}{}]}}"#,
                ",{}".repeat(400)
            ),
        ][rng.random_range(0..4)]
        .clone();
    }
    let items = if rng.random_bool(0.01) {
        40
    } else {
        rng.random_range(0..4)
    };
    let list = vec!["{}"; items].join(",");
    let note = "n".repeat(rng.random_range(0..60));
    format!(r#"{{"id":"{id}","amount":{id},"note":"{note}","list":[{list}]}}"#)
}
