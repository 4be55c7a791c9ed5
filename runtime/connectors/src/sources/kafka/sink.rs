//! The seam between the service and Kafka.

use std::future::Future;

use headworks_plan::Problem;
use snafu::Snafu;

use crate::sources::kafka::Outgoing;

/// Some records were not acknowledged. The others, if any, are in Kafka.
#[derive(Debug, Snafu)]
#[snafu(display("{failed} records were not acknowledged: {cause}"))]
pub struct Undelivered {
    /// Records that are in Kafka.
    pub acknowledged: usize,
    /// Records that aren't, or of which it isn't known.
    pub failed: usize,
    /// Why the first of them failed.
    pub cause: Cause,
}

/// Why a record was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
pub enum Cause {
    /// No acknowledgement in time, or none to be had now.
    #[snafu(display("{message}"))]
    Unavailable {
        /// What Kafka said.
        message: String,
    },
    /// The broker finds the record too large.
    #[snafu(display(
        "the broker refuses a record as too large: the topic's max.message.bytes is below what this source was told"
    ))]
    TooLarge,
}

/// Where records go.
pub trait Sink: Send + Sync + 'static {
    /// What keeps records from going in now, if anything is known.
    fn problem(&self) -> Option<Problem>;

    /// Writes the records and waits until each is acknowledged by every in-sync replica or given up.
    ///
    /// # Errors
    /// At least one record was not acknowledged.
    fn write(&self, records: Vec<Outgoing>)
    -> impl Future<Output = Result<(), Undelivered>> + Send;
}

impl<S: Sink> Sink for std::sync::Arc<S> {
    fn problem(&self) -> Option<Problem> {
        (**self).problem()
    }

    async fn write(&self, records: Vec<Outgoing>) -> Result<(), Undelivered> {
        (**self).write(records).await
    }
}
