//! Single cases, worked by hand.

use super::*;

fn row(right: bool, time: i64, id: i64) -> Row {
    Row {
        right,
        key: Some("k".to_owned()),
        time,
        id,
    }
}

/// A state partition, and a function that adds rows in an epoch and gives what comes of it by a watermark.
fn epochs(
    kind: JoinKind,
    bounds: (i64, i64),
    steps: &[(&[Row], i64)],
) -> Vec<Vec<(Option<i64>, Option<i64>)>> {
    let spec = Arc::new(spec(kind, bounds, 0));
    let mut shard = StatePartition::new(spec.clone(), Pool::open(1 << 20, None).unwrap());
    let step = |(rows, watermark): &(&[Row], i64)| {
        shard.add(&batch(&spec, rows), 0).unwrap();
        let output = shard.prepare_commit(Some(*watermark), 0).unwrap();
        shard.commit().unwrap();
        pairs(&output.results)
    };
    steps.iter().map(step).collect()
}

#[test]
fn a_late_row_makes_its_pairs_with_what_is_still_kept() {
    // left.time - right.time between -10 and 10.
    let given = epochs(
        JoinKind::Inner,
        (-10, 10),
        &[
            (&[row(false, 100, 1)], 110),
            // Late by 15, and the left row is kept: the watermark is at the last moment of its partners.
            (&[row(true, 95, 2)], 111),
            // The watermark has passed it.
            (&[row(true, 95, 3)], 112),
        ],
    );
    assert_eq!(given, [vec![], vec![(Some(1), Some(2))], vec![]]);
}

#[test]
fn a_late_row_that_is_ignored_is_noticed() {
    let spec = Arc::new(spec(JoinKind::Inner, (-10, 10), 0));
    let mut shard = StatePartition::new(spec.clone(), Pool::open(1 << 20, None).unwrap());
    shard.break_rule(Mutant::LateDropped);
    for (rows, watermark) in [(row(false, 100, 1), 105), (row(true, 95, 2), 106)] {
        shard.add(&batch(&spec, &[rows]), 0).unwrap();
        let output = shard.prepare_commit(Some(watermark), 0).unwrap();
        shard.commit().unwrap();
        assert!(
            output.results.is_empty(),
            "the mutant drops what comes late"
        );
    }
}

#[test]
fn a_row_without_a_pair_is_given_once_its_last_partner_can_not_come() {
    let given = epochs(
        JoinKind::Left,
        (-10, 10),
        &[
            (&[row(false, 100, 1)], 110),
            (&[], 111),
            // No partner can come for this one any more: it isn't kept at all.
            (&[row(false, 101, 2)], 111),
            (&[], i64::MAX),
        ],
    );
    assert_eq!(
        given,
        [vec![], vec![(Some(1), None)], vec![(Some(2), None)], vec![]]
    );
}

#[test]
fn a_left_row_that_has_a_partner_is_given_once_whichever_comes_first() {
    let steps: &[(&[Row], i64)] = &[
        // Two partners at once, and one that was there before.
        (&[row(true, 100, 1), row(false, 101, 2)], 0),
        (&[row(true, 102, 3), row(false, 130, 4)], 0),
        (&[row(true, 131, 5), row(true, 132, 6)], 0),
        // 7 is late and still kept, 8 is not any more.
        (&[], 120),
        (&[row(false, 119, 7), row(false, 60, 8)], 120),
        (&[], i64::MAX),
    ];
    let semi = epochs(JoinKind::Semi, (-10, 10), steps);
    let of = |ids: &[i64]| -> Vec<_> { ids.iter().map(|id| (Some(*id), None)).collect() };
    assert_eq!(
        semi,
        [of(&[2]), vec![], of(&[4]), vec![], vec![], vec![]],
        "7 and 8 have none"
    );
    let anti = epochs(JoinKind::Anti, (-10, 10), steps);
    assert_eq!(
        anti,
        [vec![], vec![], vec![], vec![], of(&[8]), of(&[7])],
        "the late one at once"
    );
}

#[test]
fn bounds_may_lie_wholly_in_the_past_or_in_the_future() {
    // The right row is 20 to 30 before the left one.
    let steps: &[(&[Row], i64)] = &[
        (
            &[row(true, 100, 1), row(false, 119, 2), row(false, 120, 3)],
            100,
        ),
        (&[row(false, 130, 4), row(false, 131, 5)], i64::MAX),
    ];
    let given = epochs(JoinKind::Inner, (20, 30), steps);
    assert_eq!(given, [vec![(Some(3), Some(1))], vec![(Some(4), Some(1))]]);
}

#[test]
fn more_rows_than_memory_may_hold_stop_the_partition_and_say_what_to_do() {
    let spec = Arc::new(spec(JoinKind::Inner, (-10, 10), 0));
    let mut shard = StatePartition::new(spec.clone(), Pool::open(20_000, None).unwrap());
    let rows: Vec<Row> = (0..1_000).map(|id| row(false, 100, id)).collect();
    let error = shard.add(&batch(&spec, &rows), 0).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }));
    assert!(error.to_string().contains("raise state.memory"), "{error}");
    shard.abort();
    assert_eq!(
        shard.add(&batch(&spec, &rows[..10]), 0).unwrap(),
        Vec::<u32>::new()
    );
}

#[test]
fn a_row_with_more_partners_than_memory_may_hold_stops_the_partition() {
    let spec = Arc::new(spec(JoinKind::Inner, (-10, 10), 0));
    let mut shard = StatePartition::new(spec.clone(), Pool::open(400_000, None).unwrap());
    let rows: Vec<Row> = (0..500).map(|id| row(false, 100, id)).collect();
    shard.add(&batch(&spec, &rows), 0).unwrap();
    shard.prepare_commit(None, 0).unwrap();
    shard.commit().unwrap();
    // Each makes 500 pairs.
    let rows: Vec<Row> = (0..500).map(|id| row(true, 100, id)).collect();
    let error = shard.add(&batch(&spec, &rows), 0).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }));
    shard.abort();
    assert_eq!(
        shard.add(&batch(&spec, &rows[..2]), 0).unwrap(),
        Vec::<u32>::new(),
        "what was given up is free again"
    );
}

#[test]
fn a_watermark_that_leaps_gives_what_is_over_in_parts_that_a_restore_goes_on_from() {
    let spec = Arc::new(spec(JoinKind::Full, (-10, 10), 0));
    let folder = std::env::temp_dir().join(format!("headworks-joins-{}", std::process::id()));
    // A result for each KiB at once.
    let pool = Pool::open(256 << 10, Some(folder.clone())).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let rows: Vec<Row> = (0..600)
        .map(|id| Row {
            key: Some(format!("k{id}")),
            ..row(id % 2 == 0, id, id)
        })
        .collect();
    shard.add(&batch(&spec, &rows), 0).unwrap();
    let mut log = shard.prepare_commit(Some(0), 0).unwrap().changelog;
    shard.commit().unwrap();
    let mut found = Vec::new();
    for part in 0.. {
        let output = shard.prepare_commit(Some(10_000), 0).unwrap();
        let given = pairs(&output.results);
        assert!(given.len() <= 258, "{} at once", given.len());
        log.extend(output.changelog);
        shard.commit().unwrap();
        found.extend(given);
        if !output.more {
            break;
        }
        assert!(part < 5, "it comes to an end");
        shard = StatePartition::new(spec.clone(), pool.clone());
        for change in &log {
            shard.restore(&change.key, change.value.as_deref()).unwrap();
        }
        shard.restored(Some(10_000)).unwrap();
    }
    found.sort_unstable();
    assert_eq!(found, oracle(&rows, JoinKind::Full, (-10, 10)));
    assert_eq!(shard.figures().keys, 0);
    std::fs::remove_dir_all(folder).unwrap();
}

/// The same as rows of windows of ten milliseconds, of which the last column says whether they are the last of their record.
fn in_windows(spec: &Spec, rows: &[(Row, bool)]) -> RecordBatch {
    let end = |row: &Row| Row {
        time: row.time.div_euclid(10) * 10 + 9,
        ..row.clone()
    };
    let all: Vec<Row> = rows.iter().map(|(row, _)| end(row)).collect();
    let last: BooleanArray = rows.iter().map(|(_, last)| Some(*last)).collect();
    let batch = batch(&super::spec(JoinKind::Inner, (0, 0), 0), &all);
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(last));
    RecordBatch::try_new(spec.rows.clone(), columns).unwrap()
}

#[test]
fn rows_of_one_window_are_joined_until_it_is_over_and_late_ones_are_refused() {
    let mut spec = spec(JoinKind::Left, (0, 0), 0);
    let Operator::IntervalJoin(join) = spec.operator else {
        panic!("an interval join");
    };
    let mut fields: Vec<Field> = spec
        .rows
        .fields()
        .iter()
        .map(|f| f.as_ref().clone())
        .collect();
    fields.push(Field::new("last", DataType::Boolean, true));
    spec.rows = Arc::new(Schema::new(fields));
    spec.operator = Operator::WindowJoin(Box::new(WindowJoin {
        join: *join,
        last: 5,
    }));
    let spec = Arc::new(spec);
    let pool = Pool::open(64 << 20, None).unwrap();
    let mut shard = StatePartition::new(spec.clone(), pool.clone());
    let mut log = Vec::new();
    let mut epoch = |shard: &mut StatePartition, rows: &[(Row, bool)], watermark: i64| {
        let late = shard.add(&in_windows(&spec, rows), 0).unwrap();
        let output = shard.prepare_commit(Some(watermark), 0).unwrap();
        shard.commit().unwrap();
        log.extend(output.changelog);
        (late, pairs(&output.results))
    };
    // Of one window, and one of the next.
    let rows = [
        (row(false, 1, 1), true),
        (row(true, 8, 2), true),
        (row(true, 10, 3), true),
        (row(false, 3, 4), true),
    ];
    let both = vec![(Some(1), Some(2)), (Some(4), Some(2))];
    assert_eq!(epoch(&mut shard, &rows, 8), (vec![], both));
    // The watermark is at the window's last moment: it is over, as in Flink.
    let last = [(row(false, 5, 5), true)];
    assert_eq!(
        epoch(&mut shard, &last, 9),
        (vec![], vec![(Some(5), Some(2))])
    );
    let late = [
        (row(false, 2, 6), true),
        // Its record is in a window that ends later, too.
        (row(false, 2, 7), false),
        (row(false, 12, 8), true),
    ];
    let next = vec![(Some(8), Some(3))];
    assert_eq!(epoch(&mut shard, &late, 12), (vec![0], next));
    let mut again = StatePartition::new(spec.clone(), pool);
    for change in &log {
        again.restore(&change.key, change.value.as_deref()).unwrap();
    }
    again.restored(Some(12)).unwrap();
    let rows = [(row(false, 4, 9), true), (row(false, 13, 10), true)];
    let late = again.add(&in_windows(&spec, &rows), 0).unwrap();
    assert_eq!(late, [0], "what is over is restored");
    let output = again.prepare_commit(Some(100), 0).unwrap();
    assert_eq!(pairs(&output.results), [(Some(10), Some(3))]);
}
