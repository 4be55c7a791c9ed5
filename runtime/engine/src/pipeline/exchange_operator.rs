//! The first part of a pipeline with state: event time, and rows on their way to their keys' partitions.

use std::time::Duration;

use headworks_plan::{DeadLetterReason, Stream};
use headworks_sql::keyed::{Keyed, Window};

use super::keyed_operator::again;
use super::{Pipeline, StageOperator};
use crate::keyed::Rule;
use crate::keyed::exchange_writer::{ExchangeWriter, RowSource};
use crate::keyed::watermarks::PartitionWatermark;
use crate::log::{Log, LogError, Outgoing, Partition, PartitionEventTime};

/// How often idleness and drift are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the first part has besides its stateless operator.
#[derive(Debug)]
pub(crate) struct ExchangeOperator {
    pub(super) writer: ExchangeWriter,
    /// By input.
    times: Vec<Times>,
    /// The query's windows.
    window: Option<Window>,
    /// Results come by event time, so that somebody waits for it.
    by_event_time: bool,
    /// Rows may be refused because they are late, and then their records are asked for.
    refuses_late: bool,
    /// The column of the rows that is the event time.
    time: Option<usize>,
    /// How far a partition's event time may be ahead, in milliseconds.
    max_drift_ms: i64,
    /// By input: how many partitions it has.
    counts: Vec<i32>,
    held_back: Vec<Partition>,
    looked: Duration,
    /// Records written to the repartition topic since the last commit.
    pub(super) records: u64,
    /// Present: its rows are a Replay's, which say nothing of how far event time has come.
    replays: Option<ReplayedInput>,
    /// For the simulation.
    broken: Option<Rule>,
}

/// What the second part waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitsFor {
    /// Windows that are over.
    pub(crate) window: Option<Window>,
    /// Event time: for its windows, or for the rows of a join.
    pub(crate) by_event_time: bool,
    /// It refuses rows that come too late.
    pub(crate) refuses_late: bool,
}

impl From<&Keyed> for WaitsFor {
    fn from(keyed: &Keyed) -> WaitsFor {
        WaitsFor {
            window: keyed.window,
            by_event_time: keyed.by_event_time(),
            refuses_late: keyed.refuses_late(),
        }
    }
}

/// The input of a Pipeline that a Replay's records stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplayedInput {
    /// Its index among the Pipeline's inputs.
    pub(crate) input: u16,
    /// True: they are its dead letters; false: records of its topic.
    pub(crate) letters: bool,
}

/// How an input's event time behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// How far records come out of order, in milliseconds.
    pub(crate) disorder_ms: i64,
    /// After how long at its end a partition is idle; absent: never.
    pub(crate) idle_timeout: Option<Duration>,
}

/// How a stream's event time behaves, by its contract.
pub(crate) fn times(stream: &Stream) -> Times {
    let time = stream.contract.event_time.as_ref();
    Times {
        disorder_ms: time.map_or(0, |time| {
            i64::try_from(time.max_out_of_orderness_ms).unwrap_or(i64::MAX)
        }),
        idle_timeout: time
            .and_then(|time| time.idle_timeout_ms)
            .map(Duration::from_millis),
    }
}

impl ExchangeOperator {
    pub(crate) fn new(
        writer: ExchangeWriter,
        times: Vec<Times>,
        waits: WaitsFor,
        time: Option<usize>,
        max_drift_ms: u64,
    ) -> ExchangeOperator {
        let WaitsFor {
            window,
            by_event_time,
            refuses_late,
        } = waits;
        ExchangeOperator {
            writer,
            counts: vec![0; times.len()],
            times,
            window,
            by_event_time,
            refuses_late,
            time,
            max_drift_ms: i64::try_from(max_drift_ms).unwrap_or(i64::MAX),
            held_back: Vec::new(),
            looked: Duration::ZERO,
            records: 0,
            replays: None,
            broken: None,
        }
    }

    /// The same for a Replay: its rows may be late, and move no event time on.
    pub(crate) fn replaying(self, input: ReplayedInput) -> ExchangeOperator {
        ExchangeOperator {
            replays: Some(input),
            ..self
        }
    }

    /// The same, with a rule broken.
    #[cfg(test)]
    pub(crate) fn breaking(mut self, rule: Option<Rule>) -> ExchangeOperator {
        self.broken = rule;
        self
    }

    fn disorder_ms(&self, topic: u16) -> i64 {
        self.times
            .get(usize::from(topic))
            .map_or(0, |times| times.disorder_ms)
    }
}

impl<L: Log> Pipeline<L> {
    /// Records whose rows can't be carried become bad: they are too large, or have no event time.
    pub(super) fn refuse_large_rows(&mut self) {
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return;
        };
        self.staged.refuse_timeless(exchange.time);
        let mut refused = Vec::new();
        for piece in &self.staged.rows {
            for row in exchange.writer.too_large(&piece.rows) {
                let message = format!(
                    "its row is above what a record of topic {} takes (max.message.bytes)",
                    exchange.writer.topic()
                );
                refused.push((piece.from[row], message));
            }
        }
        if !refused.is_empty() {
            for (row, message) in refused {
                self.staged
                    .refuse(row as usize, DeadLetterReason::TooLarge, message);
            }
            self.staged.settle();
        }
    }

    /// Gathers the batch's rows, and moves the clocks of its partitions.
    pub(super) fn collect(&mut self) -> Result<(), LogError> {
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return Ok(());
        };
        let mut sources: Vec<RowSource> = Vec::with_capacity(self.batch.len());
        for row in 0..self.batch.len() {
            let (partition, _) = self.batch.place(row);
            let time = self.staged.times.get(row).copied().flatten();
            let disorder_ms = exchange.disorder_ms(partition.topic);
            let mut one = self
                .owned
                .hear(partition, time, disorder_ms, exchange.window);
            one.suspect |= exchange.replays.is_some();
            one.suspect &= exchange.refuses_late;
            sources.push(one);
        }
        self.owned.catch_up();
        if exchange.broken == Some(Rule::LateInFirst) {
            for (row, _) in sources
                .iter()
                .enumerate()
                .filter(|(_, source)| source.suspect)
            {
                self.staged.refuse(
                    row,
                    DeadLetterReason::Late,
                    "below its own partition's watermark".to_owned(),
                );
            }
            self.staged.settle();
        }
        exchange
            .writer
            .append(&self.staged, &self.batch, &sources)
            .map_err(|message| LogError::Broken { message })?;
        for row in self.staged.good_origins(&self.batch) {
            if let Some(counts) = self.owned.counts(self.batch.place(row).0) {
                counts.written += 1;
            }
        }
        if exchange.writer.is_full() {
            self.open_transaction()?;
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is gathered.
    fn flush(&mut self) -> Result<(), LogError> {
        let now = self.log.now();
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return Ok(());
        };
        let watermarks = self
            .owned
            .assigned()
            .iter()
            .map(|assigned| {
                let topic = assigned.partition.topic;
                if let Some(ReplayedInput { input, letters }) = exchange.replays {
                    let number = assigned.partition.number;
                    return PartitionWatermark::replayed(input, number, letters);
                }
                PartitionWatermark {
                    topic,
                    partition: assigned.partition.number,
                    of: exchange
                        .counts
                        .get(usize::from(topic))
                        .copied()
                        .unwrap_or(0),
                    watermark_ms: assigned.watermark(exchange.disorder_ms(topic)),
                    idle: assigned.position.clock.idle,
                }
            })
            .collect();
        let ExchangeOperator {
            writer, records, ..
        } = exchange.as_mut();
        let topic = writer.topic().to_owned();
        let log = &mut self.log;
        writer.flush(watermarks, now, &mut |partition, value| {
            *records += 1;
            log.produce(&repartition(&topic, partition, value))
        })
    }

    /// Writes what is gathered and tells how far event time has come. Gives when to tell more of that.
    pub(super) fn before_commit_exchange(&mut self) -> Result<Option<Duration>, LogError> {
        self.flush()?;
        let now = self.log.now();
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return Ok(None);
        };
        let mut later = None;
        let ExchangeOperator {
            writer,
            records,
            by_event_time,
            replays,
            ..
        } = exchange.as_mut();
        if *by_event_time && replays.is_none() {
            let topic = writer.topic().to_owned();
            let log = &mut self.log;
            later = writer.emit_watermarks(now, &mut |partition, value| {
                *records += 1;
                log.produce(&repartition(&topic, partition, value))
            })?;
        }
        self.pending.repartition_records = std::mem::take(&mut exchange.records);
        Ok(later)
    }

    /// The positions are known, and nothing is read yet.
    pub(super) fn assign_exchange(&mut self) -> Result<(), LogError> {
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return Ok(());
        };
        exchange.writer.assigned();
        exchange.held_back.clear();
        exchange.records = 0;
        let known = |clock: PartitionEventTime| clock.idle || clock.event_time_ms.is_some();
        if exchange.by_event_time
            && self
                .owned
                .assigned()
                .iter()
                .any(|assigned| known(assigned.position.clock))
        {
            // Who had the partitions before may not have come to tell what it had committed.
            self.operator_due = Some(self.log.now());
        }
        for topic in 0..exchange.counts.len() {
            let of = self
                .owned
                .assigned()
                .iter()
                .find(|assigned| usize::from(assigned.partition.topic) == topic);
            if let Some(assigned) = of {
                let partition = assigned.partition;
                exchange.counts[topic] = again(|| self.log.siblings(partition))?.len() as i32;
            }
        }
        Ok(())
    }

    /// Notices idle partitions, and holds those back that are too far ahead.
    pub(super) fn tick_exchange(&mut self) -> Result<(), LogError> {
        let now = self.log.now();
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return Ok(());
        };
        let keeps_time = exchange.by_event_time && exchange.replays.is_none();
        if !keeps_time || now < exchange.looked + LOOK_EVERY {
            return Ok(());
        }
        exchange.looked = now;
        let mut news = false;
        for assigned in self.owned.assigned_mut() {
            let times = exchange.times.get(usize::from(assigned.partition.topic));
            let Some(timeout) = times.and_then(|times| times.idle_timeout) else {
                continue;
            };
            let end = self.log.end(assigned.partition);
            if end.is_none_or(|end| end > assigned.position.offset) {
                assigned.at_end_since = None;
                continue;
            }
            let since = *assigned.at_end_since.get_or_insert(now);
            if assigned.position.clock.idle || now < since + timeout {
                continue;
            }
            // What is known of the end may be old: a broker that can't be reached must not pass for a
            // partition that rests.
            match self.log.bounds(&[assigned.partition]) {
                Ok(bounds)
                    if bounds
                        .iter()
                        .all(|bounds| bounds.end <= assigned.position.offset) =>
                {
                    assigned.position.clock.idle = true;
                    news = true;
                }
                Ok(_) | Err(LogError::Retriable { .. } | LogError::Unavailable { .. }) => {
                    assigned.at_end_since = None;
                }
                Err(error) => return Err(error),
            }
        }
        if news {
            self.operator_due = Some(self.operator_due.map_or(now, |due| due.min(now)));
        }
        self.hold_back();
        Ok(())
    }

    /// Lets those partitions wait whose event time is too far ahead of one that has more to be read.
    fn hold_back(&mut self) {
        let StageOperator::Exchange(exchange) = &mut self.operator else {
            return;
        };
        let assigned = self.owned.assigned();
        let log = &self.log;
        let slowest = assigned
            .iter()
            .filter(|assigned| {
                // There is nothing to wait for where nothing is left to be read.
                log.end(assigned.partition)
                    .is_none_or(|end| end > assigned.position.offset)
            })
            .filter_map(|assigned| assigned.position.clock.event_time_ms)
            .min();
        let ahead: Vec<Partition> =
            match slowest {
                None => Vec::new(),
                Some(slowest) => assigned
                    .iter()
                    .filter(|assigned| {
                        assigned.position.clock.event_time_ms.is_some_and(|time| {
                            time.saturating_sub(slowest) > exchange.max_drift_ms
                        })
                    })
                    .map(|assigned| assigned.partition)
                    .collect(),
            };
        if ahead != exchange.held_back {
            self.log.hold_back(&ahead);
            exchange.held_back = ahead;
        }
    }
}

fn repartition<'a>(topic: &'a str, partition: i32, value: &'a [u8]) -> Outgoing<'a> {
    Outgoing {
        topic,
        partition: Some(partition),
        key: None,
        value: Some(value),
        timestamp_ms: None,
        headers: &[],
    }
}
