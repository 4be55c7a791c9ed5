//! A table's stage over a broker and a database on which nothing goes wrong unless a test says so.

mod rivals;

use std::sync::Arc;

use headworks_plan::{OnBadRecord, Phase, StartFrom};

use crate::log::{LogError, Reason};
use crate::memory::{Faults, MemoryBroker, MemoryDatabase, MemoryLog, StoreFaults, Stored};
use crate::pipeline::test_settings::of_tests;
use crate::pipeline::{Pipeline, Settings};
use crate::status::StatusHandle;
use crate::store::{Store, StoreLog};
use crate::testing::fixture_format::table_operator;

type Session = Pipeline<StoreLog<MemoryLog>>;

struct World {
    broker: MemoryBroker,
    database: MemoryDatabase,
    settings: Settings,
    status: StatusHandle,
    tells: bool,
}

impl World {
    fn new() -> World {
        let broker = MemoryBroker::new(1, Faults::default());
        broker.create("in", 1);
        broker.create("in.dlq", 1);
        World {
            database: MemoryDatabase::new(&broker, StoreFaults::default()),
            broker,
            settings: of_tests(),
            status: StatusHandle::new(),
            tells: true,
        }
    }

    fn write(&self, values: &[&str]) {
        for value in values {
            let record = Stored {
                value: Some(value.as_bytes().to_vec()),
                timestamp_ms: Some(1),
                ..Stored::default()
            };
            self.broker.append("in", 0, record);
        }
    }

    fn start(&self) -> Session {
        self.start_as("member-0", Box::new(self.database.open()))
    }

    fn start_as(&self, member: &str, store: Box<dyn Store>) -> Session {
        let log = self.broker.open(member, &["in"]).unwrap();
        let log = StoreLog::new(log, store, vec!["in".into()]);
        Pipeline::new(
            log,
            table_operator(1, self.tells),
            Arc::new(self.settings.clone()),
            self.status.clone(),
        )
    }

    fn run(&self) -> Result<(), LogError> {
        let mut session = self.start();
        for _ in 0..200 {
            session.step()?;
        }
        session.drain()
    }

    /// Reasons of the dead letters.
    fn dead_letters(&self) -> Vec<String> {
        self.broker.tick(1_000);
        let reason = |record: Stored| {
            let header = record.headers.into_iter();
            let mut reasons = header.filter(|(name, _)| name == "headworks.reason");
            String::from_utf8(reasons.next().unwrap().1).unwrap()
        };
        let dead_letters = self.broker.committed("in.dlq", 0);
        dead_letters.into_iter().map(reason).collect()
    }

    fn problems(&self) -> Vec<String> {
        let problems = self.status.report().problems;
        problems
            .into_iter()
            .map(|problem| problem.reason.to_string())
            .collect()
    }

    fn stored_to(&self) -> i64 {
        self.database.position("in", 0).unwrap().offset
    }
}

#[test]
fn refused_rows_are_dead_letters_and_take_all_of_their_record_with_them() {
    let world = World::new();
    // Ten gives two rows, of which one is refused.
    world.write(&["a 2", "b 8", "c 10", "d nonsense", "e 4"]);
    world.run().unwrap();
    assert_eq!(world.database.rows(), ["a=2", "e=4"]);
    assert_eq!(
        world.dead_letters(),
        ["StoreRefused", "StoreRefused", "Decode"]
    );
    let figures = world.status.report().figures;
    assert_eq!(
        (
            figures.records_in,
            figures.records_out,
            figures.dead_letters
        ),
        (5, 2, 3)
    );
    let counts = figures.dead_letters_by_reason.iter();
    let counts: Vec<_> = counts.map(|one| (one.reason.as_str(), one.count)).collect();
    assert_eq!(counts, [("StoreRefused", 2), ("Decode", 1)]);
    let last = figures.last_dead_letter.unwrap();
    assert_eq!(
        (last.reason.as_str(), last.place.as_deref()),
        ("Decode", Some("in[0]@3"))
    );
}

#[test]
fn rows_of_several_branches_come_in_the_order_of_their_records() {
    let world = World::new();
    world.write(&["a 2", "b 20", "c 5", "d 8", "e 4", "f 20"]);
    world.run().unwrap();
    assert_eq!(
        world.database.rows(),
        ["a=2", "b=20", "b=-20", "c=-5", "e=4", "f=20", "f=-20"]
    );
    assert_eq!(world.status.report().figures.records_out, 7);
}

#[test]
fn a_stage_that_does_not_tell_leaves_bad_input_to_another_and_tells_of_its_own_refusals() {
    let mut world = World::new();
    world.tells = false;
    // The store refuses the first without saying which it means, and knows the third by itself.
    world.write(&["a 8", "b nonsense", "c 10", "d 2"]);
    world.run().unwrap();
    assert_eq!(world.dead_letters(), ["StoreRefused", "StoreRefused"]);
    assert_eq!(world.status.report().figures.dead_letters, 2);
    assert_eq!(world.database.rows(), ["d=2"]);
}

#[test]
fn refusals_are_dropped_under_drop() {
    let mut world = World::new();
    world.settings.on_bad_record = OnBadRecord::Drop;
    world.write(&["a 8", "b nonsense", "c 2"]);
    world.run().unwrap();
    assert_eq!(world.database.rows(), ["c=2"]);
    assert_eq!(world.dead_letters().len(), 0);
    assert_eq!(world.status.report().figures.dropped, 2);
}

#[test]
fn stop_stores_what_comes_before_the_refused_record_and_names_it() {
    for refused in ["c 8", "c 10"] {
        let mut world = World::new();
        world.settings.on_bad_record = OnBadRecord::Stop;
        world.write(&["a 2", "b 4", refused, "d 10", "e 8", "f 2", "g nonsense"]);
        let error = world.run().unwrap_err();
        let LogError::NeedsPerson {
            reason: Reason::BadRecord,
            message,
        } = error
        else {
            panic!("{error:?}")
        };
        assert!(
            message.contains("in/0 offset 2") && message.contains("StoreRefused"),
            "{message}"
        );
        assert_eq!(world.database.rows(), ["a=2", "b=4"]);
        assert_eq!(world.status.report().figures.records_out, 2);
        assert_eq!(world.stored_to(), 2);
        assert_eq!(world.dead_letters().len(), 0);
    }
}

#[test]
fn a_store_that_is_down_holds_the_stage_in_its_group_until_it_is_up() {
    let world = World::new();
    let down = StoreFaults {
        down: 1_000,
        ..StoreFaults::default()
    };
    world.database.set_faults(down);
    world.write(&["a 2"]);
    let mut session = world.start();
    // Minutes: longer than a member may be silent.
    for _ in 0..1_000 {
        session.step().unwrap();
    }
    assert_eq!(world.problems(), ["StoreUnavailable"]);
    assert_eq!(world.status.phase(), Phase::Starting);
    world.database.set_faults(StoreFaults::default());
    for _ in 0..100 {
        session.step().unwrap();
    }
    assert_eq!(world.problems().len(), 0);
    assert_eq!(world.status.phase(), Phase::Running);
    assert_eq!(world.database.rows(), ["a=2"]);

    // And once more while it works.
    world.database.set_faults(down);
    world.write(&["b 4", "c 6"]);
    for _ in 0..1_000 {
        session.step().unwrap();
    }
    assert_eq!(world.problems(), ["StoreUnavailable"]);
    world.database.set_faults(StoreFaults::default());
    for _ in 0..100 {
        session.step().unwrap();
    }
    assert_eq!(world.database.rows(), ["a=2", "b=4", "c=6"]);
    assert_eq!(world.status.phase(), Phase::Running);
    session.drain().unwrap();
}

#[test]
fn a_full_store_is_said_all_the_while_though_its_offsets_can_be_read() {
    let world = World::new();
    let mut session = world.start();
    for _ in 0..20 {
        session.step().unwrap();
    }
    world.database.set_faults(StoreFaults {
        full: 1_000,
        ..StoreFaults::default()
    });
    world.write(&["a 2"]);
    for round in 0..500 {
        session.step().unwrap();
        if round > 5 {
            assert_eq!(world.problems(), ["StoreFull"], "round {round}");
            assert_eq!(world.status.phase(), Phase::Starting, "round {round}");
        }
    }
    world.database.set_faults(StoreFaults::default());
    for _ in 0..200 {
        session.step().unwrap();
    }
    assert_eq!(world.problems().len(), 0);
    assert_eq!(world.database.rows(), ["a=2"]);
}

#[test]
fn a_database_made_anew_is_filled_anew_and_bad_input_is_not_told_of_again() {
    let mut world = World::new();
    world.write(&["a 2", "b nonsense", "c 4"]);
    world.run().unwrap();
    world.write(&["d nonsense", "e 2"]);
    world.run().unwrap();
    assert_eq!(world.dead_letters().len(), 2);
    world.database = MemoryDatabase::new(&world.broker, StoreFaults::default());
    world.run().unwrap();
    assert_eq!(world.database.rows(), ["a=2", "c=4", "e=2"]);
    assert_eq!(world.dead_letters().len(), 2);
}

#[test]
fn latest_begins_at_the_first_start_for_a_table_too() {
    let mut world = World::new();
    world.settings.start_from = StartFrom::Latest;
    world.write(&["a 2"]);
    let mut session = world.start();
    for _ in 0..20 {
        session.step().unwrap();
    }
    assert_eq!(world.stored_to(), 1, "before any record comes");
    let later = world.broker.now_ms() + 10;
    world.broker.create("in", 2);
    let record = Stored {
        value: Some(b"b 4".to_vec()),
        timestamp_ms: Some(later),
        ..Stored::default()
    };
    world.broker.append("in", 1, record);
    world.write(&["c 2"]);
    for _ in 0..200 {
        session.step().unwrap();
    }
    let mut rows = world.database.rows();
    rows.sort();
    assert_eq!(rows, ["b=4", "c=2"]);
}
