//! The world of a seed: what goes wrong in it, what is written, and what reads it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use headworks_plan::{InternalTopic, OnBadRecord};
use headworks_sql::join::JoinKind;
use headworks_sql::keyed::Window;

use super::{Broken, Of, World, Written};
use crate::memory::{Chance, Faults, MemoryBroker, Stored};
use crate::pipeline::{InputTopic, StageOperator, Times};
use crate::stateless::StatelessOperator;
use crate::testing::join_fixture::Join;
use crate::testing::keyed_fixture_format::{Query, STATE_BYTES, first, second, stateless};
use crate::testing::keyed_rules::{DROPPED, REFUSED, judged, judged_behind_time};
use crate::testing::over_fixture::Looks;
use crate::testing::temporal_fixture::Temporal;

/// A query of a world.
fn query(chance: &mut Chance, of: Of, size: i64) -> Query {
    match chance.below(8) {
        kind if of == Of::Joins => {
            let window = (chance.below(3) == 0).then_some(size);
            let mut bound = || window.map_or_else(|| chance.below(150) as i64, |_| 0);
            Query::Join(Join {
                kind: match kind {
                    6 => JoinKind::Semi,
                    7 => JoinKind::Anti,
                    kind => JoinKind::of((kind % 2 == 0, kind % 4 < 2)),
                },
                // Around 0, so that the last records of all, which have one event time, make pairs.
                lower: -bound(),
                upper: bound(),
                window,
            })
        }
        kind if of == Of::Temporal => Query::Temporal(Temporal {
            outer: kind % 2 == 0,
        }),
        _ if of == Of::Over => Query::Over(Looks {
            back_ms: (!chance.once_in(300)).then(|| chance.below(150) as i64),
        }),
        0..=2 => Query::Windowed(Window::Tumble { size, offset: 0 }),
        3 => Query::Windowed(Window::Hop {
            size,
            slide: size / 5,
            offset: 0,
        }),
        4 => Query::Windowed(Window::Session { gap: size / 5 }),
        5 => Query::Windowed(Window::Cumulate {
            max: size,
            step: size / 5,
            offset: 0,
        }),
        6 => Query::Upserts,
        _ => Query::First,
    }
}

impl World {
    pub(super) fn new(seed: u64, broken: Option<Broken>, of: Of) -> World {
        let two_sides = matches!(of, Of::Joins | Of::Temporal);
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x5EED);
        let faults = Faults {
            kill: chance.below(8),
            abortable: chance.below(12),
            unknown_commit: chance.below(200),
            marker_delay: chance.below(600),
            unnoticed: 500,
            slow_markers: chance.below(400),
            hanging: if broken.is_none() && seed % 4 == 3 {
                20
            } else {
                0
            },
        };
        let mut brokers = MemoryBroker::new(seed, faults);
        if let Some(Broken::Client(mutant)) = broken {
            brokers = brokers.with_mutant(mutant);
        }
        let inputs = if two_sides { 1 } else { chance.below(2) };
        let partitions: Vec<usize> = (0..=inputs).map(|_| 1 + chance.below(3) as usize).collect();
        let shards = 1 + chance.below(3) as usize;
        for (at, partitions) in partitions.iter().enumerate() {
            brokers.create(&format!("in{at}"), *partitions);
            brokers.create(&format!("in{at}.dlq"), 1);
        }
        for (topic, partitions) in [("out", 2), ("re", shards), ("state", shards)] {
            brokers.create(topic, partitions);
        }
        let size = 50 + 50 * chance.below(4) as i64;
        let query = query(&mut chance, of, size);
        // Only where a row is in one window, whose bounds don't depend on others, can the oracle tell what a
        // row that comes after the watermark belongs to.
        let tumbles = matches!(query, Query::Windowed(Window::Tumble { .. }));
        let may_be_late = tumbles && chance.once_in(600);
        let times = partitions
            .iter()
            .map(|_| Times {
                disorder_ms: chance.below(80) as i64,
                idle_timeout: (may_be_late && chance.once_in(400))
                    .then(|| Duration::from_millis(300 + chance.below(2_000))),
            })
            .collect();
        World {
            broken,
            query,
            partitions,
            shards,
            times,
            allowed_lateness_ms: [0, 0, 30, 100][chance.below(4) as usize],
            drift_ms: [100, 1_000_000][chance.below(2) as usize],
            max_message_bytes: [2_500, 1_000_000][chance.below(2) as usize],
            // The rows that a join or OVER keeps stay in memory.
            memory_bytes: [if of == Of::Groups { 2_048 } else { 64 << 20 }, 64 << 20]
                [chance.below(2) as usize],
            may_be_late,
            rules: (seed % 2 == 1).then_some(1),
            on_bad_record: if !may_be_late && chance.once_in(200) {
                OnBadRecord::Drop
            } else {
                OnBadRecord::DeadLetter
            },
            commit_interval: Duration::from_millis(chance.below(80)),
            written: Vec::new(),
            clocks: BTreeMap::new(),
            left: 20 + chance.below(60),
            wrong: RefCell::new(None),
            chance,
            broker: brokers,
        }
    }

    /// Writes some records, which versions of the rules from `judged_from` on judge.
    pub(super) fn write(&mut self, judged_from: i64) {
        for _ in 0..self.chance.below(6).min(self.left) {
            self.left -= 1;
            let topic = self.chance.below(self.partitions.len() as u64) as usize;
            let mut partition = self.chance.below(self.partitions[topic] as u64) as usize;
            let is_version = topic == 1 && matches!(self.query, Query::Temporal(_));
            let version = is_version.then(|| self.chance.below(4) as usize);
            if let Some(key) = version {
                // Versions of a key are in one partition.
                partition = key % self.partitions[topic];
            }
            // Some partitions are faster than others.
            // At least 1, so that a record that keeps to its disorder is ahead of the watermark: what is at it may be late.
            let step = 1 + self.chance.below(20 + 40 * partition as u64) as i64;
            let clock = self.clocks.entry((topic, partition)).or_insert(1_000);
            *clock += step;
            let allowed = self.times[topic].disorder_ms as u64 + 1;
            let disorder = if self.may_be_late && self.chance.once_in(200) {
                self.chance.below(400)
            } else {
                self.chance.below(allowed)
            };
            // Never below the disorder's bound, which is the greatest event time that was written.
            let mut time = *clock - disorder as i64;
            if self.query == Query::First {
                // Which of two equal rows came first depends on the run.
                time = time * 100 + self.left as i64;
            }
            let key = version.unwrap_or_else(|| self.chance.below(4) as usize);
            let key = ["a", "b", "c", "d"][key];
            let mut n = self.chance.below(20) as i64;
            if self.rules.is_some() && self.chance.once_in(60) {
                // A time that nobody should believe, in a row that a rule takes out.
                time += 5_000;
                n = [DROPPED, REFUSED][self.chance.below(2) as usize];
            }
            let value = match self.chance.below(40) {
                0 => None,
                1 => Some(format!("{key} {time}")),
                2 => Some(format!("{key} - {n}")),
                _ => Some(format!("{key} {time} {n}")),
            };
            if is_version && self.chance.below(6) == 0 {
                // By the broker's clock, which is ahead of event time, but may be behind that of the rows that come.
                let from = *self.clocks.entry((topic, partition)).or_insert(1_000)
                    + self.chance.below(80) as i64;
                self.delete(partition, key, from, judged_from);
                continue;
            }
            if self.chance.once_in(100) {
                self.broker.skip(&format!("in{topic}"), partition);
            }
            self.append(topic, partition, value, judged_from);
        }
    }

    pub(super) fn append(
        &mut self,
        topic: usize,
        partition: usize,
        value: Option<String>,
        judged_from: i64,
    ) {
        let record = Stored {
            value: value.clone().map(String::into_bytes),
            timestamp_ms: Some(1),
            ..Stored::default()
        };
        let offset = self.broker.append(&format!("in{topic}"), partition, record);
        self.written.push(Written {
            topic,
            partition,
            offset,
            value,
            deletes: None,
            judged_from,
        });
    }

    /// Writes a record without a value.
    fn delete(&mut self, partition: usize, key: &str, from: i64, judged_from: i64) {
        let record = Stored {
            key: Some(key.as_bytes().to_vec()),
            timestamp_ms: Some(from),
            ..Stored::default()
        };
        let offset = self.broker.append("in1", partition, record);
        self.written.push(Written {
            topic: 1,
            partition,
            offset,
            value: None,
            deletes: Some((key.to_owned(), from)),
            judged_from,
        });
    }

    pub(super) fn input(topic: usize) -> InputTopic {
        InputTopic {
            topic: format!("in{topic}"),
            dead_letter_topic: format!("in{topic}.dlq"),
            max_message_bytes: 1_000_000,
        }
    }

    pub(super) fn inputs(&self) -> Vec<InputTopic> {
        (0..self.partitions.len()).map(World::input).collect()
    }

    pub(super) fn operators(&self, of_second: bool) -> (StatelessOperator, StageOperator) {
        let rule = match self.broken {
            Some(Broken::Engine(rule)) => Some(rule),
            _ => None,
        };
        if of_second {
            let operator = second(
                self.query,
                self.allowed_lateness_ms,
                self.inputs(),
                self.memory_bytes,
                STATE_BYTES,
            )
            .breaking(rule);
            return (
                StatelessOperator::default(),
                StageOperator::Keyed(Box::new(operator)),
            );
        }
        let topic = InternalTopic {
            topic: "re".into(),
            partitions: self.shards as i32,
            max_message_bytes: self.max_message_bytes,
        };
        let operator = first(self.query, &topic, self.times.clone(), self.drift_ms).breaking(rule);
        let mut reads = stateless(self.query, self.partitions.len());
        if let Some(version) = self.rules {
            let by = match self.broken {
                Some(Broken::JudgedBehindTime) => judged_behind_time,
                _ => judged,
            };
            reads = by(reads, version);
        }
        (reads, StageOperator::Exchange(Box::new(operator)))
    }
}
