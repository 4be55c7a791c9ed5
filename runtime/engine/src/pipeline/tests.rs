//! The loop over a broker on which nothing goes wrong by itself.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{OnBadRecord, Phase, StartFrom};

use super::test_settings::of_tests;
use super::{Pipeline, Settings};
use crate::log::{LogError, Reason};
use crate::memory::{Faults, MemoryBroker, MemoryLog, Stored};
use crate::status::StatusHandle;
use crate::testing::fixture_format::{NOBODY, stateless};

struct World {
    broker: MemoryBroker,
    settings: Settings,
    status: StatusHandle,
}

impl World {
    fn new(partitions: usize) -> World {
        let broker = MemoryBroker::new(1, Faults::default());
        broker.create("in", partitions);
        broker.create("in.dlq", 1);
        broker.create("out", 1);
        let settings = of_tests();
        World {
            broker,
            settings,
            status: StatusHandle::new(),
        }
    }

    fn write(&self, partition: usize, value: &str, timestamp_ms: i64) -> i64 {
        let record = Stored {
            value: Some(value.into()),
            timestamp_ms: Some(timestamp_ms),
            ..Stored::default()
        };
        self.broker.append("in", partition, record)
    }

    fn start(&self) -> Pipeline<MemoryLog> {
        let log = self.broker.open("member-0", &["in"]).unwrap();
        Pipeline::new(
            log,
            stateless(1, "out"),
            Arc::new(self.settings.clone()),
            self.status.clone(),
        )
    }

    fn results(&self) -> Vec<String> {
        self.broker
            .committed("out", 0)
            .into_iter()
            .map(|record| String::from_utf8(record.value.unwrap()).unwrap())
            .collect()
    }

    fn dead_letters(&self) -> usize {
        self.broker.committed("in.dlq", 0).len()
    }
}

/// Runs rounds until nothing is left to do.
fn run(mut session: Pipeline<MemoryLog>) -> Result<(), LogError> {
    for _ in 0..200 {
        session.step()?;
    }
    session.drain()
}

#[test]
fn output_keeps_key_time_and_order_of_its_input() {
    let world = World::new(1);
    for n in 0..6 {
        world.write(0, &format!("a-{n} {n}"), 1_000 + n);
    }
    run(world.start()).unwrap();
    assert_eq!(
        world.results(),
        ["a-0=0", "a-0=0", "a-2=2", "a-4=4", "a-5=-5"]
    );
    let times: Vec<_> = world
        .broker
        .committed("out", 0)
        .iter()
        .map(|record| record.timestamp_ms.unwrap())
        .collect();
    assert_eq!(times, [1_000, 1_000, 1_002, 1_004, 1_005]);
    assert_eq!(
        world.broker.committed("out", 0)[0].key.as_deref(),
        Some(&b"a"[..])
    );
}

#[test]
fn one_bad_row_does_not_take_its_batch_with_it() {
    let world = World::new(1);
    for n in [2, 13, 4, 50, 6] {
        world.write(0, &format!("a-{n} {n}"), 1);
    }
    world.broker.append("in", 0, Stored::default());
    world.write(0, "nonsense", 1);
    run(world.start()).unwrap();
    assert_eq!(world.results(), ["a-2=2", "a-4=4", "a-6=6"]);
    assert_eq!(
        world.dead_letters(),
        4,
        "an evaluation error, one too large, a tombstone, an unreadable one"
    );
    let figures = world.status.report().figures;
    assert_eq!(
        (
            figures.records_in,
            figures.records_out,
            figures.dead_letters,
            figures.dropped
        ),
        (7, 3, 4, 0)
    );
}

#[test]
fn drop_counts_bad_records_and_writes_none() {
    let mut world = World::new(1);
    world.settings.on_bad_record = OnBadRecord::Drop;
    world.write(0, "nonsense", 1);
    world.write(0, "a-2 2", 1);
    run(world.start()).unwrap();
    assert_eq!((world.results().len(), world.dead_letters()), (1, 0));
    assert_eq!(world.status.report().figures.dropped, 1);
}

#[test]
fn stop_commits_what_came_before_the_bad_record_and_names_it() {
    let mut world = World::new(1);
    world.settings.on_bad_record = OnBadRecord::Stop;
    world.write(0, "a-2 2", 1);
    world.write(0, "a-4 4", 1);
    let bad = world.write(0, "a-13 13", 1);
    world.write(0, "a-6 6", 1);
    let error = run(world.start()).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::BadRecord,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains(&format!("in/0 offset {bad}")) && message.contains("thirteen"),
        "{message}"
    );
    world.broker.tick(1_000);
    assert_eq!(world.results(), ["a-2=2", "a-4=4"]);
    assert_eq!(
        world.broker.position("in", 0).unwrap().offset,
        bad,
        "the next start meets it again"
    );
    assert_eq!(world.dead_letters(), 0);
}

#[test]
fn an_idle_pipeline_opens_no_transaction() {
    let world = World::new(2);
    world.write(0, "a-2 2", 1);
    let mut session = world.start();
    for _ in 0..100 {
        session.step().unwrap();
    }
    let before = world.broker.transactions();
    for _ in 0..500 {
        session.step().unwrap();
    }
    assert_eq!(world.broker.transactions(), before);
    assert_eq!(world.status.report().figures.lag, Some(0));
}

#[test]
fn markers_at_the_end_of_a_partition_are_passed_and_in_time_committed() {
    let world = World::new(1);
    world.write(0, "a-2 2", 1);
    let mut session = world.start();
    for _ in 0..100 {
        session.step().unwrap();
    }
    assert_eq!(world.broker.position("in", 0).unwrap().offset, 1);
    // Not before, so that they aren't committed with the record.
    world.broker.skip("in", 0);
    world.broker.skip("in", 0);
    for _ in 0..400 {
        session.step().unwrap();
    }
    assert_eq!(
        world.broker.position("in", 0).unwrap().offset,
        3,
        "else retention of the markers would look like a loss"
    );
    assert_eq!(
        world.broker.transactions(),
        3,
        "the start, the record, and much later the markers"
    );
}

#[test]
fn lost_records_stop_the_pipeline_until_that_very_loss_is_accepted() {
    let mut world = World::new(1);
    world.write(0, "a-2 2", 1);
    run(world.start()).unwrap();
    for n in [4, 6, 8] {
        world.write(0, &format!("a-{n} {n}"), 1);
    }
    world.broker.truncate("in", 0, 3);

    let error = run(world.start()).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::DataLost,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains("read up to 1 but only 3 and later are kept"),
        "{message}"
    );
    assert!(
        message.contains("headworks.dev/accept-data-loss: \"in/0@1\""),
        "{message}"
    );

    world.settings.accept_data_loss = Some("in/0@7".into());
    assert!(
        run(world.start()).is_err(),
        "another loss was accepted, not this one"
    );

    world.settings.accept_data_loss = Some("in/0@1".into());
    run(world.start()).unwrap();
    assert_eq!(world.results(), ["a-2=2", "a-8=8"]);
}

#[test]
fn a_topic_made_anew_is_not_read_in_silence_from_a_position_it_never_had() {
    let world = World::new(1);
    for _ in 0..9 {
        world.write(0, "a-2 2", 1);
    }
    run(world.start()).unwrap();
    world.broker.remake("in");
    world.write(0, "a-4 4", 1);
    let error = run(world.start()).unwrap_err();
    assert!(error.to_string().contains("made anew"), "{error}");
}

#[test]
fn latest_begins_at_the_first_start_even_for_partitions_that_come_later() {
    let mut world = World::new(1);
    world.settings.start_from = StartFrom::Latest;
    world.write(0, "a-2 2", 1);
    let mut session = world.start();
    for _ in 0..20 {
        session.step().unwrap();
    }
    assert_eq!(
        world.broker.position("in", 0).unwrap().offset,
        1,
        "the start is committed before any record comes"
    );
    let later = world.broker.now_ms() + 10;
    world.broker.create("in", 2);
    world.write(1, "b-4 4", later);
    world.write(0, "a-6 6", later);
    run(session).unwrap();
    let mut results = world.results();
    results.sort();
    assert_eq!(results, ["a-6=6", "b-4=4"]);
}

#[test]
fn a_start_time_skips_what_is_older() {
    let mut world = World::new(1);
    world.settings.start_from = StartFrom::Time(500);
    for n in [2, 4, 6] {
        world.write(0, &format!("a-{n} {n}"), n * 100);
    }
    run(world.start()).unwrap();
    assert_eq!(world.results(), ["a-6=6"]);
}

#[test]
fn nothing_is_counted_before_it_is_committed() {
    let mut world = World::new(1);
    world.settings.commit_interval = Duration::from_secs(3_600);
    world.write(0, "a-2 2", 1);
    let mut session = world.start();
    for _ in 0..10 {
        session.step().unwrap();
    }
    assert_eq!(world.status.report().figures.records_in, 0);
    assert_eq!(world.status.phase(), Phase::Running);
    session.drain().unwrap();
    assert_eq!(world.status.report().figures.records_in, 1);
    assert_eq!(world.status.phase(), Phase::Draining);
}

#[test]
fn a_record_without_a_key_for_a_compacted_stream_is_a_dead_letter() {
    let world = World::new(1);
    world.write(0, "a-1 2", 1);
    world.write(0, &format!("{NOBODY} 2"), 1);
    world.write(0, "a-3 4", 1);
    let mut stateless = stateless(1, "out");
    for output in &mut stateless.outputs {
        output.compacted = true;
    }
    let session = Pipeline::new(
        world.broker.open("member-0", &["in"]).unwrap(),
        stateless,
        Arc::new(world.settings.clone()),
        world.status.clone(),
    );
    run(session).unwrap();
    assert_eq!(world.results(), ["a-1=2", "a-3=4"]);
    let dead_letters = world.broker.committed("in.dlq", 0);
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].value.as_deref(), Some(&b"nobody 2"[..]));
    let of = |name: &str| {
        let mut headers = dead_letters[0].headers.iter();
        let found = headers.find(|(known, _)| known == name);
        String::from_utf8(found.unwrap().1.clone()).unwrap()
    };
    assert_eq!(of("headworks.reason"), "Evaluation");
    assert!(of("headworks.error").contains("the key is null"));
}

#[test]
fn a_commit_that_stays_pending_holds_the_next_session_up_and_nothing_is_lost_or_doubled() {
    let mut world = World::new(1);
    let faults = Faults {
        hanging: 1_000,
        ..Faults::default()
    };
    world.broker = MemoryBroker::new(1, faults);
    for topic in ["in", "in.dlq", "out"] {
        world.broker.create(topic, 1);
    }
    for n in 0..5 {
        world.write(0, &format!("a-{n} 2"), 1);
    }
    // It goes as soon as it has committed.
    let mut session = world.start();
    while world.status.report().figures.records_in < 5 {
        session.step().unwrap();
    }
    drop(session);
    for n in 5..10 {
        world.write(0, &format!("a-{n} 2"), 1);
    }
    let mut held_up = 0;
    while let Err(error) = run(world.start()) {
        assert!(
            matches!(&error, LogError::Broken { message } if message.contains("holds the partition")),
            "{error:?}"
        );
        held_up += 1;
        assert!(held_up < 200, "for ever");
        world.broker.tick(1_000);
    }
    assert!(held_up > 0, "nothing was pending");
    let expected: Vec<String> = (0..10).map(|n| format!("a-{n}=2")).collect();
    assert_eq!(world.results(), expected);
}

/// Can't judge records that begin with `late` until it is ready.
struct Waiting {
    ready: Arc<std::sync::atomic::AtomicBool>,
    words: crate::testing::fixture_format::Words,
}

impl crate::format::Decoder for Waiting {
    fn decode(&mut self, payload: &[u8]) -> Result<(), crate::format::DecodeError> {
        if payload.starts_with(b"late") && !self.ready.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(crate::format::DecodeError::Waits {
                message: "schema 7 is needed".to_owned(),
            });
        }
        self.words.decode(payload)
    }

    fn rows(&self) -> usize {
        self.words.rows()
    }

    fn finish(&mut self) -> Result<arrow::array::RecordBatch, crate::format::FormatError> {
        self.words.finish()
    }
}

/// As where a schema registry is down: the record is neither lost nor called bad, and the work goes on by itself.
#[test]
fn a_record_that_must_wait_holds_the_stage_up_until_it_can_be_judged() {
    let world = World::new(1);
    for value in ["a-1 1", "a-2 2", "late-4 4", "a-5 5"] {
        world.write(0, value, 1);
    }
    let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut stateless = stateless(1, "out");
    stateless.inputs[0].decoder = Box::new(Waiting {
        ready: Arc::clone(&ready),
        words: crate::testing::fixture_format::Words::default(),
    });
    let log = world.broker.open("member-0", &["in"]).unwrap();
    let settings = Arc::new(world.settings.clone());
    let mut session = Pipeline::new(log, stateless, settings, world.status.clone());
    for _ in 0..500 {
        session.step().unwrap();
    }
    assert_eq!(world.results(), Vec::<String>::new());
    let problems = world.status.report().problems;
    let problems: Vec<_> = problems
        .iter()
        .map(|p| (p.reason.as_str(), p.fatal))
        .collect();
    assert_eq!(problems, [("RegistryUnavailable", false)]);
    ready.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..500 {
        session.step().unwrap();
    }
    session.drain().unwrap();
    let mut results = world.results();
    results.sort();
    assert_eq!(results, ["a-2=2", "a-5=-5", "late-4=4"]);
    assert_eq!(world.dead_letters(), 0);
    assert!(world.status.report().problems.is_empty());
}
