//! What came out, held against what should have.

use std::collections::BTreeMap;

use headworks_plan::OnBadRecord;

use super::World;
use crate::memory::MemoryDatabase;
use crate::testing::fixture_format::{judged_oracle, oracle};

impl World {
    fn oracle(&self, value: Option<&str>) -> Result<Vec<String>, &'static str> {
        if self.rules {
            judged_oracle(value)
        } else {
            oracle(value)
        }
    }

    pub(super) fn verdict(&self) -> Result<(), String> {
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let mut expected: Vec<String> = Vec::new();
        let mut expected_bad: Vec<String> = Vec::new();
        for (topic, partition, offset, value) in &self.written {
            match self.oracle(value.as_deref()) {
                Ok(results) => expected.extend(results),
                Err(reason) => expected_bad.push(format!(
                    "{topic}/{partition}@{offset} {reason} {}",
                    value.clone().unwrap_or_default()
                )),
            }
        }
        if self.settings.on_bad_record == OnBadRecord::Drop {
            expected_bad.retain(|bad| bad.contains(" Quality "));
        }
        let mut found: Vec<String> = Vec::new();
        let mut disorder = Ok(());
        for partition in 0..2 {
            let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            for record in self.broker.committed("out", partition) {
                let result = text(&record.value);
                let id = result.split('=').next().unwrap_or_default().to_owned();
                let offset = self.written.iter().find(|(.., value)| {
                    value
                        .as_ref()
                        .is_some_and(|value| value.starts_with(&format!("{id} ")))
                });
                let offset = offset.map_or(-1, |(_, _, offset, _)| *offset);
                let before = last.insert(record.key.clone().unwrap_or_default(), offset);
                if before.is_some_and(|before| before > offset) {
                    disorder = Err(format!("{result} came after a later one of its partition"));
                }
                found.push(result);
            }
        }
        let mut found_bad: Vec<String> = Vec::new();
        for (topic, _) in &self.topics {
            for record in self.broker.committed(&format!("{topic}.dlq"), 0) {
                let header = |name: &str| {
                    let header = record.headers.iter().find(|(known, _)| known == name);
                    header.map_or_else(String::new, |(_, value)| {
                        String::from_utf8_lossy(value).into_owned()
                    })
                };
                found_bad.push(format!(
                    "{}/{}@{} {} {}",
                    header("headworks.origin.topic"),
                    header("headworks.origin.partition"),
                    header("headworks.origin.offset"),
                    header("headworks.reason"),
                    text(&record.value)
                ));
            }
        }
        if let Some(database) = &self.database {
            return self.table_verdict(database, found_bad);
        }
        same("results", expected, found)?;
        same("dead letters", expected_bad, found_bad)?;
        disorder
    }
}

impl World {
    /// Each record's rows are in the table once, or the record is among the dead letters once.
    fn table_verdict(
        &self,
        database: &MemoryDatabase,
        dead_letters: Vec<String>,
    ) -> Result<(), String> {
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        for (topic, partition, offset, value) in &self.written {
            let text = value.clone().unwrap_or_default();
            let dead_letter = |reason| format!("{topic}/{partition}@{offset} {reason} {text}");
            match self.oracle(value.as_deref()) {
                Ok(results) => {
                    let ends = |known: &[&str]| {
                        results
                            .iter()
                            .any(|row| known.iter().any(|end| row.ends_with(end)))
                    };
                    let refused = dead_letter("StoreRefused");
                    // Which of the two a fickle record is, only the run can tell.
                    let is_letter = ends(&MemoryDatabase::REFUSED)
                        || (ends(&MemoryDatabase::FICKLE) && dead_letters.contains(&refused));
                    let dropped = self.settings.on_bad_record == OnBadRecord::Drop
                        && ends(&MemoryDatabase::FICKLE)
                        && !results.iter().any(|row| database.rows().contains(row));
                    if is_letter {
                        bad.push(refused);
                    } else if !dropped {
                        rows.extend(results);
                    }
                }
                // No row is too large for a table.
                Err("TooLarge") => {
                    let (id, n) = text.split_once(' ').unwrap_or_default();
                    rows.extend([format!("{id}={n}"), format!("{id}=-{n}")]);
                }
                Err(reason) if self.tells => bad.push(dead_letter(reason)),
                Err(_) => {}
            }
        }
        if self.settings.on_bad_record == OnBadRecord::Drop {
            bad.retain(|bad: &String| bad.contains(" Quality "));
        }
        same("rows", rows, database.rows())?;
        same("dead letters", bad, dead_letters)
    }
}

/// Compares without regard to order; the error names what is missing and what is too much.
pub(crate) fn same(
    what: &str,
    mut expected: Vec<String>,
    mut found: Vec<String>,
) -> Result<(), String> {
    expected.sort();
    found.sort();
    if expected == found {
        return Ok(());
    }
    let less = |from: &[String], other: &[String]| {
        let mut other = other.to_vec();
        from.iter()
            .filter(|one| {
                other
                    .iter()
                    .position(|o| o == *one)
                    .map(|at| other.swap_remove(at))
                    .is_none()
            })
            .cloned()
            .collect::<Vec<_>>()
    };
    Err(format!(
        "{what}: lost {:?}, too many {:?}",
        less(&expected, &found),
        less(&found, &expected)
    ))
}
