//! Whether what came out is what the oracle says.

use std::collections::{BTreeMap, BTreeSet};

use headworks_plan::OnBadRecord;

use super::{END, World, Written};
use crate::testing::join_fixture;
use crate::testing::keyed_fixture_format::Query;
use crate::testing::keyed_oracle::{Row, oracle, row, windows};
use crate::testing::keyed_rules::{DROPPED, is_taken_out};
use crate::testing::simulation::same;
use crate::testing::temporal_fixture::{self, Event};

/// The dead letters of a run.
#[derive(Default)]
pub(super) struct Letters {
    /// Places of late rows.
    late: Vec<String>,
    /// Places of rows that a rule refused, with the version that did.
    pub(super) refused: BTreeMap<String, i64>,
    /// Place and reason of all of them.
    all: Vec<String>,
}

impl Written {
    fn place(&self) -> String {
        format!("in{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

impl World {
    pub(super) fn verdict(&self) -> Result<(), String> {
        let Letters {
            late,
            refused,
            all: mut dead_letters,
        } = self.letters()?;
        let mut rows: Vec<Row> = Vec::new();
        let mut sided: Vec<(bool, Row)> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut bad = Vec::new();
        for written in &self.written {
            let place = written.place();
            if let Some((key, from)) = &written.deletes {
                events.push(Event::Deletion(key.clone(), *from));
                continue;
            }
            if let (Some(last), Some(n)) = (self.rules, number(written.value.as_deref())) {
                let told = refused.get(&place).copied();
                let judges = (written.judged_from, last);
                if is_taken_out(n, told, judges).map_err(|wrong| format!("{place}: {wrong}"))? {
                    bad.extend(told.map(|_| format!("{place} Quality")));
                    continue;
                }
            }
            match row(written.value.as_deref()) {
                Ok(Some(_)) if late.contains(&place) => {}
                Ok(row) => {
                    let right = written.topic == 1;
                    sided.extend(row.clone().map(|row| (right, row)));
                    events.extend(row.clone().filter(|_| right).map(Event::Row));
                    rows.extend(row);
                }
                Err(reason) => bad.push(format!("{place} {reason}")),
            }
        }
        if self.on_bad_record == OnBadRecord::Drop {
            // What becomes of a row that breaks a rule, the rule says.
            bad.retain(|bad| bad.ends_with(" Quality"));
        }
        dead_letters.retain(|dead_letter| !dead_letter.ends_with(" Late"));
        let until = END
            - self
                .times
                .iter()
                .map(|times| times.disorder_ms)
                .max()
                .unwrap_or(0)
            - self.allowed_lateness_ms
            // A window is over when the watermark has reached its last moment.
            + 1;
        let expected = match self.query {
            Query::Join(join) => join_fixture::oracle(join, &sided, END),
            Query::Temporal(temporal) => {
                let left = sided.into_iter().filter(|(right, _)| !right);
                let left: Vec<Row> = left.map(|(_, row)| row).collect();
                temporal_fixture::oracle(temporal, &left, &events, until)
            }
            _ => oracle(self.query, &rows, until),
        };
        same("results", expected, self.results()?)?;
        same("dead letters", bad, dead_letters)?;
        self.audit()
    }

    /// What the first part counted is what it read, and nothing is unexplained.
    fn audit(&self) -> Result<(), String> {
        let mut read = 0;
        for topic in 0..self.partitions.len() {
            for partition in 0..self.partitions[topic] {
                let position = self
                    .broker
                    .position_of("first", &format!("in{topic}"), partition);
                let Some(position) = position else { continue };
                let counts = position.counts.ok_or("a partition isn't counted")?;
                read += counts.read;
                if (counts.missing, counts.extra) != (0, 0) || counts.next() != position.offset {
                    return Err(format!("the audit: {position:?}"));
                }
            }
        }
        let written = self.written.len();
        if read != written as u64 {
            return Err(format!("{written} records are there, {read} were counted"));
        }
        Ok(())
    }

    /// What the output says at last.
    fn results(&self) -> Result<Vec<String>, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = Vec::new();
        for partition in 0..2 {
            let mut last: BTreeMap<Vec<u8>, Option<String>> = BTreeMap::new();
            for record in self.broker.committed("out", partition) {
                let line = record.value.as_deref().map(text);
                if !self.query.by_event_time() {
                    last.insert(record.key.unwrap_or_default(), line);
                    continue;
                }
                let line = line.ok_or("a window was deleted")?;
                lines.push(line);
            }
            lines.extend(last.into_values().flatten());
        }
        Ok(lines)
    }

    /// The dead letters. Checks that what is late was late, and that nothing is late or refused twice.
    pub(super) fn letters(&self) -> Result<Letters, String> {
        let mut letters = Letters::default();
        let mut late = Vec::new();
        for topic in 0..self.partitions.len() {
            for record in self.broker.committed(&format!("in{topic}.dlq"), 0) {
                let header = |name: &str| {
                    let header = record.headers.iter().find(|(known, _)| known == name);
                    header.map_or_else(String::new, |(_, value)| {
                        String::from_utf8_lossy(value).into_owned()
                    })
                };
                let place = format!(
                    "{}/{}@{}",
                    header("headworks.origin.topic"),
                    header("headworks.origin.partition"),
                    header("headworks.origin.offset")
                );
                let reason = header("headworks.reason");
                letters.all.push(format!("{place} {reason}"));
                if reason == "Late" {
                    late.push((place, record.value));
                } else if reason == "Quality" {
                    let version = header("headworks.rule.generation").parse();
                    let version = version.map_err(|_| format!("{place}: no version"))?;
                    if letters.refused.insert(place.clone(), version).is_some() {
                        return Err(format!("{place} was refused twice"));
                    }
                }
            }
        }
        let mut once = BTreeSet::new();
        for (place, value) in late {
            self.was_late(&place, value.as_deref(), &letters.refused)?;
            if !once.insert(place.clone()) {
                return Err(format!("{place} was late twice"));
            }
            letters.late.push(place);
        }
        Ok(letters)
    }

    /// What the watermark of a partition is once it is read up to an offset, but for the last records of all.
    fn mark(
        &self,
        (topic, partition): (usize, usize),
        below: i64,
        refused: &BTreeMap<String, i64>,
    ) -> Option<i64> {
        // What a rule takes out moves no event time.
        let out = |w: &Written| {
            self.rules.is_some()
                && (number(w.value.as_deref()) == Some(DROPPED) || refused.contains_key(&w.place()))
        };
        self.written
            .iter()
            .filter(|w| (w.topic, w.partition) == (topic, partition) && w.offset < below)
            .filter(|w| !out(w))
            .filter_map(|w| event_time(w.value.as_deref()))
            .filter(|time| *time < END)
            .max()
            .map(|time| time - self.times[topic].disorder_ms)
    }

    /// The same of every partition that is read to its end.
    pub(super) fn marks(
        &self,
        refused: &BTreeMap<String, i64>,
    ) -> impl Iterator<Item = Option<i64>> {
        (0..self.partitions.len())
            .flat_map(|topic| (0..self.partitions[topic]).map(move |partition| (topic, partition)))
            .map(|place| self.mark(place, i64::MAX, refused))
    }

    fn was_late(
        &self,
        place: &str,
        value: Option<&[u8]>,
        refused: &BTreeMap<String, i64>,
    ) -> Result<(), String> {
        let mut all = self.written.iter();
        let found = all.find(|written| place == written.place());
        let written = found.ok_or_else(|| format!("{place} was never written"))?;
        let Ok(Some((_, time, _))) = row(written.value.as_deref()) else {
            return Err(format!("{place} is late, and has no row"));
        };
        if value.is_some_and(|value| Some(value) != written.value.as_deref().map(str::as_bytes)) {
            return Err(format!("the letter of {place} has other bytes"));
        }
        if !self.may_be_late {
            return Err(format!("{place} kept to its disorder, and is late"));
        }
        let rests = self.times.iter().any(|times| times.idle_timeout.is_some());
        // What the watermark can have been at most.
        let all = self.marks(refused);
        let bound = if rests {
            all.max().flatten()
        } else {
            // None is less than any: such a partition holds the watermark back.
            all.min().flatten().min(self.mark(
                (written.topic, written.partition),
                written.offset,
                refused,
            ))
        };
        let window = self
            .query
            .window()
            .ok_or("without windows nothing is late")?;
        let end = windows(window, time)
            .iter()
            .map(|(_, end)| *end)
            .max()
            .unwrap_or(i64::MAX);
        if bound.is_none_or(|bound| end - 1 + self.allowed_lateness_ms > bound) {
            return Err(format!(
                "{place} is late, and its window was not over: {bound:?} {end}"
            ));
        }
        if !rests && value.is_none() && self.max_message_bytes > 2_500 {
            return Err(format!("the letter of {place} has lost its bytes"));
        }
        Ok(())
    }
}

/// The number of a record that can be read.
fn number(value: Option<&str>) -> Option<i64> {
    let mut words = value?.split(' ');
    let (_, time, n) = (words.next()?, words.next()?, words.next()?);
    (time == "-" || time.parse::<i64>().is_ok()).then_some(())?;
    n.parse().ok()
}

/// The event time of any record that can be read, filtered out or not.
fn event_time(value: Option<&str>) -> Option<i64> {
    let mut words = value?.split(' ');
    words.next()?;
    let time = words.next()?.parse().ok()?;
    words.next()?.parse::<i64>().ok()?;
    Some(time)
}
