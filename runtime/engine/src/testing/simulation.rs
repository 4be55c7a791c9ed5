//! Seeded runs of the loop over the in-memory broker, compared with an oracle that shares no code with
//! it. `SEED=17 cargo test … simulation` replays one run; `SEEDS=100000` runs more of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{OnBadRecord, StartFrom};

use crate::log::{Log, LogError};
use crate::memory::{
    Chance, Faults, MemoryBroker, MemoryDatabase, MemoryLog, Mutant, StoreFaults, Stored,
};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::status::StatusHandle;
use crate::store::StoreLog;
use crate::testing::fixture_format::{oracle, stateless, table_operator};

/// The world of one seed.
struct World {
    chance: Chance,
    broker: MemoryBroker,
    topics: Vec<(String, usize)>,
    settings: Arc<Settings>,
    written: Vec<(String, usize, i64, Option<String>)>,
    left: u64,
    /// Present: results are rows of its table.
    database: Option<MemoryDatabase>,
    /// Whether the stage tells of bad input records.
    tells: bool,
}

/// A session, whatever it commits to.
trait Session {
    fn step(&mut self) -> Result<(), LogError>;
    fn drain(&mut self) -> Result<(), LogError>;
}

impl<L: Log> Session for Pipeline<L> {
    fn step(&mut self) -> Result<(), LogError> {
        Pipeline::step(self)
    }

    fn drain(&mut self) -> Result<(), LogError> {
        Pipeline::drain(self)
    }
}

struct Process {
    session: Option<Box<dyn Session>>,
    asleep_until: u64,
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>, table: bool) -> World {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9));
        let faults = Faults {
            kill: chance.below(12),
            abortable: chance.below(12),
            unknown_commit: chance.below(200),
            marker_delay: chance.below(600),
            unnoticed: 500,
            slow_markers: 0,
            hanging: if mutant.is_none() && seed % 4 == 3 {
                20
            } else {
                0
            },
        };
        let mut broker = MemoryBroker::new(seed, faults);
        if let Some(mutant) = mutant {
            broker = broker.with_mutant(mutant);
        }
        let topics: Vec<(String, usize)> = (0..=chance.below(2))
            .map(|at| (format!("in{at}"), 1 + chance.below(3) as usize))
            .collect();
        for (topic, partitions) in &topics {
            broker.create(topic, *partitions);
            broker.create(&format!("{topic}.dlq"), 1);
        }
        broker.create("out", 2);
        let input = |(topic, _): &(String, usize)| InputTopic {
            topic: topic.clone(),
            dead_letter_topic: format!("{topic}.dlq"),
            max_message_bytes: 1_000_000,
        };
        let settings = Settings {
            pipeline: "sim/p".to_owned(),
            inputs: topics.iter().map(input).collect(),
            on_bad_record: if chance.once_in(250) {
                OnBadRecord::Drop
            } else {
                OnBadRecord::DeadLetter
            },
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(chance.below(80)),
            accept_data_loss: None,
        };
        let left = 20 + chance.below(60);
        let database = table.then(|| {
            let faults = StoreFaults {
                down: chance.below(40),
                unknown_commit: chance.below(300),
                fickle: chance.below(700),
                kill: chance.below(12),
                slow: chance.below(4),
                full: chance.below(10),
            };
            MemoryDatabase::new(&broker, faults)
        });
        let tells = !table || chance.once_in(700);
        World {
            chance,
            broker,
            topics,
            settings: Arc::new(settings),
            written: Vec::new(),
            left,
            database,
            tells,
        }
    }

    fn write(&mut self) {
        for _ in 0..self.chance.below(6).min(self.left) {
            self.left -= 1;
            let at = self.chance.below(self.topics.len() as u64) as usize;
            let (topic, partitions) = self.topics[at].clone();
            let partition = self.chance.below(partitions as u64) as usize;
            if self.chance.once_in(150) {
                self.broker.skip(&topic, partition);
            }
            let id = format!("{topic}-{partition}-{:03}", self.left);
            let value = match self.chance.below(30) {
                0 => None,
                1 => Some(format!("{id}:no-space")),
                2 => Some(format!("{id} 13")),
                3 => Some(format!("{id} 50")),
                _ => Some(format!("{id} {}", self.chance.below(12))),
            };
            let record = Stored {
                value: value.clone().map(String::into_bytes),
                timestamp_ms: Some(1),
                ..Stored::default()
            };
            let offset = self.broker.append(&topic, partition, record);
            self.written.push((topic, partition, offset, value));
        }
    }

    fn open(&self, broker: &MemoryBroker, name: &str) -> Option<Box<dyn Session>> {
        let topics: Vec<&str> = self
            .topics
            .iter()
            .map(|(topic, _)| topic.as_str())
            .collect();
        let log = broker.open(name, &topics).ok()?;
        let (settings, status) = (Arc::clone(&self.settings), StatusHandle::new());
        Some(match &self.database {
            None => Box::new(Pipeline::<MemoryLog>::new(
                log,
                stateless(topics.len(), "out"),
                settings,
                status,
            )),
            Some(database) => {
                let names = topics.iter().map(|topic| (*topic).to_owned()).collect();
                let log = StoreLog::new(log, Box::new(database.open()), names);
                let stateless = table_operator(topics.len(), self.tells);
                Box::new(Pipeline::new(log, stateless, settings, status))
            }
        })
    }

    /// Everything goes wrong.
    fn storm(&mut self) {
        let members = 1 + self.chance.below(3) as usize;
        let mut processes: Vec<Process> = (0..members)
            .map(|_| Process {
                session: None,
                asleep_until: 0,
            })
            .collect();
        let mut now = 0;
        for _ in 0..200 + self.chance.below(200) {
            let ms = self.chance.below(20);
            self.broker.tick(ms);
            now += ms;
            if self.chance.once_in(300) {
                self.write();
            }
            let at = self.chance.below(members as u64) as usize;
            if processes[at].asleep_until > now {
                continue;
            }
            match &mut processes[at].session {
                None => {
                    if self.chance.once_in(300) {
                        processes[at].session =
                            self.open(&self.broker.clone(), &format!("member-{at}"));
                    }
                }
                Some(session) => {
                    let ended = session.step().is_err();
                    let leaves = !ended && self.chance.once_in(5);
                    if leaves {
                        // Whether or not the last commit succeeds: a pod that was told to stop stops.
                        let _ = session.drain();
                    }
                    if ended || leaves {
                        processes[at].session = None;
                    }
                }
            }
            if self.chance.once_in(12) {
                // Asleep: not a sound from it, and it won't know how long it was.
                let slept = 1_000 + self.chance.below(16_000);
                processes[at].asleep_until = now + 60;
                let others: Vec<usize> = (0..members).filter(|other| *other != at).collect();
                for part in 0..30 {
                    self.broker.tick(slept / 30);
                    for other in &others {
                        if processes[*other]
                            .session
                            .as_mut()
                            .is_some_and(|session| session.step().is_err())
                        {
                            processes[*other].session = None;
                        }
                        if part == 20 && processes[*other].session.is_none() {
                            processes[*other].session =
                                self.open(&self.broker.clone(), &format!("member-{other}"));
                        }
                    }
                }
                now += 60;
            }
        }
    }

    /// Nothing goes wrong any more; the rest must get done.
    fn calm(&mut self) -> Result<(), String> {
        while self.left > 0 {
            self.write();
        }
        let broker = self.broker.clone().without_faults();
        if let Some(database) = &self.database {
            database.calm();
        }
        let mut session = None;
        for _ in 0..4_000 {
            broker.tick(20);
            match &mut session {
                None => session = self.open(&broker, "member-0"),
                Some(running) => {
                    if running.step().is_err() {
                        session = None;
                    }
                }
            }
            let done = |(topic, partition, offset, _): &(String, usize, i64, Option<String>)| {
                match &self.database {
                    None => broker.position(topic, *partition),
                    Some(database) => database.position(topic, *partition as i32),
                }
                .is_some_and(|position| position.offset > *offset)
            };
            if broker.is_settled() && self.written.iter().all(done) {
                return Ok(());
            }
        }
        Err("the pipeline is stuck".to_owned())
    }

    fn verdict(&self) -> Result<(), String> {
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let mut expected: Vec<String> = Vec::new();
        let mut expected_bad: Vec<String> = Vec::new();
        for (topic, partition, offset, value) in &self.written {
            match oracle(value.as_deref()) {
                Ok(results) => expected.extend(results),
                Err(reason) => expected_bad.push(format!(
                    "{topic}/{partition}@{offset} {reason} {}",
                    value.clone().unwrap_or_default()
                )),
            }
        }
        if self.settings.on_bad_record == OnBadRecord::Drop {
            expected_bad.clear();
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
            match oracle(value.as_deref()) {
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
            bad.clear();
        }
        let found = database.rows();
        let found = found.iter().map(|row| row.trim_end_matches('.').to_owned());
        same("rows", rows, found.collect())?;
        same("dead letters", bad, dead_letters)
    }
}

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

fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    run_to(seed, mutant, false)
}

fn run_table(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    run_to(seed, mutant, true)
}

fn run_to(seed: u64, mutant: Option<Mutant>, table: bool) -> Result<(), String> {
    let mut world = World::new(seed, mutant, table);
    world.storm();
    world.calm()?;
    world.verdict()
}

pub(crate) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(default),
    }
}

#[test]
fn whatever_goes_wrong_every_record_is_in_the_output_exactly_once() {
    for seed in seeds(4_000) {
        if let Err(wrong) = run(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_client_that_commits_offsets_outside_the_transaction_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::OffsetsOutside)).is_err()));
}

#[test]
fn a_client_that_commits_without_the_groups_generation_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::Unfenced)).is_err()));
}

#[test]
fn a_client_that_does_not_rewind_after_an_abort_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::NoRewind)).is_err()));
}

#[test]
fn whatever_goes_wrong_every_record_is_in_the_table_or_a_dead_letter_exactly_once() {
    for seed in seeds(4_000) {
        if let Err(wrong) = run_table(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_store_that_does_not_compare_offsets_is_caught() {
    assert!((0..400).any(|seed| run_table(seed, Some(Mutant::OffsetsUnchecked)).is_err()));
}

#[test]
fn a_store_that_does_not_compare_claims_is_caught() {
    assert!((0..400).any(|seed| run_table(seed, Some(Mutant::ClaimsUnchecked)).is_err()));
}

#[test]
fn a_store_that_commits_rows_before_offsets_is_caught() {
    assert!((0..400).any(|seed| run_table(seed, Some(Mutant::OffsetsApart)).is_err()));
}

#[test]
fn a_stage_that_forgets_what_became_a_dead_letter_is_caught() {
    assert!((0..400).any(|seed| run_table(seed, Some(Mutant::NotesForgotten)).is_err()));
}
