//! The loop: poll, run the query, write, commit. One call of [`Pipeline::step`] is one round.
//!
//! A round never leaves a transaction in doubt: an error that concerns the transaction aborts it and
//! rewinds to the group's commits; any other ends the session, and a new one finds out from the broker
//! what was committed. Nothing that matters lives in memory alone.

mod assignment;
mod audit;
#[cfg(test)]
mod audit_tests;
mod compile;
mod compile_keyed;
mod dead_letter;
mod edges;
mod exchange_operator;
mod hold;
mod keyed_operator;
#[cfg(test)]
mod keyed_tests;
mod owned;
mod result_records;
#[cfg(test)]
mod rule_tests;
mod start;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod test_settings;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use compile::{CompileError, compile, compile_table, replayed};
pub(crate) use compile_keyed::{
    compile_exchange, compile_keyed, compile_rows, parts_differ, stateful,
};
pub(crate) use edges::{Reads, copies, origins, reads, tells, writes};
pub(crate) use exchange_operator::{ExchangeOperator, ReplayedInput, times};
#[cfg(test)]
pub(crate) use exchange_operator::{Times, WaitsFor};
pub(crate) use keyed_operator::KeyedOperator;

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{OnBadRecord, Phase, Problem, StartFrom};

use crate::log::{Batch, Limits, Log, LogError, Partition};
use crate::session::UNAVAILABLE;
use crate::stateless::{Staged, StatelessOperator};
use crate::status::{Progress, StatusHandle};
use audit::Audit;
use hold::Hold;
use owned::Owned;

/// Bounds of one batch.
const BATCH: Limits = Limits {
    rows: 8_192,
    bytes: 8 * 1024 * 1024,
};
/// Most records of one batch for a table: what a search for the rows that the store refuses may cost.
const TABLE_ROWS: usize = 2_000;
/// The same for a store that was too slow for more. One, since a search through any more may be too slow
/// each time.
const FEWEST_ROWS: usize = 1;
/// So many dead letters make a table's commit due: it names each of them in a note of 4 KB.
const TABLE_DEAD_LETTERS: u64 = 500;
/// Longest wait for a record; also how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// A position that moved past markers only is committed this much later, so that an idle pipeline
/// doesn't answer each of its upstream's commits with one of its own.
const MARKERS_WAIT: Duration = Duration::from_secs(30);
/// How often the figures about partitions are renewed.
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// How often a call whose outcome is unknown is repeated before the session is given up.
const ATTEMPTS: u32 = 4;
/// How many aborts may follow each other before the session is given up, which brings a pause.
const ABORTS: u32 = 5;

/// What a pipeline does with what it reads, apart from the query.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `namespace/name`, for dead-letter headers.
    pub(crate) pipeline: String,
    /// In the order of the log's topics.
    pub(crate) inputs: Vec<InputTopic>,
    pub(crate) on_bad_record: OnBadRecord,
    pub(crate) start_from: StartFrom,
    pub(crate) commit_interval: Duration,
    pub(crate) accept_data_loss: Option<String>,
}

/// What a stage does besides its stateless operator.
#[derive(Default)]
pub(crate) enum StageOperator {
    /// Nothing: a pipeline without state, or a table of one with state.
    #[default]
    Stateless,
    /// Brings rows with equal keys together.
    Exchange(Box<ExchangeOperator>),
    /// Keeps the state.
    Keyed(Box<KeyedOperator>),
}

/// An input topic and where its bad records go.
#[derive(Clone, Debug)]
pub(crate) struct InputTopic {
    pub(crate) topic: String,
    pub(crate) dead_letter_topic: String,
    pub(crate) max_message_bytes: u64,
}

/// One session of a pipeline over a log.
pub(crate) struct Pipeline<L> {
    log: L,
    stateless: StatelessOperator,
    operator: StageOperator,
    /// When the operator has something to commit, though nothing was read.
    operator_due: Option<Duration>,
    settings: Arc<Settings>,
    topics: Vec<String>,
    status: StatusHandle,
    owned: Owned,
    /// What the group gave this member. Owned once their positions are known.
    assigned: Vec<Partition>,
    /// The store can't take rows, or couldn't until just now.
    hold: Option<Hold>,
    /// Most records of a table's batch, for now.
    most_rows: usize,
    /// The transaction was aborted; what is polled is thrown away until the positions are rewound.
    rewind_owed: bool,
    in_transaction: bool,
    /// When the first record was read, or the first marker passed, that isn't committed yet.
    read_since: Option<Duration>,
    passed_since: Option<Duration>,
    pending: Progress,
    audit: Audit,
    batch: Batch,
    staged: Staged,
    /// Aborts since the last commit.
    aborts: u32,
    figures_at: Option<Duration>,
    troubled: bool,
}

impl<L: Log> Pipeline<L> {
    #[cfg(test)]
    pub(crate) fn new(
        log: L,
        stateless: StatelessOperator,
        settings: Arc<Settings>,
        status: StatusHandle,
    ) -> Self {
        Self::with_operator(log, stateless, StageOperator::Stateless, settings, status)
    }

    pub(crate) fn with_operator(
        log: L,
        stateless: StatelessOperator,
        operator: StageOperator,
        settings: Arc<Settings>,
        status: StatusHandle,
    ) -> Self {
        let topics = settings
            .inputs
            .iter()
            .map(|input| input.topic.clone())
            .collect();
        let mut pipeline = Pipeline {
            log,
            stateless,
            operator,
            operator_due: None,
            settings,
            topics,
            status,
            owned: Owned::default(),
            assigned: Vec::new(),
            hold: None,
            most_rows: TABLE_ROWS,
            rewind_owed: false,
            in_transaction: false,
            read_since: None,
            passed_since: None,
            pending: Progress::default(),
            audit: Audit::default(),
            batch: Batch::default(),
            staged: Staged::default(),
            aborts: 0,
            figures_at: None,
            troubled: false,
        };
        pipeline.status.judges_by(&pipeline.stateless.counts_by());
        // What an earlier session left behind was not committed, or isn't known to be.
        pipeline.give_up();
        pipeline
    }

    /// The query, for the next session.
    pub(crate) fn into_operators(self) -> (StatelessOperator, StageOperator) {
        (self.stateless, self.operator)
    }

    #[cfg(test)]
    pub(crate) fn log(&self) -> &L {
        &self.log
    }

    /// One round.
    ///
    /// # Errors
    /// The session is over; what was not committed will be read again.
    pub(crate) fn step(&mut self) -> Result<(), LogError> {
        self.batch.clear();
        let wait = if self.rewind_owed && !self.is_held() {
            Duration::ZERO
        } else {
            self.wait()
        };
        let event = match self.log.poll(wait, self.limits(), &mut self.batch) {
            Ok(event) => event,
            Err(error) => {
                self.recover(error)?;
                None
            }
        };
        if !self.rewind_owed && !self.batch.is_empty() {
            self.process().or_else(|error| self.recover(error))?;
        }
        if let Some(event) = event {
            self.heed(event).or_else(|error| self.recover(error))?;
        } else if self.rewind_owed && !self.is_held() {
            let partitions = self.assigned.clone();
            self.read_from_commits(&partitions)
                .or_else(|error| self.recover(error))?;
        }
        self.tick().or_else(|error| self.recover(error))?;
        if self.commit_is_due() {
            self.commit().or_else(|error| self.recover(error))?;
        }
        self.look_at_table();
        self.heal_in_time();
        self.tell();
        Ok(())
    }

    /// Commits what was read, so that the session can end.
    ///
    /// # Errors
    /// It could not be committed; it will be read again.
    pub(crate) fn drain(&mut self) -> Result<(), LogError> {
        self.status.set_phase(Phase::Draining);
        let nothing =
            self.read_since.is_none() && self.passed_since.is_none() && self.operator_due.is_none();
        if self.rewind_owed || nothing {
            return Ok(());
        }
        self.commit()
    }

    /// True: something was read, or written, that isn't committed.
    pub(crate) fn has_uncommitted(&self) -> bool {
        self.in_transaction || self.read_since.is_some()
    }

    /// What the operator does at every round, whether or not something was read.
    fn tick(&mut self) -> Result<(), LogError> {
        if self.rewind_owed {
            return Ok(());
        }
        match &self.operator {
            StageOperator::Stateless => Ok(()),
            StageOperator::Exchange(_) => self.tick_exchange(),
            StageOperator::Keyed(_) => self.tick_keyed(),
        }
    }

    /// Forgets what isn't committed.
    fn give_up(&mut self) {
        self.forget();
        self.operator_due = None;
        match &mut self.operator {
            StageOperator::Stateless => {}
            StageOperator::Exchange(exchange) => exchange.writer.aborted(),
            StageOperator::Keyed(keyed) => keyed.aborted(),
        }
    }

    fn limits(&self) -> Limits {
        let rows = if self.stateless.writes_table() {
            self.most_rows
        } else {
            BATCH.rows
        };
        Limits { rows, ..BATCH }
    }

    fn wait(&self) -> Duration {
        let read = self
            .read_since
            .map(|since| since + self.settings.commit_interval);
        match read.into_iter().chain(self.operator_due).min() {
            Some(due) => due.saturating_sub(self.log.now()).min(IDLE_WAIT),
            None => IDLE_WAIT,
        }
    }

    fn commit_is_due(&self) -> bool {
        let past = |since: Option<Duration>, wait| {
            since.is_some_and(|since| self.log.now() >= since + wait)
        };
        !self.rewind_owed
            && (past(self.read_since, self.settings.commit_interval)
                || (self.stateless.writes_table()
                    && self.pending.dead_letters >= TABLE_DEAD_LETTERS)
                || past(
                    self.passed_since,
                    self.log.passed_wait().unwrap_or(MARKERS_WAIT),
                )
                || past(self.operator_due, Duration::ZERO))
    }

    /// What an error means for the transaction: abort and rewind, or the end of the session.
    fn recover(&mut self, error: LogError) -> Result<(), LogError> {
        match error {
            LogError::Abortable { .. } | LogError::OutOfRange { .. } => {
                tracing::warn!(%error, "the transaction is aborted; its records are read again");
                self.give_up();
                self.aborts += 1;
                if self.aborts > ABORTS {
                    return Err(LogError::Broken {
                        message: error.to_string(),
                    });
                }
                self.rewind_owed = true;
                self.log.abort()
            }
            LogError::Held { reason, message } => self.hold(reason, message),
            // Whether it took effect is found out from the broker, by a new session.
            LogError::Retriable { message } => Err(LogError::Broken { message }),
            error => Err(error),
        }
    }

    fn forget(&mut self) {
        self.in_transaction = false;
        self.read_since = None;
        self.passed_since = None;
        self.pending = Progress::default();
        self.audit.given = 0;
    }

    fn open_transaction(&mut self) -> Result<(), LogError> {
        if !self.in_transaction {
            self.log.begin()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Commits output, dead letters and every owned position. An unknown outcome is asked for again,
    /// never aborted: it may have been a yes.
    fn commit(&mut self) -> Result<(), LogError> {
        self.open_transaction()?;
        let later = match &self.operator {
            StageOperator::Stateless => None,
            StageOperator::Exchange(_) => self.before_commit_exchange()?,
            StageOperator::Keyed(_) => self.before_commit_keyed()?,
        };
        self.check_counts();
        let positions = self.owned.positions();
        let mut attempt = 0;
        while let Err(error) = self.log.commit(&positions) {
            attempt += 1;
            match error {
                LogError::Retriable { message } if attempt < ATTEMPTS => {
                    tracing::warn!(
                        message,
                        attempt,
                        "whether the commit succeeded isn't known yet"
                    );
                }
                error => return Err(error),
            }
        }
        self.status.committed(&self.pending, self.log.wall_ms());
        self.held_no_more();
        self.aborts = 0;
        self.forget();
        self.operator_due = later;
        match &mut self.operator {
            StageOperator::Stateless => {}
            StageOperator::Exchange(exchange) => exchange.writer.committed(),
            StageOperator::Keyed(_) => self.after_commit_keyed(&positions),
        }
        Ok(())
    }

    /// Keeps the status fresh.
    fn tell(&mut self) {
        let trouble = self.log.trouble();
        match &trouble {
            Some(message) => self.status.raise(Problem::new(UNAVAILABLE, message, false)),
            None if self.troubled => self.status.heal(UNAVAILABLE),
            None => {}
        }
        self.troubled = trouble.is_some();
        let now = self.log.now();
        if self.figures_at.is_none_or(|at| now >= at + FIGURES_EVERY) && !self.rewind_owed {
            self.figures_at = Some(now);
            self.status
                .set_partitions(self.owned.figures(&self.log, &self.topics));
            self.tell_of_state();
            self.tell_of_counts();
        }
    }
}
