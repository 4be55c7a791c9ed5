//! Seeded runs of a Replay of dead letters into their own topic's stream, whose process dies, sleeps and is fenced, held against
//! what the topic held at its first start. `SEED=17 cargo test … replay` replays one run; `SEEDS=100000` runs more of them.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{DeadLetterSelection, OnBadRecord, Reason, ReplayFigures, StartFrom};

use crate::dead_letter::{
    ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TOPIC, REASON, REPLAY, TRUNCATED,
};
use crate::log::LogError;
use crate::memory::{Chance, Faults, MemoryBroker, MemoryLog, Mutant, Stored};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::replay::{self, ReplayLog};
use crate::status::StatusHandle;
use crate::testing::fixture_format::{oracle, stateless};
use crate::testing::simulation::{same, seeds};

const LETTERS: &str = "orders.dlq";
const ID: &str = "0123456789abcdef";

type Session = Pipeline<ReplayLog<MemoryLog>>;

/// A dead letter that somebody else wrote.
struct Letter {
    partition: usize,
    offset: i64,
    value: String,
    selected: bool,
    truncated: bool,
}

/// The world of one seed.
struct World {
    chance: Chance,
    broker: MemoryBroker,
    settings: Arc<Settings>,
    replay: replay::Settings,
    letters: Vec<Letter>,
    number: u64,
    status: StatusHandle,
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>) -> World {
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
        broker.create(LETTERS, 1 + chance.below(3) as usize);
        broker.create("out", 2);
        let settings = Settings {
            pipeline: "sim/again".to_owned(),
            inputs: vec![InputTopic {
                topic: LETTERS.to_owned(),
                // What is refused again goes back to where it came from.
                dead_letter_topic: LETTERS.to_owned(),
                max_message_bytes: 1_000_000,
            }],
            on_bad_record: OnBadRecord::DeadLetter,
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(chance.below(80)),
            accept_data_loss: None,
        };
        let reasons = if chance.once_in(300) {
            Vec::new()
        } else {
            vec!["Quality".to_owned()]
        };
        let replay = replay::Settings {
            id: ID.to_owned(),
            end_ms: None,
            dead_letters: Some(DeadLetterSelection {
                reasons,
                ..DeadLetterSelection::default()
            }),
            records_per_second: chance.once_in(300).then(|| 50 + chance.below(1_000)),
            begun: false,
            gives: seed % 3 == 1,
            group: "g".to_owned(),
        };
        let mut world = World {
            chance,
            broker,
            settings: Arc::new(settings),
            replay,
            letters: Vec::new(),
            number: 0,
            status: StatusHandle::new(),
        };
        let most = world.chance.below(60);
        world.write(most);
        world
    }

    /// Dead letters of somebody else's.
    fn write(&mut self, most: u64) {
        for _ in 0..most {
            let partitions = self.broker.partitions(LETTERS) as u64;
            let partition = self.chance.below(partitions) as usize;
            if self.chance.once_in(150) {
                self.broker.skip(LETTERS, partition);
            }
            self.number += 1;
            let value = match self.chance.below(20) {
                0 => format!("l-{:03}:no-space", self.number),
                1 => format!("l-{:03} 13", self.number),
                _ => format!("l-{:03} {}", self.number, self.chance.below(12)),
            };
            let quality = self.chance.once_in(600);
            let truncated = self.chance.once_in(100);
            let reason = if quality { "Quality" } else { "Late" };
            let mut headers = vec![(REASON.to_owned(), reason.as_bytes().to_vec())];
            if truncated {
                headers.push((TRUNCATED.to_owned(), b"9000".to_vec()));
            }
            let offset = self.broker.append(
                LETTERS,
                partition,
                Stored {
                    key: None,
                    value: Some(value.clone().into_bytes()),
                    timestamp_ms: Some(1),
                    headers,
                },
            );
            let reasons = self.replay.dead_letters.as_ref().map(|s| s.reasons.len());
            self.letters.push(Letter {
                partition,
                offset,
                value,
                selected: quality || reasons == Some(0),
                truncated,
            });
        }
    }

    fn open(&mut self, broker: &MemoryBroker) -> Option<Session> {
        let log = broker.open("member-0", &[LETTERS]).ok()?;
        self.status = StatusHandle::new();
        let log = ReplayLog::new(log, self.replay.clone(), self.status.clone());
        let settings = Arc::clone(&self.settings);
        let query = stateless(1, "out");
        Some(Pipeline::new(log, query, settings, self.status.clone()))
    }

    /// Everything goes wrong.
    fn storm(&mut self) {
        let mut session: Option<Session> = None;
        for _ in 0..100 + self.chance.below(300) {
            let ms = self.chance.below(20);
            self.broker.tick(ms);
            if self.chance.once_in(100) {
                self.write(1);
            }
            session = match session {
                None if self.chance.once_in(300) => self.open(&self.broker.clone()),
                None => None,
                Some(mut running) => {
                    let ended = running.step().is_err();
                    let leaves = !ended && self.chance.once_in(5);
                    if leaves {
                        let _ = running.drain();
                    }
                    // Another process under the same ids, while this one may still be at work.
                    if !ended && !leaves && self.chance.once_in(8) {
                        let second = self.open(&self.broker.clone());
                        let _ = running.step();
                        second
                    } else {
                        (!ended && !leaves).then_some(running)
                    }
                }
            };
            if self.chance.once_in(12) {
                self.broker.tick(1_000 + self.chance.below(16_000));
            }
        }
    }

    fn figures(&self) -> Option<ReplayFigures> {
        self.status.report().figures.replay
    }

    /// Nothing goes wrong any more; the rest must get done.
    fn calm(&mut self) -> Result<Session, String> {
        let broker = self.broker.clone().without_faults();
        let mut session = None;
        for _ in 0..4_000 {
            broker.tick(20);
            match &mut session {
                None => session = self.open(&broker),
                Some(running) => {
                    if Session::step(running).is_err() {
                        session = None;
                    } else if broker.is_settled()
                        && self.figures().is_some_and(|figures| figures.complete)
                        && let Some(running) = session.take()
                    {
                        return Ok(running);
                    }
                }
            }
        }
        Err(format!("the Replay is stuck: {:?}", self.status.report()))
    }

    /// Where the part of a partition ends, as the group's commit has it.
    fn end(&self, partition: usize) -> Option<i64> {
        let note = self.broker.note(LETTERS, partition)?;
        note.split(',').nth(2)?.parse().ok()
    }

    fn verdict(&self) -> Result<(), String> {
        let text = |bytes: &Option<Vec<u8>>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        let (mut expected, mut refused) = (Vec::new(), Vec::new());
        let mut counts = ReplayFigures::default();
        for letter in &self.letters {
            let end = self.end(letter.partition).ok_or("a partition has no end")?;
            if letter.offset >= end || !letter.selected {
                continue;
            }
            if letter.truncated {
                counts.truncated += 1;
                continue;
            }
            counts.selected += 1;
            match oracle(Some(&letter.value)) {
                Ok(results) => expected.extend(results),
                Err(reason) => refused.push(format!(
                    "{LETTERS}/{}@{} {reason} {} sim/again",
                    letter.partition, letter.offset, letter.value
                )),
            }
        }
        (counts.replayed, counts.refused) = (expected.len() as u64, refused.len() as u64);
        if self.replay.gives {
            counts.replayed = counts.selected - counts.refused;
        }
        let (mut found, mut again) = (Vec::new(), Vec::new());
        for partition in 0..2 {
            let records = self.broker.committed("out", partition);
            found.extend(records.iter().map(|record| text(&record.value)));
        }
        for partition in 0..self.broker.partitions(LETTERS) {
            for record in self.broker.committed(LETTERS, partition) {
                let header = |name: &str| {
                    let header = record.headers.iter().find(|(known, _)| known == name);
                    header.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                };
                let Some(topic) = header(ORIGIN_TOPIC) else {
                    continue;
                };
                let of = |name| header(name).unwrap_or_default();
                again.push(format!(
                    "{topic}/{}@{} {} {} {}",
                    of(ORIGIN_PARTITION),
                    of(ORIGIN_OFFSET),
                    of(REASON),
                    text(&record.value),
                    of(REPLAY)
                ));
            }
        }
        same("results", expected, found)?;
        same("dead letters", refused, again)?;
        let figures = self.figures().unwrap_or_default();
        (counts.of, counts.done, counts.complete) = (figures.of, figures.of, true);
        counts.id = ID.to_owned();
        if figures == counts {
            Ok(())
        } else {
            Err(format!("counted {figures:?} and there are {counts:?}"))
        }
    }
}

fn run(seed: u64, mutant: Option<Mutant>) -> Result<(), String> {
    let mut world = World::new(seed, mutant);
    world.storm();
    world.calm()?;
    world.verdict()?;
    // It is deleted and made again; meanwhile there are more dead letters, among them those of its own.
    world.write(5);
    world.broker.create(LETTERS, 4);
    let mut session = world.calm()?;
    let broker = world.broker.clone().without_faults();
    for _ in 0..50 {
        broker.tick(50);
        session.step().map_err(|error| error.to_string())?;
    }
    world.verdict()
}

#[test]
fn whatever_goes_wrong_every_selected_letter_is_replayed_or_refused_exactly_once() {
    for seed in seeds(4_000) {
        if let Err(wrong) = run(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_replay_that_commits_offsets_outside_the_transaction_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::OffsetsOutside)).is_err()));
}

#[test]
fn a_replay_that_does_not_rewind_after_an_abort_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::NoRewind)).is_err()));
}

#[test]
fn a_replay_that_forgets_its_bounds_is_caught() {
    assert!((0..400).any(|seed| run(seed, Some(Mutant::NotesForgotten)).is_err()));
}

/// A world where nothing goes wrong, with ten dead letters.
fn calm_world() -> World {
    let mut world = World::new(4, None);
    world.broker = world.broker.clone().without_faults();
    world.write(10);
    world
}

#[test]
fn another_replay_of_the_same_name_is_refused_and_writes_nothing() {
    let mut world = calm_world();
    world.calm().unwrap();
    let written = world.broker.committed("out", 0).len();
    world.replay.id = "another".to_owned();
    let mut session = world.open(&world.broker.clone()).unwrap();
    let refused = (0..50).find_map(|_| {
        world.broker.tick(50);
        session.step().err()
    });
    let Some(LogError::NeedsPerson { reason, message }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(reason, Reason::ReplayConflict);
    assert!(message.contains("group g"), "{message}");
    assert_eq!(world.broker.committed("out", 0).len(), written);
}

#[test]
fn progress_that_kafka_forgot_is_told_and_nothing_is_written_a_second_time() {
    let mut world = calm_world();
    world.calm().unwrap();
    world.replay.begun = true;
    world.calm().expect("it goes on where its progress is");
    world.verdict().unwrap();
    // The same with a group that has no commit any more.
    let mut world = calm_world();
    world.replay.begun = true;
    let mut session = world.open(&world.broker.clone()).unwrap();
    let refused = (0..50).find_map(|_| {
        world.broker.tick(50);
        session.step().err()
    });
    assert!(
        matches!(&refused, Some(LogError::NeedsPerson { reason: Reason::ProgressLost, message }) if message.contains("group g")),
        "{refused:?}"
    );
    assert!((0..2).all(|partition| world.broker.committed("out", partition).is_empty()));
}

#[test]
fn a_part_of_a_stream_is_bounded_by_time_at_both_ends() {
    let mut world = World::new(4, None);
    world.broker = world.broker.clone().without_faults();
    for (at, id) in ["a", "b", "c", "d"].iter().enumerate() {
        let record = Stored {
            value: Some(format!("t-{id} 2").into_bytes()),
            timestamp_ms: Some(1_000 + at as i64 * 10),
            ..Stored::default()
        };
        world.broker.append(LETTERS, 0, record);
    }
    let settings = Settings {
        start_from: StartFrom::Time(1_010),
        ..(*world.settings).clone()
    };
    world.settings = Arc::new(settings);
    world.replay.dead_letters = None;
    world.replay.end_ms = Some(1_030);
    world.calm().unwrap();
    let mut found: Vec<String> = (0..2)
        .flat_map(|partition| world.broker.committed("out", partition))
        .map(|record| String::from_utf8(record.value.unwrap()).unwrap())
        .collect();
    found.sort();
    assert_eq!(found, ["t-b=2", "t-c=2"]);
    let figures = world.figures().unwrap();
    assert_eq!((figures.of, figures.done, figures.selected), (2, 2, 2));
}

#[test]
fn a_replay_that_is_complete_stays_so_when_retention_takes_what_it_read() {
    let mut world = calm_world();
    world.calm().unwrap();
    for partition in 0..world.broker.partitions(LETTERS) {
        let end = world.broker.position(LETTERS, partition).unwrap().offset;
        world.broker.truncate(LETTERS, partition, end + 5);
    }
    world.calm().unwrap();
}

#[test]
fn letters_that_retention_took_from_the_part_are_told_and_not_passed_over() {
    let mut world = calm_world();
    world.replay.records_per_second = Some(1);
    let mut session = world.open(&world.broker.clone()).unwrap();
    // The bounds are fixed, and little is read.
    for _ in 0..10 {
        world.broker.tick(5);
        session.step().unwrap();
    }
    for partition in 0..world.broker.partitions(LETTERS) {
        world.broker.truncate(LETTERS, partition, 100);
    }
    let mut session = world.open(&world.broker.clone()).unwrap();
    let told = (0..50).find_map(|_| {
        world.broker.tick(5);
        session.step().err()
    });
    let Some(LogError::NeedsPerson { reason, message }) = told else {
        panic!("{told:?}")
    };
    assert_eq!(reason, Reason::DataLost);
    assert!(message.contains("annotate the Replay with"), "{message}");
}
