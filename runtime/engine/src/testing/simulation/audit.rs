//! The audit, held against what is there: the counts are exact, whatever went wrong; nothing is said to be missing or too much that
//! isn't; and what is, is said.

use super::{World, run_world, seeds};
use crate::log::Counts;
use crate::memory::Mutant;

impl World {
    /// The counts of all partitions, and where their positions are.
    fn counts(&self) -> Result<Vec<(Counts, i64)>, String> {
        let mut all = Vec::new();
        for (topic, partitions) in &self.topics {
            for partition in 0..*partitions {
                let position = match &self.database {
                    None => self.broker.position(topic, partition),
                    Some(database) => database.position(topic, partition as i32),
                };
                let Some(position) = position else { continue };
                let place = format!("{topic}/{partition}");
                let counts = position.counts.ok_or(format!("{place} isn't counted"))?;
                all.push((counts, position.offset));
            }
        }
        Ok(all)
    }

    fn sum(&self, of: fn(&Counts) -> u64) -> Result<u64, String> {
        Ok(self.counts()?.iter().map(|(counts, _)| of(counts)).sum())
    }

    /// What the audit says: an error, where records are missing or too much.
    pub(super) fn audit(&self) -> Result<(), String> {
        let (missing, extra) = (
            self.sum(|counts| counts.missing)?,
            self.sum(|counts| counts.extra)?,
        );
        if missing > 0 || extra > 0 {
            return Err(format!("the audit: {missing} missing, {extra} extra"));
        }
        // What the next one that reads on from there will find.
        let moved = |(counts, offset): &(Counts, i64)| counts.next() != *offset;
        if let Some((counts, offset)) = self.counts()?.into_iter().find(moved) {
            return Err(format!(
                "the audit: at {offset} instead of {}",
                counts.next()
            ));
        }
        let Some(database) = &self.database else {
            return Ok(());
        };
        let holds = database.holds();
        if holds.rows != holds.expected || database.unequal() > 0 {
            return Err(format!(
                "the audit: {holds:?}, unequal {} times",
                database.unequal()
            ));
        }
        Ok(())
    }

    /// Whether each count is that of what is there.
    pub(super) fn counted(&self) -> Result<(), String> {
        let dead_letters = self.topics.iter();
        let dead_letters =
            dead_letters.map(|(topic, _)| self.broker.committed(&format!("{topic}.dlq"), 0).len());
        let written = match &self.database {
            None => (0..2)
                .map(|at| self.broker.committed("out", at).len())
                .sum(),
            Some(database) => database.rows().len(),
        };
        let same = |what: &str, there: usize, of: fn(&Counts) -> u64| {
            let counted = self.sum(of)?;
            if counted == there as u64 {
                return Ok(());
            }
            Err(format!("{what}: {there} are there, {counted} were counted"))
        };
        same("records read", self.written.len(), |counts| counts.read)?;
        same("results", written, |counts| counts.written)?;
        same("dead letters", dead_letters.sum(), |counts| {
            counts.dead_letters
        })
    }
}

#[test]
fn whatever_goes_wrong_the_counts_are_those_of_what_is_there_and_nothing_is_unexplained() {
    // All the seeds of the storms are held to it, too; here it is said by itself.
    for seed in seeds(200) {
        for table in [false, true] {
            let world =
                run_world(seed, None, table).unwrap_or_else(|stuck| panic!("SEED={seed}: {stuck}"));
            if let Err(wrong) = world.counted().and_then(|()| world.audit()) {
                panic!("SEED={seed}, table: {table}: {wrong}");
            }
        }
    }
}

/// A client that loses or doubles records: what it does is told exactly where it has done it.
fn told_exactly(mutant: Mutant) {
    let mut told = 0;
    for seed in 0..400 {
        // It may be stuck, too.
        let Ok(world) = run_world(seed, Some(mutant), false) else {
            continue;
        };
        let (wrong, said) = (world.verdict(), world.audit());
        assert_eq!(
            wrong.is_err(),
            said.is_err(),
            "SEED={seed}: there is {wrong:?}, and it says {said:?}"
        );
        told += u64::from(said.is_err());
    }
    assert!(told > 100, "{told}");
}

#[test]
fn a_record_that_is_lost_after_it_was_counted_is_told() {
    told_exactly(Mutant::RecordLost);
}

#[test]
fn a_record_that_is_written_twice_is_told() {
    told_exactly(Mutant::RecordTwice);
}

#[test]
fn a_position_that_is_committed_beyond_what_was_read_is_told() {
    let mut told = 0;
    for seed in 0..400 {
        let Ok(world) = run_world(seed, Some(Mutant::PositionAhead), false) else {
            continue;
        };
        let (wrong, said) = (world.verdict(), world.audit());
        // What was passed over may have been a marker.
        assert!(
            wrong.is_ok() || said.is_err(),
            "SEED={seed}: there is {wrong:?}, and nothing is said"
        );
        told += u64::from(said.is_err());
    }
    assert!(told > 20, "{told}");
}

#[test]
fn a_store_that_commits_rows_before_offsets_is_told_by_what_the_table_holds() {
    let told = (0..400).any(|seed| {
        run_world(seed, Some(Mutant::OffsetsApart), true).is_ok_and(|world| world.audit().is_err())
    });
    assert!(told);
}
