//! What is run in memory and in a pod, with what comes of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{
    Contract, Delivery, EventTime, Field, OnBadRecord, PipelinePlan, StartFrom, Stream,
};
use headworks_state::Pool;

use super::super::{BadRecord, Local, Row, Sink};
use super::words::TwinFormats;
use crate::keyed::shards::Shards;
use crate::memory::{Chance, Faults, MemoryBroker, Stored};
use crate::pipeline::{
    InputTopic, KeyedOperator, Pipeline, Settings, StageOperator, compile_exchange, compile_keyed,
};
use crate::stateless::StatelessOperator;
use crate::status::StatusHandle;
use crate::testing::keyed_stages;

/// The event time of the last record, beyond every window.
const END: i64 = 1_000_000;
/// Longer than any run takes: a pod commits when it is told to.
const NO_COMMIT: Duration = Duration::from_hours(1);

/// Rows and dead letters.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) rows: Vec<String>,
    pub(super) dead_letters: Vec<String>,
}

impl Sink for Given {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.rows
            .push(String::from_utf8_lossy(row.value).into_owned());
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        let (input, number) = (bad.input, bad.number.unwrap_or(u64::MAX));
        let value = String::from_utf8_lossy(bad.value);
        self.dead_letters
            .push(format!("in{input}@{number} {} {value}", bad.reason));
        Ok(())
    }
}

/// What is run, and with what.
pub(super) struct World {
    pub(super) plan: PipelinePlan,
    /// By input.
    pub(super) disorder_ms: Vec<i64>,
    pub(super) lateness_ms: i64,
    pub(super) is_session: bool,
    pub(super) records: Vec<(usize, String)>,
}

fn stream(name: &str, fields: &[(&str, &str, bool)]) -> Stream {
    let field = |(name, type_, nullable): &(&str, &str, bool)| Field {
        name: (*name).into(),
        type_: (*type_).into(),
        nullable: *nullable,
        labels: Vec::new(),
    };
    Stream {
        name: name.into(),
        topic: name.into(),
        dead_letter_topic: format!("{name}.dlq"),
        contract: Contract {
            fields: fields.iter().map(field).collect(),
            ..Contract::default()
        },
        max_message_bytes: 1_000_000,
        rules: Vec::new(),
    }
}

impl World {
    pub(super) fn new(chance: &mut Chance) -> World {
        let inputs = 1 + chance.below(3) as usize;
        let disorder_ms: Vec<i64> = (0..inputs)
            .map(|_| [0, 1, 400, 1_500][chance.below(4) as usize])
            .collect();
        let lateness_ms = [0, 0, 700][chance.below(3) as usize];
        let windows = [
            "TUMBLE(t, INTERVAL '1' SECOND)",
            "HOP(t, INTERVAL '1' SECOND, INTERVAL '3' SECOND)",
            "SESSION(t, INTERVAL '1' SECOND)",
        ];
        let at = chance.below(4) as usize;
        let inputs = if at == 3 { 1 } else { inputs };
        let from: Vec<String> = (0..inputs)
            .map(|i| format!("SELECT * FROM in{i}"))
            .collect();
        let from = format!("({})", from.join(" UNION ALL "));
        let sql = match windows.get(at) {
            Some(window) => {
                let bound = |which: &str| window.replacen('(', &format!("_{which}("), 1);
                format!(
                    "SELECT k, {} AS s, {} AS e, COUNT(*) AS c, SUM(100 / n) AS total FROM {from} WHERE n <> 7 GROUP BY k, {window}",
                    bound("START"),
                    bound("END")
                )
            }
            None => "SELECT k, window_start AS s, window_end AS e, COUNT(*) AS c, SUM(100 / n) AS total FROM TABLE(CUMULATE(TABLE in0, DESCRIPTOR(t), INTERVAL '1' SECOND, INTERVAL '3' SECOND)) WHERE n <> 7 GROUP BY k, window_start, window_end".to_owned(),
        };
        let read = |i: usize| {
            let mut stream = stream(
                &format!("in{i}"),
                &[
                    ("k", "string", false),
                    ("t", "timestamp_ltz(3)", false),
                    ("n", "bigint", false),
                ],
            );
            stream.contract.event_time = Some(EventTime {
                field: "t".into(),
                max_out_of_orderness_ms: disorder_ms[i] as u64,
                idle_timeout_ms: None,
            });
            stream
        };
        let shards = 1 + chance.below(3) as i32;
        let out = stream(
            "out",
            &[
                ("k", "string", false),
                ("s", "timestamp(3)", false),
                ("e", "timestamp(3)", false),
                ("c", "bigint", false),
                ("total", "bigint", true),
            ],
        );
        let names: Vec<String> = (0..inputs).map(|i| format!("in{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut stages = keyed_stages(&names, shards, None);
        if let Some(state) = &mut stages[1].state {
            state.allowed_lateness_ms = lateness_ms as u64;
        }
        let plan = PipelinePlan {
            sql,
            inputs: (0..inputs).map(read).collect(),
            outputs: vec![out],
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Earliest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            stages,
            accept_data_loss: None,
            verdicts: None,
        };
        let mut world = World {
            is_session: at == 2,
            plan,
            disorder_ms,
            lateness_ms,
            records: Vec::new(),
        };
        world.fill(chance);
        world
    }

    /// A window is over with its end.
    pub(super) fn allow_no_lateness(&mut self) {
        self.lateness_ms = 0;
        let states = self.plan.stages.iter_mut();
        for state in states.filter_map(|stage| stage.state.as_mut()) {
            state.allowed_lateness_ms = 0;
        }
    }

    fn fill(&mut self, chance: &mut Chance) {
        let mut clock = 10_000;
        let inputs = self.plan.inputs.len() as u64;
        for _ in 0..20 + chance.below(60) {
            let input = chance.below(inputs) as usize;
            // Often at the edge of a window, where 1 ms decides.
            clock += chance.below(900) as i64;
            let mut time = match chance.below(4) {
                0 => clock / 1_000 * 1_000 - 1,
                1 => clock / 1_000 * 1_000,
                _ => clock - chance.below(self.disorder_ms[input] as u64 + 1) as i64,
            };
            if chance.below(5) == 0 {
                time -= chance.below(5_000) as i64;
            }
            let key = ["a", "b", "c"][chance.below(3) as usize];
            let n = chance.below(12);
            let record = match chance.below(20) {
                0 => "nonsense".to_owned(),
                _ => format!("{key} {time} {n}"),
            };
            self.records.push((input, record));
        }
        for input in 0..inputs as usize {
            self.records.push((input, format!("z {END} 1")));
        }
    }

    pub(super) fn in_memory(&self) -> Given {
        let mut given = Given::default();
        let mut local = Local::new(&self.plan, &TwinFormats).unwrap();
        for (input, record) in &self.records {
            local.push(*input, record.as_bytes(), &mut given).unwrap();
        }
        // The windows of the last record are open in a pod for ever.
        local.flush(&mut given).unwrap();
        given
    }

    /// The records in random batches, each committed before the next one comes. If `on_time`, what the watermark decides of a row
    /// is decided before its batch. A session over several inputs takes in what would be late alone, if it is read before that: such
    /// a row is a batch of its own.
    pub(super) fn batches(&self, on_time: bool, chance: &mut Chance) -> Vec<&[(usize, String)]> {
        let mut greatest: Vec<Option<i64>> = vec![None; self.plan.inputs.len()];
        let (mut batches, mut begin) = (Vec::new(), 0);
        let mut committed = None;
        let by_order = self.is_session && self.plan.inputs.len() > 1;
        let mut is_alone = false;
        for (at, (input, record)) in self.records.iter().enumerate() {
            let time = record.split(' ').nth(1).and_then(|t| t.parse::<i64>().ok());
            let marks = greatest.iter().zip(&self.disorder_ms);
            let marks = marks.map(|(time, disorder_ms)| time.map(|time| time - disorder_ms));
            let watermark = marks.min().flatten();
            let decides = time.zip(watermark).is_some_and(|(time, watermark)| {
                time <= watermark - self.lateness_ms + i64::from(self.is_session)
            });
            let was_alone = std::mem::replace(&mut is_alone, by_order && decides);
            let is_news = on_time && decides && watermark != committed;
            if is_news || is_alone || was_alone || chance.below(9) == 0 {
                batches.push(&self.records[begin..at]);
                (begin, committed) = (at, watermark);
            }
            greatest[*input] = greatest[*input].max(time);
        }
        batches.push(&self.records[begin..]);
        batches.retain(|batch| !batch.is_empty());
        batches
    }

    /// Both parts, compiled.
    fn parts(&self) -> [(StatelessOperator, StageOperator); 2] {
        let [exchange, keyed] = self.plan.stages.as_slice() else {
            panic!("two stages")
        };
        let topic = exchange.exchange().unwrap();
        let (stateless, first) =
            compile_exchange(&self.plan, exchange, topic, &TwinFormats).unwrap();
        let state = keyed.state.as_ref().unwrap();
        let compiled = compile_keyed(&self.plan, 1, state, None, &TwinFormats).unwrap();
        let pool = Pool::open(state.memory_bytes, None).unwrap();
        let inputs = self.plan.inputs.iter();
        let second = KeyedOperator::new(
            Shards::new(compiled.spec, pool, inputs.len()),
            compiled.results,
            &state.changelog,
            &keyed.group,
            inputs.map(|stream| input(&stream.topic)).collect(),
            compiled.labelled,
        );
        [
            (stateless, StageOperator::Exchange(Box::new(first))),
            (
                StatelessOperator::default(),
                StageOperator::Keyed(Box::new(second)),
            ),
        ]
    }

    /// Runs both parts until all is read, and commits it at once.
    fn run(
        &self,
        broker: &MemoryBroker,
        parts: [(StatelessOperator, StageOperator); 2],
    ) -> [(StatelessOperator, StageOperator); 2] {
        let inputs: Vec<&str> = self.plan.inputs.iter().map(|i| i.topic.as_str()).collect();
        let mut reads = [("g", inputs), ("g.keyed", vec!["re"])].into_iter();
        parts.map(|(stateless, operator)| {
            let (group, topics) = reads.next().unwrap();
            let mut session = Pipeline::with_operator(
                broker.open_in(group, "member-0", &topics).unwrap(),
                stateless,
                operator,
                settings(&topics),
                StatusHandle::new(),
            );
            // Enough to read a batch, and over before the broker would end the transaction.
            for _ in 0..40 {
                session.step().unwrap();
            }
            session.drain().unwrap();
            // Partitions without rows are told the watermarks a little later.
            for _ in 0..4 {
                session.step().unwrap();
            }
            session.into_operators()
        })
    }

    pub(super) fn in_a_pod(&self, batches: &[&[(usize, String)]]) -> Given {
        let broker = MemoryBroker::new(1, Faults::default());
        for input in &self.plan.inputs {
            broker.create(&input.topic, 1);
            broker.create(&input.dead_letter_topic, 1);
        }
        let shards = self.plan.stages[0].exchange().unwrap().partitions as usize;
        for (topic, partitions) in [("out", 1), ("re", shards), ("state", shards)] {
            broker.create(topic, partitions);
        }
        let mut parts = self.parts();
        for batch in batches {
            for (input, record) in *batch {
                let record = Stored {
                    value: Some(record.clone().into_bytes()),
                    ..Stored::default()
                };
                broker.append(&self.plan.inputs[*input].topic, 0, record);
            }
            parts = self.run(&broker, parts);
        }
        let mut given = Given::default();
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
        for record in broker.committed("out", 0) {
            given.rows.push(text(record.value));
        }
        for input in &self.plan.inputs {
            for record in broker.committed(&input.dead_letter_topic, 0) {
                let header = |name: &str| {
                    let found = record.headers.iter().find(|(known, _)| known == name);
                    text(found.map(|(_, value)| value.clone()))
                };
                given.dead_letters.push(format!(
                    "{}@{} {} {}",
                    header("headworks.origin.topic"),
                    header("headworks.origin.offset"),
                    header("headworks.reason"),
                    text(record.value.clone())
                ));
            }
        }
        given
    }
}

fn input(topic: &str) -> InputTopic {
    InputTopic {
        topic: topic.to_owned(),
        dead_letter_topic: format!("{topic}.dlq"),
        max_message_bytes: 1_000_000,
    }
}

fn settings(topics: &[&str]) -> Arc<Settings> {
    Arc::new(Settings {
        pipeline: "shop/p".into(),
        inputs: topics.iter().map(|topic| input(topic)).collect(),
        on_bad_record: OnBadRecord::DeadLetter,
        start_from: StartFrom::Earliest,
        commit_interval: NO_COMMIT,
        accept_data_loss: None,
    })
}
