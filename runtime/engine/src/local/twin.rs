//! A run in memory beside the two parts of a pod over a broker: the same records give the same rows and dead letters,
//! wherever the pod's commits fall, as long as there is one before each row whose fate they decide.
//!
//! Nothing orders the records of two inputs, so what of them is late is decided by who is read first. Both are given one order
//! here: the pod's commits end exactly where the batches do, and between them its inputs are read as they come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field as Column, Schema, TimeUnit};
use headworks_plan::{
    Contract, DeadLetterReason, Delivery, EventTime, Field, InternalTopic, KeyedPlan, OnBadRecord,
    PipelinePlan, StartFrom, Stream,
};
use headworks_state::Pool;

use super::{BadRecord, Local, Row, Sink};
use crate::format::{DecodeError, Decoder, Encoder, FormatError, Formats, RowError};
use crate::keyed::shards::Shards;
use crate::memory::{Chance, Faults, MemoryBroker, Stored};
use crate::pipeline::{
    InputTopic, KeyedOperator, Pipeline, Settings, StageOperator, compile_exchange, compile_keyed,
};
use crate::stateless::StatelessOperator;
use crate::status::StatusHandle;
use crate::testing::keyed_fixture_format::BarFormats;
use crate::testing::simulation::{same, seeds};

/// The event time of the last record, beyond every window.
const END: i64 = 1_000_000;
/// Longer than any run takes: a pod commits when it is told to.
const NO_COMMIT: Duration = Duration::from_hours(1);

/// Reads `a 1700 3`: a key, an event time and a number.
struct Words {
    columns: Vec<String>,
    rows: Vec<(String, i64, i64)>,
}

impl Decoder for Words {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let words: Vec<&str> = text.split(' ').collect();
        let row = match words[..] {
            [key, time, n] => time
                .parse()
                .ok()
                .zip(n.parse().ok())
                .map(|(t, n)| (key, t, n)),
            _ => None,
        };
        let (key, time, n) = row.ok_or_else(|| RowError {
            reason: DeadLetterReason::Decode,
            path: String::new(),
            message: "not three words".to_owned(),
        })?;
        self.rows.push((key.to_owned(), time, n));
        Ok(())
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let rows = std::mem::take(&mut self.rows);
        let column = |name: &String| -> (Column, ArrayRef) {
            match name.as_str() {
                "k" => (
                    Column::new("k", DataType::Utf8, false),
                    Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0))),
                ),
                "t" => {
                    let zone = Some("UTC".into());
                    let instant = DataType::Timestamp(TimeUnit::Millisecond, zone);
                    let times = rows.iter().map(|row| row.1);
                    let times = TimestampMillisecondArray::from_iter_values(times);
                    (
                        Column::new("t", instant, false),
                        Arc::new(times.with_timezone("UTC")),
                    )
                }
                _ => (
                    Column::new("n", DataType::Int64, false),
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
                ),
            }
        };
        let (fields, columns): (Vec<Column>, Vec<ArrayRef>) =
            self.columns.iter().map(column).unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|source| FormatError::Columns { source })
    }
}

struct TwinFormats;

impl Formats for TwinFormats {
    fn decoder(&self, _: &Contract, columns: &[String]) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(Words {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }))
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        BarFormats.encoder(contract)
    }
}

/// Rows and dead letters.
#[derive(Debug, Default)]
struct Given {
    rows: Vec<String>,
    dead_letters: Vec<String>,
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
struct World {
    plan: PipelinePlan,
    /// By input.
    disorder_ms: Vec<i64>,
    lateness_ms: i64,
    is_session: bool,
    records: Vec<(usize, String)>,
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
    }
}

impl World {
    fn new(chance: &mut Chance) -> World {
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
        let topic = |name: &str, partitions| InternalTopic {
            topic: name.into(),
            partitions,
            max_message_bytes: 1_000_000,
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
        let plan = PipelinePlan {
            sql,
            inputs: (0..inputs).map(read).collect(),
            outputs: vec![out],
            tables: Vec::new(),
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Earliest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            group: "first".into(),
            keyed: Some(KeyedPlan {
                repartition: topic("re", shards),
                changelog: topic("state", shards),
                group: "second".into(),
                allowed_lateness_ms: lateness_ms as u64,
                max_drift_ms: u64::MAX,
                ttl_ms: None,
                memory_bytes: 64 << 20,
                results: None,
            }),
            accept_data_loss: None,
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

    fn in_memory(&self) -> Given {
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
    fn batches(&self, on_time: bool, chance: &mut Chance) -> Vec<&[(usize, String)]> {
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
        let keyed = self.plan.keyed.as_ref().unwrap();
        let (stateless, first) = compile_exchange(&self.plan, keyed, &TwinFormats).unwrap();
        let compiled = compile_keyed(&self.plan, keyed, &TwinFormats).unwrap();
        let pool = Pool::open(keyed.memory_bytes, None).unwrap();
        let inputs = self.plan.inputs.iter();
        let second = KeyedOperator::new(
            Shards::new(compiled.spec, pool, inputs.len()),
            compiled.results,
            &keyed.changelog,
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
        let mut reads = [("first", inputs), ("second", vec!["re"])].into_iter();
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

    fn in_a_pod(&self, batches: &[&[(usize, String)]]) -> Given {
        let broker = MemoryBroker::new(1, Faults::default());
        for input in &self.plan.inputs {
            broker.create(&input.topic, 1);
            broker.create(&input.dead_letter_topic, 1);
        }
        let keyed = self.plan.keyed.as_ref().unwrap();
        let shards = keyed.repartition.partitions as usize;
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

#[test]
fn a_run_in_memory_gives_the_rows_and_dead_letters_of_a_pod() {
    let (mut late, mut written) = (0, 0);
    let all = seeds(40);
    let many = all.end - all.start >= 40;
    for seed in all {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x7417);
        let world = World::new(&mut chance);
        let local = world.in_memory();
        late += local
            .dead_letters
            .iter()
            .filter(|l| l.contains(" Late "))
            .count();
        written += local.rows.len();
        let pod = world.in_a_pod(&world.batches(true, &mut chance));
        same("rows", local.rows, pod.rows)
            .and_then(|()| same("dead letters", local.dead_letters, pod.dead_letters))
            .unwrap_or_else(|wrong| panic!("SEED={seed}: {}\n{wrong}", world.plan.sql));
    }
    assert!(
        !many || (late > 80 && written > 800),
        "{late} late, {written} rows"
    );
}

#[test]
fn which_input_is_read_first_decides_what_is_late_in_memory_as_in_a_pod() {
    let mut chance = Chance::new(7);
    let mut world = (0..200)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2 && world.plan.sql.contains("HOP"))
        .unwrap();
    let records = |order: &[(usize, &str)]| -> Vec<(usize, String)> {
        let ends = [(0, "z 1000000 1"), (1, "z 1000000 1")];
        let all = order.iter().chain(&ends);
        all.map(|(input, record)| (*input, (*record).to_owned()))
            .collect()
    };
    let disorder_ms = world.disorder_ms.iter().max().unwrap();
    let (first, ahead) = (21_119, 22_201 + disorder_ms);
    let (old, wait, on) = (
        format!("c {first} 1"),
        format!("c {ahead} 1"),
        format!("c {} 1", ahead + 1),
    );
    // The second input has come to `ahead`, and brings a row from behind its own watermark; as long as the first input
    // hasn't come as far, its windows are open.
    let in_time = [(1, wait.as_str()), (1, &old), (0, &on)];
    let late = [(1, wait.as_str()), (0, &on), (1, &old)];
    world.lateness_ms = 0;
    world.plan.keyed.as_mut().unwrap().allowed_lateness_ms = 0;
    let mut windows = Vec::new();
    for order in [in_time, late] {
        world.records = records(&order);
        let local = world.in_memory();
        let each: Vec<_> = world.records.chunks(1).collect();
        let pod = world.in_a_pod(&each);
        let of_the_row = |row: &&String| row.starts_with("c|19000|22000|");
        windows.push(local.rows.iter().filter(of_the_row).count());
        same("rows", local.rows, pod.rows).unwrap();
        same("dead letters", local.dead_letters, pod.dead_letters).unwrap();
    }
    assert_eq!(windows, [1, 0]);
}

#[test]
fn a_late_row_is_not_saved_by_a_session_of_another_input_that_comes_after_it() {
    let mut chance = Chance::new(7);
    let mut world = (0..200)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2 && world.is_session)
        .unwrap();
    world.lateness_ms = 0;
    world.plan.keyed.as_mut().unwrap().allowed_lateness_ms = 0;
    let records = [
        (0, "a 20000 1"),
        (1, "a 20000 1"),
        // Over by itself; within the gap of the next row, whose session isn't over.
        (1, "b 17400 1"),
        (0, "b 18390 1"),
    ];
    let records = records.map(|(input, record)| (input, record.to_owned()));
    world.records = records.to_vec();
    for (_, record) in &mut world.records[..2] {
        *record = format!("a {} 1", 19_000 + world.disorder_ms.iter().max().unwrap());
    }
    let local = world.in_memory();
    let pod = world.in_a_pod(&world.records.chunks(1).collect::<Vec<_>>());
    assert!(
        local
            .dead_letters
            .iter()
            .any(|l| l == "in1@1 Late b 17400 1"),
        "{local:?}"
    );
    same("dead letters", local.dead_letters, pod.dead_letters).unwrap();
}

#[test]
fn an_input_that_is_over_holds_nobody_up() {
    let mut chance = Chance::new(7);
    let world = (0..50)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2)
        .unwrap();
    let mut given = Given::default();
    let mut local = Local::new(&world.plan, &TwinFormats).unwrap();
    local.push(0, b"a 5000 1", &mut given).unwrap();
    local.push(0, b"b 60000 1", &mut given).unwrap();
    assert_eq!(local.mark(1, &mut given).unwrap(), None);
    let mark = Some(60_000 - world.disorder_ms[0]);
    assert_eq!(local.mark(0, &mut given).unwrap(), mark);
    assert_eq!(given.rows.len(), 0, "the other input may bring anything");
    local.end(1, &mut given).unwrap();
    assert_eq!(local.mark(1, &mut given).unwrap(), Some(i64::MAX));
    assert!(!given.rows.is_empty());
    assert!(
        given.rows.iter().all(|row| row.starts_with("a|")),
        "{given:?}"
    );
    local.push(0, b"a 5001 1", &mut given).unwrap();
    local.finish(&mut given).unwrap();
    assert_eq!(given.dead_letters, ["in0@2 Late a 5001 1"]);
}

#[test]
fn a_pod_that_commits_less_often_takes_more_rows_never_fewer() {
    let mut fewer = 0;
    let all = seeds(30);
    let many = all.end - all.start >= 30;
    for seed in all {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x7418);
        let world = World::new(&mut chance);
        let late = |given: Given| -> Vec<String> {
            let dead_letters = given.dead_letters.into_iter();
            dead_letters.filter(|l| l.contains(" Late ")).collect()
        };
        let local = late(world.in_memory());
        let pod = late(world.in_a_pod(&world.batches(false, &mut chance)));
        let unknown = pod.iter().find(|dead_letter| !local.contains(dead_letter));
        assert_eq!(unknown, None, "SEED={seed}: {}", world.plan.sql);
        fewer += usize::from(pod.len() < local.len());
    }
    assert!(!many || fewer > 5, "{fewer}");
}
