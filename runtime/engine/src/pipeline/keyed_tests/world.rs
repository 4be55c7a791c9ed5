//! Both stages of a query with state, over a broker in memory.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{InternalTopic, OnBadRecord, StartFrom};
use headworks_sql::keyed::Window;

use crate::log::LogError;
use crate::memory::{Faults, MemoryBroker, MemoryLog, Stored};
use crate::pipeline::{InputTopic, Pipeline, ReplayedInput, Settings, StageOperator, Times};
use crate::status::StatusHandle;
use crate::testing::keyed_fixture_format::{Query, STATE_BYTES, first, second, stateless};

pub(super) const MINUTE: Query = Query::Windowed(Window::Tumble {
    size: 60,
    offset: 0,
});

pub(super) struct World {
    pub(super) broker: MemoryBroker,
    pub(super) query: Query,
    pub(super) times: Times,
    pub(super) drift_ms: u64,
    pub(super) max_message_bytes: u64,
    pub(super) memory_bytes: u64,
    pub(super) state_bytes: u64,
    pub(super) on_bad_record: OnBadRecord,
    pub(super) first: StatusHandle,
    pub(super) second: StatusHandle,
}

impl World {
    pub(super) fn new(query: Query, partitions: usize) -> World {
        let broker = MemoryBroker::new(1, Faults::default());
        for (topic, partitions) in [
            ("in", partitions),
            ("in.dlq", 1),
            ("out", 1),
            ("re", 2),
            ("state", 2),
        ] {
            broker.create(topic, partitions);
        }
        World {
            broker,
            query,
            times: Times::default(),
            drift_ms: 1_000_000,
            max_message_bytes: 1_000_000,
            memory_bytes: 64 << 20,
            state_bytes: STATE_BYTES,
            on_bad_record: OnBadRecord::DeadLetter,
            first: StatusHandle::new(),
            second: StatusHandle::new(),
        }
    }

    pub(super) fn write(&self, partition: usize, values: &[&str]) {
        for value in values {
            let record = Stored {
                value: Some(value.as_bytes().to_vec()),
                ..Stored::default()
            };
            self.broker.append("in", partition, record);
        }
    }

    pub(super) fn settings(&self, topic: &str) -> Settings {
        Settings {
            pipeline: "shop/p".into(),
            inputs: vec![InputTopic {
                topic: topic.into(),
                dead_letter_topic: "in.dlq".into(),
                max_message_bytes: 1_000_000,
            }],
            on_bad_record: self.on_bad_record,
            start_from: StartFrom::Earliest,
            commit_interval: Duration::from_millis(20),
            accept_data_loss: None,
        }
    }

    pub(super) fn first(&self) -> Pipeline<MemoryLog> {
        let topic = InternalTopic {
            topic: "re".into(),
            partitions: 2,
            max_message_bytes: self.max_message_bytes,
        };
        let operator = first(self.query, &topic, vec![self.times], self.drift_ms);
        Pipeline::with_operator(
            self.broker.open_in("first", "member-0", &["in"]).unwrap(),
            stateless(self.query, 1),
            StageOperator::Exchange(Box::new(operator)),
            Arc::new(self.settings("in")),
            self.first.clone(),
        )
    }

    /// The first part, as a Replay of the dead letters runs it.
    pub(super) fn replay(&self) -> Result<(), LogError> {
        let topic = InternalTopic {
            topic: "re".into(),
            partitions: 2,
            max_message_bytes: self.max_message_bytes,
        };
        let operator = first(self.query, &topic, vec![self.times], self.drift_ms);
        let operator = operator.replaying(ReplayedInput {
            input: 0,
            letters: true,
        });
        let mut replay = Pipeline::with_operator(
            self.broker.open_in("again", "member-0", &["in.dlq"])?,
            stateless(self.query, 1),
            StageOperator::Exchange(Box::new(operator)),
            Arc::new(self.settings("in.dlq")),
            StatusHandle::new(),
        );
        for _ in 0..40 {
            replay.step()?;
        }
        replay.drain()
    }

    pub(super) fn second(&self) -> Pipeline<MemoryLog> {
        self.second_of(self.settings("in").inputs)
    }

    /// The same behind a first part with these inputs.
    pub(super) fn second_of(&self, inputs: Vec<InputTopic>) -> Pipeline<MemoryLog> {
        let operator = second(self.query, 0, inputs, self.memory_bytes, self.state_bytes);
        Pipeline::with_operator(
            self.broker.open_in("second", "member-0", &["re"]).unwrap(),
            crate::stateless::StatelessOperator::default(),
            StageOperator::Keyed(Box::new(operator)),
            Arc::new(self.settings("re")),
            self.second.clone(),
        )
    }

    /// Runs both parts for a while and stops them.
    pub(super) fn run(&self, rounds: usize) -> Result<(), LogError> {
        let (mut first, mut second) = (self.first(), self.second());
        for _ in 0..rounds {
            first.step()?;
            second.step()?;
        }
        first.drain()?;
        for _ in 0..20 {
            second.step()?;
        }
        second.drain()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let text = |record: Stored| {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            match record.value {
                Some(value) => String::from_utf8(value).unwrap(),
                None => format!("{key} gone"),
            }
        };
        let mut lines: Vec<String> = self
            .broker
            .committed("out", 0)
            .into_iter()
            .map(text)
            .collect();
        lines.sort();
        lines
    }

    pub(super) fn dead_letters(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let reason = |record: &Stored| {
            let header = record
                .headers
                .iter()
                .find(|(name, _)| name == "headworks.reason");
            String::from_utf8(header.unwrap().1.clone()).unwrap()
        };
        let dead_letters = self.broker.committed("in.dlq", 0);
        dead_letters
            .into_iter()
            .map(|record| (reason(&record), record.value))
            .collect()
    }
}
