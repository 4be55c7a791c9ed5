//! Both parts of a pipeline with state over a broker on which nothing goes wrong by itself.

mod standstill;
mod versions;
mod world;

use std::time::Duration;

use headworks_plan::OnBadRecord;

use self::world::{MINUTE, World};
use crate::log::{LogError, Reason};
use crate::memory::Stored;
use crate::testing::keyed_fixture_format::{NOBODY, Query, STATE_BYTES};

#[test]
fn a_window_is_written_once_when_the_watermark_has_passed_it() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "b 10 2", "a 59 3", "a 60 4"]);
    world.run(60).unwrap();
    assert_eq!(world.lines(), ["a|0|60|59|2|4", "b|0|60|59|1|2"]);
    // Of the time of writing: retention would delete a result that has the time of a window long past.
    assert_eq!(world.broker.committed("out", 0)[0].timestamp_ms, None);

    world.write(0, &["b 120 5", "a 3 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.lines(),
        ["a|0|60|59|2|4", "a|60|120|119|1|4", "b|0|60|59|1|2"],
        "the state came back from the changelog, and the first window isn't written again"
    );
}

#[test]
fn a_late_row_is_a_dead_letter_with_its_bytes() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "a 300 1"]);
    world.run(60).unwrap();
    world.write(0, &["a 30 9", "a 301 1", "b 400 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.dead_letters(),
        [("Late".to_owned(), Some(b"a 30 9".to_vec()))]
    );
    assert_eq!(world.lines(), ["a|0|60|59|1|1", "a|300|360|359|2|2"]);
    let report = world.second.report().figures;
    assert_eq!(report.state.unwrap().late, 1);
    assert_eq!(report.dead_letters, 1);
    let last = report.last_dead_letter.unwrap();
    assert_eq!(
        (last.reason.as_str(), last.place.as_deref()),
        ("Late", Some("in[0]@2"))
    );
}

#[test]
fn a_replay_s_rows_fall_into_open_windows_move_no_event_time_and_are_late_where_these_are_over() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "b 70 1"]);
    world.run(60).unwrap();
    assert_eq!(world.lines(), ["a|0|60|59|1|1"]);
    for value in ["a 30 9", "b 80 5", "c 500 1"] {
        let record = Stored {
            value: Some(value.into()),
            headers: vec![("headworks.reason".into(), "Quality".into())],
            ..Stored::default()
        };
        world.broker.append("in.dlq", 0, record);
    }
    world.replay().unwrap();
    world.run(60).unwrap();
    assert_eq!(world.lines(), ["a|0|60|59|1|1"], "time stands where it was");
    let late = ("Late".to_owned(), Some(b"a 30 9".to_vec()));
    assert_eq!(world.dead_letters()[3..], [late]);
    let last = world.second.report().figures.last_dead_letter.unwrap();
    assert_eq!(last.place.as_deref(), Some("in.dlq[0]@0"));
    world.write(0, &["b 130 1"]);
    world.run(60).unwrap();
    assert_eq!(world.lines(), ["a|0|60|59|1|1", "b|60|120|119|2|6"]);
}

#[test]
fn a_partition_that_says_nothing_holds_windows_open_until_its_owner_finds_it_idle() {
    let mut world = World::new(MINUTE, 2);
    world.write(0, &["a 5 1", "a 300 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.lines(),
        [] as [&str; 0],
        "partition 1 may still bring anything"
    );

    world.times.idle_timeout = Some(Duration::from_secs(2));
    world.run(60).unwrap();
    assert_eq!(
        world.lines(),
        ["a|0|60|59|1|1"],
        "both rest, and the greatest counts"
    );
    world.write(1, &["a 301 1", "b 20 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.dead_letters(),
        [("Late".to_owned(), Some(b"b 20 1".to_vec()))]
    );
}

#[test]
fn disorder_within_its_bound_is_no_lateness() {
    let mut world = World::new(MINUTE, 1);
    world.times.disorder_ms = 50;
    world.write(
        0,
        &["a 5 1", "a 70 1", "a 20 1", "a 110 1", "a 60 1", "a 170 1"],
    );
    world.run(60).unwrap();
    assert_eq!(world.lines(), ["a|0|60|59|2|2", "a|60|120|119|3|3"]);
    assert_eq!(world.dead_letters(), []);
}

#[test]
fn records_without_an_event_time_and_bad_ones_are_the_first_parts_dead_letters() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a - 1", "nonsense", "a 5 13", "a 5 1", "a 600 7"]);
    world.run(60).unwrap();
    let reasons: Vec<String> = world
        .dead_letters()
        .into_iter()
        .map(|(reason, _)| reason)
        .collect();
    assert_eq!(reasons, ["Contract", "Decode", "Evaluation"]);
    assert_eq!(
        world.lines(),
        ["a|0|60|59|1|1"],
        "a row that is filtered out moves event time on"
    );
    let first = world.first.report().figures;
    assert_eq!(
        (first.records_in, first.dead_letters, first.records_out),
        (5, 3, 0)
    );
}

#[test]
fn an_upsert_is_written_at_each_commit_and_deleted_where_having_fails() {
    let world = World::new(Query::Upserts, 1);
    world.write(0, &["a 5 1", "b 6 2"]);
    world.run(40).unwrap();
    assert_eq!(world.lines(), ["a|1|1", "b|1|2"]);
    world.write(0, &["a 7 1", "a 2 1"]);
    world.run(40).unwrap();
    assert_eq!(world.lines(), ["a gone", "a|1|1", "b|1|2"], "three of them");
}

#[test]
fn rows_that_do_not_fit_one_record_go_in_several_and_none_is_late_for_it() {
    let mut world = World::new(MINUTE, 1);
    world.max_message_bytes = 2_000;
    let values: Vec<String> = (0..300).map(|n| format!("key-{} {n} 1", n % 5)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    world.write(0, &values);
    world.run(200).unwrap();
    let records: Vec<Stored> = (0..2)
        .flat_map(|partition| world.broker.committed("re", partition))
        .collect();
    assert!(
        records
            .iter()
            .all(|record| record.value.as_ref().unwrap().len() < 2_000)
    );
    assert_eq!(world.dead_letters(), []);
    // The last record is the last moment of its window, which is over with it.
    assert_eq!(world.lines().len(), 5 * 5);
}

#[test]
fn results_that_are_too_many_for_one_transaction_come_in_several() {
    let mut world = World::new(MINUTE, 1);
    // Two results an epoch.
    world.memory_bytes = 2_048;
    let values: Vec<String> = (0..50).map(|n| format!("key-{n} 5 1")).collect();
    let values: Vec<&str> = values
        .iter()
        .map(String::as_str)
        .chain(["a 300 1"])
        .collect();
    world.write(0, &values);
    // A little of it, and the rest after a restart.
    world.run(5).unwrap();
    world.run(100).unwrap();
    assert_eq!(world.lines().len(), 50);
}

#[test]
fn a_row_that_no_record_can_hold_is_a_dead_letter() {
    let mut world = World::new(MINUTE, 1);
    world.max_message_bytes = 3_000;
    let long = format!("{} 5 1", "x".repeat(4_000));
    world.write(0, &["a 5 1", &long, "b 6 1", "a 100 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.dead_letters(),
        [("TooLarge".to_owned(), Some(long.into_bytes()))]
    );
    assert_eq!(world.lines(), ["a|0|60|59|1|1", "b|0|60|59|1|1"]);
}

#[test]
fn a_late_row_stops_the_pipeline_where_that_is_asked() {
    let mut world = World::new(MINUTE, 1);
    world.on_bad_record = OnBadRecord::Stop;
    world.write(0, &["a 5 1", "a 300 1"]);
    world.run(60).unwrap();
    world.write(0, &["a 30 9"]);
    let error = world.run(60).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::BadRecord,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains("in/0 offset 2") && message.contains("Late"),
        "{message}"
    );
}

#[test]
fn a_group_that_was_set_back_is_not_read_with_a_state_that_is_ahead() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "a 300 1"]);
    world.run(60).unwrap();
    // Somebody makes the changelog anew.
    world.broker.remake("state");
    let error = world.run(60).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::StateOffsetMismatch,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains("of re")
            && message.contains("group second stands at")
            && message.contains("to begin anew"),
        "{message}"
    );
}

#[test]
fn a_shard_that_comes_back_as_it_was_is_not_restored() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "b 6 1", "a 300 1"]);
    let (mut first, mut second) = (world.first(), world.second());
    for _ in 0..60 {
        first.step().unwrap();
        second.step().unwrap();
    }
    assert_eq!(world.second.report().figures.partitions.len(), 2);
    // Without the changelog only what is in memory can be right; to restore would be a mismatch.
    world.broker.remake("state");
    let other = world.broker.open_in("second", "member-1", &["re"]).unwrap();
    for _ in 0..15 {
        first.step().unwrap();
        second.step().unwrap();
    }
    assert_eq!(
        world.second.report().figures.partitions.len(),
        1,
        "the other has one"
    );
    drop(other);
}

#[test]
fn a_partition_far_ahead_waits_for_one_that_has_more() {
    let mut world = World::new(MINUTE, 2);
    world.drift_ms = 100;
    let ahead: Vec<String> = (0..400).map(|n| format!("a {} 1", n * 100)).collect();
    let behind: Vec<String> = (0..200).map(|n| format!("a {n} 1")).collect();
    world.write(0, &ahead.iter().map(String::as_str).collect::<Vec<_>>());
    world.write(1, &behind.iter().map(String::as_str).collect::<Vec<_>>());
    let mut session = world.first();
    for _ in 0..60 {
        session.step().unwrap();
    }
    let position = |partition| world.broker.position_of("first", "in", partition).unwrap();
    assert!(position(1).offset > 50, "{:?}", position(1));
    assert!(position(0).offset < 60, "{:?}", position(0));
    for _ in 0..600 {
        session.step().unwrap();
    }
    assert_eq!(
        (position(0).offset, position(1).offset),
        (400, 200),
        "in the end all is read"
    );
}

#[test]
fn an_idle_pipeline_opens_no_transaction_and_its_topic_is_trimmed() {
    let mut world = World::new(MINUTE, 2);
    world.times.idle_timeout = Some(Duration::from_secs(1));
    world.write(0, &["a 5 1", "a 300 1"]);
    let (mut first, mut second) = (world.first(), world.second());
    for _ in 0..200 {
        first.step().unwrap();
        second.step().unwrap();
    }
    let before = world.broker.transactions();
    for _ in 0..100 {
        first.step().unwrap();
        second.step().unwrap();
    }
    assert!(
        world.broker.transactions() <= before + 2,
        "{before} {}: markers are passed now and then",
        world.broker.transactions()
    );
    assert_eq!(world.lines(), ["a|0|60|59|1|1"]);
}

#[test]
fn a_result_without_a_key_for_a_compacted_stream_is_a_dead_letter() {
    let mut world = World::new(Query::Upserts, 1);
    let value = format!("{NOBODY} 5 1");
    world.write(0, &[&value, "a 6 2"]);
    world.run(40).unwrap();
    assert_eq!(world.lines(), ["a|1|2"]);
    let dead_letters = world.dead_letters();
    assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
    let text = String::from_utf8(dead_letters[0].1.clone().unwrap()).unwrap();
    assert_eq!(dead_letters[0].0, "Evaluation");
    assert!(text.contains(NOBODY), "{text}");

    world.on_bad_record = OnBadRecord::Stop;
    world.write(0, &[&value]);
    let error = world.run(40).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::BadRecord,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains("output out") && message.contains("the key is null"),
        "{message}"
    );
}

#[test]
fn a_state_too_large_for_a_record_stops_with_the_remedy_and_goes_on_when_there_is_room() {
    let mut world = World::new(MINUTE, 1);
    world.state_bytes = 3_000;
    let long = format!("{} 5 1", "x".repeat(4_000));
    world.write(0, &["a 5 1", &long]);
    let error = world.run(60).unwrap_err();
    let LogError::NeedsPerson {
        reason: Reason::StateTooLarge,
        message,
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(
        message.contains("topic state") && message.contains("3000 bytes"),
        "{message}"
    );
    assert_eq!(world.lines(), [] as [&str; 0]);

    world.state_bytes = STATE_BYTES;
    world.write(0, &["b 100 1"]);
    world.run(60).unwrap();
    let reasons: Vec<String> = world
        .dead_letters()
        .into_iter()
        .map(|(why, _)| why)
        .collect();
    assert_eq!(
        (world.lines(), reasons),
        (
            vec!["a|0|60|59|1|1".to_owned()],
            vec!["TooLarge".to_owned()]
        ),
        "the result of the long key doesn't fit the output"
    );
}

#[test]
fn a_group_that_was_set_by_hand_has_no_notes_and_must_be_where_the_state_is() {
    let world = World::new(MINUTE, 1);
    world.write(0, &["a 5 1", "b 6 1", "a 300 1"]);
    world.run(60).unwrap();
    let set = |ahead: i64| {
        for partition in 0..2 {
            if let Some(at) = world.broker.position_of("second", "re", partition) {
                let offset = at.offset + ahead;
                world.broker.set_position("second", "re", partition, offset);
            }
        }
    };
    set(0);
    world.write(0, &["a 301 1", "b 400 1"]);
    world.run(60).unwrap();
    assert_eq!(
        world.lines(),
        ["a|0|60|59|1|1", "a|300|360|359|2|2", "b|0|60|59|1|1"],
        "the same place is the same progress"
    );

    // There is more to be read, and the group is set past some of it.
    world.write(0, &["a 500 1", "b 501 1"]);
    let mut first = world.first();
    for _ in 0..40 {
        first.step().unwrap();
    }
    first.drain().unwrap();
    drop(first);
    set(1);
    let error = world.run(60).unwrap_err();
    assert!(
        matches!(
            &error,
            LogError::NeedsPerson {
                reason: Reason::StateOffsetMismatch,
                ..
            }
        ),
        "{error:?}"
    );
}
