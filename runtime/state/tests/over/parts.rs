//! A watermark that leaps.

use std::sync::Arc;

use headworks_sql::keyed::over::Frame;
use headworks_state::{Pool, StatePartition};

use super::{FUNCTIONS, Row, batch, given, oracle, spec};

#[test]
fn a_watermark_that_leaps_gives_rows_in_parts_that_a_restore_goes_on_from() {
    let folder = std::env::temp_dir().join(format!("headworks-over-{}", std::process::id()));
    let frames = [
        Frame::Rows { preceding: None },
        Frame::Rows { preceding: Some(3) },
        Frame::Range {
            preceding_ms: Some(20),
        },
    ];
    for frame in frames {
        let which: Vec<usize> = (0..FUNCTIONS).collect();
        let spec = Arc::new(spec(frame, &which, 0));
        // A row for each KiB at once.
        let pool = Pool::open(256 << 10, Some(folder.clone())).unwrap();
        let mut shard = StatePartition::new(spec.clone(), pool.clone());
        let rows: Vec<Row> = (0..600)
            .map(|id| Row {
                key: Some(format!("k{}", id % 3)),
                time: id / 4,
                n: Some(id),
                id,
            })
            .collect();
        shard.add(&batch(&spec, &rows), 0).unwrap();
        let mut log = shard.prepare_commit(Some(0), 0).unwrap().changelog;
        shard.commit().unwrap();
        let mut found = Vec::new();
        for part in 0.. {
            let output = shard.prepare_commit(Some(10_000), 0).unwrap();
            let some = given(&output.results);
            // All rows of one time go together, and those are four.
            assert!(some.len() <= 259, "{} at once", some.len());
            log.extend(output.changelog);
            shard.commit().unwrap();
            found.extend(some);
            if !output.more {
                assert_eq!(part, 2, "600 rows are three parts");
                break;
            }
            drop(shard);
            shard = StatePartition::new(spec.clone(), pool.clone());
            for change in &log {
                shard.restore(&change.key, change.value.as_deref()).unwrap();
            }
            shard.restored(Some(10_000)).unwrap();
            let late = shard.add(&batch(&spec, &rows[599..]), 0).unwrap();
            assert_eq!(
                late,
                [0],
                "what the watermark has passed is late, given or not"
            );
        }
        assert_eq!(found, oracle(&rows, frame, &which), "{frame:?}");
    }
    std::fs::remove_dir_all(&folder).ok();
}
