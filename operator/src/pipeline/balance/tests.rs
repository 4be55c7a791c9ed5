use headworks_crds::conditions::find;
use headworks_plan::TableCounts;

use super::*;

/// A second of the year 2026, in milliseconds.
const T0: i64 = 1_767_225_600_000;

fn counts(read: u64) -> StageCounts {
    StageCounts {
        stage: "streams".into(),
        group: "hw.x.shop.p".into(),
        topics: vec!["shop.orders".into()],
        owned: 2,
        position: read + 1,
        counted: read + 1,
        read,
        written: read,
        began_ms: Some(T0),
        begun: Some(begun(T0, true, 2)),
        ..StageCounts::default()
    }
}

fn begun(at_ms: i64, fresh: bool, partitions: u32) -> CountsBegun {
    CountsBegun {
        at_ms,
        fresh,
        partitions,
        place: "shop.orders[1]@4".into(),
    }
}

/// A status over the time of several looks.
#[derive(Default)]
struct Looks {
    known: Vec<StageAudit>,
    conditions: Vec<Condition>,
    accepted: String,
    shared: BTreeSet<String>,
    lost: Option<String>,
}

impl Looks {
    fn look(&mut self, counts: StageCounts, settled: bool) -> (String, String, String) {
        let counted = Counted {
            stages: vec![counts],
            settled,
            older: false,
        };
        take_in(&mut self.known, &counted);
        self.said()
    }

    /// Status, reason and message.
    fn said(&mut self) -> (String, String, String) {
        let tables = ["warehouse/orders".to_owned()];
        let audited = Audited {
            stages: &self.known,
            tables: &tables,
            shared: self.shared.clone(),
            accepted: &self.accepted,
            lost: self.lost.clone(),
        };
        audited.say(&mut self.conditions, Some(1), Timestamp::UNIX_EPOCH);
        let found = find(&self.conditions, BALANCED).unwrap();
        (
            found.status.clone(),
            found.reason.clone(),
            found.message.clone(),
        )
    }

    /// Reason and message while it is False.
    fn refused(said: (String, String, String)) -> (String, String) {
        assert_eq!(said.0, "False", "{said:?}");
        (said.1, said.2)
    }
}

#[test]
fn it_is_unknown_until_all_is_counted_and_then_true_with_the_figures() {
    let mut looks = Looks::default();
    let said = looks.said();
    assert_eq!(
        (said.0.as_str(), said.1.as_str()),
        ("Unknown", "NotCounted")
    );
    assert_eq!(looks.look(counts(10), false).0, "Unknown");
    let (status, reason, message) = looks.look(counts(10), true);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Accounted"));
    assert_eq!(
        message,
        "streams: 10 records read, 10 written, 0 dead letters, 0 dropped"
    );
    // A pod of an earlier release counts nothing, and what it does can't be told.
    let older = Counted {
        stages: vec![counts(10)],
        settled: false,
        older: true,
    };
    take_in(&mut looks.known, &older);
    assert_eq!(looks.said().0, "Unknown");
    // Afterwards counting began anew, and nobody is to blame.
    let anew = StageCounts {
        began_ms: Some(T0 + 90_000),
        begun: Some(begun(T0 + 90_000, false, 2)),
        ..counts(3)
    };
    assert_eq!(looks.look(anew, true).0, "True");
}

#[test]
fn what_is_missing_or_extra_is_said_with_its_place_until_it_is_accepted() {
    let mut looks = Looks::default();
    looks.look(counts(10), true);
    let missing = StageCounts {
        missing: 5,
        place: Some("shop.orders[0]@7".into()),
        ..counts(12)
    };
    let (reason, message) = Looks::refused(looks.look(missing.clone(), false));
    assert_eq!(reason, "RecordsMissing");
    assert_eq!(
        message,
        "streams: 5 records were passed over unread, or their results weren't written, the first at shop.orders[0]@7; once you know why, \
         and have put it right or taken it as it is, annotate the Pipeline with headworks.dev/accept-imbalance: \"streams/missing/5\""
    );
    looks.accepted = "streams/missing/5".into();
    let (status, _, message) = looks.look(missing.clone(), true);
    assert_eq!(status, "True");
    assert!(
        message.contains("; taken for known: streams: 5 records"),
        "{message}"
    );
    // Another loss is another matter; both tokens are asked for.
    let more = StageCounts {
        extra: 2,
        ..missing
    };
    let (reason, message) = Looks::refused(looks.look(more, true));
    assert_eq!(reason, "RecordsRepeated");
    assert!(
        message.ends_with("\"streams/missing/5,streams/extra/2\""),
        "{message}"
    );
}

#[test]
fn commits_that_somebody_sets_are_told_by_their_counts_and_by_how_far_they_were_moved() {
    for (at, said) in [
        (4, "about 7 records are in the results again"),
        (30, "about 19 records are missing from the results"),
        (11, "to where they were"),
    ] {
        let mut looks = Looks::default();
        looks.look(counts(10), true);
        let set = StageCounts {
            position: at + 2,
            counted: 2,
            begun: Some(begun(T0 + 5_000, false, 2)),
            began_ms: Some(T0 + 5_000),
            ..counts(2)
        };
        let (reason, message) = Looks::refused(looks.look(set.clone(), false));
        assert_eq!(reason, "PositionsSet");
        assert!(
            message.contains("the commits of group hw.x.shop.p were set by somebody else")
                && message.contains("reads on from shop.orders[1]@4")
                && message.contains(said),
            "{message}"
        );
        // It stays, and is told once.
        assert_eq!(Looks::refused(looks.look(set.clone(), true)).1, message);
        looks.accepted = format!("streams/set/{}", (T0 + 5_000) / 1_000);
        assert_eq!(looks.look(set, true).0, "True");
    }
}

#[test]
fn a_group_that_was_deleted_and_partitions_that_were_set_alone_are_told() {
    let mut looks = Looks::default();
    looks.look(counts(10), true);
    let deleted = StageCounts {
        begun: Some(begun(T0 + 9_000, true, 1)),
        ..counts(10)
    };
    let (_, message) = Looks::refused(looks.look(deleted, false));
    assert!(
        message.contains("were deleted")
            && message.contains("are missing from the results, or are there again"),
        "{message}"
    );
    // Another query's group counts from its own beginning.
    let other = StageCounts {
        group: "hw.x.shop.p.v2".into(),
        began_ms: Some(T0 + 60_000),
        begun: Some(begun(T0 + 60_000, true, 2)),
        ..counts(1)
    };
    assert_eq!(looks.look(other.clone(), true).0, "True");
    assert_eq!(looks.look(other, true).0, "True");
}

#[test]
fn a_query_that_is_given_another_input_begins_there_and_nobody_is_to_blame() {
    let mut looks = Looks::default();
    looks.look(counts(10), true);
    let other = StageCounts {
        topics: vec!["shop.returns".into()],
        began_ms: Some(T0 + 60_000),
        begun: Some(CountsBegun {
            at_ms: T0 + 60_000,
            fresh: true,
            partitions: 1,
            place: "shop.returns[0]@0".into(),
        }),
        ..counts(1)
    };
    assert_eq!(looks.look(other.clone(), false).0, "True");
    assert_eq!(looks.look(other, true).0, "True");
}

#[test]
fn a_table_that_holds_other_rows_than_were_written_is_told_unless_others_write_it() {
    let with = |rows, expected| StageCounts {
        stage: "table-0".into(),
        begun: None,
        table: Some(TableCounts { rows, expected }),
        ..counts(10)
    };
    let mut looks = Looks::default();
    let (status, _, message) = looks.look(with(10, 10), true);
    assert_eq!(status, "True");
    assert!(message.ends_with(", 10 rows in the table"), "{message}");
    let (reason, message) = Looks::refused(looks.look(with(8, 10), true));
    assert_eq!(reason, "TableDiffers");
    assert!(
        message.contains("warehouse/orders holds 8 rows and should hold 10: 2 rows are gone"),
        "{message}"
    );
    let (_, message) = Looks::refused(looks.look(with(11, 10), true));
    assert!(
        message.contains("1 rows are there that it hasn't written"),
        "{message}"
    );
    looks.shared = ["warehouse/orders".to_owned()].into();
    assert_eq!(looks.said().0, "True");
    looks.shared.clear();
    looks.accepted = "table-0/table".into();
    assert_eq!(looks.said().0, "True");
}

#[test]
fn records_that_are_gone_before_they_were_read_are_said_by_the_pods_words() {
    let mut looks = Looks::default();
    looks.look(counts(10), true);
    looks.lost = Some("shop.orders/0: read up to 5 but only 9 and later are kept".into());
    let (reason, message) = Looks::refused(looks.said());
    assert_eq!(reason, "RecordsMissing");
    assert!(
        message.starts_with("shop.orders/0: read up to 5"),
        "{message}"
    );
}

#[test]
fn numbers_that_a_pod_made_up_overflow_nothing() {
    let mut looks = Looks::default();
    for n in [0, 1, i64::MAX as u64, u64::MAX] {
        for at in [i64::MIN, 0, i64::MAX] {
            let hostile = StageCounts {
                position: n,
                counted: u64::MAX - n,
                read: n,
                missing: n,
                extra: n,
                owned: u32::MAX,
                began_ms: Some(at),
                begun: Some(begun(at, false, u32::MAX)),
                table: Some(TableCounts {
                    rows: n,
                    expected: u64::MAX - n,
                }),
                ..StageCounts::default()
            };
            looks.look(hostile.clone(), false);
            looks.look(hostile, true);
        }
    }
    for n in 0..100 {
        let made_up = StageCounts {
            stage: format!("s{n}"),
            ..counts(1)
        };
        looks.look(made_up, false);
    }
    assert_eq!(looks.known.len(), MOST_STAGES);
}
