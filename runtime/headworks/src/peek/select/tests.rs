//! The selection over a topic in memory.

use super::memory::{Memory, record};
use super::*;

#[derive(Default)]
struct Shown {
    records: Vec<String>,
    notes: Vec<String>,
    /// Listens so long.
    most: Option<usize>,
    /// So many have room.
    room: Option<usize>,
}

impl Out for Shown {
    fn record(&mut self, found: &Found) -> Sent {
        if self.most.is_some_and(|most| self.records.len() >= most) {
            return Sent::Unheard;
        }
        if self.room.is_some_and(|room| self.records.len() >= room) {
            return Sent::Full;
        }
        self.records
            .push(format!("{}/{}", found.partition, found.offset));
        Sent::Shown
    }

    fn note(&mut self, message: String) {
        self.notes.push(message);
    }
}

fn all(selection: &PeekSelection) -> Wanted<'_> {
    Wanted {
        selection,
        filter: None,
    }
}

fn selection() -> PeekSelection {
    PeekSelection {
        limit: 3,
        seconds: 60,
        ..PeekSelection::default()
    }
}

fn shown(topic: &mut Memory, selection: &PeekSelection) -> (Vec<String>, Vec<String>, Counts) {
    let mut out = Shown::default();
    let counts = peek(topic, all(selection), &mut out).unwrap().unwrap();
    (out.records, out.notes, counts)
}

fn topic() -> Memory {
    Memory::default()
        .with(0, &[(10, "a"), (20, "b"), (30, "a"), (40, "c")])
        .with(1, &[(15, "d"), (25, "a"), (35, "d")])
        .with(2, &[])
}

#[test]
fn without_a_beginning_the_newest_of_all_partitions_are_shown_by_their_time() {
    let (records, notes, counts) = shown(&mut topic(), &selection());
    assert_eq!(records, ["0/2", "1/2", "0/3"]);
    assert!(notes.is_empty());
    assert_eq!((counts.records, counts.read, counts.more), (3, 7, true));
}

#[test]
fn with_a_beginning_the_first_from_there_on_are_shown() {
    let from = |from| PeekSelection {
        from: Some(from),
        ..selection()
    };
    let mut topic = Memory::default()
        .with(0, &[(10, "a"), (20, "b"), (30, "a"), (40, "c"), (50, "c")])
        .with(1, &[(15, "d"), (25, "a"), (35, "d")]);
    let (records, _, counts) = shown(&mut topic, &from(PeekFrom::Time(20)));
    assert_eq!(records, ["0/1", "1/1", "0/2"]);
    assert!(counts.more);
    let (records, _, counts) = shown(&mut topic, &from(PeekFrom::Time(36)));
    assert_eq!(records, ["0/3", "0/4"]);
    assert!(!counts.more);
    let offset = PeekSelection {
        partitions: vec![0],
        ..from(PeekFrom::Offset(3))
    };
    assert_eq!(shown(&mut topic, &offset).0, ["0/3", "0/4"]);
}

#[test]
fn what_is_before_a_time_ends_there() {
    let until = PeekSelection {
        until_ms: Some(30),
        ..selection()
    };
    let mut topic = Memory::default()
        .with(0, &[(10, "a"), (20, "b"), (30, "a"), (29, "late")])
        .with(1, &[(15, "d"), (25, "a"), (35, "d")]);
    let (records, ..) = shown(&mut topic, &until);
    // 0/3 stands behind a record of the end's time: Kafka finds ends by the first such record.
    assert_eq!(records, ["1/0", "0/1", "1/1"]);
}

#[test]
fn a_key_is_looked_for_from_the_oldest_record_on() {
    let key = PeekSelection {
        key: Some("a".into()),
        ..selection()
    };
    let mut many = Memory::default().with(1, &[(5, "a")]);
    for n in 0..500 {
        many.push(0, 100 + n, "other");
    }
    let (records, _, counts) = shown(&mut many, &key);
    assert_eq!(records, ["1/0"]);
    assert_eq!((counts.read, counts.more), (501, false));
    // One with no key at all.
    many.push(1, 7, "a");
    let last = many.partitions.get_mut(&1).unwrap().last_mut().unwrap();
    last.as_mut().unwrap().key = None;
    assert_eq!(shown(&mut many, &key).0, ["1/0"]);
}

#[test]
fn the_newest_are_found_before_any_number_of_markers() {
    let mut topic = Memory::default().with(0, &[(1, "a"), (2, "b")]);
    for _ in 0..5_000 {
        topic.marker(0);
    }
    topic.push(0, 3, "c");
    topic.marker(0);
    let (records, ..) = shown(&mut topic, &selection());
    assert_eq!(records, ["0/0", "0/1", "0/5002"]);
    assert!(topic.begun > 1, "it looked farther and farther back");
}

#[test]
fn an_offset_that_is_gone_or_not_there_yet_is_told() {
    let mut topic = Memory::default().with(0, &[(1, "a"), (2, "b"), (3, "c")]);
    topic.lows.insert(0, 1);
    let at = |offset| PeekSelection {
        partitions: vec![0],
        from: Some(PeekFrom::Offset(offset)),
        ..selection()
    };
    let (records, notes, _) = shown(&mut topic, &at(0));
    assert_eq!(records, ["0/1", "0/2"]);
    assert!(notes[0].contains("begins at offset 1"), "{notes:?}");
    let (records, notes, _) = shown(&mut topic, &at(3));
    assert!(records.is_empty());
    assert!(notes[0].contains("ends before offset 3"), "{notes:?}");
    let missing = PeekSelection {
        partitions: vec![0, 7],
        ..selection()
    };
    let failure = peek(&mut topic, all(&missing), &mut Shown::default()).unwrap_err();
    assert_eq!(failure.reason, "PartitionNotFound");
}

#[test]
fn followed_is_what_comes_after_the_newest_until_nobody_listens() {
    let follow = PeekSelection {
        limit: 1,
        follow: true,
        key: Some("a".into()),
        ..selection()
    };
    let mut topic = Memory::default().with(0, &[(1, "a"), (2, "a"), (3, "b")]);
    topic.later = vec![
        record(0, 3, 4, "b"),
        record(0, 4, 5, "a"),
        record(0, 5, 6, "a"),
    ];
    let mut out = Shown {
        most: Some(2),
        ..Shown::default()
    };
    assert_eq!(peek(&mut topic, all(&follow), &mut out).unwrap(), None);
    assert_eq!(out.records, ["0/1", "0/4"]);
}

#[test]
fn what_has_no_room_is_told_with_where_to_go_on() {
    let mut out = Shown {
        room: Some(1),
        ..Shown::default()
    };
    let counts = peek(&mut topic(), all(&selection()), &mut out)
        .unwrap()
        .unwrap();
    assert_eq!(out.records, ["0/2"]);
    assert_eq!((counts.records, counts.more), (1, true));
    let note = &out.notes[0];
    assert!(
        note.ends_with("to go on: --partition 0 --offset 3; --partition 1 --offset 2"),
        "{note}"
    );

    let follow = PeekSelection {
        limit: 1,
        follow: true,
        ..selection()
    };
    let mut topic = topic();
    topic.later = vec![record(1, 3, 50, "x"), record(0, 4, 51, "x")];
    let mut out = Shown {
        room: Some(2),
        ..Shown::default()
    };
    let counts = peek(&mut topic, all(&follow), &mut out).unwrap().unwrap();
    assert_eq!(out.records, ["0/3", "1/3"]);
    assert_eq!((counts.records, counts.more), (2, true));
    let note = &out.notes[0];
    assert!(
        note.ends_with(
            "to go on: --partition 0 --offset 4; --partition 1 --offset 4; --partition 2 --offset 0"
        ),
        "{note}"
    );

    let many: BTreeMap<i32, i64> = (0..40).map(|partition| (partition, 7)).collect();
    assert!(how_to_go_on(&many).ends_with("; so with 24 other partitions"));
}

#[test]
fn reading_ends_when_the_time_is_over_and_says_so() {
    let none = PeekSelection {
        seconds: 0,
        ..selection()
    };
    let (records, notes, counts) = shown(&mut topic(), &none);
    assert!(records.is_empty() && counts.more);
    assert!(notes[0].contains("--timeout"), "{notes:?}");
}

#[test]
fn what_is_held_is_bounded_in_bytes() {
    let all = PeekSelection {
        limit: 1_000,
        ..selection()
    };
    let mut kept = Kept::new(&all);
    for offset in 0..20 {
        kept.add(Found {
            value: Some(vec![0; 8 << 20]),
            ..record(0, offset, offset, "k")
        });
    }
    assert!(kept.too_large && kept.is_full());
    assert!(kept.bytes <= KEPT_BYTES);
    let offsets: Vec<i64> = kept.records.values().map(|found| found.offset).collect();
    assert_eq!(offsets, (13..20).collect::<Vec<_>>());
}
