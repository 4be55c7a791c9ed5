//! Which streams of its namespace an object reads and writes, by its spec alone. Whoever asks whom a change of a stream hits, who
//! closes a loop, who writes the same, and who uses a stream that goes, asks every kind this.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrantSpec, PipelineSpec, QualityRuleSpec};

use super::flows::Flow;

/// A kind, as it uses streams.
pub trait UsesStreams {
    /// What the object uses.
    fn streams(&self) -> StreamUse;
}

/// How an object uses streams.
#[derive(Clone, Debug)]
pub enum StreamUse {
    /// It names none.
    None,
    /// By a query, which says what of the columns it takes.
    Query(Box<PipelineSpec>, Flow),
    /// It lets a client read and write; the client's code is its own.
    Grant(Box<AccessGrantSpec>),
    /// It says what the records of a stream must be, and takes none.
    Rule(Box<QualityRuleSpec>),
    /// It reads or writes whole records.
    Records(RecordUse),
}

/// Streams whose whole records an object reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordUse {
    /// Streams that it reads.
    pub reads: Vec<StreamRef>,
    /// Streams that it writes.
    pub writes: Vec<StreamRef>,
    /// False: it is at rest, and writes nothing now.
    pub runs: bool,
    /// True: its reconcile asks [`super::flows::Flows`] whether it closes a loop and who writes the same, and is woken when that
    /// changes.
    pub heeds: bool,
}

/// A stream that a spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRef {
    /// Its name.
    pub stream: String,
    /// Where the spec names it, such as `spec.into`.
    pub field: String,
}

impl StreamRef {
    /// A stream, and where it is named.
    pub fn new(stream: &str, field: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            field: field.to_owned(),
        }
    }
}

impl StreamUse {
    /// What flows through the object; none where nothing does.
    pub fn flow(&self) -> Option<Flow> {
        match self {
            Self::None | Self::Grant(_) | Self::Rule(_) => None,
            Self::Query(_, flow) => Some(flow.clone()),
            Self::Records(records) => Some(records.flow()),
        }
    }
}

impl RecordUse {
    /// True: it reads that stream.
    pub fn is_reader(&self, stream: &str) -> bool {
        self.reads.iter().any(|one| one.stream == stream)
    }

    /// True: it writes that stream.
    pub fn is_writer(&self, stream: &str) -> bool {
        self.writes.iter().any(|one| one.stream == stream)
    }

    /// What it writes while it runs, as `stream/NAME`.
    pub fn targets(&self) -> BTreeSet<String> {
        let running = self.writes.iter().filter(|_| self.runs);
        running
            .map(|one| format!("stream/{}", one.stream))
            .collect()
    }

    /// Where it closes a loop, it is the one that gives way.
    fn flow(&self) -> Flow {
        let names = |all: &[StreamRef]| all.iter().map(|one| one.stream.clone()).collect();
        Flow {
            inputs: names(&self.reads),
            outputs: names(&self.writes),
            targets: self.targets(),
            in_force: false,
            born: i64::MAX,
            judges: true,
            heeds: self.heeds,
        }
    }
}
