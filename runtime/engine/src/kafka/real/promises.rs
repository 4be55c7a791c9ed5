//! Nothing lost, nothing doubled, whatever happens to the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_plan::{
    Contract, Delivery, Field, OnBadRecord, Phase, PipelinePlan, StartFrom, Stream,
};

use super::Place;
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Limits, Log, LogError, Outgoing,
    Partition, Position, Refusal, Table, TableRows, Take, Transactions,
};
use crate::memory::Chance;
use crate::status::StatusHandle;
use crate::testing::fixture_format::{NoStores, WordFormats, oracle};
use crate::testing::streams_stage;
use crate::{Engine, Identity, Outcome, StopFlag, Work};

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_process_killed_in_the_middle_leaves_neither_gap_nor_double() {
    let place = Place::new("kill", 3);
    let mut written = Vec::new();
    for life in 1..=4 {
        written.extend(place.write(3, life * 20_000, 20_000));
        let mut session = place.start(0);
        let already = place.status.report().figures.records_in;
        place
            .run(&mut session, |status| {
                status.report().figures.records_in > already
            })
            .unwrap();
        for _ in 0..life {
            session.step().unwrap();
        }
        // As `kill -9` does it: no commit, no abort, no goodbye, an open transaction left behind.
        // The forgotten threads go on sending heartbeats, as a zombie would.
        std::mem::forget(session);
    }
    let begun = Instant::now();
    let mut session = place.start(0);
    let all = written.len() as u64;
    place
        .run(&mut session, |status| {
            status.report().figures.records_in == all
        })
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "a static member is back before its session is over"
    );
    session.drain().unwrap();
    drop(session);
    place.judge(&written);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn a_process_whose_successor_runs_can_commit_nothing_more() {
    let mut place = Place::new("fence", 2);
    place.settings.commit_interval = Duration::from_secs(600);
    let written = place.write(2, 0, 2_000);
    let mut old = place.start(0);
    while place.status.phase() != Phase::Running {
        old.step().unwrap();
    }
    for _ in 0..20 {
        old.step().unwrap();
    }
    place.settings.commit_interval = Duration::from_millis(50);
    let mut new = place.start(0);
    let mut outcome = Ok(());
    let deadline = Instant::now() + Duration::from_secs(60);
    while outcome.is_ok() && Instant::now() < deadline {
        new.step().unwrap();
        outcome = old.step();
    }
    assert!(
        matches!(outcome, Err(LogError::Fenced { .. })),
        "{outcome:?}"
    );
    drop(old);
    place
        .run(&mut new, |status| {
            status.report().figures.records_in == 2_000
        })
        .unwrap();
    new.drain().unwrap();
    drop(new);
    place.judge(&written);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn members_that_come_and_go_hand_partitions_over_without_a_seam() {
    let place = Place::new("rebalance", 4);
    let place = Arc::new(place);
    let mut written = place.write(4, 0, 30_000);
    let second = {
        let place = Arc::clone(&place);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            let mut session = place.start(1);
            let until = Instant::now() + Duration::from_secs(10);
            while Instant::now() < until {
                session.step().unwrap();
            }
            session.drain().unwrap();
        })
    };
    let mut first = place.start(0);
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        first.step().unwrap();
    }
    written.extend(place.write(4, 30_000, 5_000));
    while !second.is_finished() {
        first.step().unwrap();
    }
    second.join().unwrap();
    written.extend(place.write(4, 35_000, 1_000));
    let all = written.len() as u64;
    place
        .run(&mut first, |status| {
            status.report().figures.records_in == all
        })
        .unwrap();
    first.drain().unwrap();
    drop(first);
    place.judge(&written);
}

/// Calls a transaction off now and then, before the broker hears of it.
struct Flaky<L> {
    log: L,
    chance: Chance,
}

impl<L> Flaky<L> {
    fn may_fail(&mut self, of: u64) -> Result<(), LogError> {
        if self.chance.below(of) == 0 {
            return Err(LogError::Abortable {
                message: "as the test wants it".into(),
            });
        }
        Ok(())
    }
}

impl<L: Log> GroupConsumer for Flaky<L> {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        // Small batches, so that much is still queued when a transaction is aborted.
        self.log.poll(
            wait,
            Limits {
                rows: 200,
                ..limits
            },
            batch,
        )
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.log.committed(partitions)
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.log.siblings(of)
    }

    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        self.log.bounds(partitions)
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.log.offsets_at(partitions, time_ms)
    }

    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        self.log.assign(positions)
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.log.unassign()
    }

    fn end(&self, partition: Partition) -> Option<i64> {
        self.log.end(partition)
    }

    fn trouble(&self) -> Option<String> {
        self.log.trouble()
    }

    fn now(&self) -> Duration {
        self.log.now()
    }

    fn wall_ms(&self) -> i64 {
        self.log.wall_ms()
    }

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.log.peek(partitions)
    }

    fn hold_back(&mut self, partitions: &[Partition]) {
        self.log.hold_back(partitions);
    }
}

impl<L: Log> Transactions for Flaky<L> {
    fn begin(&mut self) -> Result<(), LogError> {
        self.log.begin()
    }

    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        self.may_fail(10_000)?;
        self.log.produce(record)
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        self.may_fail(3)?;
        self.log.commit(positions)
    }

    fn written(&self) -> u64 {
        self.log.written()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.log.abort()
    }

    fn set_commit_metadata(&mut self, notes: Vec<(Partition, String)>) {
        self.log.set_commit_metadata(notes);
    }

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        self.log.commit_metadata(partitions)
    }
}

impl<L: Log> Changelog for Flaky<L> {
    fn restore(&mut self, topic: &str, partition: i32, take: Take<'_>) -> Result<u64, LogError> {
        self.log.restore(topic, partition, take)
    }

    fn trim(&mut self, offsets: &[(Partition, i64)]) {
        self.log.trim(offsets);
    }
}

impl<L: Log> Table for Flaky<L> {
    fn insert(&mut self, rows: &TableRows, first_only: bool) -> Result<Vec<Refusal>, LogError> {
        self.log.insert(rows, first_only)
    }

    fn former(&self, partition: Partition, offset: i64) -> Former {
        self.log.former(partition, offset)
    }

    fn mark_dead_lettered(&mut self, partition: Partition, offset: i64) {
        self.log.mark_dead_lettered(partition, offset);
    }
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn an_aborted_transaction_is_read_again_from_its_beginning_and_nothing_stale_comes_before() {
    let place = Place::new("abort", 3);
    let written = place.write(3, 0, 20_000);
    let mut seed = 0;
    while place.status.report().figures.records_in < 20_000 {
        seed += 1;
        assert!(seed < 100, "stuck at {:?}", place.status.report());
        let flaky = Flaky {
            log: place.open(0).unwrap(),
            chance: Chance::new(seed),
        };
        let mut session = place.start_with(flaky);
        // A session ends when too many aborts follow each other; the next one goes on.
        let _ = place.run(&mut session, |status| {
            status.report().figures.records_in == 20_000
        });
    }
    place.judge(&written);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn at_least_once_loses_nothing() {
    let mut place = Place::new("atleast", 2);
    place.exactly_once = false;
    let written = place.write(2, 0, 10_000);
    let mut session = place.start(0);
    place
        .run(&mut session, |status| {
            status.report().figures.records_in > 0
        })
        .unwrap();
    std::mem::forget(session);
    let mut session = place.start(0);
    place
        .run(&mut session, |status| {
            status
                .report()
                .figures
                .partitions
                .iter()
                .map(|at| at.position)
                .sum::<i64>()
                == 10_000
        })
        .unwrap();
    session.drain().unwrap();
    drop(session);
    let found: std::collections::BTreeSet<String> = place
        .read(&place.out(), 2)
        .into_iter()
        .map(|(value, _)| value)
        .collect();
    let lost = written
        .iter()
        .flat_map(|value| oracle(Some(value)).unwrap_or_default())
        .find(|result| !found.contains(result));
    assert_eq!(lost, None);
}

#[test]
#[ignore = "needs a broker: HEADWORKS_KAFKA=host:port"]
fn the_engine_runs_a_plan_stops_when_told_and_goes_on_where_it_stopped() {
    let place = Place::new("engine", 2);
    let field = |name: &str, type_: &str| Field {
        name: name.into(),
        type_: type_.into(),
        nullable: false,
        labels: Vec::new(),
    };
    let contract = Contract {
        fields: vec![field("id", "string"), field("n", "bigint")],
        ..Contract::default()
    };
    let stream = |name: &str, topic: String| Stream {
        name: name.into(),
        dead_letter_topic: format!("{}.dlq", place.topic),
        topic,
        contract: contract.clone(),
        max_message_bytes: 1_000_000,
        rules: Vec::new(),
    };
    let plan = PipelinePlan {
        sql: "SELECT id, n * 10 AS n FROM words WHERE n < 5".into(),
        inputs: vec![stream("words", place.topic.clone())],
        outputs: vec![stream("tens", place.out())],
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: 50,
        start_from: StartFrom::Earliest,
        on_bad_record: OnBadRecord::DeadLetter,
        on_overflow: headworks_plan::OnOverflow::SetNull,
        stages: vec![streams_stage(&format!("{}.group", place.topic), &["words"])],
        accept_data_loss: None,
        verdicts: None,
    };
    let identity = Identity {
        namespace: "shop".into(),
        name: "tens".into(),
        ordinal: 0,
    };
    let mut expected = Vec::new();
    for part in 0..3 {
        let written = place.write(2, part * 1_000, 1_000);
        for value in &written {
            if let Some((id, n)) = value
                .split_once(' ')
                .and_then(|(id, n)| Some((id, n.parse::<i64>().ok()?)))
                .filter(|(_, n)| *n < 5)
            {
                expected.push(format!("{id}={}", n * 10));
            }
        }
        let (status, stop) = (StatusHandle::new(), StopFlag::new());
        let outcome = std::thread::scope(|scope| {
            let running = scope.spawn(|| {
                let work = Work {
                    plan: &plan,
                    stage: &plan.stages[0],
                    replay: None,
                    kafka: &place.connection,
                    identity: &identity,
                    formats: &WordFormats,
                    stores: &NoStores,
                };
                Engine::run(&work, &status, &stop)
            });
            let deadline = Instant::now() + Duration::from_secs(60);
            while status.report().figures.records_in < 1_000 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(status.is_ready(), "{:?}", status.report());
            let told = Instant::now();
            stop.stop();
            let outcome = running.join().unwrap();
            assert!(
                told.elapsed() < Duration::from_secs(10),
                "it took {:?} to stop",
                told.elapsed()
            );
            outcome
        });
        assert_eq!(outcome, Outcome::Drained);
        assert_eq!(status.phase(), Phase::Draining);
        assert_eq!(
            status.report().figures.records_in,
            1_000,
            "what was read before is not read again"
        );
    }
    let found = place
        .read(&place.out(), 2)
        .into_iter()
        .map(|(value, _)| value)
        .map(|value| value.trim_end_matches('.').to_owned())
        .collect();
    crate::testing::simulation::same("results", expected, found).unwrap();
}
