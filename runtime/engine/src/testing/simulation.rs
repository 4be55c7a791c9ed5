//! Seeded runs of the loop over the in-memory broker, compared with an oracle that shares no code with
//! it. `SEED=17 cargo test … simulation` replays one run; `SEEDS=100000` runs more of them.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{OnBadRecord, StartFrom};

use crate::log::{Log, LogError};
use crate::memory::{
    Chance, Faults, MemoryBroker, MemoryDatabase, MemoryLog, Mutant, StoreFaults, Stored,
};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::stateless::StatelessOperator;
use crate::status::StatusHandle;
use crate::store::StoreLog;
use crate::testing::fixture_format::{judged, stateless, table_operator};

mod audit;
mod verdict;

pub(crate) use verdict::same;

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
    /// Whether the inputs have quality rules.
    rules: bool,
    mutant: Option<Mutant>,
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
            rules: seed % 2 == 1,
            mutant,
        }
    }

    /// The operator, with rules where the inputs have some.
    fn operator(&self, operator: StatelessOperator) -> StatelessOperator {
        let unjudged = self.mutant == Some(Mutant::Unjudged) && !operator.tells;
        if self.rules && !unjudged {
            judged(operator)
        } else {
            operator
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
                self.operator(stateless(topics.len(), "out")),
                settings,
                status,
            )),
            Some(database) => {
                let names = topics.iter().map(|topic| (*topic).to_owned()).collect();
                let log = StoreLog::new(log, Box::new(database.open()), names);
                let stateless = self.operator(table_operator(topics.len(), self.tells));
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
}

fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    run_to(seed, mutant, false)
}

fn run_table(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    run_to(seed, mutant, true)
}

fn run_to(seed: u64, mutant: Option<Mutant>, table: bool) -> Result<(), String> {
    let world = run_world(seed, mutant, table)?;
    world.verdict()?;
    if mutant.is_none() {
        world.counted()?;
        world.audit()?;
    }
    Ok(())
}

/// The world after the storm and what was left to do.
fn run_world(seed: u64, mutant: Option<Mutant>, table: bool) -> Result<World, String> {
    let mut world = World::new(seed, mutant, table);
    world.storm();
    world.calm()?;
    Ok(world)
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

#[test]
fn a_stage_that_does_not_judge_because_another_tells_is_caught() {
    assert!((0..400).any(|seed| run_table(seed, Some(Mutant::Unjudged)).is_err()));
}
