//! Seeded runs of pipelines with state: both parts, several members of each, over one in-memory broker on
//! which everything goes wrong, compared with an oracle that shares no code with planner and state.
//! `SEED=17 cargo test … keyed_simulation` replays one run; `SEEDS=100000` runs more of them.
//!
//! What a late row is depends on the run, so the oracle takes what the dead letters name as late; but each
//! of them must have been behind a watermark that can have been reached, and where records keep to their
//! disorder and no partition rests, there must be none. Half of the seeds have quality rules in front of the state, which most of them
//! change on the way: of which version a row was judged depends on the run, too, so the oracle takes it from the dead letters, and
//! each must be one that this version asks for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{OnBadRecord, StartFrom};

use crate::keyed::Rule;
use crate::log::LogError;
use crate::memory::{Chance, MemoryBroker, MemoryLog, Mutant as Client};
use crate::pipeline::{InputTopic, Pipeline, Settings, StageOperator, Times};
use crate::stateless::StatelessOperator;
use crate::status::StatusHandle;
use crate::testing::keyed_fixture_format::Query;
use crate::testing::simulation::seeds;

mod joins;
mod over;
mod temporal;
mod verdict;
mod world;

/// The event time of the last records, which closes every window before it.
const END: i64 = 1_000_000;

/// A rule of exactly-once that is broken.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Client(Client),
    Engine(Rule),
    /// What a rule drops has moved the event time.
    JudgedBehindTime,
}

/// Which queries a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Groups,
    Joins,
    Temporal,
    Over,
}

struct Written {
    topic: usize,
    partition: usize,
    offset: i64,
    value: Option<String>,
    /// Of one without a value that deletes a key: which, and from when on.
    deletes: Option<(String, i64)>,
    /// The first version of the rules that may judge it.
    judged_from: i64,
}

/// The world of one seed.
struct World {
    chance: Chance,
    broker: MemoryBroker,
    broken: Option<Broken>,
    query: Query,
    partitions: Vec<usize>,
    shards: usize,
    times: Vec<Times>,
    allowed_lateness_ms: i64,
    drift_ms: u64,
    max_message_bytes: u64,
    memory_bytes: u64,
    /// Records come further out of order than is allowed, or partitions rest.
    may_be_late: bool,
    /// Present: the inputs have quality rules, of this version by now.
    rules: Option<i64>,
    on_bad_record: OnBadRecord,
    commit_interval: Duration,
    written: Vec<Written>,
    /// The event time that each partition has come to.
    clocks: BTreeMap<(usize, usize), i64>,
    left: u64,
    /// Something that only a person could mend, though nobody did anything.
    wrong: RefCell<Option<String>>,
}

/// A process of a part.
struct Process {
    second: bool,
    name: String,
    session: Option<Pipeline<MemoryLog>>,
    /// What the last session left in memory.
    kept: Option<(StatelessOperator, StageOperator)>,
    asleep_until: u64,
    /// How the last session ended.
    why: String,
    status: StatusHandle,
}

impl World {
    fn open(&self, broker: &MemoryBroker, process: &mut Process) {
        let (group, topics) = if process.second {
            ("second", vec!["re".to_owned()])
        } else {
            (
                "first",
                self.inputs().into_iter().map(|input| input.topic).collect(),
            )
        };
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let Ok(log) = broker.open_in(group, &process.name, &names) else {
            return;
        };
        let (stateless, operator) = process
            .kept
            .take()
            .unwrap_or_else(|| self.operators(process.second));
        let inputs = if process.second {
            vec![InputTopic {
                topic: "re".into(),
                dead_letter_topic: String::new(),
                max_message_bytes: self.max_message_bytes,
            }]
        } else {
            self.inputs()
        };
        let settings = Settings {
            pipeline: "sim/p".to_owned(),
            inputs,
            on_bad_record: self.on_bad_record,
            start_from: StartFrom::Earliest,
            commit_interval: self.commit_interval,
            accept_data_loss: None,
        };
        process.session = Some(Pipeline::with_operator(
            log,
            stateless,
            operator,
            Arc::new(settings),
            process.status.clone(),
        ));
    }

    /// One round of a process; a session that ends leaves its memory, unless the process died.
    fn step(&self, broker: &MemoryBroker, process: &mut Process) -> bool {
        let Some(session) = &mut process.session else {
            self.open(broker, process);
            return true;
        };
        match session.step() {
            Ok(()) => true,
            Err(error) => {
                process.why = error.to_string();
                if let LogError::NeedsPerson { message, .. } = error {
                    self.wrong.borrow_mut().get_or_insert(message);
                }
                process.end();
                false
            }
        }
    }

    fn processes(&mut self) -> Vec<Process> {
        let process = |second, at| Process {
            second,
            name: format!("member-{at}"),
            session: None,
            kept: None,
            asleep_until: 0,
            why: String::new(),
            status: StatusHandle::new(),
        };
        let (firsts, seconds) = (1 + self.chance.below(2), 1 + self.chance.below(2));
        let firsts = (0..firsts).map(|at| process(false, at));
        firsts
            .chain((0..seconds).map(|at| process(true, at)))
            .collect()
    }

    /// Everything goes wrong.
    fn storm(&mut self) {
        let mut processes = self.processes();
        let broker = self.broker.clone();
        let mut now = 0;
        for _ in 0..300 + self.chance.below(300) {
            let ms = self.chance.below(20);
            self.broker.tick(ms);
            now += ms;
            if self.chance.once_in(200) {
                self.write(1);
            }
            if self.rules == Some(1) && self.chance.once_in(5) {
                // Who runs goes on by the version before until it is made anew.
                self.rules = Some(2);
            }
            let at = self.chance.below(processes.len() as u64) as usize;
            if processes[at].asleep_until > now {
                continue;
            }
            if processes[at].session.is_some() || self.chance.once_in(300) {
                let goes_on = self.step(&broker, &mut processes[at]);
                if goes_on
                    && self.chance.once_in(5)
                    && let Some(session) = &mut processes[at].session
                {
                    // Whether or not the last commit succeeds: a pod that was told to stop stops.
                    let _ = session.drain();
                    processes[at].session = None;
                    processes[at].kept = None;
                }
            }
            if self.chance.once_in(10) {
                // Asleep: not a sound from it, and it won't know how long it was.
                let slept = 1_000 + self.chance.below(16_000);
                processes[at].asleep_until = now + 60;
                for part in 0..20 {
                    self.broker.tick(slept / 20);
                    for (other, process) in processes.iter_mut().enumerate() {
                        if other != at && (process.session.is_some() || part == 13) {
                            self.step(&broker, process);
                        }
                    }
                }
                now += 60;
            }
        }
    }

    /// Nothing goes wrong any more; the rest must get done.
    fn calm(&mut self) -> Result<(), String> {
        let last = self.rules.unwrap_or(1);
        while self.left > 0 {
            self.write(last);
        }
        let broker = self.broker.clone().without_faults();
        let mut processes = vec![
            Process {
                second: false,
                name: "member-0".to_owned(),
                session: None,
                kept: None,
                asleep_until: 0,
                why: String::new(),
                status: StatusHandle::new(),
            },
            Process {
                second: true,
                name: "member-0".to_owned(),
                session: None,
                kept: None,
                asleep_until: 0,
                why: String::new(),
                status: StatusHandle::new(),
            },
        ];
        self.until(&broker, &mut processes, |world| world.is_read(&broker))?;
        if let Some(wrong) = self.wrong.borrow_mut().take() {
            return Err(wrong);
        }
        let rests = self.times.iter().any(|times| times.idle_timeout.is_some());
        if self.query.by_event_time() && !rests {
            // Nothing new is told: what a restarted member knows of event time is what it restored.
            let watermark = self.marks(&self.letters()?.refused).min().flatten();
            processes[1].end();
            processes[1].kept = None;
            processes[1].status = StatusHandle::new();
            let status = processes[1].status.clone();
            self.until(&broker, &mut processes, |_| {
                let state = status.report().figures.state;
                state.is_some_and(|state| state.watermark_ms == watermark)
            })
            .map_err(|stuck| format!("{stuck}, the watermark isn't {watermark:?}"))?;
        }
        // Only now, so that no watermark before this can have been as far.
        for topic in 0..self.partitions.len() {
            for partition in 0..self.partitions[topic] {
                self.append(topic, partition, Some(format!("z {END} 1")), last);
            }
        }
        self.until(&broker, &mut processes, |world| {
            world.is_read(&broker) && world.verdict().is_ok()
        })
        .or_else(|stuck| self.verdict().map_err(|wrong| format!("{stuck}: {wrong}")))?;
        // Nor may anything come after that.
        for _ in 0..20 {
            broker.tick(20);
            for process in &mut processes {
                self.step(&broker, process);
            }
        }
        self.verdict()
    }

    fn until(
        &mut self,
        broker: &MemoryBroker,
        processes: &mut [Process],
        done: impl Fn(&World) -> bool,
    ) -> Result<(), String> {
        for round in 0..1_500 {
            broker.tick(20);
            for process in processes.iter_mut() {
                self.step(broker, process);
            }
            if round % 8 == 0 && done(self) {
                return Ok(());
            }
        }
        let whys: Vec<&str> = processes
            .iter()
            .map(|process| process.why.as_str())
            .collect();
        Err(format!("the pipeline is stuck: {whys:?}"))
    }

    /// Both parts have read all there is.
    fn is_read(&self, broker: &MemoryBroker) -> bool {
        let beyond = |group: &str, topic: &str, partition: usize, offset: i64| {
            broker
                .position_of(group, topic, partition)
                .is_some_and(|position| position.offset > offset)
        };
        broker.is_settled()
            && self.written.iter().all(|written| {
                beyond(
                    "first",
                    &format!("in{}", written.topic),
                    written.partition,
                    written.offset,
                )
            })
            && (0..self.shards).all(|shard| {
                broker
                    .last_record("re", shard)
                    .is_none_or(|offset| beyond("second", "re", shard, offset))
            })
    }
}

impl Process {
    fn end(&mut self) {
        let dead = self
            .session
            .as_ref()
            .is_some_and(|session| session.log().is_dead());
        let kept = self.session.take().map(Pipeline::into_operators);
        self.kept = kept.filter(|_| !dead);
    }
}

fn run(seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut world = World::new(seed, broken, Of::Groups);
    world.storm();
    world.calm()
}

fn is_caught(broken: Broken) -> bool {
    (0..400).any(|seed| run(seed, Some(broken)).is_err())
}

#[test]
fn whatever_goes_wrong_the_results_are_those_of_the_rows_that_are_not_late() {
    for seed in seeds(2_000) {
        if let Err(wrong) = run(seed, None) {
            panic!("SEED={seed}: {wrong}");
        }
    }
}

#[test]
fn a_rule_that_takes_rows_out_behind_event_time_is_caught() {
    assert!(is_caught(Broken::JudgedBehindTime));
}

#[test]
fn a_first_part_that_forgets_its_event_time_is_caught() {
    assert!(is_caught(Broken::Client(Client::ClockForgotten)));
}

#[test]
fn a_changelog_outside_of_the_transaction_is_caught() {
    assert!(is_caught(Broken::Client(Client::ChangelogOutside)));
}

#[test]
fn a_changelog_that_is_read_to_its_stable_end_is_caught() {
    assert!(is_caught(Broken::Client(Client::RestoredToStable)));
}

#[test]
fn an_overlay_that_outlives_its_transaction_is_caught() {
    assert!(is_caught(Broken::Engine(Rule::OverlayKept)));
}

#[test]
fn a_watermark_that_is_not_restored_is_caught() {
    assert!(is_caught(Broken::Engine(Rule::WatermarkForgotten)));
}

#[test]
fn a_state_that_is_not_restored_is_caught() {
    assert!(is_caught(Broken::Engine(Rule::StateForgotten)));
}

#[test]
fn a_silent_partition_that_counts_as_idle_is_caught() {
    assert!(is_caught(Broken::Engine(Rule::SilenceIsIdle)));
}

#[test]
fn lateness_that_the_first_part_decides_is_caught() {
    assert!(is_caught(Broken::Engine(Rule::LateInFirst)));
}
