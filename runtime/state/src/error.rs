//! Why state can't be worked with.

use snafu::Snafu;

/// Why state can't be worked with. Never the data's fault, but for its amount.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub))]
pub enum StateError {
    /// The changelog holds something that this version can't read.
    #[snafu(display("the state can't be read: {message}"))]
    Unreadable {
        /// What was found.
        message: String,
    },
    /// The disk that state is spilled to.
    #[snafu(display("the state's disk: {message}"))]
    Disk {
        /// What it said.
        message: String,
    },
    /// State that can't leave memory is more than there may be.
    #[snafu(display(
        "the rows that a join or OVER keeps take more than the {memory_bytes} bytes that state may take in a pod: raise state.memory, make the pipeline's replicas more, or join (or look back) over a shorter time"
    ))]
    Full {
        /// What it may take, in bytes.
        memory_bytes: u64,
    },
    /// Columns that can't be built: a bug.
    #[snafu(display("cannot build columns: {message}"))]
    Columns {
        /// What Arrow said.
        message: String,
    },
}

/// Columns that can't be built.
pub(crate) fn columns(error: impl ToString) -> StateError {
    StateError::Columns {
        message: error.to_string(),
    }
}
