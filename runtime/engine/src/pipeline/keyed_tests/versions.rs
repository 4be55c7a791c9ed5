//! A temporal join over both parts: where versions begin to be read, and what a record without a value does.

use std::sync::Arc;

use headworks_plan::{InternalTopic, StartFrom};

use super::world::World;
use crate::memory::Stored;
use crate::pipeline::{InputTopic, Pipeline, Settings, StageOperator, Times};
use crate::status::StatusHandle;
use crate::testing::keyed_fixture_format::{Query, first, stateless};
use crate::testing::over_fixture::Looks;
use crate::testing::temporal_fixture::Temporal;

const QUERY: Query = Query::Temporal(Temporal { outer: true });

fn settings(world: &World) -> Settings {
    let input = |topic: &str| InputTopic {
        topic: topic.into(),
        dead_letter_topic: "in.dlq".into(),
        max_message_bytes: 1_000_000,
    };
    Settings {
        inputs: vec![input("in"), input("versions")],
        start_from: StartFrom::Latest,
        ..world.settings("in")
    }
}

/// Lets both parts run; at first from the last record of the rows on.
fn run(world: &World) {
    let topic = InternalTopic {
        topic: "re".into(),
        partitions: 2,
        max_message_bytes: 1_000_000,
    };
    let times = vec![Times::default(); 2];
    let operator = first(QUERY, &topic, times, 1_000_000);
    let names = ["in", "versions"];
    let mut first = Pipeline::with_operator(
        world.broker.open_in("first", "member-0", &names).unwrap(),
        stateless(QUERY, 2),
        StageOperator::Exchange(Box::new(operator)),
        Arc::new(settings(world)),
        StatusHandle::new(),
    );
    let mut second = world.second_of(settings(world).inputs);
    for _ in 0..80 {
        world.broker.tick(20);
        first.step().unwrap();
        second.step().unwrap();
    }
    first.drain().unwrap();
    second.drain().unwrap();
}

fn version(world: &World, key: &str, timestamp_ms: i64, value: Option<&str>) {
    let record = Stored {
        key: Some(key.as_bytes().to_vec()),
        value: value.map(|value| value.as_bytes().to_vec()),
        timestamp_ms: Some(timestamp_ms),
        ..Stored::default()
    };
    world.broker.append("versions", 0, record);
}

#[test]
fn versions_are_read_from_the_first_one_on_wherever_rows_begin() {
    let world = World::new(QUERY, 1);
    world.broker.create("versions", 1);
    version(&world, "a", 1, Some("a 10 1"));
    version(&world, "b", 1, Some("b 11 2"));
    // Valid until the broker's 15.
    version(&world, "b", 15, None);
    world.write(0, &["a 12 3"]);
    run(&world);
    assert_eq!(world.lines(), [""; 0], "what is before the start is no row");
    world.write(0, &["a 14 4", "b 14 5", "b 15 6", "a 16 8", "a 30 9"]);
    version(&world, "a", 1, Some("a 16 10"));
    version(&world, "z", 1, Some("z 30 1"));
    run(&world);
    assert_eq!(
        world.lines(),
        [
            "a|14|4|a|10|1",
            "a|16|8|a|16|10",
            "b|14|5|b|11|2",
            "b|15|6|null|null|null"
        ]
    );
    assert_eq!(world.dead_letters(), []);
}

#[test]
fn a_record_with_neither_value_nor_key_deletes_nothing_and_is_a_dead_letter() {
    let world = World::new(QUERY, 1);
    world.broker.create("versions", 1);
    version(&world, "a", 1, Some("a 10 1"));
    world.broker.append("versions", 0, Stored::default());
    run(&world);
    let letters = world.dead_letters();
    assert_eq!(letters, [("Contract".to_owned(), None)]);
}

#[test]
fn a_late_row_of_a_join_or_of_over_is_a_dead_letter_with_its_bytes() {
    let looks = Looks { back_ms: None };
    let world = World::new(Query::Over(looks), 1);
    world.write(0, &["a 5 1", "a 300 1"]);
    world.run(60).unwrap();
    world.write(0, &["a 30 9"]);
    world.run(60).unwrap();
    let late = ("Late".to_owned(), Some(b"a 30 9".to_vec()));
    assert_eq!(world.dead_letters(), std::slice::from_ref(&late));

    let world = World::new(QUERY, 1);
    world.broker.create("versions", 1);
    run(&world);
    world.write(0, &["a 5 1", "a 300 1"]);
    version(&world, "a", 1, Some("a 300 1"));
    run(&world);
    world.write(0, &["a 30 9"]);
    run(&world);
    assert_eq!(world.dead_letters(), [late]);
}
